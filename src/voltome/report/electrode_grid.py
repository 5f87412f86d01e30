"""Pictures of an electrode side by side: panels of one shape in inches, grey slices, scale bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voltome.report import panels
from voltome.report.electrode_axes import SOFT, shorten_name
from voltome.report.electrode_findings import ElectrodeFindings
from voltome.report.measures import robust_range, round_down
from voltome.report.wording import write_metres, write_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARE = "#c9ced4"
"""Where nothing is known."""


class Grid:
    """Panels of one shape in rows, a title above each row, room for bars below; sizes in inches.

    Parameters
    ----------
    count : int
    ratio : float
        Height over width of a panel.
    rows_each : int
        Panels stacked for each entry.
    below : float
        Room for colour bars.
    columns : int
        At most so many side by side.
    tallest : float
        Of a panel; tall ones get narrower.
    left : float
        Room beside the first column.
    trim : bool
        End the figure where its panels end.
    """

    def __init__(
        self,
        count: int,
        ratio: float,
        *,
        rows_each: int = 1,
        below: float,
        columns: int,
        tallest: float,
        left: float = 0.12,
        trim: bool = False,
    ) -> None:
        from matplotlib.figure import Figure

        right, gap, title = 0.08, 0.07, 0.22
        room = panels.PAPER_WIDTH_IN - left - right + gap
        fit = max(int(room / (tallest / ratio + gap)), columns)  # narrow panels: more of them in a row
        columns = math.ceil(count / math.ceil(count / fit))
        width = min(room / columns - gap, tallest / ratio)
        height = max(width * ratio, 0.15)
        bands = math.ceil(count / columns)
        band = title + rows_each * (height + gap)
        total = bands * band + below
        self.wide = left + columns * (width + gap) - gap + right if trim else panels.PAPER_WIDTH_IN
        self.figure = Figure(figsize=(self.wide, total))
        self.total, self.left, self.columns = total, left, columns
        self.panels: list[list[Axes]] = []
        for i in range(count):
            top = total - (i // columns) * band - title
            x = left + (i % columns) * (width + gap)
            self.panels.append(
                [self.place(x, top - height - k * (height + gap), width, height) for k in range(rows_each)]
            )

    def place(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes without ticks, in inches from the lower left corner."""
        axes = self.figure.add_axes((x / self.wide, y / self.total, width / self.wide, height / self.total))
        axes.set(xticks=[], yticks=[])
        return axes


def draw_slice(
    axes: Axes,
    image: NDArray[np.float32],
    pixel_m: float,
    limits: tuple[float, float],
    *,
    colours: str = "gray",
    veil: float = 1.0,
) -> None:
    """A slice in micrometres, z downwards; what is not known stays bare.

    As a veil over opaque cells it shows through them, and changes nothing where there is none.

    Parameters
    ----------
    axes : matplotlib Axes
    image : (z, x) float32, or (z, x, 3) of red, green, blue
    pixel_m : float
        Edge of its pixels.
    limits : (float, float)
        Values of the first and last colour.
    colours : str
        Name of the colour map.
    veil : float
        Opacity.

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib import colormaps

    height, width = 1e6 * pixel_m * image.shape[0], 1e6 * pixel_m * image.shape[1]
    shades = colormaps[colours].with_extremes(bad=BARE)
    axes.imshow(np.ma.masked_invalid(image), cmap=shades, vmin=limits[0], vmax=limits[1], alpha=veil,
                extent=(0.0, width, height, 0.0), interpolation="antialiased", aspect="auto",
                zorder=1.0 if veil == 1.0 else 2.5)  # fmt: skip
    axes.set(xlim=(0.0, width), ylim=(height, 0.0))


def title_panel(axes: Axes, scan: str, note: str) -> None:
    """Name of a scan, and on the right its state of charge or a number, as far as there is room.

    Parameters
    ----------
    axes : matplotlib Axes
    scan, note : str

    Returns
    -------
    None
        The axes are drawn on.
    """
    letters = axes.get_window_extent().width / axes.figure.dpi / 0.072
    name = shorten_name(scan, max(int(letters) - (len(note) + 1 if note else 0), 4))
    axes.set_title(name, loc="left", fontsize=8.5, fontweight="bold", pad=3, parse_math=False)
    if len(name) + len(note) + 1 <= letters:
        axes.set_title(note, loc="right", fontsize=8.0, color=SOFT, pad=3)


def write_soc(findings: ElectrodeFindings, scan: str) -> str:
    """State of charge of a scan in percent; nothing where it is not known.

    Parameters
    ----------
    findings : ElectrodeFindings
    scan : str

    Returns
    -------
    str
    """
    soc = findings.socs.get(scan, math.nan)
    return f"{write_percent(soc, 2)}" if math.isfinite(soc) else ""


def draw_scale(axes: Axes) -> None:
    """A bar of round length in the lower right corner of a panel in micrometres.

    Parameters
    ----------
    axes : matplotlib Axes

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib.patheffects import withStroke

    width, height = abs(np.diff(axes.get_xlim())[0]), abs(np.diff(axes.get_ylim())[0])
    length = round_down(0.35 * width)
    right, base = axes.get_xlim()[1] - 0.05 * width, axes.get_ylim()[0] - 0.07 * height
    axes.plot([right - length, right], [base, base], color="white", lw=2.0, solid_capstyle="butt",
              path_effects=[withStroke(linewidth=3.4, foreground="black")], zorder=6)  # fmt: skip
    axes.annotate(write_metres(1e-6 * length, 1), (right - length / 2, base), xytext=(0, 3), ha="center",
                  textcoords="offset points", color="white", zorder=6,
                  path_effects=[withStroke(linewidth=1.8, foreground="black")])  # fmt: skip


def grey_limits(images: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """Grey limits shared by all slices: without the lowest and highest half percent.

    Parameters
    ----------
    images : sequence of float32 array

    Returns
    -------
    low, high : float
    """
    return robust_range(np.concatenate([image[::2, ::2].ravel() for image in images]), percent=0.5)

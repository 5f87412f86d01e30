"""One panel of a figure: a grey slice, the cells of its nodes, its colour bar; and how panels are laid out.

Everything is drawn on `matplotlib.figure.Figure` inside `paper_style`: no pyplot, and no global state is left changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.report.measures import round_down
from voltome.report.sections import AXES, NodeKind, PointLayer, Section
from voltome.report.wording import write_metres

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

PAPER_WIDTH_IN = 7.1
"""Two columns of a journal page, 180 mm: at this width the smallest letters are 8 points."""

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.titlepad": 4.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "hatch.linewidth": 0.6,
    "patch.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "figure.facecolor": "white",
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.borderpad": 0.0,
    "legend.labelspacing": 0.25,
}

OVERLAY_ALPHA = 0.72
INK, BLUE, ORANGE, VERMILION, GREY = "#1b1f24", "#0072b2", "#e69f00", "#d55e00", "#8a9199"
KIND_COLOURS = {NodeKind.TRUSTED: BLUE, NodeKind.SUSPECT: ORANGE, NodeKind.FILLED: "#009e73", NodeKind.FAILED: INK}
HATCH = "////"


_STYLE_LOCK = RLock()  # Matplotlib's settings are the whole process's: figures are drawn one at a time


@contextmanager
def paper_style() -> Iterator[None]:
    """Matplotlib's own defaults plus `STYLE`, whatever the user has set; restored on leaving."""
    import matplotlib

    with _STYLE_LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


@dataclass(frozen=True)
class Board:
    """Panels in rows (sections) and columns (quantities), and a place for a colour bar below each column."""

    figure: Figure
    panels: list[list[Axes]]
    bars: list[Axes]


def lay_out_board(sections: Sequence[Section], columns: int, *, lift_bars_in: float = 0.0) -> Board:
    """Place the panels of a figure in inches, each with the proportions of its slice.

    Parameters
    ----------
    sections : sequence of Section
    columns : int
    lift_bars_in : float
        How far the colour bars rise beside the tick labels of the first column, where that one has no bar.

    Returns
    -------
    Board
    """
    from matplotlib.figure import Figure

    left, right, gap, above, below, title, bar = 0.5, 0.1, 0.1, 0.2, 0.34, 0.22, 0.62
    column = (PAPER_WIDTH_IN - left - right - gap * (columns - 1)) / columns
    ratios = [section.size_vox[0] / section.size_vox[1] for section in sections]
    width = min(column, 6.6 / sum(ratios))  # a tall object gets narrower panels, not a longer page
    heights = [max(width * ratio, 0.12) for ratio in ratios]
    total = title + sum(heights) + (above + below) * len(sections) + bar - lift_bars_in
    figure = Figure(figsize=(PAPER_WIDTH_IN, total))

    def place(column_index: int, bottom: float, width: float, height: float) -> Axes:
        start = left + column_index * (column + gap) + (0.0 if column_index == 0 else (column - width) / 2)
        return figure.add_axes((start / PAPER_WIDTH_IN, bottom / total, width / PAPER_WIDTH_IN, height / total))

    panels, top = [], total - title
    for height in heights:
        top -= above + height
        panels.append([place(c, top, width, height) for c in range(columns)])
        top -= below
    return Board(figure, panels, [place(c, 0.42, column - 0.06, 0.09) for c in range(columns)])


def grey_range(sections: Sequence[Section]) -> tuple[float, float]:
    """Grey limits shared by all slices: without the lowest and highest half percent.

    Parameters
    ----------
    sections : sequence of Section

    Returns
    -------
    low, high : float
        (0, 1) where nothing is finite.
    """
    values = np.concatenate([section.image[np.isfinite(section.image)].ravel() for section in sections])
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def draw_grey(axes: Axes, section: Section, limits: tuple[float, float], *, colours: str = "gray") -> None:
    """The slice itself, its axes in voxels of the volume; no ticks until `label_row` gives them.

    Parameters
    ----------
    axes : matplotlib Axes
    section : Section
    limits : (float, float)
        Grey values of the first and last colour.
    colours : str
        Name of the colour map.

    Returns
    -------
    None
        The axes are drawn on.
    """
    height, width = section.size_vox
    axes.imshow(
        section.image,
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="antialiased",
    )
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def label_row(axes: Axes, section: Section, layer: PointLayer | None, voxel_size_m: float | None) -> None:
    """Ticks, the names of both axes, where the slice stands, and a scale bar, on the first panel of a row.

    Parameters
    ----------
    axes : matplotlib Axes
    section : Section
    layer : PointLayer or None
        Where it stands is named if that is not where the slice does.
    voxel_size_m : float or None
        Adds the scale bar.

    Returns
    -------
    None
        The axes are labelled.
    """
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_xlabel(AXES[section.columns], labelpad=0.0)
    axes.set_ylabel(AXES[section.rows], rotation=0, labelpad=5.0, va="center")
    where = f"{AXES[section.axis]} = {section.index_vox}"
    if layer is not None and np.isfinite(layer.plane_vox) and layer.plane_vox != section.index_vox:
        where += f", nodes at {layer.plane_vox:g}"
    axes.set_title(where, loc="left", fontsize=8.0, color="#4a525b")
    if voxel_size_m is not None:
        draw_scale_bar(axes, section, voxel_size_m)


def draw_scale_bar(axes: Axes, section: Section, voxel_size_m: float) -> None:
    """A bar of 1, 2 or 5 times a power of ten, at most two fifths of the slice's width.

    Parameters
    ----------
    axes : matplotlib Axes
    section : Section
    voxel_size_m : float

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib.patheffects import withStroke

    height, width = section.size_vox
    length_m = round_down(0.4 * width * voxel_size_m)
    length, text = length_m / voxel_size_m, write_metres(length_m, 1)
    right, base = 0.95 * width, 0.93 * height
    axes.plot([right - length, right], [base, base], color="white", lw=2.0, solid_capstyle="butt",
              path_effects=[withStroke(linewidth=3.4, foreground="black")], zorder=6)  # fmt: skip
    axes.annotate(text, (right - length / 2, base), xytext=(0, 3), textcoords="offset points", ha="center",
                  color="white", zorder=6, path_effects=[withStroke(linewidth=1.8, foreground="black")])  # fmt: skip


def draw_cells(
    axes: Axes,
    layer: PointLayer,
    values: NDArray[np.floating],
    kinds: NDArray[np.int8],
    norm: Normalize,
    colours: str,
) -> None:
    """Colour the cells of one layer by a value, and mark those that are not a trusted measurement.

    Suspect cells are hatched over their own value, filled ones are hollow frames in the colour of the value, failed
    ones a cross, masked ones and those without a value are left empty.

    Parameters
    ----------
    axes : matplotlib Axes
    layer : PointLayer
    values : (N,) float array
    kinds : (N,) int8
        `NodeKind` of each point.
    norm, colours
        Scale and name of the colour map.

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib import colormaps
    from matplotlib.collections import PolyCollection

    value, kind = values[layer.points], kinds[layer.points]
    present = np.isfinite(value)
    colour = colormaps[colours](norm(np.where(present, value, 0.0)))
    measured = present & ((kind == NodeKind.TRUSTED) | (kind == NodeKind.SUSPECT))
    axes.add_collection(PolyCollection(
        list(layer.rectangles(measured)), facecolors=colour[measured], linewidths=0, alpha=OVERLAY_ALPHA,
        antialiased=False, zorder=2,
    ), autolim=False)  # fmt: skip
    suspect = present & (kind == NodeKind.SUSPECT)
    for ink, width, edge in (("white", 1.3, 0.0), (INK, 0.5, 0.35)):  # a light rim: readable on dark colours too
        hatched = PolyCollection(
            list(layer.rectangles(suspect)), facecolors="none", edgecolors=ink, linewidths=edge, hatch=HATCH, zorder=3
        )
        hatched.set_hatch_linewidth(width)
        axes.add_collection(hatched, autolim=False)
    filled = present & (kind == NodeKind.FILLED)
    axes.add_collection(PolyCollection(
        list(layer.rectangles(filled, 0.76)), facecolors="none", edgecolors=colour[filled], linewidths=1.6, zorder=3,
    ), autolim=False)  # fmt: skip
    failed = layer.centres_vox[kind == NodeKind.FAILED]
    axes.plot(failed[:, 0], failed[:, 1], "x", color=VERMILION, ms=3.5, mew=0.9, zorder=4)


def draw_kinds(axes: Axes, layer: PointLayer, kinds: NDArray[np.int8]) -> None:
    """Colour the cells by what each node may be read as.

    Parameters
    ----------
    axes : matplotlib Axes
    layer : PointLayer
    kinds : (N,) int8
        `NodeKind` of each node.

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib.collections import PolyCollection

    kind = kinds[layer.points]
    for which, colour in KIND_COLOURS.items():
        axes.add_collection(PolyCollection(
            list(layer.rectangles(kind == which)), facecolors=colour, edgecolors="white", linewidths=0.3, alpha=0.75,
        ), autolim=False)  # fmt: skip


def draw_bar(axes: Axes, norm: Normalize, colours: str, *, extend: str = "both") -> None:
    """Horizontal colour bar with three ticks at most.

    Parameters
    ----------
    axes : matplotlib Axes
        Filled by the bar.
    norm, colours
        Scale and name of the colour map.
    extend : str
        Ends that get a tip: "both", "min", "max" or "neither".

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import MaxNLocator

    bar = axes.figure.colorbar(ScalarMappable(norm, colours), cax=axes, orientation="horizontal", extend=extend)
    bar.solids.set(alpha=1.0, edgecolor="face") if bar.solids is not None else None
    bar.outline.set_linewidth(0.4)
    if norm.vmax is not None and norm.vmin == -norm.vmax:
        tick = float(f"{0.7 * norm.vmax:.0e}")  # one digit, and below the limit however it rounds
        bar.set_ticks([-tick, 0.0, tick])
    else:
        bar.locator = MaxNLocator(3, steps=[1, 2, 5, 10])
        bar.update_ticks()
    axes.tick_params(length=2.0)


def title_column(axes: Axes, text: str) -> None:
    """Name of a column, above the place where its first row says which slice it is.

    Parameters
    ----------
    axes : matplotlib Axes
        First panel of the column.
    text : str

    Returns
    -------
    None
        The axes are drawn on.
    """
    axes.annotate(
        text, (0.5, 1), (0, 16), xycoords="axes fraction", textcoords="offset points", ha="center", fontsize=8.5
    )

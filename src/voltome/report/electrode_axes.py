"""What the curves of an electrode have in common: scans along x, discharge shaded, error bars with two caps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome.report.electrode_numbers import REGION_LOOKS, Curve, FloatArray, Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOFT = "#4a525b"
SHADE = "#e3e6ea"
_CAPPED = "$\\mathtt{I}$"
"""An error bar with caps, as a mark."""


def shorten_name(name: str, most: int) -> str:
    """At most so many letters; what is left out of the middle becomes an ellipsis.

    Parameters
    ----------
    name : str
    most : int
        At least 3.

    Returns
    -------
    str
    """
    if len(name) <= most:
        return name
    return f"{name[: most // 2]}\N{HORIZONTAL ELLIPSIS}{name[len(name) - (most - 1 - most // 2) :]}"


def lay_panels(rows: int, columns: int, size_in: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels.

    Parameters
    ----------
    rows, columns : int
    size_in : (float, float)
        Width and height of the figure.

    Returns
    -------
    figure : matplotlib Figure
        In constrained layout.
    axes : list of matplotlib Axes
        Row by row.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def start_scans(axes: Axes, numbers: Numbers, label: str, *, width_in: float, note: bool = True) -> None:
    """Scans in order along x, named with their state of charge; discharge is shaded.

    Parameters
    ----------
    axes : matplotlib Axes
    numbers : Numbers
    label : str
        Of the y axis.
    width_in : float
        Room for the names.
    note : bool
        Write "discharge" into the shade.

    Returns
    -------
    None
        The axes are drawn on.
    """
    scans, socs = numbers.findings.scans, numbers.socs
    axes.set_ylabel(label)
    axes.set_xlim(-0.6, len(scans) - 0.4)
    axes.spines[["top", "right"]].set_visible(False)
    names = [shorten_name(scan, 9) for scan in scans]
    room = width_in / len(scans) / 0.075  # letters of 8 points per scan
    step = int(np.ceil((max(max(map(len, names)), 2) + 0.6) / room))
    ticks = range(0, len(scans), step)
    below = [f"\n{100 * socs[i]:.0f}" if np.isfinite(socs[i]) else "" for i in ticks]
    axes.set_xticks(list(ticks), [names[i] + text for i, text in zip(ticks, below, strict=True)], parse_math=False)
    axes.set_xlabel("scan, state of charge (%)" if any(below) else "scan")
    shade_discharge(axes, numbers, note=note)


def shade_discharge(axes: Axes, numbers: Numbers, *, note: bool = True) -> None:
    """Grey ground where the state of charge falls.

    Parameters
    ----------
    axes : matplotlib Axes
        With the scans in order along x.
    numbers : Numbers
    note : bool
        Write "discharge" into it.

    Returns
    -------
    None
        The axes are drawn on.
    """
    for first, last in numbers.find_discharge():
        axes.axvspan(first, last + 0.4, color=SHADE, lw=0, zorder=0)
        if note:
            axes.annotate("discharge", ((first + last + 0.4) / 2, 1.0), (0, -3), xycoords=("data", "axes fraction"),
                          textcoords="offset points", ha="center", va="top", color=SOFT)  # fmt: skip


def draw_curve(
    axes: Axes,
    numbers: Numbers,
    curve: Curve,
    look: tuple[str, str, str],
    *,
    at: FloatArray | None = None,
    line: str = "-",
) -> None:
    """Points joined in order, the random part and the whole of each error as two caps.

    Parameters
    ----------
    axes : matplotlib Axes
    numbers : Numbers
    curve : Curve
        In the unit of the axes.
    look : (str, str, str)
        Colour, mark, label.
    at : (N,) float64 or None
        Where the points stand; the number of their scan by default.
    line : str
        Style of the line that joins them; "" for none.

    Returns
    -------
    None
        The axes are drawn on. Hollow: the random part is not known. Repeat scans are crosses, and not joined.
    """
    colour, mark, label = look
    x = np.arange(len(curve.values), dtype=np.float64) if at is None else at
    shown = curve.known & np.isfinite(x)
    joined = shown & ~numbers.repeat
    unsure = shown & ~curve.exact & ~np.isfinite(curve.sd_random)
    if line:
        axes.plot(x[joined], curve.values[joined], line, color=colour, lw=1.0, zorder=2)
    draw_bars(axes, x[shown], curve.values[shown], curve.sd_random[shown], curve.sd[shown], colour)
    full = joined & ~unsure
    axes.plot(x[full], curve.values[full], mark, color=colour, ms=4.4, mec="white", mew=0.3, zorder=4, label=label)
    hollow = joined & unsure
    axes.plot(x[hollow], curve.values[hollow], mark, color=colour, mfc="white", ms=4.0, mew=0.9, zorder=4)
    aside = shown & numbers.repeat
    axes.plot(x[aside], curve.values[aside], "x", color=colour, ms=4.2, mew=1.1, zorder=4)


def draw_bars(
    axes: Axes, x: FloatArray, y: FloatArray, sd_random: FloatArray, sd: FloatArray, colour: str, *, flat: bool = False
) -> None:
    """Error bars: the inner, heavy part is random, the outer, capped end is everything in quadrature.

    Parameters
    ----------
    axes : matplotlib Axes
    x, y, sd_random, sd : (N,) float64
        No bar where an sd is NaN.
    colour : str
    flat : bool
        Along x instead of y.

    Returns
    -------
    None
        The axes are drawn on.
    """
    for spread, width, cap in ((sd, 0.8, 2.4), (sd_random, 1.8, 0.0)):
        has = np.isfinite(spread) & (spread > 0)
        bars = spread[has]
        axes.errorbar(x[has], y[has], None if flat else bars, bars if flat else None, fmt="none", ecolor=colour,
                      elinewidth=width, capsize=cap, capthick=0.8, zorder=3)  # fmt: skip


def draw_regions(
    axes: Axes, numbers: Numbers, name: str, scale: float, *, regions: Sequence[str], width_in: float
) -> list[Curve]:
    """The curves of one number for several parts of the electrode, side by side; 0 at the first scan.

    Parameters
    ----------
    axes : matplotlib Axes
    numbers : Numbers
    name : str
    scale : float
        From SI to the axes.
    regions : sequence of str
    width_in : float
        Of the axes.

    Returns
    -------
    list of Curve
        As drawn.
    """
    shift = min(0.2, 0.045 * len(numbers.findings.scans) / width_in)
    drawn = []
    for i, region in enumerate(regions):
        curve = numbers.read_curve(name, region, start=0.0).scaled(scale)
        at = np.arange(len(curve.values), dtype=np.float64) + shift * (i - (len(regions) - 1) / 2)
        draw_curve(axes, numbers, curve, REGION_LOOKS[region], at=at)
        drawn.append(curve)
    return drawn


def add_legend(axes: Axes, *, columns: int = 1) -> None:
    """The names of the curves, as lines with their marks.

    Parameters
    ----------
    axes : matplotlib Axes
    columns : int

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    lines: list[Any] = [
        Line2D([], [], color=handle.get_color(), marker=handle.get_marker(), ms=4.4, lw=1.0, mec="white", mew=0.3)
        if isinstance(handle, Line2D) else handle
        for handle in handles
    ]  # fmt: skip
    if labels:
        for line, label in zip(lines, labels, strict=True):
            line.set_label(label)
        axes.legend(
            handles=lines, loc="upper left", ncols=columns, handletextpad=0.5, columnspacing=1.0, borderaxespad=0.2
        )


def explain_marks(figure: Figure, numbers: Numbers, curves: Sequence[Curve]) -> None:
    """Below all panels: what the two parts of an error bar, crosses and hollow marks mean, where there are any.

    Parameters
    ----------
    figure : matplotlib Figure
        In constrained layout.
    numbers : Numbers
    curves : sequence of Curve
        As drawn.

    Returns
    -------
    None
        The figure is drawn on.
    """
    from matplotlib.lines import Line2D

    def mark(label: str, **look: Any) -> Line2D:
        return Line2D([], [], ls="none", color=SOFT, label=label, **look)

    measured = [(curve, curve.known & ~curve.exact) for curve in curves]
    unsure = [(curve, has & ~np.isfinite(curve.sd_random)) for curve, has in measured]
    out = []
    if any((has & (curve.sd_random > 0)).any() for curve, has in measured):
        out.append(mark("random sd", marker="|", ms=8, mew=1.9))
    if any((has & (curve.sd > np.nan_to_num(curve.sd_random) * (1 + 1e-9))).any() for curve, has in measured):
        out.append(mark("sd with bias", marker=_CAPPED, ms=8, mew=0.8, mfc="none"))
    if any((has & numbers.repeat).any() for _, has in measured):
        out.append(mark("repeat scan", marker="x", ms=4.4, mew=1.1))
    if any(u.any() for _, u in unsure):
        blind = any((u & ~np.isfinite(curve.sd)).any() for curve, u in unsure)
        text = "error unknown" if blind else "random error unknown"
        out.append(mark(text, marker="o", mfc="white", ms=4.0, mew=0.9))
    if out:
        figure.legend(handles=out, loc="outside lower center", ncols=len(out), columnspacing=1.6, handletextpad=0.3)


def letter_panels(axes: Sequence[Axes]) -> None:
    """a, b, c above the left end of each panel.

    Parameters
    ----------
    axes : sequence of matplotlib Axes

    Returns
    -------
    None
        The axes are drawn on.
    """
    for letter, ax in zip("abcdefghijkl", axes, strict=False):
        ax.annotate(letter, (0, 1), (-26, 4), xycoords="axes fraction", textcoords="offset points", fontsize=9,
                    fontweight="bold")  # fmt: skip

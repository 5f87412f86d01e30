"""Where the errors of an electrode's numbers come from: causes, alignment, and on a twin the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome.measurement import Measurement
from voltome.report import panels
from voltome.report.electrode_axes import (
    SOFT,
    add_legend,
    draw_curve,
    explain_marks,
    letter_panels,
    shorten_name,
    start_scans,
)
from voltome.report.electrode_findings import ElectrodeFindings
from voltome.report.electrode_numbers import REGIONS, Curve, Numbers
from voltome.report.wording import MICRO, write_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RANDOM, BIAS = "#009e73", "#cc79a7"
HEADLINES = (
    ("thickness", "whole", "thickness", 1e6, f"{MICRO}m"),
    ("volumetric_strain", "whole", "volumetric strain", 100.0, "% points"),
    ("volumetric_strain", "collector side", "vol. strain, collector side", 100.0, "% points"),
    ("volumetric_strain", "separator side", "vol. strain, separator side", 100.0, "% points"),
    ("in_plane_strain_yy", "whole", "in-plane strain yy", 100.0, "% points"),
    ("in_plane_strain_xx", "whole", "in-plane strain xx", 100.0, "% points"),
    ("non_lithiated_silicon", "whole", "non-lithiated silicon", 100.0, "% points"),
)
"""Numbers whose errors are taken apart: name, region, title, factor from SI, unit."""

BEYOND = 5.0
"""Standard deviations at which the axis of the accuracy figure ends."""


def draw_errors(findings: ElectrodeFindings) -> Figure | None:
    """The error of each headline number at the most expanded scan: cause by cause, and the sum.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where no error is known.
    """
    from matplotlib.figure import Figure

    numbers = Numbers(findings)
    scan = numbers.find_peak() or findings.scans[0]
    found = [(numbers.find(name, scan, region), title, factor, unit) for name, region, title, factor, unit in HEADLINES]
    shown = [(m, title, factor, unit) for m, title, factor, unit in found if m is not None and m.shares]
    if not shown:
        return None
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    most = max(len(m.shares) for m, *_ in shown) + 1
    with panels.paper_style():
        height = rows * (0.62 + 0.19 * most) + 0.3
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN * columns / 3 if columns > 1 else 3.4, height),
                        layout="constrained")  # fmt: skip
        axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
        for ax, (measured, title, factor, unit) in zip(axes, shown, strict=False):
            _draw_waterfall(ax, measured, factor, unit)
            ax.set_title(title, loc="left", x=-0.45 if columns > 1 else 0.0)  # above the causes: room for long ones
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        _explain_kinds(figure, columns)
    return figure


def _draw_waterfall(axes: Axes, measured: Measurement, factor: float, unit: str) -> None:
    """One bar for each cause, largest first, the line of their running sum in quadrature, and the sum."""
    shares = sorted(measured.shares, key=lambda share: (math.isnan(share.sd), -share.sd if share.sd == share.sd else 0))
    sds = factor * np.array([share.sd for share in shares], dtype=np.float64)
    known = np.isfinite(sds)
    running = np.sqrt(np.cumsum(np.where(known, sds, 0.0) ** 2))
    total = float(running[-1])
    top = total if total > 0 else 1.0
    rows = np.arange(len(shares))
    colours = [RANDOM if share.kind == "random" else BIAS for share in shares]
    axes.barh(
        rows[known], sds[known], 0.66, color=[c for c, k in zip(colours, known, strict=True) if k], lw=0, zorder=2
    )
    axes.plot(np.repeat(running[known], 2), np.repeat(rows[known], 2) + np.tile([-0.5, 0.5], int(known.sum())),
              color=panels.INK, lw=0.7, ls=(0, (2, 1.2)), zorder=3)  # fmt: skip
    axes.barh([len(shares)], [total], 0.66, color=panels.INK, lw=0, zorder=2)
    for row, value in [*zip(rows, sds, strict=True), (len(shares), total)]:
        text = write_number(value, 2) if math.isfinite(value) else "not known"
        text = f"at least {text}" if row == len(shares) and not known.all() else text
        axes.annotate(text, (value if math.isfinite(value) else 0.0, row), (3, 0), textcoords="offset points",
                      va="center", color=panels.INK if math.isfinite(value) else panels.VERMILION, zorder=4,
                      bbox={"boxstyle": "square,pad=0.05", "fc": "white", "ec": "none"})  # fmt: skip
    axes.set_yticks([*rows, len(shares)], [*(shorten_name(s.cause, 16) for s in shares), "together"], parse_math=False)
    axes.set(xlim=(0.0, (1.35 if known.all() else 1.8) * top), ylim=(len(shares) + 0.6, -0.6), xlabel=f"sd ({unit})")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)


def _explain_kinds(figure: Figure, columns: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(fc=RANDOM, label="random"),
        Patch(fc=BIAS, label="bias"),
        Patch(fc=panels.INK, label="together, in quadrature"),
        Line2D([], [], color=panels.INK, lw=0.7, ls=(0, (2, 1.2)), label="running sum"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if columns > 1 else 2, columnspacing=1.6)


def draw_alignment(findings: ElectrodeFindings) -> Figure | None:
    """How each scan was moved onto the first: shift, tilt, scale, and what remains.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where no alignment is known.
    """
    from matplotlib.figure import Figure

    numbers = Numbers(findings)
    turns = tuple(dict.fromkeys(m.name for m in findings.measurements
                                if m.name.startswith("alignment_") and m.unit == "rad"))  # fmt: skip
    groups = (
        (("alignment_z", "alignment_y", "alignment_x"), f"shift ({MICRO}m)", 1e6, 0.0, 0.0),
        (turns, "rotation (mrad)", 1e3, 0.0, 0.0),
        (("alignment_scale",), "image size less 1 ($10^{-4}$)", 1e4, 1.0, 1.0),
        (("alignment_residual",), "residual misalignment (nm)", 1e9, None, 0.0),
    )
    shown = [group for group in groups if numbers.has(group[0], ["whole"])]
    if not shown:
        return None
    columns = min(len(shown), 2 if len(shown) == 4 else 3)
    rows = math.ceil(len(shown) / columns)
    with panels.paper_style():
        figure = Figure(figsize=(max(panels.PAPER_WIDTH_IN * columns / 3, 3.4) if rows == 1 else panels.PAPER_WIDTH_IN,
                                 2.3 * rows + 0.3), layout="constrained")  # fmt: skip
        axes = list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
        curves: list[Curve] = []
        for ax, (names, label, factor, start, less) in zip(axes, shown, strict=False):
            start_scans(ax, numbers, label, width_in=panels.PAPER_WIDTH_IN / columns - 0.6, note=False)
            ax.axhline(0.0, color=panels.GREY, lw=0.6, zorder=1)
            curves += _draw_alignment(ax, numbers, names, factor, start, less)
        letter_panels(axes[: len(shown)])
        explain_marks(figure, numbers, curves)
    return figure


_AXIS_LOOKS = ((panels.VERMILION, "o"), ("#009e73", "s"), ("#56b4e9", "D"))
"""z, y, x: none of the colours of a region."""


def _draw_alignment(
    axes: Axes, numbers: Numbers, names: Sequence[str], factor: float, start: float | None, less: float
) -> list[Curve]:
    curves: list[Curve] = []
    for i, name in enumerate(names):
        curve = numbers.read_curve(name, start=start)
        if start is None:  # what remains is an error itself, and need not have one
            curve = replace(curve, exact=curve.known & ~np.isfinite(curve.sd))
        curve = Curve(curve.values - less, curve.sd_random, curve.sd, curve.exact).scaled(factor)
        look = (panels.INK, "o") if len(names) == 1 else _AXIS_LOOKS[i % 3]
        label = "" if len(names) == 1 else name.rpartition("_")[2]
        at = np.arange(len(curve.values), dtype=np.float64) + 0.1 * (i - (len(names) - 1) / 2)
        draw_curve(axes, numbers, curve, (*look, label), at=at)
        curves.append(curve)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (0.14 if len(names) > 1 else 0.04) * (high - low))
    add_legend(axes, columns=3)
    return curves


def draw_accuracy(findings: ElectrodeFindings) -> Figure | None:
    """Recovered less true, in units of the stated sd, one row for each number.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where no truth is known, or no error to compare with.
    """
    from matplotlib.figure import Figure

    rows = [(row, z) for row in findings.accuracy if math.isfinite(z := score_row(row))]
    if not rows:
        return None
    names = list(dict.fromkeys(str(row["name"]) for row, _ in rows))
    steps = list(dict.fromkeys(str(row["step"]) for row, _ in rows))
    inside = sum(abs(z) <= 2.0 for _, z in rows)
    with panels.paper_style():
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN, 1.0 + 0.21 * len(names)), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(-2.0, 2.0, color="#e8edf2", lw=0, zorder=0)
        axes.axvline(0.0, color=panels.GREY, lw=0.6, zorder=1)
        for row, z in rows:
            _draw_score(axes, names.index(str(row["name"])), z, str(row["step"]), steps)
        _finish_scores(axes, names)
        _draw_steps(figure, axes, steps)
        axes.set_title(f"{inside} of {len(rows)} inside two standard deviations", loc="left")
    return figure


def score_row(row: Mapping[str, Any]) -> float:
    """Recovered less true over the stated sd, both parts in quadrature.

    Parameters
    ----------
    row : mapping
        true, recovered, sd_random, sd_bias; None where it is not known.

    Returns
    -------
    float
        NaN where there is no error to compare with.
    """
    true, recovered, *sds = (_read(row.get(name)) for name in ("true", "recovered", "sd_random", "sd_bias"))
    sd = math.sqrt(sum(value**2 for value in sds if math.isfinite(value)))
    return (recovered - true) / sd if sd > 0 else math.nan


def write_name(label: str) -> str:
    """A measurement's label in words: in-plane strain yy, collector side.

    Parameters
    ----------
    label : str

    Returns
    -------
    str
    """
    text = label.replace("in_plane", "in-plane").replace("non_lithiated", "non-lithiated").replace("_", " ")
    for region in REGIONS[1:]:
        text = text.replace(f" {region}", f", {region}")
    return text


def _read(value: Any) -> float:
    return math.nan if value is None else float(value)


def _draw_score(axes: Axes, at: int, z: float, step: str, steps: Sequence[str]) -> None:
    """A point in the colour of its scan; one beyond the axis stands at its end, with its name and size."""
    spread = 0.5 * (steps.index(step) / max(len(steps) - 1, 1) - 0.5) if len(steps) > 1 else 0.0
    outside = abs(z) > BEYOND
    x = math.copysign(BEYOND - 0.08, z) if outside else z
    mark = "o" if not outside else ">" if z > 0 else "<"
    axes.plot([x], [at + spread], mark, color=_shade(steps.index(step), len(steps)), ms=4.2, mec=panels.INK, mew=0.35,
              zorder=3)  # fmt: skip
    if outside:
        axes.annotate(f"{shorten_name(step, 8)}: {write_number(z, 2, signed=True)}", (x, at + spread),
                      (-5 if z > 0 else 5, 0), textcoords="offset points", ha="right" if z > 0 else "left", va="center",
                      color=SOFT, parse_math=False)  # fmt: skip


def _shade(index: int, count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.95 * index / max(count - 1, 1))


def _finish_scores(axes: Axes, names: Sequence[str]) -> None:
    labels = [shorten_name(write_name(name), 44) for name in names]
    axes.set_yticks(range(len(names)), labels, parse_math=False)
    axes.set(
        xlim=(-BEYOND, BEYOND), ylim=(len(names) - 0.4, -0.6), xlabel="(recovered \N{MINUS SIGN} true) / stated sd"
    )
    axes.set_xticks(range(-4, 5, 2))
    axes.tick_params(axis="y", length=0)
    for k in range(len(names)):
        axes.axhline(k, color="#d5dae0", lw=0.4, zorder=0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_steps(figure: Figure, axes: Axes, steps: Sequence[str]) -> None:
    """The colours of the scans, as a bar in steps."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = ListedColormap([_shade(i, len(steps)) for i in range(len(steps))])
    norm = BoundaryNorm([i - 0.5 for i in range(len(steps) + 1)], len(steps)) if len(steps) > 1 else None
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, fraction=0.03, pad=0.02, aspect=30)
    shown = range(0, len(steps), math.ceil(len(steps) / 12))
    bar.set_ticks(list(shown) if len(steps) > 1 else [0.5])
    bar.ax.set_yticklabels([shorten_name(steps[i], 8) for i in shown], parse_math=False)
    bar.ax.tick_params(length=0)
    bar.ax.invert_yaxis()
    bar.outline.set_linewidth(0.4)

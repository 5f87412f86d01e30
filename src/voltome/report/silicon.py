"""How much silicon has not reacted, scan by scan, and the segmentation behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.report import panels
from voltome.report.electrode_axes import SOFT, draw_curve, explain_marks, letter_panels, shorten_name, start_scans
from voltome.report.electrode_findings import ElectrodeFindings
from voltome.report.electrode_grid import BARE, Grid, draw_scale, draw_slice, grey_limits, title_panel, write_soc
from voltome.report.electrode_maps import choose_shown
from voltome.report.electrode_numbers import Curve, Numbers
from voltome.report.wording import MICRO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME, LOW, HIGH = "non_lithiated_silicon", "non_lithiated_silicon_threshold_0.7", "non_lithiated_silicon_threshold_0.3"
"""Measurements: the volume relative to the first scan, and the same by a high and by a low threshold of probability."""

COVERAGE, SDS = "95 % band", 1.96
SENSITIVITY = "thresholds 0.3 to 0.7 (sensitivity, no confidence)"

MOST_SEGMENTED = 4
CONFIDENCE_COLOURS, CONFIDENCE_LIMITS = "magma", (0.5, 1.0)
PHASE_COLOURS = (panels.BLUE, panels.ORANGE, "#e6e1d6", "#009e73", "#cc79a7", "#56b4e9", panels.VERMILION)
"""Silicon's, then those of the other phases in the order of their names."""
_OUTLINE = "#ffd21f"
_PAGE_IN = 7.6  # all slices below each other


def draw_silicon(findings: ElectrodeFindings) -> Figure | None:
    """Volume of non-lithiated silicon relative to the first scan, and the thickness above it.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where it is not known.
    """
    from matplotlib.figure import Figure

    numbers = Numbers(findings)
    if not numbers.has([NAME], ["whole"]):
        return None
    both = numbers.has(["thickness"], ["whole"])
    with panels.paper_style():
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN, 4.6 if both else 3.2), layout="constrained")
        heights = (1, 2) if both else (1,)
        axes = list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
        curves = [_draw_relative(axes[-1], numbers, note=not both)]
        if both:
            curves.append(_draw_thickness(axes[0], numbers))
            letter_panels(axes)
            figure.align_ylabels(axes)
        explain_marks(figure, numbers, curves)
    return figure


def _draw_thickness(axes: Axes, numbers: Numbers) -> Curve:
    curve = numbers.read_curve("thickness").scaled(1e6)
    start_scans(axes, numbers, f"thickness ({MICRO}m)", width_in=6.4)
    axes.set_xlabel("")
    axes.tick_params(labelbottom=False)  # those of the panel below
    draw_curve(axes, numbers, curve, (panels.INK, "o", ""))
    return curve


def _draw_relative(axes: Axes, numbers: Numbers, *, note: bool) -> Curve:
    """The curve, at each scan its band inside the range of thresholds, and what is true."""
    curve, low, high = (numbers.read_curve(name, start=1.0).scaled(100.0) for name in (NAME, LOW, HIGH))
    first = shorten_name(numbers.findings.scans[0], 8)
    start_scans(axes, numbers, f"non-lithiated silicon (% of {first})", width_in=6.4, note=note)
    axes.use_sticky_edges = False  # bars would end the axis at their foot
    x, half = np.arange(len(curve.values)), SDS * curve.sd
    bands = (
        (np.fmin(low.values, high.values), np.fmax(low.values, high.values), 0.62, "#c6dcec", SENSITIVITY),
        (curve.values - half, curve.values + half, 0.34, "#7db4dc", COVERAGE),  # narrower: both are seen
    )
    for bottom, top, width, colour, label in bands:
        some = np.isfinite(top - bottom) & ~curve.exact
        if some.any():
            axes.bar(x[some], (top - bottom)[some], width, bottom[some], color=colour, lw=0, zorder=1, label=label)
    draw_curve(axes, numbers, curve, (panels.BLUE, "o", "measured"))
    _draw_truth(axes, numbers)
    _explain_silicon(axes)
    return curve


def _draw_truth(axes: Axes, numbers: Numbers) -> None:
    true = {str(row["step"]): 100.0 * row["true"] for row in numbers.findings.accuracy if row["name"] == NAME}
    at = [i for i, scan in enumerate(numbers.findings.scans) if scan in true]
    if at:
        axes.plot(at, [true[numbers.findings.scans[i]] for i in at], "D", ms=6.5, mfc="none", mec=panels.VERMILION,
                  mew=1.1, ls="none", zorder=5, label="true")  # fmt: skip


def _explain_silicon(axes: Axes) -> None:
    """A legend below the curve, which falls: there is room."""
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    lines: list[Any] = [
        Line2D([], [], color=panels.BLUE, marker="o", ms=4.4, lw=1.0) if label == "measured" else handle
        for handle, label in zip(handles, labels, strict=True)
    ]
    low, high = axes.get_ylim()
    axes.set_ylim(max(low - 0.22 * (high - low), 0.0), high)
    axes.legend(lines, labels, loc="lower left", ncols=2, handletextpad=0.5, borderaxespad=0.9)


def choose_segmented(findings: ElectrodeFindings) -> list[str]:
    """Scans whose segmentation is shown; repeat scans stand aside.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    list of str
        In order of time: the first, the last, the most expanded one and one between, as far as they are segmented.
    """
    known = findings.segmented.keys() & findings.slices.keys() - findings.repeats.keys()
    return choose_shown(findings, dict.fromkeys(known), MOST_SEGMENTED)


def draw_segmentation(findings: ElectrodeFindings) -> Figure | None:
    """Grey slice, phases and confidence of a few scans.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where nothing is segmented.
    """
    shown = choose_segmented(findings)
    if not shown:
        return None
    first, pixel_m = findings.slices[shown[0]], findings.slice_pixel_m
    with panels.paper_style():
        below = max(0.45, 0.2 + 0.17 * math.ceil(len(findings.phase_names) / 2))
        grid = Grid(3, first.shape[0] / first.shape[1], rows_each=len(shown), columns=3, left=0.3, below=below,
                    tallest=_PAGE_IN / len(shown), trim=True)  # fmt: skip
        limits = grey_limits([findings.slices[scan] for scan in shown])
        for (grey, phases, sure), scan in zip(zip(*grid.panels, strict=True), shown, strict=True):
            segmented = findings.segmented[scan]
            draw_slice(grey, findings.slices[scan], pixel_m, limits)
            _outline(grey, segmented.phases == 1, pixel_m)
            draw_slice(phases, _colour_phases(segmented.phases), pixel_m, (0.0, 1.0))
            draw_slice(sure, segmented.confidence, pixel_m, CONFIDENCE_LIMITS, colours=CONFIDENCE_COLOURS)
            soc = write_soc(findings, scan)
            grey.set_ylabel(shorten_name(scan, 8) + (f", {soc}" if soc else ""), labelpad=3, parse_math=False)
        for column, title in zip(grid.panels, ("grey value", "phases", "confidence"), strict=True):
            title_panel(column[0], title, "")
        draw_scale(grid.panels[0][0])
        _explain_phases(grid, findings.phase_names)
    return grid.figure


def _outline(axes: Axes, inside: NDArray[np.bool_], pixel_m: float) -> None:
    """A thin line around the silicon."""
    if inside.any() and not inside.all():
        z, x = (1e6 * pixel_m * (np.arange(n) + 0.5) for n in inside.shape)
        axes.contour(x, z, inside.astype(np.float64), [0.5], colors=_OUTLINE, linewidths=0.4)


def _colour_phases(phases: NDArray[np.uint8]) -> NDArray[np.float32]:
    from matplotlib.colors import to_rgb

    count = len(PHASE_COLOURS)
    palette = [to_rgb(BARE)] + [to_rgb(PHASE_COLOURS[k % count]) for k in range(int(phases.max(initial=0)))]
    return np.array(palette, dtype=np.float32)[phases]


def _explain_phases(grid: Grid, names: Sequence[str]) -> None:
    """Below the panels: the colours of the phases, and the colour bar of the confidence."""
    from matplotlib.colors import Normalize
    from matplotlib.patches import Patch

    wide, box = grid.wide, grid.panels[2][-1].get_position()
    foot = box.y0 * grid.total
    bar = grid.place(box.x0 * wide, foot - 0.19, box.width * wide, 0.09)
    panels.draw_bar(bar, Normalize(*CONFIDENCE_LIMITS), CONFIDENCE_COLOURS, extend="min")
    handles = [
        Patch(fc=PHASE_COLOURS[k % len(PHASE_COLOURS)], ec=SOFT, lw=0.4, label=shorten_name(name, 14))
        for k, name in enumerate(names)
    ]
    legend = grid.figure.legend(handles=handles, loc="upper left", ncols=2, columnspacing=1.4, borderaxespad=0.0,
                                bbox_to_anchor=(grid.left / wide, (foot - 0.07) / grid.total))  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)

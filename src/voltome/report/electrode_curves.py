"""Curves of an electrode over its scans: thickness, strain, what discharge leaves, the cell."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from voltome.report import panels
from voltome.report.electrode_axes import (
    SOFT,
    add_legend,
    draw_bars,
    draw_curve,
    draw_regions,
    explain_marks,
    lay_panels,
    letter_panels,
    shorten_name,
    start_scans,
)
from voltome.report.electrode_findings import ElectrodeFindings
from voltome.report.electrode_numbers import REGION_LOOKS, REGIONS, Curve, FloatArray, Numbers
from voltome.report.wording import MICRO, write_measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MICROMETRE = f"{MICRO}m"
GREEN, PURPLE = "#009e73", "#cc79a7"
BOX_LOOKS = ((panels.BLUE, "o"), (panels.VERMILION, "s"), (GREEN, "^"), (PURPLE, "v"), (panels.ORANGE, "D"),
             ("#56b4e9", "P"), (panels.INK, "X"), (panels.GREY, "*"))  # fmt: skip
COMPONENTS = (
    ("axial_strain", r"$\varepsilon_{zz}$, along the thickness (%)"),
    ("in_plane_strain_yy", r"$\varepsilon_{yy}$, in the plane (%)"),
    ("in_plane_strain_xx", r"$\varepsilon_{xx}$, in the plane (%)"),
)


def draw_thickness(findings: ElectrodeFindings) -> Figure | None:
    """Mean thickness with its errors and local spread; expansion since the first scan and since the one before.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where no thickness is known.
    """
    numbers = Numbers(findings)
    if not numbers.has(["thickness"], ["whole"]):
        return None
    more = numbers.has(["expansion", "expansion_increment"], ["whole"])
    with panels.paper_style():
        figure, axes = lay_panels(1, 2 if more else 1, (panels.PAPER_WIDTH_IN if more else 3.6, 2.8))
        curves = _draw_thickness(axes[0], numbers)
        if more:
            curves += _draw_expansion(axes[1], numbers)
            letter_panels(axes)
        explain_marks(figure, numbers, curves)
    return figure


def _draw_thickness(axes: Axes, numbers: Numbers) -> list[Curve]:
    curve, spread = numbers.read_curve("thickness").scaled(1e6), numbers.read_curve("thickness_spread").scaled(1e6)
    start_scans(axes, numbers, f"thickness ({MICROMETRE})", width_in=2.9)
    axes.use_sticky_edges = False  # bars would end the axis at their foot
    x, band = np.arange(len(curve.values)), curve.known & spread.known
    for i in np.flatnonzero(band):
        label = "local spread (one sd)" if i == np.flatnonzero(band)[0] else ""
        axes.bar(x[i], 2 * spread.values[i], 0.5, curve.values[i] - spread.values[i], color="#bcd9ec", lw=0, zorder=1,
                 label=label)  # fmt: skip
    draw_curve(axes, numbers, curve, (panels.INK, "o", "mean"))
    _leave_room(axes, 0.2)
    add_legend(axes)
    return [curve]


def _draw_expansion(axes: Axes, numbers: Numbers) -> list[Curve]:
    start_scans(axes, numbers, "expansion (%)", width_in=2.9)
    axes.axhline(0.0, color=panels.GREY, lw=0.6, zorder=1)
    step = numbers.read_curve("expansion_increment").scaled(100.0)
    x = np.arange(len(step.values), dtype=np.float64)
    if step.known.any():
        axes.bar(x[step.known], step.values[step.known], 0.5, color="#b9c0c8", lw=0, zorder=1,
                 label="since the scan before")  # fmt: skip
        draw_bars(axes, x[step.known], step.values[step.known], step.sd_random[step.known], step.sd[step.known], SOFT)
    whole = numbers.read_curve("expansion", start=0.0).scaled(100.0)
    draw_curve(axes, numbers, whole, (panels.INK, "o", f"since {shorten_name(numbers.findings.scans[0], 12)}"))
    _leave_room(axes, 0.2)
    add_legend(axes)
    return [step, whole]


def _leave_room(axes: Axes, share: float) -> None:
    """Room for a legend above the curves."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + share * (high - low))


def draw_volumetric_strain(findings: ElectrodeFindings) -> Figure | None:
    """Mean volumetric strain of the whole electrode and of both sides over the scans.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where none is known.
    """
    numbers = Numbers(findings)
    regions = numbers.list_regions("volumetric_strain")
    if not regions:
        return None
    with panels.paper_style():
        figure, (axes,) = lay_panels(1, 1, (panels.PAPER_WIDTH_IN, 3.0))
        start_scans(axes, numbers, "mean volumetric strain (%)", width_in=6.4)
        axes.axhline(0.0, color=panels.GREY, lw=0.6, zorder=1)
        curves = draw_regions(axes, numbers, "volumetric_strain", 100.0, regions=regions, width_in=6.4)
        _leave_room(axes, 0.06)
        add_legend(axes)
        explain_marks(figure, numbers, curves)
    return figure


def draw_components(findings: ElectrodeFindings) -> Figure | None:
    """Strain along the thickness and along both directions in the plane, by part of the electrode.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where none is known.
    """
    numbers = Numbers(findings)
    shown = [(name, label, numbers.list_regions(name)) for name, label in COMPONENTS if numbers.list_regions(name)]
    if not shown:
        return None
    width = panels.PAPER_WIDTH_IN * len(shown) / 3
    with panels.paper_style():
        figure, axes = lay_panels(1, len(shown), (max(width, 3.2), 2.8))
        curves: list[Curve] = []
        for ax, (name, label, regions) in zip(axes, shown, strict=True):
            start_scans(ax, numbers, label, width_in=1.8, note=False)
            ax.axhline(0.0, color=panels.GREY, lw=0.6, zorder=1)
            curves += draw_regions(ax, numbers, name, 100.0, regions=regions, width_in=1.8)
        _leave_room(axes[0], 0.25)
        add_legend(axes[0])
        _share_limits([ax for ax, (name, _, _) in zip(axes, shown, strict=True) if name.startswith("in_plane")])
        letter_panels(axes)
        explain_marks(figure, numbers, curves)
    return figure


def _share_limits(axes: list[Axes]) -> None:
    """The same y limits, so that directions can be compared."""
    low = min((ax.get_ylim()[0] for ax in axes), default=0.0)
    high = max((ax.get_ylim()[1] for ax in axes), default=1.0)
    for ax in axes:
        ax.set_ylim(low, high)


def draw_hysteresis(findings: ElectrodeFindings) -> Figure | None:
    """Strain and thickness against the state of charge, and what discharge leaves behind.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where the state of charge never falls, or no number is known.
    """
    numbers = Numbers(findings)
    if not (numbers.find_discharge() and numbers.has(["volumetric_strain", "thickness"])):
        return None
    draws = [draw for draw, names in (
        (_draw_strain_loop, ["volumetric_strain"]),
        (_draw_thickness_loop, ["thickness"]),
        (_draw_differences, ["hysteresis_volumetric_strain"]),
    ) if numbers.has(names)]  # fmt: skip
    with panels.paper_style():
        figure, axes = lay_panels(1, len(draws), (max(panels.PAPER_WIDTH_IN * len(draws) / 3, 3.2), 2.8))
        curves = [curve for ax, draw in zip(axes, draws, strict=True) for curve in draw(ax, numbers)]
        letter_panels(axes)
        explain_marks(figure, numbers, curves)
    return figure


def _draw_strain_loop(axes: Axes, numbers: Numbers) -> list[Curve]:
    _start_loop(axes, "volumetric strain (%)")
    axes.axhline(0.0, color=panels.GREY, lw=0.6, zorder=0)
    curves = []
    for region in numbers.list_regions("volumetric_strain"):
        curves.append(numbers.read_curve("volumetric_strain", region, start=0.0).scaled(100.0))
        _draw_loop(axes, numbers, curves[-1], REGION_LOOKS[region])
    _leave_room(axes, 0.25)
    add_legend(axes)
    return curves


def _draw_thickness_loop(axes: Axes, numbers: Numbers) -> list[Curve]:
    from matplotlib.lines import Line2D

    _start_loop(axes, f"thickness ({MICROMETRE})")
    curve = numbers.read_curve("thickness").scaled(1e6)
    _draw_loop(axes, numbers, curve, REGION_LOOKS["whole"])
    left = [m for scan in numbers.findings.scans if (m := numbers.find("irreversible_thickness", scan)) is not None]
    lines = [Line2D([], [], color=panels.INK, lw=1.0, ls=style, label=label)
             for style, label in (("-", "charge"), ("--", "discharge"))]  # fmt: skip
    _leave_room(axes, 0.25)
    axes.legend(handles=lines, loc="upper left", handletextpad=0.5, borderaxespad=0.2)
    if left:
        text = f"{shorten_name(left[-1].scan, 9)}, less charge:\n{write_measured(left[-1].value, left[-1].sd, 1e6)}"
        axes.annotate(f"{text} {MICROMETRE}", (1, 0), (-2, 4), xycoords="axes fraction", textcoords="offset points",
                      ha="right", parse_math=False)  # fmt: skip
    return [curve]


def _start_loop(axes: Axes, label: str) -> None:
    axes.set(xlabel="state of charge (%)", ylabel=label)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_loop(axes: Axes, numbers: Numbers, curve: Curve, look: tuple[str, str, str]) -> None:
    """Points over the state of charge: charging a full line, discharging a dashed one with an arrow."""
    at = 100.0 * numbers.socs
    draw_curve(axes, numbers, curve, look, at=at, line="")
    joined = np.flatnonzero(curve.known & np.isfinite(at) & ~numbers.repeat)
    for a, b in pairwise(joined):
        falls = at[b] < at[a] - 1e-4
        axes.plot(at[[a, b]], curve.values[[a, b]], "--" if falls else "-", color=look[0], lw=1.0, zorder=2)


def _draw_differences(axes: Axes, numbers: Numbers) -> list[Curve]:
    """Strain on discharge minus the charging curve at the same state of charge, scan by scan."""
    name = "hysteresis_volumetric_strain"
    scans = numbers.findings.scans
    regions = [region for region in REGIONS if any(numbers.find(name, scan, region) for scan in scans)]
    curves = [numbers.read_curve(name, region).scaled(100.0) for region in regions]
    some = np.flatnonzero(np.any([curve.known for curve in curves], axis=0))
    axes.axhline(0.0, color=panels.GREY, lw=0.6, zorder=0)
    axes.set_ylabel("discharge less charge (% points)")
    axes.spines[["top", "right"]].set_visible(False)
    place = np.full(len(scans), np.nan)
    place[some] = np.arange(len(some))
    for i, (region, curve) in enumerate(zip(regions, curves, strict=True)):
        draw_curve(axes, numbers, curve, REGION_LOOKS[region], at=place + 0.14 * (i - (len(regions) - 1) / 2), line="")
    step = int(np.ceil(len(some) / 5))
    axes.set_xticks(place[some][::step], [shorten_name(scans[k], 6) for k in some[::step]], parse_math=False)
    axes.set(xlim=(-0.6, len(some) - 0.4), xlabel="scan")
    return curves


def draw_boxes(findings: ElectrodeFindings) -> Figure | None:
    """Volumetric strain of boxes over the scans, and where they are.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where there is no box.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(box.name for box in findings.boxes))
    if not names:
        return None
    numbers = Numbers(findings)
    with panels.paper_style():
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2.1, 1.0))
        start_scans(left, numbers, "volumetric strain (%)", width_in=3.8)
        left.axhline(0.0, color=panels.GREY, lw=0.6, zorder=1)
        curves = []
        for i, name in enumerate(names):
            curves.append(_read_box(numbers, name))
            look = (*BOX_LOOKS[i % len(BOX_LOOKS)], shorten_name(name, 12) if i < len(BOX_LOOKS) else "")
            at = np.arange(len(findings.scans), dtype=np.float64) + min(0.14, 0.6 / len(names)) * (
                i - (len(names) - 1) / 2
            )
            draw_curve(left, numbers, curves[-1], look, at=at)
        _leave_room(left, 0.1 + 0.04 * min(len(names), 8))
        add_legend(left, columns=2)
        _draw_places(right, findings, names)
        letter_panels([left, right])
        explain_marks(figure, numbers, curves)
    return figure


def _read_box(numbers: Numbers, name: str) -> Curve:
    """Volumetric strain of one box in percent; the first scan is 0."""
    found = {box.measurement.scan: box.measurement for box in numbers.findings.boxes if box.name == name}
    rows = [
        [found[scan].value, found[scan].sd_random, found[scan].sd] if scan in found else [np.nan] * 3
        for scan in numbers.findings.scans
    ]
    columns = 100.0 * np.array(rows, dtype=np.float64)
    exact = np.zeros(len(rows), dtype=bool)
    if not columns[0, 2] > 0:
        columns[0], exact[0] = 0.0, True
    return Curve(columns[:, 0], columns[:, 1], columns[:, 2], exact)


def _draw_places(axes: Axes, findings: ElectrodeFindings, names: list[str]) -> None:
    """The boxes from above, with their names."""
    from matplotlib.patches import Rectangle

    first = {box.name: box for box in reversed(findings.boxes)}
    for i, name in enumerate(names):
        low, high = 1e6 * np.asarray(first[name].low_m), 1e6 * np.asarray(first[name].high_m)
        colour = BOX_LOOKS[i % len(BOX_LOOKS)][0]
        axes.add_patch(Rectangle((low[2], low[1]), *(high - low)[[2, 1]], fc="none", ec=colour, lw=1.2))
        axes.annotate(shorten_name(name, 8), ((low[2] + high[2]) / 2, (low[1] + high[1]) / 2), ha="center",
                      va="center", color=colour, parse_math=False)  # fmt: skip
    axes.set(xlabel=f"x ({MICROMETRE})", ylabel=f"y ({MICROMETRE})", aspect="equal")
    axes.autoscale_view()
    axes.margins(0.06)
    axes.invert_yaxis()


def draw_cell(findings: ElectrodeFindings) -> Figure | None:
    """Voltage and current over time, with the scans marked.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where the cycler's record is not known.
    """
    from matplotlib.figure import Figure

    cell = findings.cell
    if cell is None or not np.isfinite(cell.voltage_v).any():
        return None
    with_current = bool(np.isfinite(cell.current_a).any() and np.ptp(cell.current_a[np.isfinite(cell.current_a)]) > 0)
    hours = np.asarray(cell.time_s, dtype=np.float64) / 3600.0
    with panels.paper_style():
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN, 3.0 if with_current else 2.3), layout="constrained")
        rows = 2 if with_current else 1
        axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=(2.2, 1)[:rows])[:, 0]
        axes[0].plot(hours, cell.voltage_v, color=panels.BLUE, lw=1.1)
        axes[0].set_ylabel("cell voltage (V)")
        if with_current:
            factor, unit = _choose_current(cell.current_a)
            axes[1].axhline(0.0, color=panels.GREY, lw=0.6, zorder=0)
            axes[1].plot(hours, factor * np.asarray(cell.current_a), color=panels.VERMILION, lw=1.1)
            axes[1].set_ylabel(f"current ({unit})")
        axes[-1].set_xlabel("time (h)")
        for ax in axes:
            ax.spines[["top", "right"]].set_visible(False)
        _mark_scans(list(axes), findings, hours)
        figure.align_ylabels(list(axes))
    return figure


def _choose_current(current_a: FloatArray) -> tuple[float, str]:
    top = float(np.nanmax(np.abs(current_a)))
    return next(((1 / size, unit) for size, unit in ((1.0, "A"), (1e-3, "mA")) if top >= size), (1e6, f"{MICRO}A"))


def _mark_scans(axes: list[Axes], findings: ElectrodeFindings, hours: FloatArray) -> None:
    """A line at the start of each scan; its name above, where there is room."""
    known = [scan for scan in findings.scans if np.isfinite(findings.times_s.get(scan, np.nan))]
    if not known:
        return
    low = min(float(np.nanmin(hours)), min(findings.times_s[scan] for scan in known) / 3600.0)
    high = max(float(np.nanmax(hours)), max(findings.times_s[scan] for scan in known) / 3600.0)
    margin = 0.02 * (high - low) or 0.5
    axes[0].set_xlim(low - margin, high + margin)
    end = -np.inf
    for scan in known:
        at = findings.times_s[scan] / 3600.0
        for ax in axes:
            ax.axvline(at, color=panels.GREY, lw=0.7, ls=":", zorder=0)
        name = shorten_name(scan, 8)
        half = 0.5 * (len(name) + 0.8) * 0.075 / 6.4 * (high - low + 2 * margin)
        if at - half >= end:
            end = at + half
            axes[0].annotate(name, (at, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                             ha="center", parse_math=False)  # fmt: skip

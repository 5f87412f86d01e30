"""What the page of a series says of its electrode: the first sentences, warnings, figures with captions, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voltome.measurement import Measurement
from voltome.report import panels, silicon
from voltome.report.electrode import draw_electrode_figures
from voltome.report.electrode_captions import CAPTIONS
from voltome.report.electrode_errors import score_row, write_name
from voltome.report.electrode_findings import ElectrodeFindings
from voltome.report.electrode_numbers import Numbers
from voltome.report.electrode_tables import tabulate_figure
from voltome.report.pictures import Picture, embed_csv, embed_png, embed_svg
from voltome.report.wording import DASH, MICRO, NARROW, write_measured, write_number, write_percent

PIXELS = ("slices", "thickness-maps", "segmentation", "axial-strain")
"""Figures made of pixels; the others are lines, which stay sharp when the page is enlarged."""

SECTIONS = {
    "swelling": ("The electrode swells", ("slices", "thickness", "thickness-maps", "cell")),
    "silicon": ("Silicon that has not reacted", ("silicon", "segmentation")),
    "strain": ("Strain", ("axial-strain", "volumetric-strain", "histograms", "components", "boxes")),
    "remains": ("What discharge leaves", ("hysteresis",)),
    "errors": ("How sure the numbers are", ("errors", "alignment")),
}
"""Parts of the page: heading, and the figures below it."""

COLUMNS = (
    ("thickness", "whole", f"thickness ({MICRO}m)", 1e6, False),
    ("expansion", "whole", "expansion (%)", 100.0, True),
    ("volumetric_strain", "whole", "volumetric strain (%)", 100.0, True),
    ("volumetric_strain", "collector side", "collector side (%)", 100.0, True),
    ("volumetric_strain", "separator side", "separator side (%)", 100.0, True),
    ("in_plane_strain_yy", "whole", "in plane, y (%)", 100.0, True),
    ("in_plane_strain_xx", "whole", "in plane, x (%)", 100.0, True),
    (silicon.NAME, "whole", "non-lithiated silicon (%)", 100.0, False),
)
"""Columns of the table scan by scan: name, region, heading, factor from SI, whether signed; empty ones are left out."""


@dataclass(frozen=True)
class ElectrodePart:
    """What the template shows of an electrode.

    Parameters
    ----------
    sentences : list of str
    facts : list of (str, str)
        Large figures: number, and what it is.
    warnings, remarks : list of str
    sections : list of (str, str, list of str)
        Address, heading, names of pictures.
    pictures : dict of str to Picture
    header : list of str
    rows : list of (str, list of str)
        A scan and its numbers.
    accuracy : list of list of str
        Rows of name, step, true, recovered, error, sd_random, sd_bias, score.
    """

    sentences: list[str]
    facts: list[tuple[str, str]]
    warnings: list[str]
    remarks: list[str]
    sections: list[tuple[str, str, list[str]]]
    pictures: dict[str, Picture]
    header: list[str]
    rows: list[tuple[str, list[str]]]
    accuracy: list[list[str]]


def describe_electrode(findings: ElectrodeFindings) -> ElectrodePart:
    """Gather what the page says of an electrode.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    ElectrodePart
    """
    pictures = {}
    for name, figure in draw_electrode_figures(findings).items():
        title, caption = CAPTIONS[name]
        source = embed_png(figure) if name in PIXELS else embed_svg(figure)
        width = float(figure.get_figwidth()) / panels.PAPER_WIDTH_IN
        pictures[name] = Picture(source, title, caption(findings), embed_csv(tabulate_figure(findings, name)), width)
    sections = [
        (key, heading, [name for name in names if name in pictures]) for key, (heading, names) in SECTIONS.items()
    ]
    numbers = Numbers(findings)
    columns = [column for column in COLUMNS if any(numbers.find(column[0], s, column[1]) for s in findings.scans)]
    return ElectrodePart(
        sentences=tell_electrode(findings),
        facts=_list_facts(numbers),
        warnings=[*findings.warnings, *find_electrode_warnings(findings)],
        remarks=list(findings.remarks),
        sections=[section for section in sections if section[2]],
        pictures=pictures,
        header=[heading for *_, heading, _, _ in columns],
        rows=[(scan, [_write_cell(numbers, scan, column) for column in columns]) for scan in findings.scans],
        accuracy=write_accuracy(findings.accuracy),
    )


def tell_electrode(findings: ElectrodeFindings) -> list[str]:
    """The first sentences: thickness, strain, and what remains at the end.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    list of str
        What is not known is left out.
    """
    numbers = Numbers(findings)
    peak = numbers.find_peak()
    if peak is None:
        return [_tell_first(numbers)]
    return [text for text in (
        _tell_growth(numbers, peak), _tell_strain(numbers, peak), _tell_plane(numbers, peak),
        _tell_silicon(numbers, peak), _tell_rest(numbers, peak), _tell_truth(findings, peak),
    ) if text]  # fmt: skip


def _tell_first(numbers: Numbers) -> str:
    scan = numbers.findings.scans[0]
    thickness = numbers.find("thickness", scan)
    if thickness is None:
        return "Nothing is known of the electrode's thickness or strain."
    return f"At {scan} the electrode is {_write(thickness, 1e6)}{NARROW}{MICRO}m thick."


def _write(measured: Measurement, factor: float, *, signed: bool = False) -> str:
    return write_measured(measured.value, measured.sd, factor, signed=signed)


def _tell_growth(numbers: Numbers, peak: str) -> str:
    first, last = numbers.findings.scans[0], numbers.find("thickness", peak)
    start, expansion = numbers.find("thickness", first), numbers.find("expansion", peak)
    if last is None:
        return ""
    soc = numbers.findings.socs.get(peak, math.nan)
    charge = f" (state of charge {write_percent(soc, 2)})" if math.isfinite(soc) else ""
    before = f"goes from {_write(start, 1e6)} to" if start else "reaches"
    growth = f", an expansion of {_write(expansion, 100, signed=True)}{NARROW}%" if expansion else ""
    end = f"{_write(last, 1e6)}{NARROW}{MICRO}m"
    return f"Between {first} and {peak}{charge} the electrode's thickness {before} {end}{growth}."


def _tell_strain(numbers: Numbers, peak: str) -> str:
    whole, collector, separator = (
        numbers.find("volumetric_strain", peak, region) for region in ("whole", "collector side", "separator side")
    )
    if whole is None:
        return ""
    text = f"At {peak} its mean volumetric strain is {_write(whole, 100, signed=True)}{NARROW}%"
    if collector and separator:
        text += f": {_write(collector, 100, signed=True)}{NARROW}% on the side of the collector, "
        text += f"{_write(separator, 100, signed=True)}{NARROW}% on that of the separator"
    return f"{text}."


def _tell_plane(numbers: Numbers, peak: str) -> str:
    along = [(axis, numbers.find(f"in_plane_strain_{axis}{axis}", peak)) for axis in "yx"]
    texts = [f"{_write(m, 100, signed=True)}{NARROW}% along {axis}" for axis, m in along if m is not None]
    return f"In the plane it is {' and '.join(texts)}." if texts else ""


def _tell_silicon(numbers: Numbers, peak: str) -> str:
    left = numbers.find(silicon.NAME, peak)
    if left is None:
        return ""
    share, first = f"{_write(left, 100)}{NARROW}%", numbers.findings.scans[0]
    return f"At {peak}, {share} of the silicon's volume at {first} has not reacted (x below about 0.7)."


def _tell_rest(numbers: Numbers, peak: str) -> str:
    """What discharge leaves; nothing where the series ends at the peak or on charge."""
    after = [scan for scan in numbers.findings.scans[numbers.findings.scans.index(peak) + 1 :]
             if scan not in numbers.findings.repeats]  # fmt: skip
    last = next((scan for scan in reversed(after) if numbers.find("volumetric_strain", scan)
                 or numbers.find("thickness", scan)), None)  # fmt: skip
    socs = numbers.findings.socs
    if last is None or socs.get(last, -1.0) > socs.get(peak, 2.0):
        return ""
    strain, thickness = numbers.find("volumetric_strain", last), numbers.find("thickness", last)
    irreversible = numbers.find("irreversible_thickness", last)
    parts = [f"{_write(strain, 100, signed=True)}{NARROW}% of volumetric strain"] if strain else []
    if thickness:
        parts.append(f"a thickness of {_write(thickness, 1e6)}{NARROW}{MICRO}m")
    text = f"At the end, {last}, {' and '.join(parts)} {'remain' if len(parts) > 1 else 'remains'}"
    if irreversible:
        beside = f"{_write(irreversible, 1e6, signed=True)}{NARROW}{MICRO}m"
        text += f"; against the charging curve at the same state of charge that is a difference of {beside}"
    return f"{text}."


def _tell_truth(findings: ElectrodeFindings, peak: str) -> str:
    """What is true of the same numbers, on a twin."""
    true = {(row["name"], row["step"]): row["true"] for row in findings.accuracy}
    parts = []
    if ("thickness", peak) in true:
        first = true.get(("thickness", findings.scans[0]))
        before = "" if first is None else f"{1e6 * first:.2f} to "
        parts.append(f"a thickness of {before}{1e6 * true['thickness', peak]:.2f}{NARROW}{MICRO}m")
    strains = [true.get((f"volumetric_strain{side}", peak)) for side in ("", "_collector_side", "_separator_side")]
    if all(value is not None for value in strains):
        whole, collector, separator = (f"{100 * value:.1f}{NARROW}%" for value in strains if value is not None)
        parts.append(f"a volumetric strain of {whole}, {collector} and {separator} on the two sides")
    if (silicon.NAME, peak) in true:
        parts.append(f"{100 * true[silicon.NAME, peak]:.1f}{NARROW}% of silicon that has not reacted")
    told = (", and " if len(parts) > 2 else " and ").join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
    return f"This experiment was simulated; true at {peak} are {told}." if parts else ""


def _list_facts(numbers: Numbers) -> list[tuple[str, str]]:
    """The numbers that stand large below the first sentences."""
    peak = numbers.find_peak()
    if peak is None:
        return []
    strain = "volumetric_strain"
    wanted: tuple[tuple[str, str, str, str, float, bool], ...] = (
        ("thickness", "whole", "mean thickness", f"{MICRO}m", 1e6, False),
        ("expansion", "whole", "expansion", "%", 100.0, True),
        (strain, "collector side", "volumetric strain, collector side", "%", 100.0, True),
        (strain, "separator side", "volumetric strain, separator side", "%", 100.0, True),
        (silicon.NAME, "whole", "silicon not reacted", "%", 100.0, False),
    )
    return [
        (f"{_write(found, factor, signed=signed)}{NARROW}{unit}", f"{text}, {peak}")
        for name, region, text, unit, factor, signed in wanted
        if (found := numbers.find(name, peak, region)) is not None
    ]


def find_electrode_warnings(findings: ElectrodeFindings) -> list[str]:
    """Which numbers are missing, and of which the error is not known.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    list of str
    """
    numbers = Numbers(findings)
    out = []
    for name, what in (("thickness", "thickness"), ("volumetric_strain", "volumetric strain")):
        curve = numbers.read_curve(name, start=0.0 if name == "volumetric_strain" else None)
        lost = [scan for scan, known in zip(findings.scans, curve.known, strict=True) if not known]
        if lost and len(lost) < len(findings.scans):
            out.append(f"No {what} could be measured at {_list_names(lost)}.")
        blind = curve.known & ~curve.exact & ~np.isfinite(curve.sd_random)
        if blind.any():
            scans = [scan for scan, b in zip(findings.scans, blind, strict=True) if b]
            has_bias = any(math.isfinite(sd) for sd in curve.sd[blind])
            part, rest = ("random error", ": what stands after \u00b1 is bias alone") if has_bias else ("error", "")
            out.append(f"The {part} of the {what} is not known at {_list_names(scans)}{rest}.")
    return out


def _list_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _write_cell(numbers: Numbers, scan: str, column: tuple[str, str, str, float, bool]) -> str:
    name, region, _, factor, signed = column
    found = numbers.find(name, scan, region)
    return DASH if found is None else _write(found, factor, signed=signed)


def write_accuracy(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of the table of truth, lengths in micrometres and fractions in percent.

    Parameters
    ----------
    rows : sequence of mapping
        name, step, true, recovered, sd_random, sd_bias, unit.

    Returns
    -------
    list of list of str
        Name, step, true, recovered, error, both sds, unit, error over sd.
    """
    units = {"m": (1e6, f"{MICRO}m"), "1": (100.0, "%"), "rad": (1e3, "mrad")}
    out = []
    for row in rows:
        factor, unit = units.get(str(row["unit"]), (1.0, str(row["unit"])))
        true, recovered, *sds = (_scale(row.get(key), factor) for key in ("true", "recovered", "sd_random", "sd_bias"))
        out.append([
            write_name(str(row["name"])), str(row["step"]), write_number(true, 5), write_number(recovered, 5),
            write_number(recovered - true, 2, signed=True), *(write_number(sd, 2) for sd in sds), unit,
            write_number(score_row(row), 2, signed=True),
        ])  # fmt: skip
    return out


def _scale(value: Any, factor: float) -> float:
    return math.nan if value is None else factor * float(value)

"""Titles and captions of the figures of an electrode."""

from __future__ import annotations

from collections.abc import Callable

from voltome.report.electrode_findings import ElectrodeFindings
from voltome.report.electrode_maps import AXIAL_LIMITS, MOST_SLICES, MOST_STRAINS, choose_shown
from voltome.report.electrode_numbers import Numbers
from voltome.report.silicon import COVERAGE, MOST_SEGMENTED, choose_segmented
from voltome.report.wording import MINUS, write_metres, write_percent

BARS = (
    "Error bars: one standard deviation, the heavy inner part random, the capped end with bias in quadrature; often "
    "smaller than the mark. Hollow: the random error is not known. Crosses: repeat scans."
)
SHADED = "Grey ground: discharge."


def _caption_slices(findings: ElectrodeFindings) -> str:
    shown = choose_shown(findings, findings.slices, MOST_SLICES)
    return (
        f"Vertical cross-sections at y = {write_metres(findings.slice_y_m)}, z downwards, all moved onto the frame of "
        f"{findings.scans[0]} by what the collector says{_count_shown(findings, shown)}. Dotted: face of the "
        "collector; dashed: surface of the electrode towards the separator; thin: where that was at first. Grey limits "
        "are the same for all. On the right the state of charge."
    )


def _count_shown(findings: ElectrodeFindings, shown: list[str]) -> str:
    number = len(findings.scans)
    return "" if len(shown) == number else f" ({len(shown)} of {number} scans)"


def _caption_thickness(findings: ElectrodeFindings) -> str:
    first = findings.scans[0]
    return (
        "Mean distance of the two surfaces; blue: sd of the local thickness over the field, which is a property of the "
        f"electrode and no error. Expansion since {first}, and as bars since the scan before. {BARS} {SHADED}"
    )


def _caption_maps(findings: ElectrodeFindings) -> str:
    return (
        "Above: local thickness, seen along z (y downwards, x to the right), one scale of colours for all scans; the "
        "number is the mean of the map in micrometres, which the text joins with displacements. "
        "Below: what departs from it. Grey: not known. The data are means over cells of the map."
    )


def _caption_cell(_: ElectrodeFindings) -> str:
    return "What the cycler recorded. Dotted lines: start of each scan."


def _caption_silicon(findings: ElectrodeFindings) -> str:
    first, region, where = findings.scans[0], findings.silicon_region, ""
    if region is not None:
        y, x = (f"{write_metres(low)} and {write_metres(high)}" for low, high in (region.y_m, region.x_m))
        where = (
            f" Counted is the matter that at {first} lay more than {write_metres(region.from_depth_m, 2)} above the "
            f"collector, between y = {y}, x = {x}. This region moves and swells with the matter, and every scan sees "
            "all of it; the zone below, which copper blurs, is left out."
        )
    return (
        f"Volume of non-lithiated silicon over that at {first} (RNL), there 100 % by definition, below the thickness. "
        "Non-lithiated means x in Li\N{LATIN SUBSCRIPT SMALL LETTER X}Si below about 0.7, the contrast's midpoint, not "
        "crystalline: the volume may rise again on discharge, when delithiated amorphous silicon regains contrast. "
        f"{COVERAGE}: 1.96 standard deviations, every cause of error in them. Thresholds: the same volume by voxels "
        "whose probability of being silicon is above 0.3 to 0.7, at both scans alike; it says how much that choice "
        f"matters, not where the truth lies.{where} {BARS} {SHADED}"
    )


def _caption_segmentation(findings: ElectrodeFindings) -> str:
    known = [scan for scan in findings.segmented if scan not in findings.repeats]
    shown = choose_segmented(findings)
    number = f" {len(shown)} of {len(known)} segmented scans." if len(known) > MOST_SEGMENTED else ""
    return (
        f"Vertical cross-sections at y = {write_metres(findings.slice_y_m)} in the frame of {findings.scans[0]}: grey "
        f"value with the outline of {findings.phase_names[0]} in yellow, phases, and the probability that the model "
        f"gives to the phase it chose. On the left the state of charge.{number} The data are shares of phases and mean "
        "confidence in cells of the slices."
    )


def _caption_axial(findings: ElectrodeFindings) -> str:
    low, high = (write_percent(limit, signed=True) for limit in AXIAL_LIMITS)
    known = [scan for scan in findings.scans if scan in findings.axial_maps]
    shown = choose_shown(findings, findings.axial_maps, MOST_STRAINS)
    number = "" if len(shown) == len(known) else f" {len(shown)} of {len(known)} scans."
    zone = findings.blurred_zone_m
    left = (
        "" if zone is None else f" The {write_metres(zone, 2)} above the collector, which copper blurs, are left out."
    )
    return (
        f"Axial strain since {findings.scans[0]} over the slice of each scan: every cell is a node, drawn where its "
        f"matter has moved to. Colours run from {low} to {high}, white is 0. Hatched: a node that is not "
        f"trusted. Bare: nothing could be measured.{left}{number}"
    )


def _caption_volumetric(findings: ElectrodeFindings) -> str:
    return (
        f"Mean of det F {MINUS} 1 since {findings.scans[0]} over the matter of the whole electrode and of its "
        f"two halves, which the midplane divides that moves with the material. {BARS} {SHADED}"
    )


def _caption_histograms(_: ElectrodeFindings) -> str:
    return (
        "Local volumetric strain in each half of the electrode, scan by scan; every ridge is drawn to the same height. "
        "Mark and number: the maximum, with its sd. The width holds both the electrode's heterogeneity and noise."
    )


def _caption_components(_: ElectrodeFindings) -> str:
    return f"Mean strain along each axis by part of the electrode; the two in-plane panels share a scale. {BARS}"


def _caption_boxes(_: ElectrodeFindings) -> str:
    return f"Mean volumetric strain of boxes that move with the material, and where they are from above. {BARS}"


def _caption_hysteresis(_: ElectrodeFindings) -> str:
    return (
        "Full line: charge; dashed: discharge. Where it was measured, strain on discharge less the charging curve's at "
        f"the same state of charge. {BARS}"
    )


def _caption_errors(findings: ElectrodeFindings) -> str:
    scan = Numbers(findings).find_peak() or findings.scans[0]
    return (
        f"Standard deviation of the headline numbers at {scan}, cause by cause, largest first; causes are independent "
        "of each other and add in quadrature. Random: another scan would err otherwise. Bias: it would err alike. The "
        "data list every cause of every number."
    )


def _caption_alignment(findings: ElectrodeFindings) -> str:
    return (
        f"How each scan was moved onto {findings.scans[0]}, by the copper collector alone, and what misalignment "
        f"remains there. {BARS}"
    )


def _caption_accuracy(_: ElectrodeFindings) -> str:
    return (
        "Recovered less true value in units of the stated standard deviation (random and bias in quadrature), one row "
        "for each number, one point for each scan. Shaded: two standard deviations, where some 95 % should lie. "
        "Triangles lie beyond the axis, with their distance."
    )


CAPTIONS: dict[str, tuple[str, Callable[[ElectrodeFindings], str]]] = {
    "slices": ("The electrode at each state of charge", _caption_slices),
    "thickness": ("Thickness and expansion", _caption_thickness),
    "thickness-maps": ("Local thickness", _caption_maps),
    "cell": ("The cell", _caption_cell),
    "silicon": ("Silicon that has not reacted", _caption_silicon),
    "segmentation": ("What is silicon, and how surely", _caption_segmentation),
    "axial-strain": ("Axial strain", _caption_axial),
    "volumetric-strain": ("Volumetric strain", _caption_volumetric),
    "histograms": ("How strain is distributed", _caption_histograms),
    "components": ("Strain along and across the thickness", _caption_components),
    "boxes": ("Strain of single boxes", _caption_boxes),
    "hysteresis": ("Charge and discharge", _caption_hysteresis),
    "errors": ("What the errors are made of", _caption_errors),
    "alignment": ("Alignment", _caption_alignment),
    "accuracy": ("Recovered against true", _caption_accuracy),
}
"""Title of each figure, and what writes its caption."""

"""The figures of an electrode, in the order in which its story is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from voltome.report import electrode_curves, electrode_errors, electrode_histograms, electrode_maps, silicon
from voltome.report.electrode_findings import ElectrodeFindings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWINGS: dict[str, Callable[[ElectrodeFindings], Figure | None]] = {
    "slices": electrode_maps.draw_slices,
    "thickness": electrode_curves.draw_thickness,
    "thickness-maps": electrode_maps.draw_thickness_maps,
    "cell": electrode_curves.draw_cell,
    "silicon": silicon.draw_silicon,
    "segmentation": silicon.draw_segmentation,
    "axial-strain": electrode_maps.draw_axial_strain,
    "volumetric-strain": electrode_curves.draw_volumetric_strain,
    "histograms": electrode_histograms.draw_histograms,
    "components": electrode_curves.draw_components,
    "boxes": electrode_curves.draw_boxes,
    "hysteresis": electrode_curves.draw_hysteresis,
    "errors": electrode_errors.draw_errors,
    "alignment": electrode_errors.draw_alignment,
    "accuracy": electrode_errors.draw_accuracy,
}
"""What draws each figure; None where there is nothing to draw."""


def draw_electrode_figures(findings: ElectrodeFindings) -> dict[str, Figure]:
    """Draw every figure for which there is something to show.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        "slices", "thickness", "thickness-maps", "cell", "silicon", "segmentation", "axial-strain",
        "volumetric-strain", "histograms", "components", "boxes", "hysteresis", "errors", "alignment", "accuracy", in
        this order. Error bars: the heavy inner part is the random sd, the capped end the sd with bias in quadrature;
        hollow marks have no random sd.
    """
    drawn = {name: draw(findings) for name, draw in DRAWINGS.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}

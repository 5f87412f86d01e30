"""Reports: figures one would put in a paper, and the self-contained page that carries them.

This room opens no file and writes none: it takes arrays and floor-0 objects and returns figures, bytes or text.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "curves_figure": "series_figures",
    "AxialMap": "electrode_findings",
    "BoxStrain": "electrode_findings",
    "CellCurve": "electrode_findings",
    "describe_reconstructions": "reconstruction",
    "displacement_figure": "figures",
    "draw_electrode_figures": "electrode",
    "ElectrodeFindings": "electrode_findings",
    "film_figure": "series_figures",
    "render_correlation_report": "correlation",
    "render_series_report": "series",
    "figure_to_png": "figures",
    "figure_to_svg": "noise",
    "Histogram": "electrode_findings",
    "histogram_figure": "charts",
    "noise_figure": "noise",
    "quality_figure": "figures",
    "read_scans": "series",
    "SeriesScan": "series",
    "strain_figure": "figures",
    "summary_figure": "figures",
    "tabulate_figure": "electrode_tables",
    "truth_figure": "charts",
    "volumes_figure": "figures",
}

if TYPE_CHECKING:
    from voltome.report.charts import histogram_figure, truth_figure
    from voltome.report.correlation import render_correlation_report
    from voltome.report.electrode import draw_electrode_figures
    from voltome.report.electrode_findings import AxialMap, BoxStrain, CellCurve, ElectrodeFindings, Histogram
    from voltome.report.electrode_tables import tabulate_figure
    from voltome.report.figures import (
        displacement_figure,
        figure_to_png,
        quality_figure,
        strain_figure,
        summary_figure,
        volumes_figure,
    )
    from voltome.report.noise import figure_to_svg, noise_figure
    from voltome.report.reconstruction import describe_reconstructions
    from voltome.report.series import SeriesScan, read_scans, render_series_report
    from voltome.report.series_figures import curves_figure, film_figure

__all__ = [
    "AxialMap",
    "BoxStrain",
    "CellCurve",
    "ElectrodeFindings",
    "Histogram",
    "SeriesScan",
    "curves_figure",
    "describe_reconstructions",
    "displacement_figure",
    "draw_electrode_figures",
    "figure_to_png",
    "figure_to_svg",
    "film_figure",
    "histogram_figure",
    "noise_figure",
    "quality_figure",
    "read_scans",
    "render_correlation_report",
    "render_series_report",
    "strain_figure",
    "summary_figure",
    "tabulate_figure",
    "truth_figure",
    "volumes_figure",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.report.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

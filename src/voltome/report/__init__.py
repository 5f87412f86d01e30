"""Reports: figures one would put in a paper, and the self-contained page that carries them.

This room opens no file and writes none: it takes arrays and floor-0 objects and returns figures, bytes or text.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "displacement_figure": "figures",
    "render_correlation_report": "correlation",
    "figure_to_png": "figures",
    "figure_to_svg": "noise",
    "histogram_figure": "charts",
    "noise_figure": "noise",
    "quality_figure": "figures",
    "strain_figure": "figures",
    "summary_figure": "figures",
    "truth_figure": "charts",
    "volumes_figure": "figures",
}

if TYPE_CHECKING:
    from voltome.report.charts import histogram_figure, truth_figure
    from voltome.report.correlation import render_correlation_report
    from voltome.report.figures import (
        displacement_figure,
        figure_to_png,
        quality_figure,
        strain_figure,
        summary_figure,
        volumes_figure,
    )
    from voltome.report.noise import figure_to_svg, noise_figure

__all__ = [
    "displacement_figure",
    "figure_to_png",
    "figure_to_svg",
    "histogram_figure",
    "noise_figure",
    "quality_figure",
    "render_correlation_report",
    "strain_figure",
    "summary_figure",
    "truth_figure",
    "volumes_figure",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.report.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Reconstruction: the rotation axis, filtered backprojection, rings, and what a diverging beam costs.

This room opens no file: it takes sinograms and returns slices.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "AxisEstimate": "axis",
    "Directions": "directions",
    "FILTERS": "filters",
    "FourierReconstructor": "fourier",
    "PADDINGS": "fourier",
    "SINOGRAM_METHODS": "rings",
    "SLICE_METHODS": "rings",
    "estimate_divergence": "divergence",
    "find_axis": "axis",
    "find_directions": "directions",
    "make_response": "filters",
    "measure_damage": "rings",
    "remove_rings_in_sinograms": "rings",
    "remove_rings_in_slices": "rings",
}

if TYPE_CHECKING:
    from voltome.reconstruction.axis import AxisEstimate, find_axis
    from voltome.reconstruction.directions import Directions, find_directions
    from voltome.reconstruction.divergence import estimate_divergence
    from voltome.reconstruction.filters import FILTERS, make_response
    from voltome.reconstruction.fourier import PADDINGS, FourierReconstructor
    from voltome.reconstruction.rings import (
        SINOGRAM_METHODS,
        SLICE_METHODS,
        measure_damage,
        remove_rings_in_sinograms,
        remove_rings_in_slices,
    )

__all__ = [
    "FILTERS",
    "PADDINGS",
    "SINOGRAM_METHODS",
    "SLICE_METHODS",
    "AxisEstimate",
    "Directions",
    "FourierReconstructor",
    "estimate_divergence",
    "find_axis",
    "find_directions",
    "make_response",
    "measure_damage",
    "remove_rings_in_sinograms",
    "remove_rings_in_slices",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.reconstruction.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.reconstruction' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

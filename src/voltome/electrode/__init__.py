"""The electrode: its surfaces, its smooth motion, strain by region, what discharge does not take back, with errors.

This room opens no file: it takes arrays and fields and returns numbers with their errors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "Frame": "motion",
    "Layer": "motion",
    "MeanStrain": "regions",
    "NodeErrors": "numbers",
    "SmoothMotion": "motion",
    "StateErrors": "numbers",
    "Surface": "surface",
    "count_strains": "histograms",
    "describe_state": "numbers",
    "find_maximum": "histograms",
    "find_surface": "surface",
    "fit_motion": "motion",
    "measure_hysteresis": "hysteresis",
    "measure_part": "regions",
    "measure_strains": "regions",
    "share_errors": "numbers",
}

if TYPE_CHECKING:
    from voltome.electrode.histograms import count_strains, find_maximum
    from voltome.electrode.hysteresis import measure_hysteresis
    from voltome.electrode.motion import Frame, Layer, SmoothMotion, fit_motion
    from voltome.electrode.numbers import NodeErrors, StateErrors, describe_state, share_errors
    from voltome.electrode.regions import MeanStrain, measure_part, measure_strains
    from voltome.electrode.surface import Surface, find_surface

__all__ = [
    "Frame",
    "Layer",
    "MeanStrain",
    "NodeErrors",
    "SmoothMotion",
    "StateErrors",
    "Surface",
    "count_strains",
    "describe_state",
    "find_maximum",
    "find_surface",
    "fit_motion",
    "measure_hysteresis",
    "measure_part",
    "measure_strains",
    "share_errors",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.electrode.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.electrode' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

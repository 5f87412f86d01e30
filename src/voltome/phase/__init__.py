"""Phase: the wave behind the sample from its intensities at one or several distances, at any wavelength.

This room opens no file: it takes arrays of NumPy, PyTorch or CuPy and returns the same kind.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "MODES": "retrieval",
    "Mode": "retrieval",
    "PhaseRetriever": "retrieval",
    "PlaneGrid": "fresnel",
    "Recipe": "retrieval",
    "Retrieved": "retrieval",
    "Screen": "screen",
    "as_numpy": "backend",
    "find_screen": "screen",
    "make_ctf": "linear",
    "make_paganin": "linear",
    "make_planes": "alternating",
    "move_like": "backend",
    "open_device": "backend",
    "plan_extension": "extension",
    "predict_intensities": "fresnel",
    "project_in_turn": "alternating",
    "project_together": "alternating",
    "propagate": "fresnel",
}

if TYPE_CHECKING:
    from voltome.phase.alternating import make_planes, project_in_turn, project_together
    from voltome.phase.backend import as_numpy, move_like, open_device
    from voltome.phase.extension import plan_extension
    from voltome.phase.fresnel import PlaneGrid, predict_intensities, propagate
    from voltome.phase.linear import make_ctf, make_paganin
    from voltome.phase.retrieval import MODES, Mode, PhaseRetriever, Recipe, Retrieved
    from voltome.phase.screen import Screen, find_screen

__all__ = [
    "MODES",
    "Mode",
    "PhaseRetriever",
    "PlaneGrid",
    "Recipe",
    "Retrieved",
    "Screen",
    "as_numpy",
    "find_screen",
    "make_ctf",
    "make_paganin",
    "make_planes",
    "move_like",
    "open_device",
    "plan_extension",
    "predict_intensities",
    "project_in_turn",
    "project_together",
    "propagate",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.phase.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.phase' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

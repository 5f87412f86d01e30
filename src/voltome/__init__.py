"""voltome: time-resolved 3D X-ray imaging of battery electrodes, from volumes to strain with its uncertainty.

Rooms are imported when first used, so that ``import voltome`` stays cheap::

    import voltome
    result = voltome.dvc.correlate_local(reference, deformed, node_spacing_vox=35)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_ROOMS = ("dvc", "errors", "fields", "grid", "io", "kernels", "pipeline", "report", "twin")

if TYPE_CHECKING:
    from voltome import dvc, errors, fields, grid, io, kernels, pipeline, report, twin

__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return importlib.import_module(f"voltome.{name}")
    raise AttributeError(f"module 'voltome' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

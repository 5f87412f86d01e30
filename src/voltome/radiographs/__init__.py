"""Radiographs: from raw frames to transmissions of one pixel size that lie on each other.

This room opens no file: frames come as arrays or through `voltome.frames.DistanceScan`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "Defects": "defects",
    "DynamicFlats": "dynamic_flats",
    "FlatField": "flat_field",
    "FrameCheck": "frame_check",
    "Resampler": "rescaling",
    "check_frames": "frame_check",
    "find_defects": "defects",
    "find_replacements": "frame_check",
    "measure_shifts": "registration",
    "plan_repair": "defects",
    "refuse_saturation": "frame_check",
    "repair_pixels": "defects",
    "smooth_shifts": "drift",
}

if TYPE_CHECKING:
    from voltome.radiographs.defects import Defects, find_defects, plan_repair, repair_pixels
    from voltome.radiographs.drift import smooth_shifts
    from voltome.radiographs.dynamic_flats import DynamicFlats
    from voltome.radiographs.flat_field import FlatField
    from voltome.radiographs.frame_check import FrameCheck, check_frames, find_replacements, refuse_saturation
    from voltome.radiographs.registration import measure_shifts
    from voltome.radiographs.rescaling import Resampler

__all__ = [
    "Defects",
    "DynamicFlats",
    "FlatField",
    "FrameCheck",
    "Resampler",
    "check_frames",
    "find_defects",
    "find_replacements",
    "measure_shifts",
    "plan_repair",
    "refuse_saturation",
    "repair_pixels",
    "smooth_shifts",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.radiographs.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.radiographs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

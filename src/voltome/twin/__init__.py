"""The digital twin: synthetic volumes whose motion is known exactly.

It imports no kernel: truth stays independent of what it judges.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voltome.twin.motion import (
        AnalyticMotion,
        make_affine_motion,
        make_band_motion,
        make_jump_motion,
        make_rigid_motion,
        make_sine_motion,
        make_smooth_motion,
    )
    from voltome.twin.pairs import SpecklePair, make_speckle_pair
    from voltome.twin.particles import ParticlePair, make_particle_pair
    from voltome.twin.texture import SpeckleTexture
    from voltome.twin.virtual import deform_image
    from voltome.twin.windows import best_affine, true_field

_HOMES = {
    "AnalyticMotion": "motion",
    "ParticlePair": "particles",
    "SpecklePair": "pairs",
    "SpeckleTexture": "texture",
    "best_affine": "windows",
    "deform_image": "virtual",
    "make_affine_motion": "motion",
    "make_band_motion": "motion",
    "make_jump_motion": "motion",
    "make_particle_pair": "particles",
    "make_rigid_motion": "motion",
    "make_sine_motion": "motion",
    "make_smooth_motion": "motion",
    "make_speckle_pair": "pairs",
    "true_field": "windows",
}

__all__ = [
    "AnalyticMotion",
    "ParticlePair",
    "SpecklePair",
    "SpeckleTexture",
    "best_affine",
    "deform_image",
    "make_affine_motion",
    "make_band_motion",
    "make_jump_motion",
    "make_particle_pair",
    "make_rigid_motion",
    "make_sine_motion",
    "make_smooth_motion",
    "make_speckle_pair",
    "true_field",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.twin.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.twin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""The digital twin: an electrode filmed while it charges, and simpler volumes, whose truth is known exactly.

It imports no kernel: truth stays independent of what it judges.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from voltome.compiled import drop_stale_cache, is_compiled

if TYPE_CHECKING:
    from voltome.twin.configuration import TwinSettings, make_settings
    from voltome.twin.cycling import simulate_cell, split_charge
    from voltome.twin.experiment import ElectrodeTwin
    from voltome.twin.ledger import balance_steps
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
    from voltome.twin.phases import PHASES
    from voltome.twin.projection import Projector
    from voltome.twin.radiographs import RadiographMaker, RadiographPlan, plan_radiographs
    from voltome.twin.refraction import refract_planes
    from voltome.twin.render import render_block
    from voltome.twin.setting_mapping import dump_settings, make_schema, parse_settings
    from voltome.twin.texture import SpeckleTexture
    from voltome.twin.truths import find_particles, list_events, map_thickness, measure_steps
    from voltome.twin.virtual import deform_image
    from voltome.twin.wave import make_exit_wave, propagate_wave
    from voltome.twin.windows import best_affine, true_field

_HOMES = {
    "AnalyticMotion": "motion",
    "ElectrodeTwin": "experiment",
    "PHASES": "phases",
    "ParticlePair": "particles",
    "Projector": "projection",
    "RadiographMaker": "radiographs",
    "RadiographPlan": "radiographs",
    "SpecklePair": "pairs",
    "SpeckleTexture": "texture",
    "TwinSettings": "configuration",
    "balance_steps": "ledger",
    "best_affine": "windows",
    "deform_image": "virtual",
    "dump_settings": "setting_mapping",
    "find_particles": "truths",
    "list_events": "truths",
    "make_affine_motion": "motion",
    "make_band_motion": "motion",
    "make_exit_wave": "wave",
    "make_jump_motion": "motion",
    "make_particle_pair": "particles",
    "make_rigid_motion": "motion",
    "make_schema": "setting_mapping",
    "make_settings": "configuration",
    "make_sine_motion": "motion",
    "make_smooth_motion": "motion",
    "make_speckle_pair": "pairs",
    "map_thickness": "truths",
    "measure_steps": "truths",
    "parse_settings": "setting_mapping",
    "plan_radiographs": "radiographs",
    "propagate_wave": "wave",
    "refract_planes": "refraction",
    "render_block": "render",
    "simulate_cell": "cycling",
    "split_charge": "cycling",
    "true_field": "windows",
}

__all__ = [
    "PHASES",
    "AnalyticMotion",
    "ElectrodeTwin",
    "ParticlePair",
    "Projector",
    "RadiographMaker",
    "RadiographPlan",
    "SpecklePair",
    "SpeckleTexture",
    "TwinSettings",
    "balance_steps",
    "best_affine",
    "deform_image",
    "dump_settings",
    "find_particles",
    "list_events",
    "make_affine_motion",
    "make_band_motion",
    "make_exit_wave",
    "make_jump_motion",
    "make_particle_pair",
    "make_rigid_motion",
    "make_schema",
    "make_settings",
    "make_sine_motion",
    "make_smooth_motion",
    "make_speckle_pair",
    "map_thickness",
    "measure_steps",
    "parse_settings",
    "plan_radiographs",
    "propagate_wave",
    "refract_planes",
    "render_block",
    "simulate_cell",
    "split_charge",
    "true_field",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.twin.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.twin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def needs_compiling() -> bool:
    """Whether the largest loop has to be compiled before its first use on this machine.

    Returns
    -------
    bool
        True where no compiled loop is found.
    """
    from voltome.twin.object_loops import fill_block

    return not is_compiled(fill_block)


drop_stale_cache(Path(__file__).parent)

"""Digital volume correlation: registration, local correlation, filtering, strain, deformation of volumes.

Functions take arrays or anything that can be read block by block (`voltome.grid.VolumeSource`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_WHERE = {
    "Composition": "composition",
    "DeformedVolume": "deformation",
    "LocalCorrelation": "local",
    "ParticleCorrelation": "particle_motion",
    "Particles": "labels",
    "Registration": "registration",
    "check_smoothing": "filtering",
    "check_strain_options": "strain",
    "choose_half_windows": "noise",
    "compose_fields": "composition",
    "compute_strain": "strain",
    "correlate_local": "local",
    "correlate_nodes": "nodes",
    "correlate_particles": "particles",
    "deform_volume": "deformation",
    "estimate_bias": "departure",
    "fill_field": "filtering",
    "find_particles": "labels",
    "find_resolution": "metrology",
    "fit_power_law": "power_law",
    "interpolate_field": "interpolation",
    "judge_motion": "noise",
    "measure_bias": "metrology",
    "measure_response": "metrology",
    "measure_window_noise": "noise",
    "open_residual": "deformation",
    "recommend_window": "power_law",
    "register_affine": "registration",
    "smooth_field": "filtering",
    "subtract_deformed": "deformation",
    "thread_pool": "workers",
}

if TYPE_CHECKING:
    from voltome.dvc.composition import Composition, compose_fields
    from voltome.dvc.deformation import DeformedVolume, deform_volume, open_residual, subtract_deformed
    from voltome.dvc.departure import estimate_bias
    from voltome.dvc.filtering import check_smoothing, fill_field, smooth_field
    from voltome.dvc.interpolation import interpolate_field
    from voltome.dvc.labels import Particles, find_particles
    from voltome.dvc.local import LocalCorrelation, correlate_local
    from voltome.dvc.metrology import find_resolution, measure_bias, measure_response
    from voltome.dvc.nodes import correlate_nodes
    from voltome.dvc.noise import choose_half_windows, judge_motion, measure_window_noise
    from voltome.dvc.particle_motion import ParticleCorrelation
    from voltome.dvc.particles import correlate_particles
    from voltome.dvc.power_law import fit_power_law, recommend_window
    from voltome.dvc.registration import Registration, register_affine
    from voltome.dvc.strain import check_strain_options, compute_strain
    from voltome.dvc.workers import thread_pool

__all__ = [
    "Composition",
    "DeformedVolume",
    "LocalCorrelation",
    "ParticleCorrelation",
    "Particles",
    "Registration",
    "check_smoothing",
    "check_strain_options",
    "choose_half_windows",
    "compose_fields",
    "compute_strain",
    "correlate_local",
    "correlate_nodes",
    "correlate_particles",
    "deform_volume",
    "estimate_bias",
    "fill_field",
    "find_particles",
    "find_resolution",
    "fit_power_law",
    "interpolate_field",
    "judge_motion",
    "measure_bias",
    "measure_response",
    "measure_window_noise",
    "open_residual",
    "recommend_window",
    "register_affine",
    "smooth_field",
    "subtract_deformed",
    "thread_pool",
]


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(importlib.import_module(f"voltome.dvc.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'voltome.dvc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

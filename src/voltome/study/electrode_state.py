"""The electrode's smooth motion at a scan, of all of it or of a part, and what its numbers may err by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voltome.study.aligning import read_alignment
from voltome.study.electrode_ground import Ground, read_map, read_surface
from voltome.study.job import Job

if TYPE_CHECKING:
    from voltome.alignment import Alignment
    from voltome.electrode import Layer, SmoothMotion, StateErrors
    from voltome.fields import DeformationField

Floats = NDArray[np.float64]
Chosen = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class State:
    """Motion since the first scan, its errors, and whether the surface was seen at this scan."""

    motion: SmoothMotion
    errors: StateErrors
    layered: bool


def count_shared(job: Job, field: DeformationField) -> float:
    """Nodes whose windows overlap so that they know no more than one.

    Parameters
    ----------
    job : Job
    field : DeformationField

    Returns
    -------
    float
        1 or more.
    """
    spacing = field.node_spacing_vox
    least = float(np.nanmin(spacing)) if spacing is not None else 1.0
    return max(1.0, (2 * job.study.settings.correlation.window_vox + 1) / least) ** 3


def fit_state(
    job: Job, ground: Ground, scan: str, *, nodes: Chosen | None = None, points: Chosen | None = None
) -> State | None:
    """Fit the smooth motion to what is trusted of a scan.

    Parameters
    ----------
    job : Job
    ground : Ground
    scan : str
    nodes : (N,) bool, optional
        Nodes to use; else all of the electrode.
    points : (M,) bool, optional
        Points of the surface to use; else all.

    Returns
    -------
    State or None
        None where the scan is not aligned.

    Raises
    ------
    InputError
        If too few nodes are trusted.
    """
    from voltome import electrode, io

    collector = read_alignment(job.store, scan)[1] if f"alignment/{scan}" in job.result.inputs else None
    if collector is None:
        return None
    field = io.read_field_zarr(job.store / "cumulative" / scan / "field.zarr")
    voxel = job.study.settings.voxel_size_m
    inside = ground.inside if nodes is None else ground.inside & nodes
    use = inside & field.trusted & np.isfinite(field.phi).all(axis=(1, 2))
    layer, surface_sd = _read_layer(job, ground, scan, points)
    motion = electrode.fit_motion(ground.places[use], field.displacement_vox[use], ground.frame, layer=layer)
    errors = electrode.NodeErrors(
        np.sqrt(np.nanmean(field.sd[use][:, [3, 7, 11]] ** 2, axis=0)),
        np.sqrt(np.nanmean(field.sd_bias_vox[use] ** 2, axis=0)),
        1.0 - use.sum() / max(inside.sum(), 1),
        count_shared(job, field),
    )
    return State(
        motion,
        electrode.StateErrors(
            errors,
            _differentiate(ground, field, use, layer, collector),
            _read_covariance(collector),
            ground.surface_sd_m / voxel,
            surface_sd / voxel,
            ground.face_sd_m / voxel,
        ),
        layer is not None,
    )


def _read_covariance(collector: Alignment) -> Floats:
    """Of the seven parameters; without texture the lateral motion is not known, and strain does not depend on it."""
    covariance = collector.covariance.copy()
    if collector.tiles == 0:
        covariance[1:4], covariance[:, 1:4] = 0.0, 0.0
    return covariance


def _read_layer(job: Job, ground: Ground, scan: str, points: Chosen | None) -> tuple[Layer | None, float]:
    """The surface's rise since the first scan, and the sd of its mean height."""
    from voltome import electrode

    said = read_surface(job, scan)
    if said["refused"] is not None:
        return None, math.nan
    rise = read_map(job.store, scan, "thickness") - ground.thickness_m
    values = ground.frame.side * rise[ground.pixels[:, 0], ground.pixels[:, 1]] / job.study.settings.voxel_size_m
    known = np.isfinite(values) if points is None else np.isfinite(values) & points
    if not known.any():
        return None, math.nan
    return electrode.Layer(ground.top[known], values[known]), float(said["sd_m"])


def _differentiate(
    ground: Ground, field: DeformationField, use: Chosen, layer: Layer | None, collector: Alignment
) -> Floats:
    """Change of the collector's displacement with its seven parameters, at nodes and at points of the surface."""
    from voltome.alignment.similarity import make_jacobian

    arrived = field.positions_vox[use] + field.displacement_vox[use]
    parts = [make_jacobian(arrived - collector.centre_vox)]
    if layer is not None:
        frame = ground.frame
        lateral = layer.places[:, 1:] * frame.half_vox
        z = frame.face_vox[0] + lateral @ frame.face_vox[1:] + frame.side * layer.places[:, 0] * frame.thickness_vox
        places = np.column_stack([z + layer.rise_vox, lateral + frame.middle_vox])
        parts.append(make_jacobian(places - collector.centre_vox))
    return np.concatenate(parts)

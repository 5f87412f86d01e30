"""Volumetric strain of a study's gauges: histograms of the electrode's sides, and means of boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.measurement import Measurement, Share
from voltome.study.composing import derive_strain
from voltome.study.job import Job

if TYPE_CHECKING:
    from voltome.fields import DeformationField, StrainField
    from voltome.study.electrode_ground import Ground
    from voltome.study.settings import BoxSettings

Floats = NDArray[np.float64]


def _read_states(job: Job) -> list[tuple[str, DeformationField, StrainField]]:
    from voltome import io

    out = []
    for scan in job.study.settings.scans:
        if f"cumulative/{scan.name}" in job.result.inputs:
            field = io.read_field_zarr(job.store / "cumulative" / scan.name / "field.zarr")
            out.append((scan.name, field, derive_strain(field, job.study.settings.strain)))
    return out


def _count_shared(job: Job, field: DeformationField) -> float:
    """Nodes whose windows overlap so that they share their error."""
    spacing = field.node_spacing_vox
    least = float(np.nanmin(spacing)) if spacing is not None else 1.0
    return max(1.0, (2 * job.study.settings.correlation.window_vox + 1) / least) ** 3


def count_regions(job: Job, ground: Ground) -> list[dict[str, Any]]:
    """Histograms of volumetric strain, over gauges whose nodes are all trusted and outside the blurred zone.

    Parameters
    ----------
    job : Job
    ground : Ground

    Returns
    -------
    list of dict
        scan, region, edges, counts, maximum, maximum_sd.
    """
    from voltome import electrode
    from voltome.electrode.histograms import EDGES

    out = []
    for scan, field, strain in _read_states(job):
        if len(strain) == 0:
            continue
        places = ground.frame.locate(strain.positions_vox)
        use = np.isfinite(strain.volumetric) & (strain.measured >= 1.0) & _inside(ground, places)
        half = 0.5 * _height(ground, places)
        for region, side in (
            ("whole", use),
            ("collector side", use & (places[:, 0] < half)),
            ("separator side", use & (places[:, 0] >= half)),
        ):
            values = strain.volumetric[side]
            maximum, sd = electrode.find_maximum(values, shared=_count_shared(job, field))
            counts = electrode.count_strains(values).tolist()
            row = {"scan": scan, "region": region, "edges": EDGES.tolist(), "counts": counts}
            out.append(row | {"maximum": maximum, "maximum_sd": sd})
    return out


def _height(ground: Ground, places: Floats) -> Floats:
    """Depth of the surface above each place, in the frame."""
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(ground.top[:, 1:]).query(places[:, 1:])
    return np.asarray(ground.top[nearest, 0])


def _inside(ground: Ground, places: Floats) -> NDArray[np.bool_]:
    least = ground.blurred_m / float(np.nanmean(ground.thickness_m))
    return np.asarray((places[:, 0] >= least) & (places[:, 0] <= _height(ground, places)))


def measure_boxes(job: Job, ground: Ground) -> list[dict[str, Any]]:
    """Mean volumetric strain of the study's boxes at each scan.

    Parameters
    ----------
    job : Job
    ground : Ground

    Returns
    -------
    list of dict
        name, low_m, high_m, measurement.
    """
    boxes = job.study.settings.electrode.boxes
    return [
        _measure_box(job, ground, box, scan, field, strain)
        for scan, field, strain in (_read_states(job) if boxes else ())
        if len(strain)
        for box in boxes
    ]


def _measure_box(
    job: Job, ground: Ground, box: BoxSettings, scan: str, field: DeformationField, strain: StrainField
) -> dict[str, Any]:
    from voltome import io

    voxel = job.study.settings.voxel_size_m
    size = np.array(io.open_series(job.store / "volumes.zarr").shape) * voxel
    edges: Mapping[str, tuple[float, float] | None] = {"z": box.z, "y": box.y, "x": box.x}
    low = np.array([0.0 if edges[a] is None else edges[a][0] for a in "zyx"])  # type: ignore[index]
    high = np.array([size[k] if edges[a] is None else edges[a][1] for k, a in enumerate("zyx")])  # type: ignore[index]
    at = strain.positions_vox * voxel
    use = np.isfinite(strain.volumetric) & (strain.measured >= 1.0)
    use &= _inside(ground, ground.frame.locate(strain.positions_vox)) & ((at >= low) & (at < high)).all(axis=1)
    value = math.nan
    shares: tuple[Share, ...] = ()
    if use.any():
        independent = max(1.0, use.sum() / _count_shared(job, field))
        value = float(strain.volumetric[use].mean())
        spacing = field.node_spacing_vox
        least = float(np.nanmin(spacing)) if spacing is not None else 1.0
        shape = math.sqrt(float(np.nanmean(np.nansum(field.sd_bias_vox**2, axis=1)))) / least / math.sqrt(2)
        noise = math.sqrt(float(np.nanmean(strain.volumetric_sd[use] ** 2)) / independent)
        shares = (Share("noise", noise), Share("window shape", shape / math.sqrt(independent), "bias"))
    measurement = Measurement("volumetric_strain", scan, value, "1", box.name, shares)
    return {"name": box.name, "low_m": low.tolist(), "high_m": high.tolist(), "measurement": asdict(measurement)}

"""Volumetric strain of a study's gauges: histograms of the electrode's sides, and means of boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.measurement import Measurement, Share
from voltome.study.composing import derive_strain
from voltome.study.electrode_state import count_shared, fit_state
from voltome.study.job import Job

if TYPE_CHECKING:
    from voltome.fields import DeformationField, StrainField
    from voltome.study.electrode_ground import Ground

Floats = NDArray[np.float64]


def _read_states(job: Job) -> list[tuple[str, DeformationField, StrainField]]:
    from voltome import io

    out = []
    for scan in job.study.settings.scans:
        if f"cumulative/{scan.name}" in job.result.inputs:
            field = io.read_field_zarr(job.store / "cumulative" / scan.name / "field.zarr")
            out.append((scan.name, field, derive_strain(field, job.study.settings.strain)))
    return out


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
            maximum, sd = electrode.find_maximum(values, shared=count_shared(job, field))
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


def list_maxima(histograms: Sequence[Mapping[str, Any]]) -> list[Measurement]:
    """The most frequent strain of each histogram, as a measurement.

    Parameters
    ----------
    histograms : sequence of mapping
        Of `count_regions`.

    Returns
    -------
    list of Measurement
    """
    return [
        Measurement(
            "most_frequent_strain",
            row["scan"],
            float(row["maximum"]),
            "1",
            row["region"],
            (Share("noise", float(row["maximum_sd"])),),
        )
        for row in histograms
        if math.isfinite(row["maximum"])
    ]


def measure_boxes(job: Job, ground: Ground, warnings: list[str]) -> list[dict[str, Any]]:
    """Mean volumetric strain of the study's boxes at each scan: of the smooth motion of their own nodes.

    Parameters
    ----------
    job : Job
    ground : Ground
    warnings : list of str
        A box that cannot be measured is told here.

    Returns
    -------
    list of dict
        name, low_m, high_m, measurement.
    """
    from voltome import io

    settings = job.study.settings
    size_m = np.array(io.open_series(job.store / "volumes.zarr").shape) * settings.voxel_size_m
    scans = [scan.name for scan in settings.scans if f"cumulative/{scan.name}" in job.result.inputs]
    out = []
    for box in settings.electrode.boxes:
        edges = [(0.0, size_m[k]) if edge is None else edge for k, edge in enumerate((box.z, box.y, box.x))]
        low, high = np.array(edges).T
        lost: dict[str, list[str]] = {}
        for scan in scans:
            try:
                measurement = _measure_box(job, ground, box.name, scan, low, high)
            except InputError as error:
                lost.setdefault(str(error), []).append(scan)
                continue
            if measurement is not None:
                out.append(
                    {"name": box.name, "low_m": low.tolist(), "high_m": high.tolist(), "measurement": measurement}
                )
        for why, names in lost.items():
            warnings.append(f"Box {box.name} could not be measured at {', '.join(names)}: {why}.")
    return out


def _measure_box(job: Job, ground: Ground, name: str, scan: str, low_m: Floats, high_m: Floats) -> Measurement | None:
    from voltome import electrode, io

    voxel, frame = job.study.settings.voxel_size_m, ground.frame
    field = io.read_field_zarr(job.store / "cumulative" / scan / "field.zarr")
    lateral = (ground.top[:, 1:] * frame.half_vox + frame.middle_vox) * voxel
    points = np.asarray(((lateral >= low_m[1:]) & (lateral < high_m[1:])).all(axis=1), dtype=bool)
    at = field.positions_vox[:, 1:] * voxel
    nodes = np.asarray(((at >= low_m[1:]) & (at < high_m[1:])).all(axis=1), dtype=bool)
    state = fit_state(job, ground, scan, nodes=nodes, points=points)
    if state is None:
        return None
    z_m = np.array([low_m[0], high_m[0]])
    found = electrode.measure_part(state.motion, ground.top[points], z_m / voxel, name)
    if found is None:
        raise InputError("it holds nothing of the electrode")
    shares = electrode.share_errors(state.motion, found, state.errors, layered=state.layered)
    return Measurement("volumetric_strain", scan, found.value, "1", name, shares)

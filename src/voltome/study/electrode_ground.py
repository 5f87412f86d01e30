"""What the first scan says of an electrode: its frame, its surface, and which nodes are its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.study.aligning import read_alignment
from voltome.study.job import Job

if TYPE_CHECKING:
    from voltome.alignment import Collector
    from voltome.electrode import Frame

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ground:
    """What the first scan says of the electrode.

    Parameters
    ----------
    frame : Frame
    collector : Collector
    top : (M, 3) float64
        Places of the surface in the frame, about one node spacing apart.
    pixels : (M, 2) int64
        Their pixels in the maps of thickness.
    places : (N, 3) float64
        Of the nodes in the frame.
    inside : (N,) bool
        Nodes of the electrode whose windows hold no copper.
    thickness_m : (ny, nx) float64
    surface_sd_m : float
    face_sd_m : float
        Two ways to say where the face stands differ by this.
    blurred_m : float
        Depth above the face that is left out.
    """

    frame: Frame
    collector: Collector
    top: Floats
    pixels: NDArray[np.int64]
    places: Floats
    inside: NDArray[np.bool_]
    thickness_m: Floats
    surface_sd_m: float
    face_sd_m: float
    blurred_m: float


def lay_ground(job: Job, scan: str) -> Ground:
    """What the first scan and the first field say of the electrode.

    Parameters
    ----------
    job : Job
    scan : str
        Name of the first scan.

    Returns
    -------
    Ground

    Raises
    ------
    InputError
        If its collector or its surface was not found, or there is no field.
    """
    from voltome import electrode, io

    settings = job.study.settings
    collector, _, refused = read_alignment(job.store, scan) if f"alignment/{scan}" in job.result.inputs else (None,) * 3
    if collector is None:
        raise InputError(refused or f"the collector of {scan} is not known")
    said = read_surface(job, scan)
    if said["refused"] is not None:
        raise InputError(f"surface of {scan}: {said['refused']}")
    thickness = read_map(job.store, scan, "thickness")
    voxel, factor, side = settings.voxel_size_m, int(said["reduction"]), settings.electrode.collector_side
    fields = [s.name for s in settings.scans if f"cumulative/{s.name}" in job.result.inputs]
    if not fields:
        raise InputError("there is no composed field")
    field = io.read_field_zarr(job.store / "cumulative" / fields[0] / "field.zarr")
    shape = io.open_series(job.store / "volumes.zarr").shape
    middle = (np.array(shape[1:]) - 1) / 2
    rows, columns = (np.arange(n) * factor + (factor - 1) / 2 for n in thickness.shape)
    high = side == "high-z"
    face = float(collector.face_at(middle[:1], middle[1:])[0])
    slopes = np.array(collector.plane[1:])
    plane = np.array([shape[0] - 1 - face, *-slopes]) if high else np.array([face, *slopes])
    frame = electrode.Frame(
        plane, middle, np.array(shape[1:]) / 2, float(np.nanmean(thickness)) / voxel, -1.0 if high else 1.0
    )
    spacing = field.node_spacing_vox
    stride = max(1, round(float(np.nanmin(spacing)) / factor)) if spacing is not None else 8
    i, j = (
        a.ravel() for a in np.meshgrid(*[np.arange(stride // 2, n, stride) for n in thickness.shape], indexing="ij")
    )
    seen = np.isfinite(thickness[i, j])
    pixels = np.stack([i[seen], j[seen]], axis=1)
    depth = thickness[pixels[:, 0], pixels[:, 1]] / voxel / frame.thickness_vox
    lateral = np.stack([rows[pixels[:, 0]], columns[pixels[:, 1]]], axis=1)
    top = np.column_stack([depth, (lateral - middle) / frame.half_vox])
    places = frame.locate(field.positions_vox)
    blurred = max(collector.blurred_vox, float(settings.correlation.window_vox))
    near = np.clip(np.rint((field.positions_vox[:, 1:] - (factor - 1) / 2) / factor), 0, np.array(thickness.shape) - 1)
    height = thickness[near[:, 0].astype(int), near[:, 1].astype(int)] / voxel / frame.thickness_vox
    inside = (places[:, 0] >= blurred / frame.thickness_vox) & (places[:, 0] <= np.nan_to_num(height, nan=1.0))
    face_sd = abs(collector.midway_vox) * voxel
    return Ground(
        frame, collector, top, pixels, places, inside, thickness, float(said["sd_m"]), face_sd, blurred * voxel
    )


def read_map(store: Path, scan: str, name: str) -> Floats:
    """A map of a scan's surface: thickness, or surface.

    Parameters
    ----------
    store : Path
    scan : str
    name : str

    Returns
    -------
    (ny, nx) float64
        Metres.
    """
    from voltome import io

    plane: Floats = io.read_volume(store / "surface" / scan / f"{name}.tif")[0].astype(np.float64)
    return plane


def read_surface(job: Job, scan: str) -> dict[str, Any]:
    """What is said of a scan's surface; `refused` is why there is none.

    Parameters
    ----------
    job : Job
    scan : str

    Returns
    -------
    dict
    """
    from voltome import io

    if f"surface/{scan}" not in job.result.inputs:
        return {"refused": "it could not be made"}
    return io.read_json(job.store / "surface" / scan / "summary.json")


def list_repeats(job: Job) -> dict[str, str]:
    """Repeat scans, and what each repeats; one that was refused is a scan like others.

    Parameters
    ----------
    job : Job

    Returns
    -------
    dict of str to str
    """
    from voltome import io

    out: dict[str, str] = {}
    for scan in job.study.settings.scans:
        if scan.repeats is not None:
            name = f"noise/{scan.repeats}-{scan.name}"
            refused = name in job.result.inputs and io.read_json(job.store / name / "noise.json")["refused"] is not None
            out |= {} if refused else {scan.name: scan.repeats}
    return out

"""What the report, its figures and the movie show of the electrode, gathered from the results that stand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.study.accuracy import plan_accuracy
from voltome.study.aligning import plan_alignment, plan_surface, read_alignment
from voltome.study.composing import derive_strain, plan_cumulative, plan_noise
from voltome.study.correlating import plan_direct
from voltome.study.electrode import plan_electrode, read_measurement, read_measurements
from voltome.study.electrode_ground import list_repeats, read_map, read_surface
from voltome.study.job import Job
from voltome.study.reconstructing import plan_reconstruction
from voltome.study.result import Result
from voltome.study.segmenting import plan_segmentation
from voltome.study.silicon import plan_silicon, read_silicon
from voltome.study.silicon_findings import describe_region, read_segmented
from voltome.study.slices import sample_slice
from voltome.study.storing import VOLUMES, plan_grey, plan_volumes
from voltome.study.study_file import Study
from voltome.study.truth import plan_truth

if TYPE_CHECKING:
    from voltome.report.electrode_findings import AxialMap, ElectrodeFindings, Histogram

Floats = NDArray[np.float64]

PIXELS = 360
"""Longest side of a slice in the report."""

REMARKS = (
    "The paper registers all scans to the first and also composes increments: here increments are composed, and a "
    "direct correlation from the first scan checks them.",
    "The sides are parted half way up at the first scan, and the plane moves with the material: their volumetric "
    "strains average to that of the whole. The paper's 50 and 34 % average to 42, not to its 44 %.",
    "Strains of whole and sides are means of det F over matter, from a smooth motion through all trusted nodes and the "
    "surface, which vanishes at the collector. Histograms and maps are those of single gauges.",
    "Thickness is measured from the collector's face, where the grey is midway between copper and electrode, to the "
    "surface towards the separator; its local spread is one standard deviation over the field.",
)


def plan_gathering(study: Study, step: str) -> Result:
    """A result of whatever there is of all scans.

    Parameters
    ----------
    study : Study
    step : str

    Returns
    -------
    Result
    """
    settings = study.settings
    sources = {} if settings.electrochemistry.cycler is None else {"cycler": settings.electrochemistry.cycler}
    plans = (
        plan_reconstruction,
        *((plan_grey,) if settings.scans and settings.scans[0].radiographs else ()),
        plan_volumes,
        plan_alignment,
        plan_surface,
        plan_noise,
        plan_cumulative,
        plan_direct,
        plan_electrode,
        plan_segmentation,
        plan_silicon,
        plan_truth,
        plan_accuracy,
    )
    scans = [scan.model_dump(mode="json", include={"name", "repeats", "time_s", "soc"}) for scan in settings.scans]
    parameters: dict[str, Any] = {"scans": scans, "voxel_size_m": settings.voxel_size_m}
    optional = tuple(result.name for plan in plans for result in plan(study))
    return Result(step, "all", parameters, optional=optional, sources=sources)


def gather_findings(job: Job) -> ElectrodeFindings | None:
    """All that is shown of the electrode; None where its numbers could not be made.

    Parameters
    ----------
    job : Job
        Of a result planned by `plan_gathering`.

    Returns
    -------
    ElectrodeFindings or None
    """
    from voltome import io
    from voltome.report.electrode_findings import BoxStrain, ElectrodeFindings

    if "electrode/all" not in job.result.inputs:
        return None
    measurements, said = read_measurements(job.store)
    silicon, silicon_said = read_silicon(job)
    scans = job.study.settings.scans
    slices, y, pixel_m = read_slices(job)
    segmented, phase_names = read_segmented(job, y, round(pixel_m / job.study.settings.voxel_size_m))
    maps = {scan.name: read_map(job.store, scan.name, "thickness") for scan in scans if _has_surface(job, scan.name)}
    map_pixel = _map_pixel_m(job, next(iter(maps))) if maps else math.nan
    history = None
    if "cycler" in job.result.sources:
        history = io.read_cycler_csv(job.study.locate(job.result.sources["cycler"]))
    accuracy: list[dict[str, Any]] = []
    if "accuracy/all" in job.result.inputs:
        accuracy = io.read_json(job.store / "accuracy.json")["rows"]
    return ElectrodeFindings(
        scans=tuple(scan.name for scan in scans),
        measurements=measurements + silicon,
        slices=slices,
        slice_pixel_m=pixel_m,
        slice_y_m=y * job.study.settings.voxel_size_m,
        surfaces=_read_lines(job, y, pixel_m, slices),
        thickness_maps={name: values.astype(np.float32) for name, values in maps.items()},
        map_pixel_m=map_pixel,
        axial_maps=dict(_read_axial_maps(job, y, said["blurred_m"])),
        histograms=[_histogram(row) for row in said["histograms"]],
        boxes=[
            BoxStrain(
                row["name"], np.array(row["low_m"]), np.array(row["high_m"]), read_measurement(row["measurement"])
            )
            for row in said["boxes"]
        ],
        blurred_zone_m=said["blurred_m"],
        segmented=segmented,
        phase_names=phase_names,
        silicon_region=describe_region(silicon_said),
        cell=_read_cell(history),
        socs={scan.name: scan.soc for scan in scans if scan.soc is not None},
        times_s={scan.name: scan.time_s for scan in scans if scan.time_s is not None},
        repeats=list_repeats(job),
        warnings=said["warnings"] + silicon_said.get("warnings", []),
        remarks=(*REMARKS, *silicon_said.get("remarks", ())),
        accuracy=[
            {**row, **{k: _number(row[k]) for k in ("true", "recovered", "sd_random", "sd_bias")}} for row in accuracy
        ],
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _histogram(row: Mapping[str, Any]) -> Histogram:
    from voltome.report.electrode_findings import Histogram

    return Histogram(
        row["scan"],
        row["region"],
        np.array(row["edges"]),
        np.array(row["counts"], dtype=np.float64),
        _number(row["maximum"]),
        _number(row["maximum_sd"]),
    )


def _has_surface(job: Job, scan: str) -> bool:
    return read_surface(job, scan)["refused"] is None


def _map_pixel_m(job: Job, scan: str) -> float:
    return float(read_surface(job, scan)["pixel_m"])


def _read_cell(history: Any) -> Any:
    from voltome.report.electrode_findings import CellCurve

    if history is None or history.voltage_v is None:
        return None
    count = len(history.time_s)
    current = np.full(count, np.nan) if history.current_a is None else np.asarray(history.current_a)
    return CellCurve(np.asarray(history.time_s), np.asarray(history.voltage_v), current)


def read_slices(job: Job) -> tuple[dict[str, NDArray[np.float32]], int, float]:
    """Middle slice across y of each scan that is stored, as coarse as a picture needs it, moved onto the first scan.

    Parameters
    ----------
    job : Job

    Returns
    -------
    slices : dict of (z, x) float32
        NaN where a scan does not reach.
    index : int
        Where they stand on y, in full voxels.
    pixel_m : float
    """
    from voltome import io

    path = job.store / VOLUMES
    shape = io.open_series(path).shape
    level = 0
    while max(shape[0], shape[2]) >> level > PIXELS:
        level += 1
    factor, middle = 2**level, shape[1] // 2
    slices = {}
    for t, scan in enumerate(job.study.settings.scans):
        if f"volumes/{scan.name}" not in job.result.inputs:
            continue
        motion = read_alignment(job.store, scan.name)[1] if f"alignment/{scan.name}" in job.result.inputs else None
        with io.open_scan(path, t, level=level) as volume:
            slices[scan.name] = sample_slice(volume, motion, factor=factor, y_vox=middle)
    return slices, middle, factor * job.study.settings.voxel_size_m


def _read_lines(
    job: Job, y: int, pixel_m: float, slices: Mapping[str, NDArray[np.float32]]
) -> dict[str, tuple[Floats, Floats]]:
    """Collector's face and surface along the slices; on slices the first row is z = 0."""
    settings = job.study.settings
    voxel, first = settings.voxel_size_m, settings.scans[0].name
    collector = read_alignment(job.store, first)[0] if f"alignment/{first}" in job.result.inputs else None
    out: dict[str, tuple[Floats, Floats]] = {}
    if collector is None or first not in slices:
        return out
    shape = slices[first].shape
    x_m: Floats = (np.arange(shape[1], dtype=np.float64) + 0.5) * pixel_m
    face = collector.face_at(np.array(float(y)), x_m / voxel - 0.5) * voxel
    if settings.electrode.collector_side == "high-z":
        face = shape[0] * pixel_m - face
    for scan in slices:
        if _has_surface(job, scan):
            surface, step = read_map(job.store, scan, "surface"), _map_pixel_m(job, scan)
            row = surface[min(int(y * voxel / step), len(surface) - 1)]
            at = np.clip((x_m / step - 0.5).round().astype(int), 0, len(row) - 1)
            out[scan] = (face, row[at])
    return out


def _read_axial_maps(job: Job, y: int, blurred_m: float | None) -> Iterator[tuple[str, AxialMap]]:
    """Axial strain at the nodes nearest to the plane of the slices; none where windows hold copper."""
    from voltome import io
    from voltome.report.electrode_findings import AxialMap

    voxel = job.study.settings.voxel_size_m
    for scan in job.study.settings.scans:
        if f"cumulative/{scan.name}" not in job.result.inputs:
            continue
        field = io.read_field_zarr(job.store / "cumulative" / scan.name / "field.zarr")
        strain = derive_strain(field, job.study.settings.strain)
        if field.grid_shape is None or len(strain) != len(field):
            continue
        grid = field.positions_vox.reshape(*field.grid_shape, 3)
        j = int(np.argmin(np.abs(grid[0, :, 0, 1] - y)))
        shown = _find_clear(job, field.positions_vox, blurred_m).reshape(field.grid_shape)[:, j]
        axial = strain.strain[:, 0, 0].reshape(field.grid_shape)[:, j]
        read = (field.trusted & (strain.measured >= 0.5)).reshape(field.grid_shape)[:, j]
        u = field.displacement_vox.reshape(*field.grid_shape, 3)[:, j] * voxel
        yield (
            scan.name,
            AxialMap(
                grid[:, j, 0, 0] * voxel,
                grid[0, j, :, 2] * voxel,
                u[..., 0],
                u[..., 2],
                np.where(shown, axial, np.nan),
                read & shown,
            ),
        )


def _find_clear(job: Job, positions_vox: Floats, blurred_m: float | None) -> NDArray[np.bool_]:
    """Nodes far enough above the collector's face."""
    first = job.study.settings.scans[0].name
    collector = read_alignment(job.store, first)[0] if f"alignment/{first}" in job.result.inputs else None
    if collector is None or blurred_m is None:
        return np.ones(len(positions_vox), dtype=bool)
    from voltome import io

    z = positions_vox[:, 0]
    if job.study.settings.electrode.collector_side == "high-z":
        z = io.open_series(job.store / VOLUMES).shape[0] - 1 - z
    face = collector.face_at(positions_vox[:, 1], positions_vox[:, 2])
    return np.asarray((z - face) * job.study.settings.voxel_size_m >= blurred_m)

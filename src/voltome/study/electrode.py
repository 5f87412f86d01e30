"""The electrode of a study: thickness and strain of its regions at each scan, their errors, and what remains of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.measurement import Measurement, Share
from voltome.study.aligning import plan_alignment, plan_surface, read_alignment
from voltome.study.composing import plan_cumulative, plan_noise
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.alignment import Alignment, Collector
    from voltome.electrode import Frame, Layer
    from voltome.fields import DeformationField

Floats = NDArray[np.float64]

FILE = "measurements.json"


def plan_electrode(study: Study) -> Iterator[Result]:
    """The electrode's numbers.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    settings = study.settings
    plans = (plan_alignment, plan_surface, plan_cumulative, plan_noise)
    scans = [scan.model_dump(mode="json", include={"name", "repeats", "soc"}) for scan in settings.scans]
    parameters = {
        "scans": scans,
        "voxel_size_m": settings.voxel_size_m,
        "collector_side": settings.electrode.collector_side,
        "boxes": [box.model_dump(mode="json") for box in settings.electrode.boxes],
        "half_window_vox": settings.correlation.window_vox,
        "strain": settings.strain.model_dump(mode="json"),
    }
    yield Result("electrode", "all", parameters, optional=tuple(r.name for plan in plans for r in plan(study)))


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
    blurred_m: float


def make_electrode(job: Job) -> None:
    """Measure the electrode at each scan.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    findings = measure_electrode(job)
    measurements: Sequence[Measurement] = findings.pop("measurements")
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_json(folder / FILE, io.plain_json(findings | {"measurements": [asdict(m) for m in measurements]}))
        if measurements:
            io.write_table_csv(folder / "measurements.csv", tabulate(measurements))
    job.publish("electrode")


def tabulate(measurements: Sequence[Measurement]) -> dict[str, NDArray[Any]]:
    """Measurements as columns: name, region, scan, value, sd_random, sd_bias, unit, and one for the sd of each cause.

    Parameters
    ----------
    measurements : sequence of Measurement

    Returns
    -------
    dict of (N,) array
    """
    columns: dict[str, NDArray[Any]] = {
        name: np.array([getattr(m, name) for m in measurements])
        for name in ("name", "region", "scan", "value", "sd_random", "sd_bias", "unit")
    }
    for cause in dict.fromkeys(share.cause for m in measurements for share in m.shares):
        columns[f"sd_{cause.replace(' ', '_')}"] = np.array([m.share(cause) for m in measurements])
    return columns


def read_measurements(store: Path) -> tuple[list[Measurement], dict[str, Any]]:
    """Measurements of the electrode, and what else was found.

    Parameters
    ----------
    store : Path

    Returns
    -------
    measurements : list of Measurement
    findings : dict
        `warnings`, `histograms`, `boxes`, `blurred_m`.
    """
    from voltome import io

    said = io.read_json(store / "electrode" / FILE)
    measurements = []
    for row in said.pop("measurements"):
        shares = tuple(Share(**{**share, "sd": _number(share["sd"])}) for share in row.pop("shares"))
        measurements.append(Measurement(**{**row, "value": _number(row["value"]), "shares": shares}))
    return measurements, said


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def measure_electrode(job: Job) -> dict[str, Any]:
    """All numbers of the electrode.

    Parameters
    ----------
    job : Job

    Returns
    -------
    dict
        `measurements` (list of Measurement), `warnings` (list of str), `histograms`, `boxes`, `blurred_m`.
    """
    from voltome.study.electrode_regions import count_regions, measure_boxes

    scans = [scan.name for scan in job.study.settings.scans]
    warnings: list[str] = []
    out: dict[str, Any] = {"measurements": [], "warnings": warnings, "histograms": [], "boxes": [], "blurred_m": None}
    out["measurements"] += _say_alignment(job, scans, warnings)
    try:
        ground = lay_ground(job, scans[0])
    except InputError as error:
        warnings.append(f"Thickness and strain of the electrode's sides could not be measured: {error}.")
        return out
    out["blurred_m"] = ground.blurred_m
    thickness_sd = {"surface": math.hypot(ground.surface_sd_m, _face_sd_m(job, ground))}
    first = Measurement("thickness", scans[0], float(np.nanmean(ground.thickness_m)), "m", shares=_bias(thickness_sd))
    states: dict[str, list[Measurement]] = {scans[0]: [first]}
    for scan in scans[1:]:
        if f"cumulative/{scan}" in job.result.inputs:
            states[scan] = _measure_scan(job, ground, scan, warnings)
    out["measurements"] += [m for state in states.values() for m in state]
    out["measurements"] += _measure_spread(job, scans, ground)
    out["measurements"] += _follow(job, states)
    _doubt_growth(job, states, warnings)
    out["histograms"] = count_regions(job, ground)
    out["boxes"] = measure_boxes(job, ground)
    return out


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
    said = io.read_json(job.store / "surface" / scan / "summary.json") if f"surface/{scan}" in job.result.inputs else {}
    if said.get("refused", "it could not be made") is not None:
        raise InputError(f"surface of {scan}: {said.get('refused', 'it could not be made')}")
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
    return Ground(frame, collector, top, pixels, places, inside, thickness, float(said["sd_m"]), blurred * voxel)


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

    volume = io.read_volume(store / "surface" / scan / f"{name}.tif")
    return np.asarray(volume, dtype=np.float64)[0]


def _face_sd_m(job: Job, ground: Ground) -> float:
    """Two ways to say where the face stands differ by this."""
    return abs(ground.collector.midway_vox) * job.study.settings.voxel_size_m


def _bias(sds: Mapping[str, float]) -> tuple[Share, ...]:
    return tuple(Share(cause, sd, "bias") for cause, sd in sds.items())


def _say_alignment(job: Job, scans: Sequence[str], warnings: list[str]) -> list[Measurement]:
    """Motion of the collector at each scan."""
    out: list[Measurement] = []
    voxel = job.study.settings.voxel_size_m
    for scan in scans[1:]:
        if f"alignment/{scan}" not in job.result.inputs:
            continue
        _, motion, refused = read_alignment(job.store, scan)
        if motion is None:
            warnings.append(f"{scan} is not aligned, its magnification and tilt are in its strain: {refused}.")
            continue
        if motion.tiles == 0:
            warnings.append(
                f"At {scan} the collector's texture fixes no lateral shift and no magnification: strain along y and x "
                "errs by up to 0.3 points."
            )
        sd = np.sqrt(np.diag(motion.covariance))
        for k, axis in enumerate("zyx"):
            share = (Share("alignment", float(sd[k]) * voxel),)
            out.append(
                Measurement(f"alignment_{axis}", scan, float(motion.translation_vox[k]) * voxel, "m", shares=share)
            )
            share = (Share("alignment", float(sd[3 + k])),)
            out.append(
                Measurement(f"alignment_rotation_{axis}", scan, float(motion.rotation_rad[k]), "rad", shares=share)
            )
        out.append(
            Measurement("alignment_scale", scan, motion.scale, "1", shares=(Share("magnification", float(sd[6])),))
        )
        out.append(Measurement("alignment_residual", scan, float(motion.residual_vox[0]) * voxel, "m"))
    return out


def _measure_scan(job: Job, ground: Ground, scan: str, warnings: list[str]) -> list[Measurement]:
    from voltome import electrode, io

    field = io.read_field_zarr(job.store / "cumulative" / scan / "field.zarr")
    motion_of_collector = read_alignment(job.store, scan)[1] if f"alignment/{scan}" in job.result.inputs else None
    voxel = job.study.settings.voxel_size_m
    layer, surface_sd = _read_layer(job, ground, scan, warnings)
    use = ground.inside & field.trusted & np.isfinite(field.phi).all(axis=(1, 2))
    try:
        motion = electrode.fit_motion(ground.places[use], field.displacement_vox[use], ground.frame, layer=layer)
    except InputError as error:
        warnings.append(f"Strain of the electrode at {scan} could not be measured: {error}.")
        return []
    spacing = field.node_spacing_vox
    least = float(np.nanmin(spacing)) if spacing is not None else 1.0
    shared = max(1.0, (2 * job.study.settings.correlation.window_vox + 1) / least) ** 3
    nodes = electrode.NodeErrors(
        np.sqrt(np.nanmean(field.sd[use][:, [3, 7, 11]] ** 2, axis=0)),
        np.sqrt(np.nanmean(field.sd_bias_vox[use] ** 2, axis=0)),
        1.0 - use.sum() / max(ground.inside.sum(), 1),
        shared,
    )
    errors = electrode.StateErrors(
        nodes,
        _differentiate(ground, field, use, layer, motion_of_collector),
        None if motion_of_collector is None else motion_of_collector.covariance,
        ground.surface_sd_m / voxel,
        surface_sd / voxel,
        _face_sd_m(job, ground) / voxel,
    )
    return electrode.describe_state(scan, motion, ground.top, errors, voxel_size_m=voxel, layered=layer is not None)


def _read_layer(job: Job, ground: Ground, scan: str, warnings: list[str]) -> tuple[Layer | None, float]:
    """The surface's rise since the first scan, and the sd of its mean height."""
    from voltome import electrode, io

    if f"surface/{scan}" not in job.result.inputs:
        return None, math.nan
    said = io.read_json(job.store / "surface" / scan / "summary.json")
    if said["refused"] is not None:
        warnings.append(f"The thickness at {scan} rests on displacements alone: {said['refused']}.")
        return None, math.nan
    rise = read_map(job.store, scan, "thickness") - ground.thickness_m
    values = ground.frame.side * rise[ground.pixels[:, 0], ground.pixels[:, 1]] / job.study.settings.voxel_size_m
    known = np.isfinite(values)
    return electrode.Layer(ground.top[known], values[known]), float(said["sd_m"])


def _differentiate(
    ground: Ground,
    field: DeformationField,
    use: NDArray[np.bool_],
    layer: Layer | None,
    motion: Alignment | None,
) -> Floats:
    """Change of the collector's displacement with its seven parameters, at nodes and below points of the surface."""
    from voltome.alignment.similarity import make_jacobian

    centre = np.zeros(3) if motion is None else motion.centre_vox
    arrived = field.positions_vox[use] + field.displacement_vox[use]
    parts = [make_jacobian(arrived - centre)]
    if layer is not None:
        lateral = layer.places[:, 1:] * ground.frame.half_vox
        face = ground.frame.face_vox[0] + lateral @ ground.frame.face_vox[1:]
        parts.append(make_jacobian(np.column_stack([face, lateral + ground.frame.middle_vox]) - centre))
    return np.concatenate(parts)


def _measure_spread(job: Job, scans: Sequence[str], ground: Ground) -> list[Measurement]:
    """Standard deviation of the local thickness over the field, by scan."""
    from voltome import io

    out = []
    for scan in scans:
        if f"surface/{scan}" in job.result.inputs:
            said = io.read_json(job.store / "surface" / scan / "summary.json")
            if said["refused"] is None:
                share = _bias({"surface": float(said["sd_m"])})
                out.append(Measurement("thickness_spread", scan, said["thickness_spread_m"], "m", shares=share))
    return out


def _follow(job: Job, states: Mapping[str, Sequence[Measurement]]) -> list[Measurement]:
    """What follows from the numbers of several scans: growth since the scan before, and what discharge leaves."""
    from voltome import electrode

    scans = [scan for scan in job.study.settings.scans if scan.repeats is None]
    socs = {scan.name: scan.soc for scan in scans if scan.soc is not None}
    found = {m.label + m.scan: m for state in states.values() for m in state}
    out: list[Measurement] = []
    names = [scan.name for scan in scans if f"thickness{scan.name}" in found]
    for before, now in zip(names, names[1:], strict=False):
        a, b = found[f"thickness{before}"], found[f"thickness{now}"]
        causes = {s.cause: s.kind for s in (*a.shares, *b.shares) if s.cause != "surface"}
        shares = [Share(c, math.hypot(*(m.share(c) for m in (a, b) if any(s.cause == c for s in m.shares))) / a.value, k)
                  for c, k in causes.items()]  # fmt: skip
        surface = Share("surface", math.hypot(*(_surface_sd(job, m.scan) for m in (a, b))) / a.value, "bias")
        out.append(Measurement("expansion_increment", now, b.value / a.value - 1.0, "1", shares=(*shares, surface)))
    for name, called in (
        ("thickness", "irreversible_thickness"),
        ("volumetric_strain", "hysteresis_volumetric_strain"),
    ):
        curve = {scan.name: found[name + scan.name] for scan in scans if name + scan.name in found}
        if name != "thickness" and curve:
            first = job.study.settings.scans[0].name
            curve = {first: Measurement(name, first, 0.0, "1"), **curve}
        out += electrode.measure_hysteresis(curve, socs, name=called)
    return out


def _surface_sd(job: Job, scan: str) -> float:
    from voltome import io

    said = io.read_json(job.store / "surface" / scan / "summary.json")
    return math.nan if said["refused"] is not None else float(said["sd_m"])


def _doubt_growth(job: Job, states: Mapping[str, Sequence[Measurement]], warnings: list[str]) -> None:
    """Thickness that falls while charge rises, or rises while it falls, by more than its error."""
    known = [
        (scan.name, scan.soc, next((m for m in states.get(scan.name, ()) if m.name == "thickness"), None))
        for scan in job.study.settings.scans
        if scan.soc is not None and scan.repeats is None
    ]
    for (a, soc_a, t_a), (b, soc_b, t_b) in zip(known, known[1:], strict=False):
        if t_a is None or t_b is None or soc_a is None or soc_b is None or soc_a == soc_b:
            continue
        change = t_b.value - t_a.value
        if change * (soc_b - soc_a) < 0 and abs(change) > 2 * math.hypot(t_a.sd, t_b.sd):
            warnings.append(
                f"The thickness {'falls' if change < 0 else 'rises'} by {1e6 * abs(change):.2f} um from {a} to {b} while "
                f"the state of charge {'rises' if soc_b > soc_a else 'falls'}: look at the surfaces of both scans."
            )

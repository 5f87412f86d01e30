"""The electrode of a study: thickness and strain of its regions at each scan, with their errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.measurement import Measurement, Share
from voltome.study.aligning import plan_alignment, plan_surface, read_alignment
from voltome.study.composing import plan_cumulative, plan_noise
from voltome.study.electrode_ground import Ground, lay_ground, read_surface
from voltome.study.electrode_history import doubt_growth, follow, measure_spread
from voltome.study.electrode_regions import count_regions, list_maxima, measure_boxes
from voltome.study.electrode_state import fit_state
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.alignment import Alignment

Floats = NDArray[np.float64]

FILE = "measurements.json"

_MOST_SD = 0.5  # of the thickness over that of the first scan, beyond which an extrapolation is none


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
    return [read_measurement(row) for row in said.pop("measurements")], said


def read_measurement(row: dict[str, Any]) -> Measurement:
    """A measurement from its JSON.

    Parameters
    ----------
    row : dict
        As `dataclasses.asdict` gives it, None for NaN.

    Returns
    -------
    Measurement
    """
    shares = tuple(Share(**{**share, "sd": _number(share["sd"])}) for share in row["shares"])
    return Measurement(**{**row, "value": _number(row["value"]), "shares": shares})


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
    scans = [scan.name for scan in job.study.settings.scans]
    warnings: list[str] = []
    out: dict[str, Any] = {"measurements": [], "warnings": warnings, "histograms": [], "boxes": [], "blurred_m": None}
    collector, _, refused = read_alignment(job.store, scans[0]) if _is_aligned(job, scans[0]) else (None,) * 3
    if collector is None and refused is not None:  # once for all scans, not once for each
        warnings.append(
            f"No scan is aligned, magnification and tilt are in the strains, and neither thickness nor strain of the "
            f"electrode's sides could be measured: {refused}."
        )
        return out
    out["measurements"] += _say_alignment(job, scans, warnings)
    try:
        ground = lay_ground(job, scans[0])
    except InputError as error:
        warnings.append(f"Thickness and strain of the electrode's sides could not be measured: {error}.")
        return out
    out["blurred_m"] = ground.blurred_m
    share = Share("surface", math.hypot(ground.surface_sd_m, ground.face_sd_m), "bias")
    noise = Share("noise", float(read_surface(job, scans[0])["noise_m"]))
    thickness_m = float(ground.top[:, 0].mean()) * ground.frame.thickness_vox * job.study.settings.voxel_size_m
    first = Measurement("thickness", scans[0], thickness_m, "m", shares=(noise, share))
    states: dict[str, list[Measurement]] = {scans[0]: [first]}
    for scan in scans[1:]:
        if f"cumulative/{scan}" in job.result.inputs:
            states[scan] = _measure_scan(job, ground, scan, warnings)
    out["measurements"] += [m for state in states.values() for m in state]
    out["measurements"] += measure_spread(job, scans)
    out["measurements"] += follow(job, states)
    warnings += doubt_growth(job, states)
    out["histograms"] = count_regions(job, ground)
    out["measurements"] += list_maxima([row for row in out["histograms"] if states.get(row["scan"])])
    out["boxes"] = measure_boxes(job, ground, warnings)
    out["measurements"] += [box["measurement"] for box in out["boxes"]]
    out["boxes"] = [box | {"measurement": asdict(box["measurement"])} for box in out["boxes"]]
    return out


def _is_aligned(job: Job, scan: str) -> bool:
    """Whether the alignment of a scan was looked for."""
    return f"alignment/{scan}" in job.result.inputs


def _say_alignment(job: Job, scans: Sequence[str], warnings: list[str]) -> list[Measurement]:
    """Motion of the collector at each scan."""
    out: list[Measurement] = []
    plain: list[str] = []
    lost: dict[str, list[str]] = {}
    for scan in scans[1:]:
        if _is_aligned(job, scan):
            _, motion, refused = read_alignment(job.store, scan)
            if motion is None:
                lost.setdefault(str(refused), []).append(scan)
            else:
                plain += [scan] if motion.tiles == 0 else []
                out += _list_motion(scan, motion, job.study.settings.voxel_size_m)
    for why, names in lost.items():
        warnings.append(
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not aligned, magnification and tilt are in the "
            f"strain, and neither thickness nor strain of the electrode's sides is told: {why}."
        )
    if plain:
        warnings.append(
            f"At {', '.join(plain)} the collector has too little texture to fix shift and magnification: strain "
            "along y and x may err by 0.3 points for that."
        )
    return out


def _list_motion(scan: str, motion: Alignment, voxel_m: float) -> list[Measurement]:
    """What the collector tells: without texture only what its face does."""
    sd = np.sqrt(np.diag(motion.covariance))
    out = []
    for k, axis in enumerate("zyx"):
        by_face = axis == "z"
        if motion.tiles or by_face:
            shares = (Share("alignment", float(sd[k]) * voxel_m),)
            shift = float(motion.translation_vox[k]) * voxel_m
            out.append(Measurement(f"alignment_{axis}", scan, shift, "m", shares=shares))
        if motion.tiles or not by_face:
            shares = (Share("alignment", float(sd[3 + k])),)
            turn = float(motion.rotation_rad[k])
            out.append(Measurement(f"alignment_rotation_{axis}", scan, turn, "rad", shares=shares))
    shares = (Share("magnification", float(sd[6])),)
    out.append(Measurement("alignment_scale", scan, motion.scale, "1", shares=shares))
    out.append(Measurement("alignment_residual", scan, float(motion.residual_vox[0]) * voxel_m, "m"))
    return out


def _measure_scan(job: Job, ground: Ground, scan: str, warnings: list[str]) -> list[Measurement]:
    from voltome import electrode

    try:
        state = fit_state(job, ground, scan)
    except InputError as error:
        warnings.append(f"Strain of the electrode at {scan} could not be measured: {error}.")
        return []
    if state is None:  # displacements from anywhere but the collector tell no thickness
        return []
    if not state.layered:
        why = read_surface(job, scan)["refused"]
        warnings.append(f"The thickness at {scan} rests on displacements alone: {why}.")
    told = electrode.describe_state(
        scan,
        state.motion,
        ground.top,
        state.errors,
        voxel_size_m=job.study.settings.voxel_size_m,
        layered=state.layered,
    )
    sd_m = max(m.sd for m in told if m.name == "thickness")
    if sd_m > _MOST_SD * float(np.nanmean(ground.thickness_m)):
        warnings.append(
            f"Thickness and strain of the electrode at {scan} could not be measured: too few nodes are trusted near "
            f"its surface, which has not been seen either (sd of the thickness {1e6 * sd_m:.2g} um)."
        )
        return []
    return told

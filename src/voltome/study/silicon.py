"""How much silicon has not reacted at each scan of a study, in a region that follows the matter, with its errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block
from voltome.measurement import Measurement, Share
from voltome.study.aligning import plan_alignment, plan_surface, read_alignment
from voltome.study.composing import plan_cumulative
from voltome.study.electrode import read_measurement, tabulate
from voltome.study.electrode_ground import Ground, lay_ground
from voltome.study.electrode_state import fit_state
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.segmenting import CONFIDENCE, PHASES, plan_segmentation
from voltome.study.silicon_region import Matter, describe_motion
from voltome.study.study_file import Study

Floats = NDArray[np.float64]

FILE = "measurements.json"
NAME = "non_lithiated_silicon"

_TOP = 1.1  # depth of the region's far side: beyond the surface, where there is no silicon
_BLOCK_VOX = 64
_SIDE_M = 3e-7  # kept from the faces of the field on top of what matter moves


def plan_silicon(study: Study) -> Iterator[Result]:
    """The amount of silicon that has not reacted, if scans are segmented.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    segmented = list(plan_segmentation(study))
    if segmented:
        settings = study.settings
        plans = (plan_alignment, plan_surface, plan_cumulative)
        parameters = {
            "scans": [scan.model_dump(mode="json", include={"name", "repeats"}) for scan in settings.scans],
            "voxel_size_m": settings.voxel_size_m,
            "collector_side": settings.electrode.collector_side,
            "half_window_vox": settings.correlation.window_vox,
            "silicon": settings.segmentation.silicon,
        }
        optional = (*(r.name for r in segmented), *(r.name for plan in plans for r in plan(study)))
        yield Result("silicon", "all", parameters, optional=optional)


def make_silicon(job: Job) -> None:
    """Measure the silicon of each scan that is segmented.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    found = measure_silicon(job)
    measurements: Sequence[Measurement] = found.pop("measurements")
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_json(folder / FILE, io.plain_json(found | {"measurements": [asdict(m) for m in measurements]}))
        io.write_table_csv(folder / "measurements.csv", tabulate(measurements))
    job.publish("silicon")


def read_silicon(job: Job) -> tuple[list[Measurement], dict[str, Any]]:
    """Measurements of the silicon, and what else was found.

    Parameters
    ----------
    job : Job
        Of a result to which it may be an input.

    Returns
    -------
    measurements : list of Measurement
    findings : dict
        `warnings`, `remarks`, `region`, `amounts`; empty where there is none.
    """
    from voltome import io

    if "silicon/all" not in job.result.inputs:
        return [], {}
    said = io.read_json(job.store / "silicon" / FILE)
    return [read_measurement(row) for row in said.pop("measurements")], said


def measure_silicon(job: Job) -> dict[str, Any]:
    """All numbers of the silicon.

    Parameters
    ----------
    job : Job

    Returns
    -------
    dict
        `measurements`, `warnings`; `region`: what of the first scan counts (metres); `amounts`: by scan the voxels by
        each way to count.
    """
    settings = job.study.settings
    scans = [scan.name for scan in settings.scans]
    segmented = [name for name in scans if f"segmentation/{name}" in job.result.inputs]
    warnings: list[str] = []
    out: dict[str, Any] = {"measurements": [], "warnings": warnings, "region": None, "amounts": {}}
    if scans[0] not in segmented:
        warnings.append("The first scan is not segmented: how much silicon is left relative to it is not known.")
        return out
    try:
        ground = lay_ground(job, scans[0])
    except InputError as error:
        warnings.append(f"Silicon could not be followed from scan to scan: {error}.")
        return out
    matters = dict(_follow_matter(job, ground, segmented, warnings))
    low, high = _lay_region(job, ground, matters)
    matters = {name: _with_region(matter, low, high) for name, matter in matters.items()}
    out["region"] = _describe_region(job, ground, low, high)
    counts = {name: _count(job, name, matter) for name, matter in matters.items()}
    codes = _read_models(job, list(matters))
    out["amounts"] = {
        name: dict(zip((*_amounts(), "voxels"), map(float, c[0]), strict=True)) for name, c in counts.items()
    }
    out["measurements"] = list(_measure(job, ground, counts, codes, matters))
    warnings += _doubt_models(job, list(matters))
    warnings += [f"{scan}: {warning}." for scan, said in codes.items() for warning in said["warnings"]]
    out["remarks"] = list(_tell_models(job, codes))
    return out


def _amounts() -> tuple[str, ...]:
    from voltome.segmentation.amounts import AMOUNTS

    return AMOUNTS


def _follow_matter(
    job: Job, ground: Ground, segmented: Sequence[str], warnings: list[str]
) -> Iterator[tuple[str, Matter]]:
    """How matter got to where it is in each scan that is aligned."""
    nowhere = np.zeros(3)
    yield segmented[0], Matter(ground.frame, nowhere, nowhere)
    for name in segmented[1:]:
        try:
            state = fit_state(job, ground, name) if f"cumulative/{name}" in job.result.inputs else None
        except InputError as error:
            warnings.append(f"Silicon at {name} could not be followed: {error}.")
            continue
        if state is None:
            warnings.append(f"Silicon at {name} could not be followed: the scan is not aligned or not correlated.")
            continue
        motion = state.motion.without_response()
        yield (
            name,
            Matter(ground.frame, nowhere, nowhere, motion, **describe_motion(read_alignment(job.store, name)[1])),
        )


def _lay_region(job: Job, ground: Ground, matters: Mapping[str, Matter]) -> tuple[Floats, Floats]:
    """Corners of the region, in the frame: what every scan has seen, less what copper blurs."""
    from voltome import io

    frame, voxel = ground.frame, job.study.settings.voxel_size_m
    shape = np.array(io.open_series(job.store / "volumes.zarr").shape)
    blurred = ground.collector.blurred_vox / frame.thickness_vox
    low, high = np.array([blurred, -1.0, -1.0]), np.array([_TOP, 1.0, 1.0])
    rows = np.linspace(0, 1, 9)
    for matter in matters.values():
        for axis in (1, 2):
            for end in (0.0, 1.0):
                face = np.stack(np.meshgrid(rows, rows, indexing="ij"), axis=-1).reshape(-1, 2)
                points = np.insert(face, axis, end, axis=1) * (shape - 1)
                seen = matter.trace(points)
                seen = seen[(seen[:, 0] > 0) & (seen[:, 0] < _TOP), axis]
                if seen.size and end:
                    high[axis] = min(high[axis], float(seen.min()))
                elif seen.size:
                    low[axis] = max(low[axis], float(seen.max()))
    side = _SIDE_M / voxel / frame.half_vox
    low[1:] += side
    high[1:] -= side
    return low, high


def _with_region(matter: Matter, low: Floats, high: Floats) -> Matter:
    from dataclasses import replace

    return replace(matter, low=low, high=high)


def _describe_region(job: Job, ground: Ground, low: Floats, high: Floats) -> dict[str, Any]:
    voxel, frame = job.study.settings.voxel_size_m, ground.frame
    corners = [(frame.middle_vox + edge[1:] * frame.half_vox) * voxel for edge in (low, high)]
    return {
        "from_depth_m": float(low[0] * frame.thickness_vox * voxel),
        "y_m": [float(corners[0][0]), float(corners[1][0])],
        "x_m": [float(corners[0][1]), float(corners[1][1])],
        "low": low.tolist(),
        "high": high.tolist(),
    }


def _count(job: Job, scan: str, matter: Matter) -> Floats:
    """Amounts in the region, and in one whose face towards the collector lies a voxel deeper, (2, 5)."""
    from voltome import io

    place = job.store / "segmentation" / scan
    with io.open_volume(str(place / PHASES)) as volume:
        shape = volume.shape
    codes = _read_models(job, [scan])[scan]["code"]
    blocks = [
        (slice(z, min(z + _BLOCK_VOX, shape[0])), slice(0, shape[1]), slice(0, shape[2]))
        for z in range(0, shape[0], _BLOCK_VOX)
    ]
    arguments = [(str(place), matter, block, codes) for block in blocks]
    counted: Floats = np.sum([one["counts"] for one in job.run_blocks(f"count-{scan}", count_block, arguments)], axis=0)
    return counted


def count_block(folder: str, matter: Matter, block: Block, code: int) -> dict[str, Floats]:
    """Count the silicon in a block of a scan.

    Parameters
    ----------
    folder : str
        Of the scan's phases and confidence.
    matter : Matter
    block : three slices
    code : int
        Of silicon.

    Returns
    -------
    dict
        `counts` (2, 5): as `tally_phase`, in the region and in one that begins a voxel deeper.
    """
    from dataclasses import replace

    from voltome import io
    from voltome.segmentation.amounts import tally_phase

    inside = matter.find_inside(block)
    if not inside.any():
        return {"counts": np.zeros((2, 5))}
    deeper = replace(matter, low=matter.low + np.array([1 / matter.frame.thickness_vox, 0, 0]))
    with io.open_volume(str(Path(folder) / PHASES)) as phases, io.open_volume(str(Path(folder) / CONFIDENCE)) as sure:
        values = phases[block], sure[block]
    return {"counts": np.stack([tally_phase(*values, region, code) for region in (inside, deeper.find_inside(block))])}


def _read_models(job: Job, scans: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the models of scans say: code and error of silicon, and what they learned from."""
    from voltome import io
    from voltome.segmentation.amounts import find_relative_sd

    out = {}
    name = job.study.settings.segmentation.silicon
    for scan in scans:
        said = io.read_json(job.store / "segmentation" / scan / "summary.json")
        code = next(int(row["code"]) for row in said["phases"] if row["name"] == name)
        out[scan] = {
            "code": code,
            "relative_sd": find_relative_sd(said["calibration"], name, job.study.settings.voxel_size_m),
            "data": said["data"],
            "scores": said["scores"],
            "warnings": said.get("warnings", []),
        }
    return out


def _measure(
    job: Job,
    ground: Ground,
    counts: Mapping[str, Floats],
    models: Mapping[str, Mapping[str, Any]],
    matters: Mapping[str, Matter],
) -> Iterator[Measurement]:
    """Amount at each scan over that of the first one, with its errors, and for other thresholds."""
    first = next(iter(counts))
    start = counts[first][0]
    likely, expected, loose, strict = range(4)
    for scan, (here, deeper) in counts.items():
        if scan == first:
            continue
        value = here[expected] / start[expected]
        # Where the region's face stands is known as well as the collector's motion is.
        slope = abs(here[expected] - deeper[expected]) / start[expected]
        covariance = read_alignment(job.store, scan)[1]
        face_vox = math.sqrt(covariance.covariance[0, 0]) if covariance is not None else math.nan
        shares = (
            Share("segmentation", value * models[scan]["relative_sd"], "bias"),
            Share("region", slope * face_vox),
            Share("motion", slope * ground.face_sd_m / job.study.settings.voxel_size_m * abs(1 - value), "bias"),
        )
        yield Measurement(NAME, scan, float(value), "1", shares=shares)
        for threshold, k in (("0.3", loose), ("0.5", likely), ("0.7", strict)):
            yield Measurement(f"{NAME}_threshold_{threshold}", scan, float(here[k] / start[k]), "1")


def _tell_models(job: Job, models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Which models told the phases, and how good they were on what they had not seen."""
    settings = job.study.settings.segmentation
    for model in dict.fromkeys(settings.find_model(scan) for scan in models):
        scans = [scan for scan in models if settings.find_model(scan) == model]
        said = models[scans[0]]
        dice = said["scores"].get("dice", {}).get(settings.silicon)
        score = "nothing is known of how good it is on slices that it has not seen"
        if dice is not None:
            score = f"Dice of silicon {dice:.3f} on {said['scores']['slices']} slices that it had not seen"
        what = "voltome's own weights, trained on its twin" if model == "twin" else "a model of one's own"
        yield (
            f"Phases of {', '.join(scans)} come from {model} ({what}; data {str(said['data'])[:12]}): {score}. "
            "Volumes of silicon are sums of probabilities; thresholds of 0.3, 0.5 and 0.7 stand beside them."
        )


def _doubt_models(job: Job, scans: Sequence[str]) -> list[str]:
    """Steps in the series at which the model changes."""
    study = job.study.settings.segmentation
    out = []
    if job.study.settings.truth is None and any(study.find_model(scan) == "twin" for scan in scans):
        out.append(
            "Silicon is told by weights that were trained on simulated electrodes: their error on a real one is not "
            "known. Label some slices, and calibrate or train on them (voltome segment calibrate, train)."
        )
    for before, now in pairwise(scans):
        if study.find_model(before) != study.find_model(now):
            out.append(
                f"The model of the segmentation changes between {before} and {now}: a step there may be the model's. "
                "One model for all scans has no such step; both models applied to both scans would tell."
            )
    return out

"""The electrode's numbers beside the truth of the simulated experiment that they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.measurement import Measurement
from voltome.study.aligning import plan_alignment, plan_surface, read_alignment
from voltome.study.composing import plan_cumulative
from voltome.study.electrode import plan_electrode, read_measurements
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.silicon import plan_silicon, read_silicon
from voltome.study.silicon_truth import find_true_silicon
from voltome.study.study_file import Study

FILE = "accuracy.json"


def plan_accuracy(study: Study) -> Iterator[Result]:
    """Recovered numbers beside true ones, where the experiment was simulated.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    folder = study.settings.truth
    if folder is not None:
        (electrode,) = plan_electrode(study)
        alignment = tuple(result.name for result in plan_alignment(study))
        yield Result(
            "accuracy",
            "all",
            inputs=(electrode.name, *alignment),
            sources={"steps": f"{folder}/truth/steps.tsv", "twin": f"{folder}/twin.yaml"},
            optional=tuple(r.name for plan in (plan_silicon, plan_surface, plan_cumulative) for r in plan(study)),
        )


def make_accuracy(job: Job) -> None:
    """Write accuracy.json.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    steps = io.read_table_tsv(job.study.locate(job.result.sources["steps"]))
    measurements = read_measurements(job.store)[0] + read_silicon(job)[0]
    rows = compare(measurements, find_true(job, steps) | find_true_silicon(job))
    io.write_json(job.out, io.plain_json({"rows": rows, "inside_two_sd": count_inside(rows)}), overwrite=True)
    job.publish(FILE)


def find_true(job: Job, steps: Mapping[str, NDArray[Any]]) -> dict[tuple[str, str], float]:
    """True value of each number of each scan.

    Parameters
    ----------
    job : Job
    steps : mapping of str to (S,) array
        Columns of truth/steps.tsv.

    Returns
    -------
    dict
        (label, scan) to value.
    """
    out: dict[tuple[str, str], float] = {}
    scans = [scan for scan in job.study.settings.scans if scan.name in steps["step"].tolist()]
    numbers = {name: values for name, values in steps.items() if name != "step"}
    row = {scan.name: int(np.flatnonzero(steps["step"] == scan.name)[0]) for scan in scans}
    for scan in scans:
        at = row[scan.name]
        for name, values in numbers.items():
            out[{"thickness_sd_m": "thickness_spread"}.get(name, name.removesuffix("_m")), scan.name] = float(
                values[at]
            )
        thickness = float(numbers["thickness_m"][at])
        out["expansion", scan.name] = thickness / float(numbers["thickness_m"][row[scans[0].name]]) - 1.0
        out |= _true_motion(job, scan.name, {name: float(values[at]) for name, values in numbers.items()})
    once = [scan for scan in scans if scan.repeats is None]
    for before, now in pairwise(once):
        ratio = out["thickness", now.name] / out["thickness", before.name]
        out["expansion_increment", now.name] = ratio - 1.0
    out |= _true_history(job, out)
    return out


def _true_motion(job: Job, scan: str, step: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """Motion of the collector's middle, where the alignment states it."""
    from voltome import io
    from voltome.alignment.similarity import make_linear

    motion = read_alignment(job.store, scan)[1]
    if motion is None:
        return {}
    voxel = job.study.settings.voxel_size_m
    centre = (np.array(io.open_series(job.store / "volumes.zarr").shape) - 1) / 2
    turn = [step[f"rotation_{axis}_rad"] for axis in "zyx"]
    drift = np.array([step[f"drift_{axis}_m"] for axis in "zyx"])
    linear = make_linear(np.array([0.0, 0.0, 0.0, *turn, step["magnification"] - 1.0]))
    moved = drift + (linear - np.eye(3)) @ (motion.centre_vox - centre) * voxel
    out = {("alignment_scale", scan): step["magnification"]}
    for k, axis in enumerate("zyx"):
        out[f"alignment_{axis}", scan] = float(moved[k])
        out[f"alignment_rotation_{axis}", scan] = turn[k]
    return out


def _true_history(job: Job, true: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    from voltome.electrode import measure_hysteresis

    scans = [scan for scan in job.study.settings.scans if scan.repeats is None]
    socs = {scan.name: scan.soc for scan in scans if scan.soc is not None}
    out = {}
    for name, called in (
        ("thickness", "irreversible_thickness"),
        ("volumetric_strain", "hysteresis_volumetric_strain"),
    ):
        curve = {s.name: Measurement(name, s.name, true[name, s.name], "1") for s in scans if (name, s.name) in true}
        for found in measure_hysteresis(curve, socs, name=called):
            out[called, found.scan] = found.value
    return out


def compare(measurements: Sequence[Measurement], true: Mapping[tuple[str, str], float]) -> list[dict[str, Any]]:
    """Recovered beside true numbers.

    Parameters
    ----------
    measurements : sequence of Measurement
    true : mapping
        (label, scan) to value.

    Returns
    -------
    list of dict
        name, step, true, recovered, sd_random, sd_bias, unit.
    """
    return [
        {
            "name": m.label,
            "step": m.scan,
            "true": true[m.label, m.scan],
            "recovered": m.value,
            "sd_random": m.sd_random,
            "sd_bias": m.sd_bias,
            "unit": m.unit,
        }
        for m in measurements
        if (m.label, m.scan) in true
    ]


def count_inside(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Share of the rows whose truth lies inside two standard deviations, random and bias together.

    Parameters
    ----------
    rows : sequence of mapping
        Of `compare`.

    Returns
    -------
    float or None
        None where no row has an error.
    """
    errors = np.array([row["recovered"] - row["true"] for row in rows])
    parts = np.array([[row["sd_random"], row["sd_bias"]] for row in rows], dtype=np.float64).reshape(-1, 2)
    sd = np.sqrt(np.nansum(parts**2, axis=1))
    known = (sd > 0) & np.isfinite(errors)
    return float(np.mean(np.abs(errors[known]) <= 2 * sd[known])) if known.any() else None

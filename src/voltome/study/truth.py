"""The errors of a study whose experiment was simulated."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.study.aligning import plan_alignment, read_alignment
from voltome.study.composing import derive_strain, plan_cumulative
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.fields import DeformationField
    from voltome.twin.drift import Drift
    from voltome.twin.experiment import ElectrodeTwin

_TWIN = threading.Lock()


def plan_truth(study: Study) -> Iterator[Result]:
    """Errors of each scan, where the experiment was simulated.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    folder = study.settings.truth
    if folder is None:
        return
    window = {"half_window_vox": study.settings.correlation.window_vox}
    aligned = {result.subject: result.name for result in plan_alignment(study)}
    for result in plan_cumulative(study):
        yield Result(
            "truth",
            result.subject,
            window,
            inputs=(result.name,),
            optional=(aligned[result.subject],),
            sources={"twin": f"{folder}/twin.yaml"},
        )


def make_truth(job: Job) -> None:
    """Compare a composed field and its strain with what its windows could at best measure.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    assert job.study.settings.truth is not None
    scan, window = job.result.subject, job.study.settings.correlation.window_vox
    found = job.run(
        "truth",
        truth_block,
        job.study.locate(job.study.settings.truth),
        str(job.store),
        scan,
        window,
    )
    field = io.read_field_zarr(job.store / "cumulative" / scan / "field.zarr")
    true = field.with_values(phi=found["phi"], status=found["status"])
    at_node = field.with_values(phi=found["phi_at_node"], status=found["status"])
    compared = compare_state(field, true, at_node, job)
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_field_zarr(folder / "field.zarr", true, voxel_size_m=job.study.settings.voxel_size_m)
        io.write_json(folder / "accuracy.json", compared)
    job.publish(f"truth/{scan}")


def truth_block(folder: str, store: str, scan: str, half_window_vox: int) -> dict[str, NDArray[Any]]:
    """True Phi at the nodes of a composed field: of their windows, and of the nodes themselves.

    Parameters
    ----------
    folder : str
        Of the simulated experiment.
    store : str
    scan : str
    half_window_vox : int

    Returns
    -------
    dict
        `phi`, `phi_at_node` (N, 4, 4) and `status` (N,): 2 where the truth counts.
    """
    from voltome import io
    from voltome.dvc.workers import InlinePool
    from voltome.fields import NodeStatus
    from voltome.pipeline.truth import find_truth

    nodes = io.read_field_zarr(Path(store) / "cumulative" / scan / "field.zarr")
    twin = open_twin_of(folder)
    number, _ = take_step(twin, scan)
    use = nodes.status != NodeStatus.MASKED
    out = {"phi": np.full((len(nodes), 4, 4), np.nan), "phi_at_node": np.full((len(nodes), 4, 4), np.nan)}
    status = np.full(len(nodes), int(NodeStatus.MASKED), dtype=np.int32)
    with InlinePool(1) as pool:
        window = find_truth(twin, number, nodes.positions_vox[use], half_window_vox=half_window_vox, pool=pool)
        point = find_truth(twin, number, nodes.positions_vox[use], pool=pool)
    if io.read_field_attributes(Path(store) / "cumulative" / scan / "field.zarr")["parameters"]["aligned"]:
        drift = twin.drifts[number]
        window, point = (_take_drift_out(field, drift) for field in (window, point))
    out["phi"][use], out["phi_at_node"][use], status[use] = window.phi, point.phi, window.status
    return out | {"status": status}


def _take_drift_out(field: DeformationField, drift: Drift) -> DeformationField:
    """The same motion in the frame of the first scan, which the collector does not leave."""
    phi = field.phi.copy()
    back = drift.to_lab(field.positions_vox + field.displacement_vox) / drift.voxel_um
    phi[:, :3, :3] = np.linalg.inv(drift.linear) @ field.phi[:, :3, :3]
    phi[:, :3, 3] = back - field.positions_vox
    return field.with_values(phi=phi)


def open_twin_of(folder: str) -> ElectrodeTwin:
    """The twin of a simulated experiment, kept by each worker.

    Parameters
    ----------
    folder : str

    Returns
    -------
    ElectrodeTwin
    """
    with _TWIN:
        return _open_twin(folder)


def take_step(twin: ElectrodeTwin, scan: str) -> tuple[int, str]:
    """Number and own name of the step that a study calls by a scan's name.

    Parameters
    ----------
    twin : ElectrodeTwin
    scan : str

    Returns
    -------
    number : int
    name : str
    """
    names = [step.name for step in twin.settings.steps]
    number = [name.replace("-", ".") for name in names].index(scan)
    with _TWIN:
        twin.step(number)
    return number, names[number]


@lru_cache(maxsize=1)
def _open_twin(folder: str) -> ElectrodeTwin:
    from voltome.pipeline.twin_folder import open_twin

    return open_twin(folder)[0]


def compare_state(
    field: DeformationField, true: DeformationField, at_node: DeformationField, job: Job
) -> dict[str, Any]:
    """Errors of a scan's composed field and strain.

    Parameters
    ----------
    field, true, at_node : DeformationField
        Measured; true of each node's window; true of each node.
    job : Job

    Returns
    -------
    dict
        `truth_error_vox` (median length of the error of displacement, over trusted nodes that the truth counts),
        `truth_error_at_node_vox`, `truth_nodes`, what `judge_errors` gives, and `rows` as the report shows them.
    """
    from voltome import io
    from voltome.pipeline.truth import compare_with_truth

    strain = derive_strain(field, job.study.settings.strain)
    expected = derive_strain(true, job.study.settings.strain)
    state = io.read_json(job.store / "cumulative" / job.result.subject / "summary.json")
    compared = compare_with_truth(field, true, strain, expected)
    errors = compare_with_truth(field, at_node, strain, expected)["error_u_vox"]
    known = np.isfinite(compared["error_u_vox"])
    sds = {
        "axial displacement, mean": _in_voxels(state["displacement_z_sd_m"], job.study.settings.voxel_size_m),
        "axial strain zz, mean": state["strain_zz_sd"],
        "lateral strain yy, mean": state["strain_yy_sd"],
        "lateral strain xx, mean": state["strain_xx_sd"],
        "volumetric strain, mean": state["strain_volumetric_sd"],
    }
    rows = [{"scan": job.result.subject, **row, "sd": sds.get(row["name"], row["sd"])} for row in compared["errors"]]
    return {
        "truth_error_vox": float(np.median(compared["error_u_vox"][known])) if known.any() else None,
        "truth_error_at_node_vox": float(np.median(errors[known])) if known.any() else None,
        "truth_nodes": int(known.sum()),
        **judge_errors(field, true, known, read_common_variance(job, field)),
        "rows": rows,
    }


def _in_voxels(length_m: float | None, voxel_size_m: float) -> float:
    return math.nan if length_m is None else length_m / voxel_size_m


def read_common_variance(job: Job, field: DeformationField) -> NDArray[np.float64]:
    """Variance of displacement that the alignment adds to all nodes alike, by component; 0 where there is none.

    Parameters
    ----------
    job : Job
    field : DeformationField

    Returns
    -------
    (N, 3) float64
        Voxels squared.
    """
    scan = job.result.subject
    motion = read_alignment(job.store, scan)[1] if f"alignment/{scan}" in job.result.inputs else None
    if motion is None:
        return np.zeros((len(field), 3))
    arrived = np.nan_to_num(field.positions_vox + field.displacement_vox)
    return np.diagonal(motion.displacement_covariance(arrived), axis1=1, axis2=2)


def judge_errors(
    field: DeformationField, true: DeformationField, use: NDArray[np.bool_], common: NDArray[np.float64]
) -> dict[str, Any]:
    """Whether the standard deviations of displacement are honest: how many true values lie inside two of them.

    Parameters
    ----------
    field, true : DeformationField
    use : (N,) bool
        Nodes that count.
    common : (N, 3) float64
        Variance that the alignment adds.

    Returns
    -------
    dict
        `inside_two_sd` (share of the components of all nodes), `inside_by_depth` (of four slabs along z, each with as
        many nodes), `sd_median_vox`; None where there is none.
    """
    variance = field.sd[:, [3, 7, 11]] ** 2 + field.sd_bias_vox**2 + common
    known = np.flatnonzero(use & np.isfinite(variance).all(axis=1))
    if not len(known):
        return {"inside_two_sd": None, "inside_by_depth": None, "sd_median_vox": None}
    sd = np.sqrt(variance[known])
    inside = np.abs((field.displacement_vox - true.displacement_vox)[known]) <= 2 * sd
    order = np.argsort(field.positions_vox[known, 0], kind="stable")
    slabs = [float(inside[part].mean()) for part in np.array_split(order, 4) if len(part)]
    return {
        "inside_two_sd": float(inside.mean()),
        "inside_by_depth": slabs,
        "sd_median_vox": float(np.median(sd)),
    }

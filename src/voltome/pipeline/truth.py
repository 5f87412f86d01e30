"""The truth of a simulated experiment at any node positions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray, NodeStatus, StrainField
from voltome.pipeline.progress import OnProgress, count_jobs
from voltome.pipeline.twin_folder import open_twin

if TYPE_CHECKING:
    from voltome.twin.experiment import ElectrodeTwin

_BATCH = 64  # nodes between two reports


def write_truth(
    folder: str | Path,
    nodes_tsv: str | Path,
    out: str | Path,
    *,
    step: str,
    start: str | None = None,
    half_window_vox: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> DeformationField:
    """Write the true Phi between two scans of a simulated experiment, in SPAM's columns.

    Parameters
    ----------
    folder : str or Path
        What `voltome simulate` wrote; its twin is built again.
    nodes_tsv : str or Path
        Table with Zpos, Ypos, Xpos in voxels of the first scan.
    out : str or Path
        Table to write, rows in the order of the nodes.
    step : str
        Name of the second scan.
    start : str, optional
        Name of the first scan; by default the experiment's first.
    half_window_vox : int, optional
        Phi that fits a whole window best, which is all a correlation can see; by default that of the node itself.
    threads : int, optional
    overwrite : bool
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    DeformationField
        Drift of the scans included. Status 2 inside the electrode that the first scan shows, -5 elsewhere, where Phi
        holds as well.

    Raises
    ------
    InputError
        If the folder holds no twin or not the one that this version builds, a step is not one of its, the table breaks
        a rule, or the output exists.
    ResourceError
        If the output cannot be written.
    """
    from voltome import io

    nodes = io.read_positions_tsv(nodes_tsv)
    with io.staged_file(out, overwrite=overwrite) as part:
        count = count_jobs("electrode", 1, on_progress)
        twin, (first, second) = open_twin(folder, steps=(start, step))
        count()
        field = find_truth(
            twin, second, nodes, start=first, half_window_vox=half_window_vox, threads=threads, on_progress=on_progress
        )
        io.write_phi_tsv(part, field)
    return field


def find_truth(
    twin: ElectrodeTwin,
    number: int,
    nodes_vox: NDArray[np.float64],
    *,
    start: int = 0,
    half_window_vox: int | None = None,
    threads: int | None = None,
    pool: ThreadPoolExecutor | None = None,
    on_progress: OnProgress | None = None,
) -> DeformationField:
    """True Phi between two scans at many nodes, on several threads.

    Parameters
    ----------
    twin : ElectrodeTwin
    number, start : int
        Steps of the second and the first scan.
    nodes_vox : (N, 3) float64
        In voxels of the first scan.
    half_window_vox, threads, on_progress
        As `write_truth` takes them.
    pool : ThreadPoolExecutor, optional
        Where it is worked out, instead of new threads.

    Returns
    -------
    DeformationField
        As `write_truth` writes it.

    Raises
    ------
    InputError
        If the half window is below 1 voxel or does not fit the scan.
    """
    from voltome import dvc
    from voltome.dvc.workers import finish_jobs

    if half_window_vox is not None and half_window_vox < 1:
        raise InputError(f"half_window_vox must be >= 1 (got {half_window_vox}): leave it out for the nodes themselves")
    most = (min(twin.settings.shape) - 1) // 2
    if half_window_vox is not None and half_window_vox > most:
        raise InputError(f"half_window_vox must be <= {most}, to fit the scan (got {half_window_vox}): give such as 12")
    batches = [slice(i, i + _BATCH) for i in range(0, len(nodes_vox), _BATCH)]
    count = count_jobs("truth", len(batches), on_progress)
    phi = np.empty((len(nodes_vox), 4, 4))
    status = np.empty(len(nodes_vox), dtype=np.int32)
    for step in (start, number):
        twin.step(step)

    def work(batch: slice) -> None:
        field = twin.true_field(number, nodes_vox[batch], start=start, half_window_vox=half_window_vox)
        phi[batch], status[batch] = field.phi, field.status
        count()

    with nullcontext(pool) if pool is not None else dvc.thread_pool(threads) as workers:
        finish_jobs({workers.submit(work, batch): batch.start for batch in batches})
    shown = ((nodes_vox > -0.5) & (nodes_vox < np.asarray(twin.settings.shape) - 0.5)).all(axis=1)
    status[~shown] = NodeStatus.MASKED
    return DeformationField.from_phi(nodes_vox, phi).with_values(status=status)


def compare_with_truth(
    field: DeformationField, true: DeformationField, strain: StrainField, true_strain: StrainField
) -> dict[str, Any]:
    """Errors of a measured field over its trusted nodes, against what its windows could at best measure.

    Parameters
    ----------
    field, true : DeformationField
        On the same nodes; those of the truth count whose status is 2.
    strain, true_strain : StrainField
        At the same nodes.

    Returns
    -------
    dict
        `errors`: rows with name, true, recovered, error, sd, unit; `error_u_vox` (N,), NaN where it does not count, and
        `z_scores` of those that do.
    """
    counted = true.status == NodeStatus.CONVERGED
    use = field.trusted & counted
    columns = [3, 7, 11]
    error = (field.phi - true.phi)[:, :3].reshape(-1, 12)
    sd = field.sd
    length = np.linalg.norm(error[:, columns], axis=1)
    rows = [
        _row("nodes that could be measured", float(counted.sum()), float(use.sum()), np.nan, "nodes"),
        _mean_row("axial displacement, mean", true.phi[:, 0, 3], field.phi[:, 0, 3], use, "voxel"),
        _row("displacement, rms error", 0.0, _rms(error[use][:, columns]), _rms(sd[use][:, columns]), "voxel"),
        _row("displacement, median length of the error", 0.0, _median(length[use]), np.nan, "voxel"),
        _row("deformation gradient, rms error", 0.0, _rms(error[use][:, _GRADIENT]), _rms(sd[use][:, _GRADIENT]), "1"),
    ]
    gauges = np.isfinite(strain.volumetric) & (strain.measured >= 1.0) & counted
    for name, measured, expected in (
        ("axial strain zz, mean", strain.strain[:, 0, 0], true_strain.strain[:, 0, 0]),
        ("lateral strain yy, mean", strain.strain[:, 1, 1], true_strain.strain[:, 1, 1]),
        ("lateral strain xx, mean", strain.strain[:, 2, 2], true_strain.strain[:, 2, 2]),
        ("volumetric strain, mean", strain.volumetric, true_strain.volumetric),
    ):
        rows.append(_mean_row(name, expected, measured, gauges, "1"))
    scores = (error / np.where(sd > 0, sd, np.nan))[use]
    return {"errors": rows, "error_u_vox": np.where(use, length, np.nan), "z_scores": scores}


_GRADIENT = [k for k in range(12) if k not in (3, 7, 11)]


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float("nan")


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _mean_row(name: str, true: FloatArray, recovered: FloatArray, use: NDArray[np.bool_], unit: str) -> dict[str, Any]:
    expected, found = (float(values[use].mean()) if use.any() else float("nan") for values in (true, recovered))
    return _row(name, expected, found, np.nan, unit)


def _row(name: str, true: float, recovered: float, sd: float, unit: str) -> dict[str, Any]:
    return {"name": name, "true": true, "recovered": recovered, "error": recovered - true, "sd": sd, "unit": unit}

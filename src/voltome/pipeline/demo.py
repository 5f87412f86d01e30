"""The embedded default: a simulated experiment, correlated and compared with its truth."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.fields import DeformationField, FloatArray, NodeStatus, StrainField
from voltome.pipeline.correlate import CorrelateOptions, correlate_volumes, write_results
from voltome.pipeline.progress import OnProgress
from voltome.pipeline.simulate import build_twin, estimate_bytes, write_experiment
from voltome.pipeline.truth import find_truth

if TYPE_CHECKING:
    from voltome.twin.experiment import ElectrodeTwin

EXPERIMENT = "experiment"
"""Folder of the simulated experiment, beside the results."""

MASK = "electrode.tif"
"""Which voxels of the first scan are electrode, as a segmentation would give it: where the correlation looks."""

_NODE_SPACING_VOX = 6
_HALF_WINDOW_VOX = 10  # 4 micrometres, about a particle


def run_demo(
    out: str | Path,
    *,
    overwrite: bool = False,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Simulate the tiny experiment, correlate its first scan with the most charged one, and tell the errors.

    Parameters
    ----------
    out : str or Path
        Folder to write; the experiment lies in its folder `experiment`.
    overwrite : bool
    threads : int, optional
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        Summary; `truth` holds the errors.

    Raises
    ------
    InputError
        If the output exists.
    ResourceError
        If the disk is too small or the output cannot be written.
    """
    from voltome import dvc, io
    from voltome.io.staging import RESULT_NAMES
    from voltome.twin.configuration import make_settings

    settings = make_settings("tiny")
    charged = int(np.argmax([step.soc for step in settings.steps]))
    first, last = (f"{EXPERIMENT}/volumes/{settings.steps[number].name}.zarr" for number in (0, charged))
    with ExitStack() as stack:
        folder = stack.enter_context(
            io.staged_directory(out, overwrite=overwrite, replaces=(*RESULT_NAMES, EXPERIMENT, MASK))
        )
        io.check_free_space(out, estimate_bytes(settings))
        twin = build_twin(settings, threads=threads, on_progress=on_progress)
        write_experiment(folder / EXPERIMENT, twin, threads=threads, on_progress=on_progress)
        reference, deformed = (stack.enter_context(io.open_volume(folder / name)) for name in (first, last))
        mask = find_electrode(twin)
        io.write_volume(folder / MASK, mask, voxel_size_m=settings.voxel_size_m)
        options = CorrelateOptions(
            first, last, out, node_spacing_vox=_NODE_SPACING_VOX, half_window_vox=_HALF_WINDOW_VOX, threads=threads
        )
        result = correlate_volumes(reference, deformed, options, mask=mask, on_progress=on_progress)
        field = result.correlation.field
        true = find_truth(
            twin,
            charged,
            field.positions_vox,
            half_window_vox=_HALF_WINDOW_VOX,
            threads=threads,
            on_progress=on_progress,
        ).with_values(grid_shape=field.grid_shape)
        true_strain = dvc.compute_strain(true, measure=options.strain_measure, gradient=options.strain_gradient)
        parameters = {"node_spacing_vox": _NODE_SPACING_VOX, "half_window_vox": _HALF_WINDOW_VOX, "mask": MASK}
        return write_results(
            folder,
            result,
            (reference, deformed),
            parameters,
            voxel_size_m=settings.voxel_size_m,
            truth=compare_with_truth(field, true, result.strain, true_strain),
            threads=threads,
            on_progress=on_progress,
        )


def find_electrode(twin: ElectrodeTwin) -> NDArray[np.uint8]:
    """Voxels of the first scan whose centres lie in the electrode.

    Parameters
    ----------
    twin : ElectrodeTwin

    Returns
    -------
    (nz, ny, nx) uint8
        1 between collector and separator, 0 elsewhere.
    """
    shape = twin.settings.shape
    out = np.empty(shape, dtype=np.uint8)
    for z in range(shape[0]):
        plane = np.stack(np.meshgrid([z], *map(np.arange, shape[1:]), indexing="ij"), axis=-1).reshape(-1, 3)
        matter = twin.find_matter(0, plane.astype(np.float64))
        out[z] = twin.in_electrode(matter).reshape(shape[1:])
    return out


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

"""The embedded default: a synthetic electrode of known motion, correlated and compared with its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.fields import DeformationField, StrainField
from voltome.pipeline.correlate import CorrelateOptions, OnProgress, correlate_volumes, write_results

VOXEL_SIZE_M = 50e-9
_NODE_SPACING_VOX = 20
_HALF_WINDOW_VOX = 16


def run_demo(
    out: str | Path,
    *,
    overwrite: bool = False,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Make a small pair of known motion, correlate it, and write the report with the errors against the truth.

    Parameters
    ----------
    out : str or Path
        Folder to write; it also gets the pair as reference.tif and deformed.tif.
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
        If the output cannot be written.
    """
    from voltome import dvc, io, twin
    from voltome.io.staging import RESULT_NAMES

    pair_names = ("reference.tif", "deformed.tif")
    with io.staged_directory(out, overwrite=overwrite, replaces=(*RESULT_NAMES, *pair_names)) as folder:
        if on_progress is not None:
            on_progress("synthetic pair", 0, 1)
        pair = twin.demo_pair(threads=threads)
        volumes = (pair.reference, pair.deformed)
        for name, volume in zip(pair_names, volumes, strict=True):
            io.write_volume(folder / name, volume, voxel_size_m=VOXEL_SIZE_M)
        options = CorrelateOptions(
            *pair_names, out, node_spacing_vox=_NODE_SPACING_VOX, half_window_vox=_HALF_WINDOW_VOX, threads=threads
        )
        result = correlate_volumes(*volumes, options, on_progress=on_progress)
        field = result.correlation.field
        true = twin.true_field(
            pair.field,
            field.positions_vox,
            half_window_vox=_HALF_WINDOW_VOX,
            shape=pair.shape,
            grid_shape=field.grid_shape,
        )
        true_strain = dvc.compute_strain(true, measure=options.strain_measure, gradient=options.strain_gradient)
        parameters = {"node_spacing_vox": _NODE_SPACING_VOX, "half_window_vox": _HALF_WINDOW_VOX, "demo": True}
        return write_results(
            folder,
            result,
            volumes,
            parameters,
            voxel_size_m=VOXEL_SIZE_M,
            truth=compare_with_truth(field, true, result.strain, true_strain),
            threads=threads,
            on_progress=on_progress,
        )


def compare_with_truth(
    field: DeformationField, true: DeformationField, strain: StrainField, true_strain: StrainField
) -> dict[str, Any]:
    """Errors of a measured field over its trusted nodes, against what its windows could at best measure.

    Parameters
    ----------
    field, true : DeformationField
        On the same nodes.
    strain, true_strain : StrainField
        On the same points.

    Returns
    -------
    dict
        `errors`: rows with name, true, recovered, error, sd, unit; `error_u_vox` (N,) and `z_scores` of the trusted.
    """
    use = field.trusted
    columns = [3, 7, 11]
    error = (field.phi - true.phi)[:, :3].reshape(-1, 12)
    sd = field.sd
    length = np.linalg.norm(error[:, columns], axis=1)
    rows = [
        _row("displacement, rms error", 0.0, _rms(error[use][:, columns]), _rms(sd[use][:, columns]), "voxel"),
        _row("displacement, median length of the error", 0.0, float(np.median(length[use])), np.nan, "voxel"),
        _row("deformation gradient, rms error", 0.0, _rms(error[use][:, _GRADIENT]), _rms(sd[use][:, _GRADIENT]), "1"),
    ]
    gauges = np.isfinite(strain.volumetric) & (strain.measured >= 1.0)
    for name, measured, expected in (
        ("axial strain zz, mean", strain.strain[:, 0, 0], true_strain.strain[:, 0, 0]),
        ("lateral strain yy, mean", strain.strain[:, 1, 1], true_strain.strain[:, 1, 1]),
        ("lateral strain xx, mean", strain.strain[:, 2, 2], true_strain.strain[:, 2, 2]),
        ("volumetric strain, mean", strain.volumetric, true_strain.volumetric),
    ):
        rows.append(_row(name, float(expected[gauges].mean()), float(measured[gauges].mean()), np.nan, "1"))
    scores = (error / np.where(sd > 0, sd, np.nan))[use]
    return {"errors": rows, "error_u_vox": np.where(use, length, np.nan), "z_scores": scores}


_GRADIENT = [k for k in range(12) if k not in (3, 7, 11)]


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float("nan")


def _row(name: str, true: float, recovered: float, sd: float, unit: str) -> dict[str, Any]:
    return {"name": name, "true": true, "recovered": recovered, "error": recovered - true, "sd": sd, "unit": unit}

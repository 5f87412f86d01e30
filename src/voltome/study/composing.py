"""What scans say together: the noise that a repeat scan shows, and the way from the first scan to each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import PARAMETERS, DeformationField, NodeStatus, StrainField
from voltome.study.aligning import plan_alignment, read_alignment
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.study.settings import StrainSettings


def plan_noise(study: Study) -> Iterator[Result]:
    """The noise that each repeat scan shows.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    window = study.settings.correlation.window_vox
    for first, second in pairwise(study.settings.scans):
        if second.repeats is not None:
            pair = f"{first.name}-{second.name}"
            yield Result("noise", pair, {"half_window_vox": window}, inputs=(f"increments/{pair}",))


def make_noise(job: Job) -> None:
    """Compare the scatter of a repeat pair with what its covariance says.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io
    from voltome.dvc.repeat import measure_scatter

    field = io.read_field_zarr(job.store / "increments" / job.result.subject / "field.zarr")
    try:
        found: dict[str, Any] = {"refused": None}
        found |= asdict(measure_scatter(field, half_window_vox=job.result.parameters["half_window_vox"]))
    except InputError as error:  # too little of the pair was measured: that is a finding
        found = {"refused": str(error)}
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_json(folder / "noise.json", found)
    job.publish(f"noise/{job.result.subject}")


def read_factors(store: Path, repeats: Sequence[str]) -> tuple[float, float]:
    """By how much standard deviations of displacement and F are to be scaled.

    Parameters
    ----------
    store : Path
    repeats : sequence of str
        Repeat pairs, such as T8-T9.

    Returns
    -------
    tuple of float
        Root mean squares over the repeat pairs that tell; 1 where none does.
    """
    from voltome import io

    found = [io.read_json(store / "noise" / pair / "noise.json") for pair in repeats]
    told = [(noise["factor_u"], noise["factor_f"]) for noise in found if noise["refused"] is None]
    if not told:
        return 1.0, 1.0
    u, f = np.sqrt(np.mean(np.square(told), axis=0))
    return float(u), float(f)


def plan_cumulative(study: Study) -> Iterator[Result]:
    """The composed field and strain of each scan.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    scans, strain = study.settings.scans, study.settings.strain.model_dump(mode="json")
    noise = tuple(result.name for result in plan_noise(study))
    aligned = {result.subject: result.name for result in plan_alignment(study)}
    for t in range(1, len(scans)):
        increments = tuple(f"increments/{a.name}-{b.name}" for a, b in pairwise(scans[: t + 1]))
        name = scans[t].name
        yield Result("cumulative", name, strain, inputs=increments, optional=(*noise, aligned[name]))


def make_cumulative(job: Job) -> None:
    """Compose the increments up to a scan and derive strain.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    names = [name.removeprefix("increments/") for name in job.result.inputs if name.startswith("increments/")]
    repeats = [name.removeprefix("noise/") for name in job.result.inputs if name.startswith("noise/")]
    settings = job.study.settings
    job.run(
        "compose",
        compose_block,
        str(job.store),
        names,
        read_factors(job.store, repeats),
        settings.strain,
        settings.voxel_size_m,
        settings.correlation.window_vox,
        job.result.subject if f"alignment/{job.result.subject}" in job.result.inputs else None,
        str(job.out),
    )
    job.publish(f"cumulative/{job.result.subject}")


def compose_block(
    store: str,
    increments: Sequence[str],
    factors: tuple[float, float],
    strain_settings: StrainSettings,
    voxel_size_m: float,
    half_window_vox: int,
    aligned: str | None,
    out: str,
) -> dict[str, NDArray[Any]]:
    """Compose increments, take out the collector's motion, derive strain and write both.

    Parameters
    ----------
    store : str
    increments : sequence of str
        In order of time.
    factors : (float, float)
        Scale the standard deviations of displacement and of F.
    strain_settings : StrainSettings
    voxel_size_m : float
    half_window_vox : int
    aligned : str or None
        Scan whose alignment is taken out.
    out : str
        Folder to write.

    Returns
    -------
    dict
        Empty.
    """
    from voltome import dvc, io
    from voltome.alignment import align_field

    fields = [
        scale_noise(io.read_field_zarr(Path(store) / "increments" / name / "field.zarr"), *factors)
        for name in increments
    ]
    field, left = compose_series(fields)
    motion = None if aligned is None else read_alignment(Path(store), aligned)[1]
    if motion is not None:
        field = align_field(field, motion)
    field = field.with_values(sd_bias_vox=dvc.estimate_bias(field))
    strain = derive_strain(field, strain_settings)
    parameters: dict[str, object] = {"step": "cumulative", "increments": list(increments), "sd_factors": list(factors)}
    parameters |= {"aligned": motion is not None}
    parameters |= strain_settings.model_dump(mode="json")
    with io.staged_directory(out, overwrite=True, replaces=("*",)) as folder:
        io.write_field_zarr(
            folder / "field.zarr",
            field,
            strain=strain,
            voxel_size_m=voxel_size_m,
            attributes={"parameters": parameters},
        )
        io.write_phi_tsv(folder / "phi.tsv", field)
        io.write_strain_vtu(folder / "strain.vtu", field, strain, voxel_size_m=voxel_size_m)
        io.write_json(
            folder / "summary.json",
            summarise_state(field, strain, left, voxel_size_m, half_window_vox) | {"aligned": motion is not None},
        )
    return {}


def scale_noise(field: DeformationField, factor_u: float, factor_f: float) -> DeformationField:
    """Field whose standard deviations are scaled.

    Parameters
    ----------
    field : DeformationField
    factor_u, factor_f : float
        Of displacements and of F.

    Returns
    -------
    DeformationField
    """
    factor = np.array([factor_u if name.endswith("disp") else factor_f for name in PARAMETERS])
    return field.with_values(covariance=(field.covariance * np.outer(factor, factor)).astype(np.float32))


def compose_series(fields: Sequence[DeformationField]) -> tuple[DeformationField, int]:
    """Compose increments whose gaps are filled; what is filled on the way is marked so.

    Parameters
    ----------
    fields : sequence of DeformationField
        Raw increments in order of time.

    Returns
    -------
    field : DeformationField
        At the nodes of the first; NaN where that one is masked, or the matter leaves the field of view.
    left : int
        Nodes whose matter leaves the field of view.
    """
    from voltome import dvc

    if not all(field.trusted.any() for field in fields):
        number = next(i for i, field in enumerate(fields) if not field.trusted.any())
        raise InputError(f"increment {number + 1} has no trusted node: widen the window, or look at its scans")
    first = dvc.fill_field(fields[0])
    if len(fields) == 1:
        return first, 0
    composition = dvc.compose_fields([first, *map(_fill_beyond, fields[1:])])
    return composition.field, int((composition.left_at > 0).sum())


def _fill_beyond(field: DeformationField) -> DeformationField:
    """A later increment without gaps, continued beyond its region: matter of the first region may come to lie there."""
    from voltome import dvc

    status = np.where(field.status == NodeStatus.MASKED, NodeStatus.NOT_RUN, field.status).astype(np.int32)
    return dvc.fill_field(field, replace=~field.trusted).with_values(status=status)


def derive_strain(field: DeformationField, settings: StrainSettings) -> StrainField:
    """Strain of a composed field, smoothed as the study says.

    Parameters
    ----------
    field : DeformationField
    settings : StrainSettings

    Returns
    -------
    StrainField
    """
    from voltome import dvc
    from voltome.pipeline.correlate import no_strain

    if field.grid_shape is None or min(field.grid_shape) < 2:
        return no_strain(field, settings.measure)
    smooth = dvc.smooth_field(field, median_radius=settings.median_radius, gaussian_sigma=settings.gaussian_sigma)
    return dvc.compute_strain(smooth, measure=settings.measure, gradient=settings.gradient)


def summarise_state(
    field: DeformationField, strain: StrainField, left: int, voxel_size_m: float, half_window_vox: int
) -> dict[str, Any]:
    """Numbers of a scan's state against the first scan: means over trusted nodes, with the sd of the mean (random).

    Parameters
    ----------
    field : DeformationField
        Composed.
    strain : StrainField
    left : int
        Nodes that leave the field of view.
    voxel_size_m : float
    half_window_vox : int
        Windows that overlap share their noise.

    Returns
    -------
    dict
        `nodes`, `nodes_converged`, `nodes_trusted`, `nodes_filled`, `nodes_left` (matter that left the field of view),
        `zncc_median`, and mean and sd of
        `displacement_z_m`, `strain_volumetric`, `strain_zz`, `strain_yy`, `strain_xx`; None where nothing counts.
    """
    finite = np.isfinite(field.phi).all(axis=(1, 2))
    trusted = field.trusted & finite
    gauges = np.isfinite(strain.volumetric) & (strain.measured >= 1.0)
    spacing = np.nanmin(field.node_spacing_vox) if field.node_spacing_vox is not None else 1.0
    shared = max(1.0, float((2 * half_window_vox + 1) / spacing)) ** 3
    values = {
        "displacement_z_m": (field.displacement_vox[:, 0] * voxel_size_m, field.sd[:, 3] * voxel_size_m, trusted),
        "strain_volumetric": (strain.volumetric, strain.volumetric_sd, gauges),
        "strain_zz": (strain.strain[:, 0, 0], strain.strain_sd[:, 0, 0], gauges),
        "strain_yy": (strain.strain[:, 1, 1], strain.strain_sd[:, 1, 1], gauges),
        "strain_xx": (strain.strain[:, 2, 2], strain.strain_sd[:, 2, 2], gauges),
    }
    out: dict[str, Any] = {
        "nodes": int((field.status != NodeStatus.MASKED).sum()),
        "nodes_converged": int((field.converged & finite).sum()),
        "nodes_trusted": int(trusted.sum()),
        "nodes_filled": int((finite & (field.filled == 1)).sum()),
        "nodes_left": left,
        "zncc_median": float(np.median(field.zncc[trusted])) if trusted.any() else None,
    }
    for name, (value, sd, use) in values.items():
        independent = max(1.0, use.sum() / shared)
        out[name] = float(value[use].mean()) if use.any() else None
        known = use & np.isfinite(sd)
        stem, suffix = (name[:-2], "_sd_m") if name.endswith("_m") else (name, "_sd")
        out[stem + suffix] = float(np.sqrt(np.mean(sd[known] ** 2) / independent)) if known.any() else None
    return out

"""Labelled particles of a pair on disk: their own motion beside the local field."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import VolumeSource

if TYPE_CHECKING:
    from voltome.dvc.labels import Particles
    from voltome.dvc.particle_motion import ParticleCorrelation

OnProgress = Callable[[str, int, int], None]

_TENSOR = tuple((a, b) for a in range(3) for b in range(a, 3))


@dataclass(frozen=True)
class LabelledParticles:
    """A label volume and the particles that were found in it."""

    labels: VolumeSource
    particles: Particles


def open_labels(
    path: str | Path | None,
    shape: tuple[int, ...],
    stack: ExitStack,
    *,
    dtype: str | None = None,
    dilation_vox: float | None = None,
    on_progress: OnProgress | None = None,
) -> LabelledParticles | None:
    """Open a label volume and find its particles: what is wrong with it is told before anything is correlated.

    Parameters
    ----------
    path : str, Path or None
        As `voltome.io.open_volume` takes it; a raw file has the shape of the pair.
    shape : tuple of int
        Of the pair.
    stack : ExitStack
        Closes the volume.
    dtype : str, optional
        Type of a raw file; uint32 by default.
    dilation_vox : float, optional
        Checked here, too.
    on_progress : callable, optional
        Called with "labels", done, total.

    Returns
    -------
    LabelledParticles or None
        None where no path is given.

    Raises
    ------
    InputError
        If it is no volume of labels, has another shape or holds no label, or the dilation is out of range or has no
        labels to go with.
    """
    from voltome.dvc.labels import check_dilation, find_particles
    from voltome.io import open_volume

    if dilation_vox is not None:
        check_dilation(dilation_vox)
    if path is None and dilation_vox is not None:
        raise InputError(f"a label dilation needs labels (got {dilation_vox:g} without): give --labels as well")
    if path is None:
        return None
    raw = str(path).endswith((".raw", ".bin", ".vol"))
    labels = stack.enter_context(
        open_volume(path, shape=shape if raw else None, dtype=(dtype or "<u4") if raw else None)
    )

    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("labels", done, total)

    return LabelledParticles(labels, find_particles(labels, shape=shape, on_progress=report))


def write_particles(
    path: Path,
    labelled: LabelledParticles,
    volumes: tuple[VolumeSource, VolumeSource],
    start: DeformationField,
    *,
    mask: VolumeSource | None = None,
    grey_window: tuple[float, float] | None = None,
    dilation_vox: float | None = None,
    interpolation: str = "cubic",
    min_coverage: float = 0.5,
    max_iterations: int = 50,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Correlate particles and write their table.

    Parameters
    ----------
    path : Path
        The .tsv to write.
    labelled : LabelledParticles
    volumes : pair of VolumeSource
        Reference and deformed.
    start : DeformationField
        The local field.
    mask, grey_window, dilation_vox, interpolation, min_coverage, max_iterations, threads
        As `voltome.dvc.correlate_particles` takes them.
    on_progress : callable, optional
        Called with "particles", done, total.

    Returns
    -------
    dict
        What stands under `particles` in summary.json.

    Raises
    ------
    InputError
        As `voltome.dvc.correlate_particles`.
    ResourceError
        If the table cannot be written.
    """
    from voltome.dvc import correlate_particles
    from voltome.io import write_particle_tsv

    clock = time.perf_counter()
    result = correlate_particles(
        *volumes,
        labelled.labels,
        start,
        particles=labelled.particles,
        dilation_vox=dilation_vox,
        mask=mask,
        grey_window=grey_window,
        interpolation=interpolation,
        min_coverage=min_coverage,
        max_iterations=max_iterations,
        threads=threads,
        on_progress=on_progress,
    )
    lost = result.field.status < NodeStatus.ITERATIONS_SPENT
    found = result.field.with_values(phi=np.where(lost[:, None, None], np.nan, result.field.phi))
    write_particle_tsv(path, result.particles.labels, found, particle_columns(result))
    return summarise_particles(result, seconds=time.perf_counter() - clock)


def particle_columns(result: ParticleCorrelation) -> dict[str, NDArray[Any]]:
    """What the table says of each particle beside its Phi.

    Parameters
    ----------
    result : ParticleCorrelation

    Returns
    -------
    dict
        `Zrot_deg` ... (rotation vector, right-handed in x, y, z) and their sd, `volume_vox`, `coverage`, `kind` (what
        Phi is: "rigid" or "affine"; "none" where nothing was found), `znccRigid`, `znccAffine`, then the own strain
        (Hencky) `Ezz Ezy Ezx Eyy Eyx Exx` and its sd, `volumetric` (det F - 1) and its sd. NaN where nothing was found.
    """
    columns: dict[str, NDArray[Any]] = {}
    lost = result.field.status < NodeStatus.ITERATIONS_SPENT
    for k, axis in enumerate("ZYX"):
        columns[f"{axis}rot_deg"] = np.where(lost, np.nan, np.degrees(result.rotation_rad[:, k]))
    for k, axis in enumerate("ZYX"):
        columns[f"sd{axis}rot_deg"] = np.degrees(result.rotation_sd_rad[:, k]).astype(np.float32)
    columns["volume_vox"] = result.particles.volumes_vox
    columns["coverage"] = result.coverage.astype(np.float32)
    columns["kind"] = np.where(lost, "none", np.where(result.deforms, "affine", "rigid"))
    columns["znccRigid"], columns["znccAffine"] = result.rigid.zncc, result.affine.zncc
    columns |= {f"E{'zyx'[a]}{'zyx'[b]}": result.strain[:, a, b] for a, b in _TENSOR}
    columns |= {f"sdE{'zyx'[a]}{'zyx'[b]}": result.strain_sd[:, a, b].astype(np.float32) for a, b in _TENSOR}
    columns["volumetric"] = result.volumetric
    columns["sdVolumetric"] = result.volumetric_sd.astype(np.float32)
    return columns


def summarise_particles(result: ParticleCorrelation, *, seconds: float) -> dict[str, Any]:
    """Numbers of the particles, as in summary.json.

    Parameters
    ----------
    result : ParticleCorrelation
    seconds : float
        Wall time.

    Returns
    -------
    dict
        Counts, and medians over trusted particles.
    """
    field, trusted = result.field, result.field.trusted
    statuses, counts = np.unique(field.status, return_counts=True)

    def median(values: NDArray[Any]) -> Any:
        chosen = values[trusted & np.isfinite(values)]
        return float(np.median(chosen)) if len(chosen) else None

    return {
        "total": len(result),
        "converged": int(field.converged.sum()),
        "by_status": {str(int(s)): int(n) for s, n in zip(statuses, counts, strict=True)},
        "suspect": int(field.suspect.sum()),
        "suspect_by_reason": result.suspects,
        "trusted": int(trusted.sum()),
        "deforming": int((result.deforms & trusted).sum()),
        "too_large": int(result.too_large.sum()),
        "dilation_vox": result.dilation_vox,
        "medians": {
            "rotation_deg": median(np.degrees(np.linalg.norm(result.rotation_rad, axis=1))),
            "sd_rotation_deg": median(np.degrees(result.rotation_sd_rad).mean(axis=1)),
            "sd_displacement_vox": median(field.sd[:, 3::4].mean(axis=1)),
            "volumetric_strain": median(result.volumetric),
            "sd_volumetric_strain": median(result.volumetric_sd),
            "zncc": median(field.zncc),
            "volume_vox": median(result.particles.volumes_vox.astype(np.float64)),
        },
        "seconds": round(seconds, 3),
    }

"""Volumes deformed by a field on disk, and residuals of a pair, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from voltome.pipeline.volumes import refuse_replacing

OnProgress = Callable[[str, int, int], None]


def deform_volume(
    reference: str | Path,
    phi_tsv: str | Path,
    out: str | Path,
    *,
    interpolation: str = "cubic",
    threads: int | None = None,
    overwrite: bool = False,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Deform a reference volume by a field and write it as float32; see `voltome.dvc.deform_volume`.

    Parameters
    ----------
    reference : str or Path
    phi_tsv : str or Path
        Field from the reference to the deformed state; a registration of one row will do.
    out : str or Path
        Volume to write, any format of `voltome.io.write_volume`.
    interpolation : str
        "cubic" or "linear".
    threads : int, optional
    overwrite : bool
    shape, dtype : optional
        Of a raw reference.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    None
        The volume stands when this returns.

    Raises
    ------
    InputError
        If an input breaks a rule or the output exists.
    ResourceError
        If the output cannot be written.
    """
    from voltome import dvc, io

    refuse_replacing(reference, out)
    field = io.read_phi_tsv(phi_tsv)
    with ExitStack() as stack:
        volume = stack.enter_context(io.open_volume(reference, shape=shape, dtype=dtype))
        pool = stack.enter_context(dvc.thread_pool(threads))
        deformed = dvc.DeformedVolume(volume, field, inverse=True, interpolation=interpolation, pool=pool)
        io.write_volume(
            out,
            deformed,
            voxel_size_m=volume.voxel_size_m,
            overwrite=overwrite,
            on_progress=_staged(on_progress, "deform"),
        )


def write_residual(
    reference: str | Path,
    deformed: str | Path,
    phi_tsv: str | Path,
    out: str | Path,
    *,
    interpolation: str = "cubic",
    threads: int | None = None,
    overwrite: bool = False,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Write the residual of a pair as float32; see `voltome.dvc.subtract_deformed`.

    Parameters
    ----------
    reference, deformed : str or Path
    phi_tsv : str or Path
    out : str or Path
    interpolation : str
        "cubic" or "linear".
    threads : int, optional
    overwrite : bool
    shape, dtype : optional
        Of raw volumes.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    None
        The volume stands when this returns.

    Raises
    ------
    InputError
        If an input breaks a rule or the output exists.
    ResourceError
        If the output cannot be written.
    """
    from voltome import dvc, io

    refuse_replacing(reference, out)
    refuse_replacing(deformed, out)
    field = io.read_phi_tsv(phi_tsv)
    with ExitStack() as stack:
        first = stack.enter_context(io.open_volume(reference, shape=shape, dtype=dtype))
        second = stack.enter_context(io.open_volume(deformed, shape=shape, dtype=dtype))
        pool = stack.enter_context(dvc.thread_pool(threads))
        residual = dvc.open_residual(first, second, field, interpolation=interpolation, pool=pool)
        io.write_volume(
            out,
            residual,
            voxel_size_m=first.voxel_size_m,
            overwrite=overwrite,
            on_progress=_staged(on_progress, "residual"),
        )


def _staged(on_progress: OnProgress | None, stage: str) -> Callable[[int, int], None] | None:
    return None if on_progress is None else (lambda done, total: on_progress(stage, done, total))

"""Labels in a file become scores against labels that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.pipeline.progress import OnProgress

if TYPE_CHECKING:
    from voltome.segmentation.evaluation import Comparison


def evaluate_labels(
    predicted: str | Path,
    truth: str | Path,
    *,
    names: Mapping[int, str] | None = None,
    merge: Mapping[int, int] | None = None,
    planes_apart: bool = False,
    overlap_only: bool = False,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compare labels in a file with the truth in another, block by block.

    Parameters
    ----------
    predicted, truth : str or Path
        As `voltome.io.open_volume` takes them, or single images.
    names, merge, planes_apart, overlap_only, threads
        As `voltome.segmentation.compare_labels` takes them.
    shape, dtype : optional
        Shape (z, y, x) and type of raw files.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If a file holds no volume or image, or `compare_labels` refuses the labels.
    ResourceError
        If one cannot be read.
    """
    from voltome.segmentation.evaluation import compare_labels

    with ExitStack() as stack:
        ours, theirs = (open_volume_or_image(name, stack, shape=shape, dtype=dtype) for name in (predicted, truth))
        return compare_labels(
            ours,
            theirs,
            names=names,
            merge=merge,
            planes_apart=planes_apart,
            overlap_only=overlap_only,
            threads=threads,
            on_progress=on_progress,
        )


def open_volume_or_image(
    name: str | Path, stack: ExitStack, *, shape: Sequence[int] | None = None, dtype: str | None = None
) -> VolumeSource:
    """Open a volume; a file that holds a single image becomes one plane.

    Parameters
    ----------
    name : str or Path
    stack : ExitStack
        Closes it.
    shape, dtype : optional
        Of a raw file.

    Returns
    -------
    VolumeSource

    Raises
    ------
    InputError
        If it is neither.
    ResourceError
        If it cannot be read.
    """
    from voltome import io

    try:
        return stack.enter_context(io.open_volume(name, shape=shape, dtype=dtype, voxel_size_m=1.0))  # none is wanted
    except InputError as refused:
        try:
            return io.read_image(name)[None]
        except InputError:
            raise refused from None

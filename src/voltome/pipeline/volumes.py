"""Convert volumes between formats, and describe them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voltome.errors import InputError
from voltome.io.volume import Volume
from voltome.io.volumes import open_volume, split_name, write_volume

_SAMPLE_BYTES = 2**28
_SLAB_BYTES = 2**26


def convert_volume(
    source: str | Path,
    target: str | Path,
    *,
    shape: Sequence[int] | None = None,
    dtype: str | np.dtype[Any] | None = None,
    voxel_size_m: float | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a volume in another format, block by block.

    Parameters
    ----------
    source : str or Path
        As `voltome.io.open_volume` takes it.
    target : str or Path
        As `voltome.io.write_volume` takes it; voxel values and type stay as they are.
    shape, dtype : optional
        Shape (z, y, x) and type ("<u2") of a raw source.
    voxel_size_m : float, optional
        Edge of the voxel in metres; None takes the source's own.
    overwrite : bool
        Replace an existing target.
    on_progress : callable, optional
        Called with (done, total).

    Returns
    -------
    None
        The volume stands when this returns.

    Raises
    ------
    InputError
        If the source is no volume, the target has no known format or exists, or one would replace the other.
    ResourceError
        If the disk is full or there is no permission.
    """
    refuse_replacing(source, target)
    with open_volume(source, shape=shape, dtype=dtype, voxel_size_m=voxel_size_m) as volume:
        write_volume(target, volume, overwrite=overwrite, on_progress=on_progress)


def describe_volume(
    path: str | Path,
    *,
    shape: Sequence[int] | None = None,
    dtype: str | np.dtype[Any] | None = None,
    voxel_size_m: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Say what a volume is, with the range of its values.

    Parameters
    ----------
    path, shape, dtype, voxel_size_m
        As `voltome.io.open_volume` takes them.
    on_progress : callable, optional
        Called with (done, total) slices.

    Returns
    -------
    dict
        `path`, `format`, `shape`, `dtype`, `voxel_size_m`, `field_of_view_m` (z, y, x; None without a voxel size),
        `size_on_disk_bytes`, `minimum`, `maximum`, `mean` (of what is not NaN; None where all is NaN), `nan_voxels`,
        and `values_from`: "the whole volume", or "n of N slices" where it is larger than 256 MB.

    Raises
    ------
    InputError
        If it is no volume.
    ResourceError
        If it cannot be read.
    """
    with open_volume(path, shape=shape, dtype=dtype, voxel_size_m=voxel_size_m) as volume:
        size = volume.voxel_size_m
        described = {
            "path": volume.path,
            "format": volume.format,
            "shape": list(volume.shape),
            "dtype": str(volume.dtype),
            "voxel_size_m": size,
            "field_of_view_m": None if size is None else [n * size for n in volume.shape],
            "size_on_disk_bytes": _size_on_disk(split_name(path)[0]),
        }
        return described | _describe_values(volume, on_progress)


def _describe_values(volume: Volume, on_progress: Callable[[int, int], None] | None) -> dict[str, Any]:
    slabs = _sampled_slabs(volume)
    total, done = sum(stop - start for start, stop in slabs), 0
    minimum, maximum, summed, counted, nan = math.inf, -math.inf, 0.0, 0, 0
    for start, stop in slabs:
        values = volume[start:stop, :, :]
        if values.dtype.kind == "f":
            known = values[~np.isnan(values)]
            nan += values.size - known.size
            values = known
        if values.size:
            minimum, maximum = min(minimum, values.min().item()), max(maximum, values.max().item())
            summed += float(values.sum(dtype=np.float64))
            counted += values.size
        done += stop - start
        if on_progress is not None:
            on_progress(done, total)
    whole = total == volume.shape[0]
    return {
        "minimum": minimum if counted else None,
        "maximum": maximum if counted else None,
        "mean": summed / counted if counted else None,
        "nan_voxels": nan,
        "values_from": "the whole volume" if whole else f"{total} of {volume.shape[0]} slices",
    }


def _sampled_slabs(volume: Volume) -> list[tuple[int, int]]:
    """All slabs of a volume up to the sample size, else some of them at even distances, the ends included."""
    layers = volume.shape[0]
    layer_bytes = volume.shape[1] * volume.shape[2] * volume.dtype.itemsize
    deep = min(volume.chunk_shape[0], layers)
    depth = deep * max(1, _SLAB_BYTES // (layer_bytes * deep))
    if layers * layer_bytes > _SAMPLE_BYTES:
        depth = deep  # thin slabs sample more places
    starts = list(range(0, layers, depth))
    wanted = max(2, _SAMPLE_BYTES // (layer_bytes * depth))
    if layers * layer_bytes > _SAMPLE_BYTES and wanted < len(starts):
        starts = [starts[i] for i in np.unique(np.linspace(0, len(starts) - 1, wanted).round().astype(int))]
    return [(start, min(start + depth, layers)) for start in starts]


def _size_on_disk(place: Path) -> int:
    if place.is_file():
        return place.stat().st_size
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def refuse_replacing(source: str | Path, target: str | Path) -> None:
    """Raise if a volume would be written over one that is being read.

    Parameters
    ----------
    source, target : str or Path

    Returns
    -------
    None
        They differ when this returns.

    Raises
    ------
    InputError
        If they are the same, or the target is a folder that holds the source.
    """
    inside, outside = (Path(os.path.realpath(split_name(name)[0])) for name in (source, target))
    if inside == outside or outside in inside.parents or inside in outside.parents:
        raise InputError(f"{target} would replace or change {source}, which is being read: give another output")

"""The particles of a label volume: where each lies, how large it is, and the mask it is correlated in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import FloatArray
from voltome.grid import VolumeSource

_SLAB_VOXELS = 1 << 22
_MOST_DILATION_VOX = 20


@dataclass(frozen=True)
class Particles:
    """Labels that occur in a volume, ascending.

    Parameters
    ----------
    labels : (N,) int64
    volumes_vox : (N,) int64
        Number of voxels.
    centroids_vox : (N, 3) float64
        Mean position of the voxels.
    low, high : (N, 3) int64
        Bounding box, half-open.
    """

    labels: NDArray[np.int64]
    volumes_vox: NDArray[np.int64]
    centroids_vox: FloatArray
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def find_particles(
    labels: VolumeSource, *, shape: tuple[int, ...] | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Particles:
    """Find all labels of a volume, slab by slab; 0 is background, gaps in the numbering do not matter.

    Parameters
    ----------
    labels : VolumeSource
        (z, y, x), whole numbers.
    shape : tuple of int, optional
        The shape it has to have.
    on_progress : callable, optional
        Called with planes done and planes in all.

    Returns
    -------
    Particles
        Memory: some 40 bytes for each voxel of a slab, and 100 bytes for each particle.

    Raises
    ------
    InputError
        If the shape is another, voxels are not whole numbers or negative, or there is no label but 0.
    """
    if shape is not None and tuple(labels.shape) != tuple(shape):
        raise InputError(
            f"the labels must have the volumes' shape {tuple(shape)} (got {tuple(labels.shape)}): crop or pad them"
        )
    if np.dtype(labels.dtype).kind not in "bui":
        raise InputError(f"labels must be whole numbers (got {labels.dtype}): save them as uint32 or uint16")
    depth, height, width = labels.shape
    layer: int = getattr(labels, "chunk_shape", (1, 1, 1))[0]
    step = layer * max(1, _SLAB_VOXELS // (height * width * layer))
    slabs = []
    for first in range(0, depth, step):
        stop = min(first + step, depth)
        slab = np.asarray(labels[slice(first, stop), slice(0, height), slice(0, width)])
        if slab.dtype.kind == "i" and slab.min() < 0:
            raise InputError(f"labels must be >= 0 (found {slab.min()}): give 0 to the background and 1, 2, ... else")
        slabs.append(_sum_runs(slab, first))
        if on_progress is not None:
            on_progress(stop, depth)
    particles = _join(slabs)
    if not len(particles):
        raise InputError("the labels hold no particle (every voxel is 0): give a volume with labels 1, 2, ...")
    return particles


def _sum_runs(slab: NDArray[np.integer], first: int) -> Particles:
    """Particles of a slab, from its runs of equal labels along x: there are far fewer runs than voxels."""
    width = slab.shape[2]
    flat = np.ascontiguousarray(slab).ravel()
    begins = np.empty(flat.size, dtype=np.bool_)
    begins[0] = True
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[::width] = True
    start = np.flatnonzero(begins)
    length = np.diff(start, append=flat.size)
    inside = flat[start] != 0
    start, length = start[inside], length[inside]
    numbers, member = np.unique(flat[start].astype(np.int64), return_inverse=True)
    z, y, x = np.unravel_index(start, slab.shape)
    corner = np.stack([z + first, y, x], axis=1).astype(np.int64)
    end = corner + np.stack([np.ones_like(length), np.ones_like(length), length], axis=1)
    middle = corner + np.stack([0.0 * length, 0.0 * length, 0.5 * (length - 1)], axis=1)
    volume = np.bincount(member, length, len(numbers))
    moments = [np.bincount(member, length * middle[:, axis], len(numbers)) for axis in range(3)]
    return Particles(
        numbers,
        volume.astype(np.int64),
        np.stack(moments, axis=1) / np.maximum(volume, 1.0)[:, None],
        *_extremes(member, corner, end, len(numbers)),
    )


def _extremes(
    member: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Smallest `low` and largest `high` of each member, (count, 3)."""
    order = np.argsort(member, kind="stable")
    edges = np.searchsorted(member[order], np.arange(count))
    if not count:
        return np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3), dtype=np.int64)
    return np.minimum.reduceat(low[order], edges), np.maximum.reduceat(high[order], edges)


def _join(slabs: list[Particles]) -> Particles:
    """Particles of a volume from those of its slabs."""
    numbers, member = np.unique(np.concatenate([slab.labels for slab in slabs]), return_inverse=True)
    volumes = np.concatenate([slab.volumes_vox for slab in slabs])
    centroids = np.concatenate([slab.centroids_vox for slab in slabs])
    volume = np.bincount(member, volumes, len(numbers))
    moments = [np.bincount(member, volumes * centroids[:, axis], len(numbers)) for axis in range(3)]
    low, high = (np.concatenate([getattr(slab, name) for slab in slabs]) for name in ("low", "high"))
    return Particles(
        numbers,
        volume.astype(np.int64),
        np.stack(moments, axis=1) / np.maximum(volume, 1.0)[:, None],
        *_extremes(member, low, high, len(numbers)),
    )


def check_dilation(dilation_vox: float) -> None:
    """Rule for how far a particle's window may reach beyond its label.

    Parameters
    ----------
    dilation_vox : float

    Returns
    -------
    None
        It can be used when this returns.

    Raises
    ------
    InputError
        If it is out of range or not a number.
    """
    if not -_MOST_DILATION_VOX <= dilation_vox <= _MOST_DILATION_VOX:
        raise InputError(
            f"the label dilation must be -{_MOST_DILATION_VOX} to {_MOST_DILATION_VOX} voxels (got {dilation_vox}): "
            "give a few voxels, below 0 to shrink the labels"
        )


def grow_label(labels: NDArray[np.integer], number: int, by_vox: float) -> NDArray[np.bool_]:
    """Voxels of a label and those within some distance of it, but no voxels of other labels: they move differently.

    Parameters
    ----------
    labels : (z, y, x) int
    number : int
    by_vox : float
        Distance between voxel centres. Below 0 the label shrinks: voxels so close to anything else drop out, and so do
        those at the array's faces.

    Returns
    -------
    (z, y, x) bool
    """
    from scipy.ndimage import distance_transform_edt

    own: NDArray[np.bool_] = np.asarray(labels == number)
    if abs(by_vox) < 1 or not own.any():
        return own
    if by_vox < 0:
        deep: NDArray[np.bool_] = np.asarray(distance_transform_edt(np.pad(own, 1)) > -by_vox)
        return deep[1:-1, 1:-1, 1:-1]
    near: NDArray[np.bool_] = (distance_transform_edt(~own) <= by_vox) & (own | (labels == 0))
    return near

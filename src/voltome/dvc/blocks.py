"""What a correlation reads: normalised float32 blocks with gradients or spline coefficients, and reduced volumes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, VolumeSource, make_block
from voltome.kernels import filters
from voltome.kernels.moments import Deformed, Reference
from voltome.kernels.sampling import TAIL

_SLAB_VOXELS = 1 << 20
"""Read at a time: few enough to stay in the processor's cache, and memory that is touched once is dear."""


@dataclass(frozen=True)
class GreyScale:
    """Offset and scale that bring a volume's grey values near 0 +- 1, so that float32 sums keep their digits."""

    offset: float
    scale: float


class ReducedVolume:
    """A volume whose voxels are means over cubes of `factor` voxels, computed when a block is read.

    Voxel J covers the full voxels factor J .. factor J + factor - 1: its centre lies at factor J + (factor - 1) / 2.
    Memory: 4 bytes for each full voxel of the block that is read.
    """

    def __init__(self, source: VolumeSource, factor: int) -> None:
        self.source = source
        self.factor = factor
        self.shape = tuple(n // factor for n in source.shape)
        self.dtype = np.dtype(np.float32)
        self.chunk_shape = tuple(max(1, n // factor) for n in getattr(source, "chunk_shape", (1, 1, 1)))

    def __getitem__(self, block: Block) -> NDArray[np.float32]:
        low, high = [s.start for s in block], [s.stop for s in block]
        out = np.empty([b - a for a, b in zip(low, high, strict=True)], dtype=np.float32)
        plane = out[0].size * self.factor**3 if len(out) else 0
        for first, stop in _cut_planes(self, low[0], high[0], plane):
            full = make_block(np.array([first, *low[1:]]) * self.factor, np.array([stop, *high[1:]]) * self.factor)
            values = np.ascontiguousarray(self.source[full], dtype=np.float32)
            filters.block_mean(values, self.factor, out[first - low[0] : stop - low[0]], 0, stop - first)
        return out


def _cut_planes(source: VolumeSource, first: int, stop: int, plane_voxels: int) -> Iterator[tuple[int, int]]:
    """Slabs of planes first..stop of some `_SLAB_VOXELS`, in whole layers of the source's chunks where it has any."""
    layer: int = getattr(source, "chunk_shape", (1, 1, 1))[0]
    depth = layer * max(1, _SLAB_VOXELS // max(1, plane_voxels * layer))
    edges = [first, *range((first // depth + 1) * depth, stop, depth), stop]
    return itertools.pairwise(edges)


def reduce_volume(source: VolumeSource, factor: int) -> VolumeSource:
    """The volume itself for a factor of 1, else its block means.

    Parameters
    ----------
    source : VolumeSource
        One with a pyramid has a method `reduced` that gives the block means, or None where it has not got these.
    factor : int
        Voxels along the side of a block.

    Returns
    -------
    VolumeSource
    """
    if factor == 1:
        return source
    known: VolumeSource | None = source.reduced(factor) if hasattr(source, "reduced") else None
    return ReducedVolume(source, factor) if known is None else known


def check_pair(reference: VolumeSource, deformed: VolumeSource, mask: VolumeSource | None = None) -> None:
    """Rules that two volumes and a mask have to keep.

    Parameters
    ----------
    reference, deformed : VolumeSource
    mask : VolumeSource, optional

    Returns
    -------
    None
        They fit together when this returns.

    Raises
    ------
    InputError
        If a volume is not three-dimensional, empty, complex, or the shapes differ.
    """
    for name, volume in (("reference", reference), ("deformed", deformed), ("mask", mask)):
        if volume is None:
            continue
        if len(volume.shape) != 3 or min(volume.shape) < 1:
            raise InputError(
                f"the {name} volume must have three dimensions (got shape {volume.shape}): give a 3D volume"
            )
        if np.dtype(volume.dtype).kind not in "buif":
            raise InputError(f"the {name} volume must hold real numbers (got {volume.dtype}): convert it first")
    if reference.shape != deformed.shape:
        raise InputError(
            f"both volumes must have one shape (got {reference.shape} and {deformed.shape}): crop or pad one of them"
        )
    if mask is not None and mask.shape != reference.shape:
        raise InputError(
            f"the mask must have the volume's shape {reference.shape} (got {mask.shape}): resample the mask"
        )


def measure_grey_scale(source: VolumeSource, *, name: str = "volume", mask: VolumeSource | None = None) -> GreyScale:
    """Mean and standard deviation of a volume from up to 64 of its planes.

    Parameters
    ----------
    source : VolumeSource
    name : str
        What an error message calls the volume.
    mask : VolumeSource, optional
        Voxels where it is 0 do not count.

    Returns
    -------
    GreyScale

    Raises
    ------
    InputError
        If the volume is constant or has no finite value, the mask covers nothing or is none.
    """
    count, total, squares, first = 0.0, 0.0, 0.0, None
    ny, nx = source.shape[1], source.shape[2]
    wanted = min(64, max(4, (1 << 25) // (ny * nx)))
    for z in np.unique(np.linspace(0, source.shape[0] - 1, wanted).round().astype(int)):
        block = (slice(int(z), int(z) + 1), slice(0, ny), slice(0, nx))
        values = np.asarray(source[block], dtype=np.float64)
        chosen = values[np.isfinite(values) & (_covers(mask[block]) if mask is not None else True)]
        if chosen.size:
            first = float(chosen[0]) if first is None else first
            shifted = chosen - first
            count, total, squares = count + chosen.size, total + shifted.sum(), squares + np.square(shifted).sum()
    if not count and mask is not None:
        raise InputError("the mask covers no voxel: give a mask that is above 0 where the material is")
    if not count:
        raise InputError(f"the {name} volume holds no finite grey value: check the file")
    variance = squares / count - (total / count) ** 2
    if not variance > 0.0:
        raise InputError(f"the {name} volume is constant (grey value {first:g}): there is no texture to correlate")
    return GreyScale(offset=float(first or 0.0) + total / count, scale=float(1.0 / np.sqrt(variance)))


def _covers(mask: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where a block of a mask is above 0; whole numbers count as 0 and 1, and NaN as 0."""
    values = np.nan_to_num(np.asarray(mask))
    if values.dtype.kind == "f" and values.size and (values.min() < 0.0 or values.max() > 1.0):
        raise InputError(
            f"the mask must hold weights from 0 to 1 (got {values.min():g} to {values.max():g}): give a mask, not an "
            "image, or divide it by its largest weight"
        )
    return np.asarray(values > 0)


def run_slabs(pool: ThreadPoolExecutor, work: Callable[[int, int], None], size: int) -> None:
    """Call work(first, stop) on slabs of 0..size in the pool's threads.

    Parameters
    ----------
    pool : ThreadPoolExecutor
    work : callable
    size : int

    Returns
    -------
    None
        All slabs are done when this returns; an error of one of them is raised.
    """
    slab = max(8, -(-size // 16))
    for done in [pool.submit(work, first, min(first + slab, size)) for first in range(0, size, slab)]:
        done.result()


class Buffers:
    """Flat arrays that serve one block after the other: memory that is new costs more than reading a block into it."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.float32]] = {}

    def take(self, name: str, voxels: int) -> NDArray[np.float32]:
        """Array of this name for so many voxels and `TAIL` spare elements, which are 0.

        Parameters
        ----------
        name : str
        voxels : int

        Returns
        -------
        (voxels + TAIL,) float32
            Holds finite values of an earlier block, or zeros; it is overwritten when the name is asked for again.
        """
        if name not in self._arrays or self._arrays[name].size < voxels + TAIL:
            self._arrays.pop(name, None)
            self._arrays[name] = np.zeros(voxels + TAIL, dtype=np.float32)
        flat = self._arrays[name][: voxels + TAIL]
        flat[voxels:] = 0.0
        return flat


def read_normalised(
    source: VolumeSource,
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    scale: GreyScale,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Block start..stop as flat float32 with `TAIL` spare elements, continued where it leaves the volume.

    Parameters
    ----------
    source : VolumeSource
    start, stop : (3,) int64
        Corners in voxels; they may lie outside the volume.
    scale : GreyScale
    out : (n + TAIL,) float32, optional
        Where to put it; `Buffers.take` gives such arrays.

    Returns
    -------
    (n + TAIL,) float32
        (grey - offset) scale in order z, y, x, n voxels.
    """
    shape = np.asarray(source.shape)
    low, high = np.clip(start, 0, shape), np.clip(stop, 0, shape)
    size = stop - start
    flat = np.empty(int(np.prod(size)) + TAIL, dtype=np.float32) if out is None else out
    flat[flat.size - TAIL :] = 0.0
    block = flat[: flat.size - TAIL].reshape(size)
    before, after = low - start, stop - high
    inner = tuple(slice(int(b), int(n - a)) for b, a, n in zip(before, after, size, strict=True))
    known = block[inner]
    for first, end in _cut_planes(source, int(low[0]), int(high[0]), int(np.prod((high - low)[1:]))):
        values = np.asarray(source[make_block(np.array([first, *low[1:]]), np.array([end, *high[1:]]))])
        offset = values.dtype.type(scale.offset) if values.dtype == np.float64 else np.float32(scale.offset)
        slab = known[first - low[0] : end - low[0]]
        np.subtract(values, offset, out=slab, casting="unsafe", dtype=np.result_type(offset))
        slab *= np.float32(scale.scale)
    for axis in range(3):  # what is filled already, and of the axes to come the inside
        filled = block[tuple(slice(None) if other <= axis else inner[other] for other in range(3))]
        _continue_volume(np.moveaxis(filled, axis, 0), int(before[axis]), int(after[axis]))
    return flat


def _continue_volume(block: NDArray[np.float32], before: int, after: int) -> None:
    """Continue a volume over its faces along axis 0, in place, by its mirror about the face's grey value.

    A plain mirror has no slope at the face, which bends the spline: it cost 0.01 voxel in windows next to it.
    """
    first, last = before, len(block) - 1 - after
    for distance in range(1, max(before, after) + 1):
        inner = min(distance, last - first)  # a volume thinner than the halo: its far face goes on
        if distance <= before:
            block[first - distance] = 2.0 * block[first] - block[first + inner]
        if distance <= after:
            block[last + distance] = 2.0 * block[last] - block[last - inner]


def prepare_reference(
    pool: ThreadPoolExecutor, grey: NDArray[np.float32], shape: NDArray[np.int64], buffers: Buffers | None = None
) -> Reference:
    """Gradients of a flat block.

    Parameters
    ----------
    pool : ThreadPoolExecutor
    grey : (n + TAIL,) float32
        As `read_normalised` gives it.
    shape : (3,) int64
    buffers : Buffers, optional
        Where the gradients go.

    Returns
    -------
    Reference
        16 bytes a voxel.
    """
    n = int(np.prod(shape))
    buffers = buffers or Buffers()
    gz, gy, gx = (buffers.take(f"gradient {axis}", n) for axis in "zyx")
    volume = grey[:n].reshape(shape)
    z, y, x = (g[:n].reshape(shape) for g in (gz, gy, gx))
    run_slabs(pool, lambda first, stop: filters.gradient_planes(volume, z, y, x, first, stop), int(shape[0]))
    return Reference(grey, gz, gy, gx, np.asarray(shape, dtype=np.int64))


def prefilter(pool: ThreadPoolExecutor, flat: NDArray[np.float32], shape: NDArray[np.int64]) -> None:
    """Turn a flat block into cubic B-spline coefficients, in place.

    Parameters
    ----------
    pool : ThreadPoolExecutor
    flat : (n + TAIL,) float32
        As `read_normalised` gives it.
    shape : (3,) int64

    Returns
    -------
    None
        `flat` holds the coefficients.
    """
    volume = flat[: int(np.prod(shape))].reshape(shape)
    run_slabs(pool, lambda first, stop: filters.prefilter_planes(volume, first, stop), int(shape[0]))
    run_slabs(pool, lambda first, stop: filters.prefilter_z(volume, first, stop), int(shape[1]))


def prepare_deformed(
    pool: ThreadPoolExecutor,
    samples: NDArray[np.float32],
    start: NDArray[np.int64],
    shape: NDArray[np.int64],
    *,
    reference_start: NDArray[np.int64],
    volume_shape: tuple[int, ...],
    cubic: bool,
) -> Deformed:
    """Spline coefficients and limits of a block of the deformed volume.

    Parameters
    ----------
    pool : ThreadPoolExecutor
    samples : (n + TAIL,) float32
        As `read_normalised` gives it; turned into coefficients in place if `cubic`.
    start, shape : (3,) int64
        The block's first corner in the volume, and its sides.
    reference_start : (3,) int64
        First corner of the reference's block.
    volume_shape : tuple of int
    cubic : bool

    Returns
    -------
    Deformed
    """
    if cubic:
        prefilter(pool, samples, shape)
    reach = filters.SPLINE_REACH if cubic else 1
    limits = np.asarray(volume_shape, dtype=np.float64)
    inside = np.stack([-start.astype(np.float64), limits - 1.0 - start], axis=1)
    readable = np.stack([np.full(3, float(reach)), shape - 1.0 - reach], axis=1)
    return Deformed(
        samples,
        np.asarray(shape, dtype=np.int64),
        (reference_start - start).astype(np.float64),
        inside,
        readable,
        cubic,
    )

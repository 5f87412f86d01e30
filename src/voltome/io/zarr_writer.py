"""Write OME-Zarr 0.5: Zarr v3, sharded, with its pyramid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.grid import Block, Shape3, VolumeSource
from voltome.io.staging import staged_directory
from voltome.io.zarr_reader import zarrs_pipeline

if TYPE_CHECKING:
    import zarr

_READ_BYTES = 2**28  # of the source at once; whole rows of shards, so that TIFF slices are not decoded too often


def write_ome_zarr(
    path: Path,
    source: VolumeSource,
    dtype: np.dtype[Any],
    *,
    labels: bool,
    voxel_size_m: float | None,
    overwrite: bool,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Write a volume and its pyramid, shard by shard; the same volume gives the same bytes.

    Parameters
    ----------
    path : Path
    source : VolumeSource
    dtype : numpy.dtype
    labels : bool
        Pyramid by the most frequent label of 2 x 2 x 2 (the smallest one of several) instead of the mean.
    voxel_size_m : float or None
        Stored as a scale in micrometres; without it the scale is in voxels.
    overwrite : bool
    on_progress : callable, optional
        Called with (done, total) shards.

    Returns
    -------
    None
        The store stands when this returns.

    Raises
    ------
    InputError, ResourceError
        As `staged_directory`.
    """
    import zarr

    shapes = pyramid_shapes((source.shape[0], source.shape[1], source.shape[2]))
    with staged_directory(path, overwrite=overwrite, replaces=()) as part:
        with zarrs_pipeline(single_thread=True):
            attributes: dict[str, Any] = {"ome": describe_image(path, len(shapes), voxel_size_m, labels=labels)}
            group = zarr.open_group(str(part), mode="w", zarr_format=3, attributes=attributes)
            levels = [_create_level(group, str(i), shape, dtype) for i, shape in enumerate(shapes)]
        total = sum(len(list(split_blocks(level.shape, level.shards))) for level in levels)
        done = 0
        for step in itertools.chain(_copy(source, levels[0], dtype), _reduce_levels(levels, labels)):
            done += step
            if on_progress is not None:
                on_progress(done, total)


def _copy(source: VolumeSource, level: zarr.Array[Any], dtype: np.dtype[Any]) -> Iterator[int]:
    shards: Any = level.shards
    rows = max(1, _READ_BYTES // (shards[0] * shards[1] * level.shape[2] * dtype.itemsize))
    for z, y, x in split_blocks(level.shape, (shards[0], shards[1] * rows, level.shape[2])):
        values = np.ascontiguousarray(source[z, y, x], dtype=dtype)
        for shard in split_blocks(values.shape, shards):
            level[_shifted(shard, (z, y, x))] = values[shard]
            yield 1


def _reduce_levels(levels: Sequence[zarr.Array[Any]], labels: bool) -> Iterator[int]:
    for fine, coarse in itertools.pairwise(levels):
        for block in split_blocks(coarse.shape, coarse.shards):
            coarse[block] = reduce_block(fine, block, labels=labels)
            yield 1


def reduce_block(fine: Any, block: Block, *, labels: bool) -> NDArray[Any]:
    """A block of the level above one of the pyramid, reading 256 cubed of that level at a time.

    Parameters
    ----------
    fine : VolumeSource or zarr.Array
        The level below.
    block : three slices
        With start and stop, of the level to make.
    labels : bool
        By `reduce_labels` instead of `reduce_grey`.

    Returns
    -------
    array of the block's shape and the level's type
    """
    reduce = reduce_labels if labels else reduce_grey
    out = np.empty([edge.stop - edge.start for edge in block], dtype=fine.dtype)
    for piece in split_blocks(out.shape, (128, 128, 128)):
        z, y, x = (slice(2 * edge.start, 2 * edge.stop) for edge in _shifted(piece, block))
        out[piece] = reduce(np.asarray(fine[z, y, x]))
    return out


def _shifted(block: Block, by: Block) -> Block:
    z, y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(block, by, strict=True))
    return z, y, x


def _create_level(group: zarr.Group, name: str, shape: Shape3, dtype: np.dtype[Any]) -> zarr.Array[Any]:
    from zarr.codecs import BloscCodec

    chunks, shards = chunk_grid(shape)
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        shards=shards,
        dtype=dtype,
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        dimension_names=["z", "y", "x"],
        fill_value=0,
    )


def describe_image(
    path: Path, levels: int, voxel_size_m: float | None, *, labels: bool, times: bool = False
) -> dict[str, Any]:
    """OME-Zarr's attributes of an image.

    Parameters
    ----------
    path : Path
        Its name becomes the image's.
    levels : int
        Of the pyramid.
    voxel_size_m : float or None
        Stored as a scale in micrometres; without it the scale is in voxels.
    labels : bool
        The pyramid holds the most frequent label instead of the mean.
    times : bool
        There is an axis t before z.

    Returns
    -------
    dict
        What stands under "ome".
    """
    size = 1.0 if voxel_size_m is None else float(f"{voxel_size_m * 1e6:.12g}")
    unit = {} if voxel_size_m is None else {"unit": "micrometer"}
    leading = 1 if times else 0
    datasets = []
    for level in range(levels):
        # A coarse voxel's centre lies between the fine ones it stands for: (2^level - 1) / 2 voxels of level 0.
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": [1.0] * leading + [size * 2**level] * 3}]
        if level:
            shift = [0.0] * leading + [size * (2**level - 1) / 2] * 3
            steps.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    name = path.name.removesuffix(".zarr").removesuffix(".ome")
    axes: list[dict[str, str]] = [{"name": axis, "type": "space", **unit} for axis in "zyx"]
    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "axes": [{"name": "t", "type": "time"}] * leading + axes,
                "datasets": datasets,
                "type": "mode" if labels else "mean",
            }
        ],
    }


def pyramid_shapes(shape: Shape3, *, smallest: int = 64) -> list[Shape3]:
    """Shapes of the pyramid: halved, rounded up, until the longest side is at most `smallest`.

    Parameters
    ----------
    shape : tuple of int
    smallest : int
        Voxels; one chunk.

    Returns
    -------
    list of tuple of int

    Examples
    --------
    >>> pyramid_shapes((200, 101, 1))
    [(200, 101, 1), (100, 51, 1), (50, 26, 1)]
    """
    shapes = [shape]
    while max(shapes[-1]) > smallest:
        z, y, x = shapes[-1]
        shapes.append((-(-z // 2), -(-y // 2), -(-x // 2)))
    return shapes


def reduce_grey(values: NDArray[Any]) -> NDArray[Any]:
    """Mean of 2 x 2 x 2 voxels; at an odd end, of those that there are.

    Parameters
    ----------
    values : (nz, ny, nx) array
        NaN spreads.

    Returns
    -------
    (ceil(nz / 2), ceil(ny / 2), ceil(nx / 2)) array
        Of the same type; whole numbers are rounded.

    Examples
    --------
    >>> reduce_grey(np.array([[[1, 2, 9]]], dtype=np.uint8)).tolist()
    [[[2, 9]]]
    """
    total = np.zeros([-(-n // 2) for n in values.shape], dtype=np.float64)
    for corner in _corners(values):
        total += corner
    mean = np.rint(total / 8) if values.dtype.kind in "iu" else total / 8
    return mean.astype(values.dtype, copy=False)


def reduce_labels(values: NDArray[Any]) -> NDArray[Any]:
    """Most frequent label of 2 x 2 x 2 voxels, the smallest one of several; at an odd end, of those that there are.

    Parameters
    ----------
    values : (nz, ny, nx) array

    Returns
    -------
    (ceil(nz / 2), ceil(ny / 2), ceil(nx / 2)) array
        Of the same type.

    Examples
    --------
    >>> reduce_labels(np.array([[[5, 5], [3, 7]]], dtype=np.uint32)).tolist()
    [[[5]]]
    """
    corners = np.sort(np.stack(list(_corners(values))), axis=0)
    best: NDArray[Any] = corners[0].copy()
    votes = np.zeros(best.shape, dtype=np.uint8)
    for corner in corners:
        count = (corners == corner).sum(axis=0, dtype=np.uint8)
        better = count > votes
        best[better], votes[better] = corner[better], count[better]
    return best


def _corners(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The eight voxels of each 2 x 2 x 2; at an odd end the last one stands for its missing neighbour."""
    even = np.pad(values, [(0, n % 2) for n in values.shape], mode="edge")
    for z, y, x in itertools.product((0, 1), repeat=3):
        yield even[z::2, y::2, x::2]


def split_blocks(shape: Sequence[int], size: Any) -> Iterator[Block]:
    """Blocks of one size that fill a volume, cut at its far faces; x fastest.

    Parameters
    ----------
    shape : sequence of int
        Voxels along z, y, x.
    size : sequence of int
        Of a block.

    Yields
    ------
    three slices

    Examples
    --------
    >>> [block[2] for block in split_blocks((9, 9, 20), (16, 16, 16))]
    [slice(0, 16, None), slice(16, 20, None)]
    """
    ranges = [range(0, n, step) for n, step in zip(shape, size, strict=True)]
    for z, y, x in itertools.product(*ranges):
        edges = zip((z, y, x), size, shape, strict=True)
        a, b, c = (slice(start, min(start + step, n)) for start, step, n in edges)
        yield a, b, c


def chunk_grid(shape: Sequence[int], *, chunk: int = 64, shard: int = 256) -> tuple[Shape3, Shape3]:
    """Chunk and shard of the store: 64 cubed in 256 cubed, or in the volume rounded up to chunks where it is smaller.

    Parameters
    ----------
    shape : sequence of int
        Voxels along z, y, x.
    chunk, shard : int
        Edges in voxels.

    Returns
    -------
    chunks, shards : tuple of int

    Examples
    --------
    >>> chunk_grid((300, 100, 30))
    ((64, 64, 64), (256, 128, 64))
    """
    z, y, x = (min(shard, -(-n // chunk) * chunk) for n in shape)
    return (chunk, chunk, chunk), (z, y, x)

"""The volumes of a study: one OME-Zarr 0.5 image with axes t, z, y, x, written shard by shard by many at once.

A shard is one file, `level/c/t/z/y/x`. It is encoded in memory, written under another name and renamed: whoever reads
it sees all of it or nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.grid import Block, Shape3
from voltome.io.shard import describe_codecs, encode_shard, read_shard
from voltome.io.text import write_bytes
from voltome.io.volume import Volume, check_volume
from voltome.io.voxel_size import check_voxel_size
from voltome.io.zarr_writer import chunk_grid, describe_image, pyramid_shapes, reduce_block, split_blocks

_CHUNK: Shape3 = chunk_grid((1, 1, 1))[0]


@dataclass(frozen=True)
class Series:
    """What the metadata of a series say.

    Parameters
    ----------
    path : Path
        Folder of the store.
    names : tuple of str
        Of the scans, in order of t.
    shape : tuple of int
        Voxels of one scan along z, y, x.
    dtype : numpy.dtype
    voxel_size_m : float or None
    labels : bool
        The pyramid holds the most frequent label instead of the mean.
    """

    path: Path
    names: tuple[str, ...]
    shape: Shape3
    dtype: np.dtype[Any]
    voxel_size_m: float | None
    labels: bool

    @property
    def level_shapes(self) -> list[Shape3]:
        """Voxels of one scan at each level of the pyramid."""
        return pyramid_shapes(self.shape)


def series_blocks(shape: Shape3) -> list[list[Block]]:
    """The blocks of one scan that are one shard each.

    Parameters
    ----------
    shape : tuple of int
        Voxels of one scan along z, y, x.

    Returns
    -------
    list of list of block
        For each level of the pyramid, x fastest. A block of level n + 1 needs the (up to) eight blocks of level n
        that it lies over.

    Examples
    --------
    >>> [len(blocks) for blocks in series_blocks((300, 200, 520))]
    [6, 2, 1, 1, 1]
    """
    return [list(split_blocks(level, chunk_grid(level)[1])) for level in pyramid_shapes(shape)]


def prepare_series(
    path: str | Path,
    *,
    names: Sequence[str],
    shape: Shape3,
    dtype: str | np.dtype[Any],
    voxel_size_m: float | None,
    labels: bool = False,
    scratch: str | Path | None = None,
) -> None:
    """Write the metadata of a series where they are not yet what they should be; shards that there are stay.

    Scans may be added later: call it again with more names.

    Parameters
    ----------
    path : str or Path
        Folder of the store, by custom `volumes.zarr`.
    names : sequence of str
        Of the scans, in order of t.
    shape : tuple of int
        Voxels of one scan along z, y, x.
    dtype : numpy.dtype
    voxel_size_m : float or None
    labels : bool
        Pyramid by the most frequent label of 2 x 2 x 2 instead of the mean.
    scratch : str or Path, optional
        Folder on the same disk for files that are not complete; by default hidden ones beside their final place.

    Returns
    -------
    None
        The metadata stand when this returns.

    Raises
    ------
    InputError
        If there is no scan, two have one name, or this is no volume.
    ResourceError
        If the disk is full or there is no permission.
    """
    path, dtype = Path(path), np.dtype(dtype)
    check_voxel_size(voxel_size_m)
    shape = check_volume(shape, dtype, str(path))
    if not names or len(set(names)) != len(names):
        raise InputError(f"a series needs scans of different names (got {', '.join(names) or 'none'}): rename them")
    levels = pyramid_shapes(shape)
    attributes = {
        "ome": describe_image(path, len(levels), voxel_size_m, labels=labels, times=True),
        "voltome": {"scans": list(names), "voxel_size_m": voxel_size_m},
    }
    for i, level in enumerate(levels):  # the group last: with it the store is complete
        _put_json(path / str(i) / "zarr.json", _describe_level(level, len(names), dtype), scratch)
    _put_json(path / "zarr.json", {"attributes": attributes, "zarr_format": 3, "node_type": "group"}, scratch)


def open_series(path: str | Path) -> Series:
    """Read the metadata of a series; they take a fraction of a millisecond and are never kept.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Series

    Raises
    ------
    InputError
        If it is no series that `prepare_series` wrote.
    """
    path = Path(path)
    try:
        attributes = json.loads((path / "zarr.json").read_bytes())["attributes"]
        own, image = attributes["voltome"], attributes["ome"]["multiscales"][0]
        level = json.loads((path / "0" / "zarr.json").read_bytes())
        dtype = np.dtype(level["data_type"])
        names, shape = tuple(own["scans"]), tuple(level["shape"])
        _, z, y, x = shape
        if level != _describe_level((z, y, x), shape[0], dtype):
            raise ValueError("its level 0 is stored in another way")
        return Series(path, names, (z, y, x), dtype, own["voxel_size_m"], image["type"] == "mode")
    except FileNotFoundError as error:
        raise InputError(f"{path} is not a series of volumes: give the volumes.zarr of a study") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a series of volumes that voltome wrote ({reason}): run again") from error


def open_scan(path: str | Path, t: int, *, level: int = 0) -> Volume:
    """Open one scan of a series at one level of its pyramid.

    Each chunk that is read is checked. A shard that is missing is damage too, where Zarr itself would read zeros.

    Parameters
    ----------
    path : str or Path
        Of the series.
    t : int
        Which scan, from 0.
    level : int
        Of the pyramid; 0 is full resolution.

    Returns
    -------
    Volume
        ``volume[z0:z1, y0:y1, x0:x1]`` reads one block, or raises `DamagedError`, which names the file. Any number
        of threads may read; it is cheap to open.

    Raises
    ------
    InputError
        If it is no series, or it has no such scan or level.
    """
    series = open_series(path)
    reader = ScanReader(series, t, level)
    return Volume(f"{path}::{series.names[t]}", reader)


class ScanReader:
    """A scan at one level (a `BlockReader`).

    Parameters
    ----------
    series : Series
    t, level : int

    Raises
    ------
    InputError
        If there is no such scan or level.
    """

    def __init__(self, series: Series, t: int, level: int) -> None:
        self.format, self.dtype = "ome-zarr", series.dtype
        self.shape = _level_shape(series, t, level)
        self.voxel_sizes_m = (None if series.voxel_size_m is None else series.voxel_size_m * 2**level,)
        self.chunk_shape, self._shard = chunk_grid(self.shape)
        self._folder = series.path / _shard_folder(level, t)

    def read(self, block: Block) -> NDArray[Any]:
        """Decode the chunks that meet the block."""
        out = np.empty([edge.stop - edge.start for edge in block], dtype=self.dtype)
        ranges = [range(e.start // n, -(-e.stop // n)) for e, n in zip(block, self._shard, strict=True)]
        for index in np.ndindex(*map(len, ranges)):
            place = [steps[i] for steps, i in zip(ranges, index, strict=True)]
            corner = [i * n for i, n in zip(place, self._shard, strict=True)]
            edges = [
                (max(edge.start, low), min(edge.stop, low + n))
                for edge, low, n in zip(block, corner, self._shard, strict=True)
            ]
            z, y, x = (slice(a - low, b - low) for (a, b), low in zip(edges, corner, strict=True))
            target = tuple(slice(a - edge.start, b - edge.start) for (a, b), edge in zip(edges, block, strict=True))
            out[target] = read_shard(
                self._folder.joinpath(*map(str, place)),
                (z, y, x),
                chunk_shape=self.chunk_shape,
                shard_shape=self._shard,
                dtype=self.dtype,
            )
        return out

    def close(self) -> None:
        """Nothing stays open."""


def write_series_block(
    path: str | Path, level: int, t: int, block: Block, values: NDArray[Any], *, scratch: str | Path
) -> tuple[str, int, str]:
    """Write one shard; the same values give the same bytes.

    Any number of threads and processes may write at once, even the same block. The content waits for nothing: a
    machine that loses its power may lose what was written in its last seconds, and checksums tell.

    Parameters
    ----------
    path : str or Path
        Of a series that was prepared.
    level, t : int
        Level of the pyramid and scan.
    block : three slices
        One of `series_blocks`.
    values : array of the block's shape and the series' type
    scratch : str or Path
        Folder on the same disk for the file while it is not complete. What a killed process left there may be
        removed when nobody writes.

    Returns
    -------
    name : str
        The file, relative to the series.
    size : int
        Its bytes.
    digest : str
        Their SHA-256.

    Raises
    ------
    InputError
        If there is no such scan or level, or block and values do not fit.
    ResourceError
        If the disk is full or there is no permission.
    """
    return _write_block(open_series(path), level, t, block, values, Path(scratch))


def reduce_series_block(
    path: str | Path, level: int, t: int, block: Block, *, scratch: str | Path
) -> tuple[str, int, str]:
    """Make one shard of the pyramid from the level below, whose blocks there must stand.

    Parameters
    ----------
    path, level, t, block, scratch
        As for `write_series_block`; the level is at least 1.

    Returns
    -------
    name, size, digest
        As `write_series_block`.

    Raises
    ------
    InputError
        If there is no such scan or level, or no such block.
    DamagedError
        If a file of the level below is missing or damaged.
    ResourceError
        If the disk is full or there is no permission.
    """
    series = open_series(path)
    if level < 1:
        raise InputError(f"level must be >= 1 (got {level}): level 0 is written from the scan itself")
    with open_scan(path, t, level=level - 1) as fine:
        values = reduce_block(fine, block, labels=series.labels)
    return _write_block(series, level, t, block, values, Path(scratch))


def _write_block(
    series: Series, level: int, t: int, block: Block, values: NDArray[Any], scratch: Path
) -> tuple[str, int, str]:
    shape = _level_shape(series, t, level)
    chunk, shard = chunk_grid(shape)
    size = tuple(edge.stop - edge.start for edge in block)
    if block not in split_blocks(shape, shard) or values.shape != size or values.dtype != series.dtype:
        raise InputError(
            f"a block must be one of series_blocks, with its voxels as {series.dtype} (got {block}, shape "
            f"{values.shape} of {values.dtype}): give another block"
        )
    place = [str(edge.start // n) for edge, n in zip(block, shard, strict=True)]
    name = "/".join((_shard_folder(level, t), *place))
    content = encode_shard(values, chunk_shape=chunk, shard_shape=shard)
    _put(series.path / name, content, scratch)
    return name, len(content), hashlib.sha256(content).hexdigest()


def _level_shape(series: Series, t: int, level: int) -> Shape3:
    shapes = series.level_shapes
    if not (0 <= t < len(series.names) and 0 <= level < len(shapes)):
        raise InputError(
            f"{series.path} has scans 0 to {len(series.names) - 1} and levels 0 to {len(shapes) - 1} (got scan {t}, "
            f"level {level}): give one of these"
        )
    return shapes[level]


def _shard_folder(level: int, t: int) -> str:
    return f"{level}/c/{t}"


def _describe_level(shape: Shape3, scans: int, dtype: np.dtype[Any]) -> dict[str, object]:
    chunk, shard = chunk_grid(shape)
    return {
        "shape": [scans, *shape],
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, *shard]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": describe_codecs((1, *chunk), dtype),
        "attributes": {},
        "dimension_names": ["t", "z", "y", "x"],
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _put_json(place: Path, values: object, scratch: str | Path | None) -> None:
    content = (json.dumps(values, indent=2) + "\n").encode()
    try:
        if place.read_bytes() == content:
            return
    except OSError:  # not there yet, or not to be read: writing tells
        pass
    _put(place, content, place.parent if scratch is None else Path(scratch))


def _put(place: Path, content: bytes, scratch: Path) -> None:
    """Write a file in the scratch folder and move it to its place in one step."""
    waiting = scratch / f".{secrets.token_hex(8)}.part"
    try:
        write_bytes(waiting, content)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(waiting, place)
    except BaseException as error:
        waiting.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, ResourceError):
            raise ResourceError(f"{place} could not be written ({error.strerror}): check the disk") from error
        raise

"""Volumes whose voxels lie in a file as they are in memory: NumPy and raw files, and uncompressed TIFF."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3
from voltome.io.staging import staged_file
from voltome.io.text import write_json
from voltome.io.volume import BlockReader, check_volume


class FlatReader:
    """Slices that lie uncompressed in one or several files (a `BlockReader`).

    Parameters
    ----------
    format : str
    shape : tuple of int
    dtype : numpy.dtype
        With the file's byte order.
    paths : sequence of Path
        The file of each slice.
    offsets : sequence of int
        Byte at which each slice starts in its file.
    voxel_sizes_m : sequence of float or None
    """

    def __init__(
        self,
        format: str,
        shape: Shape3,
        dtype: np.dtype[Any],
        paths: Sequence[Path],
        offsets: Sequence[int],
        voxel_sizes_m: Sequence[float | None] = (),
    ) -> None:
        self.format, self.shape, self.dtype, self.voxel_sizes_m = format, shape, dtype, voxel_sizes_m
        self.chunk_shape: Shape3 = (1, 1, 1)
        self._paths, self._offsets = paths, offsets

    def read(self, block: Block) -> NDArray[Any]:
        """Read the rows of the block; every call has its own handle, so that threads share nothing."""
        z, y, x = block
        out = np.empty([edge.stop - edge.start for edge in block], dtype=self.dtype)
        rows = None if out.shape[2] == self.shape[2] else np.empty((out.shape[1], self.shape[2]), dtype=self.dtype)
        skipped = y.start * self.shape[2] * self.dtype.itemsize
        for path, indices in itertools.groupby(range(z.start, z.stop), key=self._paths.__getitem__):
            with open(path, "rb", buffering=0) as file:
                for i in indices:
                    file.seek(self._offsets[i] + skipped)
                    _read_exactly(file, out[i - z.start] if rows is None else rows)
                    if rows is not None:
                        out[i - z.start] = rows[:, x]
        return out

    def close(self) -> None:
        """Nothing stays open."""


class TransposedReader:
    """A volume stored with z fastest (Fortran order), as a `BlockReader`: it touches every x for a block of z."""

    def __init__(self, reader: FlatReader) -> None:
        self._reader = reader
        self.format, self.dtype, self.voxel_sizes_m = reader.format, reader.dtype, reader.voxel_sizes_m
        self.shape: Shape3 = (reader.shape[2], reader.shape[1], reader.shape[0])
        self.chunk_shape: Shape3 = (self.shape[0], 1, 1)

    def read(self, block: Block) -> NDArray[Any]:
        """Read a block of the stored order and turn it."""
        return self._reader.read((block[2], block[1], block[0])).transpose(2, 1, 0)

    def close(self) -> None:
        """Nothing stays open."""


def _read_exactly(file: Any, target: NDArray[Any]) -> None:
    view = _bytes_of(target)
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise OSError("the file ended early: it has changed since it was opened")
        done += count


def _bytes_of(values: NDArray[Any]) -> memoryview:
    flat: Any = values.reshape(-1).view(np.uint8)  # memoryview itself refuses foreign byte orders
    return memoryview(flat)


def open_npy(path: Path) -> BlockReader:
    """Reader of a NumPy file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    BlockReader

    Raises
    ------
    InputError
        If it is no NumPy file, is cut short, or holds no volume.
    """
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read_header(file)
        except (ValueError, KeyError) as error:
            raise InputError(f"{path} is not a NumPy file that can be read: save it again with numpy.save") from error
        offset = file.tell()
    cube = check_volume(shape, dtype, str(path))
    _check_size(path, offset + math.prod(cube) * dtype.itemsize, exact=False)
    if fortran:
        return TransposedReader(_one_file("npy", path, (cube[2], cube[1], cube[0]), dtype, offset))
    return _one_file("npy", path, cube, dtype, offset)


def open_raw(path: Path, *, shape: Sequence[int] | None = None, dtype: str | np.dtype[Any] | None = None) -> FlatReader:
    """Reader of a raw file; what is not given comes from the JSON side-car (`<name>.json`) of `write_raw`.

    Parameters
    ----------
    path : Path
    shape : sequence of int, optional
        Voxels along z, y, x.
    dtype : str or numpy.dtype, optional
        With byte order, such as "<u2".

    Returns
    -------
    FlatReader

    Raises
    ------
    InputError
        If shape or type are not known, or do not give the size of the file.
    """
    car = _read_side_car(path)
    shape = car.get("shape") if shape is None else shape
    dtype = car.get("dtype") if dtype is None else dtype
    if shape is None or dtype is None:
        missing = " and ".join(name for name, value in (("shape", shape), ("dtype", dtype)) if value is None)
        raise InputError(f"{path} is raw and does not say its {missing}: give shape (z, y, x) and dtype (<u2)")
    try:
        kind = np.dtype(dtype)
        shape = tuple(int(n) for n in shape)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} needs a shape such as 90,80,70 and a dtype such as <u2 (got {shape}, {dtype!r}): correct them"
        ) from error
    if any(n < 0 for n in shape):
        raise InputError(f"{path} needs a positive shape (got {shape}): give the voxels along z, y, x")
    cube = check_volume(shape, kind, str(path))
    _check_size(path, math.prod(cube) * kind.itemsize, exact=True)
    return _one_file("raw", path, cube, kind, 0, car.get("voxel_size_m"))


def _one_file(
    format: str, path: Path, shape: Shape3, dtype: np.dtype[Any], offset: int, voxel_size_m: float | None = None
) -> FlatReader:
    step = shape[1] * shape[2] * dtype.itemsize
    return FlatReader(
        format, shape, dtype, [path] * shape[0], range(offset, offset + step * shape[0], step), [voxel_size_m]
    )


def _check_size(path: Path, needed: int, *, exact: bool) -> None:
    size = path.stat().st_size
    if size < needed or (exact and size != needed):
        raise InputError(
            f"{path} must have {needed} bytes for its shape and type (it has {size}): "
            + ("check shape and dtype" if exact else "it is cut short, copy it again")
        )


def _side_car(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_side_car(path: Path) -> dict[str, Any]:
    car = _side_car(path)
    if not car.is_file():
        return {}
    try:
        values = json.loads(car.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{car} is not a side-car of a raw file (JSON): correct or remove it") from error
    if not isinstance(values, dict) or not isinstance(values.get("voxel_size_m"), float | None):
        raise InputError(f"{car} must state shape, dtype and voxel_size_m of a raw file: correct or remove it")
    return values


def write_npy(
    path: Path, shape: Shape3, dtype: np.dtype[Any], slabs: Iterable[NDArray[Any]], *, overwrite: bool
) -> None:
    """Write a NumPy file slab by slab.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    dtype : numpy.dtype
    slabs : iterable of (n, ny, nx) arrays
        From z = 0 on, together the volume.
    overwrite : bool

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError, ResourceError
        As `staged_file`.
    """
    with staged_file(path, overwrite=overwrite) as part, open(part, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        write_slabs(file, slabs)


def write_raw(
    path: Path,
    shape: Shape3,
    dtype: np.dtype[Any],
    slabs: Iterable[NDArray[Any]],
    *,
    voxel_size_m: float | None,
    overwrite: bool,
) -> None:
    """Write a raw file slab by slab, and its JSON side-car with shape, type and voxel size.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    dtype : numpy.dtype
    slabs : iterable of (n, ny, nx) arrays
    voxel_size_m : float or None
    overwrite : bool

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError, ResourceError
        As `staged_file`.
    """
    with staged_file(_side_car(path), overwrite=overwrite) as car, staged_file(path, overwrite=overwrite) as part:
        write_json(car, {"shape": shape, "dtype": dtype.str, "voxel_size_m": voxel_size_m})
        with open(part, "wb") as file:
            write_slabs(file, slabs)


def write_slabs(file: BinaryIO, slabs: Iterable[NDArray[Any]]) -> None:
    """Append slabs as they lie in memory.

    Parameters
    ----------
    file : binary file
    slabs : iterable of array

    Returns
    -------
    None
        The file stands when this returns.
    """
    for slab in slabs:
        file.write(_bytes_of(np.ascontiguousarray(slab)))

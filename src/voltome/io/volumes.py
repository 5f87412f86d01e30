"""Open and write volumes of any format, chosen by the name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.grid import Shape3, VolumeSource
from voltome.io.flat import open_npy, open_raw, write_npy, write_raw
from voltome.io.hdf5 import HDF5_SUFFIXES, open_hdf5, write_hdf5
from voltome.io.tiff import TIFF_SUFFIXES, open_tiff, open_tiff_folder
from voltome.io.tiff_writer import write_tiff, write_tiff_folder
from voltome.io.volume import BlockReader, Volume, check_volume
from voltome.io.voxel_size import check_voxel_size
from voltome.io.zarr_reader import open_zarr
from voltome.io.zarr_writer import write_ome_zarr

RAW_SUFFIXES = (".raw", ".bin", ".vol")
_KNOWN = ".tif, .npy, .raw, .zarr, file.h5::/path or a folder of TIFF slices"
_SLAB_BYTES = 2**26


def open_volume(
    path: str | Path,
    *,
    shape: Sequence[int] | None = None,
    dtype: str | np.dtype[Any] | None = None,
    voxel_size_m: float | None = None,
) -> Volume:
    """Open a volume; nothing is read but what describes it.

    Parameters
    ----------
    path : str or Path
        TIFF (multi-page, BigTIFF, ImageJ, OME), a folder of TIFF slices, ``file.h5::/path``, NumPy, raw
        (.raw, .bin, .vol), OME-Zarr or a Zarr array (``x.zarr`` or ``x.zarr::/path``).
    shape : sequence of int, optional
        Voxels along z, y, x, for a raw file without side-car.
    dtype : str or numpy.dtype, optional
        Type of a raw file with its byte order, such as "<u2".
    voxel_size_m : float, optional
        Edge of the voxel in metres; wins over what the file says, which None takes.

    Returns
    -------
    Volume
        ``volume[z0:z1, y0:y1, x0:x1]`` reads one block.

    Raises
    ------
    InputError
        If the file is missing, unknown, damaged, cut short, or not a volume of whole or real numbers.
    ResourceError
        If there is no permission to read it.
    """
    check_voxel_size(voxel_size_m)
    place, inner = split_name(path)
    try:
        reader = _open_reader(place, inner, shape, dtype)
    except OSError as error:
        if isinstance(error, ResourceError):
            raise
        raise ResourceError(f"{path} could not be read ({error.strerror or error}): check its permissions") from error
    return Volume(os.fspath(path), reader, voxel_size_m=voxel_size_m)


def read_volume(
    path: str | Path,
    *,
    shape: Sequence[int] | None = None,
    dtype: str | np.dtype[Any] | None = None,
) -> NDArray[Any]:
    """Read a whole volume into memory.

    Parameters
    ----------
    path, shape, dtype
        As `open_volume` takes them.

    Returns
    -------
    (nz, ny, nx) array
        In the machine's byte order; bool as uint8. It takes the volume's size in memory.

    Raises
    ------
    InputError, ResourceError
        As `open_volume`.
    """
    with open_volume(path, shape=shape, dtype=dtype, voxel_size_m=1.0) as volume:  # no size is wanted, none may fail
        return volume[:, :, :]


def write_volume(
    path: str | Path,
    source: VolumeSource,
    *,
    voxel_size_m: float | None = None,
    labels: bool | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a volume block by block; memory is bounded by blocks, not by the volume.

    The same volume gives the same bytes. NumPy files cannot hold a voxel size.

    Parameters
    ----------
    path : str or Path
        The format follows the name: ``.tif`` (ImageJ's metadata; BigTIFF above 4 GB), ``.npy``, ``.raw`` (little
        endian, with a JSON side-car), ``file.h5::/path``, ``.zarr`` (OME-Zarr 0.5 with its pyramid), and a name
        without suffix, or one that ends in ``/``, for a folder of TIFF slices.
    source : array or Volume
        (nz, ny, nx) whole or real numbers; bool is written as uint8.
    voxel_size_m : float, optional
        Edge of the voxel in metres. None takes the source's own, where it has one.
    labels : bool, optional
        Pyramid of OME-Zarr by the most frequent label instead of the mean. None takes uint32
        and uint64 for labels.
    overwrite : bool
        Replace an existing output, at the very end.
    on_progress : callable, optional
        Called with (done, total): slices, or shards of OME-Zarr.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the name has no known format, exists, or cannot be a file there, or the source is no volume.
    ResourceError
        If the disk is full or there is no permission; nothing is left behind.
    """
    shape = check_volume(source.shape, source.dtype, getattr(source, "path", "the source"))
    if len(source.shape) != 3:
        raise InputError(f"a volume must have three axes z, y, x (got shape {tuple(source.shape)}): drop the others")
    if voxel_size_m is None:
        voxel_size_m = getattr(source, "voxel_size_m", None)
    check_voxel_size(voxel_size_m)
    dtype = np.dtype(np.uint8) if source.dtype.kind == "b" else source.dtype.newbyteorder("<")
    place, inner = split_name(path)
    format = _format_of(path, place, inner)
    if format == "zarr":
        labels = dtype in (np.uint32, np.uint64) if labels is None else labels
        write_ome_zarr(
            place, source, dtype, labels=labels, voxel_size_m=voxel_size_m, overwrite=overwrite, on_progress=on_progress
        )
        return
    slabs = _slabs(source, shape, dtype, on_progress)
    if format == "npy":
        write_npy(place, shape, dtype, slabs, overwrite=overwrite)
    elif format == "hdf5":
        write_hdf5(place, inner, shape, dtype, slabs, voxel_size_m=voxel_size_m, overwrite=overwrite)
    else:
        write = {"tiff": write_tiff, "tiff folder": write_tiff_folder, "raw": write_raw}[format]
        write(place, shape, dtype, slabs, voxel_size_m=voxel_size_m, overwrite=overwrite)


def check_volume_name(path: str | Path, *, overwrite: bool = False) -> Path:
    """Refuse, before any work, a name that `write_volume` would refuse after it.

    Parameters
    ----------
    path : str or Path
    overwrite : bool
        An output that exists is nothing wrong.

    Returns
    -------
    Path
        The file or folder that will be written.

    Raises
    ------
    InputError
        If the name has no known format, or exists.
    """
    place, inner = split_name(path)
    _format_of(path, place, inner)
    if place.exists() and not overwrite:
        raise InputError(f"{place} already exists: give another name or add --overwrite")
    return place


def split_name(path: str | Path) -> tuple[Path, str | None]:
    """Split ``file.h5::/path`` into the file and the path within it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    place : Path
    inner : str or None

    Raises
    ------
    InputError
        If nothing is named.

    Examples
    --------
    >>> split_name("scan.h5::/entry/data")[1]
    '/entry/data'
    """
    outer, mark, inner = os.fspath(path).partition("::")
    if not outer:
        raise InputError(f"a volume needs a name (got {os.fspath(path)!r}): give {_KNOWN}")
    return Path(outer), inner if mark else None


def _open_reader(
    place: Path, inner: str | None, shape: Sequence[int] | None, dtype: str | np.dtype[Any] | None
) -> BlockReader:
    suffix = place.suffix.lower()
    if not place.exists():
        raise InputError(f"{place} does not exist: check the name")
    if place.is_dir() and (suffix == ".zarr" or _is_zarr(place)):
        return open_zarr(place, inner)
    if inner is not None and suffix not in HDF5_SUFFIXES:
        raise InputError(f"only HDF5 and Zarr have paths within (got {place}::{inner}): leave out what follows ::")
    if place.is_dir():
        return open_tiff_folder(place)
    if suffix in TIFF_SUFFIXES:
        return open_tiff(place)
    if suffix in HDF5_SUFFIXES:
        return open_hdf5(place, inner)
    if suffix == ".npy":
        return open_npy(place)
    if suffix in RAW_SUFFIXES:
        return open_raw(place, shape=shape, dtype=dtype)
    raise InputError(f"{place} has no known suffix (got {suffix!r}): give {_KNOWN}")


def _is_zarr(place: Path) -> bool:
    return any((place / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))


def _format_of(path: str | Path, place: Path, inner: str | None) -> str:
    suffix = place.suffix.lower()
    if suffix in HDF5_SUFFIXES:
        return "hdf5"
    if inner is not None:
        raise InputError(f"only HDF5 has paths within an output (got {path}): leave out what follows ::")
    if not suffix or os.fspath(path).endswith(("/", os.sep)):
        return "tiff folder"
    by_suffix = {".npy": "npy", ".zarr": "zarr"}
    by_suffix |= dict.fromkeys(TIFF_SUFFIXES, "tiff") | dict.fromkeys(RAW_SUFFIXES, "raw")
    if suffix not in by_suffix:
        raise InputError(f"{place} has no known suffix (got {suffix!r}): give {_KNOWN}")
    return by_suffix[suffix]


def _slabs(
    source: VolumeSource, shape: Shape3, dtype: np.dtype[Any], on_progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[Any]]:
    """The volume from z = 0 on, in slabs of some 64 MB, or of one layer of the source's chunks where that is more."""
    deep = getattr(source, "chunk_shape", (1, 1, 1))[0]
    depth = max(1, _SLAB_BYTES // (shape[1] * shape[2] * dtype.itemsize))
    depth = deep * max(1, depth // deep)
    for z in range(0, shape[0], depth):
        stop = min(z + depth, shape[0])
        yield np.ascontiguousarray(source[z:stop, 0 : shape[1], 0 : shape[2]], dtype=dtype)
        if on_progress is not None:
            on_progress(stop, shape[0])

"""Volumes in HDF5 and NeXus files, named `file.h5::/path/to/dataset`."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3
from voltome.io.flat import write_slabs
from voltome.io.staging import staged_file
from voltome.io.volume import check_volume
from voltome.io.voxel_size import length_m

if TYPE_CHECKING:
    import h5py

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".nxs", ".he5")

_METADATA_BYTES = 2**16

# Attribute or neighbouring dataset, and the unit it has where it does not say one.
_SIZE_NAMES = {
    "voxel_size_m": "m", "element_size_um": "um", "voxel_size": None, "pixel_size": None,
    "z_pixel_size": "m", "y_pixel_size": "m", "x_pixel_size": "m",
}  # fmt: skip


class Hdf5Reader:
    """A dataset of an open file (a `BlockReader`); h5py lets one thread at a time into the library.

    Parameters
    ----------
    file : h5py.File
        Closed with the reader.
    dataset : h5py.Dataset
    path : str
        For messages.
    """

    def __init__(self, file: h5py.File, dataset: h5py.Dataset, path: str) -> None:
        self.format = "hdf5"
        self.shape = check_volume(dataset.shape, dataset.dtype, path)
        self.dtype = dataset.dtype
        self.voxel_sizes_m = _voxel_sizes(dataset)
        chunks = tuple(int(n) for n in (dataset.chunks or (1, 1, 1)))
        self.chunk_shape: Shape3 = (chunks[-3], chunks[-2], chunks[-1])
        self._file, self._dataset = file, dataset
        self._leading = (0,) * (dataset.ndim - 3)

    def read(self, block: Block) -> NDArray[Any]:
        """Read the block."""
        values: NDArray[Any] = self._dataset[(*self._leading, *block)]
        return values

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_hdf5(path: Path, inner: str | None) -> Hdf5Reader:
    """Reader of one dataset.

    Parameters
    ----------
    path : Path
        The file.
    inner : str or None
        Path of the dataset within it.

    Returns
    -------
    Hdf5Reader

    Raises
    ------
    InputError
        If it is no HDF5 file or is cut short, the path is missing or wrong (the error names the volumes that there
        are), or the dataset is no volume.
    """
    import h5py

    try:
        file = h5py.File(path, "r", locking=False)  # reading needs no lock, and network disks often have none
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not an HDF5 file or is cut short ({reason}): copy it again") from error
    try:
        found = file.get(inner) if inner else None
        if not isinstance(found, h5py.Dataset):
            what = f"has no dataset {inner}" if inner else "needs the path of a dataset behind it"
            raise InputError(f"{path} {what}: {_advice(file, path)}")
        return Hdf5Reader(file, found, f"{path}::{inner}")
    except BaseException:
        file.close()
        raise


def _advice(file: h5py.File, path: Path) -> str:
    names = [name for name, shape in dataset_shapes(file) if sum(n > 1 for n in shape) >= 3]
    if not names:
        return "it holds no 3D dataset, give another file"
    listed = ", ".join(f"{path.name}::/{name}" for name in names[:5])
    return f"give {listed}" if len(names) == 1 else f"give one of {listed}" + (" ..." if len(names) > 5 else "")


def dataset_shapes(file: h5py.File) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all datasets of a file.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    list of (str, tuple of int)
    """
    import h5py

    found: list[tuple[str, tuple[int, ...]]] = []

    def visit(group: h5py.Group, prefix: str, above: tuple[object, ...]) -> None:
        # NeXus joins files by links, which h5py's own visitor leaves out; links may also lead back up, or nowhere.
        for name in group:
            item = group.get(name)
            if isinstance(item, h5py.Dataset):
                found.append((prefix + name, item.shape or ()))
            elif isinstance(item, h5py.Group) and item not in above:
                visit(item, f"{prefix}{name}/", (*above, item))

    visit(file, "", (file["/"],))
    return found


def _voxel_sizes(dataset: h5py.Dataset) -> list[float | None]:
    """Sizes from the dataset's attributes, else from NeXus fields beside it or one group up."""
    sizes = _sizes(dataset.attrs, str(dataset.attrs.get("voxel_size_units", dataset.attrs.get("units", ""))))
    group = dataset.parent
    for holder in (group, group.parent):
        if not sizes:
            sizes = _sizes(holder.attrs, "") or _field_sizes(holder)
    return sizes


def _sizes(attributes: Any, unit: str) -> list[float | None]:
    for name, default in _SIZE_NAMES.items():
        if name in attributes and not name.endswith("_pixel_size"):
            values = _numbers(attributes[name])
            sizes = [length_m(value, default or unit) for value in values]
            if any(size is not None for size in sizes):
                return sizes
    return []


def _field_sizes(group: h5py.Group) -> list[float | None]:
    import h5py

    sizes: list[float | None] = []
    for name, default in _SIZE_NAMES.items():
        field = group.get(name)
        if isinstance(field, h5py.Dataset) and field.size and field.size <= 3:
            unit = field.attrs.get("units", default)
            unit = unit.decode() if isinstance(unit, bytes) else unit
            sizes += [length_m(value, unit) for value in _numbers(field[()])]
    return sizes


def _numbers(value: Any) -> list[float]:
    try:
        return [float(number) for number in np.asarray(value, dtype=np.float64).ravel()]
    except (TypeError, ValueError):
        return []


def write_hdf5(
    path: Path,
    inner: str | None,
    shape: Shape3,
    dtype: np.dtype[Any],
    slabs: Iterable[NDArray[Any]],
    *,
    voxel_size_m: float | None,
    overwrite: bool,
) -> None:
    """Write a file with one contiguous dataset slab by slab.

    Parameters
    ----------
    path : Path
        The file.
    inner : str or None
        Path of the dataset within it.
    shape : tuple of int
    dtype : numpy.dtype
    slabs : iterable of (n, ny, nx) arrays
        From z = 0 on, together the volume.
    voxel_size_m : float or None
        Stored in the attributes `voxel_size_m` and `element_size_um`, which Fiji's and ilastik's readers know.
    overwrite : bool
        Replace an existing file, unless it holds other datasets.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If `inner` is missing, or the file exists and `overwrite` is False or it holds other datasets.
    ResourceError
        If the disk is full or there is no permission.
    """
    import h5py

    if not inner or not inner.strip("/"):
        raise InputError(f"{path} needs the path of a dataset behind it: give {path.name}::/volume")
    if overwrite and path.exists():
        _refuse_neighbours(path, inner)
    with staged_file(path, overwrite=overwrite) as part:
        # After a write that failed (a full disk) the HDF5 library crashes when the program ends. So it only lays out
        # the file, once the space is known to be there, and the voxels are written past it.
        require_space(part, math.prod(shape) * dtype.itemsize + _METADATA_BYTES)
        with h5py.File(part, "w", libver="v110") as file:
            dataset = claim_dataset(file, inner, shape, dtype)
            if voxel_size_m is not None:
                dataset.attrs["voxel_size_m"] = voxel_size_m
                dataset.attrs["element_size_um"] = np.full(3, float(f"{voxel_size_m * 1e6:.12g}"))
            offset = dataset.id.get_offset()
        with open(part, "r+b") as raw:
            raw.seek(offset)
            write_slabs(raw, slabs)


def claim_dataset(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> h5py.Dataset:
    """Contiguous dataset whose place in the file is settled and not yet filled: its values are written past HDF5.

    Parameters
    ----------
    group : h5py.Group
    name : str
        Path below the group.
    shape : tuple of int
    dtype : numpy.dtype

    Returns
    -------
    h5py.Dataset
        `id.get_offset()` tells where the values go.
    """
    import h5py

    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return group.create_dataset(name, shape=shape, dtype=dtype, dcpl=layout, track_times=False)


def require_space(part: Path, size: int) -> None:
    """Make a file of this size, so that a full disk shows before anything else is written.

    Parameters
    ----------
    part : Path
    size : int
        Bytes.

    Returns
    -------
    None
        The file is there, and its space where the system can reserve it.

    Raises
    ------
    OSError
        If it does not fit.
    """
    with open(part, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
        elif shutil.disk_usage(part.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _refuse_neighbours(path: Path, inner: str) -> None:
    import h5py

    if not h5py.is_hdf5(path):
        return
    with h5py.File(path, "r", locking=False) as file:
        for name, shape in dataset_shapes(file):
            if name.strip("/") != inner.strip("/") and 0 not in shape:
                raise InputError(f"{path} also holds {name}, which would be lost: give another file name")

"""Fields of NeXus and DXchange files: numbers with units, text, stacks of frames, and links that lead nowhere."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.io.frame_reader import FrameReader
from voltome.io.voxel_size import UNITS_M

if TYPE_CHECKING:
    import h5py

_KEV_PER_JOULE = 1 / 1.602176634e-16
_UNITS = {
    "length_m": UNITS_M,
    "energy_kev": {"ev": 1e-3, "kev": 1.0, "mev": 1e3, "gev": 1e6, "j": _KEV_PER_JOULE, "joule": _KEV_PER_JOULE},
    "angle_rad": {
        **dict.fromkeys(("deg", "degree", "degrees", "°"), np.pi / 180),
        **dict.fromkeys(("rad", "radian", "radians"), 1.0),
        "mrad": 1e-3,
    },
}  # fmt: skip
"""Factors to the unit in the quantity's name, by what files write, lower case."""


class Hdf5Frames(FrameReader):
    """A three-dimensional dataset of an open file; h5py lets one thread at a time into the library.

    Parameters
    ----------
    dataset : h5py.Dataset
        Its file stays open as long as it is read.
    name : str
        For messages.

    Raises
    ------
    InputError
        If it is no stack of frames, a file that it refers to is missing, or a compression is not installed.
    """

    def __init__(self, dataset: h5py.Dataset, name: str) -> None:
        super().__init__(name, dataset.shape, dataset.dtype)
        _check_sources(dataset, name)
        _check_filters(dataset, name)
        self._dataset = dataset

    def read_run(self, start: int, stop: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of the frames start ... stop - 1."""
        values: NDArray[Any] = self._dataset[start:stop, rows, columns]
        return values


def _check_sources(dataset: h5py.Dataset, name: str) -> None:
    """Files that a dataset takes its values from: HDF5 itself gives zeros where those of a virtual one are missing."""
    folder = Path(dataset.file.filename).parent
    sources = {source.file_name for source in dataset.virtual_sources()} if dataset.is_virtual else set()
    for source in sorted(sources - {"."}):
        if "%" not in source and not (folder / source).exists():
            raise InputError(f"{name} needs {source}, which is missing: copy it to where {folder / source} belongs")
    for source, _offset, _size in dataset.external or ():
        if not Path(source).exists():  # HDF5 counts from the working directory
            raise InputError(f"{name} needs {source}, which is missing: start in the folder from which it is named")


def _check_filters(dataset: h5py.Dataset, name: str) -> None:
    import h5py

    layout = dataset.id.get_create_plist()
    for i in range(layout.get_nfilters()):
        code = layout.get_filter(i)[0]
        if not h5py.h5z.filter_avail(code):
            with contextlib.suppress(ImportError):
                importlib.import_module("hdf5plugin")  # registers what it brings
        if not h5py.h5z.filter_avail(code):
            raise InputError(f"{name} is compressed by HDF5 filter {code}: install hdf5plugin, which brings it")


def open_hdf5_file(path: Path) -> h5py.File:
    """Open a file for reading.

    Parameters
    ----------
    path : Path

    Returns
    -------
    h5py.File

    Raises
    ------
    InputError
        If it is no HDF5 file or is cut short.
    """
    import h5py

    try:
        return h5py.File(path, "r", locking=False)  # reading needs no lock, and network disks often have none
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not an HDF5 file or is cut short ({reason}): copy it again") from error


def find_dataset(group: h5py.Group, path: str) -> h5py.Dataset | None:
    """A dataset below a group.

    Parameters
    ----------
    group : h5py.Group
    path : str

    Returns
    -------
    h5py.Dataset or None
        None where the file has none.

    Raises
    ------
    InputError
        If it is a link to a file that is missing or lacks it.
    """
    import h5py

    found = group.get(path)
    if found is None:
        link = group.get(path, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise InputError(
                f"{group.file.filename}::{group.name}/{path} needs {link.filename}::{link.path}, which is missing: "
                f"copy {link.filename} to where it belongs"
            )
    return found if isinstance(found, h5py.Dataset) else None


def read_quantity(group: h5py.Group, paths: tuple[str, ...], kind: str, *, unit: str) -> float | None:
    """The first finite number that one of several datasets holds.

    Parameters
    ----------
    group : h5py.Group
    paths : tuple of str
        Where it may be, the best first.
    kind : str
        `length_m` or `energy_kev`: the unit of what is returned.
    unit : str
        Of a dataset that states none.

    Returns
    -------
    float or None
        None where none has one.

    Raises
    ------
    InputError
        If a unit is unknown.
    """
    for path in paths:
        dataset = find_dataset(group, path)
        if dataset is not None:
            values = _read_numbers(dataset)
            values = values[np.isfinite(values)]
            if values.size:
                factor = _find_factor(dataset, kind, unit)
                # 50 nm are 5e-08 m, not 5.0000000000000004e-08
                return float(values[0]) if factor == 1 else float(f"{values[0] * factor:.12g}")
    return None


def read_angles(dataset: h5py.Dataset) -> NDArray[np.float64]:
    """Angles of frames.

    Parameters
    ----------
    dataset : h5py.Dataset
        In degrees if it does not say.

    Returns
    -------
    (n,) float64
        Radians.

    Raises
    ------
    InputError
        If the unit is unknown.
    """
    return _read_numbers(dataset) * _find_factor(dataset, "angle_rad", "deg")


def read_list(dataset: h5py.Dataset) -> NDArray[np.float64]:
    """Numbers of a dataset in one row, as the file has them.

    Parameters
    ----------
    dataset : h5py.Dataset

    Returns
    -------
    (n,) float64

    Raises
    ------
    InputError
        If they are none.
    """
    return _read_numbers(dataset)


def _read_numbers(dataset: h5py.Dataset) -> NDArray[np.float64]:
    try:
        value = dataset.asstr()[()] if dataset.dtype.kind in "OS" else dataset[()]
        return np.asarray(value, dtype=np.float64).ravel()
    except (TypeError, ValueError, OSError) as error:
        name = f"{dataset.file.filename}::{dataset.name}"
        raise InputError(f"{name} must hold numbers ({error}): correct the file") from error


def _find_factor(dataset: h5py.Dataset, kind: str, unit: str) -> float:
    stated = dataset.attrs.get("units", dataset.attrs.get("unit", unit))
    text = (stated.decode() if isinstance(stated, bytes) else str(stated)).strip()
    factor = _UNITS[kind].get(text.lower() or unit)
    if factor is None:
        known = ", ".join(sorted(name for name in _UNITS[kind] if name.isascii() and name.isalpha()))
        raise InputError(f"{dataset.file.filename}::{dataset.name} has the unknown unit {text!r}: use one of {known}")
    return float(factor)


def read_text(group: h5py.Group, name: str) -> str:
    """Text of a dataset or, failing that, of an attribute.

    Parameters
    ----------
    group : h5py.Group
    name : str

    Returns
    -------
    str
        Empty where there is none.
    """
    import h5py

    item = group.get(name)
    value = item[()] if isinstance(item, h5py.Dataset) else group.attrs.get(name, "")
    value = value[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

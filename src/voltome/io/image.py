"""A single image, such as one radiograph, from whatever format holds one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.io.edf_folder import read_edf
from voltome.io.tiff import TIFF_SUFFIXES, open_tiff
from voltome.io.volumes import read_volume


def read_image(path: str | Path) -> NDArray[Any]:
    """Read a single image.

    Parameters
    ----------
    path : str or Path
        TIFF, PNG, EDF, NumPy (.npy), or any volume of one slice, as `open_volume` takes it.

    Returns
    -------
    (rows, columns) array
        Whole or real numbers, in the machine's byte order.

    Raises
    ------
    InputError
        If the file is missing, unknown, damaged, or holds more than one image.
    ResourceError
        If there is no permission to read it.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    try:
        if place.is_file() and suffix in TIFF_SUFFIXES:
            values = _read_tiff(place)
        elif place.is_file() and suffix == ".png":
            values = _read_png(place)
        elif place.is_file() and suffix == ".edf":
            values = read_edf(place)
        elif place.is_file() and suffix == ".npy" and _is_flat(place):
            values = np.load(place, allow_pickle=False)
        else:
            values = read_volume(path)
    except OSError as error:
        if isinstance(error, ResourceError):
            raise
        raise ResourceError(f"{path} could not be read ({error.strerror or error}): check its permissions") from error
    if values.ndim == 3:
        if len(values) != 1:
            raise InputError(f"{path} must hold one image (it holds {len(values)}): save one by itself")
        values = values[0]
    if values.dtype.kind not in "uif":
        raise InputError(f"pixels must be whole or real numbers ({path} is {values.dtype}): save its magnitude")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def holds_image(path: str | Path) -> bool:
    """Whether a file holds one image by itself, which is no volume.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    bool
        False also where it cannot be read: whoever opens it says why.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if not place.is_file():
        return False
    if suffix in (".edf", ".png"):
        return True
    if suffix == ".npy":
        return _is_flat(place)
    if suffix in TIFF_SUFFIXES:
        try:
            reader = open_tiff(place, flat=True)
        except InputError:
            return False
        try:
            return reader.shape[0] == 1
        finally:
            reader.close()
    return False


def _read_png(place: Path) -> NDArray[Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(place) as image:
            if image.mode not in ("L", "I;16", "I", "1"):
                raise InputError(f"{place} holds colours ({image.mode}): save it in grey, class codes as 8 bits")
            return np.asarray(image if image.mode != "1" else image.convert("L"))
    except UnidentifiedImageError:
        raise InputError(f"{place} is not a PNG, or is damaged: save it again") from None


def _read_tiff(place: Path) -> NDArray[Any]:
    reader = open_tiff(place, flat=True)
    try:
        slices, rows, columns = reader.shape
        if slices != 1:
            raise InputError(f"{place} must hold one image (it holds {slices}): save one by itself")
        return reader.read((slice(0, 1), slice(0, rows), slice(0, columns)))
    finally:
        reader.close()


def _is_flat(place: Path) -> bool:
    try:
        return bool(np.load(place, mmap_mode="r", allow_pickle=False).ndim == 2)
    except (ValueError, EOFError):  # `read_volume` says what is wrong
        return False

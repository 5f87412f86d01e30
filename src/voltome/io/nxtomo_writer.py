"""Radiographs as NXtomo: one file per distance, written block by block, read by nxtomo, tomoscan and Nabu."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voltome.errors import InputError
from voltome.frames import UNUSED
from voltome.io.flat import write_slabs
from voltome.io.hdf5 import claim_dataset, require_space
from voltome.io.staging import staged_file
from voltome.optics import Geometry

if TYPE_CHECKING:
    import h5py

_ENTRY = "entry0000"
_VERSION = 1.5  # of nxtomo's paths: from here on the detector's pixel is the detector's, the sample's is its own
_METADATA_BYTES = 2**17


def write_nxtomo(
    path: str | Path,
    blocks: Iterable[NDArray[Any]],
    *,
    kinds: ArrayLike,
    angles_rad: ArrayLike,
    geometry: Geometry,
    current_a: ArrayLike | None = None,
    exposure_s: float | None = None,
    sample_name: str = "sample",
    overwrite: bool = False,
) -> None:
    """Write all frames of one distance as an NXtomo file; the same input gives the same bytes.

    The frames lie in one piece, uncompressed, so that a few rows of all of them are read fast.

    Parameters
    ----------
    path : str or Path
        The file; ``.nx`` as a rule.
    blocks : iterable of (m, rows, columns) arrays
        Frames in the order of acquisition, together n; all of the first one's type: uint8, uint16 (a camera's), uint32
        or float32. They are taken one by one, so that a generator keeps memory small.
    kinds : (n,) whole numbers
        `voltome.frames.PROJECTION`, FLAT, DARK or UNUSED of each frame.
    angles_rad : (n,) float
        Rotation of the sample at each frame; of flats and darks as well (that at which they were taken, or 0).
    geometry : Geometry
        An infinite `source_sample_m` is a parallel beam: the file then states no distance of the source.
    current_a : (n,) float, optional
        Beam current at each frame, amperes.
    exposure_s : float, optional
        Exposure of one frame.
    sample_name : str
    overwrite : bool
        Replace an existing file, at the very end.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the lengths do not agree, frames differ in shape or type, a kind or an angle is none, or the file exists.
    ResourceError
        If the disk is full or there is no permission; nothing is left behind.
    """
    keys, angles, currents = _check_lists(kinds, angles_rad, current_a)
    stream = iter(blocks)
    first = _check_first(next(stream, None))
    shape = (len(keys), *first.shape[1:])
    with staged_file(path, overwrite=overwrite) as part:
        require_space(part, math.prod(shape) * first.dtype.itemsize + 64 * len(keys) + _METADATA_BYTES)
        import h5py

        with h5py.File(part, "w", libver="v110") as file:
            frames = _lay_out(file, shape, first.dtype, keys, angles, geometry, sample_name)
            detector = frames.parent
            if exposure_s is not None:
                _put(detector, "count_time", exposure_s, "s")
            if currents is not None:
                control = _group(detector.parent.parent, "control", "NXmonitor")
                _put(control, "data", currents, "A")
            offset = frames.id.get_offset()
        with open(part, "r+b") as raw:  # past the library, which does not survive a full disk
            raw.seek(offset)
            write_slabs(raw, _check_blocks(itertools.chain([first], stream), shape, first.dtype))


def _check_lists(
    kinds: ArrayLike, angles_rad: ArrayLike, current_a: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64] | None]:
    keys = np.asarray(kinds, dtype=np.int64)
    angles = np.asarray(angles_rad, dtype=np.float64)
    currents = None if current_a is None else np.asarray(current_a, dtype=np.float64)
    for name, values in (("angles_rad", angles), ("current_a", currents)):
        if values is not None and values.shape != keys.shape:
            raise InputError(f"{name} must have a value for each of {keys.size} frames (got {values.size}): add them")
    if keys.ndim != 1 or not keys.size or keys.min() < 0 or keys.max() > UNUSED:
        raise InputError("kinds must be numbers from 0 to 3, one per frame: see voltome.frames")
    if not np.isfinite(angles).all():
        raise InputError("angles_rad must be finite numbers: give flats and darks 0")
    return keys, angles, currents


def _check_first(block: NDArray[Any] | None) -> NDArray[Any]:
    if block is None or block.ndim != 3 or not block.size:
        found = "none" if block is None else f"one of shape {block.shape}"
        raise InputError(f"blocks must be frames of shape (m, rows, columns) (got {found}): give at least one")
    if block.dtype not in (np.uint8, np.uint16, np.uint32, np.float32):
        raise InputError(f"frames must be uint8, uint16, uint32 or float32 (got {block.dtype}): convert them")
    return block


def _check_blocks(
    blocks: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    """Pass blocks on as long as they fit; more or fewer frames than announced are refused."""
    written = 0
    for block in blocks:
        if block.shape[1:] != shape[1:] or block.dtype != dtype:
            raise InputError(
                f"all frames must be {shape[1:]} {dtype} as the first ones are (got {block.shape[1:]} {block.dtype} "
                f"after {written} frames): make them alike"
            )
        written += len(block)
        if written > shape[0]:
            break
        yield block.astype(dtype.newbyteorder("<"), copy=False)
    if written != shape[0]:
        raise InputError(f"blocks must hold {shape[0]} frames, as many as kinds has (got {written}): correct either")


def _lay_out(
    file: h5py.File,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    keys: NDArray[np.int64],
    angles_rad: NDArray[np.float64],
    geometry: Geometry,
    sample_name: str,
) -> h5py.Dataset:
    """Everything but the frames themselves; returns their dataset."""
    file.attrs["default"] = _ENTRY
    entry = _group(file, _ENTRY, "NXentry")
    entry.attrs["definition"] = "NXtomo"
    entry.attrs["version"] = _VERSION
    entry.attrs["default"] = "data"
    _put(entry, "definition", "NXtomo")
    instrument = _group(entry, "instrument", "NXinstrument")
    _put(_group(instrument, "beam", "NXbeam"), "incident_energy", geometry.energy_kev, "keV")
    if math.isfinite(geometry.source_sample_m):
        # NeXus counts along the beam from the sample on: the source is upstream, thus negative.
        _put(_group(instrument, "source", "NXsource"), "distance", -geometry.source_sample_m, "m")
    detector = _group(instrument, "detector", "NXdetector")
    frames = claim_dataset(detector, "data", shape, dtype.newbyteorder("<"))
    frames.attrs["interpretation"] = "image"
    _put(detector, "image_key", keys)
    _put(detector, "image_key_control", keys)
    _put(detector, "distance", geometry.sample_detector_m, "m")
    sample = _group(entry, "sample", "NXsample")
    _put(sample, "name", sample_name)
    _put(sample, "rotation_angle", np.degrees(angles_rad), "deg")
    _put(sample, "propagation_distance", geometry.effective_m, "m")
    for axis in "xy":
        _put(detector, f"{axis}_pixel_size", geometry.detector_pixel_m, "m")
        _put(sample, f"{axis}_pixel_size", geometry.pixel_m, "m")
    data = _group(entry, "data", "NXdata")
    data.attrs["signal"] = "data"
    for item in (frames, detector["image_key"], detector["image_key_control"], sample["rotation_angle"]):
        data[item.name.rsplit("/", 1)[1]] = item
    return frames


def _group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _put(group: h5py.Group, name: str, value: Any, units: str | None = None) -> None:
    dataset = group.create_dataset(name, data=value, track_times=False)
    if units is not None:
        dataset.attrs["units"] = units

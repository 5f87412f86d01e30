"""Radiographs in NXtomo files: of nxtomo and nxtomomill (ESRF), and what Diamond's GDA writes in its place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.io.nexus_field import (
    Hdf5Frames,
    find_dataset,
    read_angles,
    read_list,
    read_quantity,
    read_text,
)
from voltome.io.scan_facts import ScanFacts, sort_kinds, spread_angles
from voltome.optics import KEV_M

if TYPE_CHECKING:
    import h5py

_ENERGY_PATHS = ("instrument/beam/incident_energy", "beam/incident_energy", "instrument/monochromator/energy")
_WAVELENGTH_PATHS = ("instrument/beam/incident_wavelength", "beam/incident_wavelength")
_DETECTOR_PIXEL_SINCE = 1.5
_AGREEMENT = 1e-6


def find_nxtomo_entries(file: h5py.File) -> list[str]:
    """Entries that hold radiographs.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    list of str
        Those that call themselves NXtomo, at the top or one below; else those with a detector that has image keys.
    """
    groups = [group for name in file if (group := _group(file, name)) is not None]
    groups += [inner for group in groups for name in group if (inner := _group(group, name)) is not None]
    entries = [group for group in groups if read_text(group, "definition") == "NXtomo"]
    entries = entries or [group for group in groups if _find_detectors(group)]
    return [str(entry.name) for entry in entries]


def read_nxtomo(file: h5py.File, entry: str) -> ScanFacts:
    """What one entry says; no frame is read.

    Parameters
    ----------
    file : h5py.File
        It stays open as long as frames are read.
    entry : str
        Its path.

    Returns
    -------
    ScanFacts

    Raises
    ------
    InputError
        If the entry has no frames or image keys, they do not fit each other, or a file that it refers to is missing.
    """
    name = f"{file.filename}::{entry}"
    group = _group(file, entry)
    if group is None:
        raise InputError(
            f"{file.filename} has no entry {entry}: it has {', '.join(find_nxtomo_entries(file)) or 'none'}"
        )
    detector, frames = _find_frames(group, name)
    keys = find_dataset(detector, "image_key_control")
    keys = keys if keys is not None else find_dataset(detector, "image_key")
    if keys is None:
        raise InputError(f"{name} has no image_key, which tells projections, flats and darks apart: add it to the file")
    kinds = sort_kinds(read_list(keys), frames, name)
    pixel_m, pixel_at, source_m, distance_m = _read_geometry(group, detector)
    return ScanFacts(
        name,
        frames,
        kinds,
        spread_angles(_read_angles(group, detector, kinds.size), kinds, name),
        energy_kev=_read_energy(group),
        source_sample_m=source_m,
        sample_detector_m=distance_m,
        pixel_m=pixel_m,
        pixel_at=pixel_at,
        current=_read_current(group, kinds.size),
    )


def _group(parent: h5py.Group, name: str) -> h5py.Group | None:
    import h5py

    found = parent.get(name)
    return found if isinstance(found, h5py.Group) else None


def _find_detectors(entry: h5py.Group) -> list[h5py.Group]:
    """Groups with image keys; the one called detector first."""
    instrument = _group(entry, "instrument")
    if instrument is None:
        return []
    names = sorted(instrument, key=lambda name: name != "detector")
    groups = [group for name in names if (group := _group(instrument, name)) is not None]
    return [group for group in groups if "image_key" in group or "image_key_control" in group]


def _find_frames(entry: h5py.Group, name: str) -> tuple[h5py.Group, Hdf5Frames]:
    detectors = _find_detectors(entry)
    if not detectors:
        detector = _group(entry, "instrument/detector")
        if detector is None:
            raise InputError(f"{name} has no instrument/detector: give another file or entry")
        detectors = [detector]
    trouble = InputError(f"{name} has no frames in instrument/detector/data: give another file")
    for detector in detectors:  # GDA gives image keys to monitors as well, whose files may be left behind
        try:
            data = find_dataset(detector, "data")
        except InputError as error:
            trouble = error
            continue
        if data is not None and len(data.shape) == 3:
            return detector, Hdf5Frames(data, name)
    raise trouble


def _read_angles(entry: h5py.Group, detector: h5py.Group, count: int) -> NDArray[np.float64]:
    found = find_dataset(entry, "sample/rotation_angle")
    if found is None:
        found = _find_angle_axis(entry, detector)
    return np.full(count, np.nan) if found is None else read_angles(found)


def _find_angle_axis(entry: h5py.Group, detector: h5py.Group) -> h5py.Dataset | None:
    """GDA: the axis of the NXdata group named as the detector is; what was measured rather than what was set."""
    import h5py

    data = _group(entry, str(detector.name).rsplit("/", 1)[1])
    if data is None:
        return None
    indices = (name.removesuffix("_indices") for name in data.attrs if name.endswith("_indices"))
    names = [name for name in indices if any(word in name.lower() for word in ("theta", "angle", "rot"))]
    for name in sorted(names, key=lambda name: name.endswith("_set")):
        found = data.get(name)
        if isinstance(found, h5py.Dataset):
            return found
    return None


def _read_energy(entry: h5py.Group) -> float | None:
    energy = read_quantity(entry, _ENERGY_PATHS, "energy_kev", unit="kev")
    if energy is None:
        wavelength = read_quantity(entry, _WAVELENGTH_PATHS, "length_m", unit="angstrom")
        energy = KEV_M / wavelength if wavelength else None
    return energy


def _read_geometry(
    entry: h5py.Group, detector: h5py.Group
) -> tuple[float | None, Literal["detector", "sample"], float | None, float | None]:
    """Pixel, where it is meant, source to sample, sample to detector."""
    distance = _read_length(detector, "distance")
    source = _read_length(entry, "instrument/source/distance") or None
    effective = _read_length(entry, "sample/propagation_distance")
    if source is None and distance and effective and effective < distance * (1 - _AGREEMENT):
        source = distance * effective / (distance - effective)
    own, sample = _read_length(detector, "x_pixel_size"), _read_length(entry, "sample/x_pixel_size")
    if _read_version(entry) < _DETECTOR_PIXEL_SINCE:  # the detector's group held the pixel at the sample
        own, sample = _read_length(detector, "x_real_pixel_size", "real_x_pixel_size"), own
    magnification = 1 + distance / source if distance is not None and source else 1.0
    # Behind a lens a camera's pixel is not the one that counts: then the sample's is.
    if own and (not sample or abs(sample * magnification / own - 1) < _AGREEMENT):
        return own, "detector", source, distance
    return (sample or None), "sample", source, distance


def _read_length(group: h5py.Group, *paths: str) -> float | None:
    value = read_quantity(group, paths, "length_m", unit="m")
    return None if value is None else abs(value)  # NeXus counts along the beam: what is upstream is negative


def _read_version(entry: h5py.Group) -> float:
    """Of nxtomo's paths; the newest for all other programs, which follow NeXus."""
    try:
        return float(np.ravel(entry.attrs["version"])[0])
    except (KeyError, TypeError, ValueError):
        return math.inf


def _read_current(entry: h5py.Group, count: int) -> NDArray[np.float64] | None:
    found = find_dataset(entry, "control/data")
    current = None if found is None else read_list(found)
    return current if current is not None and current.size == count and (current > 0).all() else None


def is_hdf5_name(path: Path) -> bool:
    """Whether a name is that of an HDF5 file, as far as its ending tells.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    return path.suffix.lower() in (".nx", ".nxs", ".h5", ".hdf5", ".hdf", ".he5")

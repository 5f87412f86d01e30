"""Radiographs in Data Exchange files (APS, TomoBank): 10.1107/S160057751401604X."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION
from voltome.io.frame_reader import FrameReader, JoinedFrames
from voltome.io.nexus_field import Hdf5Frames, find_dataset, read_angles, read_quantity
from voltome.io.scan_facts import ScanFacts, spread_angles

if TYPE_CHECKING:
    import h5py

_PARTS = (("data_dark", DARK), ("data_white", FLAT), ("data", PROJECTION))
_INSTRUMENT = "measurement/instrument/"


def is_dxchange(file: h5py.File) -> bool:
    """Whether a file holds radiographs as Data Exchange does.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    bool
    """
    return "exchange/data" in file


def read_dxchange(file: h5py.File) -> ScanFacts:
    """What a file says; no frame is read.

    Parameters
    ----------
    file : h5py.File
        It stays open as long as frames are read.

    Returns
    -------
    ScanFacts
        Darks, flats, projections: the format does not tell their order in time.

    Raises
    ------
    InputError
        If there are no projections, or angles do not fit them.
    """
    name = str(file.filename)
    stacks: list[FrameReader] = []
    kinds: list[int] = []
    for part, kind in _PARTS:
        dataset = find_dataset(file, f"exchange/{part}")
        if dataset is not None and 0 not in dataset.shape:
            stacks.append(Hdf5Frames(dataset, f"{name}::/exchange/{part}"))
            kinds += [kind] * stacks[-1].shape[0]
    if PROJECTION not in kinds:
        raise InputError(f"{name} has no projections in exchange/data: give another file")
    keys = np.array(kinds, dtype=np.uint8)
    theta = find_dataset(file, "exchange/theta")
    angles = np.full(keys.size, np.nan) if theta is None else spread_angles(read_angles(theta), keys, name)
    pixels = ("detector/actual_pixel_size_x", "detection_system/objective/resolution", "detector/pixel_size_x")
    return ScanFacts(
        name,
        JoinedFrames(name, stacks),
        keys,
        angles,
        energy_kev=read_quantity(file, (_INSTRUMENT + "monochromator/energy",), "energy_kev", unit="kev"),
        pixel_m=read_quantity(file, tuple(_INSTRUMENT + path for path in pixels), "length_m", unit="m"),
        pixel_at="detector",
    )

"""What a file says of one distance's scan, before what it lacks is added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION, UNUSED
from voltome.io.frame_reader import FrameReader

_KINDS = (PROJECTION, FLAT, DARK)


@dataclass(frozen=True, eq=False)
class ScanFacts:
    """What a file says of one distance; None is what it does not say.

    Parameters
    ----------
    name : str
        For messages: the file, the entry, the folder.
    frames : FrameReader
        (n, rows, columns) in the order of acquisition.
    kinds : (n,) uint8
    angles_rad : (n,) float64
        NaN where a projection has none.
    energy_kev : float or None
    source_sample_m : float or None
        None where no source is stated: a parallel beam.
    sample_detector_m : float or None
    pixel_m : float or None
    pixel_at : {"detector", "sample", "unsaid"}
        Where `pixel_m` is meant.
    current : (n,) float64 or None
        Beam current, in any unit.
    """

    name: str
    frames: FrameReader
    kinds: NDArray[np.uint8]
    angles_rad: NDArray[np.float64]
    energy_kev: float | None = None
    source_sample_m: float | None = None
    sample_detector_m: float | None = None
    pixel_m: float | None = None
    pixel_at: Literal["detector", "sample", "unsaid"] = "detector"
    current: NDArray[np.float64] | None = None


def sort_kinds(keys: NDArray[np.float64], frames: FrameReader, name: str) -> NDArray[np.uint8]:
    """Kinds of frames from NXtomo's image keys.

    Parameters
    ----------
    keys : (n,) float
        0 projection, 1 flat, 2 dark; all others, -1 alignment and 3 invalid among them, are not used.
    frames : FrameReader
    name : str
        For messages.

    Returns
    -------
    (n,) uint8

    Raises
    ------
    InputError
        If there is not one key for each frame.
    """
    if keys.size != frames.shape[0]:
        raise InputError(
            f"image_key must have a value for each of {frames.shape[0]} frames ({name} has {keys.size}): "
            "correct the file"
        )
    return np.where(np.isin(keys, _KINDS), keys, UNUSED).astype(np.uint8)


def spread_angles(angles_rad: NDArray[np.float64], kinds: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
    """One angle for each frame, where a file gives them for all frames or for the projections alone.

    Parameters
    ----------
    angles_rad : (n,) or (projections,) float64
    kinds : (n,) uint8
    name : str
        For messages.

    Returns
    -------
    (n,) float64
        0 for those that need none.

    Raises
    ------
    InputError
        If there are more or fewer.
    """
    if angles_rad.size == kinds.size:
        return angles_rad
    projections = np.flatnonzero(kinds == PROJECTION)
    if angles_rad.size != projections.size:
        raise InputError(
            f"there must be an angle for each of {projections.size} projections ({name} has {angles_rad.size}): "
            "correct the file or give the range of angles"
        )
    spread = np.zeros(kinds.size)
    spread[projections] = angles_rad
    return spread

"""Histogram equalisation: for the eye, never for a measurement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.quality.blocks import check_volume, sample_blocks

_LEVELS = 65536
_BINS = 1024


def find_equalisation(greys: VolumeSource, *, limit: float = 4.0, seed: int = 0) -> NDArray[np.uint8]:
    """Table that gives each 16-bit grey its equalised 8-bit one, by contrast-limited histogram equalisation.

    One table for a whole volume: the same value has the same shade everywhere. The limit on the slope is that of
    Zuiderveld 1994 (10.1016/B978-0-12-336156-1.50061-6): the surplus of crowded bins is spread over all.

    Parameters
    ----------
    greys : (z, y, x) volume of uint16
        In the study's window.
    limit : float
        Steepest slope of the table, in units of the identity's: 1 changes nothing, infinity equalises fully.
    seed : int
        Of the draw of blocks: up to 24 of 64^3 voxels.

    Returns
    -------
    (65536,) uint8
        Rising: black stays black.

    Raises
    ------
    InputError
        If greys are not uint16, or the limit is below 1.
    """
    shape = check_volume(greys)
    if greys.dtype != np.uint16:
        raise InputError(f"greys must be uint16 (got {greys.dtype}): apply the grey window first")
    if not limit >= 1:
        raise InputError(f"limit must be >= 1 (got {limit}): give a steepest slope such as 4")
    counts = np.zeros(_BINS)
    for block in sample_blocks(shape, 64, 24, seed=seed):
        counts += np.bincount(np.asarray(greys[block]).ravel() // (_LEVELS // _BINS), minlength=_BINS)
    share = counts / counts.sum() * _BINS
    low, high = 0.0, limit  # the level at which bins are cut so that, the surplus spread, none is above the limit
    for _ in range(50):
        cut = 0.5 * (low + high)
        surplus = 1.0 - np.minimum(share, cut).mean()
        low, high = (cut, high) if cut + surplus <= limit else (low, cut)
    flat = np.minimum(share, low)
    heights = np.concatenate([[0.0], np.cumsum(flat + 1.0 - flat.mean())]) / _BINS
    table = np.interp(np.arange(_LEVELS) / (_LEVELS - 1), np.linspace(0, 1, _BINS + 1), heights)
    return np.rint(255.0 * table).astype(np.uint8)


def equalise_for_the_eye(greys: NDArray[np.uint16], *, table: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Copy with equalised contrast, to look at only: its greys are no measure of anything.

    Parameters
    ----------
    greys : (z, y, x) uint16
        A volume or a block of it, in the study's window.
    table : (65536,) uint8, optional
        From `find_equalisation` of the whole volume (or of the first scan); without it, of these greys.

    Returns
    -------
    (z, y, x) uint8

    Raises
    ------
    InputError
        If greys are not uint16.
    """
    if greys.dtype != np.uint16:
        raise InputError(f"greys must be uint16 (got {greys.dtype}): apply the grey window first")
    return np.asarray((find_equalisation(greys) if table is None else table)[greys])

"""What of a map of angle and radius goes on along the angle and is narrow along the radius: stripes, or rings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

_MAD = 1.4826  # sd of a normal distribution over its median absolute deviation
_ARC_ERRORS = 2.0  # standard errors that an arc has to stand out by: grains do more harm to it than to a whole ring
_LEAST_INDEPENDENT = 4.0
_MEDIAN = 1.25  # scatter of a median over that of a mean


def find_stripes(sectors: Image, *, width_px: int, independent: NDArray[np.floating], arc: int) -> Image:
    """Stripes by a median along the radius and one along the angle: whole ones first, then arcs.

    What a median along the radius takes away holds stripes, edges and noise; only stripes outlast the median along the
    angle (as Prell et al. 2009, 10.1088/0031-9155/54/12/018). What is left is shrunk to c (1 - (s / c)^2), s its
    standard error (twice for arcs), so that what may as well be chance is left alone.

    Parameters
    ----------
    sectors : (S, R) float32
        Means over sectors of angle; NaN where a sector holds nothing. The last one is beside the first.
    width_px : int
        Odd; stripes up to half as wide are found.
    independent : (R,) float array
        How many of the sectors at each radius tell different things: two that cross the same grain do not.
    arc : int
        Odd number of sectors that a stripe spans at least; S looks for whole ones alone.

    Returns
    -------
    (S, R) float32
        To subtract.
    """
    from scipy.ndimage import median_filter, uniform_filter1d

    empty = np.isnan(sectors)
    filled = _fill(sectors, empty)
    high = filled - median_filter(filled, size=(1, width_px), mode="nearest")
    whole = _nan_median(np.where(empty, np.nan, high))
    high = np.where(empty, whole, high)
    scatter = uniform_filter1d(_MAD * np.median(np.abs(high - whole), axis=0), width_px, mode="nearest")
    error = _MEDIAN * scatter / np.sqrt(np.maximum(independent, 1e-3))
    stripes = np.broadcast_to(_shrink(whole, error), high.shape)
    if arc < len(sectors):
        arcs = median_filter(high - stripes, size=(arc, 1), mode="wrap")
        share = arc / len(sectors)
        arcs = _shrink(arcs, _ARC_ERRORS * error / np.sqrt(share))
        arcs[:, independent * share < _LEAST_INDEPENDENT] = 0  # a grain is as long
        stripes = stripes + uniform_filter1d(arcs, max(1, arc // 4), axis=0, mode="wrap")
    return np.asarray(stripes, dtype=np.float32)


def _fill(sectors: Image, empty: NDArray[np.bool_]) -> Image:
    """What lies inwards in the same sector, or at the same radius where nothing does."""
    last = np.maximum.accumulate(np.where(empty, -1, np.arange(sectors.shape[1])), axis=1)
    inward = np.take_along_axis(sectors, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, inward, _nan_median(sectors))


def _nan_median(sectors: Image) -> Image:
    """Median of each radius over the sectors that hold something; 0 where none does."""
    count = (~np.isnan(sectors)).sum(axis=0)
    ordered = np.sort(sectors, axis=0)  # NaN last
    lower, upper = (np.maximum(n, 0)[None] for n in ((count - 1) // 2, count // 2))
    middle = (np.take_along_axis(ordered, lower, 0) + np.take_along_axis(ordered, upper, 0))[0] / 2
    return np.where(count > 0, middle, np.float32(0))


def _shrink(value: Image, error: Image) -> Image:
    square = np.asarray(value, dtype=np.float64) ** 2
    share = np.clip(1 - error**2 / np.maximum(square, 1e-300), 0, None)
    return np.asarray(value * share, dtype=np.float32)

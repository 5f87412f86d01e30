"""The texture of a collector's slab: rings taken out of it, and how far it has moved sideways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_LEAST_PEAK_SDS = 6.0
_MOST_SHIFT = 0.4  # of the field


@dataclass(frozen=True, eq=False)
class LateralShift:
    """How far a texture has moved sideways.

    Parameters
    ----------
    shift_px : (2,) float64
        Along y and x, to a pixel.
    found : bool
        Whether its peak stands out; else the shift means nothing.
    """

    shift_px: Floats
    found: bool


def remove_rings(slab: Singles, background_px: float) -> Singles:
    """Take the mean over the angle out of each plane: rings of a detector's faults, which move with no sample.

    Parameters
    ----------
    slab : (z, y, x) float32
        Whose lateral middle is the rotation axis. Where it is not, a little of the texture's own mean is lost.
    background_px : float
        Sd of the Gaussian whose slower shades are left alone.

    Returns
    -------
    (z, y, x) float32
    """
    from scipy.ndimage import gaussian_filter

    y, x = (np.arange(n) - (n - 1) / 2 for n in slab.shape[1:])
    radius = np.hypot(y[:, None], x)
    low = radius.astype(np.int64)
    part = radius - low
    count = int(low.max()) + 2
    places = np.concatenate([low.ravel(), low.ravel() + 1])
    shares = np.concatenate([1.0 - part.ravel(), part.ravel()])
    weight = np.maximum(np.bincount(places, shares, count), 1e-9)
    out = np.empty_like(slab)
    for z, plane in enumerate(slab):
        fine = (plane - gaussian_filter(plane, background_px, mode="nearest")).ravel().astype(np.float64)
        mean = np.bincount(places, shares * np.tile(fine, 2), count) / weight
        out[z] = plane - ((1.0 - part) * mean[low] + part * mean[low + 1])
    return out


def find_lateral_shift(reference: Singles, deformed: Singles, planes: int) -> LateralShift:
    """Shift between the textures of two slabs: peak of the normalised cross-correlation of their means along z.

    Parameters
    ----------
    reference, deformed : (z, y, x) float32
    planes : int
        Of the collector that count.

    Returns
    -------
    LateralShift
        Within 0.4 of the field.
    """
    from scipy import fft
    from scipy.ndimage import gaussian_filter

    images = []
    for slab in (reference, deformed):
        image = slab[: max(planes, 1)].mean(axis=0).astype(np.float64)
        images.append(image - gaussian_filter(image, min(image.shape) / 12))
    shape = images[0].shape
    padded = [fft.next_fast_len(2 * n, real=True) for n in shape]
    a, b = (fft.rfft2(image, padded) for image in images)
    ones = fft.rfft2(np.ones(shape), padded)
    overlap = np.maximum(fft.irfft2(np.conj(ones) * ones, padded), 1.0)
    powers = [fft.irfft2(np.conj(ones) * fft.rfft2(images[1] ** 2, padded), padded),
              fft.irfft2(np.conj(fft.rfft2(images[0] ** 2, padded)) * ones, padded)]  # fmt: skip
    zncc = fft.irfft2(np.conj(a) * b, padded) / np.sqrt(np.maximum(powers[0] * powers[1], 1e-30))
    shifts = [np.where(np.arange(n) > n / 2, np.arange(n) - n, np.arange(n)) for n in padded]
    near = (np.abs(shifts[0])[:, None] <= _MOST_SHIFT * shape[0]) & (np.abs(shifts[1]) <= _MOST_SHIFT * shape[1])
    score = np.where(near, zncc * np.sqrt(overlap), 0.0)
    peak = np.unravel_index(int(np.argmax(score)), score.shape)
    spread = float(score[near].std())
    found = bool(score[peak] > _LEAST_PEAK_SDS * spread)
    return LateralShift(np.array([shifts[0][peak[0]], shifts[1][peak[1]]], dtype=np.float64), found)

"""Images fitted to a frame in which a sample stands before them, by tiles whose scatter tells the error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

_SLOW_PX = 15
_PASSES = 2


def remove_slow(values: Singles, seen: Singles) -> Singles:
    """Values less their mean over the seen pixels around.

    Parameters
    ----------
    values : (..., rows, columns) float32
    seen : (..., rows, columns) float32
        1 where there is a value, 0 elsewhere.

    Returns
    -------
    (..., rows, columns) float32
    """
    mean, weight = _average(values * seen), _average(seen)
    return np.asarray(values - mean / np.maximum(weight, np.float32(1e-3)))


def fit_tiles(values: Singles, basis: Singles, seen: Singles) -> tuple[Floats, Floats]:
    """Least squares with weights that follow the local strength of what the images do not explain.

    Parameters
    ----------
    values : (down, across, rows, columns) float32
        Tiles of a frame; 0 where nothing is seen.
    basis : (k, down, across, rows, columns) float32
    seen : (down, across, rows, columns) float32
        1 or 0.

    Returns
    -------
    found : (k,) float64
    covariance : (k, k) float64
        A sandwich: pixels are not independent, and layers and edges of a sample run through whole rows or columns of
        tiles.
    """
    count = len(basis)
    down, across = values.shape[:2]
    tiles = np.moveaxis(basis.reshape(count, down * across, -1), 0, 1)
    right_side = values.reshape(down * across, -1, 1)
    found, covariance = np.zeros(count), np.eye(count)
    for _ in range(_PASSES):
        weights = _weigh(values - np.tensordot(found.astype(np.float32), basis, 1), seen)
        weighted = tiles * weights.reshape(down * across, 1, -1)
        normal = (weighted @ tiles.transpose(0, 2, 1)).astype(np.float64)
        right = (weighted @ right_side)[..., 0].astype(np.float64)
        total = normal.sum(axis=0)
        total += (1e-9 * np.trace(total) / count + np.finfo(np.float64).tiny) * np.eye(count)
        found = np.linalg.solve(total, right.sum(axis=0))
        rest = (right - normal @ found).reshape(down, across, count)
        inverse = np.linalg.inv(total)
        spread = sum(np.einsum("ti,tj->ij", part, part) for part in (rest.sum(axis=0), rest.sum(axis=1)))
        covariance = inverse @ spread @ inverse
    return found, covariance


def filter_noise(image: Singles, noise: float) -> Singles:
    """Wiener filter with the local mean of the power spectrum.

    Parameters
    ----------
    image : (rows, columns) float32
    noise : float
        Variance of white noise in it.

    Returns
    -------
    (rows, columns) float32
    """
    from scipy import fft, ndimage

    spectrum = fft.rfft2(image)
    power = ndimage.uniform_filter(np.abs(spectrum) ** 2, size=5, mode="wrap")
    expected = np.float32(noise * image.size)
    gain = np.maximum(0.0, 1.0 - expected / np.maximum(power, expected + np.finfo(np.float32).tiny))
    out: Singles = fft.irfft2(spectrum * gain, s=image.shape)
    return out.astype(np.float32)


def _weigh(rest: Singles, seen: Singles) -> Singles:
    """One over the local variance of what is no illumination; nothing where there is no light."""
    variance = _average(rest * rest)
    floor = 0.1 * float(np.median(variance[seen > 0]))
    out = seen / np.maximum(variance, np.float32(max(floor, 1e-12)))
    return np.asarray(out / np.float32(max(float(out.max()), 1e-30)))


def _average(values: Singles) -> Singles:
    from scipy.ndimage import uniform_filter

    out: Singles = uniform_filter(values, (1,) * (values.ndim - 2) + (_SLOW_PX, _SLOW_PX), mode="nearest")
    return out

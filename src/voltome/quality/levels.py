"""Levels of slices: what interior tomography and the phase's slowest variations leave open along the axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

ORDER = 2
"""Of the polynomial along the axis."""

_SAMPLES = 4000  # of each slice
_PLAIN_SHARE = 0.4
_SEED = 0
_LEAST_SLICES = 8
_TAILS = (0.002, 0.998)
_BINS = 160


def find_slice_levels(slices: Singles, places: Floats) -> Floats:
    """What to subtract from slices so that each material has one grey along the axis.

    The level that a parabola along the axis adds smears the histogram of all slices together; the parabola that makes
    it sharpest (least entropy, as Likar et al. 2001, 10.1109/42.974934, correct shading) is taken. Only voxels away
    from edges count. How much there is of each material may change along the axis.

    Parameters
    ----------
    slices : (m, y, x) float32
        Some slices, spread over the axis.
    places : (m,) float64
        Where each lies on the axis, from -1 to 1.

    Returns
    -------
    (2,) float64
        Coefficients of the Legendre polynomials of degree 1 and 2; 0 where slices are too few or all alike.
    """
    from scipy.optimize import minimize

    values, where = _sample_plain(slices, places)
    basis = np.polynomial.legendre.legvander(where, ORDER)[:, 1:]
    spread = float(np.quantile(values, 0.9) - np.quantile(values, 0.1)) if len(values) else 0.0
    if len(slices) < _LEAST_SLICES or spread == 0:
        return np.zeros(ORDER)
    width = spread / _BINS * 4

    def smear(coefficients: Floats) -> float:
        return _find_entropy(values - basis @ (coefficients * spread), width)

    found = np.zeros(ORDER)
    for degree in range(1, ORDER + 1):
        start = found[:degree]
        simplex = np.vstack([start, start + 0.15 * np.eye(degree)])
        options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-6, "maxiter": 300}
        free = minimize(
            lambda part: smear(np.r_[part, np.zeros(ORDER - len(part))]), start, method="Nelder-Mead", options=options
        )
        found[:degree] = free.x
    return np.asarray(found * spread)


def _sample_plain(slices: Singles, places: Floats) -> tuple[Floats, Floats]:
    """Smoothed values away from edges, as many of each slice, and where they lie."""
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

    random = np.random.default_rng(_SEED)
    values, where = [], []
    for one, place in zip(slices, places, strict=True):
        steep = gaussian_gradient_magnitude(one, 2.0)
        plain = np.flatnonzero(steep.ravel() < np.quantile(steep, _PLAIN_SHARE))
        chosen = random.choice(plain, min(_SAMPLES, len(plain)), replace=False)
        values.append(gaussian_filter(one, 1.5).ravel()[chosen].astype(np.float64))
        where.append(np.full(len(chosen), place))
    return np.concatenate(values), np.concatenate(where)


def _find_entropy(values: Floats, width: float) -> float:
    low, high = np.quantile(values, _TAILS)
    count = max(int((high - low) / width), 4)
    histogram = np.histogram(values, count, (low, high))[0].astype(np.float64)
    kernel = np.exp(-0.5 * np.arange(-4, 5) ** 2 / 2.0)
    density = np.convolve(histogram, kernel / kernel.sum())
    density = density[density > 0] / density.sum()
    return float(-(density * np.log(density)).sum() + np.log((high - low) / count))

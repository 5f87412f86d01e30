"""Particle sizes: a split normal in the logarithm of the diameter that meets three volume-weighted percentiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PERCENTS = np.array([0.1, 0.5, 0.9])
_NORMAL_90 = 1.2815515655446004  # the normal distribution's quantile of 90 %
_ROUNDS, _BENDS = 4, 20
_HIGHEST = 2.4  # in standard deviations of the volume-weighted distribution
_SMALLEST = 0.2  # of D10: what is smaller has hardly any volume, but there may be thousands of it


def weighted_percentiles(diameters_um: Floats, weights: Floats, shares: Floats = _PERCENTS) -> Floats:
    """Diameters below which lie given shares of the weight; each particle's weight is centred on its diameter.

    Parameters
    ----------
    diameters_um, weights : (P,) float64
    shares : (K,) float64
        By default 0.1, 0.5 and 0.9: D10, D50, D90.

    Returns
    -------
    (K,) float64
    """
    order = np.argsort(diameters_um)
    weight = weights[order]
    below = (np.cumsum(weight) - weight / 2) / weight.sum()
    return np.asarray(np.interp(shares, below, diameters_um[order]))


def _number_quantiles(percentiles_um: Floats, count: int) -> Floats:
    """Diameters at evenly spaced number quantiles of the volume-weighted split normal."""
    d10, d50, d90 = np.log(percentiles_um)
    z = np.linspace(_NORMAL_90 * np.log(_SMALLEST) / (d50 - d10) - _NORMAL_90, _HIGHEST, 20001)
    log_diameter = d50 + np.where(z < 0, (d50 - d10) * z, (d90 - d50) * z) / _NORMAL_90
    density = np.exp(-(z**2) / 2 - 3 * log_diameter)
    number = np.cumsum(density) - density[0]
    return np.asarray(np.exp(np.interp((np.arange(count) + 0.5) / count, number / number[-1], log_diameter)))


def bend_diameters(diameters_um: Floats, percentiles_um: Floats, shares: Floats) -> Floats:
    """Change diameters smoothly until their volume-weighted D10, D50, D90 are as wanted.

    A few large particles make up much of the volume, so that no drawing at random meets the percentiles.

    Parameters
    ----------
    diameters_um : (P,) float64
    percentiles_um : (3,) float64
    shares : (P,) float64
        How much of each particle counts, 0 to 1.

    Returns
    -------
    (P,) float64
        In the same order.
    """
    for _ in range(_BENDS):
        found = np.log(weighted_percentiles(diameters_um, shares * diameters_um**3))
        found += np.arange(3) * 1e-9  # of two or three particles all percentiles are the same
        bend = np.log(percentiles_um) - found
        diameters_um = diameters_um * np.exp(np.interp(np.log(diameters_um), found, bend))
    return diameters_um


def make_diameters(percentiles_um: Floats, total_um3: float, odds_of: Callable[[Floats], Floats]) -> Floats:
    """Diameters of as many particles as share out a volume, at evenly spaced number quantiles.

    Parameters
    ----------
    percentiles_um : (3,) float64
        Volume-weighted D10, D50, D90 of the particles as they count.
    total_um3 : float
        Volume of all particles; met to half a particle.
    odds_of : callable
        How much particles of given diameters count, relative to each other.

    Returns
    -------
    (P,) float64
        Ascending.
    """
    diameters = _number_quantiles(percentiles_um, 20001)
    for _ in range(_ROUNDS):  # how many they are and how large they are on average depend on each other
        mean = np.pi / 6 * float((diameters**3).mean())
        diameters = _number_quantiles(percentiles_um, max(round(total_um3 / mean), 1))
        diameters = bend_diameters(diameters, percentiles_um, odds_of(diameters))
    return diameters

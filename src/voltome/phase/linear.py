"""Phase in one step: multi-distance contrast transfer functions and multi-distance Paganin.

Both are linear filters in Fourier space. phi is negative for matter that X-rays see (phi = -k int delta), chi = pi
lambda z f^2, and the logarithm of the amplitude is phi / (delta/beta):
I - 1 = 2 (sin chi + cos chi / (delta/beta)) phi.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.phase.backend import Array, find_namespace, find_transforms, move_like
from voltome.phase.fresnel import PlaneGrid

Singles = NDArray[np.float32]

_LEAST_INTENSITY = 1e-3
_WEAK_LOW, _WEAK_HIGH = 1e-5, 1e-1
"""Regularisation of the transfer functions' sum of squares, below and above the first maximum of sin chi."""
_PAGANIN = 1e-2
_FREE = 1e-3
_AMPLITUDE = 1e-1


@dataclass(frozen=True)
class LinearFilter:
    """Phase as a sum of filtered intensities.

    Parameters
    ----------
    kind : {"ctf", "paganin"}
    delta_beta : float or None
        None, of ctf alone: absorption is found apart from the phase.
    phase : list of (rows, columns // 2 + 1) float32 array
        What each distance's spectrum is multiplied with, for the phase.
    absorption : list of such arrays
        The same for the logarithm of the amplitude; empty where it follows from the phase.
    """

    kind: str
    delta_beta: float | None
    phase: tuple[Array, ...]
    absorption: tuple[Array, ...] = ()

    def retrieve(self, intensities: Sequence[Array]) -> tuple[Array, Array]:
        """Phase and logarithm of the amplitude.

        Parameters
        ----------
        intensities : sequence of (rows, columns) float32 array
            Over the illumination, one for each distance, in the order of the filter; positive.

        Returns
        -------
        phase : (rows, columns) float32 array
            Radians.
        log_amplitude : (rows, columns) float32 array
        """
        first = intensities[0]
        fft, xp = find_transforms(first), find_namespace(first)
        shape = (int(first.shape[0]), int(first.shape[1]))
        # A mean absorption is no weak contrast: it is taken out before and put back after.
        mean = float(sum(xp.mean(one) for one in intensities) / len(intensities))
        spectra = [fft.rfft2(one / mean - 1) for one in intensities]
        filtered = fft.irfft2(sum(f * s for f, s in zip(self.phase, spectra, strict=True)), s=shape)
        loss = 0.5 * math.log(mean)
        if self.kind == "paganin" and self.delta_beta is not None:
            floor = xp.maximum(filtered + 1, xp.asarray(_LEAST_INTENSITY, dtype=filtered.dtype))
            amplitude = 0.5 * xp.log(floor) + loss
            return amplitude * self.delta_beta, amplitude
        if self.delta_beta is None:
            absorbed = fft.irfft2(sum(f * s for f, s in zip(self.absorption, spectra, strict=True)), s=shape)
            return filtered, absorbed + loss
        if math.isinf(self.delta_beta):
            return filtered, filtered * 0 + loss
        return filtered + loss * self.delta_beta, filtered / self.delta_beta + loss


def make_ctf(
    grid: PlaneGrid, distances_m: Sequence[float], *, delta_beta: float | None = 170.0, like: Array | None = None
) -> LinearFilter:
    """Contrast transfer functions: exact for weak phase variations and weak absorption.

    Parameters
    ----------
    grid : PlaneGrid
    distances_m : sequence of float
        Effective distances.
    delta_beta : float or None
        Ratio of refractive decrement and absorption index, the same everywhere; infinite: nothing absorbs; negative
        where n > 1. None: absorption is found apart, which needs two distances or more.
    like : array, optional
        Kind of array and device that the filters shall be.

    Returns
    -------
    LinearFilter

    Raises
    ------
    InputError
        If there is no distance, the ratio is 0 or NaN, or one distance alone shall tell phase from absorption.

    References
    ----------
    Cloetens et al., Appl. Phys. Lett. 75, 2912 (1999), 10.1063/1.125225; Guigay, Optik 49, 121 (1977).
    """
    _check(distances_m, delta_beta)
    chis = [grid.find_chi(distance) for distance in distances_m]
    sines, cosines = [np.sin(chi) for chi in chis], [np.cos(chi) for chi in chis]
    longest = max(chis, key=lambda chi: float(np.abs(chi).max()))
    low = np.where(np.abs(longest) < math.pi / 2, _WEAK_LOW, _WEAK_HIGH)
    if delta_beta is not None:
        transfer = [2 * (s + c / delta_beta) for s, c in zip(sines, cosines, strict=True)]
        total = sum(t * t for t in transfer) + low
        return LinearFilter("ctf", delta_beta, _as_arrays([t / total for t in transfer], like))
    # Normal equations of phase and log amplitude at each frequency.
    both = sum(4 * s * c for s, c in zip(sines, cosines, strict=True))
    phases = sum(4 * s * s for s in sines) + _FREE
    losses = sum(4 * c * c for c in cosines) + _AMPLITUDE
    determinant = phases * losses - both * both
    pairs = list(zip(sines, cosines, strict=True))
    phase = [2 * (losses * s - both * c) / determinant for s, c in pairs]
    absorption = [2 * (phases * c - both * s) / determinant for s, c in pairs]
    return LinearFilter("ctf", None, _as_arrays(phase, like), _as_arrays(absorption, like))


def make_paganin(
    grid: PlaneGrid, distances_m: Sequence[float], *, delta_beta: float = 170.0, like: Array | None = None
) -> LinearFilter:
    """Paganin's filter for several distances: one material, any thickness, little detail.

    Parameters
    ----------
    grid : PlaneGrid
    distances_m : sequence of float
        Effective distances.
    delta_beta : float
        Positive and finite.
    like : array, optional
        Kind of array and device that the filters shall be.

    Returns
    -------
    LinearFilter

    Raises
    ------
    InputError
        If there is no distance, or the ratio is not a positive number.

    References
    ----------
    Paganin et al., J. Microsc. 206, 33 (2002), 10.1046/j.1365-2818.2002.01010.x.
    """
    _check(distances_m, delta_beta)
    if not 0 < delta_beta < math.inf:
        raise InputError(f"delta_beta must be positive and finite for Paganin (got {delta_beta}): give e.g. 170")
    transfer = [1 + grid.find_chi(distance) * delta_beta for distance in distances_m]
    total = sum(t * t for t in transfer) + _PAGANIN
    return LinearFilter("paganin", delta_beta, _as_arrays([t / total for t in transfer], like))


def _check(distances_m: Sequence[float], delta_beta: float | None) -> None:
    if not len(distances_m):
        raise InputError("distances_m must name at least one distance (got none): give effective distances in metres")
    if delta_beta is not None and (delta_beta == 0 or math.isnan(delta_beta)):
        raise InputError(f"delta_beta must not be {delta_beta}: give e.g. 170, or null to find absorption apart")
    if delta_beta is None and len(distances_m) < 2:
        raise InputError("one distance cannot tell phase from absorption (delta_beta is null): give delta_beta")


def _as_arrays(filters: Sequence[NDArray[np.float64]], like: Array | None) -> tuple[Array, ...]:
    kind = np.empty(0, np.float32) if like is None else like
    return tuple(move_like(one.astype(np.float32), kind) for one in filters)

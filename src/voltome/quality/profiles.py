"""Widths of edges from profiles across them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOW = 0.5582388
"""Half width of the fit, in units of the FWHM, over which the quadratic's FWHM is that of a Gaussian."""

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_ITERATIONS = 12  # each one leaves 0.29 of the error
_FIRST_VOX = 4.0


def fit_quadratic(
    offsets_vox: Floats, profiles: NDArray[np.floating], *, window_vox: Floats, middle_vox: Floats
) -> tuple[Floats, Floats]:
    """FWHM and vertex of the quadratic that approximates each profile's derivative around its maximum.

    Parameters
    ----------
    offsets_vox : (M,) float64
        Places along the profile, evenly spaced, rising.
    profiles : (N, M) array
        Rising through the middle.
    window_vox, middle_vox : (N,) float64
        Half width and centre of the window in which least squares are taken.

    Returns
    -------
    width_vox, vertex_vox : (N,) float64
        sqrt(2) L and s0 of A (1 - (s - s0)^2 / L^2); NaN where the derivative has no maximum.
    """
    step = float(offsets_vox[1] - offsets_vox[0])
    slope = np.gradient(np.asarray(profiles, dtype=np.float64), step, axis=1)
    half = np.maximum(window_vox, 1.5 * step)[:, None]
    s = (offsets_vox - middle_vox[:, None]) / half
    weight = np.clip((1.0 - np.abs(s)) * half / step + 0.5, 0.0, 1.0)  # samples that the window's end cuts
    moments = [(weight * s**p).sum(axis=1) for p in range(5)]
    rights = [(weight * s**p * slope).sum(axis=1) for p in range(3)]
    matrix = np.stack([np.stack(moments[p : p + 3], axis=-1) for p in range(3)], axis=1)
    known = np.isfinite(matrix).all(axis=(1, 2))
    matrix[~known] = np.eye(3)
    a, b, c = np.linalg.solve(matrix + 1e-12 * np.eye(3), np.stack(rights, axis=-1)[..., None])[..., 0].T
    with np.errstate(invalid="ignore", divide="ignore"):
        height = a - b**2 / (4.0 * c)
        good = known & (c < 0) & (height > 0)
        width = np.where(good, 2.0 * np.sqrt(height / (-2.0 * c)) * half[:, 0], np.nan)
        return width, np.where(good, middle_vox - b / (2.0 * c) * half[:, 0], np.nan)


def find_width(offsets_vox: Floats, profile: Floats) -> float:
    """FWHM of one profile's derivative as its quadratic has it, over the window at which it is that of a Gaussian.

    Window and fit in turns until they agree. Needs a profile of little noise, such as a mean.

    Parameters
    ----------
    offsets_vox : (M,) float64
    profile : (M,) float64

    Returns
    -------
    float
        NaN where the derivative has no maximum, or the window leaves the profile.
    """
    width, middle = np.array([_FIRST_VOX]), np.zeros(1)
    for _ in range(_ITERATIONS):
        window = WINDOW * width
        new, vertex = fit_quadratic(offsets_vox, profile[None], window_vox=window, middle_vox=middle)
        if not (np.isfinite(new[0]) and WINDOW * new[0] < offsets_vox[-1]):
            return math.nan
        width, middle = np.clip(new, 0.5 * width, 2.0 * width), np.clip(vertex, -window, window)
    return float(width[0])


def fit_error_function(offsets_vox: Floats, profile: NDArray[np.floating], *, width_vox: float) -> tuple[float, float]:
    """FWHM and middle of the error function fitted to one profile (the FWHM is that of its derivative).

    Parameters
    ----------
    offsets_vox : (M,) float64
        Places along the profile, 0 near its middle.
    profile : (M,) array
        NaN where it does not count.
    width_vox : float
        A first guess.

    Returns
    -------
    width_vox, middle_vox : float
        NaN where the fit does not converge.
    """
    from scipy.optimize import least_squares
    from scipy.special import erf

    use = np.isfinite(profile)
    s, values = offsets_vox[use], np.asarray(profile, dtype=np.float64)[use]
    low, high = values[0], values[-1]
    if len(s) < 6 or high == low:
        return math.nan, math.nan
    values = (values - low) / (high - low)

    def misfit(p: Floats) -> Floats:
        return np.asarray(p[0] + p[1] * erf((s - p[2]) / (math.sqrt(2.0) * p[3])) - values)

    def slope(p: Floats) -> Floats:
        t = (s - p[2]) / (math.sqrt(2.0) * p[3])
        bell = -p[1] * math.sqrt(2.0 / math.pi) * np.exp(-(t**2)) / p[3]
        return np.stack([np.ones_like(s), erf(t), bell, bell * t * math.sqrt(2.0)], axis=1)

    fit = least_squares(misfit, [0.5, 0.5, 0.0, width_vox / _FWHM_PER_SIGMA], slope, method="lm", max_nfev=60)
    width, middle = abs(float(fit.x[3])) * _FWHM_PER_SIGMA, float(fit.x[2])
    inside = fit.success and width < s[-1] - s[0] and s[0] < middle < s[-1]
    return (width, middle) if inside else (math.nan, math.nan)

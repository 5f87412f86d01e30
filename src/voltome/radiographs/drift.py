"""Shifts over a scan: drift that is smooth, jitter that is real, noise that is neither."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Floats = NDArray[np.float64]

_OUTLIER_SDS = 6.0
_ENOUGH = 8


def smooth_shifts(angles_rad: Floats, shifts_px: Floats, sd_px: Floats, *, window: int = 31) -> Floats:
    """Shifts with their noise drawn in: a robust smooth curve over the angle, plus what of each residual is real.

    Stages drift slowly and jitter from angle to angle. A residual against the curve is kept by the share
    jitter^2 / (jitter^2 + sd^2), the jitter's variance being that of all residuals less the noise's.

    Parameters
    ----------
    angles_rad : (n,) float64
        In the order of acquisition.
    shifts_px : (n, 2) float64
        NaN where there is none.
    sd_px : (n, 2) float64
        Infinite where there is none.
    window : int
        Angles over which drift is smooth.

    Returns
    -------
    (n, 2) float64
        Finite. The curve where there was no shift, or one beyond six standard deviations of all residuals.

    Raises
    ------
    InputError
        If lengths differ, no shift is finite, or the window is below 3.
    """
    count = angles_rad.size
    if shifts_px.shape != (count, 2) or sd_px.shape != (count, 2):
        raise InputError(
            f"shifts_px and sd_px must be ({count}, 2), as many as angles (got {shifts_px.shape} and {sd_px.shape}): "
            "give one for each"
        )
    if window < 3:
        raise InputError(f"window must be >= 3 (got {window}): 31 is usual")
    known = np.all(np.isfinite(shifts_px + sd_px), axis=1)
    if not known.any():
        raise InputError(
            f"at least one shift must be finite (got {count} that are not): give references that look like the images"
        )
    out = np.empty_like(shifts_px, dtype=np.float64)
    for axis in (0, 1):
        shift, sd = np.where(known, shifts_px[:, axis], 0.0), np.where(known, sd_px[:, axis], np.inf)
        curve, residual_sd = _fit_curve(angles_rad, shift, known, window)
        rest = shift - curve
        noise = float(np.median(sd[known] ** 2))
        jitter = max(residual_sd**2 - noise, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            kept = np.where(jitter + sd**2 > 0, jitter / (jitter + sd**2), 1.0)
        wild = np.abs(rest) > _OUTLIER_SDS * residual_sd
        out[:, axis] = curve + np.where(known & ~wild, kept * rest, 0.0)
    return out


def _fit_curve(angles_rad: Floats, shift: Floats, known: NDArray[np.bool_], window: int) -> tuple[Floats, float]:
    """Curve of least bending (Whittaker) with Tukey's weights, and the robust sd of what is left."""
    count = shift.size
    if (
        np.count_nonzero(known) < _ENOUGH
    ):  # too few to tell drift from jitter: the shifts themselves, and a line between them
        places = np.flatnonzero(known)
        spread = float(np.ptp(shift[known])) if places.size > 1 else 0.0
        return np.interp(np.arange(count), places, shift[known]), spread
    place = _unfold(angles_rad)
    stiffness = (window / (2 * np.pi)) ** 4
    weight = known.astype(np.float64)
    # A start that outliers cannot bend: medians of windows
    half = window // 2
    curve = np.array([np.median(_take(shift, known, i, half)) for i in range(count)])
    residual_sd = 0.0
    for _ in range(6):
        rest = shift - curve
        residual_sd = max(1.4826 * float(np.median(np.abs(rest[known]))), 1e-6)
        weight = np.where(known, np.maximum(0.0, 1.0 - (rest / (5.0 * residual_sd)) ** 2) ** 2, 0.0)
        curve = _bend(place, shift, weight, stiffness)
    rest = shift - curve
    return curve, max(1.4826 * float(np.median(np.abs(rest[known]))), 1e-6)


def _take(shift: Floats, known: NDArray[np.bool_], place: int, half: int) -> Floats:
    """Known shifts around a place, wider where there are none."""
    while True:
        part = slice(max(0, place - half), place + half + 1)
        if known[part].any():
            return shift[part][known[part]]
        half *= 2


def _unfold(angles_rad: Floats) -> Floats:
    """Places along the scan in units of its usual step; frames at one angle lie a little apart."""
    steps = np.abs(np.diff(angles_rad))
    usual = float(np.median(steps))
    if not (np.isfinite(usual) and usual > 0):
        return np.arange(angles_rad.size, dtype=np.float64)
    return np.concatenate([[0.0], np.cumsum(np.clip(steps / usual, 0.2, 5.0))])


def _bend(place: Floats, shift: Floats, weight: Floats, stiffness: float) -> Floats:
    """Minimise sum weight (curve - shift)^2 + stiffness sum (second divided difference)^2."""
    from scipy.linalg import solveh_banded

    count = place.size
    gap = np.diff(place)
    a, c = 2.0 / (gap[:-1] * (gap[:-1] + gap[1:])), 2.0 / (gap[1:] * (gap[:-1] + gap[1:]))
    b = -(a + c)
    upper = np.zeros((3, count))
    upper[2] = np.maximum(weight, 1e-9)
    for offset, value in enumerate((a, b, c)):
        upper[2, offset : count - 2 + offset] += stiffness * value**2
    upper[1, 1 : count - 1] += stiffness * a * b
    upper[1, 2:count] += stiffness * b * c
    upper[0, 2:count] += stiffness * a * c
    out: Floats = solveh_banded(upper, np.maximum(weight, 1e-9) * shift)
    return out

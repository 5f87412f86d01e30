"""Compiled loops of the analytic motions: displacement, gradient, inverse and window averages, point by point.

A motion is five float64 arrays, in voxels (order z, y, x):
translation (3,) and linear (3, 3): u = translation + linear X;
waves (M, 7): amplitude (3), wave vector (3), phase: u += amplitude sin(k X + phase);
bands (B, 4): start, stop, join, stretch: an axial stretch between start and stop, joined over `join`;
cracks (0 or 1, 12): normal (3), offset, direction (3), front, taper, opening (3): beyond the plane
normal X = offset, u += opening times a smooth step along `direction` that begins at `front` and takes `taper`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS = 60
_TOLERANCE_VOX = 1e-8


@njit(nogil=True, cache=True)
def _log_cosh(a: float) -> float:
    a = abs(a)
    return a + math.log1p(math.exp(-2.0 * a)) - math.log(2.0)


@njit(nogil=True, cache=True)
def _beyond(point: Floats, crack: Floats) -> bool:
    """Whether a point lies on the moving side of the crack's plane."""
    distance: float = crack[0] * point[0] + crack[1] * point[1] + crack[2] * point[2] - crack[3]
    return distance >= 0.0


@njit(nogil=True, cache=True)
def _step(point: Floats, crack: Floats) -> tuple[float, float]:
    """How far the crack is open (0 to 1) beyond its plane, and the slope of that along its direction."""
    s = (crack[4] * point[0] + crack[5] * point[1] + crack[6] * point[2] - crack[7]) / crack[8]
    s = min(max(s, 0.0), 1.0)
    return s * s * s * (10.0 + s * (6.0 * s - 15.0)), 30.0 * s * s * (1.0 - s) * (1.0 - s) / crack[8]


@njit(nogil=True, cache=True)
def _evaluate(
    point: Floats, side: int, translation: Floats, linear: Floats, waves: Floats, bands: Floats, cracks: Floats,
    u: Floats, f: Floats,
) -> None:  # fmt: skip
    """Displacement u (3,) and F (3, 3) at one point; `side` forces a side of the crack (0: its own)."""
    for i in range(3):
        u[i] = translation[i]
        for j in range(3):
            u[i] += linear[i, j] * point[j]
            f[i, j] = linear[i, j]
        f[i, i] += 1.0
    for m in range(waves.shape[0]):
        phase = waves[m, 3] * point[0] + waves[m, 4] * point[1] + waves[m, 5] * point[2] + waves[m, 6]
        sine = math.sin(phase)
        cosine = math.cos(phase)
        for i in range(3):
            u[i] += waves[m, i] * sine
            for j in range(3):
                f[i, j] += waves[m, i] * waves[m, 3 + j] * cosine
    for b in range(bands.shape[0]):
        join = bands[b, 2]
        below = (point[0] - bands[b, 0]) / join
        above = (point[0] - bands[b, 1]) / join
        u[0] += 0.5 * bands[b, 3] * (join * (_log_cosh(below) - _log_cosh(above)) + bands[b, 1] - bands[b, 0])
        f[0, 0] += 0.5 * bands[b, 3] * (math.tanh(below) - math.tanh(above))
    for c in range(cracks.shape[0]):
        crack = cracks[c]
        if side < 0 or (side == 0 and not _beyond(point, crack)):
            continue
        step, slope = _step(point, crack)
        for i in range(3):
            u[i] += crack[9 + i] * step
            for j in range(3):
                f[i, j] += crack[9 + i] * slope * crack[4 + j]


@njit(nogil=True, cache=True)
def evaluate_points(
    points: Floats, translation: Floats, linear: Floats, waves: Floats, bands: Floats, cracks: Floats,
    displacement: Floats, gradient: Floats,
) -> None:  # fmt: skip
    """Fill displacement (N, 3) and gradient F (N, 3, 3) at points (N, 3)."""
    for n in range(points.shape[0]):
        _evaluate(points[n], 0, translation, linear, waves, bands, cracks, displacement[n], gradient[n])


@njit(nogil=True, cache=True)
def _residual(target: Floats, x: Floats, u: Floats, r: Floats) -> float:
    norm = 0.0
    for i in range(3):
        r[i] = target[i] - x[i] - u[i]
        norm += r[i] * r[i]
    return math.sqrt(norm)


@njit(nogil=True, cache=True)
def _newton_step(f: Floats, r: Floats, step: Floats) -> bool:
    """Solve f step = r by cofactors; False where det f is not positive: the motion folds there."""
    a = f[1, 1] * f[2, 2] - f[1, 2] * f[2, 1]
    b = f[1, 2] * f[2, 0] - f[1, 0] * f[2, 2]
    c = f[1, 0] * f[2, 1] - f[1, 1] * f[2, 0]
    determinant = f[0, 0] * a + f[0, 1] * b + f[0, 2] * c
    if determinant < 1e-12:
        return False
    d = f[0, 2] * f[2, 1] - f[0, 1] * f[2, 2]
    e = f[0, 0] * f[2, 2] - f[0, 2] * f[2, 0]
    g = f[0, 1] * f[2, 0] - f[0, 0] * f[2, 1]
    h = f[0, 1] * f[1, 2] - f[0, 2] * f[1, 1]
    k = f[0, 2] * f[1, 0] - f[0, 0] * f[1, 2]
    m = f[0, 0] * f[1, 1] - f[0, 1] * f[1, 0]
    step[0] = (a * r[0] + d * r[1] + h * r[2]) / determinant
    step[1] = (b * r[0] + e * r[1] + k * r[2]) / determinant
    step[2] = (c * r[0] + g * r[1] + m * r[2]) / determinant
    return True


@njit(nogil=True, cache=True)
def _solve(
    target: Floats, side: int, translation: Floats, linear: Floats, waves: Floats, bands: Floats, cracks: Floats,
    x: Floats, work: Floats,
) -> bool:  # fmt: skip
    """Newton with halved steps for x + u(x) = target, from the guess in x; work is (6, 3)."""
    u, r, step, f = work[0], work[1], work[2], work[3:6]
    _evaluate(x, side, translation, linear, waves, bands, cracks, u, f)
    norm = _residual(target, x, u, r)
    for _ in range(_STEPS):
        if norm < _TOLERANCE_VOX:
            return True
        if not _newton_step(f, r, step):
            return False
        scale = 1.0
        previous = norm
        for _ in range(30):
            for i in range(3):
                x[i] += scale * step[i]
            _evaluate(x, side, translation, linear, waves, bands, cracks, u, f)
            norm = _residual(target, x, u, r)
            if norm < previous or norm < _TOLERANCE_VOX:
                break
            for i in range(3):
                x[i] -= scale * step[i]
            scale *= 0.5
    return norm < _TOLERANCE_VOX


@njit(nogil=True, cache=True)
def invert_points(
    points: Floats, inverse_linear: Floats, translation: Floats, linear: Floats, waves: Floats, bands: Floats,
    cracks: Floats, out: Floats,
) -> int:  # fmt: skip
    """Fill out (N, 3) with the material points that arrive at points (N, 3); return how many could not be found.

    NaN where no matter arrives (an open crack). `inverse_linear` is (I + linear)^-1. Strategy: neighbours in the list
    are as a rule neighbours in space, so the solution before, moved on by its own F, is the guess.
    """
    failed = 0
    work = np.zeros((6, 3))
    guess = np.empty(3)
    shift = np.empty(3)
    step = np.empty(3)
    sides = 1 + cracks.shape[0]
    for n in range(points.shape[0]):
        near = n > 0 and not math.isnan(out[n - 1, 0])
        if near:
            for i in range(3):
                shift[i] = points[n, i] - points[n - 1, i]
            near = abs(shift[0]) + abs(shift[1]) + abs(shift[2]) < 2.0 and _newton_step(work[3:6], shift, step)
        for i in range(3):
            if near:
                guess[i] = out[n - 1, i] + step[i]
            else:
                guess[i] = 0.0
                for j in range(3):
                    guess[i] += inverse_linear[i, j] * (points[n, j] - translation[j])
        found = False
        solved = True
        for s in range(sides):
            side = 1 - 2 * s
            out[n] = guess
            if not _solve(points[n], side, translation, linear, waves, bands, cracks, out[n], work):
                solved = False
            elif sides == 1 or _beyond(out[n], cracks[0]) == (side > 0):
                found = True
                break
        if not found:
            out[n] = math.nan
            failed += not solved
    return failed


@njit(nogil=True, cache=True)
def average_step(
    positions: Floats, low: NDArray[np.int64], high: NDArray[np.int64], crack: Floats, mean: Floats, moment: Floats
) -> None:
    """Fill mean (N,) and moment (N, 3): averages of a crack's step, and of step times arm, over boxes of voxels.

    The box of node n holds the offsets low[n] ... high[n] (inclusive); arms are offsets from the box's middle.
    """
    point = np.empty(3)
    arm = np.empty(3)
    for n in range(positions.shape[0]):
        mean[n] = 0.0
        moment[n] = 0.0
        count = 0
        for dz in range(low[n, 0], high[n, 0] + 1):
            point[0] = positions[n, 0] + dz
            arm[0] = dz - 0.5 * (low[n, 0] + high[n, 0])
            for dy in range(low[n, 1], high[n, 1] + 1):
                point[1] = positions[n, 1] + dy
                arm[1] = dy - 0.5 * (low[n, 1] + high[n, 1])
                for dx in range(low[n, 2], high[n, 2] + 1):
                    point[2] = positions[n, 2] + dx
                    arm[2] = dx - 0.5 * (low[n, 2] + high[n, 2])
                    count += 1
                    if _beyond(point, crack):
                        step = _step(point, crack)[0]
                        mean[n] += step
                        for j in range(3):
                            moment[n, j] += step * arm[j]
        mean[n] /= count
        moment[n] /= count

"""Compiled loops of the carrier: the smooth motion of the electrode, a tensor cubic B-spline of the displacement.

Lengths in micrometres, order z, y, x. A vector is three floats, a matrix nine in row order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.twin.compilation import compiled

Floats = NDArray[np.float64]
Vector = tuple[float, float, float]
Matrix = tuple[float, float, float, float, float, float, float, float, float]


class Carrier(NamedTuple):
    """Displacement on a regular grid of knots, continued beyond it by the value at its faces.

    Knot (i, j, k) lies at origin + (i, j, k) step; `coefficients` is (nz, ny, nx, 3), at least four along each axis.
    """

    origin_um: Floats
    step_um: Floats
    coefficients: Floats


@compiled(inline="always")
def _weights(t: float) -> tuple[float, float, float, float, float, float, float, float]:
    """Cubic B-spline weights of four knots and their derivatives, t in [0, 1] behind the second of them."""
    s = 1.0 - t
    return (
        s * s * s / 6.0,
        (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0,
        (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0,
        t * t * t / 6.0,
        -0.5 * s * s,
        0.5 * t * (3.0 * t - 4.0),
        -0.5 * s * (3.0 * s - 4.0),
        0.5 * t * t,
    )


@compiled(inline="always")
def _place(position: float, origin: float, step: float, knots: int) -> tuple[int, float, float]:
    """First of the four knots, the place behind the second, and the derivative's factor (0 beyond the grid)."""
    s = (position - origin) / step
    last = knots - 2.0
    slope = 1.0 / step
    if s < 1.0:
        s = 1.0
        slope = 0.0
    elif s > last:
        s = last
        slope = 0.0
    i = min(int(s), knots - 3)
    return i - 1, s - i, slope


@compiled()
def displace(carrier: Carrier, z: float, y: float, x: float) -> tuple[Vector, Matrix]:
    """Displacement u of a point, and F = I + du/dX."""
    c = carrier.coefficients
    iz, tz, sz = _place(z, carrier.origin_um[0], carrier.step_um[0], c.shape[0])
    iy, ty, sy = _place(y, carrier.origin_um[1], carrier.step_um[1], c.shape[1])
    ix, tx, sx = _place(x, carrier.origin_um[2], carrier.step_um[2], c.shape[2])
    wz = _weights(tz)
    wy = _weights(ty)
    a0, a1, a2, a3, b0, b1, b2, b3 = _weights(tx)
    u0 = u1 = u2 = 0.0
    z0 = z1 = z2 = y0 = y1 = y2 = x0 = x1 = x2 = 0.0
    for j in range(4):
        p0 = p1 = p2 = q0 = q1 = q2 = r0 = r1 = r2 = 0.0
        for k in range(4):
            n = c[iz + j, iy + k]
            v0 = a0 * n[ix, 0] + a1 * n[ix + 1, 0] + a2 * n[ix + 2, 0] + a3 * n[ix + 3, 0]
            v1 = a0 * n[ix, 1] + a1 * n[ix + 1, 1] + a2 * n[ix + 2, 1] + a3 * n[ix + 3, 1]
            v2 = a0 * n[ix, 2] + a1 * n[ix + 1, 2] + a2 * n[ix + 2, 2] + a3 * n[ix + 3, 2]
            d0 = b0 * n[ix, 0] + b1 * n[ix + 1, 0] + b2 * n[ix + 2, 0] + b3 * n[ix + 3, 0]
            d1 = b0 * n[ix, 1] + b1 * n[ix + 1, 1] + b2 * n[ix + 2, 1] + b3 * n[ix + 3, 1]
            d2 = b0 * n[ix, 2] + b1 * n[ix + 1, 2] + b2 * n[ix + 2, 2] + b3 * n[ix + 3, 2]
            w = wy[k]
            dw = wy[k + 4]
            p0 += w * v0
            p1 += w * v1
            p2 += w * v2
            q0 += dw * v0
            q1 += dw * v1
            q2 += dw * v2
            r0 += w * d0
            r1 += w * d1
            r2 += w * d2
        w = wz[j]
        dw = wz[j + 4]
        u0 += w * p0
        u1 += w * p1
        u2 += w * p2
        z0 += dw * p0
        z1 += dw * p1
        z2 += dw * p2
        y0 += w * q0
        y1 += w * q1
        y2 += w * q2
        x0 += w * r0
        x1 += w * r1
        x2 += w * r2
    f = (
        1.0 + sz * z0, sy * y0, sx * x0,
        sz * z1, 1.0 + sy * y1, sx * x1,
        sz * z2, sy * y2, 1.0 + sx * x2,
    )  # fmt: skip
    return (u0, u1, u2), f


@compiled(inline="always")
def determinant(f: Matrix) -> float:
    """Determinant of a matrix."""
    return f[0] * (f[4] * f[8] - f[5] * f[7]) - f[1] * (f[3] * f[8] - f[5] * f[6]) + f[2] * (f[3] * f[7] - f[4] * f[6])


@compiled(inline="always")
def solve(f: Matrix, r: Vector) -> Vector:
    """Solution s of f s = r; r itself where f is singular or turned inside out."""
    a = f[4] * f[8] - f[5] * f[7]
    b = f[5] * f[6] - f[3] * f[8]
    c = f[3] * f[7] - f[4] * f[6]
    d = f[0] * a + f[1] * b + f[2] * c
    if d < 1e-9:
        return r
    return (
        (a * r[0] + (f[2] * f[7] - f[1] * f[8]) * r[1] + (f[1] * f[5] - f[2] * f[4]) * r[2]) / d,
        (b * r[0] + (f[0] * f[8] - f[2] * f[6]) * r[1] + (f[2] * f[3] - f[0] * f[5]) * r[2]) / d,
        (c * r[0] + (f[1] * f[6] - f[0] * f[7]) * r[1] + (f[0] * f[4] - f[1] * f[3]) * r[2]) / d,
    )


@compiled(inline="always")
def multiply(a: Matrix, b: Matrix) -> Matrix:
    """Product of two matrices."""
    return (
        a[0] * b[0] + a[1] * b[3] + a[2] * b[6],
        a[0] * b[1] + a[1] * b[4] + a[2] * b[7],
        a[0] * b[2] + a[1] * b[5] + a[2] * b[8],
        a[3] * b[0] + a[4] * b[3] + a[5] * b[6],
        a[3] * b[1] + a[4] * b[4] + a[5] * b[7],
        a[3] * b[2] + a[4] * b[5] + a[5] * b[8],
        a[6] * b[0] + a[7] * b[3] + a[8] * b[6],
        a[6] * b[1] + a[7] * b[4] + a[8] * b[7],
        a[6] * b[2] + a[7] * b[5] + a[8] * b[8],
    )


@compiled(inline="always")
def apply(f: Matrix, v: Vector) -> Vector:
    """Product of a matrix and a vector."""
    return (
        f[0] * v[0] + f[1] * v[1] + f[2] * v[2],
        f[3] * v[0] + f[4] * v[1] + f[5] * v[2],
        f[6] * v[0] + f[7] * v[1] + f[8] * v[2],
    )


@compiled(inline="always")
def load(rows: Floats, n: int) -> Matrix:
    """Matrix n of an array (N, 9)."""
    return (
        rows[n, 0], rows[n, 1], rows[n, 2], rows[n, 3], rows[n, 4], rows[n, 5], rows[n, 6], rows[n, 7], rows[n, 8]
    )  # fmt: skip


_STEPS = 40
_CLOSE_UM = 1e-7
_NEAR_UM = 1e-3  # so near Newton's next step is as good as exact: strain varies by some per cent in a micrometre


@compiled()
def find_origin(carrier: Carrier, z: float, y: float, x: float, guess: Vector) -> tuple[Vector, Matrix, bool]:
    """Material point that the carrier moves to (z, y, x), F there, and whether it was found to 1e-7 um.

    F is that of the last iterate, good to first order in what is left to go: a guess for the next point needs no more.
    """
    at = guess
    u, f = displace(carrier, at[0], at[1], at[2])
    for _ in range(_STEPS):
        r = (z - at[0] - u[0], y - at[1] - u[1], x - at[2] - u[2])
        size = abs(r[0]) + abs(r[1]) + abs(r[2])
        if size < _CLOSE_UM:
            return at, f, True
        s = solve(f, r)
        if size < _NEAR_UM:
            return (at[0] + s[0], at[1] + s[1], at[2] + s[2]), f, True
        scale = 1.0
        for _ in range(20):
            near = (at[0] + scale * s[0], at[1] + scale * s[1], at[2] + scale * s[2])
            u, f = displace(carrier, near[0], near[1], near[2])
            left = abs(z - near[0] - u[0]) + abs(y - near[1] - u[1]) + abs(x - near[2] - u[2])
            if left < size:
                break
            scale *= 0.5
        at = near
    return at, f, False


@compiled()
def displace_points(carrier: Carrier, points: Floats, displacement: Floats) -> None:
    """Fill displacement (N, 3) at points (N, 3)."""
    for n in range(len(points)):
        u, _ = displace(carrier, points[n, 0], points[n, 1], points[n, 2])
        displacement[n, 0], displacement[n, 1], displacement[n, 2] = u


@compiled()
def measure_stretch(carrier: Carrier, points: Floats, out: Floats) -> None:
    """Fill out (N,) with det F at points (N, 3)."""
    for n in range(len(points)):
        _, f = displace(carrier, points[n, 0], points[n, 1], points[n, 2])
        out[n] = determinant(f)


@compiled()
def measure_gradients(carrier: Carrier, points: Floats, out: Floats) -> None:
    """Fill out (N, 9) with F at points (N, 3)."""
    for n in range(len(points)):
        _, f = displace(carrier, points[n, 0], points[n, 1], points[n, 2])
        for i in range(9):
            out[n, i] = f[i]

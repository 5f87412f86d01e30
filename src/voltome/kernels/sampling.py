"""Values of a volume along straight lines: cubic B-spline or linear, without a gather.

Strategy: a row of the reference window is a straight line in the deformed volume. Where floor() of its coordinates
advances in step with x, the taps of neighbouring voxels are neighbours in memory, and one SIMD load serves sixteen
voxels. So a row is cut where floor() falls out of step, and each piece is computed in whole groups of sixteen: what
a group writes beyond its piece is overwritten by the next. Unsigned indices keep Numba from testing for wrap-around.
Where pieces would be short (a steep line) each voxel is computed on its own instead.

A volume is passed flat, with at least `TAIL` spare elements behind its last voxel: a group may read past the end.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

LANES = 16
TAIL = 2 * LANES
"""Spare elements that a flat volume and a row buffer need behind their end."""

_STEEP = 0.5
"""Sum of slopes beyond which a row is computed voxel by voxel (pieces of about two voxels)."""

_f4 = np.float32
_u8 = np.uint64


@njit(fastmath=True, nogil=True, inline="always")
def _cubic_weights(t):
    """Weights of the cubic B-spline for the four coefficients around a position with fraction t."""
    one, sixth, half, two_thirds = _f4(1.0), _f4(1.0 / 6.0), _f4(0.5), _f4(2.0 / 3.0)
    s = one - t
    t2 = t * t
    w0 = s * s * s * sixth
    w3 = t2 * t * sixth
    w1 = two_thirds - t2 + half * t2 * t
    return w0, w1, one - w0 - w1 - w3, w3


@njit(fastmath=True, nogil=True, inline="always")
def _taps4(c, b, i, w0, w1, w2, w3):
    k = b + i
    return w0 * c[k] + w1 * c[k + _u8(1)] + w2 * c[k + _u8(2)] + w3 * c[k + _u8(3)]


@njit(fastmath=True, nogil=True, inline="always")
def _piece_cubic(c, corner, stride_y, stride_z, start, count, z, dz, y, dy, x, dx, out):
    """`count` voxels from `start` on; `corner` is the flat index of floor(position) at voxel 0 of the row."""
    sy, sz = _u8(stride_y), _u8(stride_z)
    b00 = _u8(corner - stride_z - stride_y - 1 + start)
    b01 = b00 + sy
    b02 = b01 + sy
    b03 = b02 + sy
    b10, b11, b12, b13 = b00 + sz, b01 + sz, b02 + sz, b03 + sz
    b20, b21, b22, b23 = b10 + sz, b11 + sz, b12 + sz, b13 + sz
    b30, b31, b32, b33 = b20 + sz, b21 + sz, b22 + sz, b23 + sz
    first = _u8(start)
    for group in range(_u8((count + LANES - 1) // LANES)):
        for lane in range(_u8(LANES)):
            i = group * _u8(LANES) + lane
            t = _f4(first + i)
            x0, x1, x2, x3 = _cubic_weights(x + dx * t)
            y0, y1, y2, y3 = _cubic_weights(y + dy * t)
            z0, z1, z2, z3 = _cubic_weights(z + dz * t)
            value = z0 * (
                y0 * _taps4(c, b00, i, x0, x1, x2, x3)
                + y1 * _taps4(c, b01, i, x0, x1, x2, x3)
                + y2 * _taps4(c, b02, i, x0, x1, x2, x3)
                + y3 * _taps4(c, b03, i, x0, x1, x2, x3)
            )
            value += z1 * (
                y0 * _taps4(c, b10, i, x0, x1, x2, x3)
                + y1 * _taps4(c, b11, i, x0, x1, x2, x3)
                + y2 * _taps4(c, b12, i, x0, x1, x2, x3)
                + y3 * _taps4(c, b13, i, x0, x1, x2, x3)
            )
            value += z2 * (
                y0 * _taps4(c, b20, i, x0, x1, x2, x3)
                + y1 * _taps4(c, b21, i, x0, x1, x2, x3)
                + y2 * _taps4(c, b22, i, x0, x1, x2, x3)
                + y3 * _taps4(c, b23, i, x0, x1, x2, x3)
            )
            value += z3 * (
                y0 * _taps4(c, b30, i, x0, x1, x2, x3)
                + y1 * _taps4(c, b31, i, x0, x1, x2, x3)
                + y2 * _taps4(c, b32, i, x0, x1, x2, x3)
                + y3 * _taps4(c, b33, i, x0, x1, x2, x3)
            )
            out[first + i] = value


@njit(fastmath=True, nogil=True, inline="always")
def _piece_linear(c, corner, stride_y, stride_z, start, count, z, dz, y, dy, x, dx, out):
    b00 = _u8(corner + start)
    b01, b10 = b00 + _u8(stride_y), b00 + _u8(stride_z)
    b11 = b10 + _u8(stride_y)
    first = _u8(start)
    for group in range(_u8((count + LANES - 1) // LANES)):
        for lane in range(_u8(LANES)):
            i = group * _u8(LANES) + lane
            t = _f4(first + i)
            tx, ty, tz = x + dx * t, y + dy * t, z + dz * t
            v00 = c[b00 + i] + tx * (c[b00 + i + _u8(1)] - c[b00 + i])
            v01 = c[b01 + i] + tx * (c[b01 + i + _u8(1)] - c[b01 + i])
            v10 = c[b10 + i] + tx * (c[b10 + i + _u8(1)] - c[b10 + i])
            v11 = c[b11 + i] + tx * (c[b11 + i + _u8(1)] - c[b11 + i])
            v0 = v00 + ty * (v01 - v00)
            v1 = v10 + ty * (v11 - v10)
            out[first + i] = v0 + tz * (v1 - v0)


@njit(fastmath=True, nogil=True)
def voxel_cubic(c, stride_y, stride_z, z, y, x):
    """One voxel at any position, four taps along x at a time."""
    fz, fy, fx = math.floor(z), math.floor(y), math.floor(x)
    x0, x1, x2, x3 = _cubic_weights(_f4(x - fx))
    y0, y1, y2, y3 = _cubic_weights(_f4(y - fy))
    z0, z1, z2, z3 = _cubic_weights(_f4(z - fz))
    a0 = _f4(0.0)
    a1 = _f4(0.0)
    a2 = _f4(0.0)
    a3 = _f4(0.0)
    base = _u8((int(fz) - 1) * stride_z + (int(fy) - 1) * stride_y + int(fx) - 1)
    for j in range(4):
        wz = z0 if j == 0 else (z1 if j == 1 else (z2 if j == 2 else z3))
        k = base + _u8(j * stride_z)
        for weight in (wz * y0, wz * y1, wz * y2, wz * y3):
            a0 += weight * c[k]
            a1 += weight * c[k + _u8(1)]
            a2 += weight * c[k + _u8(2)]
            a3 += weight * c[k + _u8(3)]
            k += _u8(stride_y)
    return x0 * a0 + x1 * a1 + x2 * a2 + x3 * a3


@njit(fastmath=True, nogil=True)
def voxel_linear(c, stride_y, stride_z, z, y, x):
    fz, fy, fx = math.floor(z), math.floor(y), math.floor(x)
    tx, ty, tz = _f4(x - fx), _f4(y - fy), _f4(z - fz)
    k = _u8(int(fz) * stride_z + int(fy) * stride_y + int(fx))
    sy, sz, one = _u8(stride_y), _u8(stride_z), _u8(1)
    v00 = c[k] + tx * (c[k + one] - c[k])
    v01 = c[k + sy] + tx * (c[k + sy + one] - c[k + sy])
    v10 = c[k + sz] + tx * (c[k + sz + one] - c[k + sz])
    v11 = c[k + sz + sy] + tx * (c[k + sz + sy + one] - c[k + sz + sy])
    v0 = v00 + ty * (v01 - v00)
    v1 = v10 + ty * (v11 - v10)
    return v0 + tz * (v1 - v0)


@njit(nogil=True, inline="always")
def _next_step(position, slope, start, stop, floor):
    """First voxel after `start` at which floor(position + slope * i) leaves `floor`, at most `stop`."""
    if slope > 1e-9:
        end = math.ceil((floor + 1.0 - position) / slope)
    elif slope < -1e-9:
        end = math.floor((floor - position) / slope) + 1
    else:
        return stop
    return int(min(max(end, start + 1), stop))


@njit(nogil=True, inline="always")
def clip_row(position, slope, low, high, start, stop):
    """Part of the voxels start..stop of a row for which low <= position + slope * i <= high."""
    if abs(slope) < 1e-12:
        if position < low or position > high:
            return start, start
        return start, stop
    a, b = (low - position) / slope, (high - position) / slope
    if a > b:
        a, b = b, a
    first = max(start, int(math.ceil(max(a, -1e9))))
    last = min(stop, int(math.floor(min(b, 1e9))) + 1)
    return (first, last) if last > first else (start, start)


@njit(fastmath=True, nogil=True)
def sample_row(c, shape_y, shape_x, start, stop, z, dz, y, dy, x, dx, cubic, out):
    """Sample voxels start..stop of a row at (z + dz i, y + dy i, x + dx i) into `out`.

    Parameters
    ----------
    c : float32[::1]
        Flat volume (z, y, x) with `TAIL` spare elements: B-spline coefficients if `cubic`, else grey values.
    shape_y, shape_x : int
        The volume's sides.
    start, stop : int
        Voxels of the row, i; the caller has made sure that all taps lie inside the volume.
    z, dz, y, dy, x, dx : float
        Position of voxel 0 and its change per voxel.
    cubic : bool
    out : float32[::1]
        Row buffer with `TAIL` spare elements.
    """
    stride_y, stride_z = shape_x, shape_x * shape_y
    if abs(dz) + abs(dy) + abs(dx - 1.0) > _STEEP:
        for i in range(start, stop):
            if cubic:
                out[i] = voxel_cubic(c, stride_y, stride_z, z + dz * i, y + dy * i, x + dx * i)
            else:
                out[i] = voxel_linear(c, stride_y, stride_z, z + dz * i, y + dy * i, x + dx * i)
        return
    slope_x = dx - 1.0  # x - i: what has to stay within one voxel for the taps to stay in step
    i = start
    while i < stop:
        fz = math.floor(z + dz * i + 1e-7)
        fy = math.floor(y + dy * i + 1e-7)
        fx = math.floor(x + slope_x * i + 1e-7)
        end = _next_step(z, dz, i, stop, fz)
        end = _next_step(y, dy, i, end, fy)
        end = _next_step(x, slope_x, i, end, fx)
        corner = int(fz) * stride_z + int(fy) * stride_y + int(fx)
        tz, ty, tx = _f4(z - fz), _f4(y - fy), _f4(x - fx)
        if cubic:
            _piece_cubic(c, corner, stride_y, stride_z, i, end - i, tz, _f4(dz), ty, _f4(dy), tx, _f4(slope_x), out)
        else:
            _piece_linear(c, corner, stride_y, stride_z, i, end - i, tz, _f4(dz), ty, _f4(dy), tx, _f4(slope_x), out)
        i = end

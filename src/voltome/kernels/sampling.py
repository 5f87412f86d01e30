"""Values of a volume along straight lines: cubic B-spline or linear.

Strategy: a row of the reference window is a straight line in the deformed volume, close to its x axis. So a sample is
taken in two steps, sixteen at a time. First the volume is interpolated across z and y where the line passes each of its
columns x': L(x') = sum_jk w_j(z) w_k(y) c, 16 taps, contiguous in memory. Then along x: v = sum_i w_i(x) L(x'_i), 4
taps. That is 20 taps for 64. Between its columns the line climbs by its slope s, so L(x'_i) stands s (x'_i - x) too
high; the derivative D = s dL/d(zy), which shares L's loads, takes that out: v = sum_i w_i (L - (x'_i - x) D). What
remains is s^2/6 of the second derivative: 4e-4 of it at a slope of 0.05. (A linear interpolation has all its second
derivative at its bends: next to a voxel the line crosses, what remains is of first order.)

Where the line crosses from one voxel to the next inside a group of sixteen, the group gets a tap more instead of being
cut. Lines steeper than `_STEEP` are sampled voxel by voxel.

A volume is passed flat, with at least `TAIL` spare elements behind its last voxel: a group may read past the end.
"""

from __future__ import annotations

import math

import numpy as np

from voltome.kernels.compilation import compiled
from voltome.kernels.vector import LANES, absolute, copy_sign, load, maximum, ramp, splat, store

TAIL = 4 * LANES
"""Spare elements that a flat volume and a row buffer need behind their end."""

_STEEP = 0.25
_MOST_STRETCH = 4.0
_WEIGHTS = 2 * LANES * 16
_MARGIN = LANES
"""Elements before the first column: a group that is pressed together reads some of them, with weight 0."""

_f4 = np.float32


@compiled(inline="always")
def line_size(n):
    """Elements of the scratch that `sample_row` needs for rows of n voxels."""
    return 2 * (_MARGIN + int(_MOST_STRETCH * n) + TAIL) + _WEIGHTS


@compiled(fastmath=True, inline="always")
def _cubic_weights(t):
    """Weights of the cubic B-spline for the four coefficients around a position with fraction t."""
    s = _f4(1.0) - t
    t2 = t * t
    w0 = s * s * s * _f4(1.0 / 6.0)
    w3 = t2 * t * _f4(1.0 / 6.0)
    w1 = _f4(2.0 / 3.0) - t2 + _f4(0.5) * t2 * t
    return w0, w1, _f4(1.0) - w0 - w1 - w3, w3


@compiled(fastmath=True, inline="always")
def _cubic_slopes(t):
    """Derivatives of `_cubic_weights`."""
    s = _f4(1.0) - t
    t2 = t * t
    d0 = _f4(-0.5) * s * s
    d3 = _f4(0.5) * t2
    d1 = _f4(1.5) * t2 - t - t
    return d0, d1, _f4(0.0) - d0 - d1 - d3, d3


@compiled(fastmath=True, inline="always")
def _weight_at(u, cubic):
    """B-spline weight of a coefficient at distance u, and its derivative, for any u."""
    distance = absolute(u)
    inner = maximum(_f4(1.0) - distance, splat(_f4(0.0)))
    if cubic:
        outer = maximum(_f4(2.0) - distance, splat(_f4(0.0)))
        weight = (outer * outer * outer - _f4(4.0) * inner * inner * inner) * _f4(1.0 / 6.0)
        return weight, copy_sign(splat(_f4(1.0)), u) * (_f4(2.0) * inner * inner - _f4(0.5) * outer * outer)
    # Half open: at a voxel the slopes to its left and right must not both be missing.
    one = splat(_f4(1.0))
    slope = copy_sign(one, u + one) + copy_sign(one, u - one) - _f4(2.0) * copy_sign(one, u)
    slope = slope * _f4(0.5)
    return inner, slope


@compiled(inline="always")
def _tap_range(first, slope, last_lane, low, high, cubic):
    """First tap and number of taps of a group that starts at `first`, kept inside low..high."""
    end = first + slope * last_lane
    a, b = math.floor(min(first, end)), math.floor(max(first, end))
    reach = 1 if cubic else 0
    start = max(int(a) - reach, low)
    return start, max(min(int(b) + 1 + reach, high) - start + 1, 1)


@compiled(fastmath=True, inline="always")
def _across_fast(c, base, stride_y, stride_z, y, dy, z, dz, line, at, half):
    """L and D of sixteen columns whose line stays between the same voxels; `base` is the lowest of the 4 x 4 taps."""
    lane = ramp()
    ty, tz = splat(y) + lane * dy, splat(z) + lane * dz
    w0, w1, w2, w3 = _cubic_weights(ty)
    d0, d1, d2, d3 = _cubic_slopes(ty)
    y1 = stride_y
    y2, y3 = y1 + stride_y, y1 + stride_y + stride_y
    k = base
    r0, r1, r2, r3 = load(c, k), load(c, k + y1), load(c, k + y2), load(c, k + y3)
    a0, b0 = w0 * r0 + w1 * r1 + w2 * r2 + w3 * r3, d0 * r0 + d1 * r1 + d2 * r2 + d3 * r3
    k += stride_z
    r0, r1, r2, r3 = load(c, k), load(c, k + y1), load(c, k + y2), load(c, k + y3)
    a1, b1 = w0 * r0 + w1 * r1 + w2 * r2 + w3 * r3, d0 * r0 + d1 * r1 + d2 * r2 + d3 * r3
    k += stride_z
    r0, r1, r2, r3 = load(c, k), load(c, k + y1), load(c, k + y2), load(c, k + y3)
    a2, b2 = w0 * r0 + w1 * r1 + w2 * r2 + w3 * r3, d0 * r0 + d1 * r1 + d2 * r2 + d3 * r3
    k += stride_z
    r0, r1, r2, r3 = load(c, k), load(c, k + y1), load(c, k + y2), load(c, k + y3)
    a3, b3 = w0 * r0 + w1 * r1 + w2 * r2 + w3 * r3, d0 * r0 + d1 * r1 + d2 * r2 + d3 * r3
    w0, w1, w2, w3 = _cubic_weights(tz)
    d0, d1, d2, d3 = _cubic_slopes(tz)
    store(line, at, w0 * a0 + w1 * a1 + w2 * a2 + w3 * a3)
    climb_z = d0 * a0 + d1 * a1 + d2 * a2 + d3 * a3
    climb_y = w0 * b0 + w1 * b1 + w2 * b2 + w3 * b3
    store(line, half + at, climb_z * dz + climb_y * dy)


@compiled(fastmath=True)
def _across_any(c, base, stride_y, stride_z, taps_y, taps_z, y, dy, z, dz, cubic, line, at, half):
    """L and D of sixteen columns with any number of taps; y and z are relative to the lowest tap."""
    lane, weights = ramp(), 2 * half
    ty, tz = splat(y) + lane * dy, splat(z) + lane * dz
    for k in range(taps_y):
        w, d = _weight_at(ty - splat(_f4(k)), cubic)
        store(line, weights + 2 * LANES * k, w)
        store(line, weights + 2 * LANES * k + LANES, d)
    value, climb_z, climb_y = splat(_f4(0.0)), splat(_f4(0.0)), splat(_f4(0.0))
    for j in range(taps_z):
        a, b = splat(_f4(0.0)), splat(_f4(0.0))
        for k in range(taps_y):
            row = load(c, base + j * stride_z + k * stride_y)
            a = a + load(line, weights + 2 * LANES * k) * row
            b = b + load(line, weights + 2 * LANES * k + LANES) * row
        w, d = _weight_at(tz - splat(_f4(j)), cubic)
        value = value + w * a
        climb_z = climb_z + d * a
        climb_y = climb_y + w * b
    store(line, at, value)
    store(line, half + at, climb_z * dz + climb_y * dy)


@compiled(fastmath=True, inline="always")
def _along_fast(line, k, half, t):
    """Sixteen samples from L and D; taps k .. k + 3 of the first lane, t the fraction behind tap k + 1."""
    w0, w1, w2, w3 = _cubic_weights(t)
    one = _f4(1.0)
    v = w0 * (load(line, k) + (t + one) * load(line, half + k))
    v = v + w1 * (load(line, k + 1) + t * load(line, half + k + 1))
    v = v + w2 * (load(line, k + 2) + (t - one) * load(line, half + k + 2))
    return v + w3 * (load(line, k + 3) + (t - _f4(2.0)) * load(line, half + k + 3))


@compiled(fastmath=True)
def _along_any(line, k, half, taps, t, cubic):
    """Sixteen samples from L and D with any number of taps; t is relative to the first."""
    v = splat(_f4(0.0))
    for j in range(taps):
        u = t - splat(_f4(j))
        w, _ = _weight_at(u, cubic)
        v = v + w * (load(line, k + j) + u * load(line, half + k + j))
    return v


@compiled(fastmath=True)
def voxel_cubic(c, stride_y, stride_z, z, y, x):
    """Cubic B-spline at one position; all taps have to lie inside the volume."""
    fz, fy, fx = math.floor(z), math.floor(y), math.floor(x)
    x0, x1, x2, x3 = _cubic_weights(_f4(x - fx))
    y0, y1, y2, y3 = _cubic_weights(_f4(y - fy))
    z0, z1, z2, z3 = _cubic_weights(_f4(z - fz))
    a0 = a1 = a2 = a3 = _f4(0.0)
    base = np.uint64((int(fz) - 1) * stride_z + (int(fy) - 1) * stride_y + int(fx) - 1)
    for j in range(4):
        wz = z0 if j == 0 else (z1 if j == 1 else (z2 if j == 2 else z3))
        k = base + np.uint64(j * stride_z)
        for weight in (wz * y0, wz * y1, wz * y2, wz * y3):
            a0 += weight * c[k]
            a1 += weight * c[k + np.uint64(1)]
            a2 += weight * c[k + np.uint64(2)]
            a3 += weight * c[k + np.uint64(3)]
            k += np.uint64(stride_y)
    return x0 * a0 + x1 * a1 + x2 * a2 + x3 * a3


@compiled(fastmath=True)
def voxel_linear(c, stride_y, stride_z, z, y, x):
    """Trilinear value at one position; all taps have to lie inside the volume."""
    fz, fy, fx = math.floor(z), math.floor(y), math.floor(x)
    tx, ty, tz = _f4(x - fx), _f4(y - fy), _f4(z - fz)
    k = np.uint64(int(fz) * stride_z + int(fy) * stride_y + int(fx))
    sy, sz, one = np.uint64(stride_y), np.uint64(stride_z), np.uint64(1)
    v00 = c[k] + tx * (c[k + one] - c[k])
    v01 = c[k + sy] + tx * (c[k + sy + one] - c[k + sy])
    v10 = c[k + sz] + tx * (c[k + sz + one] - c[k + sz])
    v11 = c[k + sz + sy] + tx * (c[k + sz + sy + one] - c[k + sz + sy])
    v0 = v00 + ty * (v01 - v00)
    v1 = v10 + ty * (v11 - v10)
    return v0 + tz * (v1 - v0)


@compiled(inline="always")
def clip_row(position, slope, low, high, start, stop):
    """Part of the voxels start..stop of a row for which low <= position + slope * i <= high."""
    if position + slope * start >= low and position + slope * start <= high:
        end = position + slope * (stop - 1)
        if end >= low and end <= high:
            return start, stop
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


@compiled()
def _cross_columns(c, shape, column, columns, z, dz, y, dy, cubic, line, half):
    """L and D at the columns column .. column + columns - 1; z and y are those at the first."""
    stride_y, stride_z = shape[2], shape[1] * shape[2]
    fast_y, fast_z = shape[1] - 4, shape[0] - 4
    for i in range(0, columns, LANES):
        last = min(columns - i, LANES) - 1
        z0, y0 = z + dz * i, y + dy * i
        fz, fy = math.floor(z0), math.floor(y0)
        tz, ty = z0 - fz, y0 - fy
        jz, jy = int(fz) - 1, int(fy) - 1
        end_z, end_y = tz + dz * last, ty + dy * last
        stays = end_z >= 0.0 and end_z < 1.0 and end_y >= 0.0 and end_y < 1.0
        if cubic and stays and jz >= 0 and jz <= fast_z and jy >= 0 and jy <= fast_y:
            base = jz * stride_z + jy * stride_y + column + i
            at = _MARGIN + i
            _across_fast(c, base, stride_y, stride_z, _f4(ty), _f4(dy), _f4(tz), _f4(dz), line, at, half)
        else:
            jz, taps_z = _tap_range(z0, dz, last, 0, shape[0] - 1, cubic)
            jy, taps_y = _tap_range(y0, dy, last, 0, shape[1] - 1, cubic)
            base = jz * stride_z + jy * stride_y + column + i
            uz, uy = _f4(z0 - jz), _f4(y0 - jy)
            _across_any(
                c, base, stride_y, stride_z, taps_y, taps_z, uy, _f4(dy), uz, _f4(dz), cubic, line, _MARGIN + i, half
            )
    # A row that is pressed together reads up to twelve columns too many, with weight 0.
    store(line, _MARGIN + columns, splat(_f4(0.0)))
    store(line, half + _MARGIN + columns, splat(_f4(0.0)))


@compiled(inline="always")
def _is_steep(dz, dy, dx):
    return not (dx > 1.0 / _MOST_STRETCH and dx < _MOST_STRETCH and max(abs(dz), abs(dy)) < _STEEP * dx)


@compiled(inline="always")
def _first_column(x, dx, start, reach):
    return max(int(math.floor(x + dx * start)) - reach, 0)


@compiled()
def cross_row(c, shape, start, stop, z, dz, y, dy, x, dx, cubic, line):
    """First step of sampling a row: L and D at the columns that it needs, into `line`. See `sample_row`."""
    if stop <= start or _is_steep(dz, dy, dx):
        return
    reach = 1 if cubic else 0
    column = _first_column(x, dx, start, reach)
    columns = min(int(math.floor(x + dx * (stop - 1))) + 1 + reach, shape[2] - 1) - column + 1
    slope_z, slope_y, behind = dz / dx, dy / dx, column - x
    half = (line.size - _WEIGHTS) // 2
    _cross_columns(
        c, shape, column, columns, z + slope_z * behind, slope_z, y + slope_y * behind, slope_y, cubic, line, half
    )


@compiled()  # not fast: its columns have to come out as those of `cross_row`, to the last bit
def along_row(c, shape, start, stop, z, dz, y, dy, x, dx, cubic, out, line):
    """Second step of sampling a row: from `line` along x, or all at once for a steep row. See `sample_row`."""
    if stop <= start:
        return
    if _is_steep(dz, dy, dx):
        stride_y, stride_z = shape[2], shape[1] * shape[2]
        for i in range(start, stop):
            if cubic:
                out[i] = voxel_cubic(c, stride_y, stride_z, z + dz * i, y + dy * i, x + dx * i)
            else:
                out[i] = voxel_linear(c, stride_y, stride_z, z + dz * i, y + dy * i, x + dx * i)
        return
    reach = 1 if cubic else 0
    column, half, step = _first_column(x, dx, start, reach), (line.size - _WEIGHTS) // 2, dx - 1.0
    for i in range(start, stop, LANES):
        last = min(stop - i, LANES) - 1
        first = x + dx * i - column
        k = int(math.floor(first))
        t = first - k
        end = t + step * last
        if cubic and end >= 0.0 and end < 1.0:
            store(out, i, _along_fast(line, _MARGIN + k - 1, half, splat(_f4(t)) + ramp() * _f4(step)))
        else:
            low = int(math.floor(min(t, end)))
            taps = int(math.floor(max(t, end))) - low + 2 + 2 * reach
            low -= reach
            store(
                out, i, _along_any(line, _MARGIN + k + low, half, taps, splat(_f4(t - low)) + ramp() * _f4(step), cubic)
            )


@compiled()
def sample_row(c, shape, start, stop, z, dz, y, dy, x, dx, cubic, out, line):
    """Sample voxels start..stop of a row at (z + dz i, y + dy i, x + dx i) into `out`.

    Where many rows are sampled, call `cross_row` for some of them and then `along_row`: a processor waits for a value
    that is read right after it was written.

    Parameters
    ----------
    c : float32[::1]
        Flat volume (z, y, x) with `TAIL` spare elements: B-spline coefficients if `cubic`, else grey values.
    shape : int64 (3,)
        The volume's sides.
    start, stop : int
        Voxels of the row, i; the caller has made sure that all taps lie inside the volume. The columns beside the last
        voxel may lie up to half a voxel farther across: taps that are missing there are left out.
    z, dz, y, dy, x, dx : float
        Position of voxel 0 and its change per voxel.
    cubic : bool
    out : float32[::1]
        Row buffer with `TAIL` spare elements; what lies behind `stop` may be overwritten.
    line : float32[::1]
        Scratch of `line_size(row length)` elements, all finite: some are read with weight 0.
    """
    cross_row(c, shape, start, stop, z, dz, y, dy, x, dx, cubic, line)
    along_row(c, shape, start, stop, z, dz, y, dy, x, dx, cubic, out, line)

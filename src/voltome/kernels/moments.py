"""Sums over a reference window: what Gauss-Newton needs of the reference once and of the deformed volume each time.

Parameters are those of Phi's rows: for each component r of z, y, x the gradients F_rz F_ry F_rx and the displacement
u_r. Their steepest-descent images are g_r Z, g_r Y, g_r X and g_r, with g the reference's gradient and Z, Y, X the
position relative to the node.

Strategy: in a plane Z is constant and along a row Y, so only sums of g_r (1, X) v and g_r g_s (1, X, X^2) are formed
voxel by voxel; rows are folded with 1, Y, Y^2 into sums of the plane, and those spread over the twelve parameters. A
plane is summed in float32, sixteen voxels side by side, a window in float64. Every voxel has a weight; its row is
zero-padded to whole groups of sixteen, which spares the loops their remainders.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.kernels.compilation import compiled
from voltome.kernels.sampling import along_row, clip_row, cross_row
from voltome.kernels.vector import LANES, load, maximum, minimum, ramp, splat, store, total

_f4 = np.float32
_Flat = NDArray[np.float32]
_Ints = NDArray[np.int64]


class Reference(NamedTuple):
    """A block of the reference: flat volumes with spare elements behind them (`sampling.TAIL`)."""

    grey: _Flat
    gradient_z: _Flat
    gradient_y: _Flat
    gradient_x: _Flat
    shape: _Ints


class Deformed(NamedTuple):
    """A block of the deformed volume.

    `samples` are spline coefficients or grey values; `shift` is the reference block's origin minus this block's;
    `inside` holds the first and last position on each axis that count as the volume's (the caller leaves out what is
    inexact at its faces), `readable` those whose taps are in the block (both in the block's coordinates).
    """

    samples: _Flat
    shape: _Ints
    shift: NDArray[np.float64]
    inside: NDArray[np.float64]
    readable: NDArray[np.float64]
    cubic: bool


class Window(NamedTuple):
    """A window: node and half-open extent relative to it, with a weight for each voxel.

    `weights` is flat: `row_stride` elements for each row, zeros behind the window's last voxel; a stride of 0 lets all
    rows share one row (a window without mask).
    """

    node: _Ints
    low: _Ints
    high: _Ints
    weights: _Flat
    row_stride: int


ROWS = 8
"""Rows that are sampled together."""

_PRODUCTS = 6 * 6
PLANE_SIZE = (_PRODUCTS + 6 * 3 + 3) * LANES
"""Plane sums of the reference: g_r g_s (1, Y, Y^2, X, X Y, X^2), g_r (1, Y, X), g_r f (1, Y, X), 1, f, f^2."""


@compiled(inline="always")
def whole_groups(n):
    """n rounded up to whole SIMD groups."""
    return (n + LANES - 1) // LANES * LANES


@compiled(inline="always")
def row_start(window, shape, z, y):
    """Flat index of a row of the window in the reference block, and of its weights."""
    k = ((window.node[0] + z) * shape[1] + window.node[1] + y) * shape[2] + window.node[2] + window.low[2]
    rows = (z - window.low[0]) * (window.high[1] - window.low[1]) + y - window.low[1]
    return k, rows * window.row_stride


@compiled(fastmath=True, inline="always")
def _fold(plane, slot, value, y):
    """Add a row's sum to the plane's at `slot`, and Y times it to the next."""
    at = slot * LANES
    store(plane, at, load(plane, at) + value)
    store(plane, at + LANES, load(plane, at + LANES) + value * y)


@compiled(fastmath=True, inline="always")
def _fold_product(plane, slot, s0, s1, s2, y):
    """Fold a row's sums of g_r g_s (1, X, X^2)."""
    at = slot * LANES
    _fold(plane, slot, s0, y)
    store(plane, at + 2 * LANES, load(plane, at + 2 * LANES) + s0 * (y * y))
    _fold(plane, slot + 3, s1, y)
    store(plane, at + 5 * LANES, load(plane, at + 5 * LANES) + s2)


@compiled(fastmath=True, inline="always")
def add_at(sums, at, value):
    """Add sixteen numbers to those from `at` on."""
    store(sums, at, load(sums, at) + value)


@compiled(fastmath=True, inline="always")
def _add_to(plane, slot, value):
    add_at(plane, slot * LANES, value)


@compiled(fastmath=True)
def _products_of_row(gz, gy, gx, w, k, m, n, first_x, y, plane):
    """Add a row's weighted gradient products to the plane's sums."""
    zero = splat(_f4(0.0))
    zz0, zz1, zz2, zy0, zy1, zy2, zx0, zx1, zx2 = zero, zero, zero, zero, zero, zero, zero, zero, zero
    yy0, yy1, yy2, yx0, yx1, yx2, xx0, xx1, xx2 = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for i in range(0, n, LANES):
        x = ramp() + _f4(first_x + i)
        a, b, c, weight = load(gz, k + i), load(gy, k + i), load(gx, k + i), load(w, m + i)
        wa, wb, wc = weight * a, weight * b, weight * c
        p = wa * a
        px = p * x
        zz0, zz1, zz2 = zz0 + p, zz1 + px, zz2 + px * x
        p = wa * b
        px = p * x
        zy0, zy1, zy2 = zy0 + p, zy1 + px, zy2 + px * x
        p = wa * c
        px = p * x
        zx0, zx1, zx2 = zx0 + p, zx1 + px, zx2 + px * x
        p = wb * b
        px = p * x
        yy0, yy1, yy2 = yy0 + p, yy1 + px, yy2 + px * x
        p = wb * c
        px = p * x
        yx0, yx1, yx2 = yx0 + p, yx1 + px, yx2 + px * x
        p = wc * c
        px = p * x
        xx0, xx1, xx2 = xx0 + p, xx1 + px, xx2 + px * x
    _fold_product(plane, 0, zz0, zz1, zz2, y)
    _fold_product(plane, 6, zy0, zy1, zy2, y)
    _fold_product(plane, 12, zx0, zx1, zx2, y)
    _fold_product(plane, 18, yy0, yy1, yy2, y)
    _fold_product(plane, 24, yx0, yx1, yx2, y)
    _fold_product(plane, 30, xx0, xx1, xx2, y)


@compiled(fastmath=True)
def _greys_of_row(f, gz, gy, gx, w, k, m, n, first_x, y, plane):
    """Add a row's weighted gradients, gradients times grey values, and grey values to the plane's sums."""
    zero = splat(_f4(0.0))
    z0, z1, y0, y1, x0, x1, count = zero, zero, zero, zero, zero, zero, zero
    fz0, fz1, fy0, fy1, fx0, fx1, f0, ff = zero, zero, zero, zero, zero, zero, zero, zero
    for i in range(0, n, LANES):
        x = ramp() + _f4(first_x + i)
        weight, grey = load(w, m + i), load(f, k + i)
        wf = weight * grey
        wx, wfx = weight * x, wf * x
        a, b, c = load(gz, k + i), load(gy, k + i), load(gx, k + i)
        z0, z1, fz0, fz1 = z0 + weight * a, z1 + wx * a, fz0 + wf * a, fz1 + wfx * a
        y0, y1, fy0, fy1 = y0 + weight * b, y1 + wx * b, fy0 + wf * b, fy1 + wfx * b
        x0, x1, fx0, fx1 = x0 + weight * c, x1 + wx * c, fx0 + wf * c, fx1 + wfx * c
        count, f0, ff = count + weight, f0 + wf, ff + wf * grey
    s = _PRODUCTS
    _fold(plane, s, z0, y)
    _add_to(plane, s + 2, z1)
    _fold(plane, s + 3, y0, y)
    _add_to(plane, s + 5, y1)
    _fold(plane, s + 6, x0, y)
    _add_to(plane, s + 8, x1)
    _fold(plane, s + 9, fz0, y)
    _add_to(plane, s + 11, fz1)
    _fold(plane, s + 12, fy0, y)
    _add_to(plane, s + 14, fy1)
    _fold(plane, s + 15, fx0, y)
    _add_to(plane, s + 17, fx1)
    _add_to(plane, s + 18, count)
    _add_to(plane, s + 19, f0)
    _add_to(plane, s + 20, ff)


@compiled(fastmath=True, inline="always")
def response_terms(reference, w, m, k, values, first, n):
    """Slope of a sampled row along x (sixth order), w f_x, and f_x, for sixteen voxels from the fourth on.

    The row's three voxels at either end have no slope: their w f_x is 0.
    """
    slope = _f4(0.75) * (load(values, first + 4) - load(values, first + 2))
    slope = slope - _f4(0.15) * (load(values, first + 5) - load(values, first + 1))
    slope = slope + _f4(1.0 / 60.0) * (load(values, first + 6) - load(values, first))
    counts = maximum(minimum(splat(_f4(n - 6)) - ramp(), splat(_f4(1.0))), splat(_f4(0.0)))
    gx = load(reference.gradient_x, k + 3)
    return slope, counts * load(w, m + 3) * gx, gx


@compiled(fastmath=True)
def response_row(reference, w, m, k, values, first, n, sums, at):
    """Add a row's sums of w f_x g_x and w f_x^2 to two groups of sixteen from `at` on.

    Their ratio is the response of the right-hand side to a displacement: noise is in the square of f_x, but not in
    f_x g_x.
    """
    for i in range(0, n - 6, LANES):
        slope, weighted, gx = response_terms(reference, w, m + i, k + i, values, first + i, n - i)
        add_at(sums, at, weighted * slope)
        add_at(sums, at + LANES, weighted * gx)


@compiled()
def _add_outer(hessian, plane, z):
    """Spread a plane's gradient products over the upper triangle of the 4x4 blocks of the Hessian."""
    slot = 0
    for r in range(3):
        for s in range(r, 3):
            a0 = float(total(load(plane, slot * LANES)))
            ay = float(total(load(plane, (slot + 1) * LANES)))
            ayy = float(total(load(plane, (slot + 2) * LANES)))
            ax = float(total(load(plane, (slot + 3) * LANES)))
            axy = float(total(load(plane, (slot + 4) * LANES)))
            axx = float(total(load(plane, (slot + 5) * LANES)))
            slot += 6
            i, j = 4 * r, 4 * s
            hessian[i, j] += z * z * a0
            hessian[i, j + 1] += z * ay
            hessian[i, j + 2] += z * ax
            hessian[i, j + 3] += z * a0
            hessian[i + 1, j + 1] += ayy
            hessian[i + 1, j + 2] += axy
            hessian[i + 1, j + 3] += ay
            hessian[i + 2, j + 2] += axx
            hessian[i + 2, j + 3] += ax
            hessian[i + 3, j + 3] += a0


@compiled()
def _add_linear(vector, plane, slot, z):
    """Spread a plane's sums of g_r (1, Y, X) over the twelve parameters."""
    for r in range(3):
        s0 = float(total(load(plane, (slot + 3 * r) * LANES)))
        vector[4 * r] += z * s0
        vector[4 * r + 1] += float(total(load(plane, (slot + 3 * r + 1) * LANES)))
        vector[4 * r + 2] += float(total(load(plane, (slot + 3 * r + 2) * LANES)))
        vector[4 * r + 3] += s0


@compiled(cache=True)
def sum_reference(reference, window, first_z, stop_z, plane, hessian, gradient, gradient_grey, totals):
    """Gauss-Newton Hessian and grey sums of a window, planes first_z..stop_z relative to the node.

    Parameters
    ----------
    reference : Reference
    window : Window
    first_z, stop_z : int
    plane : float32[::1]
        Scratch of `PLANE_SIZE` elements.
    hessian : float64 (12, 12)
        Set: sum of w SD SD^T.
    gradient, gradient_grey : float64 (12,)
        Set: sums of w SD and w SD f.
    totals : float64 (3,)
        Set: sums of w, w f, w f^2.
    """
    for i in range(12):
        gradient[i] = gradient_grey[i] = 0.0
        for j in range(12):
            hessian[i, j] = 0.0
    for j in range(3):
        totals[j] = 0.0
    n, x = whole_groups(window.high[2] - window.low[2]), window.low[2]
    f, gz, gy, gx, w = (
        reference.grey, reference.gradient_z, reference.gradient_y, reference.gradient_x, window.weights,
    )  # fmt: skip
    for z in range(first_z, stop_z):
        for i in range(PLANE_SIZE):
            plane[i] = _f4(0.0)
        for y in range(window.low[1], window.high[1]):
            k, m = row_start(window, reference.shape, z, y)
            _products_of_row(gz, gy, gx, w, k, m, n, x, _f4(y), plane)
            _greys_of_row(f, gz, gy, gx, w, k, m, n, x, _f4(y), plane)
        _add_outer(hessian, plane, float(z))
        _add_linear(gradient, plane, _PRODUCTS, float(z))
        _add_linear(gradient_grey, plane, _PRODUCTS + 9, float(z))
        for j in range(3):
            totals[j] += float(total(load(plane, (_PRODUCTS + 18 + j) * LANES)))
    for r in range(0, 12, 4):
        for s in range(r, 12, 4):
            for i in range(4):
                for j in range(i):
                    hessian[r + i, s + j] = hessian[r + j, s + i]
    for i in range(12):
        for j in range(i):
            hessian[i, j] = hessian[j, i]


@compiled(inline="always")
def _row_position(deformed, window, phi, z, y):
    """Where the first voxel of a row is mapped to, and the part of the row that can be read there."""
    n, x = window.high[2] - window.low[2], window.low[2]
    pz = window.node[0] + deformed.shift[0] + phi[0, 3] + phi[0, 0] * z + phi[0, 1] * y + phi[0, 2] * x
    py = window.node[1] + deformed.shift[1] + phi[1, 3] + phi[1, 0] * z + phi[1, 1] * y + phi[1, 2] * x
    px = window.node[2] + deformed.shift[2] + phi[2, 3] + phi[2, 0] * z + phi[2, 1] * y + phi[2, 2] * x
    start, stop = clip_row(pz, phi[0, 2], deformed.readable[0, 0], deformed.readable[0, 1], 0, n)
    start, stop = clip_row(py, phi[1, 2], deformed.readable[1, 0], deformed.readable[1, 1], start, stop)
    start, stop = clip_row(px, phi[2, 2], deformed.readable[2, 0], deformed.readable[2, 1], start, stop)
    return pz, py, px, start, stop


@compiled()
def sample_rows(deformed, window, phi, z, first_y, step_y, rows, values, length, line):
    """Sample the deformed volume along rows first_y, first_y + step_y, ... of a plane; what cannot be read is 0.

    Parameters
    ----------
    deformed : Deformed
    window : Window
    phi : float64 (3, 4)
    z, first_y, step_y, rows : int
        Plane and rows relative to the node; at most `ROWS` rows.
    values : float32[::1]
        Row buffers, one behind the other.
    length : int
        Elements from one row buffer to the next.
    line : float32[::1]
        Scratch, `ROWS` times `sampling.line_size`.
    """
    n, c, shape, cubic = window.high[2] - window.low[2], deformed.samples, deformed.shape, deformed.cubic
    dz, dy, dx = phi[0, 2], phi[1, 2], phi[2, 2]
    size = line.size // ROWS
    for j in range(rows):
        pz, py, px, start, stop = _row_position(deformed, window, phi, z, first_y + j * step_y)
        cross_row(c, shape, start, stop, pz, dz, py, dy, px, dx, cubic, line[j * size : (j + 1) * size])
    for j in range(rows):
        pz, py, px, start, stop = _row_position(deformed, window, phi, z, first_y + j * step_y)
        out = values[j * length : (j + 1) * length]
        along_row(c, shape, start, stop, pz, dz, py, dy, px, dx, cubic, out, line[j * size : (j + 1) * size])
        for i in range(start):
            out[i] = _f4(0.0)
        for i in range(stop, n):
            out[i] = _f4(0.0)


@compiled(inline="always")
def _spread(vector, first, z, s0, sy, sx):
    """Add a plane's sums of g_r (1, Y, X) for one component to the parameters from `first` on."""
    plain = float(total(s0))
    vector[first] += z * plain
    vector[first + 1] += float(total(sy))
    vector[first + 2] += float(total(sx))
    vector[first + 3] += plain


@compiled(fastmath=True, cache=True)
def sum_deformed(reference, deformed, window, phi, first_z, stop_z, values, line, product, totals):
    """Sums of the warped deformed volume against a window, planes first_z..stop_z relative to the node.

    Parameters
    ----------
    reference : Reference
    deformed : Deformed
    window : Window
    phi : float64 (3, 4)
        F and u.
    first_z, stop_z : int
    values, line : float32[::1]
        Scratch, see `sample_rows`.
    product : float64 (12,)
        Set: sum of w SD g(phi).
    totals : float64 (3,)
        Set: sums of w g, w g^2, w f g.
    """
    for i in range(12):
        product[i] = 0.0
    for j in range(3):
        totals[j] = 0.0
    n, first_x = whole_groups(window.high[2] - window.low[2]), window.low[2]
    f, gz, gy, gx, w = (
        reference.grey, reference.gradient_z, reference.gradient_y, reference.gradient_x, window.weights,
    )  # fmt: skip
    zero, length = splat(_f4(0.0)), values.size // ROWS
    for z in range(first_z, stop_z):
        z0, zy, zx, y0, yy, yx, x0, xy, xx = zero, zero, zero, zero, zero, zero, zero, zero, zero
        v0, vv, vf = zero, zero, zero
        for first in range(window.low[1], window.high[1], ROWS):
            rows = min(ROWS, window.high[1] - first)
            sample_rows(deformed, window, phi, z, first, 1, rows, values, length, line)
            for j in range(rows):
                k, m = row_start(window, reference.shape, z, first + j)
                a0, b0, c0 = zero, zero, zero
                for i in range(0, n, LANES):
                    v = load(values, j * length + i)
                    wv = load(w, m + i) * v
                    wvx = wv * (ramp() + _f4(first_x + i))
                    a, b, c = load(gz, k + i), load(gy, k + i), load(gx, k + i)
                    a0, b0, c0 = a0 + a * wv, b0 + b * wv, c0 + c * wv
                    zx, yx, xx = zx + a * wvx, yx + b * wvx, xx + c * wvx
                    v0, vv, vf = v0 + wv, vv + wv * v, vf + wv * load(f, k + i)
                y = _f4(first + j)
                z0, y0, x0 = z0 + a0, y0 + b0, x0 + c0
                zy, yy, xy = zy + a0 * y, yy + b0 * y, xy + c0 * y
        _spread(product, 0, z, z0, zy, zx)
        _spread(product, 4, z, y0, yy, yx)
        _spread(product, 8, z, x0, xy, xx)
        totals[0] += float(total(v0))
        totals[1] += float(total(vv))
        totals[2] += float(total(vf))


@compiled(cache=True)
def grey_statistics(reference_totals, deformed_totals):
    """Means, standard deviations and zero-normalised cross-correlation from the sums of a window.

    Returns
    -------
    mean_f, sd_f, mean_g, sd_g, zncc : float
        A standard deviation of 0 gives a ZNCC of 0.
    """
    count = reference_totals[0]
    mean_f, mean_g = reference_totals[1] / count, deformed_totals[0] / count
    sd_f = math.sqrt(max(reference_totals[2] / count - mean_f * mean_f, 0.0))
    sd_g = math.sqrt(max(deformed_totals[1] / count - mean_g * mean_g, 0.0))
    zncc = 0.0
    if sd_f > 1e-9 and sd_g > 1e-9:
        zncc = (deformed_totals[2] / count - mean_f * mean_g) / (sd_f * sd_g)
    return mean_f, sd_f, mean_g, sd_g, zncc

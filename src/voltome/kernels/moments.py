"""Sums over a reference window: what Gauss-Newton needs of the reference once and of the deformed volume each time.

Parameters are those of Phi's rows: for each component r of z, y, x the gradients F_rz F_ry F_rx and the displacement
u_r. Their steepest-descent images are g_r Z, g_r Y, g_r X and g_r, with g the reference's gradient and Z, Y, X the
position relative to the node.

Strategy: along a row Z and Y are constant, so only sums of g_r (1, X) v and g_r g_s (1, X, X^2) are formed inside the
loop and spread over the twelve parameters afterwards. Rows are summed in float32, windows in float64. Every voxel has
a weight; its row is zero-padded to whole SIMD groups, which spares the loops their remainders.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from voltome.kernels.sampling import LANES, clip_row, sample_row

_f4 = np.float32
_u8 = np.uint64
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
    `inside` holds the first and last position on each axis that belong to the volume, `readable` those whose taps
    are in the block (both in the block's coordinates).
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


@njit(nogil=True, inline="always")
def whole_groups(n):
    """n rounded up to whole SIMD groups."""
    return (n + LANES - 1) // LANES * LANES


@njit(fastmath=True, nogil=True)
def _row_of_reference(f, gz, gy, gx, w, n, first_x, sums):
    """Row sums of gradient products and of grey values, all weighted, into sums[0:33]."""
    zz0 = zz1 = zz2 = zy0 = zy1 = zy2 = zx0 = zx1 = zx2 = _f4(0.0)
    yy0 = yy1 = yy2 = yx0 = yx1 = yx2 = xx0 = xx1 = xx2 = _f4(0.0)
    for i in range(_u8(n)):
        x = _f4(i) + first_x
        z_, y_, x_ = gz[i], gy[i], gx[i]
        wz, wy, wx = w[i] * z_, w[i] * y_, w[i] * x_
        zz, zy, zx, yy, yx, xx = wz * z_, wz * y_, wz * x_, wy * y_, wy * x_, wx * x_
        x2 = x * x
        zz0 += zz
        zz1 += zz * x
        zz2 += zz * x2
        zy0 += zy
        zy1 += zy * x
        zy2 += zy * x2
        zx0 += zx
        zx1 += zx * x
        zx2 += zx * x2
        yy0 += yy
        yy1 += yy * x
        yy2 += yy * x2
        yx0 += yx
        yx1 += yx * x
        yx2 += yx * x2
        xx0 += xx
        xx1 += xx * x
        xx2 += xx * x2
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = zz0, zz1, zz2, zy0, zy1, zy2
    sums[6], sums[7], sums[8], sums[9], sums[10], sums[11] = zx0, zx1, zx2, yy0, yy1, yy2
    sums[12], sums[13], sums[14], sums[15], sums[16], sums[17] = yx0, yx1, yx2, xx0, xx1, xx2
    z0 = z1 = y0 = y1 = x0 = x1 = fz0 = fz1 = fy0 = fy1 = fx0 = fx1 = w0 = f0 = ff = _f4(0.0)
    for i in range(_u8(n)):
        x = _f4(i) + first_x
        wz, wy, wx, wf = w[i] * gz[i], w[i] * gy[i], w[i] * gx[i], w[i] * f[i]
        z0 += wz
        z1 += wz * x
        y0 += wy
        y1 += wy * x
        x0 += wx
        x1 += wx * x
        vx = f[i] * x
        fz0 += wz * f[i]
        fz1 += wz * vx
        fy0 += wy * f[i]
        fy1 += wy * vx
        fx0 += wx * f[i]
        fx1 += wx * vx
        w0 += w[i]
        f0 += wf
        ff += wf * f[i]
    sums[18], sums[19], sums[20], sums[21], sums[22], sums[23] = z0, z1, y0, y1, x0, x1
    sums[24], sums[25], sums[26], sums[27], sums[28], sums[29] = fz0, fz1, fy0, fy1, fx0, fx1
    sums[30], sums[31], sums[32] = w0, f0, ff


@njit(fastmath=True, nogil=True)
def _row_of_deformed(f, gz, gy, gx, w, v, n, first_x, sums):
    """Row sums of the sampled values v against the reference, weighted, added to sums[0:9]."""
    z0 = z1 = y0 = y1 = x0 = x1 = v0 = vv = vf = _f4(0.0)
    for i in range(_u8(n)):
        x = _f4(i) + first_x
        wv = w[i] * v[i]
        wvx = wv * x
        z0 += gz[i] * wv
        z1 += gz[i] * wvx
        y0 += gy[i] * wv
        y1 += gy[i] * wvx
        x0 += gx[i] * wv
        x1 += gx[i] * wvx
        v0 += wv
        vv += wv * v[i]
        vf += wv * f[i]
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = z0, z1, y0, y1, x0, x1
    sums[6], sums[7], sums[8] = v0, vv, vf


@njit(nogil=True, inline="always")
def _add_outer(hessian, sums, z, y):
    """Spread a row's gradient products over the upper triangle of the 4x4 blocks of the Hessian."""
    p = 0
    for r in range(3):
        for s in range(r, 3):
            a0, a1, a2 = sums[3 * p], sums[3 * p + 1], sums[3 * p + 2]
            p += 1
            i, j = 4 * r, 4 * s
            hessian[i, j] += z * z * a0
            hessian[i, j + 1] += z * y * a0
            hessian[i, j + 2] += z * a1
            hessian[i, j + 3] += z * a0
            hessian[i + 1, j + 1] += y * y * a0
            hessian[i + 1, j + 2] += y * a1
            hessian[i + 1, j + 3] += y * a0
            hessian[i + 2, j + 2] += a2
            hessian[i + 2, j + 3] += a1
            hessian[i + 3, j + 3] += a0


@njit(nogil=True, inline="always")
def _add_linear(vector, sums, first, z, y):
    """Spread row sums of g_r (1, X) over the twelve parameters."""
    for r in range(3):
        s0, s1 = sums[first + 2 * r], sums[first + 2 * r + 1]
        vector[4 * r] += z * s0
        vector[4 * r + 1] += y * s0
        vector[4 * r + 2] += s1
        vector[4 * r + 3] += s0


@njit(nogil=True, cache=True)
def sum_reference(reference, window, first_z, stop_z, hessian, gradient, gradient_grey, totals):
    """Gauss-Newton Hessian and grey sums of a window, planes first_z..stop_z relative to the node.

    Parameters
    ----------
    reference : Reference
    window : Window
    first_z, stop_z : int
    hessian : float64 (12, 12)
        Set: sum of w SD SD^T.
    gradient, gradient_grey : float64 (12,)
        Set: sums of w SD and w SD f.
    totals : float64 (3,)
        Set: sums of w, w f, w f^2.
    """
    hessian[:] = 0.0
    gradient[:] = 0.0
    gradient_grey[:] = 0.0
    totals[:] = 0.0
    sums = np.zeros(33)
    shape_y, shape_x = reference.shape[1], reference.shape[2]
    n = whole_groups(window.high[2] - window.low[2])
    rows_y = window.high[1] - window.low[1]
    for z in range(first_z, stop_z):
        for y in range(window.low[1], window.high[1]):
            k = ((window.node[0] + z) * shape_y + window.node[1] + y) * shape_x + window.node[2] + window.low[2]
            m = ((z - window.low[0]) * rows_y + y - window.low[1]) * window.row_stride
            _row_of_reference(
                reference.grey[k : k + n],
                reference.gradient_z[k : k + n],
                reference.gradient_y[k : k + n],
                reference.gradient_x[k : k + n],
                window.weights[m : m + n],
                n,
                _f4(window.low[2]),
                sums,
            )
            _add_outer(hessian, sums, z, y)
            _add_linear(gradient, sums, 18, z, y)
            _add_linear(gradient_grey, sums, 24, z, y)
            for j in range(3):
                totals[j] += sums[30 + j]
    for r in range(0, 12, 4):
        for s in range(r, 12, 4):
            for i in range(4):
                for j in range(i):
                    hessian[r + i, s + j] = hessian[r + j, s + i]
    for i in range(12):
        for j in range(i):
            hessian[i, j] = hessian[j, i]


@njit(nogil=True, inline="always")
def sample_window_row(deformed, window, phi, z, y, values):
    """Sample the deformed volume along one row of the window; what cannot be read stays as it is."""
    n = window.high[2] - window.low[2]
    x = window.low[2]
    pz = window.node[0] + deformed.shift[0] + phi[0, 3] + phi[0, 0] * z + phi[0, 1] * y + phi[0, 2] * x
    py = window.node[1] + deformed.shift[1] + phi[1, 3] + phi[1, 0] * z + phi[1, 1] * y + phi[1, 2] * x
    px = window.node[2] + deformed.shift[2] + phi[2, 3] + phi[2, 0] * z + phi[2, 1] * y + phi[2, 2] * x
    start, stop = clip_row(pz, phi[0, 2], deformed.readable[0, 0], deformed.readable[0, 1], 0, n)
    start, stop = clip_row(py, phi[1, 2], deformed.readable[1, 0], deformed.readable[1, 1], start, stop)
    start, stop = clip_row(px, phi[2, 2], deformed.readable[2, 0], deformed.readable[2, 1], start, stop)
    if stop > start:
        sample_row(
            deformed.samples,
            deformed.shape[1],
            deformed.shape[2],
            start,
            stop,
            pz,
            phi[0, 2],
            py,
            phi[1, 2],
            px,
            phi[2, 2],
            deformed.cubic,
            values,
        )


@njit(nogil=True, cache=True)
def sum_deformed(reference, deformed, window, phi, first_z, stop_z, values, product, totals):
    """Sums of the warped deformed volume against a window, planes first_z..stop_z relative to the node.

    Parameters
    ----------
    reference : Reference
    deformed : Deformed
    window : Window
    phi : float64 (3, 4)
        F and u.
    first_z, stop_z : int
    values : float32
        Row buffer of at least a row and `sampling.TAIL`.
    product : float64 (12,)
        Set: sum of w SD g(phi).
    totals : float64 (3,)
        Set: sums of w g, w g^2, w f g.
    """
    product[:] = 0.0
    totals[:] = 0.0
    sums = np.zeros(9)
    shape_y, shape_x = reference.shape[1], reference.shape[2]
    n = whole_groups(window.high[2] - window.low[2])
    rows_y = window.high[1] - window.low[1]
    for z in range(first_z, stop_z):
        for y in range(window.low[1], window.high[1]):
            k = ((window.node[0] + z) * shape_y + window.node[1] + y) * shape_x + window.node[2] + window.low[2]
            m = ((z - window.low[0]) * rows_y + y - window.low[1]) * window.row_stride
            sample_window_row(deformed, window, phi, z, y, values)
            _row_of_deformed(
                reference.grey[k : k + n],
                reference.gradient_z[k : k + n],
                reference.gradient_y[k : k + n],
                reference.gradient_x[k : k + n],
                window.weights[m : m + n],
                values,
                n,
                _f4(window.low[2]),
                sums,
            )
            _add_linear(product, sums, 0, z, y)
            for j in range(3):
                totals[j] += sums[6 + j]


@njit(nogil=True)
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

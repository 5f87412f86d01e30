"""Cubic B-spline coefficients, gradients and block means of a volume.

Each works on planes first..stop of its slowest axis, so that threads can share a volume.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

SPLINE_POLE = math.sqrt(3.0) - 2.0
SPLINE_REACH = 12
"""Voxels after which a coefficient no longer depends on a grey value: |pole|^12 is 1.4e-7, float32's last digit."""

GRADIENT_REACH = 3

_f4 = np.float32
_u8 = np.uint64


@njit("void(float32[:,:,::1], int64, int64)", fastmath=True, nogil=True, cache=True)
def prefilter_z(volume, first, stop):
    """B-spline prefilter along axis 0, in place, for rows y of first..stop; mirrored at the ends.

    The mirror is exact for at least `SPLINE_REACH` voxels along the axis; blocks are padded to more.

    Parameters
    ----------
    volume : float32 (nz, ny, nx)
    first, stop : int
        Range of y, not of z.
    """
    nz, nx = volume.shape[0], volume.shape[2]
    pole = _f4(SPLINE_POLE)
    if nz < 2:
        return
    for y in range(first, stop):
        start = np.zeros(nx, dtype=np.float32)
        weight = _f4(1.0)
        for k in range(min(nz, SPLINE_REACH + 4)):
            for x in range(nx):
                start[x] += weight * volume[k, y, x]
            weight *= pole
        gain = _f4((1.0 - SPLINE_POLE) * (1.0 - 1.0 / SPLINE_POLE))
        for x in range(nx):
            volume[0, y, x] = gain * start[x]
        for z in range(1, nz):
            for x in range(nx):
                volume[z, y, x] = gain * volume[z, y, x] + pole * volume[z - 1, y, x]
        end = _f4(SPLINE_POLE / (SPLINE_POLE * SPLINE_POLE - 1.0))
        for x in range(nx):
            volume[nz - 1, y, x] = end * (volume[nz - 1, y, x] + pole * volume[nz - 2, y, x])
        for z in range(nz - 2, -1, -1):
            for x in range(nx):
                volume[z, y, x] = pole * (volume[z + 1, y, x] - volume[z, y, x])


@njit(fastmath=True, nogil=True, inline="always")
def _prefilter_lines(lines):
    """Prefilter along axis 0 of a (n, width) buffer, width lines at once."""
    n, width = lines.shape
    pole = _f4(SPLINE_POLE)
    gain = _f4((1.0 - SPLINE_POLE) * (1.0 - 1.0 / SPLINE_POLE))
    for j in range(width):
        total = _f4(0.0)
        weight = _f4(1.0)
        for k in range(min(n, SPLINE_REACH + 4)):
            total += weight * lines[k, j]
            weight *= pole
        lines[0, j] = gain * total
    for k in range(1, n):
        for j in range(width):
            lines[k, j] = gain * lines[k, j] + pole * lines[k - 1, j]
    end = _f4(SPLINE_POLE / (SPLINE_POLE * SPLINE_POLE - 1.0))
    for j in range(width):
        lines[n - 1, j] = end * (lines[n - 1, j] + pole * lines[n - 2, j])
    for k in range(n - 2, -1, -1):
        for j in range(width):
            lines[k, j] = pole * (lines[k + 1, j] - lines[k, j])


@njit("void(float32[:,:,::1], int64, int64)", fastmath=True, nogil=True, cache=True)
def prefilter_planes(volume, first, stop):
    """B-spline prefilter along axes 1 and 2, in place, for planes z of first..stop; mirrored at the ends.

    Strategy: along y whole rows are filtered at once. Along x the recursion is serial, so sixteen rows are turned
    into the columns of a buffer and filtered side by side.
    """
    ny, nx = volume.shape[1], volume.shape[2]
    turned = np.empty((nx, 16), dtype=np.float32)
    for z in range(first, stop):
        if ny > 1:
            _prefilter_lines(volume[z])
        if nx > 1:
            for y in range(0, ny, 16):
                rows = min(16, ny - y)
                for x in range(nx):
                    for j in range(rows):
                        turned[x, j] = volume[z, y + j, x]
                _prefilter_lines(turned)
                for j in range(rows):
                    for x in range(nx):
                        volume[z, y + j, x] = turned[x, j]


@njit(fastmath=True, nogil=True, inline="always")
def _difference(m3, m2, m1, p1, p2, p3, out, count):
    """Sixth-order difference of six rows, the voxels before and behind `out`."""
    a, b, c = _f4(3.0 / 4.0), _f4(-3.0 / 20.0), _f4(1.0 / 60.0)
    for i in range(_u8(count)):
        out[i] = a * (p1[i] - m1[i]) + b * (p2[i] - m2[i]) + c * (p3[i] - m3[i])


@njit(
    "void(float32[:,:,::1], float32[:,:,::1], float32[:,:,::1], float32[:,:,::1], int64, int64)",
    fastmath=True,
    nogil=True,
    cache=True,
)
def gradient_planes(f, gz, gy, gx, first, stop):
    """Sixth-order central differences for planes z of first..stop.

    Parameters
    ----------
    f : float32 (nz, ny, nx)
    gz, gy, gx : float32 (nz, ny, nx)
        Right inside a rim of `GRADIENT_REACH` voxels; what stands in the rim means nothing.
    first, stop : int
        Range of z; cut to the inside.
    """
    nz, ny, nx = f.shape
    for z in range(max(first, 3), min(stop, nz - 3)):
        for y in range(3, ny - 3):
            row = f[z, y]
            _difference(row[:-6], row[1:], row[2:], row[4:], row[5:], row[6:], gx[z, y, 3:], nx - 6)
            _difference(f[z, y - 3], f[z, y - 2], f[z, y - 1], f[z, y + 1], f[z, y + 2], f[z, y + 3], gy[z, y], nx)
            _difference(f[z - 3, y], f[z - 2, y], f[z - 1, y], f[z + 1, y], f[z + 2, y], f[z + 3, y], gz[z, y], nx)


@njit("void(float32[:,:,::1], int64, float32[:,:,::1], int64, int64)", fastmath=True, nogil=True, cache=True)
def block_mean(volume, factor, out, first, stop):
    """Mean over cubes of `factor` voxels, for planes first..stop of `out`; a remainder at the far ends is left out.

    Parameters
    ----------
    volume : float32 (>= factor nz, >= factor ny, >= factor nx)
    factor : int
    out : float32 (nz, ny, nx)
    first, stop : int
        Range of z in `out`.
    """
    ny, nx = out.shape[1], out.shape[2]
    scale = _f4(1.0 / (factor * factor * factor))
    row = np.empty(nx * factor, dtype=np.float32)
    for z in range(first, stop):
        for y in range(ny):
            row[:] = _f4(0.0)
            for j in range(factor):
                for k in range(factor):
                    for x in range(nx * factor):
                        row[x] += volume[z * factor + j, y * factor + k, x]
            for x in range(nx):
                total = _f4(0.0)
                for k in range(factor):
                    total += row[x * factor + k]
                out[z, y, x] = total * scale

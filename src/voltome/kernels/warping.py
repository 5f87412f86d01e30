"""Values of a volume at positions that a node field displaces: dense deformation of blocks."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from voltome.kernels.sampling import voxel_cubic, voxel_linear


@njit(nogil=True, inline="always")
def _blend(phi, origin, spacing, z, y, x, u):
    """Displacement at (z, y, x) between the eight nodes around: their affine predictions, weighted trilinearly."""
    nz, ny, nx = phi.shape[0], phi.shape[1], phi.shape[2]
    qz, qy, qx = (z - origin[0]) / spacing[0], (y - origin[1]) / spacing[1], (x - origin[2]) / spacing[2]
    iz = min(max(int(math.floor(qz)), 0), max(nz - 2, 0))
    iy = min(max(int(math.floor(qy)), 0), max(ny - 2, 0))
    ix = min(max(int(math.floor(qx)), 0), max(nx - 2, 0))
    tz = min(max(qz - iz, 0.0), 1.0) if nz > 1 else 0.0
    ty = min(max(qy - iy, 0.0), 1.0) if ny > 1 else 0.0
    tx = min(max(qx - ix, 0.0), 1.0) if nx > 1 else 0.0
    u[0], u[1], u[2] = 0.0, 0.0, 0.0
    for a in range(2):
        wz = tz if a == 1 else 1.0 - tz
        if wz == 0.0:
            continue
        for b in range(2):
            wy = ty if b == 1 else 1.0 - ty
            if wy == 0.0:
                continue
            for c in range(2):
                w = wz * wy * (tx if c == 1 else 1.0 - tx)
                if w == 0.0:
                    continue
                p = phi[iz + a, iy + b, ix + c]
                dz = z - origin[0] - (iz + a) * spacing[0]
                dy = y - origin[1] - (iy + b) * spacing[1]
                dx = x - origin[2] - (ix + c) * spacing[2]
                for r in range(3):
                    u[r] += w * (p[r, 3] + p[r, 0] * dz + p[r, 1] * dy + p[r, 2] * dx)


@njit(nogil=True, cache=True)
def warp_planes(samples, shape, shift, limits, phi, origin, spacing, inverse, cubic, fill, out, first, stop):
    """Sample a volume at x + u(x), or at the point that the field moves to x.

    Parameters
    ----------
    samples : float32[::1]
        Flat block (z, y, x): spline coefficients if `cubic`, else grey values.
    shape : int64 (3,)
        The block's sides.
    shift : float64 (3,)
        Origin of `out` minus origin of the block.
    limits : float64 (3, 2)
        First and last position on each axis, in the block's coordinates, that can be sampled.
    phi : float64 (Z, Y, X, 3, 4)
        F - I and u at the nodes of a regular grid.
    origin, spacing : float64 (3,)
        First node and distance between nodes, in voxels of `out`.
    inverse : bool
        False: out(x) = volume(x + u(x)). True: out(x) = volume(X) with X + u(X) = x, by fixed-point iteration.
    cubic : bool
    fill : float
        Value where the point lies outside the limits or the displacement is NaN.
    out : float32 (nz, ny, nx)
    first, stop : int
        Planes of `out` to write.
    """
    u = np.zeros(3)
    stride_y, stride_z = shape[2], shape[1] * shape[2]
    for z in range(first, stop):
        for y in range(out.shape[1]):
            uz, uy, ux = 0.0, 0.0, 0.0
            for x in range(out.shape[2]):
                if inverse:
                    if not math.isfinite(uz + uy + ux):
                        uz, uy, ux = 0.0, 0.0, 0.0
                    for _ in range(50):
                        _blend(phi, origin, spacing, z - uz, y - uy, x - ux, u)
                        change = abs(u[0] - uz) + abs(u[1] - uy) + abs(u[2] - ux)
                        uz, uy, ux = u[0], u[1], u[2]
                        if not change > 1e-3:
                            break
                    pz, py, px = z - uz, y - uy, x - ux
                else:
                    _blend(phi, origin, spacing, float(z), float(y), float(x), u)
                    pz, py, px = z + u[0], y + u[1], x + u[2]
                pz, py, px = pz + shift[0], py + shift[1], px + shift[2]
                inside = pz >= limits[0, 0] and pz <= limits[0, 1] and py >= limits[1, 0] and py <= limits[1, 1]
                if not (inside and px >= limits[2, 0] and px <= limits[2, 1]):
                    out[z, y, x] = fill
                elif cubic:
                    out[z, y, x] = voxel_cubic(samples, stride_y, stride_z, pz, py, px)
                else:
                    out[z, y, x] = voxel_linear(samples, stride_y, stride_z, pz, py, px)

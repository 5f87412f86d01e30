"""Twins of the kernels that read a volume: filters, sampling and warping, in plain NumPy and float64."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def prefilter(volume: ArrayLike) -> Array:
    """Cubic B-spline coefficients (nz, ny, nx) of a volume, mirrored at its ends.

    Parameters
    ----------
    volume : (nz, ny, nx) array

    Returns
    -------
    (nz, ny, nx) float64
    """
    from scipy.ndimage import spline_filter

    return np.asarray(spline_filter(np.asarray(volume, dtype=np.float64), order=3, mode="mirror"))


def gradient(f: ArrayLike) -> Array:
    """Sixth-order central differences (3, nz, ny, nx) of a volume (nz, ny, nx); 0 in a rim of three voxels.

    Parameters
    ----------
    f : (nz, ny, nx) array

    Returns
    -------
    (3, nz, ny, nx) float64
        Per voxel, along z, y, x.
    """
    values = np.asarray(f, dtype=np.float64)
    out = np.zeros((3, *values.shape))
    inner = (slice(3, -3),) * 3
    for axis in range(3):
        for distance, weight in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)):
            difference = np.roll(values, -distance, axis) - np.roll(values, distance, axis)
            out[axis][inner] += weight * difference[inner]
    return out


def block_mean(volume: ArrayLike, factor: int) -> Array:
    """Mean over cubes of `factor` voxels, (nz // factor, ...); a remainder at the far ends is left out.

    Parameters
    ----------
    volume : (nz, ny, nx) array
    factor : int

    Returns
    -------
    (nz // factor, ny // factor, nx // factor) float64
    """
    values = np.asarray(volume, dtype=np.float64)
    nz, ny, nx = (n // factor for n in values.shape)
    kept = values[: nz * factor, : ny * factor, : nx * factor]
    return np.asarray(kept.reshape(nz, factor, ny, factor, nx, factor).mean(axis=(1, 3, 5)))


def sample(samples: ArrayLike, points: ArrayLike, *, cubic: bool = True) -> Array:
    """Values (...) at points (..., 3): cubic B-spline of coefficients, or linear between grey values.

    Parameters
    ----------
    samples : (nz, ny, nx) array
        Spline coefficients if `cubic`, else grey values.
    points : (..., 3) array
        In voxels.
    cubic : bool

    Returns
    -------
    (...) float64
    """
    from scipy.ndimage import map_coordinates

    coordinates = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    order = 3 if cubic else 1
    values = map_coordinates(np.asarray(samples, np.float64), coordinates, order=order, mode="mirror", prefilter=False)
    return np.asarray(values)


def _tap_weights(fraction: Array, cubic: bool) -> tuple[Array, Array]:
    """B-spline weights of the taps around positions with a fraction (...), and their derivatives: (..., taps) each."""
    t, s = fraction, 1.0 - fraction
    if not cubic:
        return np.stack([s, t], axis=-1), np.stack([-np.ones_like(t), np.ones_like(t)], axis=-1)
    weights = [s**3 / 6, 2 / 3 - t**2 + t**3 / 2, 2 / 3 - s**2 + s**3 / 2, t**3 / 6]
    slopes = [-(s**2) / 2, 1.5 * t**2 - 2 * t, 2 * s - 1.5 * s**2, t**2 / 2]
    return np.stack(weights, axis=-1), np.stack(slopes, axis=-1)


def sample_lines(samples: ArrayLike, points: Array, slope: Array, *, cubic: bool = True) -> Array:
    """Values (...) at points (..., 3) of lines with one slope (3,) per voxel, in two steps like `sampling.sample_row`.

    First across z and y where the line passes the columns of voxels next to a point, then along x. Each column's value
    is brought back to the point's z and y to first order: what is left of the climb is, per column, minus half its
    square times the second derivative, a third of that on a cubic B-spline's average. Steep lines, and those that go
    against x or far from voxel by voxel, are sampled at their points.

    Parameters
    ----------
    samples, cubic
        As in `sample`.
    points : (..., 3) float64
        In voxels.
    slope : (3,) float64

    Returns
    -------
    (...) float64
    """
    values = np.asarray(samples, dtype=np.float64)
    dz, dy, dx = slope
    if not (0.25 < dx < 4.0 and max(abs(dz), abs(dy)) < 0.25 * dx):
        return sample(values, points, cubic=cubic)
    climb, taps = slope[:2] / dx, np.arange(-1, 3) if cubic else np.arange(2)
    x = np.floor(points[..., 2])
    columns = x[..., None] + taps
    ahead = columns - points[..., 2:]
    across = points[..., None, :2] + ahead[..., None] * climb
    first = np.floor(across)
    weights, slopes = _tap_weights(across - first, cubic)
    z, y = np.moveaxis(first[..., None] + taps, -2, 0)
    index = np.broadcast_arrays(z[..., :, None], y[..., None, :], columns[..., None, None])
    # beside the last point of a row a column may lie where no tap is left: the outermost values stand in
    grey = values[tuple(i.astype(np.int64).clip(0, n - 1) for i, n in zip(index, values.shape, strict=True))]
    wz, wy, sz, sy = weights[..., 0, :], weights[..., 1, :], slopes[..., 0, :], slopes[..., 1, :]
    level, climb_z, climb_y = (np.einsum("...zy,...z,...y->...", grey, a, b) for a, b in ((wz, wy), (sz, wy), (wz, sy)))
    along, _ = _tap_weights(points[..., 2] - x, cubic)
    return np.asarray((along * (level - ahead * (climb_z * climb[0] + climb_y * climb[1]))).sum(axis=-1))


def sample_row(
    samples: ArrayLike, start: int, stop: int, position: Array, slope: Array, *, cubic: bool = True
) -> Array:
    """Voxels start..stop of a row at position + slope i, both (3,).

    Parameters
    ----------
    samples, cubic
        As in `sample`.
    start, stop : int
    position, slope : (3,) float64
        In voxels, and in voxels per voxel of the row.

    Returns
    -------
    (stop - start,) float64
    """
    return sample_lines(samples, position + np.arange(start, stop)[:, None] * slope, slope, cubic=cubic)


def blend_displacement(phi: Array, origin: Array, spacing: Array, points: Array) -> Array:
    """Displacement (N, 3) at points (N, 3): affine predictions of the eight nodes around, weighted trilinearly.

    phi (Z, Y, X, 3, 4) holds F - I and u at nodes origin + spacing i; outside the grid its outermost nodes hold.

    Parameters
    ----------
    phi : (Z, Y, X, 3, 4) float64
    origin, spacing : (3,) float64
        In voxels.
    points : (N, 3) float64
        In voxels.

    Returns
    -------
    (N, 3) float64
        In voxels.
    """
    counts = np.array(phi.shape[:3])
    place = (points - origin) / spacing
    first = np.floor(np.nan_to_num(place)).astype(np.int64).clip(0, np.maximum(counts - 2, 0))
    fraction = np.where(counts > 1, (place - first).clip(0.0, 1.0), 0.0)
    out = np.zeros_like(points)
    for corner in itertools.product((0, 1), repeat=3):
        weight = np.where(corner, fraction, 1.0 - fraction).prod(axis=1)[:, None]
        node = np.minimum(first + corner, counts - 1)
        p = phi[tuple(node.T)]
        prediction = p[:, :, 3] + np.einsum("nij,nj->ni", p[:, :, :3], points - origin - node * spacing)
        out += np.where(weight == 0, 0.0, weight * prediction)  # a NaN node counts only where it has a weight
    return out


def warp(
    samples: Array,
    points: Array,
    limits: Array,
    phi: Array,
    origin: Array,
    spacing: Array,
    shift: Array,
    *,
    inverse: bool = False,
    cubic: bool = True,
    fill: float = 0.0,
) -> Array:
    """A volume at x + u(x), or with `inverse` at X where X + u(X) = x, for points x (N, 3): `warping.warp_planes`.

    Parameters
    ----------
    samples, cubic
        As in `sample`.
    points : (N, 3) float64
        In voxels.
    limits : (3, 2) float64
        First and last position on each axis, in the block's coordinates, that can be sampled.
    phi, origin, spacing
        As in `blend_displacement`.
    shift : (3,) float64
        From the points' coordinates to the block's.
    inverse : bool
    fill : float
        Value where a point leads outside the limits or the displacement is NaN.

    Returns
    -------
    (N,) float64
    """
    if inverse:
        moved = points
        for _ in range(100):
            moved = points - blend_displacement(phi, origin, spacing, moved)
    else:
        moved = points + blend_displacement(phi, origin, spacing, points)
    moved = moved + shift
    inside = ((moved >= limits[:, 0]) & (moved <= limits[:, 1])).all(axis=1)
    out = np.full(len(points), float(fill))
    out[inside] = sample(samples, moved[inside], cubic=cubic)
    return out

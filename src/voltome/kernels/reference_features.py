"""Twins of the kernels for pixel features, in plain NumPy and float64.

Volumes are (z, y, x) arrays; `axes` are those that derivatives and filters run along: (0, 1, 2), or (1, 2) of images.
Each function gives what lies far enough inside to need nothing beyond the array's faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def blur(volume: NDArray[Any], weights: NDArray[Any], axes: Sequence[int]) -> Array:
    """Symmetric filter along each of `axes`, which become shorter by twice the reach."""
    out: Array = volume.astype(np.float64)
    kernel = np.concatenate([weights[:0:-1], weights]).astype(np.float64)
    for axis in axes:
        out = np.apply_along_axis(np.convolve, axis, out, kernel, mode="valid")
    return out


def find_gradient(smooth: Array, axes: Sequence[int]) -> Array:
    """Central differences one voxel inside, (axes, z, y, x)."""
    return np.stack([(_shift(smooth, axes, {a: 1}) - _shift(smooth, axes, {a: -1})) / 2 for a in axes])


def find_hessian(smooth: Array, axes: Sequence[int]) -> Array:
    """Second differences one voxel inside, (z, y, x, axes, axes)."""
    middle = _shift(smooth, axes, {})
    out = np.empty((*middle.shape, len(axes), len(axes)))
    for i, a in enumerate(axes):
        for j, b in enumerate(axes):
            if a == b:
                out[..., i, j] = _shift(smooth, axes, {a: 1}) + _shift(smooth, axes, {a: -1}) - 2 * middle
                continue
            corners = {(p, q): _shift(smooth, axes, {a: p, b: q}) for p in (-1, 1) for q in (-1, 1)}
            out[..., i, j] = (corners[1, 1] + corners[-1, -1] - corners[1, -1] - corners[-1, 1]) / 4
    return out


def find_values(tensors: NDArray[Any]) -> Array:
    """Eigenvalues, largest first: (..., axes, axes) to (axes, ...)."""
    values: Array = np.moveaxis(np.linalg.eigvalsh(tensors)[..., ::-1], -1, 0)
    return values


def measure_derivatives(smooth: Array, axes: Sequence[int]) -> Array:
    """Grey value, gradient magnitude, Laplacian, eigenvalues of the Hessian, one voxel inside."""
    gradient, hessian = find_gradient(smooth, axes), find_hessian(smooth, axes)
    magnitude = np.sqrt(np.square(gradient).sum(axis=0))
    plain = [_shift(smooth, axes, {}), magnitude, np.trace(hessian, axis1=-2, axis2=-1)]
    return np.stack([*plain, *find_values(hessian)])


def measure_tensor(smooth: Array, weights: NDArray[Any], axes: Sequence[int]) -> Array:
    """Eigenvalues of the structure tensor, one voxel and the reach of the weights inside."""
    gradient = find_gradient(smooth, axes)
    rows = [np.stack([blur(a * b, weights, axes) for b in gradient], axis=-1) for a in gradient]
    return find_values(np.stack(rows, axis=-2))


def _shift(volume: Array, axes: Sequence[int], by: dict[int, int]) -> Array:
    """What lies `by` voxels away, for all voxels that are one inside along `axes`."""
    edges = [
        slice(1 + by.get(a, 0), n - 1 + by.get(a, 0)) if a in axes else slice(None) for a, n in enumerate(volume.shape)
    ]
    return volume[tuple(edges)]

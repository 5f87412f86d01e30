"""Grey noise that correlation windows have in common, from how far they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.fields import FloatArray

_F = np.array([[0, 1, 2], [4, 5, 6], [8, 9, 10]])  # F_rj among the parameters, by component r and direction j
_U = np.array([3, 7, 11])


@dataclass(frozen=True)
class WindowGroup:
    """Windows that are averaged at each of M points, with weights that are products over the axes.

    Parameters
    ----------
    weights : three (M, K) float64
        Along z, y, x.
    offsets_vox : three (M, K) float64
        Centres of the windows relative to the point.
    length_vox : (3,) float64
        Sides of the windows.
    """

    weights: Sequence[FloatArray]
    offsets_vox: Sequence[FloatArray]
    length_vox: FloatArray

    @classmethod
    def single(cls, count: int, length_vox: FloatArray) -> WindowGroup:
        """One window at each of `count` points."""
        return cls([np.ones((count, 1))] * 3, [np.zeros((count, 1))] * 3, length_vox)


def window_length(covariance: NDArray[np.floating]) -> FloatArray:
    """Sides of the windows behind a field, from its covariance.

    Over a box an affine's displacement is known L / sqrt(12) times better than its gradient along a side L, whatever
    the texture and the noise: the ratio of the two standard deviations is the rms lever arm.

    Parameters
    ----------
    covariance : (N, 12, 12) array
        Of `DeformationField`; NaN or 0 where there is none.

    Returns
    -------
    (3,) float64
        Median over the nodes, in voxels along z, y, x; 1 where no node has a covariance.
    """
    variance = np.diagonal(covariance, axis1=1, axis2=2).astype(np.float64)
    variance = variance[(variance > 0).all(axis=1)]
    if not len(variance):
        return np.ones(3)
    arm_squared = variance[:, _U, None] / variance[:, _F]
    out: FloatArray = np.sqrt(12.0 * np.median(arm_squared, axis=(0, 1)) + 1.0)
    return out


def correlate_noise(a: WindowGroup, b: WindowGroup) -> FloatArray:
    """Correlation of the errors that one image's white noise makes in two averages of affine fits.

    The error of a fit is C^(1/2) (eta_z, eta_y, eta_x, eta_u) for each component of displacement; an eta is the sum of
    noise, texture gradient and one of the window's functions Z / rms, Y / rms, X / rms and 1. With a texture that is
    alike in both windows, two eta are correlated as the overlap integral of their functions.

    Parameters
    ----------
    a, b : WindowGroup
        At the same M points.

    Returns
    -------
    (M, 12, 12) float64
        Correlation of a's eta (rows) and b's (columns) in the order of `PARAMETERS`; the identity for one same window,
        0 for windows apart.
    """
    along = [
        _overlap(a.weights[k], a.offsets_vox[k], a.length_vox[k], b.weights[k], b.offsets_vox[k], b.length_vox[k])
        for k in range(3)
    ]
    block = np.empty((len(along[0]), 4, 4))
    for row in range(4):
        for column in range(4):
            z, y, x = (along[axis][:, int(row == axis), int(column == axis)] for axis in range(3))
            block[:, row, column] = z * y * x
    return np.kron(np.eye(3), block).astype(np.float64)


def _overlap(
    weights_a: FloatArray, at_a: FloatArray, length_a: float, weights_b: FloatArray, at_b: FloatArray, length_b: float
) -> FloatArray:
    """Overlap integrals along one axis of (1, arm / rms) of both windows, summed over weights: (M, 2, 2)."""
    apart = at_b[:, None, :] - at_a[:, :, None]
    weight = weights_a[:, :, None] * weights_b[:, None, :] / np.sqrt(length_a * length_b)
    low = np.maximum(-length_a, 2 * apart - length_b) / 2
    high = np.maximum(np.minimum(length_a, 2 * apart + length_b) / 2, low)
    zeroth, first, second = high - low, (high**2 - low**2) / 2, (high**3 - low**3) / 3
    rms_a, rms_b = length_a / np.sqrt(12.0), length_b / np.sqrt(12.0)
    out = np.empty((len(apart), 2, 2))
    out[:, 0, 0] = (weight * zeroth).sum(axis=(1, 2))
    out[:, 1, 0] = (weight * first).sum(axis=(1, 2)) / rms_a
    out[:, 0, 1] = (weight * (first - apart * zeroth)).sum(axis=(1, 2)) / rms_b
    out[:, 1, 1] = (weight * (second - apart * first)).sum(axis=(1, 2)) / (rms_a * rms_b)
    return out

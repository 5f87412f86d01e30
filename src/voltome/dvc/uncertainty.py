"""How hard the noise of an image pushes a window, from what is left in the window's parts after the fit."""

from __future__ import annotations

from functools import cache

import numpy as np

from voltome.dvc.jumps import cell_centres, cell_displacements
from voltome.fields import FloatArray
from voltome.kernels.gauss_newton import CELLS

_DEGREE = 3


@cache
def _smooth_displacements() -> FloatArray:
    """Polynomials up to the third degree at the centres of the cells, (64, 20)."""
    z, y, x = cell_centres().T
    powers = [(a, b, c) for a in range(_DEGREE + 1) for b in range(_DEGREE + 1 - a) for c in range(_DEGREE + 1 - a - b)]
    return np.stack([z**a * y**b * x**c for a, b, c in powers], axis=1)


@cache
def _correlated_sums(part_vox: float) -> tuple[FloatArray, FloatArray]:
    """Sum of a Gaussian autocorrelation along an axis: as a part of that length sees it, and whole; ascending."""
    distance = np.arange(1, 200)
    width = np.linspace(0.1, part_vox / 2, 200)[:, None]
    correlation = 2.0 * np.exp(-0.5 * (distance / width) ** 2)
    seen = 1.0 + (correlation * np.clip(1.0 - distance / part_vox, 0.0, None)).sum(axis=1)
    return seen, 1.0 + correlation.sum(axis=1)


def effective_variance(cells: FloatArray, variance: FloatArray, half_window: int) -> FloatArray:
    """Variance per voxel that white noise would need in order to move a window as far as the noise does.

    With white noise the residual displacement of a part of the window has the covariance variance / (sum of w g_r g_s).
    Noise that is correlated between voxels, as reconstruction makes it, moves it farther; this is measured, part by
    part. What is smooth over the window (a polynomial of the third degree) is no noise but a displacement that is not
    affine, and is left out. So this is a sandwich estimator (Liang and Zeger 1986, 10.1093/biomet/73.1.13) with one
    factor for all twelve parameters. A part does not see how noise goes on beyond its faces: for a Gaussian
    autocorrelation that is known from what it does see, and is put back.

    Parameters
    ----------
    cells : (N, 64, 9) float64
        For each part: sums of w g_r residual (3) and of w g_r g_s (zz zy zx yy yx xx).
    variance : (N,) float64
        Variance of the residual per voxel.
    half_window : int

    Returns
    -------
    (N,) float64
        In squared normalised grey values. Noise that is correlated over more than half a part (an eighth of the
        window) is underestimated.
    """
    displacement, _, strength = cell_displacements(cells)
    smooth = _smooth_displacements()
    normal = np.einsum("nc,ci,cj->nij", strength, smooth, smooth, optimize=True)
    normal += 1e-9 * strength.sum(axis=1)[:, None, None] * np.eye(smooth.shape[1])
    right = np.einsum("nc,ci,ncr->nir", strength, smooth, displacement, optimize=True)
    displacement = displacement - np.einsum("ci,nir->ncr", smooth, np.linalg.solve(normal, right))
    h = cells[:, :, [3, 4, 5, 4, 6, 7, 5, 7, 8]].reshape(*cells.shape[:2], 3, 3)
    squares = np.einsum("ncr,ncrs,ncs->n", displacement, h, displacement, optimize=True)
    used = (strength > 0).sum(axis=1)
    seen = squares / (3.0 * np.maximum(used - smooth.shape[1], CELLS))
    along_axis = np.cbrt(seen / np.maximum(variance, 1e-30))
    partial, whole = _correlated_sums((2 * half_window + 1) / CELLS)
    out: FloatArray = seen * np.interp(along_axis, partial, whole / partial) ** 3
    return out

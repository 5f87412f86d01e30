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


def effective_variance(cells: FloatArray) -> FloatArray:
    """Variance per voxel that white noise would need in order to move the parts of a window as far as the noise does.

    With white noise a part's residual displacement has the covariance variance / (sum of w g_r g_s). Noise that is
    correlated between voxels, as reconstruction makes it, moves it farther. What is smooth over the window (a
    polynomial of the third degree) is no noise but a displacement that is not affine, and is left out. So this is a
    sandwich estimator (Liang and Zeger 1986, 10.1093/biomet/73.1.13) with one factor for all twelve parameters.

    Parameters
    ----------
    cells : (N, 64, 9) float64
        For each part: sums of w g_r residual (3) and of w g_r g_s (zz zy zx yy yx xx).

    Returns
    -------
    (N,) float64
        In squared normalised grey values. The noise's correlation has to be shorter than a part, a quarter of the
        window.
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
    out: FloatArray = squares / (3.0 * np.maximum(used - smooth.shape[1], CELLS))
    return out

"""Displacement jumps inside a window, from the residual translation of its cells.

A crack moves the two halves of a window apart, and an affine Phi fits a strain to it without any protest. What remains
after the fit has the shape of a step. So the window is cut into 4 x 4 x 4 cells, the translation by which each still
misses is computed, and steps across planes of thirteen orientations and three positions are fitted to them, beside an
affine and a quadratic displacement, which a smooth strain gradient may cause.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from voltome.fields import FloatArray
from voltome.kernels.gauss_newton import CELLS

_NORMALS = (
    (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1),
    (0, 1, 1), (0, 1, -1), (1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1),
)  # fmt: skip
_POSITIONS = (-0.5, 0.0, 0.5)
_DAMPING = 0.02
_LEAST_CONTENT = 0.01


def cell_centres() -> FloatArray:
    """Centres of a window's cells, half the window's side = 1.

    Returns
    -------
    (64, 3) float64
    """
    axis = (np.arange(CELLS) + 0.5) / CELLS * 2.0 - 1.0
    return np.stack([a.ravel() for a in np.meshgrid(axis, axis, axis, indexing="ij")], axis=1)


def cell_displacements(cells: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Residual displacement of each cell of a window.

    Parameters
    ----------
    cells : (N, 64, 9) float64
        Sums of w g_r residual (3) and of w g_r g_s (zz zy zx yy yx xx).

    Returns
    -------
    displacement : (N, 64, 3) float64
        Voxels.
    inverse : (N, 64, 3, 3) float64
        Its covariance for white noise of variance 1.
    strength : (N, 64) float64
        Texture of the cell: mean of the diagonal of sum w g_r g_s.
    """
    h = cells[:, :, [3, 4, 5, 4, 6, 7, 5, 7, 8]].reshape(*cells.shape[:2], 3, 3)
    strength = np.trace(h, axis1=2, axis2=3) / 3.0
    typical = np.maximum(np.median(strength, axis=1), 1e-12)[:, None, None, None]
    inverse = np.linalg.inv(h + _DAMPING * typical * np.eye(3))  # cells without texture must not blow up
    return np.einsum("ncij,ncj->nci", inverse, cells[:, :, :3]), inverse, strength


@cache
def _smooth_and_steps() -> tuple[FloatArray, FloatArray]:
    """Quadratic displacements (64, 10) and unit steps (64, 39) at the cells' centres."""
    z, y, x = cell_centres().T
    smooth = np.stack([np.ones_like(z), z, y, x, z * z, y * y, x * x, z * y, z * x, y * x], axis=1)
    steps = []
    for normal in _NORMALS:
        along = np.stack([z, y, x], axis=1) @ np.asarray(normal) / np.linalg.norm(normal)
        steps += [0.5 * np.sign(np.round(along - position, 9)) for position in _POSITIONS]
    return smooth, np.stack(steps, axis=1)


def find_jump(cells: NDArray[np.float64], variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Most significant displacement step inside each window, by a matched filter over planes.

    Parameters
    ----------
    cells : (N, 64, 9) float64
        Sums of w g_r residual (3) and of w g_r g_s (zz zy zx yy yx xx) for each cell of a window.
    variance : (N,) float64
        Variance of the grey residual per voxel.

    Returns
    -------
    jump_vox, sd_vox : (N,) float64
        Length of the step and its standard deviation from grey noise. With no jump their ratio is about 3, because
        the largest of 39 planes is taken; five and more do not come from noise.
    """
    shift, inverse, strength = cell_displacements(cells)
    weight = strength / np.maximum(strength.sum(axis=1, keepdims=True), 1e-30)
    smooth, steps = _smooth_and_steps()
    normal = np.einsum("nc,ci,cj->nij", weight, smooth, smooth, optimize=True) + 1e-9 * np.eye(smooth.shape[1])
    inside = np.linalg.solve(normal, np.einsum("nc,ci,cp->nip", weight, smooth, steps, optimize=True))
    pattern = weight[:, :, None] * (steps - np.einsum("ci,nip->ncp", smooth, inside))
    content = np.maximum(np.einsum("ncp,cp->np", pattern, steps), _LEAST_CONTENT)
    size = np.einsum("ncp,ncr->npr", pattern, shift) / content[:, :, None]
    spread = np.einsum("ncp,ncr->npr", pattern**2, np.diagonal(inverse, axis1=2, axis2=3))
    spread *= variance[:, None, None] / content[:, :, None] ** 2
    length = np.linalg.norm(size, axis=2)
    sd = np.sqrt((size**2 * spread).sum(axis=2)) / np.maximum(length, 1e-12)
    best = np.argmax(length / np.maximum(sd, 1e-12), axis=1)
    chosen = np.arange(len(best)), best
    return length[chosen], sd[chosen]

"""Phi between nodes: inverse-distance blending of the neighbours' affine predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray


def interpolate_field(
    field: DeformationField,
    positions_vox: NDArray[np.number],
    *,
    neighbours: int = 8,
    use: NDArray[np.bool_] | None = None,
) -> FloatArray:
    """Interpolate Phi by inverse-distance weighting of the nearest nodes' affine predictions.

    Each of the nearest nodes i predicts u_i + (F_i - I)(X - X_i) at X; the predictions and the F_i are averaged with
    weights 1 / distance^2. An affine field is reproduced exactly, inside the grid and beyond it; the default of eight
    neighbours is the paper's (10.1039/D5EB00193E) and the corners of a cell.

    Parameters
    ----------
    field : DeformationField
    positions_vox : (M, 3) array
        Where to interpolate, in voxels.
    neighbours : int
        Nodes that take part, at most as many as there are.
    use : (N,) bool, optional
        Nodes that may take part; those that converged and are not suspect by default.

    Returns
    -------
    (M, 4, 4) float64
        Phi relative to each position. A position on a node that takes part gets that node's Phi.

    Raises
    ------
    InputError
        If no node may take part.
    """
    from scipy.spatial import cKDTree

    use = field.trusted if use is None else use
    sources = np.flatnonzero(use)
    if not len(sources):
        raise InputError("no node of the field may be used (got 0): check the statuses, or widen the window")
    positions = np.asarray(positions_vox, dtype=np.float64)
    count = min(neighbours, len(sources))
    distance, index = cKDTree(field.positions_vox[sources]).query(positions, k=count)
    distance, index = distance.reshape(len(positions), count), sources[np.reshape(index, (len(positions), count))]
    weight = 1.0 / np.maximum(distance, 1e-6) ** 2
    weight /= weight.sum(axis=1, keepdims=True)
    gradient = field.deformation_gradient[index]
    offset = positions[:, None, :] - field.positions_vox[index]
    predicted = field.displacement_vox[index] + np.einsum("mkij,mkj->mki", gradient - np.eye(3), offset)
    out = np.tile(np.eye(4), (len(positions), 1, 1))
    out[:, :3, :3] = np.einsum("mk,mkij->mij", weight, gradient)
    out[:, :3, 3] = np.einsum("mk,mki->mi", weight, predicted)
    return out

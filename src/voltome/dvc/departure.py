"""How far single nodes depart from their neighbours: the error that noise does not explain.

A window is described by one affine. Where particles move rigidly and between them something gives, its displacement
is that of what has most texture in it, by chance of what the window holds. The next window holds something else: so
this error shows as departures from the motion that the neighbours share.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from voltome.fields import DeformationField, FloatArray

_SHARE = 1.1
"""Error over departure: on twins 0.8 to 1.2 at all steps and sizes, for each component."""

_LEAST_NEIGHBOURS = 8
_LEAST_DEPARTURES = 4


def estimate_bias(field: DeformationField) -> FloatArray:
    """Standard deviation of the displacement's error beyond grey noise: window shape and what it does to texture.

    The displacement of each trusted node is compared with an affine through its 26 neighbours; the root mean square of
    these departures over the node and its neighbours, with grey noise taken out of it, is the estimate.

    Parameters
    ----------
    field : DeformationField
        On a regular grid; of scattered nodes nothing can be said.

    Returns
    -------
    (N, 3) float64
        Voxels; NaN where too few neighbours are trusted.

    Examples
    --------
    >>> from voltome.grid import regular_nodes
    >>> positions, shape = regular_nodes((60, 60, 60), 10)
    >>> field = DeformationField.from_phi(positions, grid_shape=shape)
    >>> field.phi[:, 0, 3] = 0.3 * positions[:, 0]
    >>> field = field.with_values(status=np.full(len(field), 2, dtype=np.int32))
    >>> bool(np.nanmax(estimate_bias(field)) < 1e-9)
    True
    """
    if field.grid_shape is None:
        return np.full((len(field), 3), np.nan)
    shape = field.grid_shape
    use = (field.trusted & np.isfinite(field.phi).all(axis=(1, 2))).reshape(shape)
    u = np.where(use[..., None], field.displacement_vox.reshape(*shape, 3), 0.0)
    left = _predict(u, use)
    known = use & np.isfinite(left[..., 0])
    squares = np.where(known[..., None], (u - left) ** 2, 0.0)
    total, count = np.zeros((*shape, 3)), np.zeros(shape)
    for step in product((-1, 0, 1), repeat=3):
        total += _shift(squares, step)
        count += _shift(known.astype(np.float64), step)
    variance = np.full((*shape, 3), np.nan)
    enough = count >= _LEAST_DEPARTURES
    variance[enough] = total[enough] / count[enough][:, None]
    noise = np.nan_to_num(np.diagonal(field.covariance, axis1=1, axis2=2)[:, [3, 7, 11]].astype(np.float64))
    return np.sqrt(np.maximum(_SHARE**2 * variance.reshape(-1, 3) - noise, 0.0))


def _predict(u: FloatArray, use: np.ndarray) -> FloatArray:
    """Displacement of each node by the affine through its neighbours that count; NaN where they are too few."""
    normal, side, count = np.zeros((*use.shape, 4, 4)), np.zeros((*use.shape, 4, 3)), np.zeros(use.shape)
    weight = use.astype(np.float64)
    for step in product((-1, 0, 1), repeat=3):
        if any(step):
            there = _shift(weight, step)
            row = np.array([1.0, *step])
            normal += there[..., None, None] * np.outer(row, row)
            side += row[:, None] * _shift(u, step)[..., None, :]
            count += there
    out = np.full(u.shape, np.nan)
    sound = count >= _LEAST_NEIGHBOURS
    sound[sound] = np.linalg.matrix_rank(normal[sound]) == 4
    out[sound] = np.linalg.solve(normal[sound], side[sound])[:, 0]
    return out


def _shift(values: FloatArray, step: tuple[int, ...]) -> FloatArray:
    """At each node the value of the node a step away; 0 beyond the grid."""
    padded = np.pad(values, [(1, 1)] * 3 + [(0, 0)] * (values.ndim - 3))
    window = tuple(slice(1 + s, 1 + s + n) for s, n in zip(step, values.shape, strict=False))
    return np.asarray(padded[window])

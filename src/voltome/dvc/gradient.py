"""Gradient of a displacement field on a regular grid, with its covariance: Q8 cells or Geers neighbourhoods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.field_spline import symmetric_root
from voltome.dvc.window_noise import window_length
from voltome.fields import DeformationField, FloatArray
from voltome.grid import Shape3

_CHUNK_BYTES = 64 << 20
_DISPLACEMENT = np.array([3, 7, 11])


@dataclass(frozen=True)
class Gradient:
    """F at N points.

    Parameters
    ----------
    positions_vox : (N, 3) float64
    grid_shape : tuple of int
    deformation_gradient : (N, 3, 3) float64
        NaN where it could not be formed.
    covariance : (N, 9, 9) float64
        Of F_zz F_zy F_zx F_yz ... F_xx; NaN where a node behind it has none.
    measured : (N,) float64
        Fraction of the nodes behind the value that were measured and are not suspect.
    """

    positions_vox: FloatArray
    grid_shape: Shape3
    deformation_gradient: FloatArray
    covariance: FloatArray
    measured: FloatArray


@dataclass(frozen=True)
class _Nodes:
    """What the stencils read of a field."""

    grid_shape: NDArray[np.int64]
    displacement_vox: FloatArray  # 0 where there is none
    there: NDArray[np.bool_]
    trusted: NDArray[np.bool_]
    root: FloatArray  # (N, 3, 3): symmetric root of the displacement's covariance, 0 where there is none
    known: NDArray[np.bool_]  # has a covariance


def differentiate_field(field: DeformationField, grid_shape: Shape3, *, gradient: str, radius: float) -> Gradient:
    """F from the displacements of neighbouring nodes, each a weighted sum of them; see `compute_strain`.

    The covariance of F counts the noise that overlapping windows share: errors of the displacements at nodes k and l
    are C_k^(1/2) eta_k and C_l^(1/2) eta_l, and the correlation of the eta is the part of the window that is common,
    the product of 1 - |d_i| / L_i over the axes. L comes from the field's covariance (`window_length`).

    Parameters
    ----------
    field : DeformationField
        Nodes with NaN displacement do not take part.
    grid_shape : tuple of int
        At least two nodes on each axis.
    gradient : str
        "geers" or "q8".
    radius : float
        For Geers, in node spacings.

    Returns
    -------
    Gradient
    """
    spacing = field.node_spacing_vox
    assert spacing is not None
    nodes = _read_nodes(field, np.asarray(grid_shape))
    steps = _corner_steps() if gradient == "q8" else _ball_steps(radius)
    shape = nodes.grid_shape - 1 if gradient == "q8" else nodes.grid_shape
    points = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    apart = np.abs(steps[:, None, :] - steps[None, :, :]) * spacing
    shared = np.clip(1.0 - apart / window_length(field.covariance), 0.0, None).prod(axis=-1)
    f = np.empty((len(points), 3, 3))
    covariance, measured = np.empty((len(points), 9, 9)), np.empty(len(points))
    size = max(1, _CHUNK_BYTES // (2 * 27 * 8 * len(steps)))
    for start in range(0, len(points), size):
        part = slice(start, start + size)
        index, available = _gather(points[part], steps, nodes)
        weights = _q8_weights(available, spacing) if gradient == "q8" else _geers_weights(available, steps, spacing)
        f[part] = np.einsum("mki,mkj->mij", nodes.displacement_vox[index], weights) + np.eye(3)
        covariance[part] = _propagate(index, weights, nodes, shared)
        trusted = (available & nodes.trusted[index]).sum(axis=1)
        measured[part] = trusted / (len(steps) if gradient == "q8" else np.maximum(available.sum(axis=1), 1))
    positions = field.positions_vox.reshape(*grid_shape, 3)[: shape[0], : shape[1], : shape[2]].reshape(-1, 3)
    positions = positions + 0.5 * spacing if gradient == "q8" else positions.copy()
    return Gradient(positions, (int(shape[0]), int(shape[1]), int(shape[2])), f, covariance, measured)


def _read_nodes(field: DeformationField, grid_shape: NDArray[np.int64]) -> _Nodes:
    there = np.asarray(np.isfinite(field.displacement_vox).all(axis=1))
    covariance = field.covariance[:, _DISPLACEMENT[:, None], _DISPLACEMENT].astype(np.float64)
    root = symmetric_root(covariance)
    known = np.asarray(np.isfinite(root).all(axis=(1, 2)))
    root[~known] = 0.0
    u = np.where(there[:, None], field.displacement_vox, 0.0)
    return _Nodes(grid_shape, u, there, field.trusted, root, known)


def _corner_steps() -> NDArray[np.int64]:
    return np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def _ball_steps(radius: float) -> NDArray[np.int64]:
    reach = int(np.floor(radius + 1e-9))
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    out: NDArray[np.int64] = steps[np.linalg.norm(steps, axis=1) <= radius + 1e-9]
    return out


def _gather(
    points: NDArray[np.int64], steps: NDArray[np.int64], nodes: _Nodes
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Node behind each step from each point (M, K), and whether it is there."""
    at = points[:, None, :] + steps
    inside = ((at >= 0) & (at < nodes.grid_shape)).all(axis=-1)
    _, ny, nx = nodes.grid_shape
    index = np.where(inside, (at[..., 0] * ny + at[..., 1]) * nx + at[..., 2], 0)
    return index, inside & nodes.there[index]


def _q8_weights(available: NDArray[np.bool_], spacing_vox: FloatArray) -> FloatArray:
    """Derivative of the trilinear element at its middle, (M, 8, 3)."""
    weights = (2.0 * _corner_steps() - 1.0) / (4.0 * spacing_vox)
    whole = np.asarray(available.all(axis=1))
    out: FloatArray = np.where(whole[:, None, None], weights, np.nan)
    return out


def _geers_weights(available: NDArray[np.bool_], steps: NDArray[np.int64], spacing_vox: FloatArray) -> FloatArray:
    """Slopes of the linear field fitted to the nodes that are there, (M, K, 3); NaN where they do not fix it."""
    arm = steps * spacing_vox
    use = available.astype(np.float64)
    mean = (use @ arm) / np.maximum(use.sum(axis=1), 1.0)[:, None]
    centred = use[:, :, None] * (arm - mean[:, None, :])
    normal = centred.transpose(0, 2, 1) @ arm
    scale = float(np.prod(spacing_vox) ** (2.0 / 3.0))
    middle = int(np.flatnonzero((steps == 0).all(axis=1))[0])
    solvable: NDArray[np.bool_] = np.asarray(np.linalg.det(normal / scale) > 0.05)
    solvable &= available[:, middle]
    normal[~solvable] = np.eye(3)
    out: FloatArray = np.where(solvable[:, None, None], centred @ np.linalg.inv(normal), np.nan)
    return out


def _propagate(index: NDArray[np.int64], weights: FloatArray, nodes: _Nodes, shared: FloatArray) -> FloatArray:
    """Covariance of F at each point, (M, 9, 9)."""
    m, k = index.shape
    errors = np.einsum("mkj,mkir->kmijr", weights, nodes.root[index])  # of F_ij from eta_r of node k
    common = (shared @ errors.reshape(k, -1)).reshape(k, m, 9, 3)
    out: FloatArray = np.einsum("kmar,kmbr->mab", errors.reshape(k, m, 9, 3), common, optimize=True)
    out[((weights != 0).any(axis=2) & ~nodes.known[index]).any(axis=1)] = np.nan
    return out

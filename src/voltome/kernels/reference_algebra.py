"""The kernels' small algebra once more, in plain NumPy: solving for an increment and composing it with Phi."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def solve(hessian: Array, rhs: Array) -> Array | None:
    """Solution (n,) of hessian (n, n) x = rhs; None where it is singular once its diagonal is scaled to one.

    Parameters
    ----------
    hessian : (n, n) float64
    rhs : (n,) float64

    Returns
    -------
    (n,) float64 or None
    """
    diagonal = np.diagonal(hessian)
    if not (diagonal > 0).all():
        return None
    scale = np.sqrt(diagonal)
    scaled = hessian / np.outer(scale, scale)
    try:
        pivots = np.diagonal(np.linalg.cholesky(scaled)) ** 2
    except np.linalg.LinAlgError:
        return None
    return np.linalg.solve(scaled, rhs / scale) / scale if pivots.min() > 1e-10 else None


def solve_step(hessian: Array, rhs: Array, *, rigid: bool) -> Array | None:
    """Increment (12,) of Phi; None where it is not determined.

    Parameters
    ----------
    hessian : (12, 12) float64
    rhs : (12,) float64
    rigid : bool
        Whether only rotations and translations are wanted; the rotation is then infinitesimal.

    Returns
    -------
    (12,) float64 or None
    """
    basis = rigid_increments() if rigid else np.eye(12)
    few = solve(basis.T @ hessian @ basis, basis.T @ rhs)
    return None if few is None else np.asarray(basis @ few)


def rigid_increments() -> Array:
    """The twelve parameters (12, 6) of unit translations and of infinitesimal rotations about z, y, x.

    Returns
    -------
    (12, 6) float64
        A rotation w moves an offset r by w x r, right-handed in x, y, z.
    """
    out = np.zeros((3, 4, 6))
    for k, axis in enumerate(np.eye(3)):
        out[:, 3, k] = axis
        # order z, y, x is left-handed: the cross product of reversed vectors, reversed
        out[:, :3, 3 + k] = np.stack([np.cross(axis[::-1], arm[::-1])[::-1] for arm in np.eye(3)], axis=1)
    return out.reshape(12, 6)


def rotate_exactly(step: Array) -> Array:
    """Increment (12,) whose skew dF is replaced by exp(dF) - I.

    Parameters
    ----------
    step : (12,) float64

    Returns
    -------
    (12,) float64
    """
    from scipy.linalg import expm

    rows = step.reshape(3, 4).copy()
    rows[:, :3] = expm(rows[:, :3]) - np.eye(3)
    return np.asarray(rows.ravel())


def homogeneous(rows: ArrayLike) -> Array:
    """The first three rows (3, 4) or (12,) of an affine map as a 4x4 matrix.

    Parameters
    ----------
    rows : (3, 4) or (12,) array

    Returns
    -------
    (4, 4) float64
    """
    return np.vstack([np.asarray(rows, dtype=np.float64).reshape(3, 4), [0.0, 0.0, 0.0, 1.0]])


def compose_inverse(phi: Array, step: Array) -> Array | None:
    """phi o (I + step)^-1 for phi (3, 4) and an increment (12,); None where I + step has no inverse.

    Parameters
    ----------
    phi : (3, 4) float64
    step : (12,) float64

    Returns
    -------
    (3, 4) float64 or None
    """
    increment = np.eye(4) + homogeneous(step) - np.diag([0.0, 0.0, 0.0, 1.0])
    if not abs(np.linalg.det(increment)) > 1e-6:
        return None
    return np.asarray((homogeneous(phi) @ np.linalg.inv(increment))[:3])


def accelerate(before: Array, after: Array, lever: Array, history: list[tuple[Array, Array]]) -> Array:
    """Where the last steps together lead (10.1137/10078356X), instead of `after`, where the last one from `before` led.

    Parameters
    ----------
    before, after : (3, 4) float64
        Phi.
    lever : (4,) float64
        Weights of a row of Phi that bring it to voxels.
    history : list
        Earlier points and steps of this node, brought up to date here; empty at first.

    Returns
    -------
    (3, 4) float64
    """
    here, there = (before * lever).ravel(), (after * lever).ravel()
    step = there - here
    norm = float(np.linalg.norm(step))
    if norm > 0.5 or (history and norm > 2.0 * np.linalg.norm(history[-1][1])):
        history.clear()
    change: Array | None = None
    if history:
        points, steps = (np.array([here, step][k] - np.array([entry[k] for entry in history[-5:]])) for k in (0, 1))
        normal = steps @ steps.T
        coefficients = solve(normal + 1e-8 * np.diag(np.diagonal(normal)), steps @ step)
        if coefficients is not None:
            change = step - coefficients @ (points + steps)
    if norm <= 0.5:
        history.append((here, step))
    if change is None:
        return after
    change *= min(1.0, 1.0 / max(float(np.linalg.norm(change)), 1e-12))
    return np.asarray((here + change).reshape(3, 4) / lever)

"""Composition of increments: the field from the first state to the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as members

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.field_spline import FieldSpline, symmetric_root
from voltome.dvc.window_noise import WindowGroup, correlate_noise, window_length
from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray, NodeStatus

_BATCH = 2048
_SHARED = -0.5  # half of each increment's noise is the shared image's: deformed (-) in one, reference (+) in the next
_ARRAYS = tuple(member.name for member in members(DeformationField) if member.name != "grid_shape")


@dataclass(frozen=True)
class Composition:
    """Increments composed.

    Parameters
    ----------
    field : DeformationField
        From the first state to the last, at the nodes of the first increment.
    left_at : (N,) int32
        Number of the increment whose grid the node's matter leaves, counted from 1; 0 where it leaves none.
    """

    field: DeformationField
    left_at: NDArray[np.int32]


@dataclass(frozen=True)
class _Path:
    """Some nodes on their way: from the first state to the present one."""

    field: DeformationField
    root: FloatArray  # (M, 12, 12): error of the field from the last increment's normalised noise
    windows: WindowGroup  # of the last increment
    left_at: NDArray[np.int32]


def compose_fields(fields: Sequence[DeformationField], *, independent: bool = False) -> Composition:
    """Compose the fields of successive increments into one from the first state to the last.

    F02(X) = F12(X + u01) F01(X) and u02(X) = u01(X) + u12(X + u01), increment by increment; the later field is taken
    between its nodes by `FieldSpline`, so that grids may differ.

    To first order the errors e of the parameters obey e_u02 = F12 e_u01 + e_u12 and e_F02 = F12 e_F01 + e_F12 F01, in
    short e_02 = J_A e_A + J_B e_B, and the covariance is

        C_02 = J_A C_A J_A^T + J_B C_B J_B^T + J_A K J_B^T + (J_A K J_B^T)^T.

    Increments that follow each other share an image, and its noise enters the first as that of the deformed image and
    the second as that of the reference, with the opposite sign: K = -1/2 C where the windows coincide, if all images
    have equal noise. A chain of like increments then has C_0n = C_first / 2 + C_last / 2 and not the sum. Windows of B
    stand on B's nodes instead of on the matter of A's, so that the noise cancels in part only:
    K = -1/2 C_A^(1/2) R C_B^(1/2), with R the correlation of noise in overlapping windows (`window_noise`) and
    each window's side taken from its field's covariance. C_B is what interpolation leaves of the nodes' covariance,
    their overlap counted. Noise is taken as white; windows as undeformed boxes; the gradient of F12 times e_u01 is left
    out. Bias is not in it, and that of interpolation between voxels adds up over increments that move alike.

    Parameters
    ----------
    fields : sequence of DeformationField
        Two or more, in order: each from the state where the one before ended. All but the first on a regular grid.
    independent : bool
        The increments share no image (each state was scanned twice): K = 0. False because a series shares them.

    Returns
    -------
    Composition
        A node without a value has Phi NaN and keeps the worst status of its path: that of the first field's node or of
        the later nodes it is interpolated from, or -5 where it ends farther than one node spacing from the next grid.
        `suspect` and `filled` come from those nodes too; ZNCC, residual, norm and iterations are the worst of the
        nearest ones. Where one of the fields has no covariance there is none.

    Raises
    ------
    InputError
        If there are fewer than two fields, one has no usable node or a later one no grid, or all nodes leave a grid.
    """
    if len(fields) < 2:
        raise InputError(f"composition needs two or more increments (got {len(fields)}): give them in order")
    first = fields[0]
    later = [FieldSpline(field, name=f"increment {k}") for k, field in enumerate(fields[1:], start=2)]
    measured = (first.status >= NodeStatus.ITERATIONS_SPENT) | (first.filled == 1)
    known = np.asarray(np.isfinite(first.phi).all(axis=(1, 2)) & measured)
    if not known.any():
        raise InputError(
            f"increment 1 must have a node that converged or is filled (got 0 of {len(first)}): check its statuses"
        )
    length = window_length(first.covariance)
    paths = []
    for start in range(0, len(first), _BATCH):
        path = _begin(first, known, slice(start, start + _BATCH), length)
        for number, spline in enumerate(later, start=2):
            path = _extend(path, spline, number, independent)
        paths.append(path)
    left_at = np.concatenate([path.left_at for path in paths])
    _refuse_apart(int(known.sum()), left_at, later)
    return Composition(_join([path.field for path in paths], first), left_at)


def _begin(first: DeformationField, known: NDArray[np.bool_], part: slice, length_vox: FloatArray) -> _Path:
    """Some nodes of the first field; what was not measured has no value."""
    kept = known[part]
    values = {name: getattr(first, name)[part].copy() for name in _ARRAYS}
    values["phi"][~kept], values["covariance"][~kept] = np.nan, np.nan
    values["status"][~kept] = np.minimum(values["status"][~kept], NodeStatus.ERROR)
    field = DeformationField(**values)
    windows = WindowGroup.single(len(field), length_vox)
    root = symmetric_root(field.covariance.astype(np.float64))
    return _Path(field, root, windows, np.zeros(len(field), dtype=np.int32))


def _extend(path: _Path, spline: FieldSpline, number: int, independent: bool) -> _Path:
    """Append one increment: u02 = u01 + u12(X + u01), F02 = F12(X + u01) F01, and the covariance."""
    a = path.field
    points = spline.evaluate(a.positions_vox + a.displacement_vox)
    b = points.field
    phi = a.phi.copy()
    phi[:, :3, :3] = b.deformation_gradient @ a.deformation_gradient
    phi[:, :3, 3] = a.displacement_vox + b.displacement_vox
    # Parameters are component by component (F_rz F_ry F_rx u_r): F12 mixes components, F01 the four of each.
    of_a = np.kron(b.deformation_gradient, np.eye(4))
    mixing = np.tile(np.eye(4), (len(phi), 1, 1))
    mixing[:, :3, :3] = a.deformation_gradient.transpose(0, 2, 1)
    of_b = np.kron(np.eye(3), mixing)
    root = of_b @ points.root
    covariance = _carry(a.covariance, of_a) + _carry(b.covariance, of_b)
    if not independent:
        noise = correlate_noise(path.windows, points.windows)
        cross = _SHARED * of_a @ path.root @ noise @ root.transpose(0, 2, 1)
        covariance += cross + cross.transpose(0, 2, 1)
    field = a.with_values(
        phi=phi,
        status=np.minimum(a.status, b.status),
        iterations=np.maximum(a.iterations, b.iterations),
        residual=np.maximum(a.residual, b.residual),
        delta_phi_norm=np.maximum(a.delta_phi_norm, b.delta_phi_norm),
        zncc=np.minimum(a.zncc, b.zncc),
        suspect=a.suspect | b.suspect,
        filled=a.filled | b.filled,
        covariance=covariance.astype(np.float32),
    )
    left_at = np.where(points.outside, np.int32(number), path.left_at)
    return _Path(field, root, points.windows, left_at)


def _carry(covariance: NDArray[np.floating], jacobian: NDArray[np.floating]) -> FloatArray:
    out: FloatArray = jacobian @ covariance.astype(np.float64) @ jacobian.transpose(0, 2, 1)
    return out


def _refuse_apart(known: int, left_at: NDArray[np.int32], later: Sequence[FieldSpline]) -> None:
    """Raise if no node is left on the grids: the increments do not belong together."""
    if np.count_nonzero(left_at) < known:
        return
    number = int(left_at.max())
    spline = later[number - 2]
    reach = ", ".join(f"{name} {axis[0]:g}..{axis[-1]:g}" for name, axis in zip("zyx", spline.axes, strict=True))
    raise InputError(
        f"increment {number} must have nodes where increment {number - 1} ends (its nodes, {reach}, are more than a "
        "spacing away): give increments of one series, in order and in the same voxels"
    )


def _join(parts: Sequence[DeformationField], first: DeformationField) -> DeformationField:
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    return first.with_values(**joined)

"""What a correlation window can at best measure of a known motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import Shape3
from voltome.twin.motion import AnalyticMotion

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Boxes:
    """Boxes of voxels around N nodes, cut off at the volume's faces; W offsets -h ... h on each axis.

    On a full box the arms (offsets from its middle) are uncorrelated, so that the least-squares affine is a mean and
    nine separate slopes, and sums of products of functions of z, y and x are products of sums.
    """

    positions: Floats  # (N, 3)
    low: NDArray[np.int64]  # (N, 3), first offset
    high: NDArray[np.int64]  # (N, 3), last offset
    offsets: Floats  # (W,)
    middle: Floats  # (N, 3), of the box, relative to the node
    share: Floats  # (N, 3, W): 1 / count inside, 0 outside
    arms: Floats  # (N, 3, W): share times arm
    spread: Floats  # (N, 3): mean square of the arms

    @classmethod
    def cut(cls, positions: Floats, low: NDArray[np.int64], high: NDArray[np.int64], half_window: int) -> _Boxes:
        offsets = np.arange(-half_window, half_window + 1, dtype=np.float64)
        inside = (offsets >= low[..., None]) & (offsets <= high[..., None])
        share = inside / (high - low + 1.0)[..., None]
        middle: Floats = (low + high).astype(np.float64) / 2
        arm = offsets - middle[..., None]
        return cls(positions, low, high, offsets, middle, share, share * arm, (share * arm**2).sum(axis=2))


Averages = tuple[Floats, Floats]
"""Mean of a displacement (N, 3), and of its components times the arms (N, 3, 3), over each box."""


def _average_waves(motion: AnalyticMotion, boxes: _Boxes) -> Averages:
    size, vector, phase = motion.waves[:, :3], motion.waves[:, 3:6], motion.waves[:, 6]
    along = np.exp(1j * vector[:, :, None] * boxes.offsets)
    plain = np.einsum("naw,maw->nma", boxes.share, along)
    levered = np.einsum("naw,maw->nma", boxes.arms, along)
    carrier = np.exp(1j * (boxes.positions @ vector.T + phase))
    mean = (carrier * plain.prod(axis=2)).imag @ size
    moment = np.empty((len(mean), 3, 3))
    for axis in range(3):
        factors = plain.copy()
        factors[:, :, axis] = levered[:, :, axis]
        moment[:, :, axis] = (carrier * factors.prod(axis=2)).imag @ size
    return mean, moment


def _average_bands(motion: AnalyticMotion, boxes: _Boxes) -> Averages:
    heights = boxes.positions[:, :1] + boxes.offsets
    points = np.zeros((heights.size, 3))
    points[:, 0] = heights.ravel()
    profile = AnalyticMotion(bands=motion.bands).displacement(points)[:, 0].reshape(heights.shape)
    mean, moment = np.zeros((len(heights), 3)), np.zeros((len(heights), 3, 3))
    mean[:, 0] = (boxes.share[:, 0] * profile).sum(axis=1)
    moment[:, 0, 0] = (boxes.arms[:, 0] * profile).sum(axis=1)
    return mean, moment


def _average_crack(motion: AnalyticMotion, boxes: _Boxes) -> Averages:
    from voltome.twin.motion_loops import average_step

    n = len(boxes.positions)
    mean, moment = np.zeros((n, 3)), np.zeros((n, 3, 3))
    for crack in motion.cracks:
        step, levered = np.empty(n), np.empty((n, 3))
        average_step(boxes.positions, boxes.low, boxes.high, crack, step, levered)
        mean += step[:, None] * crack[9:]
        moment += crack[9:, None] * levered[:, None, :]
    return mean, moment


def best_affine(
    motion: AnalyticMotion, positions_vox: ArrayLike, half_window_vox: int, *, shape: Sequence[int] | None = None
) -> Floats:
    """Least-squares affine of the true displacement over each cubic window, voxel by voxel.

    Parameters
    ----------
    motion : AnalyticMotion
    positions_vox : (N, 3) array
        Nodes (z, y, x).
    half_window_vox : int
        The window holds 2 half_window_vox + 1 voxels on each side.
    shape : sequence of int, optional
        Volume at whose faces windows are cut off. Default: whole windows.

    Returns
    -------
    (N, 4, 4) float64
        Phi relative to each node: F and displacement in voxels.

    Raises
    ------
    InputError
        If the window is below 1 voxel, or a node lies outside the volume.

    Examples
    --------
    >>> from voltome.twin import make_sine_motion
    >>> wave = make_sine_motion(1.0, 40.0, component=0, along=2)
    >>> at_node, seen = wave.displacement([[0, 0, 10]])[0, 0], best_affine(wave, [[0, 0, 10]], 10)[0, 0, 3]
    >>> print(f"{at_node:.2f} {seen:.2f}")
    1.00 0.61
    """
    if half_window_vox < 1:
        raise InputError(f"half_window_vox must be >= 1 (got {half_window_vox}): an affine needs neighbours to fit")
    positions = np.ascontiguousarray(positions_vox, dtype=np.float64)
    low = np.full(positions.shape, -half_window_vox, dtype=np.int64)
    high = -low
    if shape is not None:
        low = np.maximum(low, np.ceil(-positions).astype(np.int64))
        high = np.minimum(high, np.floor(np.asarray(shape) - 1 - positions).astype(np.int64))
    if (high <= low).any():
        outside = positions[(high <= low).any(axis=1)][0].tolist()
        raise InputError(f"every node must lie inside the volume {tuple(shape or ())} (got {outside}): move it inside")
    boxes = _Boxes.cut(positions, low, high, half_window_vox)
    mean = motion.translation_vox + (positions + boxes.middle) @ motion.linear.T
    slope = np.tile(motion.linear, (len(positions), 1, 1))
    for average in (_average_waves, _average_bands, _average_crack):
        more, moment = average(motion, boxes)
        mean += more
        slope += moment / boxes.spread[:, None, :]
    phi = np.tile(np.eye(4), (len(positions), 1, 1))
    phi[:, :3, :3] += slope
    phi[:, :3, 3] = mean - np.einsum("nij,nj->ni", slope, boxes.middle)
    return phi


def true_field(
    motion: AnalyticMotion,
    positions_vox: ArrayLike,
    *,
    half_window_vox: int | None = None,
    shape: Sequence[int] | None = None,
    grid_shape: Shape3 | None = None,
) -> DeformationField:
    """The truth at nodes as a deformation field: pointwise, or as the best affine of each window.

    Parameters
    ----------
    motion : AnalyticMotion
    positions_vox : (N, 3) array
    half_window_vox : int, optional
        Given: `best_affine` over such windows. Default: displacement and F at the node itself.
    shape : sequence of int, optional
        Volume at whose faces windows are cut off.
    grid_shape : tuple of int, optional
        Nodes along z, y, x where they stand on a regular grid.

    Returns
    -------
    DeformationField
        Status 2 everywhere, covariance 0 and ZNCC 1: the truth has no error.

    Raises
    ------
    InputError
        As `best_affine`.
    """
    positions = np.ascontiguousarray(positions_vox, dtype=np.float64)
    if half_window_vox is None:
        phi = np.tile(np.eye(4), (len(positions), 1, 1))
        phi[:, :3, 3] = motion.displacement(positions)
        phi[:, :3, :3] = motion.gradient(positions)
    else:
        phi = best_affine(motion, positions, half_window_vox, shape=shape)
    field = DeformationField.from_phi(positions, phi, grid_shape=grid_shape)
    return field.with_values(
        status=np.full(len(field), NodeStatus.CONVERGED, dtype=np.int32),
        residual=np.zeros(len(field)),
        zncc=np.ones(len(field)),
        covariance=np.zeros((len(field), 12, 12), dtype=np.float32),
    )

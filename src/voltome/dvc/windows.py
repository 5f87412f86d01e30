"""Windows at chosen places, each correlated from a given start: what noise and resolution are measured with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import check_pair, measure_grey_scale
from voltome.dvc.boxes import Pair
from voltome.dvc.local import build_field
from voltome.dvc.node_results import NodeRules
from voltome.dvc.nodes import correlate_nodes
from voltome.dvc.quality import find_suspects
from voltome.dvc.workers import thread_pool
from voltome.fields import DeformationField, FloatArray
from voltome.grid import Shape3, VolumeSource

_TOLERANCE_VOX = 1e-5
_MOST_WINDOWS = 216


def place_windows(
    shape: Sequence[int], half_window_vox: int, *, margin_vox: int, apart: bool = True, most: int = _MOST_WINDOWS
) -> tuple[NDArray[np.int64], Shape3]:
    """Nodes of whole windows, evenly spread over a volume.

    Parameters
    ----------
    shape : sequence of int
        Of the volume (z, y, x).
    half_window_vox : int
    margin_vox : int
        Distance that windows keep from the faces.
    apart : bool
        Windows do not overlap, so that their noise is independent; else they may by three quarters.
    most : int
        Most windows.

    Returns
    -------
    positions : (N, 3) int64
    grid_shape : tuple of int
        Nodes along z, y, x; zeros where a window does not fit.
    """
    side = 2 * half_window_vox + 1
    room = np.asarray(shape) - 2 * margin_vox
    counts = room // side if apart else np.where(room >= side, 1 + (room - side) // max(1, half_window_vox // 2), 0)
    while counts.prod() > most:
        counts[np.argmax(counts)] -= 1
    if (counts < 1).any():
        return np.zeros((0, 3), dtype=np.int64), (0, 0, 0)
    first, last = margin_vox + half_window_vox, np.asarray(shape) - 1 - margin_vox - half_window_vox
    axes = [
        np.linspace(first, b, n).round().astype(np.int64) if n > 1 else np.array([(first + b) // 2])
        for b, n in zip(last, counts, strict=True)
    ]
    positions = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return positions, (len(axes[0]), len(axes[1]), len(axes[2]))


def prepare_pair(reference: VolumeSource, deformed: VolumeSource, mask: VolumeSource | None = None) -> Pair:
    """A pair that is correlated several times, its grey scales measured once.

    Parameters
    ----------
    reference, deformed : VolumeSource
        (z, y, x), same shape.
    mask : VolumeSource, optional
        Weight of the reference's voxels, 0 to 1.

    Returns
    -------
    Pair

    Raises
    ------
    InputError
        If the volumes do not fit together or are constant.
    """
    check_pair(reference, deformed, mask)
    scales = measure_grey_scale(reference, name="reference", mask=mask), measure_grey_scale(deformed, name="deformed")
    return Pair(reference, deformed, *scales, mask=mask)


def correlate_windows(
    pair: Pair,
    positions_vox: NDArray[np.int64],
    start_phi: FloatArray,
    half_window_vox: int,
    *,
    threads: int | None = None,
) -> DeformationField:
    """Correlate windows of one size at full resolution, to a tolerance far below any noise.

    Parameters
    ----------
    pair : Pair
    positions_vox : (N, 3) int64
    start_phi : (N, 4, 4) float64
        Where each window starts, relative to its node.
    half_window_vox : int
    threads : int, optional
        All cores by default.

    Returns
    -------
    DeformationField
        Scattered nodes.

    Raises
    ------
    InputError
        If a volume holds NaN that no mask leaves out.
    """
    rules = NodeRules(half_window_vox=half_window_vox, tolerance_vox=_TOLERANCE_VOX)
    with thread_pool(threads) as pool:
        results = correlate_nodes(pair, positions_vox, start_phi, rules, pool=pool)
    return build_field(positions_vox, results, suspect=find_suspects(positions_vox, results).any)

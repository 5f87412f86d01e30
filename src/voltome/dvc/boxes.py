"""Sets of nodes that are worked together, the blocks they need, and the weights of a block's voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import GreyScale
from voltome.dvc.node_results import NodeRules
from voltome.errors import InputError
from voltome.fields import FloatArray
from voltome.grid import VolumeSource, make_block
from voltome.kernels import filters
from voltome.kernels.sampling import TAIL

_NODE_BYTES = 80_000
"""Of a node that is worked with its grid: its share of the cells' sums (up to 64 cells of 1.1 kB), and its own."""

_NO_WEIGHTS = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True)
class Pair:
    """Two volumes at one resolution with what the correlation has to know about their grey values.

    `mask` weighs the reference's voxels; voxels outside `grey_window` (in the reference's own units) have weight 0.
    """

    reference: VolumeSource
    deformed: VolumeSource
    reference_scale: GreyScale
    deformed_scale: GreyScale
    mask: VolumeSource | None = None
    grey_window: tuple[float, float] | None = None


@dataclass(frozen=True)
class Box:
    """Nodes that are worked together, and the blocks they need."""

    index: NDArray[np.int64]
    reference_start: NDArray[np.int64]
    reference_stop: NDArray[np.int64]
    deformed_start: NDArray[np.int64]
    deformed_stop: NDArray[np.int64]

    @property
    def memory_bytes(self) -> int:
        reference = int(np.prod(self.reference_stop - self.reference_start))
        voxels = 20 * reference + 12 * int(np.prod(self.deformed_stop - self.deformed_start))
        return voxels + _NODE_BYTES * len(self.index)


def _image_corners(
    index: NDArray[np.int64],
    positions: NDArray[np.int64],
    phi: FloatArray,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> tuple[FloatArray, FloatArray]:
    """Corners of the box that holds the images of the windows of some nodes."""
    f = phi[index, :3, :3]
    a, b = f * low[index, None, :], f * (high[index, None, :] - 1)
    centre = positions[index] + phi[index, :3, 3]
    smallest = centre + np.minimum(a, b).sum(axis=2)
    largest = centre + np.maximum(a, b).sum(axis=2)
    return np.nanmin(smallest, axis=0), np.nanmax(largest, axis=0)


def cut_boxes(
    index: NDArray[np.int64],
    positions: NDArray[np.int64],
    phi: FloatArray,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    shape: NDArray[np.int64],
    margin: float,
    rules: NodeRules,
) -> list[Box]:
    """Halve the set of nodes along its longest side until what a part has to read fits the memory."""
    if not len(index):
        return []
    rim, reach = filters.GRADIENT_REACH, filters.SPLINE_REACH
    smallest, largest = _image_corners(index, positions, phi, low, high)
    if not np.isfinite(smallest).all():
        smallest, largest = np.zeros(3), np.zeros(3)
    limit_low, limit_high = np.full(3, -reach - 3), shape + reach + 3
    d0 = np.clip(np.floor(smallest - margin) - reach - 2, limit_low, limit_high - 2 * reach - 6).astype(np.int64)
    d1 = np.clip(np.ceil(largest + margin) + reach + 3, d0 + 2 * reach + 6, limit_high).astype(np.int64)
    box = Box(
        index,
        (positions[index] + low[index]).min(axis=0) - rim,
        (positions[index] + high[index]).max(axis=0) + rim,
        d0,
        d1,
    )
    extent = positions[index].max(axis=0) - positions[index].min(axis=0)
    if box.memory_bytes <= rules.memory_bytes or len(index) == 1 or extent.max() == 0:
        return [box]
    axis = int(np.argmax(extent))
    order = index[np.argsort(positions[index, axis], kind="stable")]
    along = positions[order, axis]
    cut = int(np.searchsorted(along, along[len(along) // 2]))
    cut = cut if 0 < cut < len(order) else int(np.searchsorted(along, along[0], side="right"))
    parts = (np.sort(order[:cut]), np.sort(order[cut:]))
    return [b for part in parts for b in cut_boxes(part, positions, phi, low, high, shape, margin, rules)]


def reference_weights(pair: Pair, box: Box, grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights of a block of the reference, flat; empty where all voxels count. NaN is replaced in `grey`."""
    size = box.reference_stop - box.reference_start
    block = make_block(box.reference_start, box.reference_stop)
    missing = ~np.isfinite(grey)
    if pair.mask is None and pair.grey_window is None and not missing.any():
        return _NO_WEIGHTS
    weights = np.zeros(grey.size, dtype=np.float32)
    inner = weights[: grey.size - TAIL]
    inner[:] = 1.0 if pair.mask is None else np.clip(np.nan_to_num(pair.mask[block]), 0, 1).ravel()
    refuse_nan("reference", missing[: inner.size] & (inner > 0), size)
    if pair.grey_window is not None:
        bounds = (np.asarray(pair.grey_window) - pair.reference_scale.offset) * pair.reference_scale.scale
        values = grey[: inner.size]
        inner[(values < bounds[0]) | (values > bounds[1])] = 0.0
    grey[missing] = 0.0
    if missing.any():  # what stands in for a missing voxel reaches as far as the gradient's stencil
        weights[: inner.size][grow(missing[: inner.size].reshape(size), filters.GRADIENT_REACH).ravel()] = 0.0
    return weights


def refuse_nan(name: str, missing: NDArray[np.bool_], size: NDArray[np.int64]) -> None:
    """Raise the error for voxels without a grey value where one is needed.

    Parameters
    ----------
    name : str
        What the message calls the volume.
    missing : bool array
        Voxels that are needed and missing.
    size : (3,) int64
        Shape of their block.

    Returns
    -------
    None
        Nothing is missing when this returns.

    Raises
    ------
    InputError
        If any voxel is missing.
    """
    if missing.any():
        raise InputError(
            f"the {name} volume holds NaN or infinity at {int(missing.sum())} voxels of a block of "
            f"{tuple(map(int, size))}: give a mask (--mask) that leaves them out"
        )


def deformed_weights(pair: Pair, box: Box, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights of a block of the deformed volume: 0 around voxels without a grey value; empty where there are none."""
    missing = ~np.isfinite(samples)
    if not missing.any():
        return _NO_WEIGHTS
    size = box.deformed_stop - box.deformed_start
    if pair.mask is None:
        refuse_nan("deformed", missing, size)
    samples[missing] = 0.0
    there: NDArray[np.float32] = (~grow(missing[: samples.size - TAIL].reshape(size), 2)).astype(np.float32)
    return there.ravel()


def grow(region: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """A region and all voxels within a cube of `reach` voxels around it.

    Parameters
    ----------
    region : (z, y, x) bool
    reach : int

    Returns
    -------
    (z, y, x) bool
    """
    from scipy.ndimage import maximum_filter

    out: NDArray[np.bool_] = maximum_filter(region, 2 * reach + 1, mode="constant")
    return out

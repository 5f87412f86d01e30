"""Weights of a window's voxels: masks, and what is mapped outside the deformed volume."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.kernels.compilation import compiled
from voltome.kernels.sampling import clip_row


class Weighting(NamedTuple):
    """Optional weights: an empty array stands for ones."""

    reference: NDArray[np.float32]
    deformed: NDArray[np.float32]
    ones: NDArray[np.float32]


@compiled()
def deformed_weight(deformed, weights, pz, py, px):
    """Weight of the deformed volume's voxel next to a position; 0 outside the block."""
    z, y, x = int(math.floor(pz + 0.5)), int(math.floor(py + 0.5)), int(math.floor(px + 0.5))
    if min(z, y, x) < 0 or z >= deformed.shape[0] or y >= deformed.shape[1] or x >= deformed.shape[2]:
        return np.float32(0.0)
    return weights[(z * deformed.shape[1] + y) * deformed.shape[2] + x]


@compiled(cache=True)
def fill_weights(reference, deformed, weighting, window, phi, first_z, stop_z):
    """Weights of planes first_z..stop_z of a window that is masked or leaves the volume, one padded row after another.

    A voxel counts as much as the reference's weight says, and as that of what it is mapped to; one that is mapped
    outside the deformed volume does not count.

    Parameters
    ----------
    reference : Reference
    deformed : Deformed
    weighting : Weighting
    window : Window
        Its `weights` are written.
    phi : float64 (3, 4)
    first_z, stop_z : int
        Planes relative to the node.
    """
    out, stride, n, x = window.weights, window.row_stride, window.high[2] - window.low[2], window.low[2]
    inside = deformed.inside
    m = (first_z - window.low[0]) * (window.high[1] - window.low[1]) * stride
    for z in range(first_z, stop_z):
        for y in range(window.low[1], window.high[1]):
            pz = window.node[0] + deformed.shift[0] + phi[0, 3] + phi[0, 0] * z + phi[0, 1] * y + phi[0, 2] * x
            py = window.node[1] + deformed.shift[1] + phi[1, 3] + phi[1, 0] * z + phi[1, 1] * y + phi[1, 2] * x
            px = window.node[2] + deformed.shift[2] + phi[2, 3] + phi[2, 0] * z + phi[2, 1] * y + phi[2, 2] * x
            start, stop = clip_row(pz, phi[0, 2], inside[0, 0], inside[0, 1], 0, n)
            start, stop = clip_row(py, phi[1, 2], inside[1, 0], inside[1, 1], start, stop)
            start, stop = clip_row(px, phi[2, 2], inside[2, 0], inside[2, 1], start, stop)
            for i in range(stride):
                out[m + i] = np.float32(1.0) if i >= start and i < stop else np.float32(0.0)
            if weighting.reference.size > 0:
                k = (window.node[0] + z) * reference.shape[1] + window.node[1] + y
                k = k * reference.shape[2] + window.node[2] + x
                for i in range(start, stop):
                    out[m + i] *= weighting.reference[k + i]
            if weighting.deformed.size > 0:
                for i in range(start, stop):
                    out[m + i] *= deformed_weight(
                        deformed, weighting.deformed, pz + phi[0, 2] * i, py + phi[1, 2] * i, px + phi[2, 2] * i
                    )
            m += stride

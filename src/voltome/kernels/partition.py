"""A block cut into cells along the windows of a node grid, and the weights of their voxels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.kernels.compilation import compiled
from voltome.kernels.moments import whole_groups
from voltome.kernels.sampling import clip_row
from voltome.kernels.weights import deformed_weight

_f4 = np.float32
_Ints = NDArray[np.int64]


class Partition(NamedTuple):
    """Cells along each axis.

    `edge_*` (C + 1,) in the reference block's voxels; `owner_*` (C,) the node whose Phi samples them (its place along
    that axis of the grid; -1 where no window comes); `node_*` (K,) the nodes' coordinates; `span_*` (K, 2) the first
    cell of each node's window and the one behind its last.
    """

    edge_z: _Ints
    edge_y: _Ints
    edge_x: _Ints
    owner_z: _Ints
    owner_y: _Ints
    owner_x: _Ints
    node_z: _Ints
    node_y: _Ints
    node_x: _Ints
    span_z: _Ints
    span_y: _Ints
    span_x: _Ints


@compiled(inline="always")
def piece_stop(owner, first):
    """Behind the last of the cells from `first` on that one node samples."""
    stop = first + 1
    while stop < len(owner) and owner[stop] == owner[first]:
        stop += 1
    return stop


@compiled()
def weigh_row(reference, deformed, weighting, partition, base, oz, oy, z, y, w):
    """Weights of a row of the block: 0 where the warp `base` leaves the deformed volume, and what the masks say."""
    first_x, stop_x = partition.edge_x[0], partition.edge_x[-1]
    n, inside = stop_x - first_x, deformed.inside
    for i in range(whole_groups(n)):
        w[i] = _f4(1.0) if i < n else _f4(0.0)
    row = (z * reference.shape[1] + y) * reference.shape[2] + first_x
    if weighting.reference.size > 0:
        for i in range(n):
            w[i] = weighting.reference[row + i]
    k = 0
    while k < len(partition.owner_x):
        stop, ox = piece_stop(partition.owner_x, k), partition.owner_x[k]
        a, b = partition.edge_x[k] - first_x, partition.edge_x[stop] - first_x
        k = stop
        if ox < 0:
            for i in range(a, b):
                w[i] = _f4(0.0)
            continue
        phi = base[(oz * len(partition.node_y) + oy) * len(partition.node_x) + ox]
        dz, dy, dx = z - partition.node_z[oz], y - partition.node_y[oy], first_x - partition.node_x[ox]
        pz = z - dz + deformed.shift[0] + phi[0, 3] + phi[0, 0] * dz + phi[0, 1] * dy + phi[0, 2] * dx
        py = y - dy + deformed.shift[1] + phi[1, 3] + phi[1, 0] * dz + phi[1, 1] * dy + phi[1, 2] * dx
        px = first_x - dx + deformed.shift[2] + phi[2, 3] + phi[2, 0] * dz + phi[2, 1] * dy + phi[2, 2] * dx
        start, end = clip_row(pz, phi[0, 2], inside[0, 0], inside[0, 1], a, b)
        start, end = clip_row(py, phi[1, 2], inside[1, 0], inside[1, 1], start, end)
        start, end = clip_row(px, phi[2, 2], inside[2, 0], inside[2, 1], start, end)
        for i in range(a, start):
            w[i] = _f4(0.0)
        for i in range(end, b):
            w[i] = _f4(0.0)
        if weighting.deformed.size > 0:
            for i in range(start, end):
                w[i] *= deformed_weight(
                    deformed, weighting.deformed, pz + phi[0, 2] * i, py + phi[1, 2] * i, px + phi[2, 2] * i
                )


@compiled()
def _all_inside(deformed, partition, base, oz, oy, iz, iy):
    """Whether the warp `base` keeps all cells of a row of cells inside the deformed volume."""
    k = 0
    while k < len(partition.owner_x):
        stop, ox = piece_stop(partition.owner_x, k), partition.owner_x[k]
        if ox < 0:
            return False
        phi = base[(oz * len(partition.node_y) + oy) * len(partition.node_x) + ox]
        z0, z1 = partition.edge_z[iz] - partition.node_z[oz], partition.edge_z[iz + 1] - 1 - partition.node_z[oz]
        y0, y1 = partition.edge_y[iy] - partition.node_y[oy], partition.edge_y[iy + 1] - 1 - partition.node_y[oy]
        x0, x1 = partition.edge_x[k] - partition.node_x[ox], partition.edge_x[stop] - 1 - partition.node_x[ox]
        for a in range(3):
            node = partition.node_z[oz] if a == 0 else (partition.node_y[oy] if a == 1 else partition.node_x[ox])
            low = high = node + deformed.shift[a] + phi[a, 3]
            low += min(phi[a, 0] * z0, phi[a, 0] * z1) + min(phi[a, 1] * y0, phi[a, 1] * y1)
            high += max(phi[a, 0] * z0, phi[a, 0] * z1) + max(phi[a, 1] * y0, phi[a, 1] * y1)
            low += min(phi[a, 2] * x0, phi[a, 2] * x1)
            high += max(phi[a, 2] * x0, phi[a, 2] * x1)
            if low < deformed.inside[a, 0] or high > deformed.inside[a, 1]:
                return False
        k = stop
    return True


@compiled()
def whole_rows(deformed, weighting, partition, base, oz, oy, iz, iy, w):
    """Whether all voxels of a row of cells count fully; then their weights are set for good."""
    if weighting.reference.size > 0 or weighting.deformed.size > 0:
        return False
    if not _all_inside(deformed, partition, base, oz, oy, iz, iy):
        return False
    n = partition.edge_x[-1] - partition.edge_x[0]
    for i in range(whole_groups(n)):
        w[i] = _f4(1.0) if i < n else _f4(0.0)
    return True

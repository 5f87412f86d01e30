"""Bringing cells together into a window: their moments about its node, and how far they are displaced from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.kernels.compilation import compiled
from voltome.kernels.small_matrices import determinant

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


class NodeScratch(NamedTuple):
    """Memory of one thread."""

    products: _Floats
    linear: _Floats
    part: _Floats
    factor: _Floats
    vectors: _Floats
    totals: _Floats
    work: _Floats
    boxes: _Floats
    window: _Ints
    weights: NDArray[np.float32]


def make_scratch() -> NodeScratch:
    """Scratch for `step_nodes` and `finish_nodes`.

    Returns
    -------
    NodeScratch
    """
    return NodeScratch(
        np.zeros(80),
        np.zeros(48),
        np.zeros((12, 12)),
        np.zeros((12, 12)),
        np.zeros((6, 12)),
        np.zeros((3, 3)),
        np.zeros((3, 3, 3)),
        np.zeros((2, 3, 2)),
        np.zeros((4, 3), dtype=np.int64),
        np.zeros(0, dtype=np.float32),
    )


@compiled(fastmath=True)
def _add_products(cell, oz, oy, ox, out):
    """Add a cell's moments of g_r g_s about the node; the cell's first voxel lies at (oz, oy, ox) from it."""
    for k in range(8):
        s, z, y, x = cell[k], cell[8 + k], cell[16 + k], cell[24 + k]
        out[k] += s
        out[8 + k] += z + oz * s
        out[16 + k] += y + oy * s
        out[24 + k] += x + ox * s
        out[32 + k] += cell[32 + k] + oz * (z + z + oz * s)
        out[40 + k] += cell[40 + k] + oz * (y + oy * s) + oy * z
        out[48 + k] += cell[48 + k] + oz * (x + ox * s) + ox * z
        out[56 + k] += cell[56 + k] + oy * (y + y + oy * s)
        out[64 + k] += cell[64 + k] + oy * (x + ox * s) + ox * y
        out[72 + k] += cell[72 + k] + ox * (x + x + ox * s)


@compiled()
def spread_products(products, hessian):
    """The matrix (12, 12) of moments of g_r g_s, see `cells.PRODUCTS`."""
    m = 0
    for r in range(3):
        for s in range(r, 3):
            i, j = 4 * r, 4 * s
            hessian[i, j], hessian[i, j + 1], hessian[i, j + 2] = products[32 + m], products[40 + m], products[48 + m]
            hessian[i + 1, j + 1], hessian[i + 1, j + 2] = products[56 + m], products[64 + m]
            hessian[i + 2, j + 2], hessian[i + 3, j + 3] = products[72 + m], products[m]
            for a in range(3):
                hessian[i + a, j + 3] = products[8 + 8 * a + m]
            for a in range(4):
                for b in range(a):
                    hessian[i + a, j + b] = hessian[i + b, j + a]
            m += 1
    for i in range(12):
        for j in range(i):
            hessian[i, j] = hessian[j, i]


@compiled(fastmath=True)
def _add_linear(linear, sampled, oz, oy, ox, out):
    """Add a cell's moments z y x 1 about the node: of g_r and g_r f to out[:32], of g_r g to out[32:]."""
    for k in range(8):
        s = linear[24 + k]
        out[k] += linear[k] + oz * s
        out[8 + k] += linear[8 + k] + oy * s
        out[16 + k] += linear[16 + k] + ox * s
        out[24 + k] += s
    for k in range(4):
        s = sampled[12 + k]
        out[32 + k] += sampled[k] + oz * s
        out[36 + k] += sampled[4 + k] + oy * s
        out[40 + k] += sampled[8 + k] + ox * s
        out[44 + k] += s


@compiled()
def spread_linear(linear, vectors):
    """The vectors of `right_hand_side` from sums of `_add_linear`."""
    for r in range(3):
        for k in range(4):
            vectors[0, 4 * r + k] = linear[8 * k + r]
            vectors[1, 4 * r + k] = linear[8 * k + 3 + r]
            vectors[2, 4 * r + k] = linear[32 + 4 * k + r]


@compiled()
def _relative_displacement(mine, theirs, oz, oy, ox, work, out):
    """Parameters of mine^-1 o theirs - 1 about my node; theirs acts about its own, at (oz, oy, ox) from mine."""
    inverse, det = work[0], determinant(mine)
    for r in range(3):
        for c in range(3):
            i, j, k, m = (c + 1) % 3, (c + 2) % 3, (r + 1) % 3, (r + 2) % 3
            inverse[r, c] = (mine[i, k] * mine[j, m] - mine[i, m] * mine[j, k]) / det
    u0 = theirs[0, 3] - mine[0, 3] + oz - theirs[0, 0] * oz - theirs[0, 1] * oy - theirs[0, 2] * ox
    u1 = theirs[1, 3] - mine[1, 3] + oy - theirs[1, 0] * oz - theirs[1, 1] * oy - theirs[1, 2] * ox
    u2 = theirs[2, 3] - mine[2, 3] + ox - theirs[2, 0] * oz - theirs[2, 1] * oy - theirs[2, 2] * ox
    for r in range(3):
        a, b, c = inverse[r, 0], inverse[r, 1], inverse[r, 2]
        for k in range(3):
            out[4 * r + k] = a * theirs[0, k] + b * theirs[1, k] + c * theirs[2, k]
        out[4 * r + r] -= 1.0
        out[4 * r + 3] = a * u0 + b * u1 + c * u2


@compiled()
def _owner_stop(owner, first, stop):
    """Behind the last of the cells first..stop that one node samples."""
    k = first + 1
    while k < stop and owner[k] == owner[first]:
        k += 1
    return k


@compiled()
def add_cells(partition, sums, low, high, node, scratch):
    """Add the cells low..high (one owner's) to a window: `products` (theirs alone), `linear` and the grey totals."""
    products, totals = scratch.products, scratch.totals
    for j in range(80):
        products[j] = 0.0
    for iz in range(low[0], high[0]):
        oz = float(partition.edge_z[iz] - partition.node_z[node[0]])
        for iy in range(low[1], high[1]):
            oy = float(partition.edge_y[iy] - partition.node_y[node[1]])
            row = (iz * len(partition.owner_y) + iy) * len(partition.owner_x)
            for ix in range(low[2], high[2]):
                ox = float(partition.edge_x[ix] - partition.node_x[node[2]])
                sampled = sums.sampled[row + ix]
                _add_products(sums.products[row + ix], oz, oy, ox, products)
                _add_linear(sums.linear[row + ix], sampled, oz, oy, ox, scratch.linear)
                for j in range(3):
                    totals[0, j] += sums.totals[row + ix, j]
                    totals[1, j] += sampled[16 + j]
                totals[2, 0] += sampled[19]
                totals[2, 1] += sampled[20]


@compiled()
def place(partition, n, node):
    """Place of node n along the axes of its grid."""
    ny, nx = len(partition.node_y), len(partition.node_x)
    node[0], node[1], node[2] = n // (ny * nx), n // nx % ny, n % nx


@compiled()
def displacement_of(partition, phi, n, low, node, work, out):
    """Displacement, seen from node n, of what the owner of the cell `low` samples; returns the owner."""
    a, b, c = partition.owner_z[low[0]], partition.owner_y[low[1]], partition.owner_x[low[2]]
    owner = (a * len(partition.node_y) + b) * len(partition.node_x) + c
    oz = float(partition.node_z[a] - partition.node_z[node[0]])
    oy = float(partition.node_y[b] - partition.node_y[node[1]])
    ox = float(partition.node_x[c] - partition.node_x[node[2]])
    _relative_displacement(phi[n], phi[owner], oz, oy, ox, work, out)
    return owner


@compiled()
def next_owner(partition, node, low, high):
    """Go on to the next group of cells of one owner inside the window of `node`; False behind the last."""
    for axis in range(2, -1, -1):
        span = partition.span_z if axis == 0 else (partition.span_y if axis == 1 else partition.span_x)
        owner = partition.owner_z if axis == 0 else (partition.owner_y if axis == 1 else partition.owner_x)
        first, stop = span[node[axis], 0], span[node[axis], 1]
        if high[axis] < stop:
            low[axis], high[axis] = high[axis], _owner_stop(owner, high[axis], stop)
            return True
        low[axis], high[axis] = first, _owner_stop(owner, first, stop)
    return False

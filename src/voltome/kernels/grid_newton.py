"""Inverse-compositional Gauss-Newton for all windows of a node grid at once, from the sums of shared cells.

Each cell c of a window is sampled with the Phi of its own nearest node, phi_c, not with the window's phi. Seen from
the window, cell c is already displaced by D_c = phi^-1 o phi_c - 1, which is affine and small; so the increment of the
window solves

    H step = sum_c (b_c - a H_c d_c),

where b_c are the right-hand sides and H_c the Hessians of the cells, and d_c the parameters of D_c. Noise steepens the
gradients that H is made of; a < 1 is what of H answers to a displacement (`moments.response_row`). Where all phi_c are
equal this is the ordinary step. At the end phi is the least-squares affine of the displacement that the cells show,
weighted with their texture, and to first order independent of the phi_c that they were sampled with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.kernels.compilation import compiled
from voltome.kernels.gauss_newton import (
    CELLS,
    CONVERGED,
    DETERMINANT,
    ERROR,
    MASKED,
    SINGULAR,
    has_settled,
    image_box,
    inside_volume,
    leaves_block,
    limit_step,
    moved,
    plain_norm,
    right_hand_side,
)
from voltome.kernels.moments import Window, grey_statistics
from voltome.kernels.small_matrices import compose_inverse, determinant, factorise, solve_factorised

AT_WORK, HANDED_OVER = 0, -101
"""A node that is not there yet, and one that has to be worked by itself (but whose Phi is good enough to sample)."""

_MOST_BASES = 6
_PAIR = ((0, 1, 2), (1, 3, 4), (2, 4, 5))

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


class GridState(NamedTuple):
    """State of the N nodes of a grid.

    `phi` samples the cells, `next_phi` is what follows from them, `base` decides on the voxels that are mapped outside
    (all (N, 3, 4)); `rebases` counts how often `base` was moved, `stale` (N,) marks cells whose reference sums have to
    be formed again. `status` is `AT_WORK`, `CONVERGED`, or why a node was given up. `numbers` (N, 9): as in
    `gauss_newton.correlate_nodes`, then the norm of the last increment in voxels, and by how much the Phi that sampled
    the cells differ from the window's own (in voxels, at the worst place). `step` (N, 12), `hessian` (N, 12, 12),
    `cells` (N, CELLS^3, 9). `pending` holds the statuses that follow from a step until all nodes have made it.
    """

    phi: _Floats
    next_phi: _Floats
    base: _Floats
    rebases: _Ints
    stale: NDArray[np.uint8]
    status: NDArray[np.int32]
    pending: NDArray[np.int32]
    numbers: _Floats
    step: _Floats
    hessian: _Floats
    cells: _Floats


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
def _spread_products(products, hessian):
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
def _spread_linear(linear, vectors):
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
def _add_cells(partition, sums, low, high, node, scratch):
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
def _place(partition, n, node):
    """Place of node n along the axes of its grid."""
    ny, nx = len(partition.node_y), len(partition.node_x)
    node[0], node[1], node[2] = n // (ny * nx), n // nx % ny, n % nx


@compiled()
def _displacement_of(partition, phi, n, low, node, work, out):
    """Displacement, seen from node n, of what the owner of the cell `low` samples; returns the owner."""
    a, b, c = partition.owner_z[low[0]], partition.owner_y[low[1]], partition.owner_x[low[2]]
    owner = (a * len(partition.node_y) + b) * len(partition.node_x) + c
    oz = float(partition.node_z[a] - partition.node_z[node[0]])
    oy = float(partition.node_y[b] - partition.node_y[node[1]])
    ox = float(partition.node_x[c] - partition.node_x[node[2]])
    _relative_displacement(phi[n], phi[owner], oz, oy, ox, work, out)
    return owner


@compiled()
def _next_owner(partition, node, low, high):
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


@compiled()
def _largest_displacement(partition, low, high, node, d):
    """Bound of the displacement d over the cells low..high, in voxels along an axis."""
    z0, z1 = partition.edge_z[low[0]] - partition.node_z[node[0]], partition.edge_z[high[0]] - partition.node_z[node[0]]
    y0, y1 = partition.edge_y[low[1]] - partition.node_y[node[1]], partition.edge_y[high[1]] - partition.node_y[node[1]]
    x0, x1 = partition.edge_x[low[2]] - partition.node_x[node[2]], partition.edge_x[high[2]] - partition.node_x[node[2]]
    largest = 0.0
    for r in range(0, 12, 4):
        middle = d[r] * 0.5 * (z0 + z1) + d[r + 1] * 0.5 * (y0 + y1) + d[r + 2] * 0.5 * (x0 + x1) + d[r + 3]
        spread = 0.5 * (abs(d[r]) * (z1 - z0) + abs(d[r + 1]) * (y1 - y0) + abs(d[r + 2]) * (x1 - x0))
        largest = max(largest, abs(middle) + spread)
    return largest


@compiled()
def _assemble(partition, sums, state, n, node, hessian, scratch):
    """Bring the cells of a window together: Hessian, vectors 0-2 for `right_hand_side`, vector 3 = sum_c H_c d_c.

    Returns the largest displacement of a cell that was sampled with another Phi, in voxels; negative where a node that
    samples one of the cells has failed.
    """
    largest = 0.0
    low, high, part, d, vectors = (
        scratch.window[1],
        scratch.window[2],
        scratch.part,
        scratch.vectors[4],
        scratch.vectors,
    )
    for i in range(12):
        vectors[3, i] = 0.0
        for j in range(12):
            hessian[i, j] = 0.0
    for j in range(48):
        scratch.linear[j] = 0.0
    for j in range(3):
        scratch.totals[0, j] = scratch.totals[1, j] = scratch.totals[2, j] = 0.0
    for axis in range(3):  # behind the last: `_next_owner` then begins with the first
        low[axis] = high[axis] = 1 << 60
    _next_owner(partition, node, low, high)
    while True:
        owner = _displacement_of(partition, state.phi, n, low, node, scratch.work, d)
        if state.status[owner] < 0 and state.status[owner] != HANDED_OVER:
            return -1.0
        largest = max(largest, _largest_displacement(partition, low, high, node, d))
        _add_cells(partition, sums, low, high, node, scratch)
        _spread_products(scratch.products, part)
        for i in range(12):
            total = 0.0
            for j in range(12):
                hessian[i, j] += part[i, j]
                total += part[i, j] * d[j]
            vectors[3, i] += total
        if not _next_owner(partition, node, low, high):
            _spread_linear(scratch.linear, vectors)
            return largest


@compiled()
def response_of(totals):
    """What of the Hessian answers to a displacement, from the sums of `_add_cells`; 1 where they do not say."""
    statistics = grey_statistics(totals[0], totals[1])
    if not (statistics[3] > 1e-9 and totals[2, 1] > 1e-30):
        return 1.0
    return min(max(statistics[1] / statistics[3] * totals[2, 0] / totals[2, 1], 0.0), 1.5)


@compiled()
def _step_node(partition, sums, deformed, has_weights, rules, state, n, node, scratch):
    """One Gauss-Newton step of a node; returns its status."""
    hessian, numbers, phi, step = state.hessian[n], state.numbers[n], state.next_phi[n], state.step[n]
    vectors, totals, box, base = scratch.vectors, scratch.totals, scratch.boxes[0], scratch.boxes[1]
    low, high = scratch.window[1], scratch.window[2]
    numbers[8] = _assemble(partition, sums, state, n, node, hessian, scratch)
    if numbers[8] < 0.0:
        return HANDED_OVER
    low[0], high[0] = partition.edge_z[partition.span_z[node[0], 0]], partition.edge_z[partition.span_z[node[0], 1]]
    low[1], high[1] = partition.edge_y[partition.span_y[node[1], 0]], partition.edge_y[partition.span_y[node[1], 1]]
    low[2], high[2] = partition.edge_x[partition.span_x[node[2], 0]], partition.edge_x[partition.span_x[node[2], 1]]
    at = scratch.window[3]
    at[0], at[1], at[2] = partition.node_z[node[0]], partition.node_y[node[1]], partition.node_x[node[2]]
    for a in range(3):
        low[a] -= at[a]
        high[a] -= at[a]
    window = Window(at, low, high, scratch.weights, 0)
    cropped = float((high[0] - low[0]) * (high[1] - low[1]) * (high[2] - low[2]))
    numbers[2] = totals[0, 0] / cropped
    if totals[0, 0] < rules.min_coverage * cropped or totals[0, 0] < 24.0:
        return MASKED
    if not factorise(hessian, scratch.factor):
        return SINGULAR
    numbers[0] = right_hand_side(vectors[0], vectors[1], vectors[2], totals[0], totals[1], vectors[5])
    statistics = grey_statistics(totals[0], totals[1])
    numbers[4], numbers[5] = statistics[1], totals[0, 0]
    numbers[6] = response_of(totals)
    for i in range(12):
        vectors[5, i] -= numbers[6] * vectors[3, i]
    solve_factorised(scratch.factor, vectors[5], step)
    norm = limit_step(step, rules.half_window)
    for r in range(3):
        for c in range(4):
            phi[r, c] = state.phi[n, r, c]
    if not compose_inverse(phi, step, scratch.work):
        return ERROR
    settled = has_settled(norm, numbers[7], rules.tolerance)
    numbers[1], numbers[3], numbers[7] = plain_norm(step), numbers[3] + 1.0, norm
    det = determinant(phi)
    if not (det > rules.det_low and det < rules.det_high):
        return DETERMINANT
    image_box(window, deformed, phi, box)
    if leaves_block(box, deformed):
        return HANDED_OVER
    image_box(window, deformed, state.base[n], base)
    if state.rebases[n] < _MOST_BASES and moved(box, base):
        if has_weights or not (inside_volume(box, deformed) and inside_volume(base, deformed)):
            state.stale[n] = 1
        for r in range(3):
            for c in range(4):
                state.base[n, r, c] = phi[r, c]
        state.rebases[n] += 1
    return CONVERGED if settled else AT_WORK


@compiled(cache=True)
def step_nodes(partition, sums, deformed, has_weights, rules, state, first, stop, scratch):
    """One Gauss-Newton step of the nodes first..stop that have not been given up.

    Parameters
    ----------
    partition : Partition
    sums : CellSums
    deformed : Deformed
    has_weights : bool
        Whether voxels of the deformed volume have weights.
    rules : Rules
    state : GridState
        All but `phi`, `status` and `cells` is brought up to date; of other nodes only these are read, so that the
        order of nodes does not matter.
    first, stop : int
    scratch : NodeScratch
    """
    node = scratch.window[0]
    for n in range(first, stop):
        if state.status[n] >= 0:
            _place(partition, n, node)
            state.pending[n] = _step_node(partition, sums, deformed, has_weights, rules, state, n, node, scratch)


@compiled()
def _add_residuals(partition, sums, low, high, node, d, ratio, mean_f, mean_g, cells):
    """Add the cells low..high (one owner's), displaced by d, to the parts of the window that they lie in."""
    for iz in range(low[0], high[0]):
        gz = _group(partition.edge_z, partition.span_z[node[0]], iz)
        oz = float(partition.edge_z[iz] - partition.node_z[node[0]])
        for iy in range(low[1], high[1]):
            gy = _group(partition.edge_y, partition.span_y[node[1]], iy)
            oy = float(partition.edge_y[iy] - partition.node_y[node[1]])
            row = (iz * len(partition.owner_y) + iy) * len(partition.owner_x)
            for ix in range(low[2], high[2]):
                ox = float(partition.edge_x[ix] - partition.node_x[node[2]])
                gx = _group(partition.edge_x, partition.span_x[node[2]], ix)
                out = cells[(gz * CELLS + gy) * CELLS + gx]
                linear, sampled, products = sums.linear[row + ix], sums.sampled[row + ix], sums.products[row + ix]
                for r in range(3):
                    plain = linear[24 + r]
                    out[r] += ratio * (sampled[12 + r] - mean_g * plain) - (linear[27 + r] - mean_f * plain)
                    for s in range(3):
                        m = _PAIR[r][s]
                        value = products[m]
                        shift = d[4 * s] * (products[8 + m] + oz * value) + d[4 * s + 1] * (
                            products[16 + m] + oy * value
                        )
                        out[r] -= shift + d[4 * s + 2] * (products[24 + m] + ox * value) + d[4 * s + 3] * value
                for m in range(6):
                    out[3 + m] += products[m]


@compiled()
def _group(edges, span, k):
    """In which of the CELLS parts of a window its cell k lies."""
    begin, end = edges[span[0]], edges[span[1]]
    return min(int((0.5 * (edges[k] + edges[k + 1]) - begin) * CELLS / (end - begin)), CELLS - 1)


@compiled(cache=True)
def finish_nodes(partition, sums, state, first, stop, scratch):
    """Residual translation sums of the parts of each window, `GridState.cells`, for the converged among first..stop.

    Parameters
    ----------
    partition : Partition
    sums : CellSums
    state : GridState
        After `step_nodes`, with the `phi` that it began with.
    first, stop : int
    scratch : NodeScratch
    """
    node, low, high, d, _vectors = (
        scratch.window[0], scratch.window[1], scratch.window[2], scratch.vectors[4], scratch.vectors,
    )  # fmt: skip
    for n in range(first, stop):
        if state.status[n] != CONVERGED:
            continue
        _place(partition, n, node)
        if _assemble(partition, sums, state, n, node, state.hessian[n], scratch) < 0.0:
            state.pending[n] = HANDED_OVER
            continue
        mean_f, sd_f, mean_g, sd_g, _ = grey_statistics(scratch.totals[0], scratch.totals[1])
        ratio = sd_f / sd_g if sd_g > 1e-9 else 0.0
        response, cells = state.numbers[n, 6], state.cells[n]
        for k in range(cells.shape[0]):
            for j in range(9):
                cells[k, j] = 0.0
        for axis in range(3):
            low[axis] = high[axis] = 1 << 60
        _next_owner(partition, node, low, high)
        while True:
            _displacement_of(partition, state.phi, n, low, node, scratch.work, d)
            for i in range(12):  # the step took H for the answer: what it left is seen with H again
                d[i] = response * d[i] + state.step[n, i]
            _add_residuals(partition, sums, low, high, node, d, ratio, mean_f, mean_g, cells)
            if not _next_owner(partition, node, low, high):
                break

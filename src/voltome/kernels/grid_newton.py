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

from voltome.kernels.assembly import (
    add_cells,
    displacement_of,
    next_owner,
    place,
    spread_linear,
    spread_products,
)
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
    for axis in range(3):  # behind the last: `next_owner` then begins with the first
        low[axis] = high[axis] = 1 << 60
    next_owner(partition, node, low, high)
    while True:
        owner = displacement_of(partition, state.phi, n, low, node, scratch.work, d)
        if state.status[owner] < 0 and state.status[owner] != HANDED_OVER:
            return -1.0
        largest = max(largest, _largest_displacement(partition, low, high, node, d))
        add_cells(partition, sums, low, high, node, scratch)
        spread_products(scratch.products, part)
        for i in range(12):
            total = 0.0
            for j in range(12):
                hessian[i, j] += part[i, j]
                total += part[i, j] * d[j]
            vectors[3, i] += total
        if not next_owner(partition, node, low, high):
            spread_linear(scratch.linear, vectors)
            return largest


@compiled()
def response_of(totals):
    """What of the Hessian answers to a displacement, from the sums of `add_cells`; 1 where they do not say."""
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
            place(partition, n, node)
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
        place(partition, n, node)
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
        next_owner(partition, node, low, high)
        while True:
            displacement_of(partition, state.phi, n, low, node, scratch.work, d)
            for i in range(12):  # the step took H for the answer: what it left is seen with H again
                d[i] = response * d[i] + state.step[n, i]
            _add_residuals(partition, sums, low, high, node, d, ratio, mean_f, mean_g, cells)
            if not next_owner(partition, node, low, high):
                break

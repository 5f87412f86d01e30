"""Inverse-compositional Gauss-Newton for a batch of windows (12 or 6 degrees of freedom, ZNSSD).

Follows Pan, Li and Tong 2013 (10.1007/s11340-013-9717-6) in three dimensions, with the zero-normalised criterion: gain
and offset of the grey values do not enter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from voltome.kernels.acceleration import MEMORY_SHAPE, WORK_SHAPE, accelerate, forget
from voltome.kernels.compilation import compiled
from voltome.kernels.moments import (
    PLANE_SIZE,
    ROWS,
    Window,
    add_at,
    grey_statistics,
    response_row,
    row_start,
    sample_rows,
    sum_deformed,
    sum_reference,
    whole_groups,
)
from voltome.kernels.sampling import TAIL, line_size
from voltome.kernels.small_matrices import (
    compose_inverse,
    determinant,
    factorise,
    project,
    rotate_exactly,
    solve_factorised,
)
from voltome.kernels.vector import LANES, load, total
from voltome.kernels.weights import fill_weights

_f4 = np.float32

CONVERGED, SPENT, ERROR, SINGULAR, DETERMINANT, MASKED, NAN_START = 2, 1, -1, -2, -3, -5, -7
LEFT_BLOCK = -100
"""The window's image has left the part of the deformed volume that was read: read more and go on from phi."""

CELLS = 4
"""Cells along each side of a window in which the residual displacement is looked at."""


def _rigid_increments():
    out = np.zeros((12, 6))
    for a in range(3):
        b, c = (a + 1) % 3, (a + 2) % 3
        out[4 * a + 3, a] = out[4 * b + c, 3 + a] = 1.0
        out[4 * c + b, 3 + a] = -1.0
    return out


RIGID = _rigid_increments()
"""Phi's twelve parameters for unit translations z, y, x and small unit rotations z, y, x about the node.

Rotations are right-handed in x, y, z, in radians.
"""

_RESIDUALS = 9
_MOVED = 0.75
_REBASES = 6
_PATIENCE = 10


class Rules(NamedTuple):
    """How a node is worked: SPAM's limits where it has them."""

    half_window: int
    tolerance: float
    max_iterations: int
    min_coverage: float
    det_low: float
    det_high: float
    cells: bool = True
    """Whether the residual displacement of the windows' cells is wanted."""
    rigid: bool = False
    """Whether steps are rotations and translations only: the start's stretch then stays what it is."""


@compiled()
def image_box(window, deformed, phi, box):
    """Bounding box of the window's image in the deformed block, from its eight corners."""
    for a in range(3):
        centre = window.node[a] + deformed.shift[a] + phi[a, 3]
        low = high = centre
        for c in range(3):
            p, q = phi[a, c] * window.low[c], phi[a, c] * (window.high[c] - 1)
            low += min(p, q)
            high += max(p, q)
        box[a, 0], box[a, 1] = low, high


@compiled()
def leaves_block(box, deformed):
    """Whether a part of the image lies inside the volume but outside what was read."""
    for a in range(3):
        low, high = max(box[a, 0], deformed.inside[a, 0]), min(box[a, 1], deformed.inside[a, 1])
        if low <= high and (low < deformed.readable[a, 0] or high > deformed.readable[a, 1]):
            return True
    return False


@compiled()
def inside_volume(box, deformed):
    for a in range(3):
        if box[a, 0] < deformed.inside[a, 0] or box[a, 1] > deformed.inside[a, 1]:
            return False
    return True


@compiled()
def moved(box, base):
    for a in range(3):
        if abs(box[a, 0] - base[a, 0]) > _MOVED or abs(box[a, 1] - base[a, 1]) > _MOVED:
            return True
    return False


@compiled()
def _weigh(reference, deformed, weighting, node, low, high, phi, inside, buffer):
    """The window with its weights: a shared row of ones where nothing is masked and nothing leaves the volume."""
    n = high[2] - low[2]
    if inside and weighting.reference.size == 0 and weighting.deformed.size == 0:
        for i in range(whole_groups(n)):
            weighting.ones[i] = np.float32(1.0) if i < n else np.float32(0.0)
        return Window(node, low, high, weighting.ones, 0)
    window = Window(node, low, high, buffer, whole_groups(n))
    fill_weights(reference, deformed, weighting, window, phi, low[0], high[0])
    return window


@compiled()
def step_norm(step, lever):
    """Size of an increment in voxels: displacement and, at the window's rms lever arm, gradient."""
    total = 0.0
    for k in range(12):
        v = step[k] if k % 4 == 3 else lever * step[k]
        total += v * v
    return math.sqrt(total)


@compiled()
def limit_step(step, half_window):
    """Norm of an increment in voxels; a wild one is shortened: go its way, but not so far."""
    norm = step_norm(step, half_window / math.sqrt(3.0))
    if norm > 0.5 * half_window:
        for k in range(12):
            step[k] *= 0.5 * half_window / norm
    return norm


@compiled()
def has_settled(norm, previous, tolerance):
    """Whether what is left to go is below the tolerance (voxels), from the last two norms (`previous` < 0: only one).

    Convergence is linear: with rate r = norm / previous what is left is about norm r / (1 - r).
    """
    rate = norm / previous if previous > 0.0 else 1.0
    return norm < 0.1 * tolerance or (rate < 0.7 and norm * rate / (1.0 - rate) < tolerance)


@compiled()
def plain_norm(step):
    total = 0.0
    for k in range(12):
        total += step[k] * step[k]
    return math.sqrt(total)


@compiled(cache=True)
def right_hand_side(gradient, gradient_grey, product, totals_f, totals_g, rhs):
    """sum of w SD (sd_f / sd_g (g - mean g) - (f - mean f)) from the sums of the window; returns the ZNCC."""
    mean_f, sd_f, mean_g, sd_g, zncc = grey_statistics(totals_f, totals_g)
    ratio = sd_f / sd_g if sd_g > 1e-9 else 0.0
    for k in range(12):
        rhs[k] = ratio * (product[k] - mean_g * gradient[k]) - (gradient_grey[k] - mean_f * gradient[k])
    return zncc


@compiled(fastmath=True)
def _residual_row(reference, w, m, k, values, first, n, ratio, mean_f, mean_g, columns, at):
    """Add a row's w g_r residual (3) and w g_r g_s (6), voxel by voxel, to the columns from `at` on."""
    f, gz, gy, gx = reference.grey, reference.gradient_z, reference.gradient_y, reference.gradient_x
    width = whole_groups(n)
    for i in range(0, width, LANES):
        weight = load(w, m + i)
        a, b, c = load(gz, k + i), load(gy, k + i), load(gx, k + i)
        r = weight * (ratio * (load(values, first + i) - mean_g) - (load(f, k + i) - mean_f))
        wa, wb = weight * a, weight * b
        here = at + i
        add_at(columns, here, a * r)
        add_at(columns, here + width, b * r)
        add_at(columns, here + 2 * width, c * r)
        add_at(columns, here + 3 * width, wa * a)
        add_at(columns, here + 4 * width, wa * b)
        add_at(columns, here + 5 * width, wa * c)
        add_at(columns, here + 6 * width, wb * b)
        add_at(columns, here + 7 * width, wb * c)
        add_at(columns, here + 8 * width, weight * c * c)


@compiled()
def _sum_cells(reference, deformed, window, phi, statistics, values, line, columns, out):
    """Gauss-Newton sums of a pure translation for each of CELLS^3 cells of the window.

    out[cell] holds sum w g_r residual (3) and sum w g_r g_s (zz zy zx yy yx xx). Returns the window's response, see
    `moments.response_row`.
    """
    mean_f, sd_f, mean_g, sd_g, _ = statistics
    ratio = sd_f / sd_g if sd_g > 1e-9 else 0.0
    nz, ny, nx = window.high[0] - window.low[0], window.high[1] - window.low[1], window.high[2] - window.low[2]
    length, width = values.size // ROWS, whole_groups(nx)
    sums = CELLS * _RESIDUALS * width
    for i in range(sums + 2 * LANES):
        columns[i] = 0.0
    for z in range(nz):
        for first in range(0, ny, ROWS):
            rows = min(ROWS, ny - first)
            sample_rows(deformed, window, phi, z + window.low[0], first + window.low[1], 1, rows, values, length, line)
            for j in range(rows):
                k, m = row_start(window, reference.shape, z + window.low[0], first + j + window.low[1])
                at = (first + j) * CELLS // ny * _RESIDUALS * width
                _residual_row(
                    reference, window.weights, m, k, values, j * length, nx, _f4(ratio), _f4(mean_f), _f4(mean_g),
                    columns, at,
                )  # fmt: skip
                response_row(reference, window.weights, m, k, values, j * length, nx, columns, sums)
        cz = z * CELLS // nz
        if z + 1 < nz and (z + 1) * CELLS // nz == cz:
            continue
        for cy in range(CELLS):
            for cx in range(CELLS):
                cell = out[(cz * CELLS + cy) * CELLS + cx]
                for j in range(_RESIDUALS):
                    value, at = 0.0, (cy * _RESIDUALS + j) * width
                    for i in range((cx * nx + CELLS - 1) // CELLS, ((cx + 1) * nx + CELLS - 1) // CELLS):
                        value += float(columns[at + i])
                        columns[at + i] = 0.0
                    cell[j] = value
    squares = total(load(columns, sums + LANES))  # none in a window of less than seven voxels along x
    return ratio * total(load(columns, sums)) / squares if squares > _f4(1e-30) else 1.0


class Scratch(NamedTuple):
    """Memory of one thread: rows, weights of a window, and the small arrays of a node."""

    values: NDArray[np.float32]
    line: NDArray[np.float32]
    plane: NDArray[np.float32]
    columns: NDArray[np.float32]
    weights: NDArray[np.float32]
    boxes: NDArray[np.float64]
    factor: NDArray[np.float64]
    rigid_factor: NDArray[np.float64]
    rigid_hessian: NDArray[np.float64]
    vectors: NDArray[np.float64]
    totals: NDArray[np.float64]
    matrices: NDArray[np.float64]
    before: NDArray[np.float64]
    memory: NDArray[np.float64]
    steps: NDArray[np.float64]


@compiled()
def _prepare(rules, hessian, scratch):
    """Factorise the Hessian in the parameters that may move; False where it is singular."""
    if not rules.rigid:
        return factorise(hessian, scratch.factor)
    project(hessian, RIGID, scratch.rigid_hessian)
    return factorise(scratch.rigid_hessian, scratch.rigid_factor)


@compiled()
def _solve(rules, rhs, scratch, step):
    """Increment of the twelve parameters, shortened if it is wild; returns its norm in voxels before that."""
    if not rules.rigid:
        solve_factorised(scratch.factor, rhs, step)
        return limit_step(step, rules.half_window)
    some, few = scratch.totals[2], scratch.totals[3]
    for i in range(6):
        some[i] = 0.0
        for k in range(12):
            some[i] += RIGID[k, i] * rhs[k]
    solve_factorised(scratch.rigid_factor, some, few)
    for k in range(12):
        step[k] = 0.0
        for i in range(6):
            step[k] += RIGID[k, i] * few[i]
    norm = limit_step(step, rules.half_window)
    rotate_exactly(step)
    return norm


@compiled()
def _correlate_node(reference, deformed, weighting, rules, node, low, high, phi, scratch, numbers, hessian, cells):
    """Work one node in place; returns its status. See `correlate_nodes` for `numbers`."""
    values, line, box, base = scratch.values, scratch.line, scratch.boxes[0], scratch.boxes[1]
    gradient, gradient_grey, product = scratch.vectors[0], scratch.vectors[1], scratch.vectors[2]
    rhs, step, before = scratch.vectors[3], scratch.vectors[4], scratch.before
    lever = rules.half_window / math.sqrt(3.0)
    totals_f, totals_g = scratch.totals[0], scratch.totals[1]
    window = Window(node, low, high, weighting.ones, 0)
    cropped = float((high[0] - low[0]) * (high[1] - low[1]) * (high[2] - low[2]))
    status, previous, rebases, settled = SPENT, -1.0, 0, False
    smallest, stalled = 1e30, 0
    for iteration in range(rules.max_iterations):
        image_box(window, deformed, phi, box)
        if leaves_block(box, deformed):
            return LEFT_BLOCK
        inside = inside_volume(box, deformed)
        fixed = inside and settled
        if rebases == 0 or (not fixed and rebases < _REBASES and moved(box, base)):
            window = _weigh(reference, deformed, weighting, node, low, high, phi, inside, scratch.weights)
            sum_reference(reference, window, low[0], high[0], scratch.plane, hessian, gradient, gradient_grey, totals_f)
            numbers[2] = totals_f[0] / cropped
            if totals_f[0] < rules.min_coverage * cropped or totals_f[0] < 24.0:
                return MASKED
            if not _prepare(rules, hessian, scratch):
                return SINGULAR
            for a in range(3):
                base[a, 0], base[a, 1] = box[a, 0], box[a, 1]
            settled = inside and weighting.deformed.size == 0
            forget(scratch.memory)
            rebases += 1
        sum_deformed(reference, deformed, window, phi, low[0], high[0], values, line, product, totals_g)
        numbers[0] = right_hand_side(gradient, gradient_grey, product, totals_f, totals_g, rhs)
        norm = _solve(rules, rhs, scratch, step)
        for r in range(3):
            for c in range(4):
                before[r, c] = phi[r, c]
        if not compose_inverse(phi, step, scratch.matrices):
            return ERROR
        numbers[1], numbers[3] = plain_norm(step), iteration + 1.0
        det = determinant(phi)
        if not (det > rules.det_low and det < rules.det_high):
            return DETERMINANT
        # Where there is no texture steps only wander: give up when they have not become smaller for a while.
        stalled = 0 if norm < 0.9 * smallest else stalled + 1
        smallest = min(smallest, norm)
        if stalled >= _PATIENCE:
            break
        if has_settled(norm, previous, rules.tolerance):
            status = CONVERGED
            break
        previous = norm
        if not rules.rigid:  # a mean of rotations is none
            accelerate(before, phi, lever, scratch.memory, scratch.steps)
    statistics = grey_statistics(totals_f, totals_g)
    numbers[4], numbers[5] = statistics[1], totals_f[0]
    if rules.cells:
        numbers[6] = _sum_cells(reference, deformed, window, phi, statistics, values, line, scratch.columns, cells)
    return status


@njit(nogil=True, cache=True)
def correlate_nodes(reference, deformed, weighting, rules, nodes, low, high, phi, status, numbers, hessian, cells):
    """Correlate a batch of nodes, one after the other.

    Parameters
    ----------
    reference : Reference
    deformed : Deformed
    weighting : Weighting
    rules : Rules
    nodes, low, high : int64 (N, 3)
        Nodes in the reference block's voxels and their windows' half-open extent.
    phi : float64 (N, 3, 4)
        In: the start; out: the result.
    status : int32 (N,)
        Out: SPAM's codes, or `LEFT_BLOCK`.
    numbers : float64 (N, 7)
        Out: ZNCC, norm of the last increment, coverage, iterations, the window's grey sd, its sum of weights, its
        response (see `moments.response_row`; where `Rules.cells`).
    hessian : float64 (N, 12, 12)
        Out: the Gauss-Newton Hessian.
    cells : float64 (N, CELLS^3, 9)
        Out: translation sums for each cell of the window; see `_sum_cells`.
    """
    width, rows = 0, 0
    for n in range(len(nodes)):
        width = max(width, high[n, 2] - low[n, 2])
        rows = max(rows, (high[n, 0] - low[n, 0]) * (high[n, 1] - low[n, 1]))
    scratch = Scratch(
        np.zeros(ROWS * (whole_groups(width) + TAIL), dtype=np.float32),
        np.zeros(ROWS * line_size(width), dtype=np.float32),
        np.zeros(PLANE_SIZE, dtype=np.float32),
        np.zeros(CELLS * _RESIDUALS * whole_groups(width) + 2 * LANES, dtype=np.float32),
        np.zeros(rows * whole_groups(width) + TAIL, dtype=np.float32),
        np.zeros((2, 3, 2)),
        np.zeros((12, 12)),
        np.zeros((6, 6)),
        np.zeros((6, 6)),
        np.zeros((5, 12)),
        np.zeros((4, 6)),
        np.zeros((3, 3, 3)),
        np.zeros((3, 4)),
        np.zeros(MEMORY_SHAPE),
        np.zeros(WORK_SHAPE),
    )
    for n in range(len(nodes)):
        if not np.isfinite(phi[n].sum()):
            status[n] = NAN_START
            continue
        status[n] = _correlate_node(
            reference,
            deformed,
            weighting,
            rules,
            nodes[n],
            low[n],
            high[n],
            phi[n],
            scratch,
            numbers[n],
            hessian[n],
            cells[n],
        )

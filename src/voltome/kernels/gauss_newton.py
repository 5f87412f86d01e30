"""Inverse-compositional Gauss-Newton for a batch of windows (12 degrees of freedom, ZNSSD).

Follows Pan, Li and Tong 2013 (10.1007/s11340-013-9717-6) in three dimensions, with the zero-normalised criterion: gain
and offset of the grey values do not enter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from voltome.kernels.moments import (
    Window,
    grey_statistics,
    sample_window_row,
    sum_deformed,
    sum_reference,
    whole_groups,
)
from voltome.kernels.sampling import TAIL
from voltome.kernels.small_matrices import compose_inverse, determinant, factorise, solve_factorised

CONVERGED, SPENT, ERROR, SINGULAR, DETERMINANT, MASKED, NAN_START = 2, 1, -1, -2, -3, -5, -7
LEFT_BLOCK = -100
"""The window's image has left the part of the deformed volume that was read: read more and go on from phi."""

CELLS = 4
"""Cells along each side of a window in which the residual displacement is looked at."""

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


class Weighting(NamedTuple):
    """Optional weights: an empty array stands for ones."""

    reference: NDArray[np.float32]
    deformed: NDArray[np.float32]
    ones: NDArray[np.float32]


@njit(nogil=True)
def _image_box(window, deformed, phi, box):
    """Bounding box of the window's image in the deformed block, from its eight corners."""
    for a in range(3):
        centre = window.node[a] + deformed.shift[a] + phi[a, 3]
        low = high = centre
        for c in range(3):
            p, q = phi[a, c] * window.low[c], phi[a, c] * (window.high[c] - 1)
            low += min(p, q)
            high += max(p, q)
        box[a, 0], box[a, 1] = low, high


@njit(nogil=True)
def _leaves_block(box, deformed):
    """Whether a part of the image lies inside the volume but outside what was read."""
    for a in range(3):
        low, high = max(box[a, 0], deformed.inside[a, 0]), min(box[a, 1], deformed.inside[a, 1])
        if low <= high and (low < deformed.readable[a, 0] or high > deformed.readable[a, 1]):
            return True
    return False


@njit(nogil=True)
def _inside(box, deformed):
    for a in range(3):
        if box[a, 0] < deformed.inside[a, 0] or box[a, 1] > deformed.inside[a, 1]:
            return False
    return True


@njit(nogil=True)
def _moved(box, base):
    for a in range(3):
        if abs(box[a, 0] - base[a, 0]) > _MOVED or abs(box[a, 1] - base[a, 1]) > _MOVED:
            return True
    return False


@njit(nogil=True)
def _voxel_weight(deformed, weighting, phi, window, z, y, x):
    """Weight of what a voxel is mapped to: 0 outside the deformed volume, else the nearest weight there."""
    k = 0
    for a in range(3):
        p = window.node[a] + deformed.shift[a] + phi[a, 3] + phi[a, 0] * z + phi[a, 1] * y + phi[a, 2] * x
        if p < deformed.inside[a, 0] or p > deformed.inside[a, 1]:
            return 0.0
        k = k * deformed.shape[a] + min(max(int(p + 0.5), 0), deformed.shape[a] - 1)
    return weighting.deformed[k] if weighting.deformed.size > 0 else 1.0


@njit(nogil=True, cache=True)
def fill_weights(reference, deformed, weighting, window, phi, first_z, stop_z):
    """Weights of planes first_z..stop_z of a window that is masked or leaves the volume, one padded row after another.

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
    out, stride = window.weights, window.row_stride
    m = (first_z - window.low[0]) * (window.high[1] - window.low[1]) * stride
    for z in range(first_z, stop_z):
        for y in range(window.low[1], window.high[1]):
            k = (window.node[0] + z) * reference.shape[1] + window.node[1] + y
            k = k * reference.shape[2] + window.node[2] + window.low[2]
            for i in range(window.high[2] - window.low[2]):
                w = weighting.reference[k + i] if weighting.reference.size > 0 else np.float32(1.0)
                if w > 0.0:
                    w *= _voxel_weight(deformed, weighting, phi, window, z, y, window.low[2] + i)
                out[m + i] = w
            for i in range(window.high[2] - window.low[2], stride):
                out[m + i] = np.float32(0.0)
            m += stride


@njit(nogil=True)
def _weigh(reference, deformed, weighting, node, low, high, phi, inside, buffer):
    """The window with its weights: a shared row of ones where nothing is masked and nothing leaves the volume."""
    if inside and weighting.reference.size == 0 and weighting.deformed.size == 0:
        n = high[2] - low[2]
        weighting.ones[:n] = np.float32(1.0)
        weighting.ones[n:] = np.float32(0.0)
        return Window(node, low, high, weighting.ones, 0)
    stride = whole_groups(high[2] - low[2])
    window = Window(node, low, high, buffer, stride)
    fill_weights(reference, deformed, weighting, window, phi, low[0], high[0])
    return window


@njit(nogil=True)
def _step_norm(step, lever):
    """Size of an increment in voxels: displacement and, at the window's rms lever arm, gradient."""
    total = 0.0
    for k in range(12):
        v = step[k] if k % 4 == 3 else lever * step[k]
        total += v * v
    return math.sqrt(total)


@njit(nogil=True)
def _plain_norm(step):
    total = 0.0
    for k in range(12):
        total += step[k] * step[k]
    return math.sqrt(total)


@njit(nogil=True, cache=True)
def right_hand_side(reference_sums, deformed_sums, totals_f, totals_g, rhs):
    """sum of w SD (sd_f / sd_g (g - mean g) - (f - mean f)) from the sums of the window; returns the ZNCC."""
    mean_f, sd_f, mean_g, sd_g, zncc = grey_statistics(totals_f, totals_g)
    gradient, gradient_grey = reference_sums
    ratio = sd_f / sd_g if sd_g > 1e-9 else 0.0
    for k in range(12):
        rhs[k] = ratio * (deformed_sums[k] - mean_g * gradient[k]) - (gradient_grey[k] - mean_f * gradient[k])
    return zncc


@njit(nogil=True)
def _sum_cells(reference, deformed, window, phi, statistics, values, out):
    """Gauss-Newton sums of a pure translation for each of CELLS^3 cells of the window, every second row and plane.

    out[cell] holds sum w g_r residual (3) and sum w g_r g_s (zz zy zx yy yx xx).
    """
    out[:] = 0.0
    mean_f, sd_f, mean_g, sd_g, _ = statistics
    ratio = sd_f / sd_g if sd_g > 1e-9 else 0.0
    shape_y, shape_x = reference.shape[1], reference.shape[2]
    nz, ny, nx = window.high[0] - window.low[0], window.high[1] - window.low[1], window.high[2] - window.low[2]
    for z in range(window.low[0], window.high[0], 2):
        cz = (z - window.low[0]) * CELLS // nz
        for y in range(window.low[1], window.high[1], 2):
            cy = (y - window.low[1]) * CELLS // ny
            k = ((window.node[0] + z) * shape_y + window.node[1] + y) * shape_x + window.node[2] + window.low[2]
            m = ((z - window.low[0]) * ny + y - window.low[1]) * window.row_stride
            sample_window_row(deformed, window, phi, z, y, values)
            for cx in range(CELLS):
                cell = out[(cz * CELLS + cy) * CELLS + cx]
                for i in range((cx * nx + CELLS - 1) // CELLS, ((cx + 1) * nx + CELLS - 1) // CELLS):
                    w = window.weights[m + i]
                    z_, y_, x_ = reference.gradient_z[k + i], reference.gradient_y[k + i], reference.gradient_x[k + i]
                    r = w * (ratio * (values[i] - mean_g) - (reference.grey[k + i] - mean_f))
                    cell[0] += z_ * r
                    cell[1] += y_ * r
                    cell[2] += x_ * r
                    cell[3] += w * z_ * z_
                    cell[4] += w * z_ * y_
                    cell[5] += w * z_ * x_
                    cell[6] += w * y_ * y_
                    cell[7] += w * y_ * x_
                    cell[8] += w * x_ * x_


@njit(nogil=True)
def _correlate_node(reference, deformed, weighting, rules, node, low, high, phi, scratch, numbers, hessian, cells):
    """Work one node in place; returns its status. See `correlate_nodes` for `numbers`."""
    values, buffer = scratch
    box, base = np.zeros((3, 2)), np.full((3, 2), 1e30)
    factor = np.zeros((12, 12))
    gradient, gradient_grey, product, rhs, step = np.zeros(12), np.zeros(12), np.zeros(12), np.zeros(12), np.zeros(12)
    totals_f, totals_g = np.zeros(3), np.zeros(3)
    lever = rules.half_window / math.sqrt(3.0)
    window = Window(node, low, high, weighting.ones, 0)
    cropped = float((high[0] - low[0]) * (high[1] - low[1]) * (high[2] - low[2]))
    status, previous, rebases, base_inside = SPENT, -1.0, 0, False
    smallest, stalled = 1e30, 0
    for iteration in range(rules.max_iterations):
        _image_box(window, deformed, phi, box)
        if _leaves_block(box, deformed):
            return LEFT_BLOCK
        inside = _inside(box, deformed)
        if rebases == 0 or (not (inside and base_inside) and rebases < _REBASES and _moved(box, base)):
            window = _weigh(reference, deformed, weighting, node, low, high, phi, inside, buffer)
            sum_reference(reference, window, low[0], high[0], hessian, gradient, gradient_grey, totals_f)
            numbers[2] = totals_f[0] / cropped
            if totals_f[0] < rules.min_coverage * cropped or totals_f[0] < 24.0:
                return MASKED
            if not factorise(hessian, factor):
                return SINGULAR
            base[:] = box
            base_inside = inside
            rebases += 1
        sum_deformed(reference, deformed, window, phi, low[0], high[0], values, product, totals_g)
        numbers[0] = right_hand_side((gradient, gradient_grey), product, totals_f, totals_g, rhs)
        solve_factorised(factor, rhs, step)
        norm = _step_norm(step, lever)
        if norm > 0.5 * rules.half_window:  # a wild step: go its way, but not so far
            for k in range(12):
                step[k] *= 0.5 * rules.half_window / norm
        if not compose_inverse(phi, step):
            return ERROR
        numbers[1], numbers[3] = _plain_norm(step), iteration + 1.0
        det = determinant(phi)
        if not (det > rules.det_low and det < rules.det_high):
            return DETERMINANT
        # Convergence is linear: with rate r = norm / previous what is left is about norm r / (1 - r).
        # Where there is no texture steps only wander: give up when they have not become smaller for a while.
        stalled = 0 if norm < 0.9 * smallest else stalled + 1
        smallest = min(smallest, norm)
        if stalled >= _PATIENCE:
            break
        rate = norm / previous if previous > 0.0 else 1.0
        previous = norm
        if norm < 0.1 * rules.tolerance or (rate < 0.7 and norm * rate / (1.0 - rate) < rules.tolerance):
            status = CONVERGED
            break
    statistics = grey_statistics(totals_f, totals_g)
    numbers[4], numbers[5] = statistics[1], totals_f[0]
    _sum_cells(reference, deformed, window, phi, statistics, values, cells)
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
    numbers : float64 (N, 6)
        Out: ZNCC, norm of the last increment, coverage, iterations, the window's grey sd, its sum of weights.
    hessian : float64 (N, 12, 12)
        Out: the Gauss-Newton Hessian.
    cells : float64 (N, CELLS^3, 9)
        Out: translation sums for each cell of the window; see `_sum_cells`.
    """
    width, rows = 0, 0
    for n in range(len(nodes)):
        width = max(width, high[n, 2] - low[n, 2])
        rows = max(rows, (high[n, 0] - low[n, 0]) * (high[n, 1] - low[n, 1]))
    values = np.zeros(whole_groups(width) + TAIL, dtype=np.float32)
    buffer = np.empty(rows * whole_groups(width) + TAIL, dtype=np.float32)
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
            (values, buffer),
            numbers[n],
            hessian[n],
            cells[n],
        )

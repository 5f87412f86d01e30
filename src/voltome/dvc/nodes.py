"""Correlation of a set of nodes at one resolution: blocks with halo, threads, covariance."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import Buffers, prepare_deformed, prepare_reference, read_normalised
from voltome.dvc.boxes import Box, Pair, cut_boxes, deformed_weights, reference_weights
from voltome.dvc.node_results import NodeResults, NodeRules, keep_results, kernel_inputs
from voltome.dvc.overlap import correlate_grid, find_grid
from voltome.dvc.workers import finish_jobs
from voltome.fields import FloatArray, NodeStatus
from voltome.kernels import filters, gauss_newton
from voltome.kernels.moments import Deformed, Reference

_BATCH = 32
_ROUNDS = 8
_STEP_VOX = 0.1


def correlate_nodes(
    pair: Pair,
    positions_vox: NDArray[np.int64],
    start_phi: FloatArray,
    rules: NodeRules,
    *,
    pool: ThreadPoolExecutor,
    on_progress: Callable[[int, int], None] | None = None,
) -> NodeResults:
    """Correlate nodes by inverse-compositional Gauss-Newton (10.1007/s11340-013-9717-6), 12 dof, ZNSSD.

    Parameters
    ----------
    pair : Pair
    positions_vox : (N, 3) int64
        Nodes, in voxels of the pair.
    start_phi : (N, 4, 4) float64
        Where each node starts, relative to the node.
    rules : NodeRules
    pool : ThreadPoolExecutor
        Threads that work batches of nodes; the kernels release the GIL.
    on_progress : callable, optional
        Called with nodes done and nodes in all.

    Returns
    -------
    NodeResults
        One entry per node; a failed node has a status below 2 and keeps its last Phi.

    Raises
    ------
    InputError
        If the volumes hold NaN where no mask excludes it.
    """
    results = NodeResults.start(start_phi)
    shape = np.asarray(pair.reference.shape, dtype=np.int64)
    low, high = cut_windows(positions_vox, shape, rules.half_window_vox)
    empty = (high <= low).any(axis=1)
    results.status[empty] = NodeStatus.MASKED
    waiting = np.flatnonzero(~empty)
    buffers = Buffers()
    margin, done = choose_margin(rules), int(empty.sum())
    for _ in range(_ROUNDS):
        left: list[NDArray[np.int64]] = []
        for box in cut_boxes(waiting, positions_vox, results.phi, low, high, shape, margin, rules):
            window = _work_box(pair, box, positions_vox, low, high, results, rules, pool, buffers)
            for batch in window:
                left.append(batch[results.status[batch] == gauss_newton.LEFT_BLOCK])
                done += len(batch) - len(left[-1])
                if on_progress is not None:
                    on_progress(done, len(positions_vox))
        waiting = np.concatenate(left) if left else np.zeros(0, dtype=np.int64)
        if not len(waiting):
            break
        margin *= 2.0
    results.status[waiting] = NodeStatus.ERROR
    return results


def cut_windows(
    positions_vox: NDArray[np.int64], shape: NDArray[np.int64], half_window_vox: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where windows begin and end, relative to their nodes: cut at the volume's faces less the gradient's reach.

    Parameters
    ----------
    positions_vox : (N, 3) int64
    shape : (3,) int64
    half_window_vox : int

    Returns
    -------
    low, high : (N, 3) int64
        First voxel, and the one behind the last; a window without voxels has high <= low.
    """
    rim = filters.GRADIENT_REACH
    low = np.maximum(-half_window_vox, rim - positions_vox)
    high = np.minimum(half_window_vox + 1, shape - rim - positions_vox)
    return low, high


def choose_margin(rules: NodeRules) -> float:
    """Voxels around the images of the windows that are read at first, for what they may still move.

    Parameters
    ----------
    rules : NodeRules

    Returns
    -------
    float
    """
    return max(4.0, 0.2 * rules.half_window_vox)


def _work_box(
    pair: Pair,
    box: Box,
    positions: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    results: NodeResults,
    rules: NodeRules,
    pool: ThreadPoolExecutor,
    buffers: Buffers,
) -> list[NDArray[np.int64]]:
    """Read what a box needs and correlate its nodes in batches; returns the batches."""
    shape, deformed_shape = box.reference_stop - box.reference_start, box.deformed_stop - box.deformed_start
    grey = buffers.take("reference", int(np.prod(shape)))
    read_normalised(pair.reference, box.reference_start, box.reference_stop, pair.reference_scale, grey)
    weights = reference_weights(pair, box, grey)
    reference = prepare_reference(pool, grey, shape, buffers)
    samples = buffers.take("deformed", int(np.prod(deformed_shape)))
    read_normalised(pair.deformed, box.deformed_start, box.deformed_stop, pair.deformed_scale, samples)
    valid = deformed_weights(pair, box, samples)
    deformed = prepare_deformed(
        pool,
        samples,
        box.deformed_start,
        deformed_shape,
        reference_start=box.reference_start,
        volume_shape=pair.deformed.shape,
        cubic=rules.cubic,
    )
    nodes = positions - box.reference_start
    alone = _work_grid(reference, deformed, (weights, valid), nodes, low, high, box.index, results, rules, pool)
    batches = [alone[i : i + _BATCH] for i in range(0, len(alone), _BATCH)]
    jobs = {
        pool.submit(
            _work_batch,
            reference,
            deformed,
            (weights, valid),
            nodes,
            low,
            high,
            batch,
            results,
            rules,
        ): batch
        for batch in batches
    }
    return [np.setdiff1d(box.index, alone), *finish_jobs(jobs)]


def _work_batch(
    reference: Reference,
    deformed: Deformed,
    weights: tuple[NDArray[np.float32], NDArray[np.float32]],
    nodes: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    batch: NDArray[np.int64],
    results: NodeResults,
    rules: NodeRules,
) -> None:
    """Run the kernel on a batch of nodes and turn its sums into results."""
    n = len(batch)
    limits, weighting = kernel_inputs(weights, rules)
    phi = np.ascontiguousarray(results.phi[batch, :3, :])
    status = np.zeros(n, dtype=np.int32)
    numbers, hessian = np.full((n, 7), np.nan), np.zeros((n, 12, 12))
    cells = np.zeros((n, gauss_newton.CELLS**3, 9))
    gauss_newton.correlate_nodes(
        reference,
        deformed,
        weighting,
        limits,
        np.ascontiguousarray(nodes[batch]),
        np.ascontiguousarray(low[batch]),
        np.ascontiguousarray(high[batch]),
        phi,
        status,
        numbers,
        hessian,
        cells,
    )
    keep_results(results, batch, phi, status, numbers, hessian, cells, rules)


def _work_grid(
    reference: Reference,
    deformed: Deformed,
    weights: tuple[NDArray[np.float32], NDArray[np.float32]],
    nodes: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    index: NDArray[np.int64],
    results: NodeResults,
    rules: NodeRules,
    pool: ThreadPoolExecutor,
) -> NDArray[np.int64]:
    """Work nodes together where they form a grid; returns those that have to be worked by themselves.

    That is where a node did not converge with the others, or where its window shows a step or a residual that its
    neighbours' windows do not: cells that were sampled with the neighbours' Phi may then be at fault.
    """
    grid = find_grid(nodes[index], low[index], high[index], rules.half_window_vox)
    if grid is None:
        return index
    limits, weighting = kernel_inputs(weights, rules)
    start = np.ascontiguousarray(results.phi[index, :3, :])
    state = correlate_grid(grid, reference, deformed, weighting, limits, start, pool)
    together = np.flatnonzero(state.status == gauss_newton.CONVERGED)
    if not len(together):
        return index
    chosen = index[together]
    keep_results(
        results,
        chosen,
        state.next_phi[together],
        state.status[together],
        state.numbers[together, :7],
        state.hessian[together],
        state.cells[together],
        rules,
    )
    return np.setdiff1d(index, chosen[~_stands_out(results, chosen)] if rules.last else chosen)


def _stands_out(results: NodeResults, index: NDArray[np.int64]) -> NDArray[np.bool_]:
    ratio = results.jump_vox[index] / np.maximum(results.jump_sd_vox[index], 1e-12)
    step = (results.jump_vox[index] > _STEP_VOX) & (ratio > 2.0 * np.median(ratio))
    variance = results.residual_variance[index]
    return np.asarray(step | (variance > 2.0 * np.median(variance)))

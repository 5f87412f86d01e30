"""Correlation of a set of nodes at one resolution: blocks with halo, threads, covariance."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import GreyScale, prepare_deformed, prepare_reference, read_normalised
from voltome.dvc.jumps import find_jump
from voltome.dvc.overlap import correlate_grid, find_grid
from voltome.dvc.uncertainty import effective_variance
from voltome.errors import InputError
from voltome.fields import FloatArray, NodeStatus
from voltome.grid import VolumeSource, make_block
from voltome.kernels import filters, gauss_newton
from voltome.kernels.moments import Deformed, Reference
from voltome.kernels.sampling import TAIL
from voltome.kernels.weights import Weighting

_BATCH = 32
_ROUNDS = 8
_STEP_VOX = 0.1
_START_TOLERANCE_VOX = 0.01
_LEAST_RESPONSE = 0.2
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
class NodeRules:
    """How windows are worked; see `voltome.dvc.correlate_local` for the parameters."""

    half_window_vox: int
    cubic: bool = True
    tolerance_vox: float = 5e-4
    max_iterations: int = 50
    min_coverage: float = 0.5
    det_low: float = 0.1
    det_high: float = 10.0
    memory_bytes: int = 768 << 20
    last: bool = True
    """Whether this is the result: else a coarser tolerance will do, and neither covariance nor jumps are needed."""


@dataclass
class NodeResults:
    """Per node: what the kernels found. `residual_variance` is that of the normalised grey residual per voxel,
    `grey_sd` the standard deviation of the window's normalised grey values;
    `jump_vox` the largest displacement step found inside the window and `jump_sd_vox` its standard deviation."""

    phi: FloatArray
    status: NDArray[np.int32]
    iterations: NDArray[np.int32]
    zncc: FloatArray
    delta_phi_norm: FloatArray
    coverage: FloatArray
    covariance: NDArray[np.float32]
    residual_variance: FloatArray
    grey_sd: FloatArray
    jump_vox: FloatArray
    jump_sd_vox: FloatArray

    def take(self, index: NDArray[np.int64], other: NodeResults, chosen: NDArray[np.bool_]) -> None:
        """Replace the results at `index` by those of `other` where `chosen`; iterations add up."""
        self.iterations[index] += other.iterations
        for member in fields(self):
            if member.name != "iterations":
                getattr(self, member.name)[index[chosen]] = getattr(other, member.name)[chosen]

    @classmethod
    def start(cls, phi: FloatArray) -> NodeResults:
        n = len(phi)
        nothing = [np.full(n, np.nan) for _ in range(7)]
        return cls(
            phi=np.array(phi, dtype=np.float64),
            status=np.zeros(n, dtype=np.int32),
            iterations=np.zeros(n, dtype=np.int32),
            zncc=nothing[0],
            delta_phi_norm=nothing[1],
            coverage=nothing[2],
            covariance=np.full((n, 12, 12), np.nan, dtype=np.float32),
            residual_variance=nothing[3],
            grey_sd=nothing[4],
            jump_vox=nothing[5],
            jump_sd_vox=nothing[6],
        )


@dataclass(frozen=True)
class _Box:
    """Nodes that are worked together, and the blocks they need."""

    index: NDArray[np.int64]
    reference_start: NDArray[np.int64]
    reference_stop: NDArray[np.int64]
    deformed_start: NDArray[np.int64]
    deformed_stop: NDArray[np.int64]

    @property
    def memory_bytes(self) -> int:
        reference = int(np.prod(self.reference_stop - self.reference_start))
        return 20 * reference + 12 * int(np.prod(self.deformed_stop - self.deformed_start))


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
    rim = filters.GRADIENT_REACH
    low = np.maximum(-rules.half_window_vox, rim - positions_vox)
    high = np.minimum(rules.half_window_vox + 1, shape - rim - positions_vox)
    empty = (high <= low).any(axis=1)
    results.status[empty] = NodeStatus.MASKED
    waiting = np.flatnonzero(~empty)
    margin, done = max(4.0, 0.2 * rules.half_window_vox), int(empty.sum())
    for _ in range(_ROUNDS):
        left: list[NDArray[np.int64]] = []
        for box in _cut_boxes(waiting, positions_vox, results.phi, low, high, shape, margin, rules):
            window = _work_box(pair, box, positions_vox, low, high, results, rules, pool)
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


def _cut_boxes(
    index: NDArray[np.int64],
    positions: NDArray[np.int64],
    phi: FloatArray,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    shape: NDArray[np.int64],
    margin: float,
    rules: NodeRules,
) -> list[_Box]:
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
    box = _Box(
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
    return [b for part in parts for b in _cut_boxes(part, positions, phi, low, high, shape, margin, rules)]


def _reference_weights(pair: Pair, box: _Box, grey: NDArray[np.float32]) -> NDArray[np.float32]:
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


def _deformed_weights(pair: Pair, box: _Box, samples: NDArray[np.float32]) -> NDArray[np.float32]:
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


def _work_box(
    pair: Pair,
    box: _Box,
    positions: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    results: NodeResults,
    rules: NodeRules,
    pool: ThreadPoolExecutor,
) -> list[NDArray[np.int64]]:
    """Read what a box needs and correlate its nodes in batches; returns the batches."""
    shape = box.reference_stop - box.reference_start
    grey = read_normalised(pair.reference, box.reference_start, box.reference_stop, pair.reference_scale)
    weights = _reference_weights(pair, box, grey)
    reference = prepare_reference(pool, grey, shape)
    samples = read_normalised(pair.deformed, box.deformed_start, box.deformed_stop, pair.deformed_scale)
    valid = _deformed_weights(pair, box, samples)
    deformed = prepare_deformed(
        pool,
        samples,
        box.deformed_start,
        box.deformed_stop - box.deformed_start,
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
    finished = [np.setdiff1d(box.index, alone)]
    try:
        for job in as_completed(jobs):
            job.result()
            finished.append(jobs[job])
    except BaseException:
        for job in jobs:
            job.cancel()
        raise
    return finished


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
    limits, weighting = _kernel_inputs(weights, rules)
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
    _keep(results, batch, phi, status, numbers, hessian, cells, rules)


def _kernel_inputs(
    weights: tuple[NDArray[np.float32], NDArray[np.float32]], rules: NodeRules
) -> tuple[gauss_newton.Rules, Weighting]:
    ones = np.ones(2 * rules.half_window_vox + 1 + 2 * TAIL, dtype=np.float32)
    limits = gauss_newton.Rules(
        rules.half_window_vox,
        rules.tolerance_vox if rules.last else _START_TOLERANCE_VOX,
        rules.max_iterations,
        rules.min_coverage,
        rules.det_low,
        rules.det_high,
        rules.last,
    )
    return limits, Weighting(*weights, ones)


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
    limits, weighting = _kernel_inputs(weights, rules)
    start = np.ascontiguousarray(results.phi[index, :3, :])
    state = correlate_grid(grid, reference, deformed, weighting, limits, start, pool)
    together = np.flatnonzero(state.status == gauss_newton.CONVERGED)
    if not len(together):
        return index
    chosen = index[together]
    _keep(
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


def _keep(
    results: NodeResults,
    batch: NDArray[np.int64],
    phi: FloatArray,
    status: NDArray[np.int32],
    numbers: FloatArray,
    hessian: FloatArray,
    cells: FloatArray,
    rules: NodeRules,
) -> None:
    """Turn a kernel's sums into results; of a start, Phi is all that is wanted."""
    results.phi[batch, :3, :] = phi
    results.status[batch] = status
    results.zncc[batch], results.delta_phi_norm[batch], results.coverage[batch] = (
        numbers[:, 0],
        numbers[:, 1],
        numbers[:, 2],
    )
    iterations = np.where(np.isfinite(numbers[:, 3]), numbers[:, 3], 0).astype(np.int32)
    results.iterations[batch] += iterations
    worked = np.flatnonzero((status >= NodeStatus.ITERATIONS_SPENT) & (numbers[:, 4] > 0))
    if len(worked) and rules.last:
        chosen = batch[worked]
        variance = residual_variance(numbers[worked])
        effective = effective_variance(cells[worked], variance, rules.half_window_vox)
        effective /= np.clip(numbers[worked, 6], _LEAST_RESPONSE, None) ** 2
        results.covariance[chosen] = effective[:, None, None] * np.linalg.pinv(hessian[worked], hermitian=True)
        results.residual_variance[chosen], results.grey_sd[chosen] = variance, numbers[worked, 4]
        results.jump_vox[chosen], results.jump_sd_vox[chosen] = find_jump(cells[worked], variance)


def residual_variance(numbers: FloatArray) -> FloatArray:
    """Variance of the grey residual per voxel.

    Parameters
    ----------
    numbers : (N, 7) float64
        The kernel's, see `gauss_newton.correlate_nodes`.

    Returns
    -------
    (N,) float64
        In squared normalised grey values; 0 where rounding brings the ZNCC above 1.
    """
    zncc, sd, weight = numbers[:, 0], numbers[:, 4], numbers[:, 5]
    unlike = np.maximum(1.0 - zncc, 0.0)  # rounding may bring the ZNCC above 1
    out: FloatArray = 2.0 * unlike * sd**2 * weight / np.maximum(weight - 14.0, 1.0)
    return out

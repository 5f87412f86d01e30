"""Blocks and windows of labelled particles: a particle's own voxels, cut out of a block, are fitted by the kernel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import prepare_deformed, prepare_reference, read_normalised
from voltome.dvc.boxes import Box, Pair, cut_boxes, deformed_weights, reference_weights
from voltome.dvc.labels import Particles, grow_label
from voltome.dvc.node_results import NodeResults, NodeRules, keep_results
from voltome.dvc.particle_motion import nearest_rotation
from voltome.fields import FloatArray, NodeStatus
from voltome.grid import VolumeSource, make_block
from voltome.kernels import filters, gauss_newton
from voltome.kernels.gauss_newton import LEFT_BLOCK, RIGID
from voltome.kernels.moments import Deformed, Reference
from voltome.kernels.sampling import TAIL
from voltome.kernels.weights import Weighting

_BYTES_A_VOXEL = 36
_Flat = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """Particles to correlate, with their windows.

    `nodes` (N, 3) are the centroids rounded to a voxel; `low` and `high` (N, 3) the half-open extent of each window
    relative to it, which is the label's bounding box, dilated and cut at the volume's faces; `empty` (N,) where nothing
    of it is left; `too_large` (N,) where it does not fit the memory.
    """

    pair: Pair
    labels: VolumeSource
    particles: Particles
    dilation_vox: float
    rules: NodeRules
    nodes: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    empty: NDArray[np.bool_]
    too_large: NDArray[np.bool_]

    @classmethod
    def prepare(
        cls, pair: Pair, labels: VolumeSource, particles: Particles, dilation_vox: float, rules: NodeRules
    ) -> Task:
        """Windows of all particles."""
        nodes = np.round(particles.centroids_vox).astype(np.int64)
        rim, grown = filters.GRADIENT_REACH, max(0, int(dilation_vox))
        low = np.maximum(particles.low - grown, rim) - nodes
        high = np.minimum(particles.high + grown, np.asarray(pair.reference.shape) - rim) - nodes
        empty = (high <= low).any(axis=1)
        size = (np.maximum(high - low, 0) + 2 * filters.SPLINE_REACH).prod(axis=1)
        too_large = _BYTES_A_VOXEL * size > rules.memory_bytes
        return cls(pair, labels, particles, dilation_vox, rules, nodes, low, high, empty, too_large)

    def select(self, index: NDArray[np.int64]) -> Task:
        """The same for some of the particles, in blocks that do not span what lies between them."""
        chosen = {name: getattr(self, name)[index] for name in ("nodes", "low", "high", "empty", "too_large")}
        some = Particles(*(getattr(self.particles, name)[index] for name in vars(self.particles)))
        volume = int((np.maximum(self.high - self.low, 0) + 2 * filters.SPLINE_REACH)[index].prod(axis=1).max())
        memory = min(self.rules.memory_bytes, 8 * _BYTES_A_VOXEL * volume)
        return replace(self, particles=some, rules=replace(self.rules, memory_bytes=memory), **chosen)


@dataclass(frozen=True)
class ParticleBlock:
    """A block of both volumes, ready for the kernel, and the labels of the reference's."""

    start: NDArray[np.int64]
    reference: Reference
    weights: NDArray[np.float32]
    labels: NDArray[np.integer]
    deformed: Deformed
    valid: NDArray[np.float32]

    def cut(self, flat: _Flat, corner: NDArray[np.int64], stop: NDArray[np.int64]) -> _Flat:
        """A box of one of the reference's flat arrays, flat again."""
        shape = self.reference.shape
        box = flat[: int(np.prod(shape))].reshape(shape)[make_block(corner, stop)]
        out = np.zeros(box.size + TAIL, dtype=np.float32)
        out[: box.size] = box.ravel()
        return out

    def cut_reference(self, corner: NDArray[np.int64], stop: NDArray[np.int64]) -> Reference:
        """A box of the reference."""
        whole = self.reference
        return Reference(
            self.cut(whole.grey, corner, stop),
            self.cut(whole.gradient_z, corner, stop),
            self.cut(whole.gradient_y, corner, stop),
            self.cut(whole.gradient_x, corner, stop),
            stop - corner,
        )


@dataclass(frozen=True)
class Sums:
    """What the kernel gives for each of some fits; see `gauss_newton.correlate_nodes`."""

    phi: FloatArray
    status: NDArray[np.int32]
    numbers: FloatArray
    hessian: FloatArray
    cells: FloatArray

    @classmethod
    def start(cls, phi: FloatArray) -> Sums:
        """Nothing known yet but where each fit starts, (N, 4, 4)."""
        n = len(phi)
        return cls(
            np.ascontiguousarray(phi[:, :3]),
            np.zeros(n, dtype=np.int32),
            np.full((n, 7), np.nan),
            np.zeros((n, 12, 12)),
            np.zeros((n, gauss_newton.CELLS**3, 9)),
        )

    def rows(self, index: NDArray[np.int64] | slice) -> Sums:
        """Those of some fits; a slice gives views to write to."""
        return Sums(self.phi[index], self.status[index], self.numbers[index], self.hessian[index], self.cells[index])


def cut_blocks(task: Task, index: NDArray[np.int64], phi: FloatArray, margin: float) -> list[Box]:
    """Boxes of particles that fit the memory.

    Parameters
    ----------
    task : Task
    index : (M,) int64
        Particles that are wanted.
    phi : (N, 4, 4) float64
        Where they are expected.
    margin : float
        Voxels around their images.

    Returns
    -------
    list of box
    """
    shape = np.asarray(task.pair.reference.shape, dtype=np.int64)
    return cut_boxes(index, task.nodes, phi, task.low, task.high, shape, margin, task.rules)


def read_block(task: Task, box: Box, pool: ThreadPoolExecutor) -> ParticleBlock:
    """Read what the particles of a box need.

    Parameters
    ----------
    task : Task
    box : box
    pool : ThreadPoolExecutor

    Returns
    -------
    ParticleBlock

    Raises
    ------
    InputError
        If a volume holds NaN that no mask leaves out.
    """
    pair = task.pair
    grey = read_normalised(pair.reference, box.reference_start, box.reference_stop, pair.reference_scale)
    weights = reference_weights(pair, box, grey)
    samples = read_normalised(pair.deformed, box.deformed_start, box.deformed_stop, pair.deformed_scale)
    valid = deformed_weights(pair, box, samples)
    return ParticleBlock(
        box.reference_start,
        prepare_reference(pool, grey, box.reference_stop - box.reference_start),
        weights,
        np.asarray(task.labels[make_block(box.reference_start, box.reference_stop)]),
        prepare_deformed(
            pool,
            samples,
            box.deformed_start,
            box.deformed_stop - box.deformed_start,
            reference_start=box.reference_start,
            volume_shape=pair.deformed.shape,
            cubic=task.rules.cubic,
        ),
        valid,
    )


def work_batch(
    task: Task,
    block: ParticleBlock,
    batch: NDArray[np.int64],
    starts: FloatArray,
    rigid: NodeResults,
    affine: NodeResults,
) -> None:
    """Fit some particles of a block from each of their starts and keep the best, in place.

    Parameters
    ----------
    task : Task
    block : ParticleBlock
    batch : (B,) int64
    starts : (B, K, 4, 4) float64
    rigid, affine : NodeResults
        Of all particles; those of the batch are written.
    """
    tries = starts.shape[1]
    flat = starts.reshape(-1, 4, 4)
    turned, stretched = Sums.start(nearest_rotation(flat)), Sums.start(flat)
    coverage = np.full(len(flat), np.nan)
    best = np.zeros(len(batch), dtype=np.int64)
    for i, n in enumerate(batch):
        window = _cut_window(task, block, int(n))
        for row in range(i * tries, (i + 1) * tries):
            _fit(window, turned.rows(slice(row, row + 1)), rigid=True)
            if turned.status[row] == NodeStatus.CONVERGED:
                stretched.phi[row] = turned.phi[row]
            _fit(window, stretched.rows(slice(row, row + 1)), rigid=False)
        best[i] = i * tries + _best(*(s.rows(slice(i * tries, (i + 1) * tries)) for s in (turned, stretched)))
        coverage[best[i]] = window.share
    half = int(np.median((task.high - task.low)[batch].max(axis=1))) // 2
    for results, sums, basis in ((rigid, turned.rows(best), RIGID), (affine, stretched.rows(best), np.eye(12))):
        sums.numbers[:, 2] *= coverage[best]
        with np.errstate(invalid="ignore"):  # some parts of a particle's box hold nothing of it
            keep_results(
                results,
                batch,
                sums.phi,
                sums.status,
                sums.numbers,
                sums.hessian,
                sums.cells,
                replace(task.rules, half_window_vox=max(half, 1)),
            )
        results.covariance[batch] = _restrict(
            results.covariance[batch], results.residual_variance[batch], sums.hessian, basis
        )


def _restrict(
    covariance: NDArray[np.float32], variance: FloatArray, hessian: FloatArray, basis: FloatArray
) -> NDArray[np.float32]:
    """Covariance (N, 12, 12) of fits in a subspace from that in all twelve parameters, a factor times H^-1.

    The factor is at least the residual's variance: in a handful of voxels it cannot be estimated from their parts.
    """
    free = np.trace(np.linalg.pinv(hessian, hermitian=True), axis1=1, axis2=2)
    factor = np.maximum(np.trace(covariance, axis1=1, axis2=2) / np.maximum(free, 1e-300), variance)
    few = np.linalg.pinv(np.einsum("ki,nkl,lj->nij", basis, hessian, basis, optimize=True), hermitian=True)
    return np.asarray(np.einsum("n,ki,nij,lj->nkl", factor, basis, few, basis, optimize=True), dtype=np.float32)


def _best(turned: Sums, stretched: Sums) -> int:
    """Which of a particle's starts led to the highest ZNCC; one that left the block only if none converged."""
    converged = [s.status == NodeStatus.CONVERGED for s in (turned, stretched)]
    scores = [np.where(c, s.numbers[:, 0], -2.0) for c, s in zip(converged, (turned, stretched), strict=True)]
    score = np.maximum(*scores)
    left = (turned.status == LEFT_BLOCK) | (stretched.status == LEFT_BLOCK)
    return int(np.argmax(np.where(left & (score <= -2.0), -1.5, score)))


@dataclass(frozen=True)
class _ParticleWindow:
    """A particle's voxels, and `share`, which turns the kernel's coverage of the box into that of the particle."""

    reference: Reference
    deformed: Deformed
    weighting: Weighting
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    share: float
    rules: gauss_newton.Rules


def _cut_window(task: Task, block: ParticleBlock, n: int) -> _ParticleWindow:
    """Cut a particle's box out of a block: the cost of a particle does not grow with the block."""
    low, high = task.low[n], task.high[n]
    corner = task.nodes[n] + low - block.start
    stop = corner + high - low
    number = int(task.particles.labels[n])
    labels = block.labels[make_block(corner, stop)]
    window = grow_label(labels, number, task.dilation_vox)
    weights = np.zeros(window.size + TAIL, dtype=np.float32)
    weights[: window.size] = window.ravel()
    if block.weights.size:
        weights *= block.cut(block.weights, corner, stop)
    # What the volume's faces cut off belongs to the particle, too.
    whole = window.sum() * task.particles.volumes_vox[n] / max(int((labels == number).sum()), 1)
    share = window.size / max(whole, 1.0)
    half = int(max(-low.min(), high.max() - 1, 1))
    rules = task.rules
    limits = gauss_newton.Rules(
        half,
        rules.tolerance_vox,
        rules.max_iterations,
        rules.min_coverage / share,
        rules.det_low,
        rules.det_high,
    )
    return _ParticleWindow(
        block.cut_reference(corner, stop),
        block.deformed._replace(shift=block.deformed.shift + corner),
        Weighting(weights, block.valid, np.ones(int(stop[2] - corner[2]) + 2 * TAIL, dtype=np.float32)),
        low,
        high,
        share,
        limits,
    )


def _fit(window: _ParticleWindow, sums: Sums, *, rigid: bool) -> None:
    """Run the kernel on one row of sums, in place."""
    gauss_newton.correlate_nodes(
        window.reference,
        window.deformed,
        window.weighting,
        window.rules._replace(rigid=rigid),
        -window.low[None],
        window.low[None].copy(),
        window.high[None].copy(),
        sums.phi,
        sums.status,
        sums.numbers,
        sums.hessian,
        sums.cells,
    )

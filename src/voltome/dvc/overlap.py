"""All windows of a regular grid at once: voxels that windows share are sampled once, not once for each window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.workers import finish_jobs
from voltome.fields import FloatArray
from voltome.kernels import cells, grid_newton
from voltome.kernels.assembly import make_scratch
from voltome.kernels.gauss_newton import CELLS, NAN_START, Rules
from voltome.kernels.moments import Deformed, Reference
from voltome.kernels.partition import Partition
from voltome.kernels.weights import Weighting

_CHUNKS = 16
# Steps go on while nodes are at work, but not for the last of them, nor where few more get there with each step.
_MOST_STEPS = 8
_LEFT_TO_OTHERS = 0.02
_LEAST_PROGRESS = 0.05
_CELL_COST_VOX = 60  # what bringing a cell's sums together costs, in sampled voxels
# How far the Phi that sampled a window may differ from its own, in voxels and in half windows.
_MOST_APART_VOX = 1.0
_MOST_APART = 0.05

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class GridWindows:
    """A regular grid of nodes in a block, its windows cut into shared cells."""

    partition: Partition
    count: int


def _cut_axis(nodes: _Ints, low: _Ints, high: _Ints, longest: float) -> tuple[_Ints, _Ints, _Ints]:
    """Edges of the cells along an axis, the node that samples each, and the cells of each node's window.

    `nodes`, and the first voxel of their windows and the one behind the last, in ascending order.
    """
    middles = -((nodes[:-1] + nodes[1:] + 1) // -2)
    edges = np.unique(np.concatenate([low, high, middles[(middles > low[0]) & (middles < high[-1])]]))
    parts = [edges[:1]]
    for a, b in pairwise(edges):
        count = int(np.ceil((b - a) / longest))
        parts.append(np.round(np.linspace(a, b, count + 1)[1:]).astype(np.int64))
    edges = np.concatenate(parts)
    centre = 0.5 * (edges[:-1] + edges[1:])
    owner = np.searchsorted(middles, centre, side="right").astype(np.int64)
    covered = ((centre[:, None] > low) & (centre[:, None] < high)).any(axis=1)
    spans = np.stack([np.searchsorted(edges, low), np.searchsorted(edges, high)], axis=1).astype(np.int64)
    return edges, np.where(covered, owner, -1).astype(np.int64), spans


def find_grid(
    nodes: _Ints, low: _Ints, high: _Ints, half_window: int, *, least_gain: float = 1.25
) -> GridWindows | None:
    """Cells for a set of nodes, or None where they are no grid or their windows share too little.

    Parameters
    ----------
    nodes : (N, 3) int64
        In the reference block's voxels.
    low, high : (N, 3) int64
        Half-open extent of each node's window relative to it.
    half_window : int
    least_gain : float
        How much less work it has to be to work them together.

    Returns
    -------
    GridWindows or None
    """
    axes, edges, owners, spans = [], [], [], []
    for axis in range(3):
        coordinates, first = np.unique(nodes[:, axis], return_index=True)
        cut = _cut_axis(
            coordinates, coordinates + low[first, axis], coordinates + high[first, axis], (2 * half_window + 1) / CELLS
        )
        axes.append(coordinates)
        edges.append(cut[0])
        owners.append(cut[1])
        spans.append(cut[2])
    shape = tuple(len(a) for a in axes)
    if int(np.prod(shape)) != len(nodes):
        return None
    z, y, x = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    if not np.array_equal(np.stack([z, y, x], axis=1), nodes):
        return None
    shared = 1
    for edge, owner in zip(edges, owners, strict=True):
        shared *= int(np.diff(edge)[owner >= 0].sum())
    count = int(np.prod([len(owner) for owner in owners]))
    if least_gain * (shared + _CELL_COST_VOX * count) > int((high - low).prod(axis=1).sum()):
        return None
    return GridWindows(Partition(*edges, *owners, *axes, *spans), count)


def _split(weights: _Ints, parts: int) -> list[tuple[int, int]]:
    """Cut a row of things into up to `parts` stretches of about equal weight."""
    total = np.concatenate([[0], np.cumsum(weights)])
    cuts = np.unique(np.searchsorted(total, np.linspace(0, total[-1], parts + 1)))
    cuts[0], cuts[-1] = 0, len(weights)
    return [(int(a), int(b)) for a, b in pairwise(cuts)]


def _run(pool: ThreadPoolExecutor, work: Callable[[int, int], None], stretches: Sequence[tuple[int, int]]) -> None:
    finish_jobs({pool.submit(work, first, stop): first for first, stop in stretches})


def correlate_grid(
    grid: GridWindows,
    reference: Reference,
    deformed: Deformed,
    weighting: Weighting,
    rules: Rules,
    start: FloatArray,
    pool: ThreadPoolExecutor,
) -> grid_newton.GridState:
    """Work all nodes of a grid together, until next to all have converged.

    Parameters
    ----------
    grid : GridWindows
    reference : Reference
    deformed : Deformed
    weighting : Weighting
    rules : Rules
    start : (N, 3, 4) float64
        Phi to start from; rows with NaN are left to others.
    pool : ThreadPoolExecutor

    Returns
    -------
    GridState
        `next_phi` is the result. Nodes whose status is not `CONVERGED` have to be worked one by one.
    """
    partition, n = grid.partition, len(start)
    finite = np.asarray(np.isfinite(start).all(axis=(1, 2)))
    phi = np.where(finite[:, None, None], start, np.eye(3, 4))
    state = grid_newton.GridState(
        phi,
        phi.copy(),
        phi.copy(),
        np.zeros(n, dtype=np.int64),
        np.ones(n, dtype=np.uint8),
        np.where(finite, grid_newton.AT_WORK, NAN_START).astype(np.int32),
        np.zeros(n, dtype=np.int32),
        np.full((n, 9), -1.0),
        np.zeros((n, 12)),
        np.zeros((n, 12, 12)),
        np.zeros((n, CELLS**3, 9)),
    )
    state.numbers[:, 3] = 0.0
    sizes = (cells.PRODUCTS, cells.LINEAR, cells.TOTALS, cells.SAMPLED)
    sums = cells.CellSums(*(np.zeros((grid.count, size)) for size in sizes))
    planes, nodes = _split(np.diff(partition.edge_z), _CHUNKS), _split(np.ones(n, dtype=np.int64), _CHUNKS)

    def sum_cells(first: int, stop: int) -> None:
        columns = cells.make_columns(partition)
        if state.stale.any():
            cells.sum_reference_cells(
                reference, deformed, weighting, partition, state.base, state.stale, first, stop, columns, sums
            )
        cells.sum_deformed_cells(
            reference, deformed, weighting, partition, state.base, state.phi, first, stop, columns, sums
        )

    def step(first: int, stop: int) -> None:
        scratch = make_scratch()
        has_weights = weighting.deformed.size > 0
        grid_newton.step_nodes(partition, sums, deformed, has_weights, rules, state, first, stop, scratch)

    def finish(first: int, stop: int) -> None:
        grid_newton.finish_nodes(partition, sums, state, first, stop, make_scratch())

    waiting = n
    for count in range(1, min(_MOST_STEPS, rules.max_iterations) + 1):
        _run(pool, sum_cells, planes)
        state.stale[:] = 0
        _run(pool, step, nodes)
        alive = state.status >= 0
        state.status[alive] = state.pending[alive]
        before, waiting = waiting, int((state.status == grid_newton.AT_WORK).sum())
        stalled = count > 3 and before - waiting < _LEAST_PROGRESS * n
        if waiting <= _LEFT_TO_OTHERS * n or stalled or count == min(_MOST_STEPS, rules.max_iterations):
            break
        state.phi[alive] = state.next_phi[alive]
    apart = state.numbers[:, 8] > min(_MOST_APART_VOX, _MOST_APART * rules.half_window)
    state.status[(state.status >= 0) & apart] = grid_newton.HANDED_OVER
    if rules.cells:
        _run(pool, finish, nodes)
        alive = state.status >= 0
        state.status[alive] = state.pending[alive]
    return state

"""The kernels that work all windows of a grid together, in plain NumPy: see `cells` and `grid_newton`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.kernels.cells import RESPONSE_STEP
from voltome.kernels.gauss_newton import CELLS
from voltome.kernels.partition import Partition
from voltome.kernels.reference import (
    Array,
    DeformedVolume,
    ReferenceVolume,
    Window,
    grey_statistics,
    hessian_matrix,
    normalised_residual,
    solve,
    steepest_descent,
    weighted_sum,
)
from voltome.kernels.reference_sampling import sample

Ints = NDArray[np.int64]


class GridStep(NamedTuple):
    """One node's step (12,), ZNCC, response, and the translation sums of its window's parts after the step (64, 9)."""

    step: Array
    zncc: float
    response: float
    cells: Array


def _owners(cuts: Ints, owner: Ints, first: int, stop: int) -> Ints:
    """For each voxel first..stop along an axis, the node that samples it."""
    return np.asarray(owner[np.searchsorted(cuts, np.arange(first, stop), side="right") - 1])


def step_node(
    reference: ReferenceVolume, deformed: DeformedVolume, partition: Partition, phi: Array, place: tuple[int, int, int]
) -> GridStep:
    """Step of the node at a place of the grid, from its definition: voxel by voxel, nothing shared.

    Parameters
    ----------
    reference : ReferenceVolume
    deformed : DeformedVolume
        Without weights; all voxels are mapped into what can be read.
    partition : Partition
    phi : (K, L, M, 3, 4) float64
        Phi of the grid's nodes; voxels that are mapped outside the deformed volume by them have weight 0.
    place : tuple of int

    Returns
    -------
    GridStep
    """
    edges = (partition.edge_z, partition.edge_y, partition.edge_x)
    owners = (partition.owner_z, partition.owner_y, partition.owner_x)
    nodes = (partition.node_z, partition.node_y, partition.node_x)
    spans = [span[k] for span, k in zip((partition.span_z, partition.span_y, partition.span_x), place, strict=True)]
    node = np.array([coordinates[k] for coordinates, k in zip(nodes, place, strict=True)])
    low, high = (np.array([edge[span[i]] for edge, span in zip(edges, spans, strict=True)]) - node for i in (0, 1))
    first_x, stop_x = int(edges[2][0]), int(edges[2][-1])
    row = Window(node, np.array([*low[:2], first_x - node[2]]), np.array([*high[:2], stop_x - node[2]]))
    who = [
        _owners(edge, owner, a, b)
        for edge, owner, a, b in zip(edges, owners, node + row.low, node + row.high, strict=True)
    ]
    theirs = phi[who[0][:, None, None], who[1][:, None], who[2]]
    z, y, x = (n[w] for n, w in zip(nodes, who, strict=True))
    shape = theirs.shape[:3]
    their_node = np.stack([np.broadcast_to(a, shape) for a in (z[:, None, None], y[:, None], x)], axis=-1)
    offset = node + row.offsets - their_node
    mapped = their_node + theirs[..., 3] + np.einsum("...ij,...j->...i", theirs[..., :3], offset)
    points = mapped + deformed.shift
    inside = ((points >= deformed.inside[:, 0]) & (points <= deformed.inside[:, 1])).all(axis=-1)
    weights = inside * (1.0 if reference.weights is None else row.cut(reference.weights))
    g = sample(deformed.samples, points.reshape(-1, 3), cubic=deformed.cubic).reshape(shape)
    slope = np.zeros(shape)
    slope[..., 3:-3] = 0.75 * (g[..., 4:-2] - g[..., 2:-4]) - 0.15 * (g[..., 5:-1] - g[..., 1:-5])
    slope[..., 3:-3] += (g[..., 6:] - g[..., :-6]) / 60
    has_slope = np.zeros(shape)
    has_slope[..., 3:-3] = 1.0

    window = Window(node, low, high)
    own = slice(int(node[2] + low[2] - first_x), int(node[2] + high[2] - first_x))
    weights, g, slope, has_slope = (a[..., own] for a in (weights, g, slope, has_slope))
    mine = phi[place]
    back = (mapped[..., own, :] - node - mine[:, 3]) @ np.linalg.inv(mine[:, :3]).T
    displaced = np.moveaxis(back - window.offsets, -1, 0)
    f, gradient, descent = (
        window.cut(reference.grey),
        window.cut(reference.gradient),
        steepest_descent(reference, window),
    )
    statistics = grey_statistics(f, g, weights)
    z, y, _ = np.moveaxis(node + window.offsets, -1, 0).astype(int)
    seen = weights * has_slope * gradient[2] * ((z + y) % RESPONSE_STEP == 0)
    response = statistics.sd_f / statistics.sd_g * (seen * slope).sum() / (seen * gradient[2]).sum()
    residual = normalised_residual(f, g, statistics)
    step = solve(
        hessian_matrix(descent, weights),
        weighted_sum(descent, weights, residual - response * (gradient * displaced).sum(axis=0)),
    )
    assert step is not None
    left = response * displaced + np.einsum("ij,...j->i...", step.reshape(3, 4)[:, :3], window.offsets)
    left = left + step.reshape(3, 4)[:, 3][:, None, None, None]
    parts = _parts(edges, spans)
    after = residual - (gradient * left).sum(axis=0)
    sums = [gradient[r] * after for r in range(3)] + [gradient[r] * gradient[s] for r in range(3) for s in range(r, 3)]
    cells = [np.bincount(parts.ravel(), (weights * s).ravel(), minlength=CELLS**3) for s in sums]
    return GridStep(step, statistics.zncc, float(response), np.stack(cells, axis=1))


def _parts(edges: tuple[Ints, Ints, Ints], spans: list[Ints]) -> Ints:
    """For each voxel of a window, in which of its CELLS^3 parts its cell lies."""
    along = []
    for edge, (first, stop) in zip(edges, spans, strict=True):
        begin, end = edge[first], edge[stop]
        middle = 0.5 * (edge[first:stop] + edge[first + 1 : stop + 1])
        part = np.minimum(((middle - begin) * CELLS / (end - begin)).astype(int), CELLS - 1)
        along.append(np.repeat(part, np.diff(edge[first : stop + 1])))
    z, y, x = along
    return np.asarray((z[:, None, None] * CELLS + y[:, None]) * CELLS + x)

"""Compiled loops of the speckle texture: sort blobs into small cells, sum those of its cell at each point."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@njit(nogil=True, cache=True)
def _touches(blob: Floats, z: int, y: int, x: int, edge: float) -> bool:
    """Whether the blob's sphere reaches into a cell."""
    distance = 0.0
    for i, cell in enumerate((z, y, x)):
        beside = max(cell * edge - blob[i], blob[i] - (cell + 1) * edge, 0.0)
        distance += beside * beside
    inside: bool = distance < blob[3] * blob[3]
    return inside


@njit(nogil=True, cache=True)
def _visit(blobs: Floats, first: Integers, size: Integers, edge: float, start: Integers, lists: Floats) -> None:
    """Count the blobs of each cell into start[cell + 1] (lists empty), or write them where start says."""
    filling = lists.shape[1] > 0
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    for b in range(blobs.shape[0]):
        for i in range(3):
            low[i] = max(math.floor((blobs[b, i] - blobs[b, 3]) / edge) - first[i], 0)
            high[i] = min(math.floor((blobs[b, i] + blobs[b, 3]) / edge) - first[i], size[i] - 1)
        for z in range(low[0], high[0] + 1):
            for y in range(low[1], high[1] + 1):
                for x in range(low[2], high[2] + 1):
                    if not _touches(blobs[b], z + first[0], y + first[1], x + first[2], edge):
                        continue
                    cell = (z * size[1] + y) * size[2] + x
                    if filling:
                        k = start[cell]
                        for i in range(3):
                            lists[i, k] = blobs[b, i]
                        lists[3, k] = 1.0 / (blobs[b, 3] * blobs[b, 3])
                        lists[4, k] = blobs[b, 4]
                        start[cell] = k + 1
                    else:
                        start[cell + 1] += 1


@njit(nogil=True, cache=True)
def sort_blobs(blobs: Floats, first: Integers, size: Integers, edge: float) -> tuple[Integers, Floats]:
    """Cell lists of blobs (B, 5: z, y, x, radius, amplitude).

    Cells of `edge` voxels, first ... first + size - 1 of a lattice fixed in space, so that the order of a cell's
    blobs, and with it the rounding of their sum, does not depend on the block asked for. Returns start (cells + 1,)
    and lists (5, P): z, y, x, 1 / radius^2, amplitude.
    """
    cells = size[0] * size[1] * size[2]
    start = np.zeros(cells + 1, np.int64)
    _visit(blobs, first, size, edge, start, np.empty((5, 0)))
    for cell in range(cells):
        start[cell + 1] += start[cell]
    lists = np.empty((5, start[cells]))
    _visit(blobs, first, size, edge, start.copy(), lists)
    return start, lists


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def sum_blobs(
    points: Floats, first: Integers, size: Integers, edge: float, start: Integers, lists: Floats, out: Floats
) -> None:
    """Fill out (N,) with the sum of amplitude (1 - r^2 / radius^2)^4 at points (N, 3) inside the cells."""
    for n in range(points.shape[0]):
        z, y, x = points[n, 0], points[n, 1], points[n, 2]
        cell = (
            (math.floor(z / edge) - first[0]) * size[1] + math.floor(y / edge) - first[1]
        ) * size[2] + math.floor(x / edge) - first[2]  # fmt: skip
        total = 0.0
        for k in range(start[cell], start[cell + 1]):
            dz = z - lists[0, k]
            dy = y - lists[1, k]
            dx = x - lists[2, k]
            t = max(1.0 - (dz * dz + dy * dy + dx * dx) * lists[3, k], 0.0)
            t *= t
            total += lists[4, k] * t * t
        out[n] = total

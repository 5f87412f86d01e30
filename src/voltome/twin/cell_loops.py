"""Compiled loops that find the matter of a point: Laguerre cell, particle, grain.

A convex polyhedron about a centre is held as gauge vectors: `gauge(Y) = max_j a_j . Y` for Y = X - centre, below 1
inside. Its gradient is the vector that reaches the maximum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.twin.carrier_loops import Floats, Vector
from voltome.twin.compilation import compiled

Ints = NDArray[np.int64]


class Cells(NamedTuple):
    """Laguerre cells with their particles and grains (see `microstructure`), and a table to find them by.

    Box (i, j, k) of the table, with its lower corner at table_origin + (i, j, k) table_step, may hold points of the
    cells table_items[table_first[n] : table_first[n + 1]], n its flat index.
    """

    seeds_um: Floats
    weights_um2: Floats
    labels: NDArray[np.int32]
    binder_zone: NDArray[np.bool_]
    centres_um: Floats
    cell_planes: Floats
    cell_first: Ints
    body_planes: Floats
    body_first: Ints
    grain_first: Ints
    grain_centres_um: Floats
    grain_planes: Floats
    grain_plane_first: Ints
    table_origin_um: Floats
    table_step_um: float
    table_shape: Ints
    table_first: Ints
    table_items: Ints


@compiled()
def _table_box(cells: Cells, z: float, y: float, x: float) -> int:
    n = 0
    for axis in range(3):
        position = z if axis == 0 else (y if axis == 1 else x)
        size = cells.table_shape[axis]
        i = int(np.floor((position - cells.table_origin_um[axis]) / cells.table_step_um))
        n = n * size + min(max(i, 0), size - 1)
    return n


@compiled()
def find_cell(cells: Cells, z: float, y: float, x: float) -> int:
    """Laguerre cell of a point: the seed with the least power distance."""
    box = _table_box(cells, z, y, x)
    first, last = cells.table_first[box], cells.table_first[box + 1]
    found = int(cells.table_items[first])
    if last - first == 1:
        return found
    best = np.inf
    for k in range(first, last):
        n = cells.table_items[k]
        dz = z - cells.seeds_um[n, 0]
        dy = y - cells.seeds_um[n, 1]
        dx = x - cells.seeds_um[n, 2]
        power = dz * dz + dy * dy + dx * dx - cells.weights_um2[n]
        if power < best:
            best = power
            found = int(n)
    return found


@compiled()
def gauge(planes: Floats, first: int, last: int, y: Vector) -> tuple[float, int]:
    """Gauge of a polyhedron at an offset from its centre, and which plane it is."""
    best = -1.0
    which = first
    for j in range(first, last):
        value = planes[j, 0] * y[0] + planes[j, 1] * y[1] + planes[j, 2] * y[2]
        if value > best:
            best = value
            which = j
    return best, which


@compiled()
def _is_inside(planes: Floats, first: int, last: int, y: Vector) -> bool:
    for j in range(first, last):
        if planes[j, 0] * y[0] + planes[j, 1] * y[1] + planes[j, 2] * y[2] >= 1.0:
            return False
    return True


@compiled()
def find_grain(cells: Cells, cell: int, z: float, y: float, x: float) -> tuple[int, float, int]:
    """Grain of a particle at a point with its gauge and plane; -1 in a crack between grains."""
    for g in range(cells.grain_first[cell], cells.grain_first[cell + 1]):
        offset = (z - cells.grain_centres_um[g, 0], y - cells.grain_centres_um[g, 1], x - cells.grain_centres_um[g, 2])
        first, last = cells.grain_plane_first[g], cells.grain_plane_first[g + 1]
        if _is_inside(cells.grain_planes, first, last, offset):
            value, plane = gauge(cells.grain_planes, first, last, offset)
            return g, value, plane
    return -1, 1.0, -1


@compiled()
def refine_table(
    seeds: Floats, weights: Floats, origin: Floats, step: float, shape: Ints, parent_shape: Ints, parent_first: Ints,
    parent_items: Ints, power: Floats, first: Ints, items: Ints,
) -> int:  # fmt: skip
    """Candidates of each box of a table: seeds that may own a point of it, out of those of the box twice as wide
    (or of the only box there is).

    Differences of power distances are linear in space: over a box they exceed their value at its middle by at most
    sqrt(3) step |C_i - C_j|, j the owner of the middle. Returns how many candidates there are; counts only where
    `items` is too short; power (N,) is room to work in.
    """
    total = 0
    n = 0
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                z = origin[0] + (i + 0.5) * step
                y = origin[1] + (j + 0.5) * step
                x = origin[2] + (k + 0.5) * step
                pi, pj = min(i // 2, parent_shape[0] - 1), min(j // 2, parent_shape[1] - 1)
                parent = (pi * parent_shape[1] + pj) * parent_shape[2] + min(k // 2, parent_shape[2] - 1)
                start, stop = parent_first[parent], parent_first[parent + 1]
                owner = parent_items[start]
                for m in range(start, stop):
                    s = parent_items[m]
                    dz = z - seeds[s, 0]
                    dy = y - seeds[s, 1]
                    dx = x - seeds[s, 2]
                    power[s] = dz * dz + dy * dy + dx * dx - weights[s]
                    if power[s] < power[owner]:
                        owner = s
                first[n] = total
                for m in range(start, stop):
                    s = parent_items[m]
                    dz = seeds[owner, 0] - seeds[s, 0]
                    dy = seeds[owner, 1] - seeds[s, 1]
                    dx = seeds[owner, 2] - seeds[s, 2]
                    reach = np.sqrt(3.0 * (dz * dz + dy * dy + dx * dx)) * step
                    if power[s] - power[owner] <= reach:
                        if total < len(items):
                            items[total] = s
                        total += 1
                n += 1
    first[n] = total
    return total

"""Compiled loops of what lies above and below the electrode: copper's grains and face, the separator's fibres.

All of them are functions of a material point, so that a texture moves with its matter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from voltome.twin.compilation import compiled
from voltome.twin.noise_loops import VALUE_NOISE_SD, hash_lattice, mix_bits, value_noise

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FACE_WAVES_UM = (2.6, 0.7)
_FACE_SD_UM = 0.15
_JITTER = 0.8  # how much of its cell a grain's seed may lie in: less gives more equal grains
_S21, _S42 = np.uint64(21), np.uint64(42)
_LOW_21 = np.uint64(0x1FFFFF)
_UNIT_21 = 2.0**-21


class Fibres(NamedTuple):
    """Straight fibres and, for each cell of a lattice over them, those that may reach into it.

    lines (K, 7): a point of the axis, its unit direction, the squared radius. low_um (3,) and size (3,): corner and
    number of the lattice's cells, which have an edge of edge_um. start (cells + 1,) and members (M,): fibres of a cell.
    """

    lines: Floats
    low_um: Floats
    size: Integers
    edge_um: float
    start: Integers
    members: Integers


@compiled()
def collector_face(y_um: float, x_um: float, seed: int) -> float:
    """How far the collector's face lies beyond its mean, micrometres: two smooth scales, mean 0, sd 0.15 um."""
    wide = value_noise(0.0, y_um, x_um, _FACE_WAVES_UM[0], seed)
    fine = value_noise(0.0, y_um, x_um, _FACE_WAVES_UM[1], seed + 1)
    return float((0.8 * wide + 0.6 * fine) * (_FACE_SD_UM / VALUE_NOISE_SD))


@compiled(error_model="numpy")
def collector_grain(z_um: float, y_um: float, x_um: float, length_um: float, seed: int) -> float:
    """Random number (mean 0, sd 1, uniform) of the copper grain that owns a point: Voronoi cells of jittered seeds.

    A grain has a volume of length_um^3 on average.
    """
    scale = 1.0 / length_um
    z, y, x = z_um * scale, y_um * scale, x_um * scale
    cz, cy, cx = math.floor(z), math.floor(y), math.floor(x)
    least = np.inf
    owner = np.uint64(0)
    for iz in range(cz - 1, cz + 2):
        for iy in range(cy - 1, cy + 2):
            for ix in range(cx - 1, cx + 2):
                bits = hash_lattice(seed, iz, iy, ix)
                dz = iz + 0.5 + _JITTER * (float(np.int64(bits & _LOW_21)) * _UNIT_21 - 0.5) - z
                dy = iy + 0.5 + _JITTER * (float(np.int64((bits >> _S21) & _LOW_21)) * _UNIT_21 - 0.5) - y
                dx = ix + 0.5 + _JITTER * (float(np.int64(bits >> _S42)) * 0.5 * _UNIT_21 - 0.5) - x
                distance = dz * dz + dy * dy + dx * dx
                if distance < least:
                    least = distance
                    owner = bits
    return float(np.int64(mix_bits(owner))) * (2.0**-63 * math.sqrt(3.0))


@compiled()
def _squared_distance(lines: Floats, k: int, z: float, y: float, x: float) -> float:
    """Squared distance of a point from a fibre's axis."""
    dz, dy, dx = z - lines[k, 0], y - lines[k, 1], x - lines[k, 2]
    along = dz * lines[k, 3] + dy * lines[k, 4] + dx * lines[k, 5]
    squared: float = dz * dz + dy * dy + dx * dx - along * along
    return squared


@compiled(error_model="numpy")
def in_fibre(z_um: float, y_um: float, x_um: float, fibres: Fibres) -> bool:
    """Whether a point lies in a fibre; beyond the lattice the fibres of its nearest cell go on."""
    low, size = fibres.low_um, fibres.size
    scale = 1.0 / fibres.edge_um
    cz = min(max(int((z_um - low[0]) * scale), 0), size[0] - 1)
    cy = min(max(int((y_um - low[1]) * scale), 0), size[1] - 1)
    cx = min(max(int((x_um - low[2]) * scale), 0), size[2] - 1)
    cell = (cz * size[1] + cy) * size[2] + cx
    for m in range(fibres.start[cell], fibres.start[cell + 1]):
        k = fibres.members[m]
        if _squared_distance(fibres.lines, k, z_um, y_um, x_um) < fibres.lines[k, 6]:
            return True
    return False


@njit(nogil=True, cache=True)
def count_covered(points: Floats, covered: NDArray[np.bool_], lines: Floats, k: int) -> int:
    """Mark the points (N, 3) that lie in fibre k, and count those that were not marked before."""
    fresh = 0
    for n in range(len(points)):
        if not covered[n] and _squared_distance(lines, k, points[n, 0], points[n, 1], points[n, 2]) < lines[k, 6]:
            covered[n] = True
            fresh += 1
    return fresh


@njit(nogil=True, cache=True)
def _visit_cells(
    lines: Floats, low_um: Floats, size: Integers, edge_um: float, start: Integers, members: Integers
) -> None:
    """Count the fibres of each cell into start[cell + 1] (members empty), or write them where start says."""
    corner = 0.5 * math.sqrt(3.0) * edge_um
    for k in range(len(lines)):
        reach = math.sqrt(lines[k, 6]) + corner
        for cz in range(size[0]):
            z = low_um[0] + (cz + 0.5) * edge_um
            for cy in range(size[1]):
                y = low_um[1] + (cy + 0.5) * edge_um
                for cx in range(size[2]):
                    x = low_um[2] + (cx + 0.5) * edge_um
                    if _squared_distance(lines, k, z, y, x) > reach * reach:
                        continue
                    cell = (cz * size[1] + cy) * size[2] + cx
                    if members.size:
                        members[start[cell]] = k
                        start[cell] += 1
                    else:
                        start[cell + 1] += 1


@njit(nogil=True, cache=True)
def sort_fibres(lines: Floats, low_um: Floats, size: Integers, edge_um: float) -> tuple[Integers, Integers]:
    """Cell lists of fibres: start (cells + 1,) and members (M,), see `Fibres`."""
    start = np.zeros(size[0] * size[1] * size[2] + 1, np.int64)
    _visit_cells(lines, low_um, size, edge_um, start, np.empty(0, np.int64))
    for cell in range(len(start) - 1):
        start[cell + 1] += start[cell]
    members = np.empty(start[-1], np.int64)
    if members.size:
        _visit_cells(lines, low_um, size, edge_um, start.copy(), members)
    return start, members

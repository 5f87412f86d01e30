"""Compiled loops of convex polyhedra: half-spaces cut a box, plane by plane; volume, centroid and face areas are exact.

A polyhedron is kept as its corners. Each corner is the meeting of three faces, listed counterclockwise as seen from
outside: `corners` (2M, 3) positions, `faces` (2M, 3) face numbers, and how many rows count. A cut drops the corners
beyond the plane; each edge between a dropped and a kept corner gives a new one. That is the dual of inserting a point
into a hull, and needs no lists of edges or polygons. A polyhedron of F faces has 2 F - 4 corners, so arrays of twice
the number of planes always suffice.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BOX_FACES = 6  # numbers 0..5: low and high z, y, x
_FLAT = 1e-12  # of the polyhedron's reach: a corner this close to a plane is not beyond it


@njit(nogil=True, cache=True)
def start_box(low: Floats, high: Floats, corners: Floats, faces: Integers) -> int:
    """Fill in the eight corners of a box, whose faces are numbers 0 to 5; return 8."""
    count = 0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                corners[count, 0] = high[0] if a else low[0]
                corners[count, 1] = high[1] if b else low[1]
                corners[count, 2] = high[2] if c else low[2]
                faces[count, 0] = a
                # an odd number of low faces turns the order round
                if (a + b + c) % 2 == 1:
                    faces[count, 1] = 2 + b
                    faces[count, 2] = 4 + c
                else:
                    faces[count, 1] = 4 + c
                    faces[count, 2] = 2 + b
                count += 1
    return count


@njit(nogil=True, cache=True)
def _follow(faces: Integers, count: int, first: int, second: int) -> int:
    """The corner in which face `second` follows face `first`; -1 if there is none."""
    for v in range(count):
        for k in range(3):
            if faces[v, k] == first and faces[v, (k + 1) % 3] == second:
                return v
    return -1


@njit(nogil=True, cache=True)
def clip(
    corners: Floats, faces: Integers, count: int, normal: Floats, offset: float, number: int, height: Floats,
) -> int:  # fmt: skip
    """Keep what satisfies normal . Y <= offset; the new face takes `number`; return the corners that are left.

    `height` is scratch for as many values as there are rows. Nothing left gives 0.
    """
    reach = abs(offset)
    beyond = 0
    for v in range(count):
        height[v] = normal[0] * corners[v, 0] + normal[1] * corners[v, 1] + normal[2] * corners[v, 2] - offset
        reach = max(reach, abs(height[v]))
    flat = _FLAT * reach
    for v in range(count):
        if height[v] > flat:
            beyond += 1
    if beyond == 0 or beyond == count:
        return count - beyond
    last = count
    for v in range(count):
        if height[v] <= flat:
            continue
        for k in range(3):
            first = faces[v, k]
            second = faces[v, (k + 1) % 3]
            w = _follow(faces, count, second, first)  # the other end of the edge between the two faces
            if height[w] > flat:
                continue
            share = height[v] / (height[v] - min(height[w], 0.0))
            for i in range(3):
                corners[last, i] = corners[v, i] + share * (corners[w, i] - corners[v, i])
            faces[last, 0] = first
            faces[last, 1] = second
            faces[last, 2] = number
            height[last] = 0.0
            last += 1
    kept = 0
    for v in range(last):
        if v >= count or height[v] <= flat:
            for i in range(3):
                corners[kept, i] = corners[v, i]
                faces[kept, i] = faces[v, i]
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def measure(corners: Floats, faces: Integers, count: int, areas: Floats, centroid: Floats) -> float:
    """Volume; fills the areas of the faces, by number, and the centroid."""
    volume = 0.0
    areas[:] = 0.0
    centroid[:] = 0.0
    anchor = np.full(areas.shape[0], -1, np.int64)  # one corner of each face
    for v in range(count):
        for k in range(3):
            anchor[faces[v, k]] = v
    for v in range(count):
        for k in range(3):
            face = faces[v, k]
            a = anchor[face]
            w = _follow(faces, count, face, faces[v, (k + 2) % 3])
            if a in (v, w):
                continue
            ez = corners[v, 0] - corners[a, 0]
            ey = corners[v, 1] - corners[a, 1]
            ex = corners[v, 2] - corners[a, 2]
            fz = corners[w, 0] - corners[a, 0]
            fy = corners[w, 1] - corners[a, 1]
            fx = corners[w, 2] - corners[a, 2]
            nz = ey * fx - ex * fy
            ny = ex * fz - ez * fx
            nx = ez * fy - ey * fz
            areas[face] += 0.5 * math.sqrt(nz * nz + ny * ny + nx * nx)
            part = (nz * corners[a, 0] + ny * corners[a, 1] + nx * corners[a, 2]) / 6.0
            volume += part
            for i in range(3):
                centroid[i] += part * (corners[a, i] + corners[v, i] + corners[w, i]) / 4.0
    if volume > 0.0:
        for i in range(3):
            centroid[i] /= volume
    return volume


@njit(nogil=True, cache=True)
def intersect(normals: Floats, offsets: Floats, low: Floats, high: Floats) -> tuple[float, Floats, Floats, Floats]:
    """Volume, centroid, face areas (M + 6: the box's faces, then the planes') and corners of a cut box."""
    planes = normals.shape[0]
    corners = np.empty((2 * (2 * planes + 12), 3))
    faces = np.empty((corners.shape[0], 3), np.int64)
    height = np.empty(corners.shape[0])
    count = start_box(low, high, corners, faces)
    for j in range(planes):
        if count > 0:
            count = clip(corners, faces, count, normals[j], offsets[j], BOX_FACES + j, height)
    areas = np.zeros(planes + BOX_FACES)
    centroid = np.zeros(3)
    volume = measure(corners, faces, count, areas, centroid)
    return volume, centroid, areas, corners[:count].copy()

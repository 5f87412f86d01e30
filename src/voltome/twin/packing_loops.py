"""Compiled loop of Laguerre cells: each cell is a box cut by one plane per neighbour, nearest neighbours first."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from voltome.twin.polyhedra_loops import BOX_FACES, clip, measure, start_box

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LID = BOX_FACES  # number of the face on the cell's own lid, the plane that stands for the rough surface
FIRST_NEIGHBOUR = BOX_FACES + 1


@njit(nogil=True, cache=True)
def cut_cells(
    which: Integers, seeds: Floats, weights: Floats, low: Floats, high: Floats, lid_normals: Floats,
    lid_offsets: Floats, neighbours: Integers, largest_weight: float, volumes: Floats, centroids: Floats,
    areas: Floats, reaches: Floats, complete: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Cut the cells `which` of N; all results are indexed by cell.

    lids (N, 3) and (N,): unit normal and offset (normal . X <= offset) of the plane that covers each cell;
    neighbours (rows of `which`, K): other cells by growing distance; volumes (N,), centroids (N, 3);
    areas (rows, 7 + K): of the box's faces, the lid, the neighbours' faces; reaches (N,): from the seed to the farthest
    corner; complete (rows,): False where cells beyond the K nearest might still cut.
    """
    columns = neighbours.shape[1]
    corners = np.empty((2 * (2 * columns + 16), 3))
    faces = np.empty((corners.shape[0], 3), np.int64)
    height = np.empty(corners.shape[0])
    normal = np.empty(3)
    bottom = np.empty(3)
    top = np.empty(3)
    for row in range(which.shape[0]):
        i = which[row]
        for axis in range(3):
            bottom[axis] = low[axis] - seeds[i, axis]
            top[axis] = high[axis] - seeds[i, axis]
        count = start_box(bottom, top, corners, faces)
        offset = lid_offsets[i]
        for axis in range(3):
            normal[axis] = lid_normals[i, axis]
            offset -= normal[axis] * seeds[i, axis]
        count = clip(corners, faces, count, normal, offset, LID, height)
        complete[row] = False
        for k in range(columns):
            j = neighbours[row, k]
            squared = 0.0
            for axis in range(3):
                normal[axis] = seeds[j, axis] - seeds[i, axis]
                squared += normal[axis] * normal[axis]
            distance = math.sqrt(squared)
            reach = 0.0
            for v in range(count):
                reach = max(reach, corners[v, 0] ** 2 + corners[v, 1] ** 2 + corners[v, 2] ** 2)
            nearest = (squared + weights[i] - largest_weight) / (2.0 * distance)
            if nearest > 0.0 and nearest * nearest > reach:
                complete[row] = True
                break
            for axis in range(3):
                normal[axis] /= distance
            offset = (squared + weights[i] - weights[j]) / (2.0 * distance)
            count = clip(corners, faces, count, normal, offset, FIRST_NEIGHBOUR + k, height)
        volumes[i] = measure(corners, faces, count, areas[row], centroids[i])
        for axis in range(3):
            centroids[i, axis] += seeds[i, axis]
        reaches[i] = 0.0
        for v in range(count):
            reaches[i] = max(reaches[i], corners[v, 0] ** 2 + corners[v, 1] ** 2 + corners[v, 2] ** 2)
        reaches[i] = math.sqrt(reaches[i])

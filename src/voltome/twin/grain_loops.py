"""Compiled loops over particles and grains: their corners, points in them, and whether their motion folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.twin.carrier_loops import (
    Carrier,
    Floats,
    Vector,
    apply,
    determinant,
    displace,
    load,
    multiply,
    solve,
)
from voltome.twin.cell_loops import Cells, find_grain, gauge
from voltome.twin.compilation import compiled
from voltome.twin.matter_loops import Motion, blend_shell, plane_of, share_gap, stretch_offset
from voltome.twin.noise_loops import hash_gaussian, hash_uniform

_ASIDE_UM = (3e-7, 7e-7, 5e-7)  # three faces meet in a corner: which one counts is no matter of a machine's last digit


@compiled()
def move_particles(
    cells: Cells, carrier: Carrier, scale: Floats, owner: NDArray[np.int64], points: Floats, places: Floats,
    gradients: Floats,
) -> None:  # fmt: skip
    """Fill places (N, 3) and F (N, 9) of phi_p at points (N, 3) of the particles `owner` (N,)."""
    for n in range(len(points)):
        cell = owner[n]
        m = load(scale, cell)
        c = cells.centres_um
        y = apply(m, (points[n, 0] - c[cell, 0], points[n, 1] - c[cell, 1], points[n, 2] - c[cell, 2]))
        u, f = displace(carrier, c[cell, 0] + y[0], c[cell, 1] + y[1], c[cell, 2] + y[2])
        product = multiply(f, m)
        for i in range(3):
            places[n, i] = c[cell, i] + y[i] + u[i]
        for i in range(9):
            gradients[n, i] = product[i]


@compiled()
def _draw_direction(seed: int, item: int, k: int) -> Vector:
    """A random vector, its direction uniform; not of unit length."""
    return hash_gaussian(seed, item, k, 0), hash_gaussian(seed, item, k, 1), hash_gaussian(seed, item, k, 2)


@compiled()
def sample_grains(
    cells: Cells, held: NDArray[np.int64], seed: int, corner_first: NDArray[np.int64], corners: Floats, offsets: Floats,
    room: Floats,
) -> None:  # fmt: skip
    """Fill offsets (P, K, 3) from their centres with points spread evenly over the silicon of P particles.

    corners are those of all bodies, from `find_corners`; room (P,) is the largest gauge of the cell on its particle.
    """
    for n in range(len(held)):
        cell = held[n]
        first, last = cells.body_first[cell], cells.body_first[cell + 1]
        c = cells.centres_um
        reach = 0.0
        room[n] = 0.0
        for k in range(corner_first[cell], corner_first[cell + 1]):
            v = (corners[k, 0], corners[k, 1], corners[k, 2])
            beta, _ = gauge(cells.cell_planes, cells.cell_first[cell], cells.cell_first[cell + 1], v)
            room[n] = max(room[n], beta)
            reach = max(reach, np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]))
        k = tries = 0
        while k < offsets.shape[1]:
            v = (
                reach * (2.0 * hash_uniform(seed, cell, tries, 3) - 1.0),
                reach * (2.0 * hash_uniform(seed, cell, tries, 4) - 1.0),
                reach * (2.0 * hash_uniform(seed, cell, tries, 5) - 1.0),
            )
            tries += 1
            if gauge(cells.body_planes, first, last, v)[0] >= 1.0:
                continue
            if find_grain(cells, cell, c[cell, 0] + v[0], c[cell, 1] + v[1], c[cell, 2] + v[2])[0] >= 0:
                offsets[n, k, 0], offsets[n, k, 1], offsets[n, k, 2] = v
                k += 1


@compiled()
def find_corners(planes: Floats, first: NDArray[np.int64], corner_first: NDArray[np.int64], corners: Floats,
                 faces: NDArray[np.int64]) -> int:  # fmt: skip
    """Corners of polyhedra given by gauge vectors: rows corner_first[n] ... of item n, each with its three planes.

    Returns how many there are; counts only where `corners` is too short.
    """
    total = 0
    for n in range(len(first) - 1):
        corner_first[n] = total
        for i in range(first[n], first[n + 1]):
            for j in range(i + 1, first[n + 1]):
                for k in range(j + 1, first[n + 1]):
                    rows = (
                        planes[i, 0], planes[i, 1], planes[i, 2],
                        planes[j, 0], planes[j, 1], planes[j, 2],
                        planes[k, 0], planes[k, 1], planes[k, 2],
                    )  # fmt: skip
                    size = determinant(rows)
                    if abs(size) < 1e-9:
                        continue
                    y = (
                        solve(rows, (1.0, 1.0, 1.0))
                        if size > 0.0
                        else solve(
                            (rows[3], rows[4], rows[5], rows[0], rows[1], rows[2], rows[6], rows[7], rows[8]),
                            (1.0, 1.0, 1.0),
                        )
                    )
                    if gauge(planes, first[n], first[n + 1], y)[0] > 1.0 + 1e-7:
                        continue
                    if total < len(corners):
                        corners[total, 0], corners[total, 1], corners[total, 2] = y
                        faces[total, 0], faces[total, 1], faces[total, 2] = i, j, k
                    total += 1
    corner_first[len(first) - 1] = total
    return total


@compiled()
def check_gaps(
    cells: Cells,
    held: NDArray[np.int64],
    scale: Floats,
    corner_first: NDArray[np.int64],
    corners: Floats,
    least: Floats,
) -> None:
    """Fill least (P,) with the smallest det of the stretch found in the gaps of P particles.

    scale (P, 9) is M. It is looked for along rays to the corners (from `find_corners`) of the particle's body and of
    its cell's, and halfway between them, where F jumps.
    """
    for n in range(len(held)):
        cell = held[n]
        m = load(scale, n)
        least[n] = np.inf
        first, last = cells.body_first[cell], cells.body_first[cell + 1]
        start, stop = corner_first[n], corner_first[n + 1]
        for i in range(start, stop):
            for j in range(i, min(stop, i + 8)):
                v = (
                    corners[i, 0] + 0.98 * corners[j, 0] + _ASIDE_UM[0],
                    corners[i, 1] + 0.98 * corners[j, 1] + _ASIDE_UM[1],
                    corners[i, 2] + 0.98 * corners[j, 2] + _ASIDE_UM[2],
                )
                alpha, ja = gauge(cells.body_planes, first, last, v)
                beta, jb = gauge(cells.cell_planes, cells.cell_first[cell], cells.cell_first[cell + 1], v)
                for far in range(2):
                    size = (1.0 - 1e-6) / beta if far else (1.0 + 1e-6) / alpha
                    share, slope = share_gap(
                        alpha * size, plane_of(cells.body_planes, ja), beta * size, plane_of(cells.cell_planes, jb)
                    )
                    _, g = stretch_offset(share, m, (v[0] * size, v[1] * size, v[2] * size), slope)
                    least[n] = min(least[n], determinant(g))


@compiled()
def scatter_on_faces(cells: Cells, start: int, seed: int, points: Floats, faces: NDArray[np.int64]) -> None:
    """Fill points (G, K, 3) on the faces (G, K) of the grains from `start` on, in random directions from centres."""
    for n in range(len(points)):
        g = start + n
        first, last = cells.grain_plane_first[g], cells.grain_plane_first[g + 1]
        for k in range(points.shape[1]):
            v = _draw_direction(seed, g, k)
            size, faces[n, k] = gauge(cells.grain_planes, first, last, v)
            for i in range(3):
                points[n, k, i] = v[i] / size


@compiled()
def check_shells(
    cells: Cells, motion: Motion, grains: NDArray[np.int64], start: int, first: NDArray[np.int64], points: Floats,
    faces: NDArray[np.int64], places: Floats, gradients: Floats, enough: float, least: Floats,
) -> None:  # fmt: skip
    """Lower least (len(grains),) to the smallest det F on rays through the shells of some grains.

    Rows first[g - start] ... of `points` lie on the faces `faces` of grain g and arrive at `places` with F `gradients`.
    Both ends and the middle of each ray are looked at, until det F falls below `enough`.
    """
    for n in range(len(grains)):
        g = grains[n]
        kappa = motion.core_gauge[g]
        core = load(motion.core, g)
        for k in range(first[g - start], first[g - start + 1]):
            edge = (points[k, 0], points[k, 1], points[k, 2])
            t = (
                places[k, 0] - motion.core_at_um[g, 0],
                places[k, 1] - motion.core_at_um[g, 1],
                places[k, 2] - motion.core_at_um[g, 2],
            )
            fp = load(gradients, k)
            a = plane_of(cells.grain_planes, faces[k])
            for part in range(3):
                alpha = kappa + (1.0 - kappa) * 0.5 * part
                _, f = blend_shell(kappa, core, alpha, a, edge, t, fp)
                least[n] = min(least[n], determinant(f))
            if least[n] < enough:
                break


@compiled()
def measure_grains(cells: Cells, inertia: Floats) -> None:
    """Fill inertia (G, 3, 3) with the second moment of each grain about its centre, up to a factor."""
    count = 400
    for g in range(len(inertia)):
        inertia[g] = 0.0
        first, last = cells.grain_plane_first[g], cells.grain_plane_first[g + 1]
        for k in range(count):  # Fibonacci's sphere
            z = 1.0 - (2.0 * k + 1.0) / count
            ring = np.sqrt(1.0 - z * z)
            angle = 2.399963229728653 * k
            n = (z, ring * np.sin(angle), ring * np.cos(angle))
            weight = gauge(cells.grain_planes, first, last, n)[0] ** -5
            for i in range(3):
                for j in range(3):
                    inertia[g, i, j] += weight * n[i] * n[j]


@compiled()
def lattice_grains(
    cells: Cells, held: NDArray[np.int64], reach: Floats, spacing: Floats, first: NDArray[np.int64], points: Floats,
    gauges: Floats,
) -> None:  # fmt: skip
    """Lattice points in the silicon of each particle, `spacing` (P,) apart, with their grain's gauge.

    reach (P,) is how far the particle's corners are from its centre.

    Particle n has rows first[n] ... first[n + 1] - 1; counts only where `points` is empty.
    """
    total = 0
    for n in range(len(held)):
        cell = held[n]
        c = cells.centres_um
        start, stop = cells.body_first[cell], cells.body_first[cell + 1]
        count = int(reach[n] / spacing[n]) + 1
        first[n] = total
        for i in range(-count, count):
            for j in range(-count, count):
                for k in range(-count, count):
                    y = ((i + 0.5) * spacing[n], (j + 0.5) * spacing[n], (k + 0.5) * spacing[n])
                    if gauge(cells.body_planes, start, stop, y)[0] >= 1.0:
                        continue
                    z0, y0, x0 = c[cell, 0] + y[0], c[cell, 1] + y[1], c[cell, 2] + y[2]
                    grain, value, _ = find_grain(cells, cell, z0, y0, x0)
                    if grain < 0:
                        continue
                    if len(points):
                        points[total, 0], points[total, 1], points[total, 2] = z0, y0, x0
                        gauges[total] = value
                    total += 1
    first[len(held)] = total

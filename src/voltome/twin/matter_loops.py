"""Compiled loops of the motion of matter: carrier, particles in their cells, grains with rigid cores.

Outside of all cell bodies matter follows the carrier phi. In a cell with a particle, about its centre C, a point first
goes to C + Y + p (M - I) Y: all the way (p = 1) inside the particle, not at all on the cell's body, so that the gap
takes the difference; then the carrier moves it. That is phi_p. In a grain, about its centre c, the core of gauge kappa
moves as phi_p(c) + L Y; between the core and the grain's face, which moves with phi_p, a ray is blended linearly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.twin.carrier_loops import (
    Carrier,
    Floats,
    Matrix,
    Vector,
    apply,
    determinant,
    displace,
    find_origin,
    load,
    multiply,
    solve,
)
from voltome.twin.cell_loops import Cells, find_cell, find_grain, gauge
from voltome.twin.noise_loops import hash_gaussian, hash_uniform
from voltome.twin.compilation import compiled

CARRIER, GAP, CRACK, SHELL, CORE = 0, 1, 2, 3, 4
"""Where a point of matter lies."""

NO_CORE = -1.0
"""Core gauge of a grain that moves with its particle."""


class Motion(NamedTuple):
    """Motion of one step: rows of 9 are matrices. For N cells and G grains.

    scale is M of each particle, core is L of each grain (with their inverses), core_at the place of its centre in the
    deformed state, core_gauge kappa; box_um the slab outside of which there are no cells.
    """

    carrier: Carrier
    box_um: Floats
    scale: Floats
    unscale: Floats
    core: Floats
    uncore: Floats
    core_at_um: Floats
    core_gauge: Floats


class Place(NamedTuple):
    """Where a point lies: kind, cell, grain (-1 for none) and the grain's gauge."""

    kind: int
    cell: int
    grain: int
    gauge: float


@compiled(inline="always")
def _plane(planes: Floats, j: int) -> Vector:
    return planes[j, 0], planes[j, 1], planes[j, 2]


@compiled(inline="always")
def _stretch(share: float, m: Matrix, y: Vector, slope: Vector) -> tuple[Vector, Matrix]:
    """Y + p (M - I) Y and its gradient; slope is that of p."""
    my = apply(m, y)
    d = (my[0] - y[0], my[1] - y[1], my[2] - y[2])
    at = (y[0] + share * d[0], y[1] + share * d[1], y[2] + share * d[2])
    g = (
        1.0 + share * (m[0] - 1.0) + d[0] * slope[0], share * m[1] + d[0] * slope[1], share * m[2] + d[0] * slope[2],
        share * m[3] + d[1] * slope[0], 1.0 + share * (m[4] - 1.0) + d[1] * slope[1], share * m[5] + d[1] * slope[2],
        share * m[6] + d[2] * slope[0], share * m[7] + d[2] * slope[1], 1.0 + share * (m[8] - 1.0) + d[2] * slope[2],
    )  # fmt: skip
    return at, g


@compiled(inline="always")
def _gap_share(alpha: float, a: Vector, beta: float, b: Vector) -> tuple[float, Vector]:
    """Share p of the particle's own stretch in its gap (alpha > 1 > beta), and its gradient."""
    width = alpha - beta
    share = (1.0 - beta) / width
    return share, (
        (-b[0] - share * (a[0] - b[0])) / width,
        (-b[1] - share * (a[1] - b[1])) / width,
        (-b[2] - share * (a[2] - b[2])) / width,
    )


@compiled()
def move_particle(cells: Cells, motion: Motion, cell: int, y: Vector) -> tuple[Vector, Matrix]:
    """Place and F of phi_p at an offset Y from a particle's centre, as if all of it were particle."""
    m = load(motion.scale, cell)
    c = cells.centres_um
    my = apply(m, y)
    z0, z1, z2 = c[cell, 0] + my[0], c[cell, 1] + my[1], c[cell, 2] + my[2]
    u, f = displace(motion.carrier, z0, z1, z2)
    return (z0 + u[0], z1 + u[1], z2 + u[2]), multiply(f, m)


@compiled(inline="always")
def _blend_shell(
    kappa: float, core: Matrix, alpha: float, a: Vector, edge: Vector, t: Vector, fp: Matrix
) -> tuple[Vector, Matrix]:
    """Place, from its core's centre, and F of a point of a shell.

    alpha and a are its gauge and that gauge's gradient, edge the point of the face on its ray, t and fp the face's
    place, from the core's centre, and F of phi_p there.
    """
    rate = 1.0 / (1.0 - kappa)
    omega = (alpha - kappa) * rate
    ly = apply(core, edge)
    inner = (1.0 - omega) * kappa
    place = (inner * ly[0] + omega * t[0], inner * ly[1] + omega * t[1], inner * ly[2] + omega * t[2])
    fy = apply(fp, edge)  # how the face's place moves when the ray turns
    drop = inner / alpha + rate * kappa
    w = omega / alpha
    e = (
        rate * t[0] - drop * ly[0] - w * fy[0],
        rate * t[1] - drop * ly[1] - w * fy[1],
        rate * t[2] - drop * ly[2] - w * fy[2],
    )
    v = inner / alpha
    f = (
        v * core[0] + w * fp[0] + e[0] * a[0],
        v * core[1] + w * fp[1] + e[0] * a[1],
        v * core[2] + w * fp[2] + e[0] * a[2],
        v * core[3] + w * fp[3] + e[1] * a[0],
        v * core[4] + w * fp[4] + e[1] * a[1],
        v * core[5] + w * fp[5] + e[1] * a[2],
        v * core[6] + w * fp[6] + e[2] * a[0],
        v * core[7] + w * fp[7] + e[2] * a[1],
        v * core[8] + w * fp[8] + e[2] * a[2],
    )
    return place, f


@compiled()
def _move_shell(
    cells: Cells, motion: Motion, cell: int, grain: int, y: Vector, alpha: float, plane: int
) -> tuple[Vector, Matrix]:
    """Place and F of a point of a grain's shell, at an offset Y from the grain's centre."""
    own = cells.grain_centres_um
    c = cells.centres_um
    edge = (y[0] / alpha, y[1] / alpha, y[2] / alpha)
    offset = (
        own[grain, 0] - c[cell, 0] + edge[0], own[grain, 1] - c[cell, 1] + edge[1], own[grain, 2] - c[cell, 2] + edge[2]
    )  # fmt: skip
    at, fp = move_particle(cells, motion, cell, offset)
    home = (motion.core_at_um[grain, 0], motion.core_at_um[grain, 1], motion.core_at_um[grain, 2])
    t = (at[0] - home[0], at[1] - home[1], at[2] - home[2])
    core = load(motion.core, grain)
    place, f = _blend_shell(motion.core_gauge[grain], core, alpha, _plane(cells.grain_planes, plane), edge, t, fp)
    return (home[0] + place[0], home[1] + place[1], home[2] + place[2]), f


@compiled()
def move_point(cells: Cells, motion: Motion, z: float, y: float, x: float) -> tuple[Vector, Matrix, Place]:
    """Where a material point arrives, F there, and what it is."""
    box = motion.box_um
    inside = box[0, 0] < z < box[1, 0] and box[0, 1] < y < box[1, 1] and box[0, 2] < x < box[1, 2]
    cell = find_cell(cells, z, y, x) if inside else -1
    if cell < 0 or cells.labels[cell] == 0:
        u, f = displace(motion.carrier, z, y, x)
        return (z + u[0], y + u[1], x + u[2]), f, Place(CARRIER, cell, -1, 1.0)
    c = cells.centres_um
    offset = (z - c[cell, 0], y - c[cell, 1], x - c[cell, 2])
    beta, jb = gauge(cells.cell_planes, cells.cell_first[cell], cells.cell_first[cell + 1], offset)
    if beta >= 1.0:
        u, f = displace(motion.carrier, z, y, x)
        return (z + u[0], y + u[1], x + u[2]), f, Place(CARRIER, cell, -1, 1.0)
    alpha, ja = gauge(cells.body_planes, cells.body_first[cell], cells.body_first[cell + 1], offset)
    if alpha >= 1.0:
        share, slope = _gap_share(alpha, _plane(cells.body_planes, ja), beta, _plane(cells.cell_planes, jb))
        at, g = _stretch(share, load(motion.scale, cell), offset, slope)
        z0, z1, z2 = c[cell, 0] + at[0], c[cell, 1] + at[1], c[cell, 2] + at[2]
        u, f = displace(motion.carrier, z0, z1, z2)
        return (z0 + u[0], z1 + u[1], z2 + u[2]), multiply(f, g), Place(GAP, cell, -1, alpha)
    grain, value, plane = find_grain(cells, cell, z, y, x)
    if grain < 0:
        place, f = move_particle(cells, motion, cell, offset)
        return place, f, Place(CRACK, cell, -1, 1.0)
    own = cells.grain_centres_um
    here = (z - own[grain, 0], y - own[grain, 1], x - own[grain, 2])
    if motion.core_gauge[grain] < 0.0:
        place, f = move_particle(cells, motion, cell, offset)
        return place, f, Place(SHELL, cell, grain, value)
    if value <= motion.core_gauge[grain]:
        core = load(motion.core, grain)
        turned = apply(core, here)
        home = motion.core_at_um
        place = (home[grain, 0] + turned[0], home[grain, 1] + turned[1], home[grain, 2] + turned[2])
        return place, core, Place(CORE, cell, grain, value)
    place, f = _move_shell(cells, motion, cell, grain, here, value, plane)
    return place, f, Place(SHELL, cell, grain, value)


_STEPS = 60
_CLOSE_UM = 1e-7
_NEAR_UM = 1e-4
_CLOSE_SHELL_UM = 1e-5  # a shell's map bends at most by its strain over its width


@compiled()
def _return_gap(cells: Cells, motion: Motion, cell: int, target: Vector, guess: Vector) -> tuple[Vector, Matrix, bool]:
    """Offset in a gap that the particle's stretch brings to `target`, both from the particle's centre; its gradient."""
    m = load(motion.scale, cell)
    first, last = cells.body_first[cell], cells.body_first[cell + 1]
    start, stop = cells.cell_first[cell], cells.cell_first[cell + 1]
    y = guess
    size = np.inf
    step = (0.0, 0.0, 0.0)
    scale = 1.0
    planes = (-1, -1)
    for _ in range(_STEPS):
        alpha, ja = gauge(cells.body_planes, first, last, y)
        beta, jb = gauge(cells.cell_planes, start, stop, y)
        share, slope = 1.0, (0.0, 0.0, 0.0)
        if beta >= 1.0:
            share = 0.0
        elif alpha > 1.0:
            share, slope = _gap_share(alpha, _plane(cells.body_planes, ja), beta, _plane(cells.cell_planes, jb))
        at, g = _stretch(share, m, y, slope)
        r = (target[0] - at[0], target[1] - at[1], target[2] - at[2])
        left = abs(r[0]) + abs(r[1]) + abs(r[2])
        if left < _CLOSE_UM or (left < _NEAR_UM and planes == (ja, jb)):
            if left >= _CLOSE_UM:
                step = solve(g, r)
                y = (y[0] + step[0], y[1] + step[1], y[2] + step[2])
            return y, g, True
        if left < size or scale < 1e-3:
            size = left
            step = solve(g, r)
            scale = 1.0
            planes = (ja, jb)
            y = (y[0] + step[0], y[1] + step[1], y[2] + step[2])
        else:
            scale *= 0.5
            y = (y[0] - scale * step[0], y[1] - scale * step[1], y[2] - scale * step[2])
    return y, m, False


@compiled()
def _return_shell(
    cells: Cells, motion: Motion, cell: int, grain: int, target: Vector, guess: Vector
) -> tuple[Vector, float, Matrix, bool]:
    """Offset from a grain's centre that the shell brings to a place, its gauge, F, and whether it was found."""
    first, last = cells.grain_plane_first[grain], cells.grain_plane_first[grain + 1]
    y = guess
    size = np.inf
    step = (0.0, 0.0, 0.0)
    scale = 1.0
    alpha = 1.0
    for _ in range(_STEPS):
        alpha, plane = gauge(cells.grain_planes, first, last, y)
        at, f = _move_shell(cells, motion, cell, grain, y, max(alpha, 1e-6), plane)
        r = (target[0] - at[0], target[1] - at[1], target[2] - at[2])
        left = abs(r[0]) + abs(r[1]) + abs(r[2])
        if left < _CLOSE_UM:
            return y, alpha, f, True
        if left < size or scale < 1e-3:
            size = left
            step = solve(f, r)
            scale = 1.0
            y = (y[0] + step[0], y[1] + step[1], y[2] + step[2])
            if left < _CLOSE_SHELL_UM:  # within one face the map is smooth: this step was the last that counts
                alpha, after = gauge(cells.grain_planes, first, last, y)
                if after == plane:
                    return y, alpha, f, True
        else:
            scale *= 0.5
            y = (y[0] - scale * step[0], y[1] - scale * step[1], y[2] - scale * step[2])
    return y, alpha, f, False


class Trace(NamedTuple):
    """What is known of a neighbour's origin: a guess for the next point.

    carrier_um and carrier_f: the carrier's own origin of the place and F there; point_um and f: the material point and
    F there; kind, cell and grain: what it is.
    """

    place_um: Vector
    carrier_um: Vector
    carrier_f: Matrix
    point_um: Vector
    f: Matrix
    place: Place


@compiled()
def begin_trace(z: float, y: float, x: float) -> Trace:
    """A guess where nothing is known: matter has not moved."""
    one = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    at = (z, y, x)
    return Trace(at, at, one, at, one, Place(CARRIER, -1, -1, 1.0))


@compiled(inline="always")
def _advance(at: Vector, f: Matrix, step: Vector) -> Vector:
    s = solve(f, step)
    return at[0] + s[0], at[1] + s[1], at[2] + s[2]


@compiled()
def return_point(cells: Cells, motion: Motion, z: float, y: float, x: float, before: Trace) -> tuple[Trace, bool]:
    """Material point that arrives at (z, y, x) with all that was found on the way, and whether it is good to 1e-7 um."""
    here = (z, y, x)
    moved = (z - before.place_um[0], y - before.place_um[1], x - before.place_um[2])
    at, f, found = find_origin(motion.carrier, z, y, x, _advance(before.carrier_um, before.carrier_f, moved))
    box = motion.box_um
    inside = box[0, 0] < at[0] < box[1, 0] and box[0, 1] < at[1] < box[1, 1] and box[0, 2] < at[2] < box[1, 2]
    cell = find_cell(cells, at[0], at[1], at[2]) if inside else -1
    if cell < 0 or cells.labels[cell] == 0:
        return Trace(here, at, f, at, f, Place(CARRIER, cell, -1, 1.0)), found
    c = cells.centres_um
    offset = (at[0] - c[cell, 0], at[1] - c[cell, 1], at[2] - c[cell, 2])
    beta, _ = gauge(cells.cell_planes, cells.cell_first[cell], cells.cell_first[cell + 1], offset)
    if beta >= 1.0:
        return Trace(here, at, f, at, f, Place(CARRIER, cell, -1, 1.0)), found
    own = apply(load(motion.unscale, cell), offset)
    first, last = cells.body_first[cell], cells.body_first[cell + 1]
    guess = _advance(before.point_um, before.f, moved)
    if gauge(cells.body_planes, first, last, own)[0] >= 1.0:
        near = before.place.kind == GAP and before.place.cell == cell
        start = (guess[0] - c[cell, 0], guess[1] - c[cell, 1], guess[2] - c[cell, 2]) if near else offset
        gap, g, ok = _return_gap(cells, motion, cell, offset, start)
        alpha, _ = gauge(cells.body_planes, first, last, gap)
        point = (c[cell, 0] + gap[0], c[cell, 1] + gap[1], c[cell, 2] + gap[2])
        return Trace(here, at, f, point, multiply(f, g), Place(GAP, cell, -1, alpha)), found and ok
    point = (c[cell, 0] + own[0], c[cell, 1] + own[1], c[cell, 2] + own[2])
    grain, value, _ = find_grain(cells, cell, point[0], point[1], point[2])
    if grain < 0:
        return Trace(here, at, f, point, f, Place(CRACK, cell, -1, 1.0)), found
    if motion.core_gauge[grain] < 0.0:
        return Trace(here, at, f, point, f, Place(SHELL, cell, grain, value)), found
    home = motion.core_at_um
    inner = apply(load(motion.uncore, grain), (z - home[grain, 0], y - home[grain, 1], x - home[grain, 2]))
    planes = (cells.grain_plane_first[grain], cells.grain_plane_first[grain + 1])
    core_value, _ = gauge(cells.grain_planes, planes[0], planes[1], inner)
    middle = (cells.grain_centres_um[grain, 0], cells.grain_centres_um[grain, 1], cells.grain_centres_um[grain, 2])
    if core_value <= motion.core_gauge[grain]:
        point = (middle[0] + inner[0], middle[1] + inner[1], middle[2] + inner[2])
        return Trace(here, at, f, point, load(motion.core, grain), Place(CORE, cell, grain, core_value)), found
    near = before.place.kind == SHELL and before.place.grain == grain
    first_try = guess if near else point
    start = (first_try[0] - middle[0], first_try[1] - middle[1], first_try[2] - middle[2])
    shell, value, shell_f, ok = _return_shell(cells, motion, cell, grain, here, start)
    if not ok:  # F jumps between faces, where Newton's steps may go round: begin elsewhere
        size = 0.5 * (1.0 + motion.core_gauge[grain]) / core_value
        start = (size * inner[0], size * inner[1], size * inner[2])
        shell, value, shell_f, ok = _return_shell(cells, motion, cell, grain, here, start)
    point = (middle[0] + shell[0], middle[1] + shell[1], middle[2] + shell[2])
    return Trace(here, at, f, point, shell_f, Place(SHELL, cell, grain, value)), found and ok


@compiled()
def move_points(
    cells: Cells, motion: Motion, points: Floats, places: Floats, gradients: Floats, kinds: NDArray[np.int64]
) -> None:
    """Fill places (N, 3), F (N, 9) and kinds (N, 3: kind, cell, grain) of material points (N, 3)."""
    for n in range(len(points)):
        at, f, place = move_point(cells, motion, points[n, 0], points[n, 1], points[n, 2])
        for i in range(3):
            places[n, i] = at[i]
        for i in range(9):
            gradients[n, i] = f[i]
        kinds[n, 0] = place.kind
        kinds[n, 1] = place.cell
        kinds[n, 2] = place.grain


@compiled()
def return_points(cells: Cells, motion: Motion, places: Floats, points: Floats) -> int:
    """Fill points (N, 3) with the matter that arrives at places (N, 3); returns how many were not found."""
    failed = 0
    for n in range(len(places)):
        z, y, x = places[n, 0], places[n, 1], places[n, 2]
        trace, found = return_point(cells, motion, z, y, x, begin_trace(z, y, x))
        for i in range(3):
            points[n, i] = trace.point_um[i]
        failed += not found
    return failed


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
                    y = solve(rows, (1.0, 1.0, 1.0)) if size > 0.0 else solve(
                        (rows[3], rows[4], rows[5], rows[0], rows[1], rows[2], rows[6], rows[7], rows[8]), (1.0, 1.0, 1.0)
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
    cells: Cells, held: NDArray[np.int64], scale: Floats, corner_first: NDArray[np.int64], corners: Floats, least: Floats
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
                    corners[i, 0] + 0.98 * corners[j, 0],
                    corners[i, 1] + 0.98 * corners[j, 1],
                    corners[i, 2] + 0.98 * corners[j, 2],
                )
                alpha, ja = gauge(cells.body_planes, first, last, v)
                beta, jb = gauge(cells.cell_planes, cells.cell_first[cell], cells.cell_first[cell + 1], v)
                for far in range(2):
                    size = (1.0 - 1e-6) / beta if far else (1.0 + 1e-6) / alpha
                    share, slope = _gap_share(
                        alpha * size, _plane(cells.body_planes, ja), beta * size, _plane(cells.cell_planes, jb)
                    )
                    _, g = _stretch(share, m, (v[0] * size, v[1] * size, v[2] * size), slope)
                    least[n] = min(least[n], determinant(g))


@compiled()
def scatter_on_faces(cells: Cells, seed: int, points: Floats, faces: NDArray[np.int64]) -> None:
    """Fill points (G, K, 3), offsets from its centre, on the faces (G, K) of each grain in random directions."""
    for g in range(len(points)):
        for k in range(points.shape[1]):
            v = _draw_direction(seed, g, k)
            size, faces[g, k] = gauge(cells.grain_planes, cells.grain_plane_first[g], cells.grain_plane_first[g + 1], v)
            for i in range(3):
                points[g, k, i] = v[i] / size


@compiled()
def check_shells(
    cells: Cells, motion: Motion, grains: NDArray[np.int64], first: NDArray[np.int64], points: Floats,
    faces: NDArray[np.int64], places: Floats, gradients: Floats, enough: float, least: Floats,
) -> None:  # fmt: skip
    """Fill least (len(grains),) with the smallest det F on rays through the shells of some grains.

    Rows first[g] ... of `points` lie on the faces `faces` of grain g and arrive at `places` with F `gradients`. Both
    ends and the middle of each ray are looked at, until det F falls below `enough`.
    """
    for n in range(len(grains)):
        g = grains[n]
        least[n] = np.inf
        kappa = motion.core_gauge[g]
        core = load(motion.core, g)
        for k in range(first[g], first[g + 1]):
            edge = (points[k, 0], points[k, 1], points[k, 2])
            t = (
                places[k, 0] - motion.core_at_um[g, 0],
                places[k, 1] - motion.core_at_um[g, 1],
                places[k, 2] - motion.core_at_um[g, 2],
            )
            fp = load(gradients, k)
            a = _plane(cells.grain_planes, faces[k])
            for part in range(3):
                alpha = kappa + (1.0 - kappa) * 0.5 * part
                _, f = _blend_shell(kappa, core, alpha, a, edge, t, fp)
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
    cells: Cells, held: NDArray[np.int64], spacing: Floats, first: NDArray[np.int64], points: Floats, gauges: Floats
) -> None:
    """Lattice points in the silicon of each particle, `spacing` (P,) apart, with their grain's gauge.

    Particle n has rows first[n] ... first[n + 1] - 1; counts only where `points` is empty.
    """
    total = 0
    for n in range(len(held)):
        cell = held[n]
        c = cells.centres_um
        start, stop = cells.body_first[cell], cells.body_first[cell + 1]
        reach = 0
        for axis in range(3):
            for sign in (-1.0, 1.0):
                e = (sign if axis == 0 else 0.0, sign if axis == 1 else 0.0, sign if axis == 2 else 0.0)
                reach = max(reach, int(2.0 / (gauge(cells.body_planes, start, stop, e)[0] * spacing[n])) + 1)
        first[n] = total
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                for k in range(-reach, reach + 1):
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

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
    displace,
    load,
    multiply,
)
from voltome.twin.cell_loops import Cells, find_cell, find_grain, gauge
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
def plane_of(planes: Floats, j: int) -> Vector:
    return planes[j, 0], planes[j, 1], planes[j, 2]


@compiled(inline="always")
def stretch_offset(share: float, m: Matrix, y: Vector, slope: Vector) -> tuple[Vector, Matrix]:
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
def share_gap(alpha: float, a: Vector, beta: float, b: Vector) -> tuple[float, Vector]:
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
def blend_shell(
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
def move_shell(
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
    place, f = blend_shell(motion.core_gauge[grain], core, alpha, plane_of(cells.grain_planes, plane), edge, t, fp)
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
        share, slope = share_gap(alpha, plane_of(cells.body_planes, ja), beta, plane_of(cells.cell_planes, jb))
        at, g = stretch_offset(share, load(motion.scale, cell), offset, slope)
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
    place, f = move_shell(cells, motion, cell, grain, here, value, plane)
    return place, f, Place(SHELL, cell, grain, value)


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

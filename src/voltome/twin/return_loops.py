"""Compiled loops that take a place in the deformed state back to its material point.

The carrier and each shell or gap are inverted by Newton's method. F jumps between the faces of a grain and is smooth
within one, so that a step that stays within a face and was already close is the last one needed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from voltome.twin.carrier_loops import Floats, Matrix, Vector, apply, find_origin, load, multiply, solve
from voltome.twin.cell_loops import Cells, find_cell, find_grain, gauge
from voltome.twin.compilation import compiled
from voltome.twin.matter_loops import (
    CARRIER,
    CORE,
    CRACK,
    GAP,
    SHELL,
    Motion,
    Place,
    move_shell,
    plane_of,
    share_gap,
    stretch_offset,
)

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
            share, slope = share_gap(alpha, plane_of(cells.body_planes, ja), beta, plane_of(cells.cell_planes, jb))
        at, g = stretch_offset(share, m, y, slope)
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
        at, f = move_shell(cells, motion, cell, grain, y, max(alpha, 1e-6), plane)
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
    """Material point that arrives at (z, y, x) with what was found on the way, and whether it is good to 1e-7 um."""
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

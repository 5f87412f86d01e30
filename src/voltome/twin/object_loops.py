"""Compiled loops of what matter is: phase, label, lithium content and refractive decrement of a material point.

They also fill blocks of a scan: each voxel is taken back to its material point once, and the object is asked there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.twin.carrier_loops import Floats, Vector
from voltome.twin.cell_loops import Cells, gauge
from voltome.twin.compilation import compiled
from voltome.twin.matter_loops import CRACK, Motion, Place
from voltome.twin.noise_loops import value_noise
from voltome.twin.phases import (
    BINDER,
    BUBBLE,
    COLLECTOR,
    CONTRAST_COMPOSITION,
    LITHIATED,
    PORE,
    SEPARATOR,
    SILICON,
)
from voltome.twin.return_loops import begin_trace, return_point
from voltome.twin.scan_loops import electron_density
from voltome.twin.texture_of_layers_loops import Fibres, collector_face, collector_grain, in_fibre


class Look(NamedTuple):
    """What tells the phases apart at one step. Decrements in 1e-7, that of silicon for one electron per A^3."""

    collector_um: float
    surface_level_um: float
    surface_waves: Floats
    surface_swing_um: float
    bubble_um: Floats
    bubble_radius_um: float
    binder_threshold_um: float
    binder_seed: int
    binder_texture: float
    binder_texture_um: float
    collector_seed: int
    collector_texture: float
    collector_texture_um: float
    fibres: Fibres
    front: Floats
    front_width: float
    composition: float
    visible: bool
    copper: float
    electrolyte: float
    binder: float
    separator: float
    per_electron: float


@compiled()
def surface_height(level: float, waves: Floats, y: float, x: float) -> float:
    """Depth z of the electrode's rough surface."""
    z = level
    for k in range(len(waves)):
        z += waves[k, 0] * math.sin(waves[k, 1] * y + waves[k, 2] * x + waves[k, 3])
    return z


_NECK_WEIGHT = 0.4
_FACE_REACH_UM = 0.6
_WISP_UM = 1.3
_WISP_SIZE_UM = 0.35


@compiled()
def binder_distance(cells: Cells, cell: int, z: float, y: float, x: float, seed: int) -> float:
    """How far a point outside of silicon is from where binder gathers: small at surfaces, in necks, and by chance."""
    c = cells.centres_um
    v = (z - c[cell, 0], y - c[cell, 1], x - c[cell, 2])
    alpha, _ = gauge(cells.body_planes, cells.body_first[cell], cells.body_first[cell + 1], v)
    beta, _ = gauge(cells.cell_planes, cells.cell_first[cell], cells.cell_first[cell + 1], v)
    r = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    surface = r / alpha
    wall = max(r / beta, surface)
    return r - surface + _NECK_WEIGHT * (wall - surface) - _WISP_SIZE_UM * value_noise(z, y, x, _WISP_UM, seed)


@compiled()
def lithium_ramp(kappa: float, width: float) -> tuple[float, float]:
    """Middle and width of the ramp of lithium content over the gauge that holds as much as a step at kappa."""
    width = min(width, 1.9 * (1.0 - kappa), 1.9 * kappa)
    # a front that lies anywhere in the ramp leaves middle^3 + middle width^2 / 4 on average
    return kappa - width * width / (12.0 * kappa), width


@compiled()
def lithium_content(look: Look, cell: int, value: float) -> float:
    """x in LixSi at a gauge of a grain."""
    kappa = look.front[cell]
    if kappa > 0.9999:
        return 0.0
    middle, width = lithium_ramp(kappa, look.front_width)
    if width < 1e-6:
        return float(look.composition) if value > kappa else 0.0
    return float(look.composition * min(max((value - middle) / width + 0.5, 0.0), 1.0))


@compiled()
def name_phase(cells: Cells, motion: Motion, look: Look, point: Vector, place: Place) -> tuple[int, float]:
    """Phase of a material point, and the lithium content of silicon."""
    z, y, x = point
    if place.grain >= 0:
        if motion.core_gauge[place.grain] < 0.0:  # without a core: as much lithium everywhere as its swelling asks for
            content = look.composition * (1.0 - look.front[place.cell] ** 3)
        else:
            content = lithium_content(look, place.cell, place.gauge)
        return (LITHIATED if content > CONTRAST_COMPOSITION else SILICON), content
    if z < look.collector_um + _FACE_REACH_UM and z < look.collector_um + collector_face(y, x, look.collector_seed):
        return COLLECTOR, 0.0
    swing = look.surface_swing_um
    if z > look.surface_level_um + swing or (
        z > look.surface_level_um - swing and z > surface_height(look.surface_level_um, look.surface_waves, y, x)
    ):
        return (SEPARATOR if in_fibre(z, y, x, look.fibres) else PORE), 0.0
    b = look.bubble_um
    d = (z - b[0]) * (z - b[0]) + (y - b[1]) * (y - b[1]) + (x - b[2]) * (x - b[2])
    if d < look.bubble_radius_um * look.bubble_radius_um:
        return BUBBLE, 0.0
    if place.cell < 0 or place.kind == CRACK:
        return PORE, 0.0
    if cells.labels[place.cell] == 0:
        return (BINDER if cells.binder_zone[place.cell] else PORE), 0.0
    near = binder_distance(cells, place.cell, z, y, x, look.binder_seed)
    return (BINDER if near < look.binder_threshold_um else PORE), 0.0


@compiled()
def decrement(look: Look, point: Vector, phase: int, content: float) -> float:
    """Refractive decrement, 1e-7: of silicon from the electrons that its composition has."""
    if phase in (SILICON, LITHIATED):
        x = content if look.visible else 0.0
        return float(look.per_electron * electron_density(x))
    if phase == PORE:
        return look.electrolyte
    if phase == BINDER:
        grain = value_noise(point[0], point[1], point[2], look.binder_texture_um, look.binder_seed + 1)
        return look.binder * (1.0 + look.binder_texture * 2.7 * grain)
    if phase == SEPARATOR:
        return look.separator
    if phase == BUBBLE:
        return 0.0
    grain = collector_grain(point[0], point[1], point[2], look.collector_texture_um, look.collector_seed)
    return look.copper * (1.0 + look.collector_texture * grain)


@compiled()
def _to_lab(affine: Floats, z: float, y: float, x: float) -> Vector:
    """A scan's voxel in the frame of T0, micrometres; affine is (3, 4)."""
    return (
        affine[0, 0] * z + affine[0, 1] * y + affine[0, 2] * x + affine[0, 3],
        affine[1, 0] * z + affine[1, 1] * y + affine[1, 2] * x + affine[1, 3],
        affine[2, 0] * z + affine[2, 1] * y + affine[2, 2] * x + affine[2, 3],
    )


@compiled()
def fill_block(
    cells: Cells, motion: Motion, look: Look, affine: Floats, start: Floats, step: float,
    decrements: NDArray[np.float32], phases: NDArray[np.uint8], labels: NDArray[np.uint32],
) -> int:  # fmt: skip
    """Fill a block with decrements (1e-7), phases and particles' labels at start + index step, in voxels of the scan.

    Returns at how many points the origin was not found to 1e-7 um; there the nearest iterate stands in.
    """
    failed = 0
    for i in range(phases.shape[0]):
        for j in range(phases.shape[1]):
            v = start[0] + i * step
            w = start[1] + j * step
            now = _to_lab(affine, v, w, start[2])
            trace = begin_trace(now[0], now[1], now[2])
            for k in range(phases.shape[2]):
                now = _to_lab(affine, v, w, start[2] + k * step)
                trace, found = return_point(cells, motion, now[0], now[1], now[2], trace)
                failed += not found
                point, place = trace.point_um, trace.place
                phase, content = name_phase(cells, motion, look, point, place)
                phases[i, j, k] = phase
                silicon = phase in (SILICON, LITHIATED)
                labels[i, j, k] = cells.labels[place.cell] if silicon else 0
                decrements[i, j, k] = decrement(look, point, phase, content)
    return failed


@compiled()
def sample_binder(
    cells: Cells, motion: Motion, seed: int, points: Floats, distance: Floats, kinds: NDArray[np.int64]
) -> None:
    """Fill distance (N,) with `binder_distance` at material points of T0, and kinds (N,).

    Kinds: 0 silicon, 1 pore whatever the threshold, 2 binder whatever the threshold, 3 by distance.
    """
    for n in range(len(points)):
        z, y, x = points[n, 0], points[n, 1], points[n, 2]
        trace, _ = return_point(cells, motion, z, y, x, begin_trace(z, y, x))
        place = trace.place
        distance[n] = np.inf
        if place.grain >= 0:
            kinds[n] = 0
        elif place.cell < 0 or place.kind == CRACK:
            kinds[n] = 1
        elif cells.labels[place.cell] == 0:
            kinds[n] = 2 if cells.binder_zone[place.cell] else 1
        else:
            kinds[n] = 3
            distance[n] = binder_distance(cells, place.cell, z, y, x, seed)

"""Volumes of the twin: grey values, phases and labels of any block of any step's scan.

Each voxel is taken back to its material point and the object is asked there: nothing is resampled from an image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block
from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.object_loops import Look
from voltome.twin.texture_of_layers_loops import Fibres

Floats = NDArray[np.float64]
Volumes = tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray[np.uint32]]

_BINDER_SAMPLES = 500_000
_BUBBLE_TRIES, _BUBBLE_SAMPLES = 400, 300
_BYTES_A_SUBVOXEL = 16  # decrement, its blurred copies, phase and label


def make_look(twin: ElectrodeTwin, number: int) -> Look:
    """What tells the phases apart at a step.

    Parameters
    ----------
    twin : ElectrodeTwin
    number : int
        Step.

    Returns
    -------
    Look
    """
    return twin.cached(("look", number), lambda: _make_look(twin, number, _binder_threshold(twin)))


def _make_look(twin: ElectrodeTwin, number: int, threshold_um: float) -> Look:
    from voltome.twin.noise_loops import mix_seed
    from voltome.twin.scan import DECREMENT_UNIT, silicon_delta
    from voltome.twin.scan_loops import electron_density

    settings = twin.settings
    electrode, scan = settings.electrode, settings.scan
    step = settings.steps[number]
    radius = step.bubble_radius_m * 1e6
    centre = find_bubble(twin) if radius > 0 else np.zeros(3)
    return Look(
        collector_um=settings.collector_m * 1e6,
        surface_level_um=twin.structure.surface_level_um,
        surface_waves=twin.structure.surface_waves,
        surface_swing_um=float(np.abs(twin.structure.surface_waves[:, 0]).sum()),
        bubble_um=centre,
        bubble_radius_um=radius,
        binder_threshold_um=threshold_um,
        binder_seed=mix_seed(settings.seed, 41),
        binder_texture=electrode.binder_texture,
        binder_texture_um=electrode.binder_texture_length_m * 1e6,
        collector_seed=mix_seed(settings.seed, 42),
        collector_texture=scan.collector_texture,
        collector_texture_um=scan.collector_texture_length_m * 1e6,
        fibres=twin.cached("fibres", lambda: _lay_fibres(twin)),
        front=twin.step(number).matter.front,
        front_width=settings.lithiation.front_width,
        composition=settings.lithiation.composition,
        visible=settings.lithiation.visible,
        copper=scan.copper_delta / DECREMENT_UNIT,
        electrolyte=scan.electrolyte_delta / DECREMENT_UNIT,
        binder=scan.binder_delta / DECREMENT_UNIT,
        separator=scan.separator_delta / DECREMENT_UNIT,
        per_electron=float(silicon_delta(0.0, scan.energy_kev)) / DECREMENT_UNIT / float(electron_density(0.0)),
    )


def _lay_fibres(twin: ElectrodeTwin) -> Fibres:
    from voltome.twin.texture_of_layers import build_fibres

    settings, box = twin.settings, twin.structure.box_um
    top = settings.shape[0] * twin.voxel_um + 2.0
    return build_fibres(
        (twin.structure.surface_level_um - 4.0, *box[0, 1:]),
        (max(top, twin.structure.surface_level_um + 4.0), *box[1, 1:]),
        fraction=settings.electrode.separator_fibre_fraction,
        diameter_um=settings.electrode.separator_fibre_diameter_m * 1e6,
        seed=settings.seed,
    )


def _sample_electrode(twin: ElectrodeTwin) -> Floats:
    """Points spread evenly over the electrode that the field shows at T0: a rank-1 lattice, evener than chance."""
    size = np.array([twin.structure.box_um[1, 0], *(np.asarray(twin.settings.shape[1:]) * twin.voxel_um)])
    low = np.array([twin.settings.collector_m * 1e6, -0.5 * twin.voxel_um, -0.5 * twin.voxel_um])
    # powers of the real root of g^4 = g + 1: M. Roberts' generalisation of the golden ratio to three dimensions
    steps = 1.0 / 1.2207440846057596 ** np.arange(1, 4)
    points = low + (np.arange(_BINDER_SAMPLES)[:, None] * steps + 0.5) % 1.0 * (size - (low[0], 0.0, 0.0))
    return np.asarray(points[twin.in_electrode(points)])


def _binder_threshold(twin: ElectrodeTwin) -> float:
    """Distance up to which binder reaches, so that its fraction is met."""

    def find() -> float:
        from voltome.twin.noise_loops import mix_seed
        from voltome.twin.object_loops import sample_binder

        points = _sample_electrode(twin)
        distance, kinds = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
        motion = twin.step(0).matter.motion
        sample_binder(twin.cells, motion, mix_seed(twin.settings.seed, 41), points, distance, kinds)
        wanted = twin.settings.electrode.binder_fraction * len(points) - np.count_nonzero(kinds == 2)
        free = np.sort(distance[kinds == 3])
        if wanted >= len(free):
            raise InputError(
                f"binder_fraction must leave room for pores (got {twin.settings.electrode.binder_fraction:g}): lower it"
            )
        return float(free[int(wanted)]) if wanted > 0 else -np.inf

    return twin.cached("binder threshold", find)


def find_bubble(twin: ElectrodeTwin) -> Floats:
    """Where the bubble sits: the place in the middle of the electrode with the least silicon about it.

    Parameters
    ----------
    twin : ElectrodeTwin

    Returns
    -------
    (3,) float64
        Material point, micrometres, frame of T0.
    """

    def find() -> Floats:
        settings = twin.settings
        random = np.random.default_rng((settings.seed, 44))
        radius = max(step.bubble_radius_m for step in settings.steps) * 1e6
        height = settings.electrode.thickness_m * 1e6
        bottom, lateral = settings.collector_m * 1e6, np.asarray(settings.shape[1:]) * twin.voxel_um
        low, high = (bottom + 0.3 * height, *(0.25 * lateral)), (bottom + 0.7 * height, *(0.75 * lateral))
        tries = random.uniform(low, high, (_BUBBLE_TRIES, 3))
        ball = random.normal(size=(_BUBBLE_SAMPLES, 3))
        ball *= radius / np.linalg.norm(ball, axis=1, keepdims=True)
        ball *= random.uniform(size=(_BUBBLE_SAMPLES, 1)) ** (1 / 3)
        _, _, kinds = twin.move_matter(0, (tries[:, None] + ball).reshape(-1, 3))
        silicon = (kinds[:, 2] >= 0).reshape(_BUBBLE_TRIES, -1).mean(axis=1)
        return np.asarray(tries[int(silicon.argmin())])

    return twin.cached("bubble", find)


def measure_bubble(twin: ElectrodeTwin, number: int) -> float:
    """Volume of the bubble's gas at a step, cubic micrometres: the ball less the silicon in it."""
    radius = twin.settings.steps[number].bubble_radius_m * 1e6
    axis = (np.arange(40) + 0.5) / 20 - 1
    ball = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    ball = radius * ball[(ball**2).sum(axis=1) < 1]
    _, gradients, kinds = twin.move_matter(number, find_bubble(twin) + ball)
    stretch = np.linalg.det(gradients) / float(np.linalg.det(twin.step(number).drift.linear))
    return float(stretch[kinds[:, 2] < 0].sum() * (radius / 20) ** 3)


def block_bytes(twin: ElectrodeTwin, shape: tuple[int, int, int]) -> int:
    """Memory that `render_block` takes for a block, about.

    Parameters
    ----------
    twin : ElectrodeTwin
    shape : tuple of int
        Voxels of the block.

    Returns
    -------
    int
        Bytes.
    """
    from voltome.twin.scan import halo_vox, oversampling

    halo, over = halo_vox(twin.settings), oversampling(twin.settings)
    return int(np.prod([(n + 2 * halo) * over for n in shape])) * _BYTES_A_SUBVOXEL


def render_block(twin: ElectrodeTwin, number: int, block: Block) -> Volumes:
    """Grey values, phases and labels of a block of a step's scan.

    Parameters
    ----------
    twin : ElectrodeTwin
    number : int
        Step.
    block : tuple of three slices
        Voxels of the scan, with start and stop.

    Returns
    -------
    grey : (z, y, x) uint16
    phases : (z, y, x) uint8
        Codes of `phases.PHASES` at the voxels' centres.
    labels : (z, y, x) uint32
        Particle's number where there is silicon, reacted or not; 0 elsewhere.

    Raises
    ------
    InputError
        If silicon has no room to react as the settings want.
    """
    from voltome.twin.noise_loops import mix_seed
    from voltome.twin.object_loops import fill_block
    from voltome.twin.scan import halo_vox, image_block, oversampling

    settings, step, look = twin.settings, twin.step(number), make_look(twin, number)
    start = np.array([part.start for part in block], dtype=np.float64)
    shape = tuple(part.stop - part.start for part in block)
    middle = np.array([settings.collector_m * 1e6, *step.drift.centre_um[1:]])
    face = float(step.drift.to_scan(middle[None])[0, 0]) * twin.voxel_um
    halo = halo_vox(settings, first_plane=block[0].start, collector_um=face)
    over = oversampling(settings)
    wide = tuple((n + 2 * halo) * over for n in shape)
    object_ = (np.empty(wide, np.float32), np.empty(wide, np.uint8), np.empty(wide, np.uint32))
    motion, affine = step.matter.motion, step.drift.affine
    first = start - halo - 0.5 + 0.5 / over
    fill_block(twin.cells, motion, look, affine, first, 1.0 / over, *object_)
    seed = mix_seed(settings.seed, 1000 + number)
    grey = image_block(object_[0], tuple(part.start for part in block), settings, seed=seed, collector_um=face)
    inner = tuple(slice(halo, halo + n) for n in shape)
    phases, labels = object_[1][inner], object_[2][inner]
    if over > 1:
        plain = np.empty(shape, np.float32)
        phases, labels = np.empty(shape, np.uint8), np.empty(shape, np.uint32)
        fill_block(twin.cells, motion, look, affine, start, 1.0, plain, phases, labels)
    return grey, phases, labels

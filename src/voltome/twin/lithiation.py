"""Lithiation: how much of each particle's silicon has reacted at a step, and how particle and grains move with it.

The swelling of a particle is that of the lithium it took up, exactly: the fraction f that reacted to LixSi takes
1 + x vLi/v0 times its volume, the rest stays as it was. So charge, non-lithiated volume and strain close against each
other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.twin.carrier_loops import Carrier, measure_stretch
from voltome.twin.cell_loops import Cells
from voltome.twin.configuration import TwinSettings
from voltome.twin.grain_loops import (
    check_gaps,
    check_shells,
    find_corners,
    measure_grains,
    move_particles,
    sample_grains,
    scatter_on_faces,
)
from voltome.twin.matter_loops import NO_CORE, Motion
from voltome.twin.microstructure import Microstructure
from voltome.twin.motion import make_rigid_motion
from voltome.twin.silicon import LITHIUM_VOLUME

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SAMPLES = 250
_SLACK = 0.962  # of the room that a particle has in its cell
_MOST_CORE = 0.995
_LEAST_STRETCH = 0.3  # of det F in a shell or a gap: below it cores and particles give way
_RAYS = 600
_BATCH = 1000  # grains that are fitted at a time: their rays take 150 MB
_EVEN = 0.5  # between a cell's own proportions and growth that is even in all directions
_SOFTER, _SMALLER, _LEAST_CORE = 0.125, 0.96, 0.85


def desire_lithium(settings: TwinSettings, structure: Microstructure) -> Floats:
    """How much each particle strives to react, relative to the others: depth, size and chance.

    Parameters
    ----------
    settings : TwinSettings
    structure : Microstructure

    Returns
    -------
    (N,) float64
        0 where a cell holds no particle.
    """
    rules = settings.lithiation
    held = structure.labels > 0
    random = np.random.default_rng((settings.seed, 21))
    bottom, height = settings.collector_m * 1e6, settings.electrode.thickness_m * 1e6
    depth = np.clip((structure.centres_um[:, 0] - bottom) / height, 0.0, 1.0)
    tilt = 2.0 * (rules.depth_ratio - 1.0) / (rules.depth_ratio + 1.0)
    size = np.where(held, structure.diameters_um, 1.0) / (settings.electrode.diameter_d50_m * 1e6)
    chance = np.exp(rules.scatter * random.standard_normal(len(held)))
    return np.where(held, np.maximum(1.0 + tilt * (2 * depth - 1), 0.05) * size**rules.size_exponent * chance, 0.0)


@dataclass(frozen=True, eq=False)
class StepMatter:
    """What reacted and what moved at one step.

    Parameters
    ----------
    motion : Motion
        For the compiled loops, without the drift of the scan.
    reacted : (N,) float64
        Fraction of each particle's silicon that has reacted.
    front : (N,) float64
        Gauge of the grains at which the reaction stands: kappa.
    """

    motion: Motion
    reacted: Floats
    front: Floats


class Lithiation:
    """The particles of an electrode and what they may do, for all steps.

    Parameters
    ----------
    settings : TwinSettings
    structure : Microstructure
    cells : Cells
    desire : (N,) float64
        From `desire_lithium`.
    """

    def __init__(self, settings: TwinSettings, structure: Microstructure, cells: Cells, desire: Floats) -> None:
        self.settings = settings
        self.structure = structure
        self.cells = cells
        self.desire = desire
        self.held = np.flatnonzero(structure.labels > 0)
        self.offsets = np.empty((len(self.held), _SAMPLES, 3))
        room = np.empty(len(self.held))
        bodies = _list_corners(cells.body_planes, cells.body_first)
        sample_grains(cells, self.held, settings.seed, bodies[0], bodies[1], self.offsets, room)
        random = np.random.default_rng((settings.seed, 22))
        turn = random.normal(size=(len(self.held), 3))
        turn /= np.linalg.norm(turn, axis=1, keepdims=True)
        distance = np.linalg.norm(bodies[1], axis=1)
        self.reach_um = np.array([distance[bodies[0][n] : bodies[0][n + 1]].max() for n in self.held])
        self.grain_cells = np.repeat(np.arange(len(desire)), np.diff(cells.grain_first))
        self.grain_corners = _list_corners(cells.grain_planes, cells.grain_plane_first)
        self.gap_corners = self._list_gap_corners(bodies[0], bodies[1])
        self.inertia = np.empty((len(self.grain_cells), 3, 3))
        measure_grains(cells, self.inertia)
        most = settings.kinematics.particle_rotation_rad
        self.turns = turn * random.uniform(size=(len(self.held), 1)) ** (1 / 3) * most
        reach = room * (1.0 + 1.5 * most)  # the turn takes some of the room
        self.most_scale = np.maximum(_SLACK / reach, 1.0)

    def _list_gap_corners(self, body_first: Integers, body: Floats) -> tuple[Integers, Floats]:
        """Corners of each particle's body and of its cell's, one after the other."""
        cells = self.cells
        cell_first, cell, _ = _list_corners(cells.cell_planes, cells.cell_first)
        parts = [
            part
            for n in self.held
            for part in (body[body_first[n] : body_first[n + 1]], cell[cell_first[n] : cell_first[n + 1]])
        ]
        sizes = np.array([len(part) for part in parts]).reshape(-1, 2).sum(axis=1)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), np.concatenate(parts)

    @property
    def swelling(self) -> float:
        """Volume that reacted silicon gains, over what it had."""
        return float(self.settings.lithiation.composition) * LITHIUM_VOLUME

    def _stretch(self, carrier: Carrier, scale: Floats) -> Floats:
        """Mean det F over each particle's silicon for its scale M."""
        moved = np.einsum("nij,nkj->nki", scale, self.offsets) + self.structure.centres_um[self.held][:, None]
        out = np.empty(moved.shape[0] * moved.shape[1])
        measure_stretch(carrier, np.ascontiguousarray(moved.reshape(-1, 3)), out)
        return np.asarray(out.reshape(moved.shape[:2]).mean(axis=1) * np.linalg.det(scale))

    def _turned(self, progress: float) -> Floats:
        return np.stack([make_rigid_motion(rotation_rad=progress * v).linear + np.eye(3) for v in self.turns])

    def _scale(self, turned: Floats, swollen: Floats, own: Floats, free: Floats) -> Floats:
        """M of each particle that is to grow to `swollen` where its cell grows to `own`.

        free 1: turned, and as evenly in all directions as the room in its cell allows; 0: as its cell does.
        """
        even = np.cbrt(swollen / own)
        across = even + free * (np.clip(np.cbrt(swollen), 1.0, self.most_scale) - even)
        along = np.minimum(swollen / (own * across**2), self.most_scale)
        across = np.sqrt(swollen / (own * along))
        stretch = np.zeros((len(swollen), 3, 3))
        stretch[:, 0, 0], stretch[:, 1, 1], stretch[:, 2, 2] = along, across, across
        turn = np.eye(3) + free[:, None, None] * (turned - np.eye(3))
        return np.asarray(turn @ stretch)

    def _fit_scale(self, carrier: Carrier, turned: Floats, swollen: Floats) -> Floats:
        """M of each particle that is to grow to `swollen`: as even as its gap allows without folding."""
        free = np.full(len(swollen), _EVEN)
        least = np.empty(len(swollen))
        own = self._stretch(carrier, turned)
        while True:
            for _ in range(3):
                scale = self._scale(turned, swollen, own, free)
                own *= self._stretch(carrier, scale) / swollen
            flat = np.ascontiguousarray(scale.reshape(-1, 9))
            check_gaps(self.cells, self.held, flat, *self.gap_corners, least)
            tight = (least < _LEAST_STRETCH) & (free > 0)
            if not tight.any():
                break
            free[tight] = np.maximum(free[tight] - _SOFTER, 0.0)
        for _ in range(4):
            own *= self._stretch(carrier, scale) / swollen
            scale = self._scale(turned, swollen, own, free)
        return scale

    def solve(self, carrier: Carrier, fraction: float, progress: float) -> tuple[Floats, Floats]:
        """Reacted fraction of each particle, (N,), and its scale M against the carrier, (N, 3, 3).

        Parameters
        ----------
        carrier : Carrier
        fraction : float
            Fraction of all silicon that has reacted.
        progress : float
            Share of their full turn that particles have made.

        Returns
        -------
        tuple of float64 arrays
            Zero and unit matrices where a cell holds no particle.

        Raises
        ------
        InputError
            If so much silicon cannot react in the room there is.
        """
        turned = self._turned(progress)
        volumes = self.structure.volumes_um3[self.held]
        largest = self._stretch(carrier, turned * self.most_scale[:, None, None])
        limit = np.minimum((largest * _SLACK - 1.0) / self.swelling, 0.97)
        reacted = self._share_out(fraction, np.maximum(limit, 0.0), volumes)
        scale = self._fit_scale(carrier, turned, 1.0 + self.swelling * reacted)
        all_reacted, all_scale = np.zeros(len(self.desire)), np.tile(np.eye(3), (len(self.desire), 1, 1))
        all_reacted[self.held], all_scale[self.held] = reacted, scale
        return all_reacted, all_scale

    def _share_out(self, fraction: float, limit: Floats, volumes: Floats) -> Floats:
        """Fractions in proportion to desire, none above its limit, with the given mean over all silicon."""
        desire = self.desire[self.held]
        if float((limit * volumes).sum()) < fraction * volumes.sum():
            raise InputError(
                f"a reacted fraction of {fraction:.3f} needs more room than this electrode gives "
                f"({float((limit * volumes).sum() / volumes.sum()):.3f}): give a larger thickness, a lower soc or less "
                "silicon"
            )
        if fraction <= 0:
            return np.zeros(len(desire))
        low, high = 0.0, 1e3
        for _ in range(200):
            middle = 0.5 * (low + high)
            got = float((np.minimum(middle * desire, limit) * volumes).sum())
            low, high = (middle, high) if got < fraction * volumes.sum() else (low, middle)
        return np.minimum(high * desire, limit)

    def move(self, carrier: Carrier, fraction: float, progress: float) -> StepMatter:
        """Matter of one step.

        Parameters
        ----------
        carrier : Carrier
        fraction : float
            Fraction of all silicon that has reacted.
        progress : float
            Share of their full turn that particles have made, 0 at T0.

        Returns
        -------
        StepMatter

        Raises
        ------
        InputError
            If so much silicon cannot react in the room there is.
        """
        reacted, scale = self.solve(carrier, fraction, progress)
        front = np.cbrt(1.0 - reacted)
        owner = self.grain_cells
        flat = np.ascontiguousarray(scale.reshape(-1, 9))
        places, gradients = self._fit_outlines(carrier, flat)
        core = np.empty_like(gradients)
        core_gauge = np.minimum(front, _MOST_CORE)[owner]
        motion = Motion(
            carrier,
            self.structure.box_um,
            flat,
            np.ascontiguousarray(np.linalg.inv(scale).reshape(-1, 9)),
            core.reshape(-1, 9),
            np.empty((len(owner), 9)),
            places,
            core_gauge,
        )
        if fraction > 0 or np.any(carrier.coefficients):
            self._fit_cores(motion, gradients)
        else:  # nothing has moved
            motion.core[:] = motion.uncore[:] = np.eye(3).ravel()
        return StepMatter(motion, reacted, front)

    def _fit_outlines(self, carrier: Carrier, scale: Floats) -> tuple[Floats, Floats]:
        """The affine motion that fits each grain's corners best: place of its centre (G, 3) and gradient (G, 3, 3)."""
        first, corners, _ = self.grain_corners
        grain = np.repeat(np.arange(len(self.grain_cells)), np.diff(first))
        places, unused = np.empty(corners.shape), np.empty((len(corners), 9))
        points = self.cells.grain_centres_um[grain] + corners
        move_particles(self.cells, carrier, scale, self.grain_cells[grain], points, places, unused)
        design = np.column_stack([corners, np.ones(len(corners))])
        square = np.add.reduceat(design[:, :, None] * design[:, None, :], first[:-1], axis=0)
        cross = np.add.reduceat(design[:, :, None] * places[:, None, :], first[:-1], axis=0)
        fit = np.linalg.solve(square, cross)
        return np.ascontiguousarray(fit[:, 3]), np.ascontiguousarray(np.swapaxes(fit[:, :3], 1, 2))

    def _fit_cores(self, motion: Motion, gradients: Floats) -> None:
        """Motion of each grain's core: as rigid as its shell allows without folding.

        A core keeps its volume. Where a rigid one does not fit into its grain's swollen outline it takes part in the
        outline's change of shape, by as little as need be; then it gets smaller. The last resort is a grain without a
        core, which reacts all through and moves with its particle.
        """
        chemical = motion.core_gauge.copy()
        for start in range(0, len(gradients), _BATCH):
            batch = np.arange(start, min(start + _BATCH, len(gradients)))
            rays = [self._trace_rays(motion, part) for part in self._face_points(batch)]
            grains, rigidity = batch, np.full(len(batch), float(self.settings.kinematics.rigidity))
            while len(grains):
                core = _move_core(gradients[grains], self.inertia[grains], rigidity)
                motion.core[grains] = core.reshape(-1, 9)
                motion.uncore[grains] = np.linalg.inv(core).reshape(-1, 9)
                least = np.full(len(grains), np.inf)
                for part in rays:
                    check_shells(self.cells, motion, grains, start, *part, _LEAST_STRETCH, least)
                tight = least < _LEAST_STRETCH
                grains, rigidity = grains[tight], rigidity[tight]
                motion.core_gauge[grains[rigidity <= 0]] *= _SMALLER
                lost = motion.core_gauge[grains] < _LEAST_CORE * chemical[grains]
                motion.core_gauge[grains[lost]] = NO_CORE
                grains, rigidity = grains[~lost], np.maximum(rigidity[~lost] - _SOFTER, 0.0)

    def _face_points(self, grains: Integers) -> list[_FacePoints]:
        """Points on the faces of consecutive grains: corners and what lies between, and random ones for large faces."""
        first, corners, faces = self.grain_corners
        rows = slice(first[grains[0]], first[grains[-1] + 1])
        corner, face = np.repeat(corners[rows], 3, axis=0), faces[rows].ravel()
        low = int(face.min())
        total = np.maximum(np.bincount(face - low), 1)
        middle = np.stack([np.bincount(face - low, corner[:, k]) for k in range(3)], axis=1) / total[:, None]
        between = 0.4 * middle[face - low] + 0.6 * corner
        both = np.stack([corner, between], axis=1).reshape(-1, 3)
        starts = 6 * (first[grains[0] : grains[-1] + 2] - first[grains[0]])
        chance, chance_faces = np.empty((len(grains), _RAYS, 3)), np.empty((len(grains), _RAYS), dtype=np.int64)
        scatter_on_faces(self.cells, int(grains[0]), self.settings.seed, chance, chance_faces)
        return [
            _FacePoints(starts, both, np.repeat(face, 2)),
            _FacePoints(_RAYS * np.arange(len(grains) + 1), chance.reshape(-1, 3), chance_faces.ravel()),
        ]

    def _trace_rays(self, motion: Motion, points: _FacePoints) -> tuple[Integers, Floats, Integers, Floats, Floats]:
        """Points on faces with where the particle's motion takes them and F there, as `check_shells` wants them."""
        cells = self.cells
        owner = np.searchsorted(cells.grain_plane_first, points.faces, side="right") - 1
        places, slopes = np.empty(points.offsets.shape), np.empty((len(points.offsets), 9))
        start = cells.grain_centres_um[owner] + points.offsets
        move_particles(cells, motion.carrier, motion.scale, self.grain_cells[owner], start, places, slopes)
        return points.first, points.offsets, points.faces, places, slopes


class _FacePoints(NamedTuple):
    """Points on the faces of some grains: first row of each grain, offsets from its centre, which face."""

    first: Integers
    offsets: Floats
    faces: Integers


def _list_corners(planes: Floats, first: Integers) -> tuple[Integers, Floats, Integers]:
    """First row of each polyhedron's corners, the corners, and the three planes of each."""
    corner_first = np.empty(len(first), dtype=np.int64)
    corners, faces = np.empty((0, 3)), np.empty((0, 3), dtype=np.int64)
    count = find_corners(planes, first, corner_first, corners, faces)
    corners, faces = np.empty((count, 3)), np.empty((count, 3), dtype=np.int64)
    find_corners(planes, first, corner_first, corners, faces)
    return corner_first, corners, faces


def _move_core(gradient: Floats, inertia: Floats, rigidity: Floats) -> Floats:
    """Volume-preserving motion of cores between a rotation (rigidity 1) and the outline's whole change of shape (0).

    The rotation is the one that fits the grain's matter best: a slanted flake turns as it is stretched.
    """
    u, _, v = np.linalg.svd(gradient @ inertia)
    share = rigidity[:, None, None]
    mixed = share * (u @ v) + (1.0 - share) * gradient / np.cbrt(np.linalg.det(gradient))[:, None, None]
    return np.asarray(mixed / np.cbrt(np.linalg.det(mixed))[:, None, None])

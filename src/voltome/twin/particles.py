"""Synthetic pairs of volumes with labelled particles that move on their own in a matrix that strains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Shape3, make_block
from voltome.twin.motion import AnalyticMotion, make_affine_motion, make_rigid_motion
from voltome.twin.pairs import Volume, make_noise, make_speckle_pair
from voltome.twin.texture import Floats, SpeckleTexture

_EDGE_VOX = 1.0  # the grey value goes from particle to matrix as tanh(distance / edge): 10 to 90 % over 2.2 voxels
_GAP_VOX = 3.0
_TRIES = 400


@dataclass(frozen=True, eq=False)
class ParticlePair:
    """Two volumes, labels of the reference's particles, and how each of them moved.

    Parameters
    ----------
    reference, deformed : (z, y, x) float32
    labels : (z, y, x) uint32
        Particles of the reference; 0 is the matrix.
    numbers : (N,) int64
        Label of each particle, ascending.
    centres_vox, semi_axes_vox : (N, 3) float64
        Centres of the ellipsoids, and their half axes.
    phi : (N, 4, 4) float64
        Motion of each particle, relative to its centre.
    field : AnalyticMotion
        Motion of the matrix.
    """

    reference: Volume
    deformed: Volume
    labels: NDArray[np.uint32]
    numbers: NDArray[np.int64]
    centres_vox: Floats
    semi_axes_vox: Floats
    phi: Floats
    field: AnalyticMotion

    def evaluate_phi(self, positions_vox: Floats) -> Floats:
        """Motion of each particle about another point.

        Parameters
        ----------
        positions_vox : (N, 3) float64
            One point for each particle, such as the centroid of its voxels.

        Returns
        -------
        (N, 4, 4) float64
        """
        out = self.phi.copy()
        out[:, :3, 3] += np.einsum("nij,nj->ni", self.phi[:, :3, :3] - np.eye(3), positions_vox - self.centres_vox)
        return out


def _place_particles(shape: Shape3, radii: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Centres and radii of spheres that neither touch each other nor leave the volume, as many as find a place."""
    placed: list[Floats] = []
    for radius in np.sort(radii)[::-1]:
        margin = radius + _GAP_VOX
        high = np.asarray(shape) - 1.0 - margin
        for _ in range(_TRIES if (high > margin).all() else 0):
            centre = random.uniform(margin, high)
            if all(np.linalg.norm(centre - p[:3]) > radius + p[3] + _GAP_VOX for p in placed):
                placed.append(np.append(centre, radius))
                break
    rows = np.array(placed).reshape(-1, 4)
    return rows[:, :3], rows[:, 3]


def _turn(vector: Floats) -> Floats:
    return make_rigid_motion(rotation_rad=vector).linear + np.eye(3)


def _in_ball(count: int, random: np.random.Generator) -> Floats:
    """Random vectors, uniform in the unit ball, (count, 3)."""
    direction = random.normal(size=(count, 3))
    length = random.uniform(size=(count, 1)) ** (1 / 3)
    return np.asarray(length * direction / np.linalg.norm(direction, axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class _Ellipsoid:
    """A particle's shape and texture in its own matter: `shrink` turns its offsets from the centre into a unit ball."""

    centre: Floats
    radius: float
    shrink: Floats
    contrast: float
    texture: SpeckleTexture

    def distance(self, points: Floats) -> Floats:
        """Distance of points (N, 3) from the surface, negative inside: exact to first order."""
        ball = (points - self.centre) @ self.shrink.T
        length = np.maximum(np.linalg.norm(ball, axis=1), 1e-9)
        slope = np.linalg.norm(ball @ self.shrink, axis=1) / length
        return np.asarray((length - 1.0) / np.maximum(slope, 1e-9))

    def draw(self, image: Volume, motion: AnalyticMotion | None) -> None:
        """Put the particle, moved, over what an image shows."""
        middle = self.centre if motion is None else self.centre + motion.displacement(self.centre[None])[0]
        reach = 1.2 * self.radius + 4 * _EDGE_VOX
        low = np.clip(np.floor(middle - reach), 0, image.shape).astype(int)
        high = np.clip(np.ceil(middle + reach) + 1, low, image.shape).astype(int)
        block = make_block(low, high)
        axes = [np.arange(a, b, dtype=np.float64) for a, b in zip(low, high, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        if not len(points):
            return
        matter = points if motion is None else motion.inverse(points)
        share = 0.5 - 0.5 * np.tanh(self.distance(matter) / _EDGE_VOX)
        grey = self.texture.evaluate_near(matter) + self.contrast
        behind = image[block].ravel()
        image[block] = (behind + share * (grey - behind)).reshape(image[block].shape)


def make_particle_pair(
    shape: Sequence[int],
    field: AnalyticMotion,
    *,
    count: int = 40,
    radius_vox: tuple[float, float] = (6.0, 12.5),
    rotation_rad: float = 0.06,
    slip_vox: float = 0.5,
    swelling: float = 0.0,
    contrast: float = -0.4,
    matrix_texture: float = 1.0,
    seed: int = 0,
    noise: float = 0.0,
    noise_correlation_vox: float = 0.0,
    threads: int | None = None,
) -> ParticlePair:
    """Textured ellipsoids that move rigidly in a matrix that strains, both states sampled from the object.

    A particle moves as the matrix does at its centre, by a slip of its own beside it, and turns about its own axis; it
    does not follow the matrix's strain. Where particle and matrix overlap in the deformed state the particle wins;
    where a gap would open the matrix's texture goes on. Edges are as soft as a tomogram's.

    Parameters
    ----------
    shape : sequence of int
        Voxels along z, y, x.
    field : AnalyticMotion
        Motion of the matrix.
    count : int
        Most particles; fewer where they find no place.
    radius_vox : (low, high)
        Range of the radii; half axes differ from them by up to 15 %.
    rotation_rad, slip_vox : float
        Largest rotation, and slip beside the matrix, of a particle.
    swelling : float
        Stretch of each particle in all directions beside its rigid motion, a fraction.
    contrast : float
        Mean grey value of the particles less that of the matrix; the particles' texture has an sd of 0.2.
    matrix_texture : float
        Sd of the matrix's texture, as a multiple of the particles'.
    seed : int
    noise, noise_correlation_vox : float
        As `make_speckle_pair` takes them.
    threads : int, optional
        Default: one per processor.

    Returns
    -------
    ParticlePair
        Labels are those of the larger particles first, with a gap: 1, 2, 4, 5, 7, 8, ...

    Raises
    ------
    InputError
        As `make_speckle_pair`; if no particle fits.

    Examples
    --------
    >>> pair = make_particle_pair((48, 52, 60), make_rigid_motion(displacement_vox=(1, 0, 0)), count=3, slip_vox=0)
    >>> pair.numbers.tolist(), pair.phi[:, :3, 3].round(6).tolist()
    ([1, 2, 4], [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    """
    plain = make_speckle_pair(shape, field, seed=seed, threads=threads)
    for volume in (plain.reference, plain.deformed):
        volume[...] = 1.0 + matrix_texture * (volume - 1.0)
    random = np.random.default_rng((seed, 5))
    centres, radii = _place_particles(plain.shape, random.uniform(*radius_vox, count), random)
    if not len(radii):
        raise InputError(f"a particle of radius {radius_vox[0]} must fit into {plain.shape}: give smaller radii")
    n = len(radii)
    numbers = 1 + np.arange(n) + np.arange(n) // 2
    semi_axes = radii[:, None] * random.uniform(0.85, 1.0, (n, 3))
    moved = field.displacement(centres) + slip_vox * _in_ball(n, random)
    turns = np.stack([_turn(vector) for vector in rotation_rad * _in_ball(n, random)])
    phi = np.tile(np.eye(4), (n, 1, 1))
    phi[:, :3, :3], phi[:, :3, 3] = (1.0 + swelling) * turns, moved
    labels = np.zeros(plain.shape, dtype=np.uint32)
    texture = SpeckleTexture(seed + 1000, widths_vox=(1.3, 2.0, 3.2))
    for k in range(n):
        axes = _turn(np.pi * random.uniform(-1, 1, 3))
        shrink = axes @ np.diag(1.0 / semi_axes[k]) @ axes.T
        particle = _Ellipsoid(centres[k], float(radii[k]), shrink, contrast, texture)
        motion = make_affine_motion(phi[k, :3, :3], displacement_vox=moved[k], centre_vox=centres[k])
        particle.draw(plain.reference, None)
        particle.draw(plain.deformed, motion)
        _label(labels, particle, int(numbers[k]))
    if noise > 0:
        for number, volume in enumerate((plain.reference, plain.deformed)):
            sd = noise * float(volume.std(dtype=np.float64))
            volume += make_noise(plain.shape, sd, noise_correlation_vox, (seed, number))
    return ParticlePair(plain.reference, plain.deformed, labels, numbers, centres, semi_axes, phi, field)


def _label(labels: NDArray[np.uint32], particle: _Ellipsoid, number: int) -> None:
    reach = particle.radius + 2.0
    low = np.clip(np.floor(particle.centre - reach), 0, labels.shape).astype(int)
    high = np.clip(np.ceil(particle.centre + reach) + 1, low, labels.shape).astype(int)
    block = make_block(low, high)
    points = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in block], indexing="ij"), axis=-1)
    inside = particle.distance(points.reshape(-1, 3).astype(np.float64)) < 0
    labels[block][inside.reshape(points.shape[:3])] = number

"""A foil with grains and a rough face under an electrode that swells, drawn from formulas wherever it has moved to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voltome.alignment import Alignment

VOXEL_M = 0.2e-6
SHAPE = (84, 92, 104)
FACE_VOX = 20.0
BLUR_VOX = 1.2
COPPER, BINDER, SILICON, SEPARATOR = 8e3, 30e3, 14e3, 36e3
NOISE = 400.0


def turn(rotation_rad) -> np.ndarray:
    """Rotation matrix on z, y, x of a rotation vector (z, y, x), right-handed in x, y, z: Rodrigues."""
    vector = np.asarray(rotation_rad, dtype=float)[::-1]
    angle = np.linalg.norm(vector)
    if angle == 0:
        return np.eye(3)
    kx, ky, kz = vector / angle
    cross = np.array([[0, -kz, ky], [kz, 0, -kx], [-ky, kx, 0]])
    return (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)[::-1, ::-1]


@dataclass(frozen=True)
class Move:
    """Rotation, scale and translation about the middle of a foil's face."""

    shift_vox: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    centre_vox: tuple[float, float, float] = (FACE_VOX, (SHAPE[1] - 1) / 2, (SHAPE[2] - 1) / 2)

    @property
    def linear(self) -> np.ndarray:
        return self.scale * turn(self.rotation_rad)

    def forth(self, places: np.ndarray) -> np.ndarray:
        return (places - self.centre_vox) @ self.linear.T + self.centre_vox + self.shift_vox

    def back(self, places: np.ndarray) -> np.ndarray:
        return (places - self.centre_vox - np.array(self.shift_vox)) @ np.linalg.inv(self.linear).T + self.centre_vox

    def parameters_at(self, centre_vox: np.ndarray) -> np.ndarray:
        """Translation about another centre, rotation, scale - 1."""
        shift = self.forth(np.asarray(centre_vox)[None])[0] - centre_vox
        return np.array([*shift, *self.rotation_rad, self.scale - 1.0])


@dataclass(frozen=True)
class Foil:
    """What there is to draw; everything in voxels of `refine` = 1.

    Parameters
    ----------
    seed : int
    grains : float
        Standard deviation of the copper's greys, roughly.
    face_vox : float
    thickness_vox : float
        Of the electrode.
    """

    seed: int = 0
    grains: float = 900.0
    face_vox: float = FACE_VOX
    thickness_vox: float = 32.0
    roughness_vox: float = 0.5

    @property
    def waves(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([8, self.seed])
        return rng.uniform(-1, 1, (6, 2)) * 2 * np.pi / 25, rng.uniform(0, 2 * np.pi, 6)

    def surface_at(self, y, x, *, swelling: float = 0.0) -> np.ndarray:
        """Height of the electrode's surface where nothing has moved but the electrode itself."""
        return self.face_vox + self.thickness_vox * (1 + swelling) + 2 * _ripple(y, x, *self.waves)

    def draw(
        self,
        move: Move | None = None,
        *,
        swelling: float = 0.0,
        sway_vox: float = 0.0,
        noise: float = NOISE,
        noise_seed: int = 0,
        rings: float = 0.0,
        gain: float = 1.0,
        shade: float = 0.0,
        refine: int = 1,
        shape: tuple[int, int, int] = SHAPE,
    ) -> np.ndarray:
        """Greys (z, y, x) of the foil where it has moved to, the electrode swollen and swayed on it beforehand."""
        move = move or Move()
        rng = np.random.default_rng([7, self.seed])
        count = round(0.11 * shape[1] * shape[2])
        spots = round(0.11 * shape[1] * shape[2])
        low, high = np.array([-12.0, -12, -12]), np.array([self.face_vox + 12, shape[1] + 12, shape[2] + 12])
        grains = rng.uniform(low, high, (count, 3)), rng.uniform(2.5, 4.0, count), rng.standard_normal(count)
        blobs = rng.uniform(low, high, (spots, 3)), rng.uniform(2.0, 4.5, spots), np.ones(spots)
        blobs[0][:, 0] = self.face_vox - 8 + rng.uniform(0, 1, spots) * (self.thickness_vox + 14)  # cut at both faces
        blobs[0][:, 2] += sway_vox * np.clip(blobs[0][:, 0] - self.face_vox, 0, None) / self.thickness_vox
        blobs[0][:, 0] += swelling * np.clip(blobs[0][:, 0] - self.face_vox, 0, None)
        z, y, x = np.meshgrid(
            *[(np.arange(n * refine) - (refine - 1) / 2) / refine for n in shape], indexing="ij", sparse=True
        )
        inverse = np.linalg.inv(move.linear)
        at = [a - c - t for a, c, t in zip((z, y, x), move.centre_vox, move.shift_vox, strict=True)]
        own = [sum(inverse[k, j] * at[j] for j in range(3)) + move.centre_vox[k] for k in range(3)]
        rough = _ripple(own[1], own[2], *self.waves)
        face = own[0] - self.face_vox - self.roughness_vox * rough
        surface = own[0] - self.face_vox - self.thickness_vox * (1 + swelling) - 2 * rough
        matter = _rise(face / (BLUR_VOX / move.scale))
        beyond = _rise(surface / (BLUR_VOX / move.scale))
        whole = tuple(n * refine for n in shape)
        copper = COPPER + 1.1 * self.grains * _scatter(whole, move, *grains, refine)
        dark = 1 - np.exp(-_scatter(whole, move, *blobs, refine))
        electrode = BINDER + (SILICON - BINDER) * dark
        grey = copper * (1 - matter) + matter * (electrode * (1 - beyond) + SEPARATOR * beyond)
        radius = np.hypot(y - (shape[1] - 1) / 2, x - (shape[2] - 1) / 2)
        faults = np.random.default_rng(11).standard_normal(200 * refine) * rings
        grey = grey + np.interp(radius * refine, np.arange(200 * refine), faults)
        slow = np.sin(2.2 * y / shape[1] + 0.4) + 1.3 * np.cos(2.8 * x / shape[2] - 0.7) + z / shape[0]
        grey = gain * grey + shade * slow
        return grey + noise * np.random.default_rng([13, self.seed, noise_seed]).standard_normal(whole)


def _ripple(y, x, directions, phases) -> np.ndarray:
    return sum(np.sin(a * y + b * x + p) for (a, b), p in zip(directions, phases, strict=True)) / np.sqrt(3)


def _rise(distance: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(distance)


def _scatter(shape, move: Move, centres, sizes, heights, refine: int) -> np.ndarray:
    """Sum of Gaussian spots that move with the foil and grow with its image."""
    out = np.zeros(shape)
    there = move.forth(centres) * refine + (refine - 1) / 2
    for centre, size, height in zip(there, sizes * move.scale * refine, heights, strict=True):
        low = np.clip(np.floor(centre - 4 * size), 0, shape).astype(int)
        high = np.clip(np.ceil(centre + 4 * size) + 1, 0, shape).astype(int)
        if (low < high).all():
            a, b, c = (
                np.exp(-0.5 * ((np.arange(i, j) - m) / size) ** 2) for i, j, m in zip(low, high, centre, strict=True)
            )
            out[low[0] : high[0], low[1] : high[1], low[2] : high[2]] += height * np.multiply.outer(
                np.multiply.outer(a, b), c
            )
    return out


def check_motion(found: Alignment, move: Move, *, within_vox, points_vox=None) -> None:
    """Displacement over the collector is that of the move, along z, y, x."""
    if points_vox is None:
        points_vox = np.stack(np.meshgrid([2, 12], [0, 40, 75], [0, 30, 87], indexing="ij"), -1).reshape(-1, 3)
    points = np.asarray(points_vox, dtype=float)
    apart = np.abs(found.displace(points) - (move.forth(points) - points)).max(axis=0)
    assert (apart < within_vox).all(), apart

"""Drift between scans: the sample moves and tilts a little, and the magnification changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.twin.configuration import TwinSettings
from voltome.twin.motion import make_rigid_motion

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drift:
    """From the frame of T0 (micrometres) to a scan's (voxels).

    Parameters
    ----------
    linear : (3, 3) float64
        Rotation times magnification.
    translation_um : (3,) float64
        Displacement of the volume's centre.
    centre_um : (3,) float64
        Centre of the volume.
    voxel_um : float
    magnification, rotation_rad : float, (3,) float64
        What `linear` is made of: size of the image over that at T0, and the rotation vector.
    """

    linear: Floats
    translation_um: Floats
    centre_um: Floats
    voxel_um: float
    magnification: float
    rotation_rad: Floats

    def to_scan(self, points_um: Floats) -> Floats:
        """Voxels of the scan at points of the frame of T0, (N, 3)."""
        moved = (points_um - self.centre_um) @ self.linear.T + self.centre_um + self.translation_um
        return np.asarray(moved / self.voxel_um)

    def to_lab(self, positions_vox: Floats) -> Floats:
        """Points of the frame of T0 at voxels of the scan, (N, 3)."""
        moved = positions_vox * self.voxel_um - self.centre_um - self.translation_um
        return np.ascontiguousarray(moved @ np.linalg.inv(self.linear).T + self.centre_um)

    @property
    def affine(self) -> Floats:
        """`to_lab` as a matrix (3, 4) on homogeneous voxels."""
        inverse = np.linalg.inv(self.linear)
        shift = self.centre_um - inverse @ (self.centre_um + self.translation_um)
        return np.ascontiguousarray(np.column_stack([inverse * self.voxel_um, shift]))


def make_drifts(settings: TwinSettings) -> tuple[Drift, ...]:
    """Drift of each scan against the first, by chance, so that no two scans differ by more than
    the settings allow.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    tuple of Drift
        One for each step. A repeat drifts by `scan.repeat_jitter` of the rest from the step before it.
    """
    scan = settings.scan
    voxel = settings.voxel_size_m * 1e6
    centre = (np.asarray(settings.shape, dtype=np.float64) - 1) / 2 * voxel
    drifts: list[Drift] = []
    shift, turn, growth = np.zeros(3), np.zeros(3), 0.0
    for number, step in enumerate(settings.steps):
        if number > 0:
            random = np.random.default_rng((settings.seed, 31, number))
            new = (
                0.5 * scan.drift_m * 1e6 * _in_ball(random),
                0.5 * scan.drift_tilt_rad * _in_ball(random),
                0.5 * scan.drift_magnification * random.uniform(-1, 1),
            )
            share = scan.repeat_jitter if step.repeat else 1.0
            if step.repeat:  # towards a new place, so that no drift exceeds the largest
                new = (
                    shift + share * (new[0] - shift), turn + share * (new[1] - turn), growth + share * (new[2] - growth)
                )  # fmt: skip
            shift, turn, growth = new
        linear = (1.0 + growth) * (make_rigid_motion(rotation_rad=turn).linear + np.eye(3))
        drifts.append(Drift(linear, shift, centre, voxel, 1.0 + growth, turn))
    return tuple(drifts)


def _in_ball(random: np.random.Generator) -> Floats:
    vector = random.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector) * random.uniform() ** (1 / 3))

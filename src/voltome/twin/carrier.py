"""The carrier: the smooth part of the electrode's motion at every step, met to the thicknesses that were asked for.

Axial strain rises linearly from collector to separator and varies from place to place: with the microstructure (where
more silicon reacts, which is where particles are small) and with long waves that make the thickness uneven. The copper
does not move; the separator is pushed ahead of the surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.twin.carrier_loops import Carrier
from voltome.twin.configuration import TwinSettings
from voltome.twin.microstructure import Microstructure

Floats = NDArray[np.float64]

_STEP_UM = (1.0, 1.5, 1.5)
_FINE_UM = 0.25
_SMOOTHING_UM = 2.5  # of the microstructure, before it modulates strain
_LEAST = 0.2  # no place strains less than this share of its depth's mean
_RAMP_UM = 3.0  # copper holds the electrode laterally over this depth
_LATERAL_WAVE_UM = 14.0


@dataclass(frozen=True, eq=False)
class CarrierPattern:
    """What all steps have in common; displacements per unit of mean axial strain, on the knots.

    Parameters
    ----------
    origin_um, step_um : (3,) float64
    even, tilted : (nz, ny, nx) float64
        Axial displacement for a strain that is the same at all depths, and for the part that rises with depth.
    in_plane, waves : (nz, ny, nx, 3) float64
        Displacement for a unit in-plane strain, and lateral fluctuations of unit rms strain.
    """

    origin_um: Floats
    step_um: Floats
    even: Floats
    tilted: Floats
    in_plane: Floats
    waves: Floats


def make_pattern(settings: TwinSettings, structure: Microstructure, desire: Floats) -> CarrierPattern:
    """Fields that make up the carrier of every step.

    Parameters
    ----------
    settings : TwinSettings
    structure : Microstructure
    desire : (N,) float64
        Reacted fraction that each cell's particle strives for, relative to the others; 0 without particle.

    Returns
    -------
    CarrierPattern
    """
    bottom = settings.collector_m * 1e6
    step = np.asarray(_STEP_UM)
    origin = np.array([bottom, *structure.box_um[0, 1:]]) - 3 * step
    height = settings.shape[0] * settings.voxel_size_m * 1e6
    upper = np.array([height, *structure.box_um[1, 1:]]) + 3 * step
    counts = np.ceil((upper - origin) / step).astype(int) + 1
    axes = [o + s * np.arange(n) for o, s, n in zip(origin, step, counts, strict=True)]
    share = _local_share(settings, structure, desire, axes)
    even, tilted = _integrate(settings, structure, share, axes)
    lateral = _lateral_fields(settings, axes, bottom, np.random.default_rng((settings.seed, 11)))
    return CarrierPattern(origin, step, even, tilted, *lateral)


def _local_share(settings: TwinSettings, structure: Microstructure, desire: Floats, axes: list[Floats]) -> Floats:
    """Relative axial strain (1 on average at each depth) from the silicon that reacts near each knot."""
    from scipy.ndimage import gaussian_filter

    shape = tuple(len(axis) for axis in axes)
    origin, step = np.array([axis[0] for axis in axes]), np.asarray(_STEP_UM)
    silicon, space = np.zeros(shape), np.zeros(shape)
    held = structure.labels > 0
    index = np.clip(np.rint((structure.centres_um - origin) / step).astype(int), 0, np.array(shape) - 1)
    np.add.at(silicon, tuple(index[held].T), (desire * structure.volumes_um3)[held])
    np.add.at(space, tuple(index[held].T), structure.volumes_um3[held])
    sigma = _SMOOTHING_UM / step
    ratio = gaussian_filter(silicon, sigma, mode="nearest") / (gaussian_filter(space, sigma, mode="nearest") + 1e-9)
    there = ratio > 0
    depth = ratio.sum(axis=(1, 2), keepdims=True) / np.maximum(there.sum(axis=(1, 2), keepdims=True), 1)
    inside = (axes[0] >= settings.collector_m * 1e6) & (axes[0] <= structure.surface_level_um)
    relative = np.where(there, ratio / np.maximum(depth, 1e-9) - 1.0, 0.0)
    sd = float(relative[inside].std())
    relative *= settings.kinematics.heterogeneity / max(sd, 1e-9)
    return np.maximum(1.0 + relative, _LEAST)


def _integrate(
    settings: TwinSettings, structure: Microstructure, share: Floats, axes: list[Floats]
) -> tuple[Floats, Floats]:
    """Axial displacement per unit strain, even and tilted: strain summed along each column of knots."""
    from scipy.ndimage import map_coordinates

    bottom = settings.collector_m * 1e6
    y, x = np.meshgrid(axes[1], axes[2], indexing="ij")
    top = structure.surface.height(y, x)
    fine = np.arange(bottom, axes[0][-1] + _FINE_UM, _FINE_UM)
    rows = (fine - axes[0][0]) / _STEP_UM[0]
    grid = np.meshgrid(rows, np.arange(len(axes[1])), np.arange(len(axes[2])), indexing="ij")
    strain = map_coordinates(share, grid, order=1, mode="nearest")
    middle = fine[:, None, None] + 0.5 * _FINE_UM
    depth = (middle - bottom) / (top - bottom)
    strain = strain * np.clip((top - middle) / _FINE_UM + 0.5, 0.0, 1.0)
    strain *= 1.0 + _long_waves(settings, strain, top, y, x)
    parts = []
    for weight in (np.ones_like(depth), 2.0 * depth - 1.0):
        total = np.concatenate([np.zeros((1, *top.shape)), np.cumsum(strain * weight * _FINE_UM, axis=0)])
        at = np.clip((axes[0] - bottom) / _FINE_UM, 0, len(total) - 1.0)
        low = np.minimum(at.astype(int), len(total) - 2)
        part = (at - low)[:, None, None]
        values = (1 - part) * total[low] + part * total[low + 1]
        values[axes[0] <= bottom + 1.01 * _STEP_UM[0]] = 0.0  # three knots that a spline needs to be 0 at the copper
        parts.append(values)
    return parts[0], parts[1]


def _long_waves(settings: TwinSettings, strain: Floats, top: Floats, y: Floats, x: Floats) -> Floats:
    """Relative strain of long lateral waves, so strong that the final thickness gets the sd that was asked for.

    The roughness at T0 and what the microstructure does count; without waves the sd may already be larger.
    """
    random = np.random.default_rng((settings.seed, 12))
    waves = _random_waves(y, x, 2.0 * settings.electrode.surface_correlation_m * 1e6, random)
    most = (settings.thickest_m - settings.electrode.thickness_m) * 1e6
    if most <= 0:
        return np.zeros_like(y)
    size = [n * settings.voxel_size_m * 1e6 for n in settings.shape[1:]]
    inside = (y >= 0) & (y <= size[0]) & (x >= 0) & (x <= size[1])
    growth = strain.sum(axis=0)
    growth *= most / growth[inside].mean()
    spread = np.cov((top + growth)[inside], (growth * waves)[inside])
    wanted = (settings.kinematics.final_thickness_sd_m * 1e6) ** 2
    root = spread[0, 1] ** 2 - spread[1, 1] * (spread[0, 0] - wanted)
    size_of_waves = max((np.sqrt(max(root, 0.0)) - spread[0, 1]) / spread[1, 1], 0.0)
    return np.asarray(np.clip(size_of_waves * waves, -0.6, 0.6))


def _random_waves(y: Floats, x: Floats, length_um: float, random: np.random.Generator) -> Floats:
    """Smooth random field of sd 1: waves of 0.7 to 1.6 times a length."""
    field = np.zeros_like(y)
    for _ in range(16):
        angle, number = random.uniform(0, np.pi), 2 * np.pi / (length_um * random.uniform(0.7, 1.6))
        phase = random.uniform(0, 2 * np.pi)
        field += np.sin(number * (np.sin(angle) * y + np.cos(angle) * x) + phase)
    return np.asarray(field / np.sqrt(8.0))


def _lateral_fields(
    settings: TwinSettings, axes: list[Floats], bottom: float, random: np.random.Generator
) -> tuple[Floats, Floats]:
    z, y, x = np.meshgrid(*axes, indexing="ij")
    step = _STEP_UM[0]
    ramp = np.where(z <= bottom + 1.01 * step, 0.0, 1.0 - np.exp(-(z - bottom - step) / _RAMP_UM))
    inside = (axes[0] > bottom) & (axes[0] < bottom + settings.electrode.thickness_m * 1e6)
    mean = float(ramp[inside, 0, 0].mean())
    centre = [(n - 1) / 2 * settings.voxel_size_m * 1e6 for n in settings.shape]
    stretch = np.zeros((*z.shape, 3))
    stretch[..., 1], stretch[..., 2] = ramp / mean * (y - centre[1]), ramp / mean * (x - centre[2])
    waves = np.zeros((*z.shape, 3))
    for _ in range(12):
        direction = random.normal(size=3) * (0.5, 1.0, 1.0)
        number = direction / np.linalg.norm(direction) * 2 * np.pi / (_LATERAL_WAVE_UM * random.uniform(0.7, 1.4))
        turn = random.uniform(0, np.pi)
        wave = np.sin(number[0] * z + number[1] * y + number[2] * x + random.uniform(0, 2 * np.pi))
        size = np.sqrt(2.0 / 12) / np.linalg.norm(number)
        waves[..., 1] += np.sin(turn) * size * wave
        waves[..., 2] += np.cos(turn) * size * wave
    return stretch, ramp[..., None] * waves


def make_carrier(
    pattern: CarrierPattern, settings: TwinSettings, structure: Microstructure, thickness_m: float
) -> Carrier:
    """Carrier of a step: the mean thickness over the field of view is met exactly.

    Parameters
    ----------
    pattern : CarrierPattern
    settings : TwinSettings
    structure : Microstructure
    thickness_m : float
        Mean thickness of the electrode at the step.

    Returns
    -------
    Carrier
    """
    before = settings.electrode.thickness_m
    strain = thickness_m / before - 1.0
    most = settings.thickest_m / before - 1.0
    relative = strain / most if most > 0 else 0.0
    rules = settings.kinematics
    tilt = _find_tilt(pattern, settings, structure, 1.0 + (rules.separator_to_collector_strain - 1.0) * relative)
    axial = pattern.even + tilt * pattern.tilted
    lateral = rules.in_plane_strain * relative * pattern.in_plane + rules.in_plane_sd * relative * pattern.waves
    coefficients = np.ascontiguousarray(lateral)
    coefficients[..., 0] = axial
    carrier = Carrier(pattern.origin_um, pattern.step_um, coefficients)
    growth = float(measure_growth(carrier, settings, structure).mean())
    coefficients[..., 0] *= (thickness_m - before) * 1e6 / growth
    return carrier


def _find_tilt(pattern: CarrierPattern, settings: TwinSettings, structure: Microstructure, ratio: float) -> float:
    """Share of the tilted pattern for which the separator's half strains `ratio` times as much as the collector's."""
    low, high = [], []
    for part in (pattern.even, pattern.tilted):
        axial = np.stack([part, np.zeros_like(part), np.zeros_like(part)], axis=-1)
        carrier = Carrier(pattern.origin_um, pattern.step_um, axial)
        middle, top = (float(measure_growth(carrier, settings, structure, depth=d).mean()) for d in (0.5, 1.0))
        low.append(middle)
        high.append(top - middle)
    return (ratio * low[0] - high[0]) / (high[1] - ratio * low[1])


def measure_growth(
    carrier: Carrier, settings: TwinSettings, structure: Microstructure, *, depth: float = 1.0
) -> Floats:
    """Axial displacement of the electrode's surface, or of a share of its depth, over the field: (64, 64), um."""
    from voltome.twin.carrier_loops import displace_points

    size = [n * settings.voxel_size_m * 1e6 for n in settings.shape]
    y, x = np.meshgrid(*[(np.arange(64) + 0.5) / 64 * s for s in size[1:]], indexing="ij")
    z = structure.surface.height(y, x)
    bottom = settings.collector_m * 1e6
    z = bottom + depth * (z - bottom)
    points = np.stack([z, y, x], axis=-1).reshape(-1, 3)
    displacement = np.empty(points.shape)
    displace_points(carrier, points, displacement)
    return np.asarray(displacement[:, 0].reshape(64, 64))

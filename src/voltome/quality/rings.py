"""Ring power: how strong the rings about the rotation axis are, told from what the sample does by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import VolumeSource, make_block
from voltome.quality.blocks import check_volume, read_block

Floats = NDArray[np.float64]

_SHIFT_VOX = 20.0
_DECOYS = 8
_LEAST_RADIUS_VOX = 4
_LEAST_RINGS = 16


@dataclass(frozen=True, eq=False)
class RingPower:
    """Rings of a volume, as root mean squares over the area of its slices, in the volume's unit.

    Parameters
    ----------
    amplitude : float
        Of the rings about the axis, beyond what other centres show; 0 where there is no more.
    floor : float
        Amplitude that chance alone would reach (one standard deviation): below it, nothing was seen.
    about_axis, elsewhere : float
        Of the high-passed azimuthal mean about the axis, and about centres beside it.
    radius_vox : (N,) float64
    profile : (N,) float64
        High-passed azimuthal mean about the axis, mean over the slices: rings that all slices share.
    """

    amplitude: float
    floor: float
    about_axis: float
    elsewhere: float
    radius_vox: Floats
    profile: Floats


def measure_rings(
    volume: VolumeSource,
    *,
    truth: VolumeSource | None = None,
    axis_vox: tuple[float, float] | None = None,
    width_vox: float = 6.0,
    most_slices: int = 48,
) -> RingPower:
    """Ring power: high-passed azimuthal mean about the rotation axis, less what it is about other centres.

    Noise and texture leave something in any azimuthal mean; eight centres 20 voxels beside the axis tell how much.
    Circles that lie wholly in the slice count, from a radius of 4 voxels on.

    Parameters
    ----------
    volume : (z, y, x) volume
    truth : (z, y, x) volume, optional
        Subtracted first, so that weaker rings are seen.
    axis_vox : (y, x), optional
        The rotation axis; by default the middle of a slice.
    width_vox : float
        Standard deviation of the Gaussian along the radius that is subtracted: wider rings do not count.
    most_slices : int
        Slices looked at, spread evenly.

    Returns
    -------
    RingPower

    Raises
    ------
    InputError
        If fewer than 16 circles fit, shapes differ, or values are not finite.
    """
    shape = check_volume(volume)
    if truth is not None and truth.shape != volume.shape:
        raise InputError(f"volume and truth must have one shape (got {shape}, {truth.shape}): crop them alike")
    middle = ((shape[1] - 1) / 2, (shape[2] - 1) / 2) if axis_vox is None else axis_vox
    most = min(middle[0], middle[1], shape[1] - 1 - middle[0], shape[2] - 1 - middle[1]) - _SHIFT_VOX
    rings = math.floor(most) - _LEAST_RADIUS_VOX
    if rings < _LEAST_RINGS:
        raise InputError(
            f"{_LEAST_RINGS} circles about the axis must fit into a slice {_SHIFT_VOX:g} voxels from its edge (got "
            f"{max(rings, 0)}; the axis is at {middle[0]:g}, {middle[1]:g}): give wider slices or another axis"
        )
    angles = 2 * np.pi * np.arange(_DECOYS) / _DECOYS
    shifts = _SHIFT_VOX * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    centres = np.concatenate([[middle], np.array(middle) + shifts])
    indices = [_index_radii(shape[1:], centre, rings) for centre in centres]
    radius = np.arange(rings, dtype=np.float64) + (_LEAST_RADIUS_VOX + 0.5)
    planes = np.unique(np.linspace(0, shape[0] - 1, min(most_slices, shape[0])).round().astype(int))
    powers, profile = np.zeros((len(planes), len(centres))), np.zeros(rings)
    for i, z in enumerate(planes):
        block = make_block((z, 0, 0), (z + 1, *shape[1:]))
        values = read_block(volume, block)[0].astype(np.float64)
        if truth is not None:
            values -= read_block(truth, block, what="the truth")[0]
        for k, index in enumerate(indices):
            high = _pass_high(values.ravel(), index, rings, width_vox)
            powers[i, k] = np.average(high**2, weights=radius)
            if k == 0:
                profile += high / len(planes)
    mean = powers.mean(axis=0)
    about, elsewhere = float(mean[0]), float(mean[1:].mean())
    floor = math.sqrt(float(mean[1:].std(ddof=1)))
    amplitude = math.sqrt(max(about - elsewhere, 0.0))
    return RingPower(amplitude, floor, math.sqrt(about), math.sqrt(elsewhere), radius, profile)


def _index_radii(shape: tuple[int, ...], centre: Floats, rings: int) -> NDArray[np.intp]:
    """Which ring each pixel belongs to, counted from 1; 0 and the last are no rings."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    index = np.floor(np.hypot(y - centre[0], x - centre[1])).astype(np.intp) - _LEAST_RADIUS_VOX + 1
    return np.asarray(np.clip(index, 0, rings + 1).ravel())


def _pass_high(values: Floats, index: NDArray[np.intp], rings: int, width_vox: float) -> Floats:
    """Azimuthal mean less its Gaussian mean along the radius."""
    from scipy.ndimage import gaussian_filter1d

    counts = np.bincount(index, minlength=rings + 2)[1 : rings + 1]
    means = np.bincount(index, values, minlength=rings + 2)[1 : rings + 1] / np.maximum(counts, 1)
    return np.asarray(means - gaussian_filter1d(means, width_vox, mode="nearest"))

"""Contrast-to-noise, and how straight the grey scale is between its anchors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, VolumeSource
from voltome.quality.anchors import PhaseGrey
from voltome.quality.blocks import check_volume, read_block, tile_blocks, widen_block

Floats = NDArray[np.float64]

_SIDE_VOX = 128
_HALO_VOX = 4
_LEAST_VOXELS = 200
_KNOWN = 0.0025  # of the contrast: largest standard error of a bin's bias that `worst` takes note of
_AT_ANCHOR = 0.03  # of the contrast: how near to an anchor the truth has to be to count as it
_PLAIN = 0.02  # largest gradient of the truth where its surroundings are plain, contrasts per voxel
_BEYOND = 0.25  # contrasts beyond either anchor that are looked at


@dataclass(frozen=True, eq=False)
class GreyBias:
    """How far a volume departs from the truth, after the line through its anchors.

    Parameters
    ----------
    truth : (N,) float64
        Mean of the true values in each of N bins; NaN where a bin is empty.
    bias : (N,) float64
        Mean departure as a share of the contrast between the anchors (0.01 is 1 %).
    sd : (N,) float64
        Standard deviation of single voxels about that mean, in the same unit.
    voxels : (N,) int64
    anchors : tuple of float
        True values of the anchors.
    gain, offset : float
        The volume is gain x truth + offset at the anchors.
    """

    truth: Floats
    bias: Floats
    sd: Floats
    voxels: NDArray[np.int64]
    anchors: tuple[float, float]
    gain: float
    offset: float

    @property
    def worst(self) -> float:
        """Largest departure, either way, between the anchors, of bins known to 0.0025; NaN where noise leaves none."""
        low, high = min(self.anchors), max(self.anchors)
        with np.errstate(invalid="ignore"):
            use = (self.truth >= low) & (self.truth <= high) & (self.sd <= _KNOWN * np.sqrt(self.voxels))
        use &= self.voxels >= _LEAST_VOXELS
        return float(np.abs(self.bias[use]).max()) if use.any() else math.nan


def measure_grey(volume: VolumeSource, mask: VolumeSource) -> PhaseGrey:
    """Mean and standard deviation of the voxels inside a mask.

    Parameters
    ----------
    volume : (z, y, x) volume
    mask : (z, y, x) volume of bool

    Returns
    -------
    PhaseGrey

    Raises
    ------
    InputError
        If the shapes differ, the mask is empty, or a value inside is not finite.
    """
    shape = check_volume(volume)
    if mask.shape != volume.shape:
        raise InputError(f"the mask must have the volume's shape {shape} (got {mask.shape}): crop them alike")
    count, total, squares, start = 0, 0.0, 0.0, None
    for block in tile_blocks(shape, _SIDE_VOX):
        values = np.asarray(volume[block])[np.asarray(mask[block], dtype=bool)].astype(np.float64)
        if values.size:
            start = float(values[0]) if start is None else start
            count += values.size
            total += float((values - start).sum())
            squares += float(((values - start) ** 2).sum())
    if start is None:
        raise InputError("the mask must hold voxels (got none): widen the mask")
    mean = total / count
    if not math.isfinite(mean):
        raise InputError("the volume must be finite inside the mask (got NaN or infinity): take those voxels out of it")
    return PhaseGrey(start + mean, math.sqrt(max(squares / count - mean**2, 0.0)), count)


def find_contrast_to_noise(first: PhaseGrey, second: PhaseGrey) -> float:
    """Contrast-to-noise ratio of two phases, |m1 - m2| / sqrt((s1^2 + s2^2) / 2).

    Parameters
    ----------
    first, second : PhaseGrey

    Returns
    -------
    float
        Infinite where both have no noise.
    """
    noise = math.sqrt(0.5 * (first.sd**2 + second.sd**2))
    return abs(first.mean - second.mean) / noise if noise > 0 else math.inf


def measure_grey_bias(
    volume: VolumeSource,
    truth: VolumeSource,
    *,
    anchors: tuple[float, float],
    plain_only: bool = True,
    bins: int = 15,
) -> GreyBias:
    """Bias of the grey scale between its anchors: mean departure from the truth as a function of the truth.

    The line through the volume's means at both anchors is taken out: what is left says how wrong a composition
    inferred from a grey would be. Voxels are binned by their true value, so noise averages out.

    Parameters
    ----------
    volume : (z, y, x) volume
    truth : (z, y, x) volume
        True refractive decrement, blurred as the volume is.
    anchors : two float
        True values of silicon and electrolyte, in the truth's unit.
    plain_only : bool
        Leave out voxels near edges, where blurs that differ a little would count as bias.
    bins : int
        Between a quarter of the contrast below the lower and above the higher anchor.

    Returns
    -------
    GreyBias

    Raises
    ------
    InputError
        If shapes differ, the anchors coincide, fewer than 200 voxels stand at an anchor, the volume has no contrast,
        or values are not finite.
    """
    shape = check_volume(volume)
    low, contrast = min(anchors), abs(anchors[1] - anchors[0])
    if truth.shape != volume.shape:
        raise InputError(f"volume and truth must have one shape (got {shape}, {truth.shape}): crop them alike")
    if not contrast > 0:
        raise InputError(f"the anchors must differ (got {anchors[0]:g}, {anchors[1]:g}): give silicon and electrolyte")
    sums = np.zeros((4, bins))  # voxels, truth, volume, volume squared, of levels scaled to 0..1 between the anchors
    at = np.zeros((2, 3))  # likewise at each anchor: voxels, truth, volume
    for block in tile_blocks(shape, _SIDE_VOX):
        level, values = _read_levels(volume, truth, block, low, contrast, plain_only)
        for k in (0, 1):
            near = np.abs(level - k) <= _AT_ANCHOR
            at[k] += [near.sum(), level[near].sum(), values[near].sum()]
        index = np.floor((level + _BEYOND) / (1 + 2 * _BEYOND) * bins).astype(np.intp)
        use = (index >= 0) & (index < bins)
        for k, weight in enumerate((np.ones_like(level), level, values, values**2)):
            sums[k] += np.bincount(index[use], weight[use], minlength=bins)
    if at[:, 0].min() < _LEAST_VOXELS:
        raise InputError(
            f"each anchor needs >= {_LEAST_VOXELS} voxels of the truth (got {at[0, 0]:.0f} at {low:g}, "
            f"{at[1, 0]:.0f} at {low + contrast:g}): give the values of silicon and electrolyte in the truth"
        )
    (level_0, mean_0), (level_1, mean_1) = at[:, 1:] / at[:, :1]
    slope = (mean_1 - mean_0) / (level_1 - level_0)
    if slope == 0:
        raise InputError("the volume must have contrast between the anchors (both are the same): look at the volume")
    with np.errstate(invalid="ignore", divide="ignore"):
        level, mean, square = sums[1:] / sums[0]
        bias = (mean - mean_0) / slope + level_0 - level
        sd = np.sqrt(np.maximum(square - mean**2, 0)) / abs(slope)
    gain = slope / contrast
    offset = mean_0 - slope * level_0 - gain * low
    return GreyBias(low + contrast * level, bias, sd, sums[0].astype(np.int64), anchors, float(gain), float(offset))


def _read_levels(
    volume: VolumeSource, truth: VolumeSource, block: Block, low: float, contrast: float, plain_only: bool
) -> tuple[Floats, Floats]:
    """Truth on the scale of its anchors, 0 to 1, and the volume's values, of the voxels of a block that count."""
    from scipy.ndimage import gaussian_gradient_magnitude

    values = read_block(volume, block).astype(np.float64)
    wide, inner = widen_block(block, _HALO_VOX, check_volume(truth))
    level = (read_block(truth, wide, what="the truth").astype(np.float64) - low) / contrast
    if not plain_only:
        return level[inner].ravel(), values.ravel()
    plain = gaussian_gradient_magnitude(level, 1.0, mode="nearest")[inner] < _PLAIN
    return level[inner][plain], values[plain]

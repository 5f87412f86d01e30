"""The two anchors of the grey scale: what bulk silicon and electrolyte measure in a volume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.quality.blocks import check_volume, read_block, sample_blocks

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_SMOOTHING_VOX = 1.0
_WIDE_VOX = 2.5
_BULK = 0.15  # of the contrast: how near to its mode the wide mean of a bulk is
_PLAIN = 0.3  # share of the voxels, those farthest from edges
_SIDE_VOX = 64
_MOST_BLOCKS = 32
_BINS = 400
_KERNEL_BINS = 4.0  # 1 % of the range
_LEAST_PROMINENCE = 0.02  # of the highest mode
_DEEPEST = 0.8  # valley over the lower mode, above which they are one


@dataclass(frozen=True)
class PhaseGrey:
    """Values of one material.

    Parameters
    ----------
    mean : float
        Their mode or mean, in the volume's unit.
    sd : float
        Standard deviation of single voxels: noise and texture.
    voxels : int
        How many were seen.
    """

    mean: float
    sd: float
    voxels: int


@dataclass(frozen=True)
class Anchors:
    """The two materials that fix a grey scale.

    Parameters
    ----------
    silicon : PhaseGrey
        The one of the higher refractive decrement.
    electrolyte : PhaseGrey
    valley : float
        Lowest frequency between the modes over that of the lower mode: 0 where they are apart, 1 where they are one.
    """

    silicon: PhaseGrey
    electrolyte: PhaseGrey
    valley: float

    @property
    def contrast(self) -> float:
        """Step between both, in the volume's unit."""
        return self.silicon.mean - self.electrolyte.mean

    @property
    def contrast_to_noise(self) -> float:
        """Contrast over the rms of both standard deviations."""
        return self.contrast / math.sqrt(0.5 * (self.silicon.sd**2 + self.electrolyte.sd**2))


def find_anchors(volume: VolumeSource, *, mask: VolumeSource | None = None, seed: int = 0) -> Anchors:
    """Modes of bulk silicon and electrolyte: the two most prominent of the voxels far from edges.

    Blocks drawn at random are smoothed (sd 1 voxel); the 30 % of their voxels around which the gradient is smallest
    makes the histogram, so that the modes are those of bulk material and not of blurred edges. Of both modes, the one
    of the higher value is silicon. Give the electrode alone: collector or separator would be modes of their own.

    Parameters
    ----------
    volume : (z, y, x) volume
        Refractive decrement, or anything that rises with it.
    mask : volume of bool, optional
        Voxels that count.
    seed : int
        Of the draw of blocks: up to 32 of 64^3 voxels.

    Returns
    -------
    Anchors

    Raises
    ------
    InputError
        If the modes cannot be told apart (`spread_grey_window` needs none), values are not finite, or nothing is
        inside the mask.
    """
    samples = _draw_samples(volume, mask, seed)
    plain = samples.smooth[samples.gradient <= np.quantile(samples.gradient, _PLAIN)]
    low, high = (float(q) for q in np.quantile(plain, [0.001, 0.999]))
    if not high > low:
        raise InputError(f"the volume must hold two materials (all its plain voxels are {low:g}): look at the volume")
    margin = 0.05 * (high - low)
    centres, density = _estimate_density(plain, low - margin, high + margin)
    first, second, valley = _find_modes(density)
    electrolyte, silicon = (_locate_mode(centres, density, peak) for peak in (first, second))
    return Anchors(
        silicon=_measure_spread(samples, silicon, electrolyte),
        electrolyte=_measure_spread(samples, electrolyte, silicon),
        valley=valley,
    )


class _Samples(NamedTuple):
    """Voxels of blocks drawn at random: their values, smoothed a little, smoothed widely, and the gradient around."""

    raw: Singles
    smooth: Singles
    wide: Singles
    gradient: Singles


def _draw_samples(volume: VolumeSource, mask: VolumeSource | None, seed: int) -> _Samples:
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, maximum_filter

    shape = check_volume(volume)
    if mask is not None and mask.shape != volume.shape:
        raise InputError(f"the mask must have the volume's shape {shape} (got {mask.shape}): crop them alike")
    parts = []
    for block in sample_blocks(shape, _SIDE_VOX, _MOST_BLOCKS, seed=seed):
        inside = None if mask is None else np.asarray(mask[block], dtype=bool)
        if inside is not None and not inside.any():
            continue
        values = read_block(volume, block)
        smooth = gaussian_filter(values, _SMOOTHING_VOX, mode="nearest")
        wide = gaussian_filter(values, _WIDE_VOX, mode="nearest")
        gradient = maximum_filter(gaussian_gradient_magnitude(values, _WIDE_VOX, mode="nearest"), 3)
        use = np.ones(values.shape, dtype=bool) if inside is None else inside
        parts.append(np.stack([values[use], smooth[use], wide[use], gradient[use]]))
    if not parts:
        raise InputError("the mask must hold voxels (got none in the blocks looked at): widen the mask")
    return _Samples(*np.concatenate(parts, axis=1))


def _estimate_density(values: Singles, low: float, high: float) -> tuple[Floats, Floats]:
    """Smoothed histogram: centres of the bins and frequencies."""
    from scipy.ndimage import gaussian_filter1d

    counts, edges = np.histogram(values, _BINS, (low, high))
    density = gaussian_filter1d(counts.astype(np.float64), _KERNEL_BINS, mode="constant")
    return 0.5 * (edges[1:] + edges[:-1]), density


def _find_modes(density: Floats) -> tuple[int, int, float]:
    """Bins of the two most prominent modes, the lower value first, and the valley between them."""
    from scipy.signal import find_peaks

    peaks, properties = find_peaks(density, prominence=_LEAST_PROMINENCE * density.max())
    remedy = "give the grey window's ends by hand, or take it from quantiles"
    if len(peaks) < 2:
        raise InputError(f"silicon and electrolyte cannot be told apart by their greys (one mode): {remedy}")
    first, second = sorted(int(p) for p in peaks[np.argsort(properties["prominences"])[-2:]])
    valley = float(density[first : second + 1].min() / min(density[first], density[second]))
    if valley > _DEEPEST:
        raise InputError(
            f"silicon and electrolyte cannot be told apart by their greys (the valley between their modes is "
            f"{valley:.2f} of the lower one, at most {_DEEPEST} is needed): {remedy}"
        )
    return first, second, valley


def _locate_mode(centres: Floats, density: Floats, peak: int) -> float:
    """Vertex of the parabola through the logarithm of a mode's upper half, as far on either side as on the nearer."""
    low = np.flatnonzero(density < 0.5 * density[peak])
    before, after = peak - low[low < peak], low[low > peak] - peak
    reach = max(2, min(before.min(initial=len(density)), after.min(initial=len(density))) - 1)
    near = slice(max(0, peak - reach), peak + reach + 1)
    step = centres[1] - centres[0]
    c, b, _ = np.polyfit((centres[near] - centres[peak]) / step, np.log(np.maximum(density[near], 1e-9)), 2)
    shift = float(np.clip(-b / (2 * c), -reach, reach)) if c < 0 else 0.0
    return float(centres[peak] + shift * step)


def _measure_spread(samples: _Samples, mode: float, other: float) -> PhaseGrey:
    """Standard deviation of single voxels of a bulk about its mode, from those that lie away from the other mode.

    Which voxels are bulk is judged by a wide mean: a choice by small gradients would be one by small noise.
    """
    bulk = np.abs(samples.wide - mode) < _BULK * abs(other - mode)
    departure = (samples.raw[bulk].astype(np.float64) - mode) * np.sign(mode - other)
    beyond = departure[departure > 0]
    sd = math.sqrt(float((beyond**2).mean())) if beyond.size else math.nan
    return PhaseGrey(mode, sd, int(bulk.sum()))

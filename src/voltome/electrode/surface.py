"""The electrode's surface on the separator's side: where the greys of a column stop being those of the electrode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_SMOOTHING_M = (0.30e-6, 0.15e-6)  # of the greys: the first sets the edge a little too high, the second too low
_LATERAL_M = (3.0e-6, 1.5e-6, 0.75e-6, 0.5e-6)
_SEARCH = 0.8  # how far from the last surface the next one is sought, in smoothing lengths of the last
_SHADE_M = (1.2e-6, 2.5e-6, 2.5e-6)  # sd of the Gaussian that tells slow shades: halos of phases change along z
_KEEP_M = 0.8e-6  # from the surface, when the greys of both sides are learnt
_LEARN_M = (8.0e-6, 3.0e-6)  # below and above the surface, whose greys are learnt
_BINS = 64
_LEAST_BEYOND_M = 1.0e-6
_MOST_LOST = 0.5
_INDEPENDENT_M = 2.0e-6


@dataclass(frozen=True, eq=False)
class Surface:
    """Height of the electrode's surface on the separator's side.

    Parameters
    ----------
    z_px : (ny, nx) float64
        Above each pixel of a plane, counted from the collector's end of the volume; NaN where the electrode reaches
        the end of the field.
    sd_px : float
        Standard deviation of its mean that repeats: half of what a coarser and a finer look at the greys differ by.
    noise_px : float
        Random part of it: their local differences, taken for independent over two micrometres.
    """

    z_px: Floats
    sd_px: float
    noise_px: float


def find_surface(slab: Singles, face_px: Floats, *, pixel_m: float) -> Surface:
    """Find the surface: in each column the height that parts the greys of electrode and separator most likely.

    Both sides' greys are learnt from the scan itself, near the surface, and anew as it is found; the logarithm of
    their likelihood ratio, smoothed sideways, is summed along each column. So silicon that has lost its contrast
    still counts by what lies beside it. Matter that a plane cuts sharply seems to end a blur higher, at all scans
    alike: heights compare within 0.15 um, where they stand depends on what the surface is made of.

    Parameters
    ----------
    slab : (z, y, x) float32
        Greys, the collector's end first.
    face_px : (ny, nx) float64
        z of the collector's face above each pixel.
    pixel_m : float
        Edge of a pixel.

    Returns
    -------
    Surface

    Raises
    ------
    InputError
        If the electrode reaches the end of the field, there is no texture to tell it by, or no plane above the face.
    """
    found = [_find_edge(slab, face_px, smoothing_m, pixel_m) for smoothing_m in _SMOOTHING_M]
    height = 0.5 * (found[0] + found[1])
    lost = np.isnan(height).mean()
    if lost > _MOST_LOST:
        raise InputError(
            f"the electrode reaches the end of the field ({100 * lost:.0f} % of the columns show no separator): its "
            "surface cannot be seen in this scan"
        )
    apart = float(np.nanmean(found[0] - found[1]))
    patches = max(1.0, np.isfinite(height).sum() * (pixel_m / _INDEPENDENT_M) ** 2)
    noise = 0.5 * float(np.nanstd(found[0] - found[1])) / np.sqrt(patches)
    return Surface(height, 0.5 * abs(apart), float(noise))


def _find_edge(slab: Singles, face_px: Floats, smoothing_m: float, pixel_m: float) -> Floats:
    from scipy.ndimage import gaussian_filter, median_filter

    greys = gaussian_filter(slab, smoothing_m / pixel_m, mode="nearest")
    low = int(np.ceil(face_px.max() + 1e-6 / pixel_m))
    height = np.full(slab.shape[1:], _guess_height(greys, low, pixel_m))
    heights = np.arange(len(slab), dtype=np.float64)[:, None, None]
    reach = float(len(slab))
    for lateral in np.array(_LATERAL_M) / pixel_m:
        bins = _sort_greys(greys - _shade(greys, heights > height + _KEEP_M / pixel_m, pixel_m), low)
        ratio = _learn_ratio(bins, heights, height, face_px, pixel_m)
        field = gaussian_filter(ratio[bins], (0.0, lateral, lateral), mode="nearest")
        field[heights + 0 * height < np.maximum(height - reach, low)] = 1.0  # what lies below belongs to the electrode
        field[heights + 0 * height > height + reach] = -1.0
        height = np.argmax(np.cumsum(field, axis=0), axis=0) + 0.5
        height = gaussian_filter(median_filter(height, round(1e-6 / pixel_m) | 1), lateral)
        reach = _SEARCH * lateral
    return np.where(height < len(slab) - 1 - _LEAST_BEYOND_M / pixel_m, height, np.nan)


def _guess_height(greys: Singles, low: int, pixel_m: float) -> float:
    """Last plane whose texture is nearer to the electrode's than to what lies at the end of the field."""
    if len(greys) - low < 2:
        raise InputError(
            f"there is no plane above the collector to see a surface in ({len(greys)} planes, its blurred face reaches "
            f"up to {low}): look at collector_side"
        )
    texture = greys.std(axis=(1, 2)).astype(np.float64)
    end = texture[-max(2, round(1e-6 / pixel_m)) :].mean()
    inside = np.median(texture[low : max(low + 1, (low + len(texture)) // 2)])
    if not inside > 1.3 * end:
        raise InputError(
            "the electrode reaches the end of the field, or has no more texture than what lies there (sd of greys "
            f"{inside:.0f} against {end:.0f}): its surface cannot be seen in this scan"
        )
    return float(np.flatnonzero(texture > np.sqrt(inside * end)).max())


def _shade(greys: Singles, beyond: NDArray[np.bool_], pixel_m: float) -> Singles:
    """Slow shades of the separator, continued into the electrode: they are no sign of either."""
    from scipy.ndimage import gaussian_filter, zoom

    step = max(1, round(min(_SHADE_M) / 4 / pixel_m))
    sigma = [length / pixel_m / step for length in _SHADE_M]
    coarse = [a[step // 2 :: step, step // 2 :: step, step // 2 :: step] for a in (greys, beyond)]
    level = float(coarse[0][coarse[1]].mean()) if coarse[1].any() else 0.0
    weight = gaussian_filter(coarse[1].astype(np.float32), sigma, mode="nearest")
    shade = gaussian_filter(np.where(coarse[1], coarse[0] - level, 0).astype(np.float32), sigma, mode="nearest")
    shade /= weight + 0.02  # where no separator is near, there is no shade
    size = [n / m for n, m in zip(greys.shape, shade.shape, strict=True)]
    return np.asarray(zoom(shade, size, order=1, mode="nearest", grid_mode=True), dtype=np.float32)


def _sort_greys(greys: Singles, low: int) -> NDArray[np.uint8]:
    """Greys in bins that hold equally many."""
    sample = greys[low::2, ::3, ::3]
    edges = np.quantile(sample, np.linspace(0, 1, _BINS + 1)[1:-1])
    return np.searchsorted(edges, greys).astype(np.uint8)


def _learn_ratio(
    bins: NDArray[np.uint8], heights: Floats, height: Floats, face_px: Floats, pixel_m: float
) -> NDArray[np.float32]:
    """Log-likelihood ratio of electrode over separator for each bin of greys."""
    keep, below, above = (length / pixel_m for length in (_KEEP_M, *_LEARN_M))
    inside = (heights < height - keep) & (heights > np.maximum(height - below, face_px + 1e-6 / pixel_m))
    beyond = (heights > height + keep) & (heights < height + above)
    counts = [np.bincount(bins[use], minlength=_BINS) + 5.0 for use in (inside, beyond)]
    shares = [count / count.sum() for count in counts]
    return np.asarray(np.log(shares[0] / shares[1]), dtype=np.float32)

"""Edge resolution: how wide the edges of particles are, found and measured on many of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3, VolumeSource, make_block
from voltome.quality.blocks import check_volume, read_block, sample_blocks, widen_block
from voltome.quality.profiles import WINDOW, find_width, fit_error_function, fit_quadratic

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_SEARCH_VOX = 2.0  # sd of the Gaussian derivative that finds edges and their normals; profiles are not smoothed
_STEP_VOX = 0.25
_LINES = np.arange(-2, 3)  # of the patch, either way
_SPACING = (0.25, 1.0, 2.0)  # of these lines: share of the edge's width, least, most voxels
_SIDE_VOX = 80
_MARGIN_VOX = 8  # beyond the profile's end: patch, spline
_CELL_VOX = 6.0  # at most one edge in a cell of this side: neighbours share their noise
_MOST_BLOCKS = 24
_STRONG = 0.5  # of the strongest gradients (their 99.5th percentile) in a first look
_CONTRAST = (0.6, 1.5)  # of the usual one: between the same two phases, fully resolved
_FLATTEST = 0.93  # cosine between the normals at the middle and at the ends of the patch
_PLAIN = 0.15  # sd on either side, of the contrast
_FLANKS = (0.9, 1.8)  # where either side is looked at, in widths of the edge from its middle
_LEAST_EDGES = 20


@dataclass(frozen=True, eq=False)
class EdgeResolution:
    """Widths of N edges, each measured on a profile along its normal.

    Parameters
    ----------
    positions_vox : (N, 3) float64
        Middle of each edge.
    normals : (N, 3) float64
        Unit vectors towards higher values.
    contrast : (N,) float64
        Step between the plain sides.
    quadratic_vox : (N,) float64
        FWHM of the quadratic that approximates the profile's derivative (see `measure_edges`); infinite where noise
        left that no maximum: left out, the median would be too small.
    gaussian_vox : (N,) float64
        FWHM of the derivative of the error function fitted to the profile.
    offsets_vox : (M,) float64
        Places along a profile, 0 at the middle.
    profiles : (N, M) float32
        Each profile, shifted to its middle and scaled to run from 0 to 1; NaN beyond what was sampled.
    candidates : int
        Places that were looked at: all but N failed a check.
    voxel_size_m : float
    """

    positions_vox: Floats
    normals: Floats
    contrast: Floats
    quadratic_vox: Floats
    gaussian_vox: Floats
    offsets_vox: Floats
    profiles: Singles
    candidates: int
    voxel_size_m: float

    def __len__(self) -> int:
        return len(self.positions_vox)

    @property
    def resolution_m(self) -> float:
        """Median of the quadratics' FWHM; NaN of fewer than 20 edges."""
        return self._quantile(self.quadratic_vox, 0.5)

    def _quantile(self, widths_vox: Floats, share: float) -> float:
        if len(widths_vox) < _LEAST_EDGES:
            return math.nan
        return float(np.quantile(widths_vox, share, method="nearest")) * self.voxel_size_m

    def _measure_mean(self) -> float:
        if len(self) < _LEAST_EDGES:
            return math.nan
        whole = np.isfinite(self.profiles).all(axis=0)  # the ends are missing where a profile was shifted
        mean = self.profiles[:, whole].mean(axis=0, dtype=np.float64)
        return find_width(self.offsets_vox[whole], mean) * self.voxel_size_m

    def summarise(self) -> dict[str, float | int]:
        """Numbers for a report.

        Returns
        -------
        dict
            `edges`, `candidates`; `quadratic_m` and `gaussian_m` (medians of the FWHM) with their quartiles `_q1_m`,
            `_q3_m`; `quadratic_sd_m`, the standard error of the median from the quartiles; `mean_edge_m`, the
            quadratic's FWHM of the mean of all profiles, which noise hurts least; `axial_m` and `lateral_m`, the
            medians of edges whose normal lies within 45 degrees of z, and of the others. NaN of fewer than 20.
        """
        axial = np.abs(self.normals[:, 0]) > math.sqrt(0.5)
        numbers: dict[str, float | int] = {"edges": len(self), "candidates": self.candidates}
        for name, widths in (("quadratic", self.quadratic_vox), ("gaussian", self.gaussian_vox)):
            for suffix, share in (("m", 0.5), ("q1_m", 0.25), ("q3_m", 0.75)):
                numbers[f"{name}_{suffix}"] = self._quantile(widths, share)
        spread = (float(numbers["quadratic_q3_m"]) - float(numbers["quadratic_q1_m"])) / 1.349
        numbers["quadratic_sd_m"] = 1.2533 * spread / math.sqrt(max(len(self), 1))
        numbers["mean_edge_m"] = self._measure_mean()
        numbers["axial_m"] = self._quantile(self.quadratic_vox[axial], 0.5)
        numbers["lateral_m"] = self._quantile(self.quadratic_vox[~axial], 0.5)
        return numbers


def measure_edges(
    volume: VolumeSource,
    *,
    voxel_size_m: float,
    contrast: float | None = None,
    most_edges: int = 1500,
    reach_vox: float = 16.0,
    seed: int = 0,
) -> EdgeResolution:
    """Edge resolution: full width at half maximum of the derivative of profiles across particle edges.

    As in Haeusler et al. 2026, 10.1039/D5EB00193E (Fig. S8), but edges are found, not picked: ridges of the gradient's
    magnitude in blocks drawn at random, at most one per 6^3 voxels. A profile follows the normal by cubic spline
    interpolation, as the mean over a patch of 5 x 5 lines that are a quarter of the width apart, or 1 to 2 voxels. An
    edge counts if its contrast is the usual one, the normals of the patch agree (radius of curvature above 6 voxels)
    and both sides are plain, judged at distances that scale with its own width, so that blurred edges are not sorted
    out for being blurred. Noise of a fifth of the contrast, correlated over half an edge, makes edges of its own.

    The quadratic A (1 - s^2 / L^2) is fitted to the derivative, its FWHM is sqrt(2) L. Which that is depends on the
    window of the fit: on a Gaussian of FWHM w it is 0.85 w at the very top and 1.30 w over +-w. Over +-0.5582 w it
    is w: the window is therefore made that wide, w being the FWHM of an error function fitted to the same profile, so
    that a Gaussian edge is reported as what it is. The fitted error function's FWHM stands beside it: where both
    differ, edges are no Gaussians (such as phase fringes).

    Parameters
    ----------
    volume : (z, y, x) volume
    voxel_size_m : float
    contrast : float, optional
        Step between the two phases (as `Anchors.contrast`); without it, the median of the steep edges.
    most_edges : int
        Candidates that are looked at.
    reach_vox : float
        Half length of a profile, 1.8 times the widest edge that can be measured. Less in volumes below 108 voxels.
    seed : int
        Of the draw of blocks and edges.

    Returns
    -------
    EdgeResolution
        Without edges where none was found or none is plain on both sides.

    Raises
    ------
    InputError
        If a side has less than 32 voxels, or values are not finite.
    """
    from scipy.ndimage import spline_filter

    shape = check_volume(volume, least_vox=32)
    if contrast is not None and not (contrast > 0 and math.isfinite(contrast)):
        raise InputError(f"contrast must be > 0 (got {contrast}): give the step between the two phases")
    reach = min(reach_vox, (min(shape) - 12) / 6)
    steps = round(reach / _STEP_VOX)
    offsets = np.asarray(np.arange(-steps, steps + 1) * _STEP_VOX, dtype=np.float64)
    steep = _look_at_gradients(volume, shape, seed)
    rng = np.random.default_rng(seed)
    blocks = sample_blocks(shape, _SIDE_VOX, _MOST_BLOCKS, seed=seed)
    share = -(-most_edges // max(1, len(blocks) // 2))
    parts, found, spacing = [], 0, 0.0
    for block in blocks:
        wide, inner = widen_block(block, math.ceil(reach) + _MARGIN_VOX, shape)
        values = read_block(volume, wide)
        spline = spline_filter(values, order=3, output=np.float32)
        gradient = _derive(values)
        ridges = _find_ridges(gradient, inner, math.ceil(reach) + _MARGIN_VOX, steep)
        ridges = _draw_ridges(ridges, min(share, most_edges - found), rng)
        if spacing == 0 and len(ridges.positions):  # a first look at how wide edges are
            width = find_width(offsets, _sample_profiles(spline, ridges, offsets, 1.0).mean(axis=0))
            spacing = float(np.clip(_SPACING[0] * np.nan_to_num(width), _SPACING[1], _SPACING[2]))
        ridges = _check_flatness(gradient, ridges, spacing)
        profiles = _sample_profiles(spline, ridges, offsets, spacing)
        start = np.array([s.start for s in wide])
        parts.append((profiles, replace(ridges, positions=ridges.positions + start)))
        found += len(ridges.positions)
        if found >= most_edges:
            break
    profiles = np.concatenate([p for p, _ in parts])
    edges = _Ridges(
        *(np.concatenate([getattr(r, name) for _, r in parts]) for name in ("positions", "normals", "flat"))
    )
    return _judge(profiles, edges, offsets, contrast, voxel_size_m)


@dataclass(frozen=True)
class _Ridges:
    """Places where the gradient's magnitude has a ridge, its direction, and whether that is the same nearby."""

    positions: Floats
    normals: Floats
    flat: NDArray[np.bool_]


def _look_at_gradients(volume: VolumeSource, shape: Shape3, seed: int) -> float:
    """Gradient above which a ridge is looked at."""
    from scipy.ndimage import gaussian_gradient_magnitude

    seen = [
        gaussian_gradient_magnitude(read_block(volume, block), _SEARCH_VOX)[::2, ::2, ::2].ravel()
        for block in sample_blocks(shape, 64, 16, seed=seed + 1)
    ]
    return _STRONG * float(np.quantile(np.concatenate(seen), 0.995))


def _derive(values: Singles) -> list[Singles]:
    """Components of the smoothed gradient."""
    from scipy.ndimage import gaussian_filter

    orders = np.eye(3, dtype=int).tolist()
    return [gaussian_filter(values, _SEARCH_VOX, order=order, mode="nearest") for order in orders]


def _find_ridges(gradient: list[Singles], inner: Block, margin_vox: int, steep: float) -> _Ridges:
    """Ridges of the gradient's magnitude inside a block, far enough from the faces of what was read."""
    from scipy.ndimage import map_coordinates

    magnitude = np.sqrt(gradient[0] ** 2 + gradient[1] ** 2 + gradient[2] ** 2)
    low = [max(s.start, margin_vox) for s in inner]
    high = [max(a, min(s.stop, n - margin_vox)) for a, s, n in zip(low, inner, magnitude.shape, strict=True)]
    box = make_block(low, high)
    places = np.argwhere(magnitude[box] > max(steep, np.finfo(np.float32).tiny)) + np.array(low)
    at = tuple(places.T)
    top = magnitude[at].astype(np.float64)
    normals = np.stack([g[at] for g in gradient], axis=1).astype(np.float64) / top[:, None]
    before, after = (
        map_coordinates(magnitude, (places + sign * normals).T, order=1).astype(np.float64) for sign in (-1, 1)
    )
    ridge = (top >= before) & (top > after)
    places, normals, top, before, after = (a[ridge] for a in (places, normals, top, before, after))
    shift = 0.5 * (before - after) / np.minimum(before + after - 2.0 * top, -1e-30)
    positions = places + np.clip(shift, -0.7, 0.7)[:, None] * normals
    return _Ridges(positions, normals, np.ones(len(positions), dtype=bool))


def _check_flatness(gradient: list[Singles], ridges: _Ridges, spacing_vox: float) -> _Ridges:
    """Mark the ridges whose normal is that of the ends of their patch."""
    from scipy.ndimage import map_coordinates

    flat = ridges.flat.copy()
    for tangent in _find_tangents(ridges.normals):
        for line in (_LINES[0], _LINES[-1]):
            where = (ridges.positions + line * spacing_vox * tangent).T
            nearby = np.stack([map_coordinates(g, where, order=1) for g in gradient], axis=1)
            length = np.linalg.norm(nearby, axis=1)
            flat &= np.einsum("nk,nk->n", nearby, ridges.normals) > _FLATTEST * length
    return replace(ridges, flat=flat)


def _find_tangents(normals: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors at right angles to each normal and to each other."""
    helper = np.eye(3)[np.argmin(np.abs(normals), axis=1)]
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(normals, first)


def _draw_ridges(ridges: _Ridges, most: int, rng: np.random.Generator) -> _Ridges:
    """At most one ridge of each cell, drawn at random, and at most so many."""
    order = rng.permutation(len(ridges.positions))
    cells = np.floor(ridges.positions[order] / _CELL_VOX).astype(np.int64)
    _, first = np.unique(cells, axis=0, return_index=True)
    chosen = order[rng.permutation(first)[:most]]
    return _Ridges(ridges.positions[chosen], ridges.normals[chosen], ridges.flat[chosen])


def _sample_profiles(spline: Singles, ridges: _Ridges, offsets: Floats, spacing_vox: float) -> Floats:
    """Profiles along the normals, each the mean over a patch of lines, by cubic splines."""
    from scipy.ndimage import map_coordinates

    first, second = _find_tangents(ridges.normals)
    centres = ridges.positions[:, None, :] + offsets[:, None] * ridges.normals[:, None, :]
    profiles = np.zeros(centres.shape[:2])
    for a in spacing_vox * _LINES:
        for b in spacing_vox * _LINES:
            where = centres + (a * first + b * second)[:, None, :]
            profiles += map_coordinates(spline, where.reshape(-1, 3).T, order=3, prefilter=False).reshape(
                profiles.shape
            )
    return profiles / len(_LINES) ** 2


def _judge(
    profiles: Floats, edges: _Ridges, offsets: Floats, contrast: float | None, voxel_size_m: float
) -> EdgeResolution:
    """Measure all profiles and keep those of flat edges between plain sides of the usual contrast."""
    usual_width = find_width(offsets, profiles.mean(axis=0)) if len(profiles) else math.nan
    near = np.abs(offsets) <= _FLANKS[1] * usual_width
    fits = [fit_error_function(offsets[near], p[near], width_vox=usual_width) for p in profiles if near.any()]
    gaussian, middle = np.array(fits or np.full((len(profiles), 2), np.nan)).reshape(-1, 2).T
    quadratic, _ = fit_quadratic(offsets, profiles, window_vox=WINDOW * gaussian, middle_vox=middle)
    judged = np.clip(gaussian, usual_width, 2.0 * usual_width)  # beside noise that looks like a sharp edge, too
    low, high, plain = _compare_flanks(profiles, offsets, judged, middle)
    quadratic[np.isnan(quadratic)] = np.inf
    step = high - low
    good = edges.flat & plain
    usual = contrast if contrast is not None else float(np.median(step[good])) if good.any() else math.nan
    good &= (step > _CONTRAST[0] * usual) & (step < _CONTRAST[1] * usual)
    shifted = [
        np.interp(offsets + m, offsets, (p - a) / s, left=np.nan, right=np.nan)
        for p, m, a, s in zip(profiles[good], middle[good], low[good], step[good], strict=True)
    ]
    return EdgeResolution(
        positions_vox=edges.positions[good] + middle[good, None] * edges.normals[good],
        normals=edges.normals[good],
        contrast=step[good],
        quadratic_vox=quadratic[good],
        gaussian_vox=gaussian[good],
        offsets_vox=offsets,
        profiles=np.array(shifted, dtype=np.float32).reshape(-1, len(offsets)),
        candidates=len(profiles),
        voxel_size_m=voxel_size_m,
    )


def _compare_flanks(
    profiles: Floats, offsets: Floats, width: Floats, middle: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Means beside each edge, before and after it, and whether both sides are plain."""
    distance = (offsets - middle[:, None]) / width[:, None]
    means, plain = [], np.ones(len(profiles), dtype=bool)
    sds = []
    for sign in (-1, 1):
        use = (sign * distance > _FLANKS[0]) & (sign * distance < _FLANKS[1])
        count = np.maximum(use.sum(axis=1), 1)
        mean = np.where(use, profiles, 0).sum(axis=1) / count
        sds.append(np.sqrt(np.where(use, (profiles - mean[:, None]) ** 2, 0).sum(axis=1) / count))
        means.append(mean)
        plain &= (use.sum(axis=1) >= 2) & (np.abs(middle + sign * _FLANKS[1] * width) <= offsets[-1])
    step = means[1] - means[0]
    plain &= (step > 0) & (np.maximum(*sds) < _PLAIN * step)
    return means[0], means[1], plain

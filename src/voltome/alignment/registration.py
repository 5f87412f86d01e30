"""Registration of the collector: one similarity for all its tiles, each with a gain and a shading of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voltome.alignment.collector import ABOVE_M, Collector, read_slab
from voltome.alignment.similarity import Alignment, make_jacobian, make_linear, measure_residual
from voltome.alignment.texture import find_lateral_shift, remove_rings
from voltome.errors import InputError
from voltome.grid import VolumeSource

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

SMOOTHING_M = (0.2e-6, 0.3e-6, 0.3e-6)
"""Sd of the smoothing along z, y, x: grains of a foil are larger, noise and what is left of rings is finer."""

_LEAST_SMOOTHING_PX = (1.0, 1.5, 1.5)
_MARGIN = 2.5  # sds of blur and smoothing that a tile keeps from the face, from borders by smoothing alone
_TILE_M = 3.0e-6
_MOST_TILES = 12  # along an axis
_GROUP = 2  # tiles along an axis that shades may join: the jackknife leaves them out together
_LEAST_TILES = 12  # in all: seven parameters and their scatter
_LEAST_TEXTURE = 1e-3  # sd of its greys over the step at the face: what lets no light through has none at all
_MOST_ITERATIONS = 60
_TOLERANCE_PX = 5e-4
_DRIFT_M = 10e-6
_TURN_RAD = 5e-3
_GROWTH = 3e-3
_PRIOR_SD = (_DRIFT_M, _DRIFT_M, _DRIFT_M, _TURN_RAD, _TURN_RAD, _TURN_RAD, _GROWTH)
_LIMITS = 10.0  # prior sds at which a solution has gone astray


@dataclass(frozen=True, eq=False)
class _Tile:
    """A box of the reference's collector: greys less their trend, derivatives by the seven parameters, its group."""

    low: NDArray[np.int64]
    shape: tuple[int, int, int]
    grey: Floats
    jacobian: Floats
    hessian: Floats
    power: float
    group: int


@dataclass(frozen=True, eq=False)
class _Sums:
    """Normal equations of all tiles at a motion."""

    hessians: Floats  # (T, 7, 7), weighted
    sides: Floats  # (T, 7), weighted
    crossed: Floats  # (7, 7)
    zncc: float
    groups: NDArray[np.int64]  # (T,)


def register_collector(
    reference: VolumeSource,
    deformed: VolumeSource,
    collectors: tuple[Collector, Collector],
    *,
    voxel_size_m: float,
    reduction: int = 1,
    collector_side: str = "low-z",
) -> Alignment:
    """Register the collector of two scans by a similarity: Gauss-Newton on tiles of its texture, joined with its face.

    The electrode and the zone that copper blurs are left out. Each tile has its own gain and linear shading, so
    that slow shades do not tilt the result; rings, which do not move with the sample, are taken out first. The face
    fixes height and two tilts, as far as a grey that changes behind it allows; what neither fixes is held by what an
    instrument drifts at most (10 um, 5 mrad, 0.3 %), and its error says so. Standard deviations of the texture's
    part are the jackknife's over tiles (Efron, 10.1214/aos/1176345462): noise may be correlated over less than one.

    Parameters
    ----------
    reference, deformed : VolumeSource
        (z, y, x), same shape.
    collectors : two Collector
        Of the reference and of the other scan.
    voxel_size_m : float
        Of the full resolution.
    reduction : int
        Full voxels along the edge of a voxel of the volumes.
    collector_side : str
        "low-z" or "high-z".

    Returns
    -------
    Alignment
        In voxels of the full resolution.

    Raises
    ------
    InputError
        If the volumes differ in shape, or less than half of the collector is in both fields of view.
    """
    if tuple(reference.shape) != tuple(deformed.shape):
        raise InputError(
            f"both volumes must have the same shape (got {tuple(reference.shape)} and {tuple(deformed.shape)}): "
            "cut them to one field of view"
        )
    pixel_m = voxel_size_m * reduction
    smoothing: Floats = np.maximum(_LEAST_SMOOTHING_PX, np.array(SMOOTHING_M) / pixel_m)
    depth = round(ABOVE_M / pixel_m) + 1 + int(max(c.plane[0] for c in collectors) / reduction)
    slabs = [read_slab(v, min(depth, v.shape[0]), collector_side) for v in (reference, deformed)]
    greys = [_smooth(remove_rings(slab, 1.5e-6 / pixel_m), smoothing) for slab in slabs]
    first, second = (_reduce(c, reduction) for c in collectors)
    margin = _MARGIN * float(np.hypot(first.blur_vox, smoothing[0]))
    lateral = find_lateral_shift(greys[0], greys[1], int(first.face_vox[np.isfinite(first.face_vox)].min() - margin))
    centre = np.array([first.plane[0] / 2, first.rows_vox.mean(), first.columns_vox.mean()])
    start = _start(first, second, lateral.shift_px)
    tiles = _lay_tiles(greys[0], first, margin, smoothing, start, centre, _TILE_M / pixel_m)
    least = (_LEAST_TEXTURE * (first.electrode_grey - first.collector_grey)) ** 2
    tiles = [tile for tile in tiles if tile.power > least * len(tile.grey)]
    prior = np.diag(1.0 / np.square(np.array(_PRIOR_SD) / np.array([pixel_m] * 3 + [1.0] * 4)))
    face = _read_face(first, second, centre)
    known: Floats = face[1] + prior
    covariance: Floats = np.asarray(np.linalg.inv(known))
    solution, zncc, used = start, float("nan"), 0
    if lateral.found and len(tiles) >= _LEAST_TILES:
        texture = _solve_texture(greys[1], tiles, centre, start, prior)
        if texture is not None:
            solution, information, zncc, used = texture
            covariance = np.asarray(np.linalg.inv(information + known))
            solution = covariance @ (information @ solution + face[1] @ face[0])
    else:
        solution = covariance @ (face[1] @ face[0])
    return _say_in_full(
        Alignment(
            centre,
            solution[:3],
            solution[3:6],
            1.0 + float(solution[6]),
            covariance,
            zncc,
            used,
            measure_residual(covariance, _corners(slabs[0].shape, first) - centre),
        ),
        reduction,
        reference.shape[0] * reduction if collector_side == "high-z" else None,
    )


def _smooth(slab: Singles, sigma: Floats) -> Singles:
    from scipy.ndimage import gaussian_filter

    out: Singles = gaussian_filter(slab, sigma, mode="nearest")
    return out


def _reduce(collector: Collector, reduction: int) -> Collector:
    """The same collector in voxels of a reduced volume."""
    shift = (reduction - 1) / 2
    return replace(
        collector,
        face_vox=(collector.face_vox - shift) / reduction,
        rows_vox=(collector.rows_vox - shift) / reduction,
        columns_vox=(collector.columns_vox - shift) / reduction,
        plane=np.array([(collector.plane[0] - shift) / reduction, *collector.plane[1:]]),
        plane_sd=collector.plane_sd * np.array([1 / reduction, 1.0, 1.0]),
        blur_vox=collector.blur_vox / reduction,
    )


def _start(first: Collector, second: Collector, lateral_px: Floats) -> Floats:
    """Height and tilts from the faces, lateral shift from the texture."""
    tilt = second.plane[1:] - first.plane[1:]
    return np.array([second.plane[0] - first.plane[0], *lateral_px, 0.0, -tilt[1], tilt[0], 0.0])


def _read_face(first: Collector, second: Collector, centre: Floats) -> tuple[Floats, Floats]:
    """What the faces say of the seven parameters, and how surely: values (7,) and information (7, 7).

    Height errs by up to half the blur times the change of contrast; tilts by as much over half the field.
    """
    tilt = second.plane[1:] - first.plane[1:]
    rise = [c.electrode_grey - c.collector_grey for c in (first, second)]
    drawn = 0.5 * first.blur_vox * abs(rise[1] / rise[0] - 1.0)
    scatter = np.hypot(first.plane_sd, second.plane_sd)
    half = 0.5 * np.array([np.ptp(first.rows_vox), np.ptp(first.columns_vox)])
    sd = np.hypot(scatter, [drawn, *(drawn / np.maximum(half, 1.0))])
    values = np.array([second.plane[0] - first.plane[0], 0.0, 0.0, 0.0, -tilt[1], tilt[0], 0.0])
    sds = np.array([sd[0], np.inf, np.inf, np.inf, sd[2], sd[1], np.inf])
    return values, np.diag(1.0 / np.square(np.maximum(sds, 1e-9)))


def _lay_tiles(
    grey: Singles, collector: Collector, margin: float, smoothing: Floats, start: Floats, centre: Floats, side: float
) -> list[_Tile]:
    """Tiles of the collector, away from its face, from the volume's end and from what leaves the field."""
    rim = np.ceil(np.abs(start[1:3]) + 1 + _MARGIN * smoothing[1:]).astype(int)
    edges = []
    for n, r in zip(grey.shape[1:], rim, strict=True):
        count = int(np.clip(round((n - 2 * r) / side), 1, _MOST_TILES))
        edges.append(np.linspace(r, max(n - r, r + 1), count + 1).astype(int))
    top = int(np.ceil(max(1.0, _MARGIN * smoothing[0]) + abs(start[0])))
    out = []
    for i, (y0, y1) in enumerate(pairwise(edges[0])):
        for j, (x0, x1) in enumerate(pairwise(edges[1])):
            corners = collector.face_at(np.array([y0, y0, y1, y1]), np.array([x0, x1, x0, x1]))
            end = int(np.floor(corners.min() - margin))
            if end - top >= 2 and min(y1 - y0, x1 - x0) >= 4:
                low, high = np.array([top, y0, x0]), np.array([end, y1, x1])
                out.append(_make_tile(grey, low, high, centre, i // _GROUP * _MOST_TILES + j // _GROUP))
    return out


def _make_tile(grey: Singles, low: NDArray[np.int64], high: NDArray[np.int64], centre: Floats, group: int) -> _Tile:
    box = tuple(slice(a - 1, b + 1) for a, b in zip(low, high, strict=True))
    values: Floats = grey[box].astype(np.float64)
    shape = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
    jacobian = _make_rows(values, low, shape, centre)
    values = _detrend(values[1:-1, 1:-1, 1:-1].ravel(), shape)
    return _Tile(low, shape, values, jacobian, jacobian.T @ jacobian, float(values @ values), group)


def _make_rows(grey: Floats, low: NDArray[np.int64], shape: Sequence[int], centre: Floats) -> Floats:
    """Derivative of each voxel's grey by the seven parameters, less its trend: (N, 7); of greys with a rim."""
    inner = (slice(1, -1),) * 3
    gradient = np.stack([np.asarray(np.gradient(grey, axis=k))[inner].ravel() for k in range(3)], axis=1)
    places = np.indices(shape, dtype=np.float64).reshape(3, -1).T + (low - centre)
    rows = np.einsum("ni,nij->nj", gradient, make_jacobian(places))
    return np.asarray(_detrend(rows, shape))


def _detrend(values: Floats, shape: Sequence[int]) -> Floats:
    """Values of a tile's voxels (N,) or (N, K) less their mean and slopes: slow shading is no texture."""
    trends = [np.ones(shape)]
    for axis, n in enumerate(shape):
        ramp = (np.arange(n) - (n - 1) / 2).reshape([-1 if k == axis else 1 for k in range(3)])
        trends.append(np.broadcast_to(ramp, shape))
    basis = np.stack([trend.ravel() / np.linalg.norm(trend) for trend in trends], axis=1)
    return np.asarray(values - basis @ (basis.T @ values))


def _sum_tiles(coefficients: Singles, tiles: Sequence[_Tile], centre: Floats, parameters: Floats) -> _Sums:
    """Normal equations at a motion; tiles that it moves out of the field are left out."""
    from scipy.ndimage import affine_transform

    linear = make_linear(parameters)
    hessians, sides, crossed, groups = [], [], np.zeros((7, 7)), []
    covariances, powers = 0.0, np.zeros(2, dtype=np.float64)
    for tile in tiles:
        offset = linear @ (tile.low - 1 - centre) + centre + parameters[:3]
        moved = affine_transform(
            coefficients, linear, offset=offset, output_shape=tuple(n + 2 for n in tile.shape), order=3,
            mode="constant", cval=np.nan, prefilter=False, output=np.float64,
        )  # fmt: skip
        if not np.isfinite(moved).all():
            continue
        inner = moved[1:-1, 1:-1, 1:-1].ravel()
        inner = _detrend(inner, tile.shape)
        gain = float(tile.grey @ inner) / tile.power
        if gain < 0.05:
            continue
        apart = tile.grey - inner / gain
        weight = len(inner) / float(apart @ apart)
        rows = _make_rows(moved, tile.low, tile.shape, centre)
        hessians.append(weight * tile.hessian)
        sides.append(weight * (tile.jacobian.T @ apart))
        groups.append(tile.group)
        crossed += weight / gain * (tile.jacobian.T @ rows)
        covariances += gain * tile.power
        powers += (tile.power, float(inner @ inner))
    zncc = covariances / float(np.sqrt(np.prod(powers))) if hessians else float("nan")
    return _Sums(np.array(hessians), np.array(sides), (crossed + crossed.T) / 2, zncc, np.array(groups))


def _solve_texture(
    grey: Singles, tiles: Sequence[_Tile], centre: Floats, start: Floats, prior: Floats
) -> tuple[Floats, Floats, float, int] | None:
    """Solution (7,), its information (7, 7) by the jackknife, ZNCC and tiles that count; None where it goes astray."""
    from scipy.ndimage import spline_filter

    coefficients: Singles = spline_filter(grey, 3, output=np.float32, mode="mirror")
    parameters = start.copy()
    lever = np.array([1.0, 1.0, 1.0] + [float(max(grey.shape[1:])) / 4] * 4)
    limits = _LIMITS / np.sqrt(np.diag(prior))
    for _ in range(_MOST_ITERATIONS):
        sums = _sum_tiles(coefficients, tiles, centre, parameters)
        if len(sums.sides) < max(_LEAST_TILES, len(tiles) // 2):
            raise InputError(
                f"the collector leaves the field of view ({len(sums.sides)} of {len(tiles)} of its parts stay): "
                "leave out this scan, or align it by hand"
            )
        step = np.linalg.solve(_choose_hessian(sums), sums.sides.sum(axis=0))
        parameters = parameters + step
        if (np.abs(parameters) > limits).any():
            return None
        if float(np.abs(step * lever).max()) < _TOLERANCE_PX:
            break
    sums = _sum_tiles(coefficients, tiles, centre, parameters)
    return parameters, _jackknife(sums), sums.zncc, len(sums.sides)


def _choose_hessian(sums: _Sums) -> Floats:
    """That of both images' gradients, which noise does not raise, while it is sound; else the reference's alone."""
    plain = sums.hessians.sum(axis=0)
    scale = np.sqrt(np.diag(plain))
    least = np.linalg.eigvalsh(sums.crossed / np.outer(scale, scale)).min()
    return sums.crossed if least > 1e-3 else plain


def _jackknife(sums: _Sums) -> Floats:
    """Information of the solution: inverse covariance of those that leave out one group of tiles each."""
    names, member = np.unique(sums.groups, return_inverse=True)
    if len(names) < _LEAST_TILES:
        names, member = np.arange(len(sums.sides)), np.arange(len(sums.sides))
    count = len(names)
    hessians, sides = np.zeros((count, 7, 7)), np.zeros((count, 7))
    np.add.at(hessians, member, sums.hessians)
    np.add.at(sides, member, sums.sides)
    total, side = _choose_hessian(sums), sides.sum(axis=0)
    ratio = float(np.trace(np.linalg.solve(hessians.sum(axis=0), total)) / len(total))
    without = np.array([np.linalg.solve(total - ratio * h, side - b) for h, b in zip(hessians, sides, strict=True)])
    apart = without - without.mean(axis=0)
    covariance = (count - 1) / count * apart.T @ apart
    # A scatter from a few groups is unsure itself: Student's factor for so many degrees of freedom.
    free = max(count - 7, 3)
    return np.asarray(np.linalg.inv(covariance * free / (free - 2)))


def _corners(shape: Sequence[int], collector: Collector) -> Floats:
    """Points of the collector, a grid of five by five at half its height."""
    y, x = np.meshgrid(*[np.linspace(0, n - 1, 5) for n in shape[1:]], indexing="ij")
    return np.stack([np.full(y.size, collector.plane[0] / 2), y.ravel(), x.ravel()], axis=1)


def _say_in_full(found: Alignment, reduction: int, planes: int | None) -> Alignment:
    """In full voxels; for a collector at high z (`planes` of the volume) as seen from z = 0."""
    size = np.array([reduction] * 3 + [1.0] * 4)
    centre = found.centre_vox * reduction + (reduction - 1) / 2
    translation, rotation, sign = found.translation_vox * reduction, found.rotation_rad, np.ones(7)
    if planes is not None:  # a mirror turns the axis of a rotation the other way, but for its own component
        sign = np.array([-1.0, 1, 1, 1, -1, -1, 1])
        centre = np.array([planes - 1 - centre[0], *centre[1:]])
        translation, rotation = translation * sign[:3], rotation * sign[3:6]
    covariance = found.covariance * np.outer(size * sign, size * sign)
    return replace(
        found,
        centre_vox=centre,
        translation_vox=translation,
        rotation_rad=rotation,
        covariance=covariance,
        residual_vox=found.residual_vox * reduction,
    )

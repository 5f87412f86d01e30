"""Packing: how large the particles are, where they sit, and the Laguerre cells that share out the electrode.

The cells' volumes are met by a damped Newton iteration on the weights, alternating with steps of the seeds towards
their cells' centroids: semi-discrete optimal transport, as D. P. Bourne et al. make polycrystals of given grain sizes
(10.1080/14786435.2020.1790053) after J. Kitagawa, Q. Merigot and B. Thibert (10.4171/JEMS/889).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.twin.surface import RoughSurface

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Lids = tuple[Floats, Floats]
"""Unit normals (N, 3) and offsets (N,) of one plane for each cell: normal . X <= offset is below it."""

_NEIGHBOURS = 48  # cut at first; three times as many where these do not suffice
_ROUNDS = 3  # of moving the seeds
_NEWTON_STEPS = 40
_HALVINGS = 10
_ROUGHLY, _FINELY = 0.2, 1e-3  # largest relative error of a cell's volume, before and after the seeds have moved

_SAMPLE_UM = 0.1  # between points at which a lid is compared with the surface
_LEAST_SAMPLES = 12


@dataclass(frozen=True, eq=False)
class Slab:
    """What is packed: a box with a rough lid.

    Parameters
    ----------
    low_um, high_um : (3,) float64
        Corners; the upper one lies above the surface everywhere.
    surface : RoughSurface
    """

    low_um: Floats
    high_um: Floats
    surface: RoughSurface


@dataclass(frozen=True, eq=False)
class LaguerreCells:
    """N Laguerre cells of a slab, each cut by a lid, a plane that stands for the surface.

    Parameters
    ----------
    seeds_um : (N, 3) float64
    weights_um2 : (N,) float64
    volumes_um3 : (N,) float64
    centroids_um : (N, 3) float64
    reaches_um : (N,) float64
        Largest distance of a corner from the seed.
    face_first : (N + 1,) int64
        Faces first[i] to first[i + 1] are those of cell i.
    face_cells : (.,) int64
        What lies behind each face: another cell, -1 to -6 the box (low and high z, y, x), -7 the lid.
    face_areas_um2 : (.,) float64
    """

    seeds_um: Floats
    weights_um2: Floats
    lids: Lids
    volumes_um3: Floats
    centroids_um: Floats
    reaches_um: Floats
    face_first: Integers
    face_cells: Integers
    face_areas_um2: Floats


def touch_lids(slab: Slab, seeds_um: Floats) -> Lids:
    """Planes that touch the rough surface above the seeds.

    Parameters
    ----------
    slab : Slab
    seeds_um : (N, 3) float64

    Returns
    -------
    Lids
    """
    y, x = seeds_um[:, 1], seeds_um[:, 2]
    return _make_lids(slab.surface.slope(y, x), slab.surface.height(y, x), y, x)


def lower_lids(slab: Slab, seeds_um: Floats, weights_um2: Floats) -> Lids:
    """Planes that stay below the rough surface wherever it belongs to their cell, and come as close to it as they can.

    Parameters
    ----------
    slab : Slab
    seeds_um : (N, 3) float64
    weights_um2 : (N,) float64

    Returns
    -------
    Lids
        Of a cell that the surface does not cut: the plane that touches it above the seed.
    """
    from scipy.spatial import cKDTree

    sides = zip(slab.low_um[1:], slab.high_um[1:], strict=True)
    axes = [np.linspace(a, b, int(np.ceil((b - a) / _SAMPLE_UM)) + 1) for a, b in sides]
    y, x = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    z = slab.surface.height(y, x)
    # The power distance is a plain distance to seeds lifted out of space: the nearest one owns the point.
    lifted = np.column_stack([seeds_um, np.sqrt(weights_um2.max() - weights_um2)])
    owner = cKDTree(lifted).query(np.column_stack([z, y, x, np.zeros(len(z))]))[1]
    seed_y, seed_x = seeds_um[:, 1], seeds_um[:, 2]
    slope = _fit_slopes(owner, z, y - seed_y[owner], x - seed_x[owner], slab.surface.slope(seed_y, seed_x))
    spare = z - slope[owner, 0] * (y - seed_y[owner]) - slope[owner, 1] * (x - seed_x[owner])
    # How much further the surface may come down before the next point, half a diagonal away.
    steepness = np.linalg.norm(slab.surface.slope(y, x) - slope[owner], axis=1)
    spare -= _SAMPLE_UM * np.sqrt(0.5) * (steepness + _SAMPLE_UM)
    height = np.full(len(seeds_um), np.inf)
    np.minimum.at(height, owner, spare)
    height = np.where(np.isfinite(height), height, slab.surface.height(seed_y, seed_x))
    return _make_lids(slope, height, seed_y, seed_x)


def _fit_slopes(owner: Integers, z: Floats, y: Floats, x: Floats, default: Floats) -> Floats:
    """Least-squares slopes of z over y and x for the points of each owner; the default where these are few."""
    count = np.bincount(owner, minlength=len(default))
    z, y, x = (v - (np.bincount(owner, v, len(count)) / np.maximum(count, 1))[owner] for v in (z, y, x))
    yy, yx, xx, zy, zx = (np.bincount(owner, v, len(count)) for v in (y * y, y * x, x * x, z * y, z * x))
    determinant = yy * xx - yx * yx
    enough = (count >= _LEAST_SAMPLES) & (determinant > 0.01 * yy * xx)
    slope = default.copy()
    slope[enough] = np.column_stack([zy * xx - zx * yx, zx * yy - zy * yx])[enough] / determinant[enough, None]
    return slope


def _make_lids(slope: Floats, height: Floats, y: Floats, x: Floats) -> Lids:
    normals = np.column_stack([np.ones(len(slope)), -slope])
    length = np.linalg.norm(normals, axis=1)
    return normals / length[:, None], (height - slope[:, 0] * y - slope[:, 1] * x) / length


class Neighbours:
    """Nearest seeds of each seed, looked for when they are needed and kept.

    Parameters
    ----------
    seeds_um : (N, 3) float64
    """

    def __init__(self, seeds_um: Floats) -> None:
        from scipy.spatial import cKDTree

        self._seeds_um = seeds_um
        self._tree = cKDTree(seeds_um)
        self._found: dict[int, tuple[Integers, NDArray[np.bool_]]] = {}

    def nearest(self, which: Integers, count: int) -> Integers:
        """The `count` nearest other seeds of the seeds `which`, by growing distance.

        Parameters
        ----------
        which : (M,) int64
        count : int
            Below N.

        Returns
        -------
        (M, count) int64
        """
        total = len(self._seeds_um)
        near, known = self._found.setdefault(
            count, (np.empty((total, count), dtype=np.int64), np.zeros(total, dtype=bool))
        )
        new = which[~known[which]]
        if len(new):
            near[new] = self._tree.query(self._seeds_um[new], k=np.arange(2, count + 2))[1]
            known[new] = True
        return near[which]


def cut_laguerre(
    slab: Slab,
    seeds_um: Floats,
    weights_um2: Floats,
    *,
    lids: Lids | None = None,
    neighbours: Neighbours | None = None,
) -> LaguerreCells:
    """Exact Laguerre cells of a slab.

    Parameters
    ----------
    slab : Slab
    seeds_um : (N, 3) float64
    weights_um2 : (N,) float64
    lids : Lids, optional
        By default those of `touch_lids`.
    neighbours : Neighbours, optional
        Of the same seeds, if known from before.

    Returns
    -------
    LaguerreCells
    """
    from voltome.twin.packing_loops import FIRST_NEIGHBOUR, cut_cells

    count = len(seeds_um)
    lids = lids or touch_lids(slab, seeds_um)
    neighbours = neighbours or Neighbours(seeds_um)
    volumes, centroids, reaches = np.empty(count), np.empty((count, 3)), np.empty(count)
    found: list[tuple[Integers, Integers, Floats]] = []
    which, wanted = np.arange(count), min(_NEIGHBOURS, count - 1)
    while len(which):
        near = neighbours.nearest(which, wanted)
        areas, complete = np.zeros((len(which), FIRST_NEIGHBOUR + wanted)), np.zeros(len(which), dtype=bool)
        cut_cells(
            which, seeds_um, weights_um2, slab.low_um, slab.high_um, *lids, near,
            float(weights_um2.max()), volumes, centroids, areas, reaches, complete,
        )  # fmt: skip
        complete |= wanted == count - 1
        outer = np.broadcast_to(-1 - np.arange(FIRST_NEIGHBOUR), (len(which), FIRST_NEIGHBOUR))
        row, column = np.nonzero((areas > 0) & complete[:, None])
        found.append((which[row], np.concatenate([outer, near], axis=1)[row, column], areas[row, column]))
        which, wanted = which[~complete], min(3 * wanted, count - 1)
    cell, other, area = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(cell, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=count))]).astype(np.int64)
    return LaguerreCells(seeds_um, weights_um2, lids, volumes, centroids, reaches, first, other[order], area[order])


def _newton_direction(cells: LaguerreCells, missing: Floats) -> Floats:
    """Change of the weights that would mend the volumes, were they linear: a Laplacian of faces over distances."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import cg

    count = len(missing)
    cell = np.repeat(np.arange(count), np.diff(cells.face_first))
    inner = cells.face_cells >= 0
    cell, other, area = cell[inner], cells.face_cells[inner], cells.face_areas_um2[inner]
    stiffness = area / (4 * np.linalg.norm(cells.seeds_um[cell] - cells.seeds_um[other], axis=1))
    # Under lids of their own two cells do not share quite the same face: both halves make it symmetric.
    cell, other, stiffness = np.r_[cell, other], np.r_[other, cell], np.r_[stiffness, stiffness]
    diagonal = np.bincount(cell, stiffness, count) * (1 + 1e-9)  # lifts the constant, which changes nothing
    index = np.arange(count)
    matrix = coo_array((np.r_[-stiffness, diagonal], (np.r_[cell, index], np.r_[other, index]))).tocsr()
    scale = coo_array((1 / diagonal, (index, index))).tocsr()
    step, _ = cg(matrix, missing - missing.mean(), rtol=1e-4, maxiter=500, M=scale)
    return np.asarray(step - step.mean())


def fit_weights(
    slab: Slab, seeds_um: Floats, weights_um2: Floats, volumes_um3: Floats, *, tolerance: float
) -> LaguerreCells:
    """Weights that give the cells their shares of the slab, by a damped Newton iteration.

    Parameters
    ----------
    slab : Slab
    seeds_um : (N, 3) float64
    weights_um2 : (N,) float64
        Where to start; halved until every cell has some volume, as it has without weights.
    volumes_um3 : (N,) float64
        Wanted volumes; only their ratios count, the whole slab is shared out.
    tolerance : float
        Largest relative error of a volume.

    Returns
    -------
    LaguerreCells
    """
    share = volumes_um3 / volumes_um3.sum()
    neighbours = Neighbours(seeds_um)
    cells = cut_laguerre(slab, seeds_um, weights_um2, neighbours=neighbours)
    floor = 0.1 * float(share.min() * cells.volumes_um3.sum())
    for _ in range(_HALVINGS):
        if cells.volumes_um3.min() > floor:
            break
        cells = cut_laguerre(slab, seeds_um, cells.weights_um2 / 2, neighbours=neighbours)
    else:
        cells = cut_laguerre(slab, seeds_um, np.zeros(len(share)), neighbours=neighbours)
    floor = min(floor, 0.5 * float(cells.volumes_um3.min()))
    for _ in range(_NEWTON_STEPS):
        wanted = share * cells.volumes_um3.sum()
        missing = wanted - cells.volumes_um3
        if np.abs(missing / wanted).max() < tolerance:
            break
        direction = _newton_direction(cells, missing)
        step = 1.0
        while True:
            trial = cut_laguerre(slab, seeds_um, cells.weights_um2 + step * direction, neighbours=neighbours)
            left = np.linalg.norm(share * trial.volumes_um3.sum() - trial.volumes_um3)
            if trial.volumes_um3.min() > floor and left < (1 - 0.3 * step) * np.linalg.norm(missing):
                break
            step /= 2
            if step < 0.5**_HALVINGS:
                return cells
        cells = trial
    return cells


def pack_cells(slab: Slab, volumes_um3: Floats, seeds_um: Floats) -> LaguerreCells:
    """Compact Laguerre cells of given volumes.

    Parameters
    ----------
    slab : Slab
    volumes_um3 : (N,) float64
        Wanted volumes; the slab is shared out in their ratio.
    seeds_um : (N, 3) float64
        Where to start from.

    Returns
    -------
    LaguerreCells
    """
    weights = np.zeros(len(seeds_um))
    for _ in range(_ROUNDS):
        cells = fit_weights(slab, seeds_um, weights, volumes_um3, tolerance=_ROUGHLY)
        seeds_um = cells.centroids_um
        weights = cells.weights_um2
    return fit_weights(slab, seeds_um, weights, volumes_um3, tolerance=_FINELY)

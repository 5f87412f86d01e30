"""Laguerre cells: they share out the slab, meet their volumes and stay below the rough surface."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.packing import Slab, cut_laguerre, fit_weights, lower_lids, pack_cells
from voltome.twin.surface import RoughSurface, make_surface

FLAT = RoughSurface(9.0, np.zeros((1, 4)))
FLAT_SLAB = Slab(np.array([2.0, -1.0, 0.0]), np.array([12.0, 9.0, 11.0]), FLAT)


def make_seeds(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform([2, -1, 0], [9, 9, 11], (count, 3))


def test_two_seeds_are_parted_where_their_weights_say() -> None:
    seeds = np.array([[4.0, 2.0, 3.0], [4.0, 2.0, 7.0]])
    cells = cut_laguerre(FLAT_SLAB, seeds, np.array([0.0, 8.0]))
    # |x - 3|^2 = |x - 7|^2 - 8 at x = 4: the box is 7 high and 10 wide
    np.testing.assert_allclose(cells.volumes_um3, [7 * 10 * 4, 7 * 10 * 7])
    np.testing.assert_allclose(cells.centroids_um, [[5.5, 4, 2], [5.5, 4, 7.5]])


def test_cells_share_out_the_slab() -> None:
    seeds = make_seeds(90)
    cells = cut_laguerre(FLAT_SLAB, seeds, np.random.default_rng(1).uniform(0, 1.5, 90))
    assert cells.volumes_um3.sum() == pytest.approx(7 * 10 * 11, rel=1e-12)
    np.testing.assert_allclose(cells.volumes_um3 @ cells.centroids_um / (7 * 10 * 11), [5.5, 4, 5.5], rtol=1e-12)


def test_far_neighbours_of_great_weight_are_not_missed() -> None:
    seeds, weights = make_seeds(300), np.zeros(300)
    weights[7] = 12.0
    cells = cut_laguerre(FLAT_SLAB, seeds, weights)
    points = np.random.default_rng(2).uniform([2, -1, 0], [9, 9, 11], (40000, 3))
    power = ((points[:, None] - seeds) ** 2).sum(axis=2) - weights
    owned = np.bincount(power.argmin(axis=1), minlength=300) / 40000
    assert cells.volumes_um3[7] / (7 * 10 * 11) == pytest.approx(owned[7], abs=0.01)
    assert cells.volumes_um3.sum() == pytest.approx(7 * 10 * 11, rel=1e-12)
    assert ((cells.volumes_um3 > 0.5) == (owned * 770 > 0.5)).mean() > 0.97


def test_weights_give_each_cell_its_share() -> None:
    random = np.random.default_rng(4)
    wanted = np.exp(random.normal(0, 0.9, 60))
    cells = fit_weights(FLAT_SLAB, make_seeds(60), np.zeros(60), wanted, tolerance=1e-6)
    np.testing.assert_allclose(cells.volumes_um3, wanted / wanted.sum() * 770, rtol=1e-6)


def test_weights_that_leave_a_cell_empty_are_mended() -> None:
    weights = np.zeros(60)
    weights[11] = -50.0
    wanted = np.ones(60)
    cells = fit_weights(FLAT_SLAB, make_seeds(60), weights, wanted, tolerance=1e-3)
    np.testing.assert_allclose(cells.volumes_um3, 770 / 60, rtol=1e-3)


def test_packing_makes_cells_compact() -> None:
    wanted = np.exp(np.random.default_rng(4).normal(0, 0.9, 60))
    loose = fit_weights(FLAT_SLAB, make_seeds(60), np.zeros(60), wanted, tolerance=1e-3)
    packed = pack_cells(FLAT_SLAB, wanted, make_seeds(60))
    np.testing.assert_allclose(packed.volumes_um3, loose.volumes_um3, rtol=3e-3)
    area = [np.add.reduceat(cells.face_areas_um2, cells.face_first[:-1]).sum() for cells in (loose, packed)]
    assert area[1] < 0.93 * area[0]


def test_lids_stay_below_the_surface_and_near_it() -> None:
    surface = make_surface(9.0, 0.3, 6.0, np.array([[-1.0, 0.0], [9.0, 11.0]]), np.random.default_rng(3))
    slab = Slab(FLAT_SLAB.low_um, FLAT_SLAB.high_um, surface)
    seeds, weights = make_seeds(60), np.random.default_rng(1).uniform(0, 1, 60)
    normals, offsets = lower_lids(slab, seeds, weights)
    y, x = np.random.default_rng(6).uniform([-1, 0], [9, 11], (4000, 2)).T
    z = surface.height(y, x)
    points = np.column_stack([z, y, x])
    owner = (((points[:, None] - seeds) ** 2).sum(axis=2) - weights).argmin(axis=1)
    below = (offsets[owner] - (normals[owner] * points).sum(axis=1)) / normals[owner, 0]
    assert below.max() <= 0
    assert below.mean() > -0.15

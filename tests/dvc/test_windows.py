"""Windows at chosen places."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import twin
from voltome.dvc.windows import correlate_windows, place_windows, prepare_pair


@pytest.mark.parametrize(("shape", "half", "margin"), [((90, 71, 64), 8, 4), ((200, 60, 61), 12, 5)])
def test_windows_side_by_side_share_no_voxel_and_stay_inside(shape, half, margin):
    positions, grid_shape = place_windows(shape, half, margin_vox=margin)
    assert len(positions) == np.prod(grid_shape) > 0
    assert positions.min() >= margin + half
    assert (positions <= np.array(shape) - 1 - margin - half).all()
    for axis in range(3):
        assert (np.diff(np.unique(positions[:, axis])) >= 2 * half + 1).all()


def test_there_are_no_more_windows_than_wanted():
    positions, grid_shape = place_windows((300, 200, 200), 4, margin_vox=4, most=100)
    assert 50 <= len(positions) <= 100
    assert max(grid_shape) - min(grid_shape) <= 1


def test_windows_may_overlap_where_the_room_is_small():
    assert place_windows((50, 50, 50), 12, margin_vox=4)[1] == (1, 1, 1)
    assert place_windows((50, 50, 50), 12, margin_vox=4, apart=False)[1] == (3, 3, 3)


@pytest.mark.parametrize("apart", [True, False])
def test_no_window_where_none_fits(apart):
    positions, grid_shape = place_windows((30, 60, 60), 12, margin_vox=4, apart=apart)
    assert positions.shape == (0, 3) and min(grid_shape) == 0


def test_windows_are_worked_far_below_the_noise():
    motion = twin.make_rigid_motion(displacement_vox=(0.3, -0.2, 0.4))
    pair = twin.make_speckle_pair((48, 50, 52), motion, noise=0.05)
    positions, _ = place_windows(pair.shape, 8, margin_vox=4)
    results = []
    for shift in (0.0, 0.4):
        start = np.tile(np.eye(4), (len(positions), 1, 1))
        start[:, :3, 3] = np.array([0.3, -0.2, 0.4]) + shift
        results.append(correlate_windows(prepare_pair(pair.reference, pair.deformed), positions, start, 8))
    assert results[0].trusted.all()
    assert np.abs(results[0].displacement_vox - results[1].displacement_vox).max() < 5e-5
    assert results[0].displacement_vox.std(axis=0).min() > 5e-4

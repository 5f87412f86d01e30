"""Regions that follow matter from scan to scan."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.electrode import Frame, fit_motion
from voltome.study.silicon_region import Matter, mark_inside

SHAPE = (60, 40, 44)
FRAME = Frame(np.array([10.0, 0.0, 0.0]), np.array([19.5, 21.5]), np.array([20.0, 22.0]), 30.0)
LOW, HIGH = np.array([0.21, -0.51, -0.51]), np.array([0.81, 0.51, 0.51])
WHOLE = tuple(slice(0, n) for n in SHAPE)


def stretch(by: float) -> Matter:
    """Matter that was stretched along z from the collector's face at z = 10."""
    rng = np.random.default_rng(1)
    places = np.column_stack([rng.uniform(0, 1.2, 400), rng.uniform(-1, 1, (400, 2))])
    displacement = np.zeros((400, 3))
    displacement[:, 0] = by * places[:, 0] * FRAME.thickness_vox
    return Matter(FRAME, LOW, HIGH, fit_motion(places, displacement, FRAME).without_response())


def test_region_of_the_first_scan_is_its_box() -> None:
    inside = Matter(FRAME, LOW, HIGH).find_inside(WHOLE)
    z, y, x = (np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    assert (z[0], z[-1]) == (17, 34)
    assert (y[0], y[-1]) == (10, 29)
    assert (x[0], x[-1]) == (11, 32)
    assert inside.sum() == 18 * 20 * 22


@pytest.mark.parametrize("by", [0.1, 0.45])
def test_region_grows_with_the_matter(by: float) -> None:
    matter = stretch(by)
    positions = np.array([[16.0, 20, 20], [30.0, 15, 25]])
    moved = positions.copy()
    moved[:, 0] += by * (positions[:, 0] - 10)
    assert np.allclose(matter.trace(moved), FRAME.locate(positions), atol=2e-3)
    voxels = matter.find_inside(WHOLE).sum()
    assert voxels == pytest.approx((1 + by) * 18 * 20 * 22, rel=0.06)


def test_collectors_own_motion_is_followed() -> None:
    turn = np.array([[1, 0, 0], [0, np.cos(0.02), -np.sin(0.02)], [0, np.sin(0.02), np.cos(0.02)]])
    centre, shift = np.array([10.0, 19.5, 21.5]), np.array([2.0, -1.0, 0.5])
    matter = Matter(FRAME, LOW, HIGH, None, turn, centre, shift)
    positions = np.array([[20.0, 12, 30], [33.0, 25, 14]])
    moved = (positions - centre) @ turn.T + centre + shift
    assert np.allclose(matter.trace(moved), FRAME.locate(positions), atol=1e-9)


def test_blocks_give_what_the_whole_gives() -> None:
    matter = stretch(0.3)
    whole = matter.find_inside(WHOLE)
    parts = [matter.find_inside((slice(z, min(z + 17, 60)), *WHOLE[1:])) for z in range(0, 60, 17)]
    assert (np.concatenate(parts) != whole).mean() < 2e-3  # points of the grid lie elsewhere


def test_thin_blocks_are_marked() -> None:
    inside = mark_inside(FRAME.locate, LOW, HIGH, (slice(20, 21), slice(0, 40), slice(0, 44)))
    assert inside.shape == (1, 40, 44) and inside.sum() == 20 * 22

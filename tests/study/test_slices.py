"""Slices for the eye stand where the first scan's do."""

from __future__ import annotations

import numpy as np

from voltome.alignment import Alignment
from voltome.study.slices import sample_slice

SHAPE = (12, 9, 10)
RAMP = np.add.outer(np.add.outer(100.0 * np.arange(12), 10.0 * np.arange(9)), np.arange(10.0)).astype(np.float32)


def shift(z: float, y: float, x: float) -> Alignment:
    """The scan lies so many voxels beside the first one."""
    nothing = np.zeros(3)
    moved = np.array([z, y, x])
    return Alignment(np.array([2.0, 4.0, 4.5]), moved, nothing, 1.0, np.zeros((7, 7)), 0.9, 9, nothing)


def test_a_scan_that_has_not_moved_shows_its_own_slice() -> None:
    np.testing.assert_array_equal(sample_slice(RAMP, None, factor=1, y_vox=4), RAMP[:, 4])


def test_a_scan_that_has_drifted_is_taken_back() -> None:
    drawn = sample_slice(RAMP, shift(2, -1, 3), factor=1, y_vox=4)
    np.testing.assert_allclose(drawn[:10, :7], RAMP[2:, 3, 3:], rtol=1e-5)
    assert np.isnan(drawn[10:]).all()
    assert np.isnan(drawn[:, 7:]).all()


def test_a_coarse_level_moves_by_its_own_voxels() -> None:
    drawn = sample_slice(RAMP, shift(4, 0, -2), factor=2, y_vox=8)
    np.testing.assert_allclose(drawn[:10, 1:], RAMP[2:, 4, :-1] - 2.5, rtol=1e-5)  # y = 8 is 3.75 of the coarse voxels


def test_codes_are_taken_and_never_mixed() -> None:
    codes = np.where(RAMP > 600, 4, 1).astype(np.uint8)
    drawn = sample_slice(codes, shift(0.4, 0, 0.3), factor=1, y_vox=4, nearest=True)
    assert set(np.unique(drawn[np.isfinite(drawn)])) == {1.0, 4.0}
    assert set(np.unique(sample_slice(codes, shift(0.4, 0, 0.3), factor=1, y_vox=4))) > {1.0, 4.0}

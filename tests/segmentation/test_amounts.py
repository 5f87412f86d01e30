"""Amounts of a phase."""

import math

import numpy as np
import pytest

from voltome.segmentation.amounts import find_relative_sd, tally_phase


def test_amounts_of_probabilities_are_their_sums() -> None:
    rng = np.random.default_rng(2)
    p = rng.random(5000)
    phases = np.where(p > 0.5, 4, 2).astype(np.uint8)
    sure = np.rint(255 * np.maximum(p, 1 - p)).astype(np.uint8)
    likely, expected, loose, strict, voxels = tally_phase(phases, sure, np.ones(5000, bool), 4)
    assert (likely, voxels) == ((p > 0.5).sum(), 5000)
    assert expected == pytest.approx(p.sum(), rel=1e-3)
    assert loose == pytest.approx((p > 0.3).sum(), abs=30)
    assert strict == pytest.approx((p > 0.7).sum(), abs=30)


def test_only_the_region_and_known_voxels_count() -> None:
    phases, sure = np.array([4, 4, 0, 2], np.uint8), np.full(4, 255, np.uint8)
    assert tally_phase(phases, sure, np.array([True, False, True, True]), 4).tolist() == [1, 1, 1, 1, 2]


def test_error_between_scans_is_that_of_two() -> None:
    calibration = {"volume": {"silicon": {"log_ratio_sd": 0.02}}}
    assert find_relative_sd(calibration, "silicon") == pytest.approx(0.02 * math.sqrt(2))
    assert find_relative_sd({}, "silicon") > 0.05


def test_error_is_that_of_the_nearest_voxel_size() -> None:
    sizes = [{"voxel_size_m": 5e-8, "log_ratio_sd": 0.02}, {"voxel_size_m": 4e-7, "log_ratio_sd": 0.05}]
    calibration = {"volume": {"silicon": {"log_ratio_sd": 0.04, "by_voxel_size": sizes}}}
    found = [find_relative_sd(calibration, "silicon", size) for size in (6e-8, 3e-7, None)]
    assert found == pytest.approx([0.02 * math.sqrt(2), 0.05 * math.sqrt(2), 0.04 * math.sqrt(2)])

"""Shifts over a scan."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.radiographs import smooth_shifts

COUNT = 400
ANGLES = np.linspace(0, np.pi, COUNT, endpoint=False)
DRIFT = np.stack([1.5 * np.sin(1.3 * ANGLES), 0.8 * ANGLES - 0.2 * ANGLES**2], axis=1)


def find_rms(values):
    return float(np.sqrt(np.mean(values**2)))


def make_noise(size, seed):
    return size * np.random.default_rng(seed).standard_normal((COUNT, 2))


def test_without_jitter_noise_is_smoothed_away():
    measured = DRIFT + make_noise(0.2, 1)
    assert find_rms(smooth_shifts(ANGLES, measured, np.full((COUNT, 2), 0.2)) - DRIFT) < 0.25 * 0.2


def test_without_noise_jitter_is_kept():
    measured = DRIFT + make_noise(0.5, 2)
    assert find_rms(smooth_shifts(ANGLES, measured, np.full((COUNT, 2), 0.005)) - measured) < 0.005


def test_jitter_and_noise_are_told_apart():
    jitter, noise = make_noise(0.1, 3), make_noise(0.1, 4)
    out = smooth_shifts(ANGLES, DRIFT + jitter + noise, np.full((COUNT, 2), 0.1))
    # neither the curve alone (0.1) nor the shifts themselves (0.1) are as near: 0.1 / sqrt(2) is the best
    assert find_rms(out - DRIFT - jitter) < 0.08


def test_a_frame_that_is_noisier_than_others_is_drawn_to_the_curve():
    sd = np.full((COUNT, 2), 0.01)
    sd[50] = 1.0
    measured = DRIFT + make_noise(0.1, 5)
    measured[50] = DRIFT[50] + 0.4
    out = smooth_shifts(ANGLES, measured, sd)
    assert np.abs(out[50] - DRIFT[50]).max() < 0.1 and np.abs(out[51] - measured[51]).max() < 0.01


def test_failures_and_outliers_take_the_value_of_the_curve():
    measured, sd = DRIFT + make_noise(0.03, 6), np.full((COUNT, 2), 0.03)
    measured[100:110], sd[100:110] = np.nan, np.inf
    measured[[0, 200, 399]] += 40.0
    out = smooth_shifts(ANGLES, measured, sd)
    assert np.isfinite(out).all() and np.abs(out - DRIFT).max() < 0.08


def test_a_few_planes_keep_their_shifts():
    shifts = np.array([[0.0, 0.0], [3.0, -2.0], [np.nan, np.nan], [5.0, 1.0]])
    sd = np.where(np.isfinite(shifts), 0.1, np.inf)
    out = smooth_shifts(np.zeros(4), shifts, sd)
    assert np.array_equal(out[[0, 1, 3]], shifts[[0, 1, 3]]) and np.allclose(out[2], [4.0, -0.5])


def test_angles_that_repeat_or_jump_do_not_break_the_curve():
    angles = np.concatenate([ANGLES[:200], ANGLES[199] * np.ones(3), ANGLES[250:]])
    line = np.linspace(0, 1, angles.size)[:, None] * [1.0, -1.0]
    out = smooth_shifts(angles, line, np.full(line.shape, 0.01))
    assert np.abs(out - line).max() < 0.05


def test_bad_arguments_are_refused():
    shifts = np.zeros((COUNT, 2))
    with pytest.raises(InputError, match="as many as angles"):
        smooth_shifts(ANGLES[1:], shifts, shifts)
    with pytest.raises(InputError, match="window must be >= 3"):
        smooth_shifts(ANGLES, shifts, shifts, window=2)
    with pytest.raises(InputError, match="at least one shift must be finite"):
        smooth_shifts(ANGLES, shifts * np.nan, shifts)

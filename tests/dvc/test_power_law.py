"""Power law of a standard deviation, and the window it recommends."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.dvc.power_law import PowerLaw, fit_power_law, recommend_window

HALF = np.array([8, 12, 16, 24, 32])


def test_the_errors_of_the_law_are_its_scatter():
    rng = np.random.default_rng(1)
    relative = np.array([0.02, 0.03, 0.05, 0.1, 0.15])
    laws = [
        fit_power_law(HALF, sd, sd * relative)
        for sd in (0.4 * HALF**-1.5 * np.exp(relative * rng.standard_normal(5)) for _ in range(400))
    ]
    exponents = np.array([law.exponent for law in laws])
    assert exponents.mean() == pytest.approx(-1.5, abs=0.01)
    assert 0.9 < exponents.std() / np.median([law.exponent_sd for law in laws]) < 1.25
    assert 0.9 < np.std([law.factor for law in laws]) / np.median([law.factor_sd for law in laws]) < 1.25


def test_points_off_the_law_widen_its_errors():
    sd = 0.4 * HALF**-1.5 * np.array([1.0, 1.4, 0.7, 1.3, 0.9])
    wide, narrow = (fit_power_law(HALF, values, 0.01 * values) for values in (sd, 0.4 * HALF**-1.5))
    assert wide.exponent_sd > 10 * narrow.exponent_sd


def test_one_window_or_no_noise_has_no_law():
    assert fit_power_law(HALF[:1], np.ones(1), np.ones(1)) is None
    assert fit_power_law(HALF, np.zeros(5), np.zeros(5)) is None
    assert recommend_window(None, 1e-3) is None


def law(factor=0.4, exponent=-2.5):
    return PowerLaw(factor, exponent, np.zeros((2, 2)), (8.0, 32.0))


def test_the_recommended_window_is_the_smallest_that_is_good_enough():
    found = recommend_window(law(), 1e-3)
    assert law().evaluate(found.half_window_vox) <= 1e-3 < law().evaluate(found.half_window_vox - 1)
    assert found.sd == law().evaluate(found.half_window_vox)
    assert not found.extrapolated


@pytest.mark.parametrize(("wanted", "half"), [(1e-5, 70), (0.5, 4)])
def test_a_window_outside_the_measured_ones_is_said(wanted, half):
    found = recommend_window(law(), wanted)
    assert found.half_window_vox == half
    assert found.extrapolated


def test_no_window_where_larger_ones_are_not_better():
    assert recommend_window(law(exponent=0.2), 1e-3) is None

"""Levels of slices along the axis, from phantoms to which a known parabola was added."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import legendre

from voltome.quality import find_slice_levels

from .phantoms import CONTRAST, draw_electrode, draw_noise

PLACES = np.linspace(-1, 1, 88)


def add_levels(volume, coefficients):
    added = legendre.legval(PLACES, np.r_[0.0, coefficients])
    return (volume + added[:, None, None]).astype(np.float32)


@pytest.mark.parametrize("added", [(0.4, 0.0), (-0.3, 0.25), (0.0, -0.4)])
def test_the_parabola_that_was_added_is_found(added):
    coefficients = np.array(added) * CONTRAST
    volume = add_levels(draw_electrode() + draw_noise((88, 96, 104), 0.1 * CONTRAST), coefficients)
    assert np.abs(find_slice_levels(volume, PLACES) - coefficients).max() < 0.06 * CONTRAST


def test_level_slices_are_left_as_they_are():
    volume = draw_electrode(seed=3) + draw_noise((88, 96, 104), 0.1 * CONTRAST)
    assert np.abs(find_slice_levels(volume, PLACES)).max() < 0.05 * CONTRAST


def test_more_silicon_at_one_end_is_no_slope():
    volume = draw_electrode(seed=5)
    emptied = volume.copy()
    fewer = np.random.default_rng(1).random(volume.shape[1:]) < 0.5
    low = volume.min()
    for z in range(60, 88):
        emptied[z][fewer] = low
    drift = emptied[60:].mean() - emptied[:60].mean()
    assert drift < -0.15 * CONTRAST  # what a mean of slices would have levelled away
    assert np.abs(find_slice_levels(emptied, PLACES)).max() < 0.08 * CONTRAST


@pytest.mark.parametrize("slices", [np.zeros((20, 30, 30), np.float32), draw_electrode()[:5]])
def test_without_enough_to_see_nothing_is_subtracted(slices):
    assert not find_slice_levels(slices, np.linspace(-1, 1, len(slices))).any()

"""Stripes in a map of angle and radius."""

from __future__ import annotations

import numpy as np

from voltome.reconstruction.stripes import find_stripes

SECTORS, RADII = 72, 120


def find(sectors: np.ndarray, *, arc: int = 21, independent: float = SECTORS) -> np.ndarray:
    counts = np.full(sectors.shape[1], float(independent))
    return find_stripes(sectors.astype(np.float32), width_px=9, independent=counts, arc=arc)


def make_noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (SECTORS, RADII))


def test_a_whole_stripe_is_found_with_its_height():
    sectors = make_noise()
    sectors[:, 50] += 1.0
    stripes = find(sectors)
    assert np.allclose(stripes[:, 50], 1.0, atol=0.1)
    assert np.abs(np.delete(stripes, 50, axis=1)).max() < 0.1


def test_an_arc_is_found_across_the_first_sector():
    sectors = make_noise()
    sectors[:15, 50] += 1.0
    sectors[-15:, 50] += 1.0
    stripes = find(sectors)
    assert stripes[:8, 50].min() > 0.8 and stripes[-8:, 50].min() > 0.8
    assert np.abs(stripes[25:45, 50]).max() < 0.15
    assert np.abs(find(sectors, arc=SECTORS)[:, 50]).max() < 0.2


def test_few_independent_sectors_say_nothing():
    sectors = make_noise()
    sectors[:, 50] += 0.08
    assert np.all(find(sectors, independent=1.0) == 0)
    assert find(sectors)[:, 50].mean() > 0.03


def test_sectors_that_hold_nothing_are_passed_over():
    sectors = make_noise() + 2.0
    sectors[:, 50] += 1.0
    sectors[5:20, 40:] = np.nan
    sectors[:, :3] = np.nan
    sectors[:, 110:] = np.nan
    stripes = find(sectors)
    assert np.isfinite(stripes).all()
    assert np.allclose(stripes[:, 50], 1.0, atol=0.15)
    assert np.abs(stripes[:, 105:]).max() < 0.15

"""Histograms of strain and their maxima."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.electrode import count_strains, find_maximum
from voltome.electrode.histograms import EDGES


def test_every_gauge_is_counted_once_and_the_outermost_bins_hold_what_lies_beyond():
    strain = np.array([-5.0, -1.0, 0.001, 0.002, 0.41, 3.0, 17.0])
    counts = count_strains(strain)
    assert counts.shape == (len(EDGES) - 1,) and counts.sum() == len(strain)
    assert counts[0] == 2 and counts[-1] == 2
    assert counts[np.searchsorted(EDGES, 0.41) - 1] == 1 and counts[np.searchsorted(EDGES, 0.001) - 1] == 2


def test_no_gauges_make_an_empty_histogram():
    assert not count_strains(np.empty(0)).any()


def test_the_maximum_of_a_normal_distribution_is_its_mean_within_the_stated_sd():
    z = []
    for seed in range(12):
        maximum, sd = find_maximum(np.random.default_rng(seed).normal(0.4, 0.1, 1500))
        z.append((maximum - 0.4) / sd)
        assert 0.002 < sd < 0.05
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 1.7


def test_the_maximum_of_a_skewed_distribution_is_its_mode_and_not_its_mean():
    strain = np.random.default_rng(3).gamma(4.0, 0.1, 4000)
    maximum, _ = find_maximum(strain)
    assert maximum == pytest.approx(0.3, abs=0.04)
    assert strain.mean() - maximum > 0.05


def test_a_few_wild_gauges_do_not_move_the_maximum():
    strain = np.random.default_rng(4).normal(0.4, 0.1, 2000)
    wild = np.concatenate([strain, np.full(15, 1e3)])
    assert find_maximum(wild)[0] == pytest.approx(find_maximum(strain)[0], abs=0.02)


def test_gauges_that_share_their_noise_are_less_sure():
    strain = np.random.default_rng(5).normal(0.4, 0.1, 2000)
    (one, alone), (other, shared) = find_maximum(strain), find_maximum(strain, shared=8.0)
    assert one == other and shared > 1.3 * alone


def test_the_same_strains_give_the_same_sd():
    strain = np.random.default_rng(6).normal(0.4, 0.1, 300)
    assert find_maximum(strain) == find_maximum(strain.copy())


@pytest.mark.parametrize("count", [0, 1, 19])
def test_too_few_gauges_have_no_maximum(count):
    maximum, sd = find_maximum(np.linspace(0, 1, count))
    assert math.isnan(maximum) and math.isnan(sd)


def test_gauges_that_all_agree_are_the_maximum():
    assert find_maximum(np.full(40, 0.25)) == (0.25, 0.0)

"""Energies, lengths and angles that cannot be meant."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io.plausibility import check_angles, check_distances, check_energy, check_pixel, count_repeated, find_gaps


@pytest.mark.parametrize(
    ("energy", "advice"),
    [(29600.0, "eV, give 29.6"), (2.96e-5, "GeV, give 29.6"), (0.0296, "MeV, give 29.6"), (0.0, "give keV")],
)
def test_the_likely_unit_of_an_energy_is_named(energy, advice):
    with pytest.raises(InputError, match=f"energy must be from 1 to 500 keV .*{advice}$"):
        check_energy(energy, "energy")


@pytest.mark.parametrize(
    ("pixel", "advice"),
    [(0.65, "um, give 6.5e-07"), (50.0, "um, give 5e-05"), (650.0, "nm, give 6.5e-07"), (math.nan, "give m")],
)
def test_the_likely_unit_of_a_pixel_is_named(pixel, advice):
    with pytest.raises(InputError, match=f"pixel must be .*{advice}$"):
        check_pixel(pixel, "pixel")


def test_the_likely_unit_of_a_distance_is_named():
    with pytest.raises(InputError, match=r"sample to detector of scan must be .*got 50\): it looks like mm, give 0.05"):
        check_distances(math.inf, 50.0, "scan")
    with pytest.raises(InputError, match=r"source to sample of scan must be .*got 47000\): it looks like mm, give 47"):
        check_distances(47000.0, 0.05, "scan")


@pytest.mark.parametrize("energy", [1.0, 29.6, 500.0])
def test_what_is_plausible_passes(energy):
    check_energy(energy, "energy")
    check_pixel(energy * 1e-7, "pixel")
    check_distances(math.inf, energy / 50, "scan")


def test_one_lost_angle_in_a_hundred_passes_and_two_do_not():
    angles = np.linspace(0, np.pi, 100)
    angles[7] = np.nan
    check_angles(angles, "scan")
    angles[9] = np.inf
    with pytest.raises(InputError, match="scan lacks 2 of 100"):
        check_angles(angles, "scan")


def test_one_repeated_angle_in_a_hundred_passes_and_two_do_not():
    angles = np.linspace(0, np.pi, 100)
    angles[7] = angles[50] + 1e-9
    assert count_repeated(angles) == 1
    check_angles(angles, "scan")
    angles[9] = angles[20]
    with pytest.raises(InputError, match="scan has 2 of 100"):
        check_angles(angles, "scan")
    with pytest.raises(InputError, match="scan has 99 of 100"):
        check_angles(np.zeros(100), "scan")


def test_a_full_turn_with_its_closing_frame_repeats_nothing():
    assert count_repeated(np.linspace(0, 2 * np.pi, 361)) == 0


def test_an_encoder_that_jitters_repeats_nothing():
    step = np.radians(0.06)
    angles = step * (np.arange(3001) + np.random.default_rng(2).uniform(-0.1, 0.1, 3001))
    check_angles(angles, "scan")
    assert (count_repeated(angles), find_gaps(angles)) == (0, [])


@pytest.mark.parametrize("turn", [np.pi, 2 * np.pi])
def test_radians_taken_for_degrees_are_refused(turn):
    with pytest.raises(InputError, match="they look like radians"):
        check_angles(np.radians(np.linspace(0, turn, 400)), "scan")


def test_gaps_are_found():
    angles = np.delete(np.linspace(0, np.pi, 181), [40, 41, 90])
    np.testing.assert_allclose(np.degrees(find_gaps(angles[::-1])), [(39, 42), (89, 91)])

"""Propagation against what is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.optics import find_wavelength
from voltome.phase import PlaneGrid, predict_intensities, propagate

from .objects import make_bumps

BEAMS = {"X-rays of 29.6 keV": (find_wavelength(29.6), 5e-8), "green light": (532e-9, 1.6e-7)}


@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize("share", [-0.5, 0.7, 1.2])
def test_gaussian_beam_spreads_as_its_closed_form(beam, share):
    wavelength_m, pixel_m = BEAMS[beam]
    shape, waist_m = (216, 180), 12 * pixel_m
    rayleigh_m = math.pi * waist_m**2 / wavelength_m
    z, u = ((np.arange(n) - (n - 1) / 2) * pixel_m for n in shape)
    squared = z[:, None] ** 2 + u**2
    spread = 1 + 1j * share
    truth = np.exp(-squared / (waist_m**2 * spread)) / spread
    grid = PlaneGrid(shape, pixel_m, wavelength_m)
    wave = np.exp(-squared / waist_m**2).astype(np.complex64)
    assert np.abs(propagate(wave, grid, share * rayleigh_m) - truth).max() < 1e-3
    seen = predict_intensities(wave, grid, [share * rayleigh_m])[0]
    assert np.abs(seen - np.abs(truth) ** 2).max() < 1e-3


def make_wave(shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.exp(rng.normal(0, 0.3, shape) + 1j * rng.normal(0, 1, shape)).astype(np.complex64)


def test_light_is_kept_and_the_way_back_gives_the_wave():
    grid, wave = PlaneGrid((60, 72), 5e-8, 4.2e-11), make_wave((60, 72))
    there = propagate(wave, grid, 0.03)
    assert np.sum(np.abs(there) ** 2) == pytest.approx(np.sum(np.abs(wave) ** 2), rel=1e-5)
    assert np.abs(there - wave).max() > 0.1
    assert np.abs(propagate(there, grid, -0.03) - wave).max() < 1e-4


def test_a_tilted_wave_walks_sideways_with_distance():
    grid, cycles = PlaneGrid((64, 80), 1e-7, 5e-7), 4
    wave = np.exp(1j * make_bumps((64, 80))).astype(np.complex64)
    tilted = wave * np.exp(2j * np.pi * cycles * np.arange(80) / 80).astype(np.complex64)
    distance = 5 * 80 * 1e-7**2 / (cycles * 5e-7)  # five pixels
    straight, walked = (predict_intensities(one, grid, [distance])[0] for one in (wave, tilted))
    assert np.ptp(straight) > 0.2
    assert np.abs(np.roll(straight, 5, axis=1) - walked).max() < 1e-3


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="pixel_m must be > 0"):
        PlaneGrid((8, 8), 0.0, 1e-10)
    with pytest.raises(InputError, match="wavelength_m must be > 0"):
        PlaneGrid((8, 8), 1e-7, float("nan"))
    with pytest.raises(InputError, match="the grid's shape"):
        propagate(make_wave((8, 9)), PlaneGrid((8, 8), 1e-7, 1e-10), 0.1)

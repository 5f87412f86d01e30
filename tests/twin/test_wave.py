"""Waves and their propagation, against the Gaussian beam."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.wave import make_exit_wave, propagate_wave

PIXEL_M, WAVELENGTH_M = 1e-7, 4.2e-11
SHAPE = (120, 144)


def gaussian_beam(waist_m: float, distance_m: float) -> np.ndarray:
    """Paraxial beam with a waist at distance 0, of amplitude 1; exp(-i pi lambda z f^2) propagates it."""
    y, x = ((np.arange(n) - n // 2) * PIXEL_M for n in SHAPE)
    turned = 1 + 1j * WAVELENGTH_M * distance_m / (np.pi * waist_m**2)
    return np.exp(-(y[:, None] ** 2 + x**2) / (waist_m**2 * turned)) / turned


@pytest.mark.parametrize("distance_m", [0.01, 0.05, 0.1, -0.05])
def test_a_gaussian_beam_widens_as_theory_says(distance_m: float) -> None:
    waist = 1e-6
    wave = propagate_wave(
        gaussian_beam(waist, 0).astype(np.complex64),
        pixel_m=PIXEL_M,
        wavelength_m=WAVELENGTH_M,
        distance_m=distance_m,
    )
    expected = gaussian_beam(waist, distance_m)
    assert np.abs(wave - expected).max() < 1e-3 * np.abs(expected).max()


def test_light_is_neither_lost_nor_made() -> None:
    random = np.random.default_rng(5)
    wave = make_exit_wave(*random.uniform(0, 2, (2, *SHAPE)).astype(np.float32))
    after = propagate_wave(wave, pixel_m=PIXEL_M, wavelength_m=WAVELENGTH_M, distance_m=0.07)
    assert np.sum(np.abs(after) ** 2) == pytest.approx(np.sum(np.abs(wave) ** 2), rel=1e-5)


def test_no_distance_changes_nothing_and_two_ways_add_up() -> None:
    random = np.random.default_rng(6)
    wave = make_exit_wave(*random.uniform(0, 2, (2, *SHAPE)).astype(np.float32))

    def go(wave: np.ndarray, distance_m: float) -> np.ndarray:
        return propagate_wave(wave, pixel_m=PIXEL_M, wavelength_m=WAVELENGTH_M, distance_m=distance_m)

    np.testing.assert_allclose(go(wave, 0.0), wave, atol=1e-5)
    np.testing.assert_allclose(go(go(wave, 0.03), 0.04), go(wave, 0.07), atol=1e-5)


def test_behind_matter_the_amplitude_is_lower_and_the_phase_negative() -> None:
    wave = make_exit_wave(np.array([0.3], np.float32), np.array([0.2], np.float32))
    assert abs(wave[0]) == pytest.approx(np.exp(-0.2), rel=1e-6)
    assert np.angle(wave[0]) == pytest.approx(-0.3, rel=1e-6)

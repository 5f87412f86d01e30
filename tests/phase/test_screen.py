"""An opaque edge: its Fresnel pattern is the analytic one, and it is found from the rows' means."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import fresnel

from voltome.phase import PlaneGrid, Screen, find_screen
from voltome.phase.screen import shade

WAVELENGTH_M, PIXEL_M = 4.2e-11, 1e-7
DISTANCES_M = (0.05, 0.12, 0.2)
ROWS = 300
GRID = PlaneGrid((ROWS, 64), PIXEL_M, WAVELENGTH_M)


def edge_pattern(row: float, distance_m: float, *, at_top: bool) -> NDArray[np.float64]:
    """Intensity behind a sharp half plane: Born and Wolf, Principles of Optics, section 8.7."""
    away = (np.arange(ROWS) - row) * (1 if at_top else -1) * PIXEL_M
    sine, cosine = fresnel(away * np.sqrt(2 / (WAVELENGTH_M * distance_m)))
    return 0.5 * ((0.5 + cosine) ** 2 + (0.5 + sine) ** 2)


@pytest.mark.parametrize("at_top", [True, False])
@pytest.mark.parametrize("distance_m", [0.12, 0.2, 0.4])
def test_the_shade_of_a_sharp_edge_is_fresnels(at_top: bool, distance_m: float) -> None:
    row = 100.25 if at_top else 199.75
    seen = shade(Screen(row, 0.3, at_top), ROWS, GRID, [distance_m])[0]
    finest = WAVELENGTH_M * distance_m / (6 * PIXEL_M**2)  # further out a fringe is narrower than three pixels
    near = np.abs(np.arange(ROWS) - row) < finest
    assert near.sum() > 60
    np.testing.assert_allclose(seen[near], edge_pattern(row, distance_m, at_top=at_top)[near], atol=0.01)
    assert seen.max() > 1.3  # the first fringe


@pytest.mark.parametrize("at_top", [True, False])
@pytest.mark.parametrize("width_px", [0.8, 2.5])
def test_an_edge_is_found_from_noisy_rows(at_top: bool, width_px: float) -> None:
    row = 42.6 if at_top else ROWS - 42.6
    profiles = 1.1 * shade(Screen(row, width_px, at_top), ROWS, GRID, DISTANCES_M)
    profiles += np.random.default_rng(4).normal(0, 0.01, profiles.shape)
    found = find_screen(profiles, GRID, DISTANCES_M)
    assert found is not None and found.at_top == at_top
    assert found.edge_row == pytest.approx(row, abs=0.1)
    assert found.width_px == pytest.approx(width_px, abs=0.4)


def test_rows_that_are_lit_hold_no_edge() -> None:
    random = np.random.default_rng(2)
    assert find_screen(1 + 0.2 * random.standard_normal((3, ROWS)), GRID, DISTANCES_M) is None
    middle = np.ones((3, ROWS))
    middle[:, 140:160] = 0.01  # a wire, which no edge is
    assert find_screen(middle, GRID, DISTANCES_M) is None


def test_an_edge_that_ends_within_two_rows_is_none() -> None:
    profiles = np.ones((3, ROWS))
    profiles[:, :2] = 0.01
    assert find_screen(profiles, GRID, DISTANCES_M) is None


def test_amplitude_is_one_half_at_the_edge_and_never_nothing() -> None:
    for at_top in (True, False):
        screen = Screen(10.0, 1.0, at_top)
        values = screen.amplitude(np.array([0.0, 10.0, 20.0]))
        np.testing.assert_allclose(values, [0.01, 0.5, 1.0] if at_top else [1.0, 0.5, 0.01], atol=1e-9)


def test_dark_rows_are_those_beyond_the_edge_and_stay_in_the_frame() -> None:
    assert Screen(10.4, 1.0, at_top=True).dark_rows(50) == slice(0, 10)
    assert Screen(10.4, 1.0, at_top=False).dark_rows(50) == slice(10, 50)
    assert Screen(-3.0, 1.0, at_top=True).dark_rows(50) == slice(0, 0)
    assert Screen(60.0, 1.0, at_top=False).dark_rows(50) == slice(50, 50)

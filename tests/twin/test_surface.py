"""The rough surface: its mean, sd and correlation length over the field are those asked for."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.surface import RoughSurface, make_surface

FIELD = np.array([[-0.2, -0.2], [24.0, 31.0]])


def make_test_surface(seed: int = 0, correlation_um: float = 8.0) -> RoughSurface:
    return make_surface(23.5, 0.7, correlation_um, FIELD, np.random.default_rng(seed))


def sample(surface: RoughSurface) -> np.ndarray:
    y, x = (np.linspace(a, b, 602)[:-1] + (b - a) / 1202 for a, b in FIELD.T)
    return surface.height(y[:, None], x)


@pytest.mark.parametrize("seed", range(4))
def test_mean_and_sd_over_the_field_are_exact(seed: int) -> None:
    heights = sample(make_test_surface(seed))
    assert heights.mean() == pytest.approx(23.5, abs=1e-3)
    assert heights.std() == pytest.approx(0.7, rel=1e-3)


def test_mean_over_a_rectangle_is_the_mean_of_its_points() -> None:
    surface = make_test_surface()
    y, x = (np.linspace(a, b, 801)[:-1] + (b - a) / 1600 for a, b in ((3.0, 9.0), (-4.0, 11.0)))
    expected = surface.height(y[:, None], x).mean()
    assert surface.mean(np.array([3.0, -4.0]), np.array([9.0, 11.0])) == pytest.approx(expected, abs=1e-5)


def test_slope_is_the_derivative_of_the_height() -> None:
    surface = make_test_surface()
    y, x = np.random.default_rng(1).uniform(0, 25, (2, 50))
    numeric = [
        (surface.height(y + 1e-5, x) - surface.height(y - 1e-5, x)) / 2e-5,
        (surface.height(y, x + 1e-5) - surface.height(y, x - 1e-5)) / 2e-5,
    ]
    np.testing.assert_allclose(surface.slope(y, x), np.stack(numeric, axis=-1), atol=1e-8)


def test_shorter_correlation_makes_steeper_slopes() -> None:
    y, x = np.random.default_rng(1).uniform(0, 25, (2, 2000))
    steepness = [np.std(make_test_surface(2, length).slope(y, x)) for length in (12.0, 6.0, 3.0)]
    assert steepness[0] < steepness[1] < steepness[2]


def test_no_roughness_is_a_plane() -> None:
    surface = make_surface(20.0, 0.0, 8.0, FIELD, np.random.default_rng(0))
    np.testing.assert_allclose(sample(surface), 20.0)

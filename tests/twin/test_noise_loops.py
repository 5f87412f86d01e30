"""Random numbers by place: moments, independence of neighbours, smoothness."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from voltome.twin.noise_loops import VALUE_NOISE_SD, hash_gaussian, hash_uniform, mix_seed, value_noise

SEED = mix_seed(7, 1)
SHAPE = (18, 40, 44)


def draw(function, seed: int = SEED, shape=SHAPE, corner=(-9, -20, 5)) -> NDArray[np.float64]:
    """Values of a lattice function over a block."""
    axes = [range(a, a + n) for a, n in zip(corner, shape, strict=True)]
    return np.array([[[function(seed, z, y, x) for x in axes[2]] for y in axes[1]] for z in axes[0]])


@pytest.mark.parametrize(
    ("function", "mean", "sd", "kurtosis"), [(hash_uniform, 0.5, 12**-0.5, 1.8), (hash_gaussian, 0.0, 1.0, 3.0)]
)
def test_deviates_have_their_moments_and_neighbours_are_independent(function, mean, sd, kurtosis):
    values = draw(function)
    scatter = values - mean
    count = values.size
    assert abs(scatter.mean()) < 4 * sd / count**0.5
    assert values.std() == pytest.approx(sd, rel=0.02)
    assert (scatter**4).mean() / sd**4 == pytest.approx(kurtosis, rel=0.05)
    for axis in range(3):
        pairs = np.moveaxis(scatter, axis, 0)
        assert abs((pairs[1:] * pairs[:-1]).mean()) < 4 * sd**2 / count**0.5


def test_a_uniform_deviate_is_at_least_0_and_below_1():
    values = draw(hash_uniform)
    assert values.min() >= 0 and values.max() < 1 and values.max() - values.min() > 0.999


def test_another_stream_gives_another_field():
    first, second = (draw(hash_gaussian, mix_seed(7, stream)) for stream in (1, 2))
    assert abs((first * second).mean()) < 4 / first.size**0.5


def test_value_noise_is_bounded_and_has_its_sd():
    points = np.random.default_rng(1).uniform(-300, 300, (40_000, 3))
    values = np.array([value_noise(z, y, x, 0.8, SEED) for z, y, x in points])
    assert np.abs(values).max() <= 1
    assert values.std() == pytest.approx(VALUE_NOISE_SD, rel=0.02)
    assert abs(values.mean()) < 4 * VALUE_NOISE_SD / len(values) ** 0.5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_value_noise_has_a_continuous_slope(axis):
    step = 1e-3
    line = np.full((4000, 3), 0.37)
    line[:, axis] = -2 + step * np.arange(len(line))
    values = np.array([value_noise(z, y, x, 0.5, SEED) for z, y, x in line])
    slopes = np.diff(values) / step
    assert np.abs(slopes).max() > 0.5
    assert np.abs(np.diff(slopes)).max() < 0.15  # curvature (at most about 100 per um^2) times the step; no jump


def test_threads_draw_the_same_values():
    points = np.random.default_rng(2).uniform(-5, 5, (2000, 3))

    def evaluate(point: NDArray[np.float64]) -> float:
        return value_noise(point[0], point[1], point[2], 0.3, SEED)

    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(evaluate, points[::-1]))[::-1]
    assert threaded == [evaluate(point) for point in points]

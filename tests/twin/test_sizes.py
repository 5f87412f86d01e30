"""Particle sizes meet their percentiles and their volume."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.sizes import bend_diameters, make_diameters, weighted_percentiles

PAPER = np.array([2.4, 4.25, 7.2])


@pytest.mark.parametrize("total_um3", [1500.0, 10000.0, 150000.0])
@pytest.mark.parametrize("percentiles", [PAPER, np.array([1.0, 3.0, 5.0])])
def test_percentiles_and_volume_are_met(total_um3: float, percentiles: np.ndarray) -> None:
    diameters = make_diameters(percentiles, total_um3, np.ones_like)
    np.testing.assert_allclose(weighted_percentiles(diameters, diameters**3), percentiles, rtol=3e-3)
    assert np.pi / 6 * (diameters**3).sum() == pytest.approx(total_um3, rel=0.01)
    assert (np.diff(diameters) > 0).all()


def test_percentiles_are_those_of_what_counts() -> None:
    def odds(diameters: np.ndarray) -> np.ndarray:
        return 1 / (1 + diameters)

    diameters = make_diameters(PAPER, 20000.0, odds)
    np.testing.assert_allclose(weighted_percentiles(diameters, odds(diameters) * diameters**3), PAPER, rtol=0.01)


def test_a_particle_without_share_does_not_count() -> None:
    diameters = np.linspace(1, 9, 400)
    shares = np.where(diameters > 8, 0.0, 1.0)
    bent = bend_diameters(diameters, PAPER, shares)
    np.testing.assert_allclose(weighted_percentiles(bent[shares > 0], bent[shares > 0] ** 3), PAPER, rtol=5e-3)
    assert (np.diff(bent) > 0).all()


def test_percentile_halves_the_weight() -> None:
    assert weighted_percentiles(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0]), np.array([0.5])) == 2.0

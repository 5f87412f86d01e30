"""Estimators of the axis by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.reconstruction.axis_curves import (
    AxisCurves,
    correlate_opposites,
    measure_sharpness,
    measure_wedge,
    pair_opposites,
)

from .analytic import project_ellipses, scatter_grains

COLUMNS, AXIS_PX = 128, 61.7


def make_sinograms(angles: np.ndarray, *, reach: float = 0.7, columns: int = COLUMNS) -> np.ndarray:
    axis_px = AXIS_PX * columns / COLUMNS
    rows = [
        project_ellipses(scatter_grains(reach * columns / 2, 40, seed=i), angles, columns, axis_px) for i in range(3)
    ]
    return np.stack(rows)


def test_opposites_are_paired_exactly_between_and_at_the_end():
    partners, shares = pair_opposites(np.arange(8) * np.pi / 4)
    assert partners[:, 0].tolist() == [0, 1, 2, 3]
    assert partners[:, 2].tolist() == [4, 5, 6, 7]
    assert np.allclose(shares, 1)
    partners, shares = pair_opposites(np.arange(7) * 2 * np.pi / 7)
    assert np.allclose(shares, 0.5)
    assert np.all(partners[:, 2] - partners[:, 1] == 1)
    assert len(pair_opposites(np.arange(90) * np.pi / 90)[0]) == 0
    assert pair_opposites(np.linspace(0, np.pi, 91))[0].tolist() == [[0, 89, 90]]


def test_each_estimator_finds_the_axis_by_itself():
    angles = np.arange(240) * 2 * np.pi / 240
    sinograms = make_sinograms(angles)
    half, half_angles = sinograms[:, :120], angles[:120]
    found = {
        "opposites": correlate_opposites(sinograms, *pair_opposites(angles), 60.5),
        "wedge": measure_wedge(half, 63.0),
        "sharpness": measure_sharpness(half, half_angles, AXIS_PX + np.arange(-2.1, 2.5, 0.25)),
    }
    for name, curves in found.items():
        assert curves.find_minimum()[0] == pytest.approx(AXIS_PX, abs=0.15), name


def test_wide_rows_are_binned_without_a_shift():
    angles = np.arange(120) * np.pi / 120
    wide = make_sinograms(angles, columns=1280)
    assert measure_wedge(wide, 617.0).find_minimum()[0] == pytest.approx(617.0, abs=0.6)
    axes = 617.0 + np.arange(-6, 6.1, 1.0)
    assert measure_sharpness(wide, angles, axes).find_minimum()[0] == pytest.approx(617.0, abs=0.5)


def test_a_minimum_has_a_deviation_from_row_to_row():
    axes = np.arange(40, 60, 0.5)
    places = np.array([49.7, 50.1, 50.3, 50.2])
    value, sd = AxisCurves(axes, (axes - places[:, None]) ** 2).find_minimum()
    assert value == pytest.approx(places.mean())
    assert sd == pytest.approx(places.std(ddof=1) / 2)
    assert np.isnan(AxisCurves(axes, (axes[None] - 50) ** 2).find_minimum()[1])
    assert AxisCurves(axes, np.stack([axes, axes])).find_minimum() == (40.0, np.inf)

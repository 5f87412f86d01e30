"""What a similarity does to points, and how its errors carry over to them."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.alignment import Alignment
from voltome.alignment.similarity import make_jacobian, make_linear, measure_residual

from .foil import turn

POINTS = np.random.default_rng(3).uniform(0, 60, (20, 3))
CENTRE = np.array([4.0, 30.5, 25.0])


def make_alignment(parameters, covariance=None):
    parameters = np.asarray(parameters, dtype=float)
    return Alignment(
        CENTRE, parameters[:3], parameters[3:6], 1.0 + parameters[6],
        np.eye(7) if covariance is None else covariance, 0.9, 20, np.zeros(3),
    )  # fmt: skip


def test_a_turn_about_z_carries_x_to_y():
    linear = make_linear(np.array([0, 0, 0, np.pi / 2, 0, 0, 0.5]))
    assert linear @ [0, 0, 1] == pytest.approx([0, 1.5, 0])
    assert linear @ [1, 0, 0] == pytest.approx([1.5, 0, 0])


@pytest.mark.parametrize("rotation", [(0.3, 0, 0), (0, -0.2, 0), (0, 0, 0.4), (0.1, -0.5, 0.3)])
def test_rotations_are_right_handed_in_x_y_z(rotation):
    assert make_linear(np.array([0, 0, 0, *rotation, 0])) == pytest.approx(turn(rotation))


def test_the_jacobian_is_the_derivative_of_displacement():
    step, numeric = 1e-5, np.empty((len(POINTS), 3, 7))
    for k in range(7):
        up, down = (make_alignment(sign * step * np.eye(7)[k]).displace(POINTS) for sign in (1, -1))
        numeric[:, :, k] = (up - down) / (2 * step)
    assert make_jacobian(POINTS - CENTRE) == pytest.approx(numeric, abs=1e-7)


def test_the_centre_moves_by_the_translation_alone():
    found = make_alignment([1, 2, 3, 0.1, 0.2, 0.3, 0.05])
    assert found.displace(CENTRE[None])[0] == pytest.approx([1, 2, 3])
    assert found.parameters == pytest.approx([1, 2, 3, 0.1, 0.2, 0.3, 0.05])


def test_the_covariance_of_displacement_is_the_scatter_of_drawn_motions():
    rng = np.random.default_rng(4)
    factor = rng.standard_normal((7, 7)) * np.array([0.1] * 3 + [1e-3] * 4)[:, None]
    covariance = factor @ factor.T
    drawn = rng.multivariate_normal(np.zeros(7), covariance, 4000)
    moved = np.array([make_alignment(p).displace(POINTS[:3]) for p in drawn])
    stated = make_alignment(np.zeros(7), covariance).displacement_covariance(POINTS[:3])
    for k in range(3):
        scale = np.sqrt(np.diag(stated[k]))
        assert np.cov(moved[:, k].T) / np.outer(scale, scale) == pytest.approx(
            stated[k] / np.outer(scale, scale), abs=0.1
        )


def test_the_residual_is_the_root_mean_square_of_the_points_sds():
    covariance = np.diag([0.01, 0.04, 0.09, 1e-6, 2e-6, 3e-6, 4e-6])
    variance = make_alignment(np.zeros(7), covariance).displacement_covariance(POINTS)
    expected = np.sqrt(np.diagonal(variance, axis1=1, axis2=2).mean(axis=0))
    assert measure_residual(covariance, POINTS - CENTRE) == pytest.approx(expected, rel=1e-12)

"""Bias and resolution from fields of known error."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import twin
from voltome.dvc.metrology import find_resolution, measure_bias, measure_response
from voltome.fields import NodeStatus
from voltome.grid import regular_nodes

NODES, _ = regular_nodes((90, 80, 85), 15)
DRIFT = twin.make_rigid_motion(displacement_vox=(0.4, -0.2, 0.1))
WAVES = twin.make_sine_motion(0.4, 60.0, component=0, along=2) + twin.make_sine_motion(0.2, 25.0, component=1, along=0)


def move(motion, seed=1, sd=0.0):
    field = twin.true_field(motion, NODES)
    phi = field.phi.copy()
    phi[:, :3] += np.random.default_rng(seed).normal(0, sd, (len(phi), 3, 4))
    return field.with_values(phi=phi)


def test_bias_is_the_mean_error_without_the_drift():
    motion = twin.make_affine_motion(np.diag([1.02, 0.99, 1.01]))
    plain, truth = move(DRIFT), move(motion).phi
    measured = move(DRIFT + motion, sd=1e-4)
    phi = measured.phi.copy()
    phi[:, 0, 3] += 0.003
    phi[:, 1, 1] -= 0.001
    bias = measure_bias(plain, measured.with_values(phi=phi), truth)
    assert bias.nodes == len(NODES)
    np.testing.assert_allclose(bias.u_vox, [0.003, 0, 0], atol=4e-5)
    np.testing.assert_allclose(bias.f, np.diag([0, -0.001, 0]), atol=4e-5)
    assert bias.u_error_vox == pytest.approx(np.full(3, 1e-4 / np.sqrt(len(NODES))), rel=0.3)


def test_nodes_that_are_not_trusted_do_not_count():
    plain, deformed = move(DRIFT), move(DRIFT)
    status = deformed.status.copy()
    status[:20], deformed.phi[:20] = NodeStatus.ERROR, 100.0
    bias = measure_bias(plain, deformed.with_values(status=status), np.tile(np.eye(4), (len(NODES), 1, 1)))
    assert bias.nodes == len(NODES) - 20
    assert np.abs(bias.u_vox).max() < 1e-12
    status[1:] = NodeStatus.ERROR
    assert np.isnan(measure_bias(plain, deformed.with_values(status=status), plain.phi).u_vox).all()
    assert np.isnan(measure_response(plain, deformed.with_values(status=status), WAVES.waves)[0]).all()


def test_response_is_the_part_of_each_amplitude():
    half_lost = WAVES.waves * np.array([[0.9, 0.9, 0.9, 1, 1, 1, 1], [0.5, 0.5, 0.5, 1, 1, 1, 1]])
    seen = twin.AnalyticMotion(waves=half_lost)
    plain = move(DRIFT)
    phi = plain.phi.copy()
    phi[:, :3, 3] += seen.displacement(NODES + plain.displacement_vox)
    phi[:, :3, 3] += np.random.default_rng(3).normal(0, 0.01, (len(phi), 3))
    response, error = measure_response(plain, plain.with_values(phi=phi), WAVES.waves)
    assert (np.abs(response - [0.9, 0.5]) < 4 * error).all()
    assert (error < 0.02).all()


def test_resolution_is_interpolated_where_a_tenth_is_lost():
    periods = np.geomspace(25, 400, 6)
    found = find_resolution(periods, np.sinc(25 / periods))
    exact = 25 * np.pi / 0.787  # sin(x) / x = 0.9
    assert found == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("response", [[0.1, 0.3, 0.5], [0.95, 0.97, 0.99], [np.nan, np.nan, np.nan]])
def test_no_resolution_where_the_periods_do_not_bracket_it(response):
    assert np.isnan(find_resolution(np.array([30.0, 60.0, 120.0]), np.array(response)))

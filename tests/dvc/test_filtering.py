"""Filled and smoothed fields."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import regular_nodes

NODES, GRID_SHAPE = regular_nodes((60, 50, 56), 10)
GRADIENT = np.array([[1.1, 0.02, -0.01], [0.01, 0.96, 0.03], [-0.02, 0.01, 1.02]])


@pytest.fixture
def field():
    motion = twin.make_affine_motion(GRADIENT, displacement_vox=(2, -1, 3))
    return twin.true_field(motion, NODES, grid_shape=GRID_SHAPE)


def _spoil(field, failed=(), suspect=(), masked=()):
    status, flag, phi = field.status.copy(), field.suspect.copy(), field.phi.copy()
    status[list(failed)], status[list(masked)] = NodeStatus.SINGULAR, NodeStatus.MASKED
    flag[list(suspect)] = 1
    phi[[*failed, *suspect, *masked], :3, 3] += 40
    zncc = np.where(status == NodeStatus.MASKED, np.nan, 0.9)
    covariance = np.tile(np.eye(12, dtype=np.float32), (len(field), 1, 1))
    return field.with_values(status=status, suspect=flag, phi=phi, zncc=zncc, covariance=covariance)


def test_failed_and_suspect_nodes_are_replaced_by_what_measured_neighbours_say(field):
    filled = dvc.fill_field(_spoil(field, failed=[7, 40], suspect=[8, 41, 42]))
    np.testing.assert_allclose(filled.phi, field.phi, atol=1e-9)
    assert np.flatnonzero(filled.filled).tolist() == [7, 8, 40, 41, 42]


def test_a_filled_node_never_counts_as_measured(field):
    spoilt = _spoil(field, failed=[7], suspect=[8])
    filled = dvc.fill_field(spoilt)
    chosen = filled.filled == 1
    assert not filled.converged[chosen].any() and not filled.trusted[chosen].any()
    assert np.isnan(filled.zncc[chosen]).all()
    assert np.isnan(filled.covariance[chosen]).all() and np.isfinite(filled.covariance[~chosen]).all()
    np.testing.assert_array_equal(filled.status, spoilt.status)  # the raw status stays, and so does the raw field
    assert spoilt.filled.sum() == 0


def test_even_a_node_that_is_called_converged_is_not_measured_once_filled(field):
    replace = np.zeros(len(field), dtype=bool)
    replace[3] = True
    filled = dvc.fill_field(field, replace=replace)
    assert filled.status[3] == NodeStatus.CONVERGED
    assert not filled.converged[3] and not filled.trusted[3]
    strain = dvc.compute_strain(filled)
    assert strain.measured[3] < 1


def test_masked_nodes_stay_empty(field):
    filled = dvc.fill_field(_spoil(field, failed=[7], masked=[20, 21]))
    assert np.isnan(filled.phi[[20, 21]]).all()
    assert filled.filled[[20, 21]].tolist() == [0, 0]
    assert np.isfinite(np.delete(filled.phi, [20, 21], axis=0)).all()


def test_filling_twice_is_filling_once(field):
    once = dvc.fill_field(_spoil(field, failed=[7, 40], suspect=[8], masked=[20]))
    np.testing.assert_allclose(dvc.fill_field(once).phi, once.phi, rtol=1e-12)


def test_a_field_without_a_measured_node_cannot_be_filled(field):
    with pytest.raises(InputError, match="no node was measured"):
        dvc.fill_field(_spoil(field, failed=range(len(field))))


@pytest.mark.parametrize(
    "options", [{"median_radius": 1}, {"gaussian_sigma": 0.8}, {"median_radius": 1, "gaussian_sigma": 1}]
)
def test_smoothing_lowers_noise_and_leaves_a_constant_field_alone(options):
    still = twin.true_field(twin.make_rigid_motion(displacement_vox=(1, 2, 3)), NODES, grid_shape=GRID_SHAPE)
    np.testing.assert_allclose(dvc.smooth_field(still, **options).phi, still.phi, atol=1e-12)
    phi = still.phi.copy()
    phi[:, :3, :] += 0.1 * np.random.default_rng(0).standard_normal((len(still), 3, 4))
    smooth = dvc.smooth_field(still.with_values(phi=phi), **options)
    assert (smooth.phi - still.phi)[:, :3].std() < 0.06
    np.testing.assert_array_equal(smooth.phi[:, 3], np.tile([0, 0, 0, 1], (len(still), 1)))


def test_a_median_removes_one_wild_node(field):
    phi = field.phi.copy()
    phi[60, 0, 3] += 30
    smooth = dvc.smooth_field(field.with_values(phi=phi), median_radius=1)
    assert abs(smooth.phi[60, 0, 3] - field.phi[60, 0, 3]) < 1


@pytest.mark.parametrize("options", [{"median_radius": 1}, {"gaussian_sigma": 1.0}])
def test_empty_nodes_stay_empty_and_do_not_spread(field, options):
    phi = field.phi.copy()
    phi[[30, 31]] = np.nan
    smooth = dvc.smooth_field(field.with_values(phi=phi), **options)
    assert np.isnan(smooth.phi[[30, 31], :3]).all()
    assert np.isfinite(np.delete(smooth.phi, [30, 31], axis=0)).all()


def test_no_smoothing_is_the_field_itself(field):
    assert dvc.smooth_field(field) is field


@pytest.mark.parametrize("options", [{"median_radius": -1}, {"gaussian_sigma": -0.5}])
def test_negative_smoothing_is_refused(field, options):
    with pytest.raises(InputError, match="smoothing must be 0 to 20"):
        dvc.smooth_field(field, **options)


def test_scattered_nodes_cannot_be_smoothed():
    with pytest.raises(InputError, match="regular grid"):
        dvc.smooth_field(DeformationField.from_phi(NODES), median_radius=1)

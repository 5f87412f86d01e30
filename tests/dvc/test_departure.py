"""The error beyond noise, from how nodes depart from their neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.dvc import estimate_bias
from voltome.fields import DeformationField
from voltome.grid import regular_nodes

POSITIONS, SHAPE = regular_nodes((130, 110, 120), 10)
AFFINE = np.array([[0.4, 0.02, -0.01], [0.03, 0.01, 0.0], [0.01, -0.02, -0.02]])


def make_field(displacement, *, noise_sd=0.0, status=2):
    phi = np.tile(np.eye(4), (len(POSITIONS), 1, 1))
    phi[:, :3, 3] = displacement
    covariance = np.zeros((len(POSITIONS), 12, 12), dtype=np.float32)
    for k in (3, 7, 11):
        covariance[:, k, k] = noise_sd**2
    return DeformationField.from_phi(POSITIONS, phi, grid_shape=SHAPE).with_values(
        status=np.full(len(POSITIONS), status, dtype=np.int32), covariance=covariance
    )


def scatter(seed=1, sd=(0.1, 0.2, 0.3)):
    return np.array(sd) * np.random.default_rng(seed).standard_normal((len(POSITIONS), 3))


def test_an_affine_motion_has_no_bias():
    assert estimate_bias(make_field(POSITIONS @ AFFINE.T + [1.0, -2.0, 0.5])) == pytest.approx(0.0, abs=1e-9)


def test_an_independent_error_of_each_node_is_found_for_each_component():
    found = estimate_bias(make_field(POSITIONS @ AFFINE.T + scatter()))
    assert found.shape == (len(POSITIONS), 3)
    assert np.sqrt(np.mean(found**2, axis=0)) == pytest.approx([0.1, 0.2, 0.3], rel=0.2)


def test_errors_are_about_as_large_as_stated():
    errors = scatter(2)
    z = errors / estimate_bias(make_field(POSITIONS @ AFFINE.T + errors))
    assert np.sqrt(np.mean(z**2, axis=0)) == pytest.approx([1.0, 1.0, 1.0], abs=0.25)
    assert 0.9 < (np.abs(z) < 2).mean() < 0.99


def test_what_grey_noise_explains_is_taken_out():
    total = np.hypot(0.2, 0.3)
    field = make_field(POSITIONS @ AFFINE.T + scatter(3, (total,) * 3), noise_sd=0.3)
    bias = np.sqrt(np.mean(estimate_bias(field) ** 2))
    assert bias < 0.8 * total
    assert np.hypot(bias, 0.3) == pytest.approx(total, rel=0.2)
    assert (estimate_bias(make_field(POSITIONS @ AFFINE.T + scatter(4), noise_sd=2.0)) == 0).all()


def test_a_node_without_a_covariance_has_no_noise_taken_out():
    field = make_field(scatter(5))
    unknown = field.with_values(covariance=np.full_like(field.covariance, np.nan))
    assert np.array_equal(estimate_bias(unknown), estimate_bias(field))


def test_an_error_shows_where_it_is():
    upper = POSITIONS[:, 0] > 60
    found = estimate_bias(make_field(np.where(upper[:, None], scatter(6, (0.4,) * 3), 0.0)))
    assert np.nanmean(found[POSITIONS[:, 0] > 80]) > 0.3
    assert np.nanmax(found[POSITIONS[:, 0] < 40]) < 1e-9


def test_nodes_that_are_not_trusted_do_not_count():
    """Wild, but suspect: neither they nor their neighbours err for it."""
    wild = np.random.default_rng(7).random(len(POSITIONS)) < 0.1
    field = make_field(POSITIONS @ AFFINE.T + np.where(wild[:, None], 50.0, 0.0))
    found = estimate_bias(field.with_values(suspect=wild.astype(np.uint8)))
    assert np.nanmax(found) < 1e-9
    assert np.isfinite(found[~wild]).all()


def test_without_trusted_neighbours_nothing_is_known():
    lonely = make_field(scatter(8))
    status = np.zeros(len(POSITIONS), dtype=np.int32)
    status[::50] = 2
    assert np.isnan(estimate_bias(lonely.with_values(status=status))).all()
    assert np.isnan(estimate_bias(make_field(scatter(8), status=0))).all()


@pytest.mark.parametrize("size", [(130, 110, 15), (15, 15, 15), (130, 15, 15)], ids=["sheet", "node", "row"])
def test_nodes_in_one_plane_cannot_be_judged(size):
    positions, shape = regular_nodes(size, 10)
    field = DeformationField.from_phi(positions, grid_shape=shape)
    assert np.isnan(estimate_bias(field.with_values(status=np.full(len(positions), 2, dtype=np.int32)))).all()


def test_scattered_nodes_cannot_be_judged():
    field = make_field(scatter(9)).with_values(grid_shape=None)
    assert np.isnan(estimate_bias(field)).all() and estimate_bias(field).shape == (len(POSITIONS), 3)

"""A field between its nodes."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import twin
from voltome.dvc.field_spline import FieldSpline
from voltome.fields import DeformationField
from voltome.grid import regular_nodes

SHAPE = (100, 90, 110)
AFFINE = twin.make_affine_motion([[1.1, 0.02, 0], [0, 0.9, -0.03], [0.01, 0, 1.05]], displacement_vox=(3, -2, 1))


def make_spline(motion, nodes_per_axis=None):
    nodes, grid_shape = regular_nodes(SHAPE, 15)
    if nodes_per_axis is not None:
        grid = nodes.reshape(*grid_shape, 3)
        nodes = grid[tuple(slice(0, n) for n in nodes_per_axis)].reshape(-1, 3)
        grid_shape = nodes_per_axis
    return FieldSpline(twin.true_field(motion, nodes, grid_shape=grid_shape))


@pytest.mark.parametrize("nodes_per_axis", [None, (2, 3, 4), (5, 1, 2), (1, 1, 5)])
def test_an_affine_field_is_exact_up_to_a_spacing_beyond_the_nodes(nodes_per_axis):
    spline = make_spline(AFFINE, nodes_per_axis)
    low, high = (np.array([axis[end] for axis in spline.axes]) for end in (0, -1))
    points = np.random.default_rng(0).uniform(low - 14.9, high + 14.9, (200, 3))
    found = spline.evaluate(points)
    np.testing.assert_allclose(found.field.phi, twin.true_field(AFFINE, points).phi, atol=1e-10)
    assert found.field.trusted.all() and not found.outside.any()


def test_a_node_gets_its_own_phi_and_covariance():
    motion = twin.make_smooth_motion(SHAPE, strain=0.1, seed=3)
    nodes, grid_shape = regular_nodes(SHAPE, 15)
    factor = np.random.default_rng(2).normal(size=(len(nodes), 12, 12))
    covariance = (factor @ factor.transpose(0, 2, 1)).astype(np.float32)
    field = twin.true_field(motion, nodes, grid_shape=grid_shape).with_values(covariance=covariance)
    found = FieldSpline(field).evaluate(field.positions_vox).field
    np.testing.assert_allclose(found.phi, field.phi, atol=1e-9)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-3)


def test_beyond_one_spacing_and_without_a_place_there_is_no_value():
    points = np.array([[105.5, 40, 40], [40, -0.5, 40], [np.nan, 40, 40], [40, 40, 40]])
    found = make_spline(AFFINE).evaluate(points)
    assert found.outside.tolist() == [True, True, False, False]
    assert np.isnan(found.field.phi).any(axis=(1, 2)).tolist() == [True, True, True, False]
    assert np.isnan(found.field.covariance).any(axis=(1, 2)).tolist() == [True, True, True, False]
    assert found.field.suspect.tolist() == found.field.filled.tolist() == [0, 0, 0, 0]


def test_noise_between_nodes_and_beyond_them_is_that_of_the_spline():
    """Windows that do not overlap: the scatter of the spline through independent nodes is its stated sd."""
    nodes, grid_shape = regular_nodes(SHAPE, 15)
    sd = np.tile([0.002, 0.002, 0.002, 0.01], 3)  # of a window of 17 voxels, which overlap by 2
    points = np.array([[37.0, 37, 37], [52, 45, 52], [30, 60, 48], [100, 45, 45], [45, 80, 108]])
    random, found = np.random.default_rng(5), []
    for _ in range(300):
        phi = np.tile(np.eye(4), (len(nodes), 1, 1))
        phi[:, :3] += (random.normal(size=(len(nodes), 12)) * sd).reshape(-1, 3, 4)
        field = DeformationField.from_phi(nodes, phi, grid_shape=grid_shape).with_values(
            status=np.full(len(nodes), 2, dtype=np.int32),
            covariance=np.tile(np.diag(sd**2), (len(nodes), 1, 1)).astype(np.float32),
        )
        found.append(FieldSpline(field).evaluate(points).field)
    scatter = np.std([each.phi[:, :3].reshape(-1, 12) for each in found], axis=0)
    np.testing.assert_allclose(found[0].sd / scatter, 1.0, atol=0.2)

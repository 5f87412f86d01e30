"""The collector's motion taken out of a field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voltome.alignment import Alignment, align_field
from voltome.fields import DeformationField
from voltome.grid import regular_nodes

POSITIONS, GRID = regular_nodes((60, 50, 55), 10)
ALIGNMENT = Alignment(
    np.array([5.0, 24.5, 27.0]), np.array([1.5, -2.0, 0.7]), np.array([0.01, -0.02, 0.015]), 1.003,
    np.eye(7), 0.9, 20, np.zeros(3),
)  # fmt: skip


def carry(phi_displacement, gradient):
    """Field of a motion of the matter, followed by the collector's."""
    moved = POSITIONS + phi_displacement
    phi = np.tile(np.eye(4), (len(POSITIONS), 1, 1))
    phi[:, :3, :3] = ALIGNMENT.linear @ gradient
    phi[:, :3, 3] = moved + ALIGNMENT.displace(moved) - POSITIONS
    rng = np.random.default_rng(2)
    factor = rng.standard_normal((len(POSITIONS), 12, 12))
    return DeformationField.from_phi(POSITIONS, phi, grid_shape=GRID).with_values(
        covariance=(factor @ factor.transpose(0, 2, 1)).astype(np.float32),
        status=np.full(len(POSITIONS), 2, dtype=np.int32),
        sd_bias_vox=rng.random((len(POSITIONS), 3)),
    )


def test_the_collectors_own_motion_leaves_nothing():
    found = align_field(carry(np.zeros((1, 3)), np.eye(3)), ALIGNMENT)
    assert np.abs(found.phi - np.eye(4)).max() < 1e-12


def test_the_matters_motion_is_left_exactly():
    gradient = np.array([[1.4, 0.02, -0.01], [0.03, 1.01, 0.0], [0.01, -0.02, 0.98]])
    centre = np.array([5.0, 20.0, 30.0])
    own = (POSITIONS - centre) @ (gradient - np.eye(3)).T + [0.3, -0.2, 0.1]
    found = align_field(carry(own, gradient), ALIGNMENT)
    assert np.abs(found.displacement_vox - own).max() < 1e-12
    assert np.abs(found.deformation_gradient - gradient).max() < 1e-12


def test_the_covariance_is_that_of_turned_noise():
    """Noise of all twelve parameters, drawn before and after a strong turn is taken out."""
    strong = replace(ALIGNMENT, rotation_rad=np.array([0.4, -0.6, 0.5]), scale=1.2)
    field = carry(np.zeros((1, 3)), np.eye(3))
    node = 7
    rng = np.random.default_rng(5)
    drawn = rng.multivariate_normal(np.zeros(12), field.covariance[node].astype(float), 6000)
    back = np.linalg.inv(strong.linear)
    scattered = np.einsum("ij,njk->nik", back, drawn.reshape(-1, 3, 4)).reshape(-1, 12)
    stated = align_field(field, strong).covariance[node].astype(float)
    scale = np.sqrt(np.diag(stated))
    assert np.cov(scattered.T) / np.outer(scale, scale) == pytest.approx(stated / np.outer(scale, scale), abs=0.08)
    assert stated == pytest.approx(stated.T, rel=1e-4)


def test_all_else_of_a_field_stays():
    field = carry(np.zeros((1, 3)), np.eye(3))
    before = field.phi.copy()
    found = align_field(field, ALIGNMENT)
    assert np.array_equal(found.status, field.status) and found.grid_shape == GRID
    assert np.array_equal(found.sd_bias_vox, field.sd_bias_vox)
    assert np.array_equal(field.phi, before)


def test_a_node_that_was_not_measured_stays_unmeasured():
    field = carry(np.zeros((1, 3)), np.eye(3))
    phi, covariance = field.phi.copy(), field.covariance.copy()
    phi[4, :3], covariance[4] = np.nan, np.nan
    found = align_field(field.with_values(phi=phi, covariance=covariance), ALIGNMENT)
    assert np.isnan(found.phi[4, :3]).all() and np.isnan(found.covariance[4]).all()
    assert np.isfinite(found.phi[[3, 5]]).all() and np.isfinite(found.covariance[[3, 5]]).all()

"""Standard deviation of strain: derivatives, what overlapping windows share, and against real scatter."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.dvc.gradient import differentiate_field
from voltome.dvc.strain import GRADIENTS, MEASURES, decompose
from voltome.dvc.strain_noise import propagate_to_strain, strain_derivative
from voltome.grid import regular_nodes

PAIRS = 6
SHAPE = (64, 58, 61)


@pytest.fixture(scope="module")
def noisy_fields():
    """The same texture with other noise in each pair: 50 % overlap, whole windows."""
    motion = twin.make_rigid_motion(displacement_vox=(0.3, -0.2, 0.4))
    clean = twin.make_speckle_pair(SHAPE, motion, seed=2)
    rng = np.random.default_rng(7)
    start = None
    fields = []
    for _ in range(PAIRS):
        noisy = [v + rng.normal(0, 0.05 * v.std(), SHAPE).astype(np.float32) for v in (clean.reference, clean.deformed)]
        found = dvc.correlate_local(*noisy, node_spacing_vox=10, half_window_vox=10, initial_phi=start)
        start = found.field if start is None else start
        fields.append(found.field)
    return fields


@pytest.mark.parametrize("measure", MEASURES)
def test_the_derivative_is_that_of_the_strain(measure):
    rng = np.random.default_rng(1)
    f = np.eye(3) + rng.normal(0, 0.2, (5, 3, 3))
    f[0] = np.eye(3)  # all principal stretches alike
    f[1] = np.diag([1.3, 1.3, 1.1])
    found = strain_derivative(f, measure)
    for m in range(3):
        for n in range(3):
            step = np.zeros((3, 3))
            step[m, n] = 1e-6
            expected = (decompose(f + step, measure)[2] - decompose(f - step, measure)[2]) / 2e-6
            np.testing.assert_allclose(found[:, :, :, m, n], expected, atol=1e-8)


def test_sd_of_volume_is_that_of_the_determinant():
    rng = np.random.default_rng(2)
    f = np.diag([1.4, 0.95, 1.02])[None]
    root = rng.normal(0, 1e-3, (9, 9))
    covariance = (root @ root.T)[None]
    draws = rng.multivariate_normal(f.ravel(), covariance[0], 40000).reshape(-1, 3, 3)
    strain_sd, volumetric_sd = propagate_to_strain(f, covariance, "hencky")
    assert volumetric_sd[0] == pytest.approx(np.linalg.det(draws).std(), rel=0.02)
    np.testing.assert_allclose(strain_sd[0], decompose(draws, "hencky")[2].std(axis=0), rtol=0.02)


def make_field(covariance_vox, spacing=10):
    nodes, grid_shape = regular_nodes((50, 40, 60), spacing)
    field = twin.true_field(twin.make_rigid_motion(), nodes, grid_shape=grid_shape)
    return field.with_values(covariance=np.tile(np.diag(covariance_vox).astype(np.float32), (len(field), 1, 1)))


def variances(side, sd_vox):
    """Of an affine over a cube: F along a side is known sqrt(12 / (L^2 - 1)) times as well as u."""
    return sd_vox**2 * np.tile([12 / (side**2 - 1)] * 3 + [1.0], 3)


def test_windows_apart_give_independent_differences():
    strain = dvc.compute_strain(make_field(variances(9, 0.02)), measure="small")
    inner = np.flatnonzero((strain.positions_vox == [20, 20, 20]).all(axis=1))[0]
    difference = np.sqrt(2) * 0.02 / 20  # of two neighbours, 20 voxels apart
    np.testing.assert_allclose(np.diag(strain.strain_sd[inner]), difference, rtol=1e-5)
    assert strain.strain_sd[inner, 0, 1] == pytest.approx(difference / np.sqrt(2), rel=1e-5)
    assert strain.volumetric_sd[inner] == pytest.approx(np.sqrt(3) * difference, rel=1e-5)


def test_what_windows_share_is_gone_from_their_difference():
    """Cells of 10 voxels under windows of 41: faces apart share 31 / 41 of their noise."""
    strain = dvc.compute_strain(make_field(variances(41, 0.02)), gradient="q8", measure="small")
    shared = 31 / 41
    face = 0.02**2 * ((1 + shared) / 2) ** 2  # mean of four overlapping windows
    np.testing.assert_allclose(strain.strain_sd[:, 0, 0], np.sqrt(2 * face * (1 - shared)) / 10, rtol=1e-3)


@pytest.mark.parametrize("radius", [1.0, 1.8])
def test_the_covariance_is_that_of_the_weights(radius):
    """By pushing one node after the other, with errors drawn from the same correlation."""
    field = make_field(variances(25, 0.02))
    at = field.positions_vox
    shared = np.clip(1 - np.abs(at[:, None] - at[None]) / 25, 0, None).prod(axis=-1)
    response = np.empty((len(field), len(field), 3))
    for node in range(len(field)):
        phi = field.phi.copy()
        phi[node, 0, 3] += 1.0
        pushed = differentiate_field(field.with_values(phi=phi), field.grid_shape, gradient="geers", radius=radius)
        response[node] = pushed.deformation_gradient[:, 0] - [1, 0, 0]
    found = differentiate_field(field, field.grid_shape, gradient="geers", radius=radius).covariance
    expected = 0.02**2 * np.einsum("kni,kl,lnj->nij", response, shared, response)
    np.testing.assert_allclose(found[:, :3, :3], expected, rtol=0.01, atol=1e-10)
    np.testing.assert_allclose(found[:, :3, 3:], 0, atol=1e-12)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_sd_is_the_real_scatter(noisy_fields, gradient):
    strains = [dvc.compute_strain(field, gradient=gradient) for field in noisy_fields]
    whole = np.all([s.positions_vox.min(axis=1) > 9 for s in strains], axis=0)
    whole &= (strains[0].positions_vox < np.array(SHAPE) - 13).all(axis=1)
    for stated, measured in (
        ([s.strain_sd[:, i, j] for s in strains], [s.strain[:, i, j] for s in strains])
        for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    ):
        ratio = np.sqrt(np.var(measured, axis=0, ddof=1)[whole].mean() / np.square(stated)[:, whole].mean())
        assert 0.8 < ratio < 1.25
    volume = np.sqrt(np.var([s.volumetric for s in strains], axis=0, ddof=1)[whole].mean())
    assert 0.8 < volume / np.sqrt(np.mean(np.square([s.volumetric_sd for s in strains])[:, whole])) < 1.25


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_filled_node_leaves_no_sd(gradient):
    field = make_field(variances(21, 0.02))
    covariance = field.covariance.copy()
    covariance[0] = np.nan
    strain = dvc.compute_strain(field.with_values(covariance=covariance), gradient=gradient)
    assert np.isfinite(strain.strain).all()
    assert np.isnan(strain.strain_sd[0]).all() and np.isnan(strain.volumetric_sd[0])
    assert np.isfinite(strain.strain_sd[-1]).all() and np.isfinite(strain.volumetric_sd).mean() > 0.5

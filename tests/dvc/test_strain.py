"""Strain from displacement: analytic truth and invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, polar

from voltome import dvc, twin
from voltome.dvc.strain import GRADIENTS, MEASURES, decompose
from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import regular_nodes

NODES, GRID_SHAPE = regular_nodes((52, 40, 47), 9)
ROTATION = twin.make_rigid_motion(rotation_rad=(0.3, -0.5, 0.2), displacement_vox=(4, 5, 6), centre_vox=(20, 20, 20))


def _field(motion):
    return twin.true_field(motion, NODES, grid_shape=GRID_SHAPE)


def _stretch(*diagonal):
    return _field(twin.make_affine_motion(np.diag(diagonal)))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_pure_stretch_is_exact(gradient):
    strain = dvc.compute_strain(_stretch(1.44, 0.9, 1.05), gradient=gradient)
    np.testing.assert_allclose(strain.strain - np.diag(np.log([1.44, 0.9, 1.05])), 0, atol=1e-12)
    np.testing.assert_allclose(strain.volumetric, 1.44 * 0.9 * 1.05 - 1, atol=1e-12)
    np.testing.assert_allclose(strain.stretch, np.tile(np.diag([1.44, 0.9, 1.05]), (len(strain), 1, 1)), atol=1e-12)


@pytest.mark.parametrize(
    ("measure", "zz"), [("small", 0.44), ("green-lagrange", (1.44**2 - 1) / 2), ("hencky", np.log(1.44))]
)
def test_each_measure_of_a_stretch(measure, zz):
    strain = dvc.compute_strain(_stretch(1.44, 1, 1), measure=measure)
    assert strain.measure == measure
    np.testing.assert_allclose(strain.strain[:, 0, 0], zz, atol=1e-12)
    np.testing.assert_allclose(strain.strain[:, 1:, 1:], 0, atol=1e-12)
    np.testing.assert_allclose(strain.deviatoric, 2 / 3 * zz, atol=1e-12)  # of uniaxial strain


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("measure", ["hencky", "green-lagrange"])
def test_a_rotation_gives_zero_strain(gradient, measure):
    strain = dvc.compute_strain(_field(ROTATION), gradient=gradient, measure=measure)
    np.testing.assert_allclose(strain.strain, 0, atol=1e-12)
    np.testing.assert_allclose(strain.volumetric, 0, atol=1e-12)
    np.testing.assert_allclose(strain.rotation, np.tile(ROTATION.linear + np.eye(3), (len(strain), 1, 1)), atol=1e-12)


def test_small_strain_sees_a_rotation_as_strain():
    assert np.abs(dvc.compute_strain(_field(ROTATION), measure="small").strain).max() > 0.05


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.4, 0.4), min_size=9, max_size=9), st.sampled_from(MEASURES))
def test_f_is_r_times_u(entries, measure):
    f = expm(np.reshape(entries, (3, 3)))[None]
    stretch, rotation, strain = decompose(f, measure)
    expected_r, expected_u = polar(f[0])
    np.testing.assert_allclose(rotation[0], expected_r, atol=1e-9)
    np.testing.assert_allclose(stretch[0], expected_u, atol=1e-9)
    np.testing.assert_allclose(rotation @ stretch, f, atol=1e-9)
    np.testing.assert_allclose(strain, np.swapaxes(strain, 1, 2), atol=1e-12)
    if measure == "hencky":
        assert np.trace(strain[0]) == pytest.approx(np.log(np.linalg.det(f[0])), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-2, 2)] * 3), st.sampled_from(["hencky", "green-lagrange"]))
def test_a_rotation_of_the_result_does_not_change_strain(vector, measure):
    turn = twin.make_rigid_motion(rotation_rad=vector).linear + np.eye(3)
    f = np.array([[[1.2, 0.1, 0], [0.05, 0.9, -0.1], [0, 0.2, 1.1]]])
    np.testing.assert_allclose(decompose(turn @ f, measure)[2], decompose(f, measure)[2], atol=1e-9)


def test_matter_turned_inside_out_has_no_strain():
    f = np.stack([np.diag([1.0, 1.0, -1.0]), np.full((3, 3), np.nan), np.eye(3)])
    stretch, rotation, strain = decompose(f, "hencky")
    assert np.isnan(strain[:2]).all() and np.isnan(stretch[:2]).all() and np.isnan(rotation[:2]).all()
    np.testing.assert_allclose(strain[2], 0, atol=1e-15)


@pytest.mark.parametrize("radius", [1.0, 1.8, 2.0])
def test_geers_stands_at_the_nodes_and_q8_between_them(radius):
    motion = twin.make_affine_motion([[1.1, 0.02, 0.01], [0, 0.95, 0.03], [0.01, 0, 1.02]])
    geers = dvc.compute_strain(_field(motion), radius=radius)
    cells = dvc.compute_strain(_field(motion), gradient="q8")
    np.testing.assert_array_equal(geers.positions_vox, NODES)
    assert geers.grid_shape == GRID_SHAPE
    assert cells.grid_shape == tuple(n - 1 for n in GRID_SHAPE)
    np.testing.assert_allclose(cells.positions_vox[0], [13.5] * 3)
    for strain in (geers, cells):
        np.testing.assert_allclose(strain.deformation_gradient - np.eye(3) - motion.linear, 0, atol=1e-12)
        assert (strain.measured == 1).all()


def test_a_gradient_of_strain_is_followed():
    motion = twin.make_sine_motion(1.0, 60.0, component=0, along=0)
    for gradient, bound in (("q8", 0.001), ("geers", 0.004)):
        strain = dvc.compute_strain(_field(motion), gradient=gradient, measure="small")
        truth = motion.gradient(strain.positions_vox)[:, 0, 0] - 1
        inner = (strain.positions_vox[:, 0] > 10) & (strain.positions_vox[:, 0] < 40)
        sinc = 9 * np.pi / 60 if gradient == "q8" else 18 * np.pi / 60  # a difference over 9 or 18 voxels
        assert np.abs(strain.strain[:, 0, 0] - truth * np.sin(sinc) / sinc)[inner].max() < bound


def test_a_missing_node_costs_what_stands_on_it():
    field = _stretch(1.1, 1, 1)
    phi = field.phi.copy()
    phi[0] = np.nan
    field = field.with_values(phi=phi, status=np.where(np.arange(len(field)) == 0, NodeStatus.MASKED, field.status))
    geers, cells = dvc.compute_strain(field), dvc.compute_strain(field, gradient="q8")
    assert np.flatnonzero(np.isnan(geers.volumetric)).tolist()[0] == 0
    assert np.isnan(cells.volumetric[0]) and np.isfinite(cells.volumetric[1:]).all()
    known = np.isfinite(geers.volumetric)
    assert known.sum() > len(field) - 5
    np.testing.assert_allclose(geers.strain[known][:, 0, 0], np.log(1.1), atol=1e-12)


def test_measured_is_the_fraction_of_nodes_that_may_be_believed():
    field = _stretch(1.1, 1, 1)
    suspect, filled = np.zeros((2, len(field)), dtype=np.uint8)
    suspect[0] = 1
    filled[1] = 1
    field = field.with_values(suspect=suspect, filled=filled)
    cells = dvc.compute_strain(field, gradient="q8")
    assert cells.measured[0] == pytest.approx(6 / 8)
    geers = dvc.compute_strain(field)
    assert geers.measured[0] == pytest.approx(2 / 4)
    assert geers.measured[-1] == 1


@pytest.mark.parametrize(
    ("options", "rule"),
    [({"measure": "true"}, "strain measure must be one of small, green-lagrange, hencky"),
     ({"gradient": "q20"}, "strain gradient must be one of geers, q8"), ({"radius": 0.5}, "radius must be 1 to 10")],
)  # fmt: skip
def test_unknown_options_are_refused(options, rule):
    with pytest.raises(InputError, match=rule):
        dvc.compute_strain(_stretch(1, 1, 1), **options)


@pytest.mark.parametrize("grid_shape", [None, (1, 4, 4)])
def test_strain_needs_two_nodes_on_each_axis(grid_shape):
    nodes = np.array([[9.0, y, x] for y in (9, 18, 27, 36) for x in (9, 18, 27, 36)])
    with pytest.raises(InputError, match="two nodes on each axis"):
        dvc.compute_strain(DeformationField.from_phi(nodes, grid_shape=grid_shape))

"""Volumes deformed by a field, and residuals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import affine_transform

from voltome import dvc, twin
from voltome.dvc.deformation import iterate_blocks
from voltome.errors import InputError
from voltome.fields import DeformationField
from voltome.grid import regular_nodes

SHAPE = (50, 44, 47)
CENTRE = (np.array(SHAPE) - 1) / 2
GRADIENT = np.array([[1.05, 0.02, -0.03], [0.01, 0.96, 0.02], [-0.02, 0.03, 1.02]])
SHIFT = np.array([1.7, -2.2, 0.6])
MOTION = twin.make_affine_motion(GRADIENT, displacement_vox=SHIFT, centre_vox=CENTRE)
INNER = (slice(7, -7),) * 3


@pytest.fixture(scope="module")
def pair():
    return twin.make_speckle_pair(SHAPE, MOTION)


@pytest.fixture(scope="module")
def noisy():
    return twin.make_speckle_pair(SHAPE, MOTION, noise=0.05, gain=0.6, offset=2.0)


@pytest.fixture(scope="module")
def field():
    nodes, grid_shape = regular_nodes(SHAPE, 12)
    return twin.true_field(MOTION, nodes, grid_shape=grid_shape)


@pytest.mark.parametrize(("interpolation", "order", "bound"), [("cubic", 3, 2e-3), ("linear", 1, 1e-5)])
def test_an_affine_deforms_like_scipy(pair, field, interpolation, order, bound):
    ours = dvc.deform_volume(pair.reference, field, interpolation=interpolation)
    inverse = np.linalg.inv(GRADIENT)
    offset = CENTRE - inverse @ (CENTRE + SHIFT)
    theirs = affine_transform(pair.reference.astype(np.float64), inverse, offset, order=order, mode="mirror")
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[INNER], theirs[INNER], atol=bound)


def test_the_deformed_reference_looks_like_the_deformed_volume(pair, field):
    ours = dvc.deform_volume(pair.reference, field)[INNER]
    sd = pair.deformed.std()
    assert np.sqrt(np.mean((ours - pair.deformed[INNER]) ** 2)) < 0.02 * sd
    assert np.sqrt(np.mean((pair.reference[INNER] - pair.deformed[INNER]) ** 2)) > 0.5 * sd


def test_a_registration_of_one_row_deforms_about_its_own_position(pair, field):
    one = twin.true_field(MOTION, np.array([[3.0, 40.0, 11.0]]))
    np.testing.assert_allclose(
        dvc.deform_volume(pair.reference, one), dvc.deform_volume(pair.reference, field), atol=2e-4
    )


def test_scattered_nodes_deform_too(pair, field):
    random = np.random.default_rng(0)
    scattered = twin.true_field(MOTION, random.uniform(5, 40, (60, 3)))
    np.testing.assert_allclose(
        dvc.deform_volume(pair.reference, scattered)[INNER], dvc.deform_volume(pair.reference, field)[INNER], atol=1e-3
    )


def test_deforming_inverts_warping_back(pair, field):
    """What is warped back onto the reference and deformed again is the deformed volume."""
    with dvc.thread_pool(1) as pool:
        back = dvc.DeformedVolume(pair.deformed, field, inverse=False, interpolation="cubic", pool=pool)
        whole = back[tuple(slice(0, n) for n in SHAPE)]
    again = dvc.deform_volume(whole, field)
    inner = (slice(10, -10),) * 3
    assert np.abs(again[inner] - pair.deformed[inner]).max() < 0.05 * pair.deformed.std()


def test_a_smooth_strong_field_is_inverted():
    motion = twin.make_smooth_motion(SHAPE, strain=0.06, swelling=0.1, seed=5)
    pair = twin.make_speckle_pair(SHAPE, motion, texture=twin.SpeckleTexture(1, widths_vox=(2.5, 4.0)))
    nodes, grid_shape = regular_nodes(SHAPE, 5)
    ours = dvc.deform_volume(pair.reference, twin.true_field(motion, nodes, grid_shape=grid_shape))
    error = ours[INNER] - pair.deformed[INNER]
    assert np.sqrt(np.mean(error**2)) < 0.03 * pair.deformed.std()


def test_outside_the_reference_is_0(pair):
    shift = twin.true_field(twin.make_rigid_motion(displacement_vox=(20, 0, 0)), CENTRE[None])
    moved = dvc.deform_volume(pair.reference, shift)
    assert (moved[:19] == 0).all()
    np.testing.assert_allclose(moved[21:], pair.reference[1:-20], atol=1e-4)


def test_nodes_without_phi_leave_their_voxels_at_0(pair, field):
    phi = field.phi.copy()
    phi[field.positions_vox[:, 0] > 30] = np.nan
    holed = dvc.deform_volume(pair.reference, field.with_values(phi=phi))
    whole = dvc.deform_volume(pair.reference, field)
    assert (holed[45:] == 0).all()
    np.testing.assert_allclose(holed[8:20, 7:-7, 7:-7], whole[8:20, 7:-7, 7:-7], atol=1e-4)


def test_blocks_are_cut_without_a_seam(pair, field):
    whole = tuple(slice(0, n) for n in SHAPE)
    for inverse in (True, False):
        with dvc.thread_pool(2) as pool:
            volume = dvc.DeformedVolume(pair.reference, field, inverse=inverse, interpolation="cubic", pool=pool)
            one, parts = volume[whole], np.empty(SHAPE, dtype=np.float32)
            for block in iterate_blocks(SHAPE, 17):
                parts[block] = volume[block]
        np.testing.assert_allclose(parts, one, atol=2e-4)


def test_the_residual_is_the_noise_of_both_volumes(noisy, field):
    residual = dvc.subtract_deformed(noisy.reference, noisy.deformed, field)
    noise = 0.05 * noisy.reference.std()
    assert residual.dtype == np.float32
    assert noise < residual[INNER].std() < 1.6 * noise
    assert abs(residual[INNER].mean()) < 0.2 * noise


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.0), (300.0, -40.0)])
def test_the_residual_is_unmoved_by_grey_gain(noisy, field, gain, offset):
    plain = dvc.subtract_deformed(noisy.reference, noisy.deformed, field)
    other = dvc.subtract_deformed(noisy.reference, gain * noisy.deformed + offset, field)
    np.testing.assert_allclose(other, plain, atol=2e-3 * noisy.reference.std())


def test_what_has_left_the_deformed_volume_leaves_no_residual(pair):
    shift = twin.true_field(twin.make_rigid_motion(displacement_vox=(0, 0, 30)), CENTRE[None])
    residual = dvc.subtract_deformed(pair.reference, pair.deformed, shift)
    assert (residual[:, :, -29:] == 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_a_byte(pair, field, threads):
    ours = dvc.deform_volume(pair.reference, field, threads=threads)
    assert ours.tobytes() == dvc.deform_volume(pair.reference, field).tobytes()


def test_a_field_without_a_finite_phi_is_refused(pair):
    nothing = DeformationField.from_phi(np.zeros((1, 3)), np.full((1, 4, 4), np.nan))
    with pytest.raises(InputError, match="no finite Phi"):
        dvc.deform_volume(pair.reference, nothing)
    with pytest.raises(InputError, match="no finite Phi"):
        dvc.subtract_deformed(pair.reference, pair.deformed, nothing)


def test_volumes_of_different_shape_have_no_residual(pair, field):
    with pytest.raises(InputError, match="one shape"):
        dvc.subtract_deformed(pair.reference, pair.deformed[1:], field)


def test_an_unknown_interpolation_is_refused(pair, field):
    with pytest.raises(InputError, match="cubic or linear"):
        dvc.deform_volume(pair.reference, field, interpolation="sinc")


def test_progress_counts_blocks(pair, field):
    seen = []
    dvc.deform_volume(pair.reference, field, on_progress=lambda *report: seen.append(report))
    assert seen == [(1, 1)]


@pytest.mark.parametrize(
    ("phi", "said"),
    [(np.diag([0.0, 0.0, 0.0, 1.0]), "det F"), (np.diag([-1.0, 1.0, 1.0, 1.0]), "det F"), (None, "ten volumes")],
)
def test_an_impossible_phi_deforms_nothing(phi, said) -> None:
    if phi is None:
        phi = np.eye(4)
        phi[0, 3] = 1e300
    field = DeformationField.from_phi(np.array([[10.0, 10.0, 10.0]]), phi[None])
    with pytest.raises(InputError, match=said):
        dvc.deform_volume(np.ones((20, 21, 22), dtype=np.float32), field)


def test_a_failed_node_is_replaced_by_its_neighbours() -> None:
    positions, grid_shape = regular_nodes((40, 40, 40), 10)
    phi = np.tile(np.eye(4), (len(positions), 1, 1))
    phi[:, 1, 3] = 2.0
    phi[13, 1, 3] = 9.0
    status = np.full(len(positions), 2, dtype=np.int32)
    status[13] = 1
    field = DeformationField.from_phi(positions, phi, grid_shape=grid_shape).with_values(status=status)
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[None, :, None], (40, 40, 40))
    inner = (slice(5, 35),) * 3
    np.testing.assert_allclose(dvc.deform_volume(ramp, field)[inner], ramp[inner] - 2.0, atol=1e-3)

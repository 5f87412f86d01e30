"""Registration of a whole pair: truth for large motions, masks, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.errors import InputError
from voltome.fields import NodeStatus

SHAPE = (72, 56, 64)
CENTRE = (np.array(SHAPE) - 1) / 2
ROTATION = twin.make_rigid_motion(displacement_vox=(2, 3, -1), rotation_rad=(0.1, -0.14, 0.05), centre_vox=CENTRE)


def _affine(*stretch, shift=(0, 0, 0)):
    return twin.make_affine_motion(np.diag(stretch), displacement_vox=shift, centre_vox=CENTRE)


@pytest.mark.parametrize(
    "motion",
    [_affine(1, 1, 1, shift=(19.4, -13.3, 15.6)), _affine(1.3, 1, 1, shift=(2, 1, -1)),
     _affine(1.44, 0.97, 1.02, shift=(3, -2, 4)), _affine(0.75, 1, 1), ROTATION],
    ids=["shift of a quarter", "stretch of 30 %", "stretch of 44 %", "compression of 25 %", "rotation of 10 degrees"],
)  # fmt: skip
def test_large_motions_are_found(motion):
    pair = twin.make_speckle_pair(SHAPE, motion, noise=0.03)
    found = dvc.register_affine(pair.reference, pair.deformed)
    truth = twin.true_field(motion, CENTRE[None]).phi[0]
    assert found.status == NodeStatus.CONVERGED
    np.testing.assert_array_equal(found.centre_vox, CENTRE)
    np.testing.assert_allclose(found.phi[:3, :3], truth[:3, :3], atol=3e-4)
    np.testing.assert_allclose(found.phi[:3, 3], truth[:3, 3], atol=0.005)
    assert found.zncc > 0.99


def test_a_volume_registered_with_itself_does_not_move(affine_pair):
    found = dvc.register_affine(affine_pair.reference, affine_pair.reference)
    np.testing.assert_allclose(found.phi, np.eye(4), atol=1e-6)
    assert found.zncc == pytest.approx(1.0, abs=1e-6)


def test_grey_gain_and_offset_change_nothing(affine_pair):
    plain = dvc.register_affine(affine_pair.reference, affine_pair.deformed)
    other = dvc.register_affine(affine_pair.reference, 900.0 * affine_pair.deformed - 4000.0)
    np.testing.assert_allclose(other.phi, plain.phi, atol=1e-5)


def test_an_eye_registration_replaces_the_search_for_a_translation(affine_pair):
    start = np.eye(4)
    start[:3, 3] = (2.5, -3.0, 2.0)
    found = dvc.register_affine(affine_pair.reference, affine_pair.deformed, initial_phi=start)
    truth = twin.true_field(affine_pair.field, found.centre_vox[None]).phi[0]
    np.testing.assert_allclose(found.phi, truth, atol=0.002)


def test_what_the_mask_leaves_out_does_not_count():
    moving = twin.make_speckle_pair(SHAPE, _affine(1.01, 1, 1, shift=(3.2, 0, 2.4)), seed=1)
    resting = twin.make_speckle_pair(SHAPE, _affine(1, 1, 1), seed=2)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[:, :, 26:] = 1
    reference = np.where(mask > 0, moving.reference, resting.reference)
    deformed = np.where(mask > 0, moving.deformed, resting.deformed)
    found = dvc.register_affine(reference, deformed, mask=mask)
    truth = twin.true_field(moving.field, CENTRE[None]).phi[0]
    np.testing.assert_allclose(found.phi[:3, 3], truth[:3, 3], atol=0.15)
    assert abs(dvc.register_affine(reference, deformed).phi[:3, 3] - truth[:3, 3]).max() > 0.15


def test_nan_outside_the_mask_is_allowed_and_inside_refused(affine_pair):
    reference, deformed = affine_pair.reference.copy(), affine_pair.deformed.copy()
    mask = np.ones(reference.shape, dtype=np.uint8)
    mask[:12] = 0
    reference[:12] = np.nan
    deformed[:9] = np.nan
    found = dvc.register_affine(reference, deformed, mask=mask)
    truth = twin.true_field(affine_pair.field, found.centre_vox[None]).phi[0]
    np.testing.assert_allclose(found.phi, truth, atol=0.005)
    reference[30, 30, 30] = np.nan
    with pytest.raises(InputError, match="reference volume holds NaN"):
        dvc.register_affine(reference, deformed, mask=mask)


def test_two_unrelated_volumes_do_not_raise():
    random = np.random.default_rng(0)
    found = dvc.register_affine(*(random.standard_normal((30, 34, 38)).astype(np.float32) for _ in range(2)))
    assert found.phi.shape == (4, 4)
    assert found.zncc < 0.5


def test_shading_does_not_lead_away_where_texture_is_partly_lost():
    """Beam hardening along a cylinder correlates anywhere on its axis, and best by chance where little overlaps."""
    shape = (110, 60, 60)
    motion = twin.make_rigid_motion(displacement_vox=(0, -1, -1.5))
    pair = twin.make_speckle_pair(shape, motion, noise=0.2, seed=5)
    deformed = pair.deformed.copy()
    deformed[:40] = twin.make_speckle_pair(shape, motion, seed=6).deformed[:40]
    axis, along = np.linspace(-1, 1, 60), np.linspace(0.3, 1, 110)[:, None, None]
    shading = 0.6 * np.add.outer(axis**2, axis**2)
    found = dvc.register_affine(pair.reference - shading * along, deformed - shading * along[::-1])
    np.testing.assert_allclose(found.phi[:3, 3], (0, -1, -1.5), atol=0.5)


def test_a_volume_that_is_smaller_than_the_stencils_is_said_not_to_be_fixed():
    grey = np.random.default_rng(2).random((6, 6, 6))
    found = dvc.register_affine(grey, grey)
    assert found.status == NodeStatus.SINGULAR
    np.testing.assert_allclose(found.phi, np.eye(4))

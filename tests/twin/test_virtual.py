"""Volumes deformed by a known motion."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import twin
from voltome.errors import InputError

SHAPE = (58, 50, 54)
CENTRE = (np.array(SHAPE) - 1) / 2
INNER = (slice(8, -8),) * 3


@pytest.mark.parametrize(
    "motion",
    [
        twin.make_affine_motion([[1.02, 0.01, 0], [0, 0.99, 0], [0.005, 0, 1.01]], displacement_vox=(0.4, -0.3, 0.2),
                                centre_vox=CENTRE),
        twin.make_sine_motion(0.8, 40.0, component=0, along=2),
    ],
)  # fmt: skip
def test_the_image_is_that_of_the_moved_object(motion):
    pair = twin.make_speckle_pair(SHAPE, motion)
    error = (twin.deform_image(pair.reference, motion) - pair.deformed)[INNER]
    assert np.sqrt(np.mean(error**2)) < 0.005 * pair.reference.std()


def test_no_motion_gives_the_volume_back():
    volume = np.random.default_rng(1).normal(size=(20, 24, 22)).astype(np.float32)
    np.testing.assert_allclose(twin.deform_image(volume, twin.make_rigid_motion()), volume, atol=1e-4)


def test_the_noise_between_voxels_is_smoother():
    volume = np.random.default_rng(2).normal(size=(40, 42, 44)).astype(np.float32)
    half = twin.deform_image(volume, twin.make_rigid_motion(displacement_vox=(0.5, 0.5, 0.5)))
    assert 0.6 < half[INNER].std() / volume.std() < 0.95


def test_threads_do_not_change_the_image():
    pair = twin.make_speckle_pair(SHAPE, twin.make_sine_motion(0.5, 30.0))
    one, two = (twin.deform_image(pair.reference, pair.field, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_a_slice_is_no_volume():
    with pytest.raises(InputError, match="three axes"):
        twin.deform_image(np.zeros((4, 5)), twin.make_rigid_motion())

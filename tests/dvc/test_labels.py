"""Particles of a label volume: found whatever their numbers, and grown without touching each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from voltome.dvc import find_particles, labels
from voltome.dvc.labels import check_dilation, grow_label
from voltome.errors import InputError


@pytest.fixture(scope="module")
def volume():
    """Boxes of random labels from 0 to 343, most of them in several pieces."""
    random = np.random.default_rng(0)
    return np.kron(random.integers(0, 50, (9, 8, 7)) * 7, np.ones((5, 6, 7), dtype=int)).astype(np.uint16)


@pytest.mark.parametrize("slab_voxels", [1, 9_000, 1 << 22])
def test_particles_are_those_that_scipy_finds(volume, monkeypatch, slab_voxels):
    monkeypatch.setattr(labels, "_SLAB_VOXELS", slab_voxels)
    found = find_particles(volume)
    numbers = np.unique(volume)[1:]
    np.testing.assert_array_equal(found.labels, numbers)
    np.testing.assert_array_equal(found.volumes_vox, np.bincount(volume.ravel())[numbers])
    np.testing.assert_allclose(found.centroids_vox, ndimage.center_of_mass(volume > 0, volume, numbers))
    boxes = ndimage.find_objects(volume.astype(np.int32))
    for number, low, high in zip(numbers, found.low, found.high, strict=True):
        assert [(s.start, s.stop) for s in boxes[number - 1]] == list(zip(low, high, strict=True))


def test_labels_may_be_huge_and_fill_the_volume():
    volume = np.full((4, 5, 6), 2**32 - 1, dtype=np.uint32)
    volume[0, 0, 0] = 7
    found = find_particles(volume)
    assert found.labels.tolist() == [7, 2**32 - 1]
    assert found.volumes_vox.tolist() == [1, 119]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 5, 6), dtype=np.uint8), "no particle"),
        (np.ones((4, 5, 6), dtype=np.float32), "whole numbers (got float32)"),
        (np.full((4, 5, 6), -3, dtype=np.int16), ">= 0 (found -3)"),
        (np.ones((4, 5, 7), dtype=np.uint8), "shape (4, 5, 6) (got (4, 5, 7))"),
    ],
)
def test_what_is_no_label_volume_is_refused(array, said):
    with pytest.raises(InputError) as refusal:
        find_particles(array, shape=(4, 5, 6))
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_label_grows_by_a_ball_and_not_into_others():
    volume = np.zeros((11, 12, 13), dtype=np.uint8)
    volume[5, 5, 5] = 3
    volume[5, 5, 7] = 9
    grown = grow_label(volume, 3, 2)
    z, y, x = np.ogrid[:11, :12, :13]
    expected = ((z - 5) ** 2 + (y - 5) ** 2 + (x - 5) ** 2 <= 4) & (volume != 9)
    np.testing.assert_array_equal(grown, expected)


@pytest.mark.parametrize("by_vox", [-1, -2])
def test_a_label_shrinks_from_all_sides(by_vox):
    volume = np.zeros((11, 12, 13), dtype=np.uint8)
    volume[2:9, 2:10, 2:11] = 4
    shrunk = grow_label(volume, 4, by_vox)
    inner = slice(2 - by_vox, None)
    expected = np.zeros_like(shrunk)
    expected[inner, inner, inner] = True
    expected[9 + by_vox :], expected[:, 10 + by_vox :], expected[:, :, 11 + by_vox :] = False, False, False
    np.testing.assert_array_equal(shrunk, expected)


@pytest.mark.parametrize("dilation", [21, -21, np.nan])
def test_a_dilation_out_of_range_is_refused(dilation):
    with pytest.raises(InputError, match="label dilation must be -20 to 20"):
        check_dilation(dilation)

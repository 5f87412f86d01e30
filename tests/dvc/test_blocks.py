"""What a correlation reads: checks of the input, grey scale, reduced and continued blocks."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.dvc import blocks
from voltome.dvc.blocks import GreyScale, ReducedVolume, check_pair, measure_grey_scale, read_normalised, reduce_volume
from voltome.errors import InputError
from voltome.kernels.sampling import TAIL

GREY = np.random.default_rng(3).integers(0, 250, (14, 11, 17)).astype(np.uint8)
SAME = GreyScale(0.0, 1.0)


def _read(start, stop, source=GREY, scale=SAME):
    flat = read_normalised(source, np.array(start), np.array(stop), scale)
    assert flat.dtype == np.float32
    assert (flat[flat.size - TAIL :] == 0).all()
    return flat[: flat.size - TAIL].reshape(np.subtract(stop, start))


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
def test_a_block_is_offset_and_scaled_whatever_its_type(dtype):
    block = _read((2, 1, 3), (9, 8, 12), GREY.astype(dtype), GreyScale(100.0, 0.5))
    np.testing.assert_allclose(block, (GREY[2:9, 1:8, 3:12].astype(float) - 100) / 2, rtol=1e-6)


def test_large_grey_values_keep_their_digits():
    block = _read((0, 0, 0), (14, 11, 17), GREY.astype(np.float64) + 1e9, GreyScale(1e9, 1.0))
    np.testing.assert_array_equal(block, GREY)


def test_a_linear_ramp_goes_on_beyond_the_volume():
    ramp = np.add.outer(np.arange(6.0) * 3, np.add.outer(np.arange(5.0), np.arange(7.0) * 2))
    block = _read((-3, -2, 0), (8, 7, 9), ramp)
    z, y, x = np.meshgrid(np.arange(-3, 8), np.arange(-2, 7), np.arange(9), indexing="ij")
    np.testing.assert_allclose(block, 3 * z + y + 2 * x, atol=1e-5)


class Chunked:
    """A volume that keeps an account of the planes that were read."""

    def __init__(self, values, chunk_shape):
        self.values, self.shape, self.dtype, self.chunk_shape = values, values.shape, values.dtype, chunk_shape
        self.planes = []

    def __getitem__(self, block):
        self.planes.append((block[0].start, block[0].stop))
        return self.values[block]


@pytest.mark.parametrize("slab_voxels", [1, 400, 10**6])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_block_is_the_same_however_it_is_cut_for_reading(slab_voxels, factor, monkeypatch):
    source = Chunked(GREY, (4, 4, 4))
    whole = _read((-2, -1, 0), (8, 6, 9), reduce_volume(GREY, factor))
    monkeypatch.setattr(blocks, "_SLAB_VOXELS", slab_voxels)
    np.testing.assert_array_equal(_read((-2, -1, 0), (8, 6, 9), reduce_volume(source, factor)), whole)


def test_no_layer_of_chunks_is_read_twice(monkeypatch):
    monkeypatch.setattr(blocks, "_SLAB_VOXELS", 1)
    source = Chunked(GREY, (4, 4, 4))
    _read((3, 0, 0), (14, 11, 17), source)
    assert source.planes == [(3, 4), (4, 8), (8, 12), (12, 14)]
    source.planes.clear()
    _read((0, 0, 0), (7, 5, 8), reduce_volume(source, 2))
    assert source.planes == [(0, 4), (4, 8), (8, 12), (12, 14)]


def test_a_reduced_voxel_is_the_mean_of_a_cube():
    reduced = ReducedVolume(GREY, 3)
    assert reduced.shape == (4, 3, 5)
    expected = GREY[:12, :9, :15].reshape(4, 3, 3, 3, 5, 3).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(reduced[slice(1, 4), slice(0, 3), slice(2, 5)], expected[1:, :, 2:], rtol=1e-6)
    assert reduce_volume(GREY, 1) is GREY


def test_grey_scale_brings_a_volume_to_zero_and_one():
    scale = measure_grey_scale(GREY.astype(np.float64) * 40 + 1e6)
    values = (GREY * 40.0 + 1e6 - scale.offset) * scale.scale
    assert values.mean() == pytest.approx(0, abs=1e-6)
    assert values.std() == pytest.approx(1, rel=1e-6)


def test_grey_scale_is_that_of_the_masked_voxels_alone():
    grey = GREY.astype(np.float64)
    grey[:, :, 8:] += 1e5
    grey[0, 0, 0] = np.nan
    mask = np.zeros(GREY.shape, dtype=bool)
    mask[:, :, :8] = True
    known = grey[:, :, :8][np.isfinite(grey[:, :, :8])]
    scale = measure_grey_scale(grey, mask=mask)
    assert scale.offset == pytest.approx(known.mean())
    assert 1 / scale.scale == pytest.approx(known.std())


@pytest.mark.parametrize(
    ("volume", "mask", "rule"),
    [
        (np.full((4, 5, 6), 7, dtype=np.uint8), None, r"is constant \(grey value 7\)"),
        (np.full((4, 5, 6), 0.1), None, "is constant"),
        (np.full((4, 5, 6), np.nan), None, "no finite grey value"),
        (GREY, np.zeros(GREY.shape), "mask covers no voxel"),
    ],
)
def test_a_volume_without_texture_is_refused(volume, mask, rule):
    with pytest.raises(InputError, match=rule):
        measure_grey_scale(volume, mask=mask)


@pytest.mark.parametrize(
    ("reference", "deformed", "mask", "rule"),
    [
        (GREY, GREY[1:], None, "one shape"),
        (GREY[0], GREY[0], None, "reference volume must have three dimensions"),
        (GREY, GREY[0], None, "deformed volume must have three dimensions"),
        (GREY[:0], GREY[:0], None, r"three dimensions .* or is empty|three dimensions"),
        (GREY.astype(complex), GREY, None, "real numbers"),
        (GREY, GREY, GREY[:, 1:], "mask must have the volume's shape"),
    ],
)
def test_volumes_that_do_not_fit_together_are_refused(reference, deformed, mask, rule):
    with pytest.raises(InputError, match=rule):
        check_pair(reference, deformed, mask)

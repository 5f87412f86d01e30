"""What the correlation reads of the store: block means come from the pyramid."""

from __future__ import annotations

import numpy as np

from voltome import io
from voltome.dvc.blocks import ReducedVolume, reduce_volume
from voltome.study.stored import StoredScan, make_region

SHAPE = (75, 70, 131)
WHOLE = (slice(0, 400),) * 3


def store_scan(folder, grey):
    path = folder / "volumes.zarr"
    io.prepare_series(path, names=["T0"], shape=SHAPE, dtype=np.uint16, voxel_size_m=None)
    blocks = io.series_blocks(SHAPE)
    for block in blocks[0]:
        io.write_series_block(path, 0, 0, block, grey[block], scratch=folder)
    for level in range(1, len(blocks)):
        for block in blocks[level]:
            io.reduce_series_block(path, level, 0, block, scratch=folder)
    return StoredScan(str(path), 0)


def test_reduced_scans_are_block_means_to_a_grey_value(tmp_path):
    grey = np.random.default_rng(4).integers(0, 60000, SHAPE, dtype=np.uint16)
    scan = store_scan(tmp_path, grey)
    np.testing.assert_array_equal(scan[WHOLE], grey)
    for factor in (2, 4):
        found, expected = reduce_volume(scan, factor), ReducedVolume(grey, factor)
        assert isinstance(found, StoredScan)
        assert found.shape == expected.shape
        # the last block mean of an odd level stands for one layer less than the pyramid's
        inner = tuple(slice(0, n - 1) for n in expected.shape)
        np.testing.assert_allclose(found[inner], expected[inner], atol=1.0)
        np.testing.assert_array_equal(found[1:9, 3:5, 7:30], found[inner][1:9, 3:5, 7:30])


def test_what_the_pyramid_does_not_hold_is_worked_out(tmp_path):
    scan = store_scan(tmp_path, np.zeros(SHAPE, dtype=np.uint16))
    assert isinstance(reduce_volume(scan, 3), ReducedVolume)
    assert isinstance(reduce_volume(scan, 64), ReducedVolume)


def test_a_region_weighs_its_voxels_by_the_mask():
    mask = np.random.default_rng(5).random(SHAPE, dtype=np.float32)
    region = make_region(SHAPE, (10, 0, 3), (60, 70, 100), mask)
    expected = np.zeros(SHAPE, dtype=np.float32)
    expected[10:60, :, 3:100] = mask[10:60, :, 3:100]
    np.testing.assert_array_equal(region[0:75, 0:70, 0:131], expected)
    assert isinstance(reduce_volume(region, 2), ReducedVolume)


def test_a_reduced_region_is_the_share_of_each_block():
    region = make_region(SHAPE, (9, 0, 3), (60, 70, 100))
    found, expected = reduce_volume(region, 4), ReducedVolume(region, 4)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[0:18, 0:17, 0:32], expected[0:18, 0:17, 0:32], atol=1e-6)

"""A volume that is written block by block in any order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.grid import make_block
from voltome.io import ScratchVolume, read_volume, write_volume

VOXELS = np.random.default_rng(6).integers(0, 60000, (11, 14, 17), dtype=np.uint16)


def cut(size):
    """Blocks of at most this size, last ones first."""
    starts = [range(0, n, s) for n, s in zip(VOXELS.shape, size, strict=True)]
    for z in reversed(starts[0]):
        for y in starts[1]:
            for x in reversed(starts[2]):
                stop = np.minimum(np.add((z, y, x), size), VOXELS.shape)
                yield make_block((z, y, x), stop)


@pytest.mark.parametrize("size", [(4, 14, 17), (4, 5, 17), (3, 5, 6), (11, 14, 17), (1, 14, 2)], ids=str)
def test_blocks_in_any_order_make_the_volume(size, tmp_path):
    with ScratchVolume(tmp_path / "a.raw", VOXELS.shape, np.uint16) as volume:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda block: volume.write(block, VOXELS[block]), cut(size)))
        np.testing.assert_array_equal(volume[0:11, 0:14, 0:17], VOXELS)
        np.testing.assert_array_equal(volume[2:9, 3:8, 4:5], VOXELS[2:9, 3:8, 4:5])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_it_is_written_as_any_other_volume(name, tmp_path):
    with ScratchVolume(tmp_path / "a.raw", VOXELS.shape, np.uint16) as volume:
        for block in cut((4, 14, 17)):
            volume.write(block, VOXELS[block])
        write_volume(tmp_path / name, volume, voxel_size_m=1e-7)
    np.testing.assert_array_equal(read_volume(tmp_path / name), VOXELS)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_was_not_written_is_zero(tmp_path):
    with ScratchVolume(tmp_path / "a.raw", (4, 5, 6), np.uint8) as volume:
        volume.write(make_block((1, 0, 0), (2, 5, 6)), np.full((1, 5, 6), 7))
        assert volume[:, :, :].sum() == 7 * 30
        assert (volume[1:2, :, :] == 7).all()


def test_a_failure_takes_the_file_along(tmp_path):
    with pytest.raises(KeyboardInterrupt), ScratchVolume(tmp_path / "a.raw", (4, 5, 6), np.uint8):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_does_not_fit_is_refused(tmp_path):
    with ScratchVolume(tmp_path / "a.raw", (4, 5, 6), np.uint8) as volume:
        for block, values in (
            (make_block((0, 0, 0), (2, 5, 6)), np.zeros((1, 5, 6))),
            (make_block((3, 0, 0), (5, 5, 6)), np.zeros((2, 5, 6))),
            (make_block((-1, 0, 0), (1, 5, 6)), np.zeros((2, 5, 6))),
        ):
            with pytest.raises(InputError, match="must lie in its volume"):
                volume.write(block, values)
        assert volume[:, :, :].sum() == 0


def test_a_file_that_is_there_is_kept(tmp_path):
    (tmp_path / "a.raw").write_text("precious")
    with pytest.raises(InputError, match="already exists"):
        ScratchVolume(tmp_path / "a.raw", (4, 5, 6), np.uint8)
    assert (tmp_path / "a.raw").read_text() == "precious"

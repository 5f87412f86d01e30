"""The series of volumes: valid OME-Zarr, right values, the same bytes whoever writes, damage never read as voxels."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from voltome.errors import DamagedError, InputError, ResourceError
from voltome.io import (
    FileHashes,
    open_scan,
    open_series,
    open_volume,
    prepare_series,
    reduce_series_block,
    series_blocks,
)
from voltome.io import write_series_block as write_block
from voltome.io.zarr_writer import pyramid_shapes, reduce_grey, reduce_labels

SHAPE = (70, 265, 33)  # two shards along y


def make_scan(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(1, 60000, SHAPE, dtype=np.uint16)
    values[:64, :64] = 0  # a chunk of nothing
    return values


SCANS = [make_scan(0), make_scan(1)]


def write_scan(path, t, values, *, scratch, reverse=False):
    """Write all blocks of a scan, those of one level in any order; what the writer says of them."""
    said = []
    for level, blocks in enumerate(series_blocks(values.shape)):
        for block in reversed(blocks) if reverse else blocks:
            if level == 0:
                said.append(write_block(path, 0, t, block, values[block], scratch=scratch))
            else:
                said.append(reduce_series_block(path, level, t, block, scratch=scratch))
    return said


def read_files(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture
def store(tmp_path):
    """A series of two scans."""
    path = tmp_path / "volumes.zarr"
    prepare_series(path, names=["T0", "T1"], shape=SHAPE, dtype="uint16", voxel_size_m=5e-8)
    for t, values in enumerate(SCANS):
        write_scan(path, t, values, scratch=tmp_path / "scratch")
    return path


def test_zarr_alone_reads_the_right_values_at_every_level(store):
    group = zarr.open_group(store, mode="r")
    for t, expected in enumerate(SCANS):
        for i, shape in enumerate(pyramid_shapes(SHAPE)):
            assert group[str(i)].shape == (2, *shape)
            np.testing.assert_array_equal(group[str(i)][t], expected)
            expected = reduce_grey(expected)
    assert group["0"].chunks == (1, 64, 64, 64) and group["0"].shards == (1, 128, 256, 64)
    assert group.attrs["voltome"]["scans"] == ["T0", "T1"]


def test_an_independent_reader_finds_a_valid_image(store):
    image = pytest.importorskip("ome_zarr_models.v05.image").Image.from_zarr(zarr.open_group(store, mode="r"))
    (multiscale,) = image.ome_attributes.multiscales
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        ("t", "time", None),
        *((name, "space", "micrometer") for name in "zyx"),
    ]
    scale, translation = multiscale.datasets[2].coordinateTransformations
    assert scale.scale == [1.0, 0.2, 0.2, 0.2]
    assert translation.translation == pytest.approx([0.0, 0.075, 0.075, 0.075])


def test_a_scan_reads_as_a_volume(store):
    assert (open_series(store).names, open_series(store).shape) == (("T0", "T1"), SHAPE)
    with open_scan(store, 1) as volume:
        assert (volume.shape, volume.dtype, volume.voxel_size_m) == (SHAPE, np.uint16, 5e-8)
        for block in (np.s_[:, :, :], np.s_[60:70, 250:260, 3:5], np.s_[63:65, 63:65, 0:1], np.s_[5:5, :, :]):
            np.testing.assert_array_equal(volume[block], SCANS[1][block])
    with open_scan(store, 0, level=1) as coarse:
        assert coarse.voxel_size_m == 1e-7
        np.testing.assert_array_equal(coarse[:, 100:, :], reduce_grey(SCANS[0])[:, 100:, :])


def test_a_scan_has_a_name_like_any_other_volume(store):
    with open_volume(f"{store}::T1") as volume:
        assert (volume.path, volume.format, volume.voxel_size_m) == (open_scan(store, 1).path, "ome-zarr", 5e-8)
        np.testing.assert_array_equal(volume[3:9, 250:, :], SCANS[1][3:9, 250:])


def test_the_hash_of_a_scan_is_that_of_its_shards(store, tmp_path):
    before = [FileHashes(None).hash_input(f"{store}::{name}") for name in ("T0", "T1")]
    assert before[0] != before[1]
    prepare_series(store, names=["T0", "T1", "T2"], shape=SHAPE, dtype="uint16", voxel_size_m=5e-8)
    write_scan(store, 1, SCANS[0], scratch=tmp_path / "scratch")
    after = [FileHashes(None).hash_input(f"{store}::{name}") for name in ("T0", "T1")]
    assert after[0] == before[0] and after[1] != before[1]


def test_a_killed_writer_leaves_whole_shards_and_strays_in_the_scratch_alone(store, tmp_path):
    code = "import sys; from this_module import SCANS, write_scan\n"
    code += "while True: write_scan(sys.argv[1], 1, SCANS[1], scratch=sys.argv[2]); print(flush=True)"
    (tmp_path / "this_module.py").write_bytes(Path(__file__).read_bytes())
    names = set(read_files(store))
    with subprocess.Popen(
        [sys.executable, "-c", code, store, tmp_path / "scratch"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        for _ in range(20):
            np.testing.assert_array_equal(open_scan(store, 1)[:, :, :], SCANS[1])  # while it is being written
        process.kill()
    assert set(read_files(store)) == names
    for level in range(len(pyramid_shapes(SHAPE))):
        open_scan(store, 1, level=level)[:, :, :]


def test_many_threads_read_one_volume(store):
    blocks = [np.s_[z : z + 9, y : y + 50, 2:30] for z, y in itertools.product(range(0, 60, 9), range(0, 250, 50))]
    with open_scan(store, 0) as volume, ThreadPoolExecutor(4) as pool:
        for block, values in zip(blocks, pool.map(volume.__getitem__, blocks), strict=True):
            np.testing.assert_array_equal(values, SCANS[0][block])


def test_labels_keep_their_numbers(tmp_path):
    labels = np.random.default_rng(2).choice(np.array([0, 7, 90000], dtype=np.uint32), (20, 80, 30))
    path = tmp_path / "labels.zarr"
    prepare_series(path, names=["T0"], shape=labels.shape, dtype="uint32", voxel_size_m=None, labels=True)
    write_scan(path, 0, labels, scratch=tmp_path / "scratch")
    np.testing.assert_array_equal(open_scan(path, 0, level=1)[:, :, :], reduce_labels(labels))


def test_the_writer_tells_size_and_digest_of_each_file(store, tmp_path):
    said = write_scan(store, 0, SCANS[0], scratch=tmp_path / "scratch")
    assert {name for name, _, _ in said} == {name for name in read_files(store) if "/c/0/" in name}
    for name, size, digest in said:
        content = (store / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)


def test_two_processes_write_the_same_bytes_as_one_in_any_order(store, tmp_path):
    other = tmp_path / "other.zarr"
    prepare_series(other, names=["T0", "T1"], shape=SHAPE, dtype="uint16", voxel_size_m=5e-8)
    code = "import sys; from this_module import SCANS, write_scan\n"
    code += "write_scan(sys.argv[1], 1, SCANS[1], scratch=sys.argv[2], reverse=True)"
    (tmp_path / "this_module.py").write_bytes(Path(__file__).read_bytes())
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code, other, tmp_path / "scratch"], env=environment)
        for _ in range(2)  # both write the same files
    ]
    write_scan(other, 0, SCANS[0], scratch=tmp_path / "scratch", reverse=True)
    assert [process.wait() for process in processes] == [0, 0]
    ours, theirs = read_files(store), read_files(other)
    assert {name for name in ours if ours[name] != theirs[name]} == {"zarr.json"}  # holds the name of the store
    assert ours.keys() == theirs.keys()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_scans_are_added_and_metadata_that_are_right_are_not_touched(store):
    before = (store / "0" / "zarr.json").stat().st_mtime_ns, open_scan(store, 1)[:, :, :]
    prepare_series(store, names=["T0", "T1"], shape=SHAPE, dtype="uint16", voxel_size_m=5e-8)
    assert (store / "0" / "zarr.json").stat().st_mtime_ns == before[0]
    prepare_series(store, names=["T0", "T1", "T2"], shape=SHAPE, dtype="uint16", voxel_size_m=5e-8)
    assert open_series(store).names == ("T0", "T1", "T2")
    np.testing.assert_array_equal(open_scan(store, 1)[:, :, :], before[1])


def test_a_flipped_bit_anywhere_in_a_shard_is_found(store):
    place = store / "0" / "c" / "1" / "0" / "0" / "0"
    good = place.read_bytes()
    for position in (0, 17, len(good) // 2, len(good) - 1100, len(good) - 60, len(good) - 1):
        bad = bytearray(good)
        bad[position] ^= 4
        place.write_bytes(bad)
        with pytest.raises(DamagedError, match=r"0/c/1/0/0/0 is damaged \(a checksum is wrong\): run again") as caught:
            open_scan(store, 1)[:, :, :]
        assert pickle.loads(pickle.dumps(caught.value)).path == str(place)
    np.testing.assert_array_equal(open_scan(store, 1)[:, 256:, :], SCANS[1][:, 256:, :])  # of another shard


def test_a_damaged_chunk_is_found_by_reading_one_voxel_of_it(store):
    place = store / "0" / "c" / "1" / "0" / "0" / "0"
    bad = bytearray(place.read_bytes())
    bad[5000] ^= 1  # of the first chunk that holds something: z 0 to 64, y 64 to 128
    place.write_bytes(bad)
    with open_scan(store, 1) as volume:
        np.testing.assert_array_equal(volume[:, 128:, :], SCANS[1][:, 128:, :])
        with pytest.raises(DamagedError):
            volume[3:4, 100:101, 5:6]


@pytest.mark.parametrize("kept", [0, 3, 500, -1, -1000])
def test_a_shard_cut_short_is_found(store, kept):
    place = store / "0" / "c" / "0" / "0" / "1" / "0"
    place.write_bytes(place.read_bytes()[:kept])
    with pytest.raises(DamagedError, match="0/c/0/0/1/0 is damaged"):
        open_scan(store, 0)[:, 260:, :]


def test_a_missing_shard_is_no_zeros(store, tmp_path):
    (store / "0" / "c" / "0" / "0" / "1" / "0").unlink()
    with pytest.raises(DamagedError, match="0/c/0/0/1/0 is missing: run again"):
        open_scan(store, 0)[:, 260:, :]
    with pytest.raises(DamagedError, match="0/c/0/0/1/0 is missing: run again"):
        reduce_series_block(store, 1, 0, series_blocks(SHAPE)[1][0], scratch=tmp_path / "scratch")


def test_what_does_not_fit_is_refused_in_one_line(store, tmp_path):
    block = series_blocks(SHAPE)[0][0]
    scratch = tmp_path / "scratch"
    calls = [
        (
            lambda: write_block(store, 0, 0, np.s_[0:64, 0:64, 0:33], SCANS[0][:64, :64], scratch=scratch),
            "series_block",
        ),
        (lambda: write_block(store, 0, 0, block, SCANS[0][block].astype(np.float32), scratch=scratch), "float32"),
        (lambda: write_block(store, 0, 2, block, SCANS[0][block], scratch=scratch), "scans 0 to 1 .*got scan 2"),
        (lambda: reduce_series_block(store, 0, 0, block, scratch=scratch), "level must be >= 1"),
        (lambda: open_scan(store, 0, level=9), r"levels 0 to 3 \(got scan 0, level 9\)"),
        (lambda: open_series(tmp_path), "is not a series of volumes"),
        (lambda: open_volume(store), r"holds several volumes, .*: give volumes\.zarr::T0 or volumes\.zarr::T1"),
        (lambda: open_volume(f"{store}::T7"), r"volumes\.zarr has no node T7"),
        (lambda: prepare_series(store, names=["a", "a"], shape=SHAPE, dtype="u2", voxel_size_m=None), "got a, a"),
    ]
    for call, message in calls:
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_foreign_and_broken_metadata_are_refused(store, tmp_path):
    zarr.create_array(tmp_path / "foreign.zarr", data=SCANS[0])
    with pytest.raises(InputError, match=r"foreign\.zarr is not a series"):
        open_series(tmp_path / "foreign.zarr")
    for content in ("", "{}", "[1]", (store / "0" / "zarr.json").read_text().replace("zstd", "lz4")):
        (store / "0" / "zarr.json").write_text(content)
        with pytest.raises(InputError, match="that voltome wrote"):
            open_series(store)


def test_a_place_that_cannot_be_written_leaves_nothing_in_the_scratch(store, tmp_path):
    block = series_blocks(SHAPE)[0][0]
    (store / "0" / "c" / "0" / "0" / "0" / "0").unlink()
    (store / "0" / "c" / "0" / "0" / "0" / "0").mkdir()
    with pytest.raises(ResourceError, match="0/c/0/0/0/0 could not be written"):
        write_block(store, 0, 0, block, SCANS[0][block], scratch=tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []

"""Any format gives back what was written, whole or block by block."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.io import open_volume, read_volume, write_volume

NAMES = ["a.tif", "slices", "dir.d/", "a.h5::/entry/vol", "a.npy", "a.raw", "a.zarr", "a.ome.zarr"]
DTYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">u2", ">f4"]
GREY = np.random.default_rng(3).integers(0, 60000, (9, 14, 21), dtype=np.uint16)


def named(folder: Path | str, name: str) -> str:
    return f"{folder}/{name}"  # pathlib would drop the slash at the end


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@st.composite
def volumes_and_blocks(draw):
    shape = draw(st.tuples(*[st.integers(1, 9)] * 3))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = (np.random.default_rng(draw(st.integers(0, 99))).random(shape) * 100).astype(dtype)
    if dtype.kind == "f":
        values[0, 0, 0] = np.nan
    edges = [sorted((draw(st.integers(0, n)), draw(st.integers(0, n)))) for n in shape]
    return values, tuple(slice(*edge) for edge in edges)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(data=volumes_and_blocks())
def test_a_written_volume_reads_back_whole_and_by_block(name, data):
    values, block = data
    with tempfile.TemporaryDirectory() as folder:
        write_volume(named(folder, name), values, voxel_size_m=3.3e-7)
        with open_volume(named(folder, name)) as volume:
            assert isinstance(volume, VolumeSource)
            assert volume.shape == values.shape
            assert volume.dtype == (np.uint8 if values.dtype.kind == "b" else values.dtype.newbyteorder("="))
            assert volume.dtype.isnative
            assert volume.voxel_size_m == (None if name.endswith(".npy") else 3.3e-7)
            for where in (np.s_[:, :, :], block):
                part = volume[where]
                assert part.flags.c_contiguous
                assert part.dtype == volume.dtype
                np.testing.assert_array_equal(part, values[where])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_volume_gives_the_same_bytes(name, tmp_path):
    for run in "ab":
        write_volume(named(tmp_path / run, name), GREY, voxel_size_m=5e-8)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a")


@pytest.mark.parametrize("name", NAMES)
def test_many_threads_read_the_same_volume_at_once(name, tmp_path):
    write_volume(named(tmp_path, name), GREY)
    blocks = [np.s_[z : z + 3, y : y + 5, 2:19] for z in range(7) for y in range(9)] * 3
    with open_volume(named(tmp_path, name)) as volume, ThreadPoolExecutor(4) as threads:
        for block, values in zip(blocks, threads.map(volume.__getitem__, blocks), strict=True):
            np.testing.assert_array_equal(values, GREY[block])


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", ["b.tif", "b.zarr", "b.npy"])
def test_a_volume_is_a_source_and_hands_on_its_voxel_size(source, target, tmp_path):
    write_volume(named(tmp_path, source), GREY, voxel_size_m=None if source.endswith(".npy") else 1.5e-6)
    with open_volume(named(tmp_path, source), voxel_size_m=1.5e-6 if source.endswith(".npy") else None) as volume:
        write_volume(tmp_path / target, volume)
    with open_volume(tmp_path / target) as copy:
        assert copy.voxel_size_m == (None if target.endswith(".npy") else 1.5e-6)
        np.testing.assert_array_equal(copy[:, :, :], GREY)


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.raw", "a.h5::/v"])
def test_a_block_takes_no_more_memory_than_itself(name, tmp_path):
    values = np.zeros((64, 200, 300), dtype=np.float32)
    write_volume(named(tmp_path, name), values)
    with open_volume(named(tmp_path, name)) as volume:
        volume[0:1, 0:1, 0:1]
        tracemalloc.start()
        block = volume[10:12, 20:180, 5:290]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3 * block.nbytes < values.nbytes / 10


def test_progress_counts_to_the_end(tmp_path):
    for name in NAMES:
        seen = []
        write_volume(named(tmp_path, name), GREY, on_progress=lambda done, total, seen=seen: seen.append((done, total)))
        assert seen[-1][0] == seen[-1][1] > 0
        assert seen == sorted(seen)


def test_the_given_voxel_size_wins(tmp_path):
    write_volume(tmp_path / "a.tif", GREY, voxel_size_m=1e-6)
    with open_volume(tmp_path / "a.tif", voxel_size_m=2e-6) as volume:
        assert volume.voxel_size_m == 2e-6


def test_read_volume_gives_the_array(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.npy"), GREY)


def test_fortran_order_and_foreign_byte_order_are_turned(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(GREY.astype(">u2")))
    with open_volume(tmp_path / "a.npy") as volume:
        assert volume.dtype == np.uint16
        np.testing.assert_array_equal(volume[1:6, 2:9, 3:20], GREY[1:6, 2:9, 3:20])


def test_leading_axes_of_one_are_dropped(tmp_path):
    np.save(tmp_path / "a.npy", GREY[None, None])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"] = GREY[None]
    for name in ("a.npy", "a.h5::/v"):
        with open_volume(named(tmp_path, name)) as volume:
            np.testing.assert_array_equal(volume[2:5, :, 3:4], GREY[2:5, :, 3:4])


def test_raw_takes_shape_and_byte_order_from_the_caller(tmp_path):
    GREY.astype(">u2").tofile(tmp_path / "scan.vol")
    with open_volume(tmp_path / "scan.vol", shape=GREY.shape, dtype=">u2", voxel_size_m=1e-6) as volume:
        np.testing.assert_array_equal(volume[3:7, 1:5, 2:20], GREY[3:7, 1:5, 2:20])
        assert volume.voxel_size_m == 1e-6


@pytest.mark.parametrize(
    ("attributes", "fields", "expected"),
    [
        ({"element_size_um": [0.05, 0.05, 0.05]}, {}, 5e-8),
        ({"voxel_size_m": 2e-7}, {}, 2e-7),
        ({"voxel_size": 3.0, "units": "um"}, {}, 3e-6),
        ({}, {"x_pixel_size": (6.5e-7, None), "y_pixel_size": (6.5e-7, "m")}, 6.5e-7),
        ({}, {"x_pixel_size": (0.65, "um")}, 6.5e-7),
        ({}, {"pixel_size": (0.65, "furlong")}, None),
        ({}, {}, None),
    ],
)
def test_hdf5_states_its_voxel_size_in_many_ways(attributes, fields, expected, tmp_path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file["entry/data/volume"] = GREY
        file["entry/data/volume"].attrs.update(attributes)
        for name, (value, unit) in fields.items():
            file[f"entry/data/{name}"] = value
            if unit:
                file[f"entry/data/{name}"].attrs["units"] = unit
    with open_volume(named(tmp_path, "a.nxs::/entry/data/volume")) as volume:
        assert volume.voxel_size_m == expected


def test_voxels_that_are_no_cubes_are_refused_unless_the_size_is_given(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"] = GREY
        file["v"].attrs["element_size_um"] = [2.0, 1.0, 1.0]
    with pytest.raises(InputError, match=r"cubes \(got 2e-06, 1e-06, 1e-06 m"):
        open_volume(named(tmp_path, "a.h5::/v"))
    with open_volume(named(tmp_path, "a.h5::/v"), voxel_size_m=1e-6) as volume:
        assert volume.voxel_size_m == 1e-6


def test_overwrite_replaces_each_format(tmp_path):
    for name in NAMES:
        write_volume(named(tmp_path, name), GREY)
        with pytest.raises(InputError, match="exists"):
            write_volume(named(tmp_path, name), GREY + 1)
        np.testing.assert_array_equal(read_volume(named(tmp_path, name)), GREY)
        write_volume(named(tmp_path, name), GREY[:4] + 1, overwrite=True)
        np.testing.assert_array_equal(read_volume(named(tmp_path, name)), GREY[:4] + 1)
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_would_lose_other_datasets_is_not_replaced(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["precious"] = GREY
    with pytest.raises(InputError, match="also holds precious"):
        write_volume(named(tmp_path, "a.h5::/v"), GREY, overwrite=True)
    np.testing.assert_array_equal(read_volume(named(tmp_path, "a.h5::/precious")), GREY)


class Interrupted:
    """A source whose reader is stopped by Ctrl-C after its first slices."""

    shape, dtype = (300, 256, 512), np.dtype(np.uint16)

    def __getitem__(self, block):
        if block[0].start > 0 or block[1].start > 0 or block[0].stop == self.shape[0]:
            raise KeyboardInterrupt
        return np.ones([edge.stop - edge.start for edge in block], dtype=self.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_leaves_nothing(name, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_volume(named(tmp_path, name), Interrupted())
    assert not list(tmp_path.iterdir())


def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(tmp_path):
    script = (
        "import resource, sys, numpy as np\n"
        "from voltome.errors import ResourceError\n"
        "from voltome.io import write_volume\n"
        "values = np.random.default_rng(0).integers(0, 60000, (4, 90, 90), dtype=np.uint16)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))\n"
        "for name in sys.argv[2:]:\n"
        "    try:\n"
        "        write_volume(f'{sys.argv[1]}/{name}', values)\n"
        "    except ResourceError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *NAMES],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == len(NAMES), done.stdout
    assert all("while writing" in line for line in lines)
    assert not list(tmp_path.iterdir())

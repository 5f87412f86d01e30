"""Fingerprints: of the content alone, remembered as long as nothing changed, never wrong about what did."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time

import h5py
import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io import FileHashes, write_volume

VOXELS = np.random.default_rng(5).integers(0, 255, (6, 7, 8), dtype=np.uint8)
OLD_S = time.time() - 3600


def write_old(path, content: bytes, *, at=OLD_S):
    """A file that was last modified an hour ago."""
    path.write_bytes(content)
    os.utime(path, (at, at))


def remember(cache, path, digest):
    """Make the memory say something else of a file, so that one sees whether it is asked."""
    entries = json.loads(cache.read_text())
    entries[str(path)][-1] = digest
    cache.write_text(json.dumps(entries))


@pytest.fixture
def settled(monkeypatch):
    """A clock that is an hour ahead: files written now are old, as they are on the next day."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3_600_000_000_000)


def test_a_hash_is_that_of_the_content(tmp_path):
    write_old(tmp_path / "a", b"x" * 3_000_001)
    assert FileHashes(None).hash_file(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_001).hexdigest()


@pytest.mark.usefixtures("settled")
def test_what_did_not_change_is_not_read_again(tmp_path):
    path, cache = tmp_path / "a", tmp_path / "run" / "stat.json"
    write_old(path, b"abc")
    hashes = FileHashes(cache)
    hashes.hash_file(path)
    hashes.save()
    remember(cache, path, "from memory")
    assert FileHashes(cache).hash_file(path) == "from memory"


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", ["size", "time", "content with its time set back"])
def test_what_changed_is_read_again(tmp_path, change):
    path, cache = tmp_path / "a", tmp_path / "stat.json"
    write_old(path, b"abc")
    hashes = FileHashes(cache)
    hashes.hash_file(path)
    hashes.save()
    remember(cache, path, "from memory")
    if change == "time":
        os.utime(path, (OLD_S + 1, OLD_S + 1))
    else:
        write_old(path, b"abcd" if change == "size" else b"xyz")
    assert FileHashes(cache).hash_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_hashed_right_after_it_was_written_is_never_trusted(tmp_path):
    path, cache = tmp_path / "a", tmp_path / "stat.json"
    path.write_bytes(b"abc")
    hashes = FileHashes(cache)
    hashes.hash_file(path)
    hashes.save()
    assert not cache.exists()  # nothing worth to be remembered
    assert hashes._known == {}


@pytest.mark.usefixtures("settled")
def test_a_broken_memory_is_an_empty_one_and_lost_files_are_forgotten(tmp_path):
    cache = tmp_path / "stat.json"
    for name in "ab":
        write_old(tmp_path / name, name.encode())
    for content in (b"", b"[1, 2]", b'{"x": 3}', b"\xff\xfe"):
        cache.write_bytes(content)
        hashes = FileHashes(cache)
        assert hashes.hash_file(tmp_path / "a") == hashlib.sha256(b"a").hexdigest()
    hashes.hash_file(tmp_path / "b")
    (tmp_path / "b").unlink()
    hashes.save()
    assert set(json.loads(cache.read_text())) == {str(tmp_path / "a")}


def test_a_volume_in_one_file_has_the_hash_of_the_file(tmp_path):
    write_volume(tmp_path / "a.tif", VOXELS)
    expected = hashlib.sha256((tmp_path / "a.tif").read_bytes()).hexdigest()
    assert FileHashes(None).hash_input(tmp_path / "a.tif") == expected


@pytest.mark.parametrize("name", ["a.tif", "slices/", "a.zarr", "a.raw", "a.h5::/scan"])
def test_a_volume_that_is_copied_keeps_its_hash_and_one_that_changes_does_not(tmp_path, name):
    hashes = FileHashes(None, threads=2)
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
    changed = VOXELS.copy()
    changed[2, 3, 4] ^= 1
    write_volume(f"{tmp_path}/one/{name}", VOXELS)
    shutil.copytree(tmp_path / "one", tmp_path / "two", dirs_exist_ok=True)
    write_volume(f"{tmp_path}/three/{name}", changed)
    one, two, three = (hashes.hash_input(f"{tmp_path}/{folder}/{name}") for folder in ("one", "two", "three"))
    assert one == two != three
    assert len(one) == 64


def test_names_and_order_of_slices_count_and_other_files_do_not(tmp_path):
    write_volume(tmp_path / "s" / "", VOXELS)
    hashes = FileHashes(None)
    before = hashes.hash_input(tmp_path / "s")
    for name in ("notes.txt", ".DS_Store", "._s_0000.tif"):
        (tmp_path / "s" / name).write_text("mine")
    assert hashes.hash_input(tmp_path / "s") == before
    os.rename(tmp_path / "s" / "s_0000.tif", tmp_path / "s" / "s_0009.tif")
    assert hashes.hash_input(tmp_path / "s") != before


def test_a_raw_file_counts_with_what_says_its_shape(tmp_path):
    write_volume(tmp_path / "a.raw", VOXELS)
    before = FileHashes(None).hash_input(tmp_path / "a.raw")
    write_volume(tmp_path / "a.raw", VOXELS.reshape(7, 8, 6), overwrite=True)
    assert (tmp_path / "a.raw").read_bytes() == VOXELS.tobytes()
    assert FileHashes(None).hash_input(tmp_path / "a.raw") != before


def test_datasets_of_one_file_differ(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = VOXELS, VOXELS
    hashes = FileHashes(None)
    one, two = (hashes.hash_input(f"{tmp_path / 'a.h5'}::{name}") for name in ("one", "/two"))
    assert one != two
    assert hashes.hash_input(f"{tmp_path / 'a.h5'}::/one") == one


def test_part_of_a_zarr_store_does_not_depend_on_the_rest(tmp_path):
    write_volume(tmp_path / "a.zarr", np.repeat(VOXELS, 12, axis=0))
    hashes = FileHashes(None)
    before = hashes.hash_input(f"{tmp_path / 'a.zarr'}::/1"), hashes.hash_input(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "0" / "zarr.json").write_text("{}")
    after = hashes.hash_input(f"{tmp_path / 'a.zarr'}::/1"), hashes.hash_input(tmp_path / "a.zarr")
    assert before[0] == after[0] and before[1] != after[1]


def make_linked(folder, voxels):
    """A NeXus file whose voxels lie in other files: by virtual dataset of a virtual dataset, link, external storage."""
    folder.mkdir()
    for i in (0, 1):
        with h5py.File(folder / f"part_{i}.h5", "w") as file:
            file["data"] = voxels[3 * i : 3 * i + 3]
    voxels.tofile(folder / "flat.bin")
    with h5py.File(folder / "master.h5", "w") as file:
        layout = h5py.VirtualLayout(shape=voxels.shape, dtype=voxels.dtype)
        for i in (0, 1):
            layout[3 * i : 3 * i + 3] = h5py.VirtualSource(f"part_{i}.h5", "data", shape=(3, *voxels.shape[1:]))
        file.create_virtual_dataset("virtual", layout)
        again = h5py.VirtualLayout(shape=voxels.shape, dtype=voxels.dtype)
        again[:] = h5py.VirtualSource(".", "virtual", shape=voxels.shape)
        file.create_virtual_dataset("again", again)
        file["link"] = h5py.ExternalLink("part_1.h5", "/data")
        file.create_dataset("external", voxels.shape, voxels.dtype, external=[("flat.bin", 0, voxels.nbytes)])


@pytest.mark.parametrize(
    ("inner", "file"),
    [("virtual", "part_1.h5"), ("again", "part_1.h5"), ("link", "part_1.h5"), ("external", "flat.bin")],
)
def test_files_behind_an_hdf5_file_count(tmp_path, inner, file):
    make_linked(tmp_path / "one", VOXELS)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    hashes = FileHashes(None)
    one = hashes.hash_input(f"{tmp_path}/one/master.h5::/{inner}")
    assert hashes.hash_input(f"{tmp_path}/two/master.h5::/{inner}") == one
    other = VOXELS.copy()
    other[5] ^= 1
    make_linked(tmp_path / "three", other)
    shutil.copy(tmp_path / "three" / file, tmp_path / "two" / file)
    assert hashes.hash_input(f"{tmp_path}/two/master.h5::/{inner}") != one


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.tif", "gone.tif is not a file that is there: check the name"),
        ("gone.h5::/x", "gone.h5 is not a file that is there"),
        ("text.h5::/x", "text.h5 is not an HDF5 file or is cut short"),
        ("empty", "empty must hold TIFF slices or a Zarr store"),
        ("empty::/gone", "empty/gone must hold TIFF slices or a Zarr store"),
        ("text.h5/below.tif", "below.tif is not a file that is there"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(tmp_path, name, message):
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message) as caught:
        FileHashes(None).hash_input(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)

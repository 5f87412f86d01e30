"""Arrays of an intermediate result: read back the same, the same bytes, damage found."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import DamagedError, InputError
from voltome.io import read_arrays, write_arrays

RNG = np.random.default_rng(4)
ARRAYS = {
    "phi": RNG.random((5, 4, 4)),
    "status": RNG.integers(-7, 3, 5).astype(np.int32),
    "file": np.float64(0.25),
    "names": np.array(["T0", "T10"]),
    "none": np.zeros((0, 3), dtype=np.float32),
    "columns": np.asfortranarray(RNG.random((3, 4))),
}


def test_arrays_read_back_the_same(tmp_path):
    write_arrays(tmp_path / "a.npz", ARRAYS)
    read = read_arrays(tmp_path / "a.npz")
    assert list(read) == list(ARRAYS)
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(read[name], values, strict=True)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["phi"], ARRAYS["phi"])


def test_the_same_arrays_give_the_same_bytes_and_replace_what_was_there(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("old")
        write_arrays(tmp_path / name, ARRAYS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


def test_damage_anywhere_is_found_and_named(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"phi": ARRAYS["phi"][:2], "status": ARRAYS["status"]})
    good = path.read_bytes()
    data = good.index(ARRAYS["phi"][0, 0].tobytes())
    for position in (data, data + 100, good.index(b"descr"), len(good) - 20):
        bad = bytearray(good)
        bad[position] ^= 1
        path.write_bytes(bad)
        with pytest.raises(DamagedError, match=r"a\.npz is damaged .*: run again, it is made anew") as caught:
            read_arrays(path)
        assert caught.value.path == str(path) and "\n" not in str(caught.value)
    for content in (b"", good[:40], good[:-1], b"nonsense" * 50):
        path.write_bytes(content)
        with pytest.raises(DamagedError, match="is damaged"):
            read_arrays(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DamagedError, match=r"a\.npz is missing: run again"):
        read_arrays(tmp_path / "a.npz")


def test_nothing_is_left_of_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays(tmp_path / "a.npz", {"good": ARRAYS["phi"], "bad": np.array([{}])})
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_arrays(tmp_path / "folder", ARRAYS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]

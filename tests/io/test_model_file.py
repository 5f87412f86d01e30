"""Model files: what was written comes back, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voltome import io
from voltome.errors import InputError

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(4, np.int64)}


def test_arrays_and_description_come_back(tmp_path: Path) -> None:
    io.write_model_file(tmp_path / "m.safetensors", ARRAYS, {"kind": "network", "n": [1, 2]})
    arrays, said = io.read_model_file(tmp_path / "m.safetensors")
    assert said == {"kind": "network", "n": [1, 2]}
    assert all(
        np.array_equal(arrays[name], array) and arrays[name].dtype == array.dtype for name, array in ARRAYS.items()
    )


def test_a_changed_byte_is_noticed_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    io.write_model_file(path, ARRAYS, {"kind": "network", "text": "abc"})
    content = path.read_bytes()
    for place in (content.index(b"abc") + 1, len(content) - 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(InputError, match="damaged"):
            io.read_model_file(path)

"""Text and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io import plain_json, write_json, write_text


def test_json_has_sorted_keys_and_null_for_nan(tmp_path):
    values = {"b": np.float32("nan"), "a": [np.int64(3), (1.5, float("inf"))], "c": {"µ": Path("x")}, "d": np.eye(2)}
    write_json(tmp_path / "a.json", values)
    text = (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert json.loads(text) == {"a": [3, [1.5, None]], "b": None, "c": {"µ": "x"}, "d": [[1, 0], [0, 1]]}
    assert text.index('"a"') < text.index('"b"')
    assert text.endswith("}\n")


def test_what_json_does_not_know_leaves_no_file(tmp_path):
    with pytest.raises(TypeError, match="set does not fit"):
        write_json(tmp_path / "a.json", {"a": {1, 2}})
    assert not list(tmp_path.iterdir())


def test_bool_stays_bool():
    assert plain_json({"a": np.True_, "b": False}) == {"a": True, "b": False}


def test_text_is_written_as_it_is(tmp_path):
    write_text(tmp_path / "a.txt", "µ\nx\n")
    assert (tmp_path / "a.txt").read_bytes() == "µ\nx\n".encode()
    with pytest.raises(InputError, match="exists"):
        write_text(tmp_path / "a.txt", "other")
    write_text(tmp_path / "a.txt", "other", overwrite=True)
    assert (tmp_path / "a.txt").read_text() == "other"

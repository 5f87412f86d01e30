"""Tables in Parquet: other programs read them, units and all; the same bytes; damage found."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from voltome.errors import DamagedError, InputError
from voltome.io import read_parquet, write_parquet

COLUMNS = {
    "scan": ["T0", "T1", "T2"],
    "time_s": np.array([0.0, 1 / 3, np.nan]),
    "soc": [0.1, None, 0.3],
    "nodes": np.array([4, 5, 6], dtype=np.int32),
    "repeats": ["", None, "T1"],
    "trusted": np.array([True, False, True]),
    "words": np.array(["a", "bb", "ü"]),
    "voltage_v": [None, None, None],
}


def test_pandas_reads_the_table(tmp_path):
    write_parquet(tmp_path / "a.parquet", COLUMNS, units={"time_s": "s"})
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table.columns) == list(COLUMNS)
    np.testing.assert_array_equal(table["time_s"], COLUMNS["time_s"])
    assert table["scan"].tolist() == COLUMNS["scan"] and table["words"].tolist() == ["a", "bb", "ü"]
    assert (table["nodes"].dtype, table["trusted"].dtype, table["voltage_v"].dtype) == (np.int32, bool, np.float64)


def test_units_and_what_made_the_table_stand_in_it(tmp_path):
    attributes = {"step": "tables", "shape": np.array([3, 4])}
    write_parquet(tmp_path / "a.parquet", COLUMNS, units={"time_s": "s", "soc": "1"}, attributes=attributes)
    schema = pyarrow.parquet.read_schema(tmp_path / "a.parquet")
    assert schema.field("time_s").metadata == {b"unit": b"s"} and schema.field("scan").metadata is None
    assert json.loads(schema.metadata[b"voltome"]) == {"step": "tables", "shape": [3, 4]}
    compression = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(1).compression
    assert compression == "ZSTD"


def test_columns_read_back(tmp_path):
    write_parquet(tmp_path / "a.parquet", COLUMNS)
    read = read_parquet(tmp_path / "a.parquet")
    assert list(read) == list(COLUMNS)
    np.testing.assert_array_equal(read["time_s"], COLUMNS["time_s"], strict=True)
    np.testing.assert_array_equal(read["nodes"], COLUMNS["nodes"], strict=True)
    np.testing.assert_array_equal(read["soc"], [0.1, np.nan, 0.3])
    assert read["repeats"].tolist() == ["", None, "T1"]
    assert np.isnan(read["voltage_v"]).all()


def test_a_table_without_rows_is_a_table(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"scan": np.array([], dtype=str), "zncc": np.zeros(0)})
    assert {name: len(values) for name, values in read_parquet(tmp_path / "a.parquet").items()} == {
        "scan": 0,
        "zncc": 0,
    }


def test_the_same_columns_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_parquet(tmp_path / name, COLUMNS, units={"time_s": "s"}, attributes={"b": 1, "a": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("columns", "units", "message"),
    [
        ({"a": [1, 2], "b": [1]}, {}, r"equally long \(got a 2, b 1\)"),
        ({"a": [1, "x"]}, {}, "column 'a' must hold values of one type"),
        ({"a": np.zeros((2, 3))}, {}, "column 'a' must"),
        ({"a": [[1], [2]]}, {}, "column 'a' must have one value per row"),
        ({"a": [1]}, {"b": "m"}, "a unit needs its column .*'b'.*: give one of a"),
    ],
)
def test_bad_columns_are_refused_in_one_line_and_leave_nothing(tmp_path, columns, units, message):
    with pytest.raises(InputError, match=message) as caught:
        write_parquet(tmp_path / "a.parquet", columns, units=units)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_table_stays_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        write_parquet(path, COLUMNS)
    write_parquet(path, COLUMNS, overwrite=True)
    assert len(read_parquet(path)) == len(COLUMNS)


def test_damage_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, {"zncc": np.random.default_rng(1).random(500)})
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[1000] ^= 1
    for content in (good[:-9], b"", b"nonsense", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"a\.parquet is damaged .*: run again") as caught:
            read_parquet(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"b\.parquet is not a file that is there"):
        read_parquet(tmp_path / "b.parquet")

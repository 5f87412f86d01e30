"""Tables of named columns."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io import read_table_tsv, write_table_tsv


def test_each_number_reads_back_the_same(tmp_path):
    columns = {
        "step": ["T0", "T1"],
        "strain": np.array([1 / 3, np.nan]),
        "grey": np.array([0.1, 2.5e-7], dtype=np.float32),
        "count": np.array([3, 2**40]),
    }
    write_table_tsv(tmp_path / "a.tsv", columns)
    lines = (tmp_path / "a.tsv").read_text().splitlines()
    assert lines[0] == "step\tstrain\tgrey\tcount"
    rows = [line.split("\t") for line in lines[1:]]
    assert [row[0] for row in rows] == ["T0", "T1"]
    assert float(rows[0][1]) == 1 / 3 and rows[1][1] == "nan"
    assert [row[2] for row in rows] == ["0.1", "2.5e-07"]
    assert [int(row[3]) for row in rows] == [3, 2**40]


def test_a_table_without_rows_has_its_names(tmp_path):
    write_table_tsv(tmp_path / "a.tsv", {"event": [], "step": []})
    assert (tmp_path / "a.tsv").read_text() == "event\tstep\n"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": [1, 2], "b": [1]}, r"equally long .*a \(2,\), b \(1,\)"),
        ({"a": np.zeros((2, 2))}, "equally long"),
        ({"a": ["one\ttwo"], "b": [1]}, "cannot hold a tab"),
        ({"a": ["one\ntwo"]}, "cannot hold a tab or a line's end"),
    ],
)
def test_what_is_no_table_is_refused(columns, said, tmp_path):
    with pytest.raises(InputError, match=said):
        write_table_tsv(tmp_path / "a.tsv", columns)
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_read_back(tmp_path):
    columns = {"step": ["T0", "T1"], "strain": np.array([1 / 3, np.nan]), "count": np.array([3, 2**40])}
    write_table_tsv(tmp_path / "a.tsv", columns)
    found = read_table_tsv(tmp_path / "a.tsv")
    assert list(found) == ["step", "strain", "count"]
    assert found["step"].tolist() == ["T0", "T1"]
    assert found["strain"][0] == 1 / 3 and np.isnan(found["strain"][1])
    assert found["count"].dtype == np.float64 and found["count"].tolist() == [3.0, 2.0**40]


def test_one_word_makes_a_column_of_words(tmp_path):
    (tmp_path / "a.tsv").write_text("a\tb\n1\t2\nx\t3\n")
    found = read_table_tsv(tmp_path / "a.tsv")
    assert found["a"].tolist() == ["1", "x"] and found["b"].tolist() == [2.0, 3.0]


@pytest.mark.parametrize("columns", [{"event": [], "step": []}, {"event": [""], "step": [""]}])
def test_a_table_of_nothing_is_read_back(columns, tmp_path):
    write_table_tsv(tmp_path / "a.tsv", columns)
    found = read_table_tsv(tmp_path / "a.tsv")
    assert {name: values.tolist() for name, values in found.items()} == columns


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "does not exist"), ("", "is no table"), ("a\tb\n1\n", "differ in length")],
    ids=["no file", "empty", "ragged"],
)
def test_what_is_no_table_is_not_read(text, said, tmp_path):
    path = tmp_path / "a.tsv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_table_tsv(path)
    assert "\n" not in str(caught.value) and "a.tsv" in str(caught.value)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_table_tsv(tmp_path)

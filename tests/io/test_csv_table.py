"""Tables for spreadsheets: numbers that read back the same, empty cells for what is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from voltome.errors import InputError
from voltome.io import write_table_csv


def test_numbers_and_words_read_back_the_same(tmp_path):
    columns = {
        "scan": np.array(['T0, "first"', None, "T2"], dtype=object),
        "time_s": np.array([0.0, 1 / 3, np.nan]),
        "zncc": np.array([0.1, 0.2, 0.3], dtype=np.float32),
        "nodes": np.array([1, 2, 3]),
    }
    write_table_csv(tmp_path / "a.csv", columns)
    text = (tmp_path / "a.csv").read_text()
    assert text.splitlines()[1:] == ['"T0, ""first""",0.0,0.1,1', ",0.3333333333333333,0.2,2", "T2,,0.3,3"]
    table = pd.read_csv(tmp_path / "a.csv")
    np.testing.assert_allclose(table["time_s"], columns["time_s"], rtol=1e-15)
    np.testing.assert_array_equal(table["zncc"].astype(np.float32), columns["zncc"])


def test_columns_of_other_length_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"equally long \(got a 2, b 1\)"):
        write_table_csv(tmp_path / "a.csv", {"a": np.zeros(2), "b": np.zeros(1)})
    assert list(tmp_path.iterdir()) == []

"""The cycler file: columns of the Battery Data Format, numbers as they were, nothing written of bad data."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io.cycler import read_cycler_csv, write_cycler_csv

TIME_S = np.array([0.0, 10.0, 20.000000000000004])
VOLTAGE_V = np.array([2.04, 3.1, 1 / 3])
CURRENT_A = np.array([0.0, 1.1083333333333333e-05, -5e-324])


def test_columns_have_the_names_of_the_battery_data_format(tmp_path):
    write_cycler_csv(
        tmp_path / "cell.bdf.csv",
        time_s=TIME_S,
        voltage_v=VOLTAGE_V,
        current_a=CURRENT_A,
        charge_ah=[0, 1e-8, 0.1],
        step_count=np.array([1, 2, 2], dtype=np.int32),
        step_type=["rest", 'charge, "fast"', "scan"],
    )
    with (tmp_path / "cell.bdf.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names == ["Test Time / s", "Voltage / V", "Current / A", "Net Capacity / Ah", "Step Count / 1", "Step Type"]
    assert [row[4] for row in rows] == ["1", "2", "2"]
    assert rows[1][5] == 'charge, "fast"'


def test_numbers_read_back_the_same(tmp_path):
    path = tmp_path / "cell.csv"
    write_cycler_csv(path, time_s=TIME_S, voltage_v=VOLTAGE_V, current_a=CURRENT_A)
    read = np.loadtxt(path, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(read, np.stack([TIME_S, VOLTAGE_V, CURRENT_A], axis=1))


def test_an_existing_file_stays_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "cell.csv"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"cell\.csv"):
        write_cycler_csv(path, time_s=TIME_S, voltage_v=VOLTAGE_V, current_a=CURRENT_A)
    assert path.read_text() == "mine"
    write_cycler_csv(path, time_s=TIME_S, voltage_v=VOLTAGE_V, current_a=CURRENT_A, overwrite=True)
    assert path.read_text().startswith("Test Time / s,")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"voltage_v": [1.0, 2.0]}, r"'Voltage / V' must have one value per row \(got shape \(2,\) for 3 times\)"),
        ({"current_a": [[0.0]]}, r"'Current / A' must have one value per row"),
        ({"time_s": [], "voltage_v": [], "current_a": []}, r"'Test Time / s' must have one value per row"),
        ({"current_a": [0.0, np.nan, 1.0]}, r"'Current / A' must hold finite numbers \(got nan in row 1\)"),
        ({"voltage_v": ["a", "b", "c"]}, r"'Voltage / V' must hold numbers \(got <U1\)"),
        ({"step_type": ["rest"]}, r"'Step Type' must have one value per row"),
        ({"time_s": [0.0, 2.0, 1.0]}, r"time_s must not fall \(got a fall after row 1\)"),
    ],
)
def test_bad_columns_are_refused_in_one_line_and_leave_nothing(tmp_path, columns, message):
    good = {"time_s": TIME_S, "voltage_v": VOLTAGE_V, "current_a": CURRENT_A}
    with pytest.raises(InputError, match=message) as caught:
        write_cycler_csv(tmp_path / "cell.csv", **(good | columns))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_reads_back(tmp_path):
    path = tmp_path / "cell.bdf.csv"
    charge_ah = [0, 1e-8, 1 / 3]
    write_cycler_csv(
        path,
        time_s=TIME_S,
        voltage_v=VOLTAGE_V,
        current_a=CURRENT_A,
        charge_ah=charge_ah,
        step_type=["rest", 'a "b",\nc', ""],
    )
    history = read_cycler_csv(path)
    for read, written in (
        (history.time_s, TIME_S),
        (history.voltage_v, VOLTAGE_V),
        (history.current_a, CURRENT_A),
        (history.charge_ah, charge_ah),
    ):
        np.testing.assert_array_equal(read, written)
        assert read.dtype == np.float64


def test_charge_that_is_not_there_is_the_integral_of_the_current(tmp_path):
    write_cycler_csv(tmp_path / "cell.csv", time_s=[0, 3600, 7200], voltage_v=[3, 3, 3], current_a=[1, 1, -3])
    np.testing.assert_allclose(read_cycler_csv(tmp_path / "cell.csv").charge_ah, [0, 1, 0], atol=1e-15)


def test_other_columns_order_blank_lines_and_a_byte_order_mark_do_not_matter(tmp_path):
    text = "Voltage / V,Cycle, Test Time / s ,Current / A\n3.5,one,0,1\n\n3.6,,10,2\n"
    (tmp_path / "cell.csv").write_text(text, encoding="utf-8-sig")
    history = read_cycler_csv(tmp_path / "cell.csv")
    assert (history.time_s.tolist(), history.voltage_v.tolist()) == ([0.0, 10.0], [3.5, 3.6])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"must have a column 'Test Time / s' \(its first line has nothing\)"),
        ("time,U,I\n0,1,2\n", r"must have a column 'Test Time / s' \(its first line has time, U, I\)"),
        ("Test Time / s,Voltage / V,Current / A\n", "must have at least one row"),
        ("Test Time / s,Voltage / V,Current / A\n0,1,2\n1,x,2\n", r"line 3: 'Voltage / V' .*\(got 'x'\): correct"),
        ("Test Time / s,Voltage / V,Current / A\n0,1\n", r"line 2: 'Current / A' must be a finite number \(got ''\)"),
        ("Test Time / s,Voltage / V,Current / A\n0,1,nan\n", r"line 2: 'Current / A' .*\(got 'nan'\)"),
        ("Test Time / s,Voltage / V,Current / A\n5,1,2\n1,1,2\n", "falls after row 1: sort the rows"),
        (b"\xff\xfe\x00", "is not a table in CSV"),
        (None, "does not exist: check the name"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "cell.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_cycler_csv(path)
    assert "\n" not in str(caught.value) and "cell.csv" in str(caught.value)

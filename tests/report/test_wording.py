"""Numbers as they are written."""

from __future__ import annotations

import pytest

from voltome.report.wording import (
    flatten_values,
    write_length,
    write_memory,
    write_metres,
    write_number,
    write_percent,
    write_seconds,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12.0, "12"),
        (-0.6349, "\N{MINUS SIGN}0.635"),
        (0.97512, "0.975"),
        (1.234e-6, "1.23e\N{MINUS SIGN}06"),
        (float("nan"), "\N{EN DASH}"),
        (None, "\N{EN DASH}"),
    ],
)
def test_numbers_carry_three_significant_digits(value: float | None, text: str) -> None:
    assert write_number(value) == text


def test_a_sign_is_written_where_it_is_asked_for() -> None:
    assert write_number(1.5, signed=True) == "+1.50"
    assert write_percent(0.0301, signed=True).startswith("+3.01")


def test_lengths_take_the_unit_that_suits_them() -> None:
    assert [write_metres(length).split("\N{NARROW NO-BREAK SPACE}")[1] for length in (5e-8, 5e-6, 1e-3)] == [
        "nm",
        "\N{GREEK SMALL LETTER MU}m",
        "mm",
    ]


def test_a_length_without_voxel_size_stays_in_voxels() -> None:
    assert write_length(1.5, None) == "1.50 voxels"
    assert write_length(1.5, 1e-6) == "1.50 voxels (1.50\N{NARROW NO-BREAK SPACE}\N{GREEK SMALL LETTER MU}m)"


def test_durations_and_sizes_are_readable() -> None:
    assert write_seconds(245.2) == "4 min 05 s"
    assert write_seconds(7620) == "2 h 07 min"
    assert write_memory(412e6) == "412 MB"
    assert write_memory(3.2e9) == "3.20 GB"


def test_nested_values_become_rows() -> None:
    values = {"a": {"b": 1, "c": None}, "d": [100, 70], "e": True}
    assert flatten_values(values) == [("a.b", "1"), ("a.c", "\N{EN DASH}"), ("d", "100, 70"), ("e", "yes")]

"""What discharge does not take back."""

from __future__ import annotations

import math

import pytest

from voltome.electrode import measure_hysteresis
from voltome.measurement import Measurement, Share


def curve(values, *, sd=0.0):
    """Numbers at T0, T1, ... with an error of noise on each."""
    return {
        f"T{k}": Measurement(
            "strain", f"T{k}", value, "1", "whole", (Share("noise", sd), Share("face", 2 * sd, "bias"))
        )
        for k, value in enumerate(values)
    }


def name_socs(socs):
    return {f"T{k}": soc for k, soc in enumerate(socs) if soc is not None}


def measure(values, socs, **kwargs):
    return measure_hysteresis(curve(values, **kwargs), name_socs(socs), name="left")


def test_discharge_is_compared_with_the_charging_curve_at_the_same_charge():
    found = measure([0.0, 0.2, 0.4, 0.35, 0.25], [0.0, 0.5, 1.0, 0.75, 0.25])
    assert [(m.scan, m.name, m.unit) for m in found] == [("T3", "left", "1"), ("T4", "left", "1")]
    assert [m.value for m in found] == pytest.approx([0.35 - 0.3, 0.25 - 0.1])


def test_discharge_down_to_a_scan_of_the_charging_curve_is_compared_with_that_scan():
    assert [m.value for m in measure([0.0, 0.2, 0.4, 0.3], [0.0, 0.5, 1.0, 0.5])] == pytest.approx([0.1])
    assert [m.value for m in measure([0.0, 0.2, 0.4, 0.3], [0.0, 0.5, 1.0, 0.0])] == pytest.approx([0.3])


def test_the_errors_of_the_three_scans_are_joined_by_cause():
    (found,) = measure([0.0, 0.2, 0.4, 0.35], [0.0, 0.5, 1.0, 0.75], sd=0.01)
    expected = 0.01 * math.sqrt(1 + 0.25 + 0.25)
    assert found.sd_random == pytest.approx(expected) and found.sd_bias == pytest.approx(2 * expected)
    assert {share.cause: share.kind for share in found.shares} == {"noise": "random", "face": "bias"}


def test_an_error_of_unknown_size_stays_unknown():
    numbers = curve([0.0, 0.2, 0.4, 0.35], sd=0.01)
    numbers["T1"] = Measurement("strain", "T1", 0.2, "1", shares=(Share("noise", math.nan),))
    (found,) = measure_hysteresis(numbers, name_socs([0.0, 0.5, 1.0, 0.75]), name="left")
    assert math.isnan(found.sd_random) and found.sd_bias == pytest.approx(0.02 * math.sqrt(1 + 0.25))


def test_a_number_without_errors_counts_as_exact():
    numbers = curve([0.0, 0.4, 0.25], sd=0.01) | {"T0": Measurement("strain", "T0", 0.0, "1")}
    (found,) = measure_hysteresis(numbers, name_socs([0.0, 1.0, 0.5]), name="left")
    assert found.value == pytest.approx(0.05)
    assert found.sd_random == pytest.approx(0.01 * math.sqrt(1 + 0.25))


@pytest.mark.parametrize(
    ("values", "socs"),
    [
        ([0.1], [0.5]),
        ([0.0, 0.2], [0.0, 1.0]),
        ([0.0, 0.2, 0.4], [0.0, 0.5, 1.0]),
        ([0.0, 0.2, 0.4], [None, None, None]),
        ([0.0, 0.2, 0.4], [math.nan, 1.0, 0.5]),
        ([0.4, 0.2, 0.1], [1.0, 0.5, 0.0]),
        ([0.0, 0.4, 0.5], [0.0, 1.0, 1.0]),
        ([], []),
    ],
    ids=["one scan", "two scans", "no discharge", "charge unknown", "too few known", "discharge alone", "held", "none"],
)
def test_without_a_charge_and_a_discharge_there_is_none(values, socs):
    assert measure(values, socs) == []


def test_scans_of_unknown_charge_are_passed_over():
    found = measure([0.0, 9.9, 0.2, 0.4, 9.9, 0.35], [0.0, None, 0.5, 1.0, math.nan, 0.75])
    assert [(m.scan, m.value) for m in found] == [("T5", pytest.approx(0.05))]


def test_a_charge_that_pauses_or_falls_on_the_way_up_uses_what_rose():
    """T2 falls back to 0.3: the curve is T0, T1, T3."""
    found = measure([0.0, 0.2, 9.9, 0.4, 0.35], [0.0, 0.5, 0.3, 1.0, 0.75])
    assert [m.value for m in found] == pytest.approx([0.05])


def test_discharge_below_the_first_scan_is_not_extrapolated():
    assert [m.scan for m in measure([0.1, 0.2, 0.4, 0.3, 0.25], [0.2, 0.5, 1.0, 0.4, 0.1])] == ["T3"]

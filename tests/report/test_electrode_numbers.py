"""Curves of an electrode's numbers: what is exact, what is not known, where the peak and discharge are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from voltome.measurement import Measurement
from voltome.report import ElectrodeFindings
from voltome.report.electrode_numbers import Numbers


def test_a_repeat_scan_is_never_the_peak(electrode: ElectrodeFindings) -> None:
    thickness = Numbers(electrode).read_curve("thickness").values
    assert electrode.scans[int(np.argmax(thickness))] == "T7"
    assert electrode.repeats == {"T7": "T6"}
    assert Numbers(electrode).find_peak() == "T6"


def test_without_thickness_the_peak_is_that_of_strain(electrode: ElectrodeFindings) -> None:
    strains = [m for m in electrode.measurements if m.name == "volumetric_strain"]
    assert Numbers(replace(electrode, measurements=strains)).find_peak() == "T6"
    assert Numbers(replace(electrode, measurements=[])).find_peak() is None


def test_the_first_scan_is_exact_where_it_says_nothing_of_its_error(electrode: ElectrodeFindings) -> None:
    numbers = Numbers(electrode)
    strain, thickness = numbers.read_curve("volumetric_strain", start=0.0), numbers.read_curve("thickness")
    assert (strain.values[0], strain.sd[0], strain.exact[0]) == (0.0, 0.0, True)
    assert not strain.exact[1:].any()
    assert not thickness.exact.any()
    assert thickness.sd[0] > 0


def test_a_value_that_is_nan_is_not_known(electrode: ElectrodeFindings) -> None:
    lost = replace(electrode, measurements=[Measurement("thickness", "T2", math.nan, "m")])
    assert Numbers(lost).find("thickness", "T2") is None
    assert not Numbers(lost).has(["thickness"])
    assert not Numbers(lost).read_curve("thickness").known.any()


@pytest.mark.parametrize(
    ("socs", "runs"),
    [
        ((0.0, 0.4, 0.8, 0.8, 0.5, 0.2), [(3, 5)]),
        ((0.0, 0.8, 0.3, 0.9, 0.1), [(1, 2), (3, 4)]),
        ((0.0, 0.8, math.nan, 0.3), [(1, 3)]),
        ((0.0, 0.2, 0.9), []),
        ((), []),
    ],
)
def test_discharge_is_where_the_state_of_charge_falls(
    electrode: ElectrodeFindings, socs: tuple[float, ...], runs: list[tuple[int, int]]
) -> None:
    charged = replace(electrode, socs=dict(zip(electrode.scans, socs, strict=False)))
    assert Numbers(charged).find_discharge() == runs

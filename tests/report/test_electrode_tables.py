"""The numbers behind the figures of an electrode."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.report import ElectrodeFindings, tabulate_figure
from voltome.report.electrode import DRAWINGS
from voltome.report.electrode_tables import reduce_mean


def read_table(findings: ElectrodeFindings, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tabulate_figure(findings, name))))


@pytest.mark.parametrize("name", list(DRAWINGS))
def test_every_figure_has_its_numbers(electrode: ElectrodeFindings, name: str) -> None:
    rows = read_table(electrode, name)
    assert rows
    assert "nan" not in {value for row in rows for value in row.values()}
    assert None not in {value for row in rows for value in row}


@pytest.mark.parametrize("name", list(DRAWINGS))
def test_a_figure_of_nothing_has_a_header_alone(electrode: ElectrodeFindings, name: str) -> None:
    empty = replace(electrode, measurements=[], slices={}, surfaces={}, thickness_maps={}, axial_maps={}, histograms=[],
                    boxes=[], cell=None, accuracy=[])  # fmt: skip
    assert tabulate_figure(empty, name).count("\n") == 1


def test_a_name_that_is_no_figure_is_refused(electrode: ElectrodeFindings) -> None:
    with pytest.raises(InputError, match=r"figure must be one of .*thickness.* \(got 'thicknes'\): name one of them"):
        tabulate_figure(electrode, "thicknes")


def test_thickness_comes_back_in_metres(electrode: ElectrodeFindings) -> None:
    (row,) = [r for r in read_table(electrode, "thickness") if (r["scan"], r["name"]) == ("T6", "thickness")]
    assert float(row["value"]) == pytest.approx(3.0e-5)
    assert float(row["soc"]) == pytest.approx(0.85)
    assert float(row["sd"]) == pytest.approx(math.hypot(float(row["sd_random"]), float(row["sd_bias"])), rel=1e-4)
    assert row["unit"] == "m"


def test_the_causes_of_an_error_add_up_to_it(electrode: ElectrodeFindings) -> None:
    squares: dict[tuple[str, str, str], float] = defaultdict(float)
    for row in read_table(electrode, "errors"):
        squares[row["scan"], row["name"], row["region"]] += float(row["sd"]) ** 2
    stated = {(m.scan, m.name, m.region): m.sd for m in electrode.measurements if m.shares}
    assert squares.keys() == stated.keys()
    np.testing.assert_allclose([math.sqrt(squares[key]) for key in stated], list(stated.values()), rtol=1e-4)


def test_an_error_that_is_not_known_is_an_empty_field(electrode: ElectrodeFindings) -> None:
    (row,) = [r for r in read_table(electrode, "thickness") if (r["scan"], r["name"]) == ("T0", "thickness_spread")]
    assert (row["sd"], row["sd_random"], row["repeats"]) == ("", "", "")


def test_cells_of_a_map_are_means_of_what_is_known() -> None:
    values = np.array([[1.0, 3.0, 10.0], [5.0, np.nan, 20.0], [np.nan, np.nan, 7.0]])
    np.testing.assert_array_equal(reduce_mean(values, (2, 2)), [[3.0, 15.0], [np.nan, 7.0]])


def test_the_table_of_a_map_has_its_mean(electrode: ElectrodeFindings) -> None:
    rows = [row for row in read_table(electrode, "thickness-maps") if row["scan"] == "T6"]
    mean = float(np.mean([float(row["thickness_m"]) for row in rows]))
    assert mean == pytest.approx(float(np.mean(electrode.thickness_maps["T6"])), rel=2e-3)
    assert len(rows) == 24 * 25  # 96 x 100 pixels in cells of 4 x 4

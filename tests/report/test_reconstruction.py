"""What the page of a series says of reconstructions."""

from __future__ import annotations

from typing import Any

from voltome.report import describe_reconstructions

GREY = {"grey_low": 9e-7, "grey_high": -2e-7, "silicon": 5.2e-7, "silicon_sd": 2e-8, "electrolyte": 2.9e-7}
GREY |= {"electrolyte_sd": 3e-8}


def make_summary(**changes: Any) -> dict[str, Any]:
    estimates = {"opposites": 124.79, "wedge": 124.75, "pairs": 124.8}
    axis = {"axis_px": 124.79, "sd_px": 0.021, "estimates": estimates, "given": False, "warning": ""}
    shifts = [
        {"name": "T0_1.nx", "mean_px": [0.0, 0.0], "correlation": 0.99},
        {"name": "T0_2.nx", "mean_px": [1.981, -0.597], "correlation": 0.997},
        {"name": "T0_3.nx", "mean_px": [2.72, 1.83], "correlation": 0.52},
    ]
    summary = {"mode": "quality", "angles": 304, "axis": axis, "shifts": shifts, "corrupt_frames": [[], [31, 77], []]}
    summary |= {"saturated": [1e-4, 8e-4], "divergence_px": 0.21, "warnings": [], "quality": {}}
    return summary | changes


def test_every_number_of_a_scan_stands_in_its_row() -> None:
    part = describe_reconstructions({"T0": make_summary(quality={"edges": {"quadratic_m": 3.21e-7}})}, GREY)
    assert part is not None
    (row,) = part.rows
    assert row[:2] == ("T0", "quality, 304 angles")
    assert row[2].startswith("124.790") and "0.021" in row[2]
    assert row[3] == "opposites 124.79, wedge 124.75, pairs 124.80"
    assert row[4] == "+1.98, \N{MINUS SIGN}0.60 (0.997); +2.72, +1.83 (0.520: little)"
    assert row[5] == "31, 77 of distance 2"
    assert row[6].startswith("0.08") and row[7] == "0.21"
    assert row[8].startswith("0.321") and row[8].endswith("m")
    assert part.warnings == []


def test_an_absorption_volume_with_a_given_axis_has_dashes() -> None:
    axis = {"axis_px": 296.0, "given": True, "warning": ""}
    bare = make_summary(mode="absorption", axis=axis, shifts=[], corrupt_frames=[[]], divergence_px=None)
    part = describe_reconstructions({"T0": bare})
    assert part is not None and part.grey == ""
    assert part.rows[0][2:6] == ("296.00", "given", "\N{EN DASH}", "none")
    assert part.rows[0][7:] == ("\N{EN DASH}", "\N{EN DASH}")


def test_warnings_name_their_scan() -> None:
    part = describe_reconstructions({"T0": make_summary(), "T1": make_summary(warnings=["the beam is a cone"])})
    assert part is not None and part.warnings == ["T1: the beam is a cone"]


def test_the_grey_is_told_with_what_anchors_it() -> None:
    part = describe_reconstructions({"T0": make_summary()}, GREY, polarity="silicon-darkest")
    assert part is not None
    assert "Grey 0 is 9.000e" in part.grey and "(silicon darkest)" in part.grey
    assert "silicon at 5.20e" in part.grey and "electrolyte at 2.90e" in part.grey
    plain = describe_reconstructions({"T0": make_summary()}, {"grey_low": 9e-7, "grey_high": -2e-7})
    assert plain is not None and "No bulk materials anchor it" in plain.grey


def test_volumes_that_were_given_have_no_section() -> None:
    assert describe_reconstructions({}) is None

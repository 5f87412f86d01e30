"""What the numbers of several scans say together."""

from __future__ import annotations

import math
import shutil

import pytest

from voltome import io
from voltome.measurement import Measurement, Share
from voltome.study.electrode import measure_electrode, read_measurements
from voltome.study.electrode_history import doubt_growth, follow, measure_spread

from .swelling import SWELLING, THICKNESS_M, VOXEL_M, edit_study, open_job

SCANS = ("T0", "T1", "T2", "T3")


def say_thickness(values_um, *, sd_um=0.1):
    """Numbers of each scan as a study finds them."""
    shares = (Share("noise", 0.6e-6 * sd_um), Share("surface", 0.8e-6 * sd_um, "bias"))
    return {
        scan: [Measurement("thickness", scan, value * 1e-6, "m", shares=shares)]
        for scan, value in zip(SCANS, values_um, strict=True)
    }


@pytest.fixture
def job(foil_film, foil_store):
    with open_job(foil_film, foil_store, "electrode") as job:
        yield job


def test_growth_is_told_from_scan_to_scan_and_repeat_scans_stand_aside(job):
    found = {m.scan: m for m in follow(job, say_thickness([10, 12, 50, 11])) if m.name == "expansion_increment"}
    assert found.keys() == {"T1", "T3"}
    assert found["T1"].value == pytest.approx(0.2)
    assert found["T3"].value == pytest.approx(11 / 12 - 1)  # since T1, not since its repeat
    assert found["T3"].share("noise") == pytest.approx(math.hypot(0.06, 0.06) / 12)


def test_the_surfaces_share_of_growth_is_that_of_both_surfaces(job, foil_store):
    sds = [io.read_json(foil_store / "surface" / scan / "summary.json")["sd_m"] for scan in ("T0", "T1")]
    (found,) = (m for m in follow(job, say_thickness([10, 12, 12, 11])) if (m.name, m.scan)[1] == "T1")
    assert found.share("surface") == pytest.approx(math.hypot(*sds) / 10e-6)


def test_what_discharge_leaves_is_the_distance_from_the_charging_curve(job):
    """At half of the charge the curve stands at 11 um, the electrode at 11.5 um."""
    (left,) = (m for m in follow(job, say_thickness([10, 12, 12, 11.5])) if m.name == "irreversible_thickness")
    assert left.scan == "T3"
    assert left.value == pytest.approx(0.5e-6)
    assert left.share("noise") == pytest.approx(0.06e-6 * math.sqrt(1 + 0.5**2 + 0.5**2))


def test_an_electrode_that_returns_leaves_nothing(foil_store):
    found = {m.name: m for m in read_measurements(foil_store)[0] if m.scan == "T3"}
    left = found["irreversible_thickness"]
    assert abs(left.value) < min(0.2 * VOXEL_M, 3 * left.sd)
    assert abs(found["hysteresis_volumetric_strain"].value) < 0.02
    ratio = (1 + SWELLING["T3"]) / (1 + SWELLING["T1"])
    assert found["expansion_increment"].value == pytest.approx(ratio - 1, abs=0.03)


def test_the_spread_of_thickness_is_that_of_its_map(job, foil_store):
    found = {m.scan: m for m in measure_spread(job, SCANS)}
    assert found.keys() == set(SCANS)
    for scan, number in found.items():
        said = io.read_json(foil_store / "surface" / scan / "summary.json")
        assert number.value == said["thickness_spread_m"] < 0.1 * THICKNESS_M
        assert number.sd > 0


def test_thickness_that_follows_the_charge_is_not_doubted(job):
    assert doubt_growth(job, say_thickness([10, 12, 9, 11])) == []  # T2 is a repeat


@pytest.mark.parametrize(
    ("values_um", "told"),
    [
        ([10, 9, 9, 8], ["falls by 1.00 um from T0 to T1 while the state of charge rises"]),
        ([10, 12, 12, 12.5], ["rises by 0.50 um from T1 to T3 while the state of charge falls"]),
        ([10, 9.8, 9.8, 9.7], []),  # within its error
    ],
)
def test_thickness_that_goes_against_the_charge_is_doubted_where_its_error_does_not_explain_it(job, values_um, told):
    warnings = doubt_growth(job, say_thickness(values_um))
    assert len(warnings) == len(told)
    assert all(text in line and "\n" not in line for text, line in zip(told, warnings, strict=True))


def test_a_scan_whose_thickness_is_missing_is_passed_over(job):
    states = say_thickness([10, 12, 12, 13])
    states["T1"] = []
    assert doubt_growth(job, states) == []
    found = [m for m in follow(job, states) if m.name == "expansion_increment"]
    assert [(m.scan, round(m.value, 6)) for m in found] == [("T3", 0.3)]


def test_a_study_whose_charge_is_told_wrongly_is_warned(foil_film, foil_store, tmp_path):
    film = shutil.copytree(foil_film, tmp_path / "film")
    edit_study(film, "time_s: 1800, soc: 0.4", "time_s: 1800, soc: 0.9")
    with open_job(film, foil_store, "electrode") as job:
        found = measure_electrode(job)
    (told,) = (line for line in found["warnings"] if "look at both surfaces" in line)
    assert "from T1 to T3 while the state of charge rises" in told and told.startswith("The thickness falls by 0.5")
    assert not [m for m in found["measurements"] if m.name == "irreversible_thickness"]  # charge never falls

"""The electrode's numbers: right where they can be, refused where they cannot, and said so."""

from __future__ import annotations

import csv
import re
import shutil

import numpy as np
import pytest

from voltome import io
from voltome.errors import InputError
from voltome.study.composing import derive_strain
from voltome.study.electrode import measure_electrode, read_measurements
from voltome.study.study_file import load_study

from .swelling import (
    DRAWINGS,
    FACE_M,
    SWELLING,
    THICKNESS_M,
    VOXEL_M,
    draw,
    edit_study,
    open_job,
    read_warnings,
    run,
    write_scan,
)

LATERAL = 0.02  # what strain along y and x of this film may err by
AXIAL = 0.04  # measured: 2.8 points at T1, its field ends 1.5 um above the surface
SHORT_OF_NODES = 0.25  # sd that noise and extrapolation leave the sides of a field with four layers of nodes


def read_numbers(store):
    """Measurements by name, region and scan."""
    return {(m.name, m.region, m.scan): m for m in read_measurements(store)[0]}


def check_number(number, true, *, within):
    """Near the truth, and inside three of its own standard deviations."""
    assert abs(number.value - true) < within, (number, true)
    assert abs(number.value - true) < 3 * number.sd, (number, true)


@pytest.mark.parametrize("scan", ["T1", "T2", "T3"])
def test_the_swelling_that_was_drawn_comes_out_with_errors_that_hold(foil_store, scan):
    numbers, swelling = read_numbers(foil_store), SWELLING[scan]
    check_number(numbers["thickness", "whole", scan], THICKNESS_M * (1 + swelling), within=1.5 * VOXEL_M)
    for name in ("expansion", "axial_strain", "volumetric_strain"):
        check_number(numbers[name, "whole", scan], swelling, within=AXIAL)
    for side in ("collector side", "separator side"):
        check_number(numbers["volumetric_strain", side, scan], swelling, within=2 * AXIAL)
    for name in ("in_plane_strain_yy", "in_plane_strain_xx"):
        check_number(numbers[name, "whole", scan], 0.0, within=LATERAL)
    assert all(0 < m.sd < SHORT_OF_NODES for m in numbers.values() if m.scan == scan and m.name.endswith("strain"))


def test_each_number_says_what_its_error_is_made_of(foil_store):
    thickness = read_numbers(foil_store)["thickness", "whole", "T1"]
    causes = {share.cause: share.kind for share in thickness.shares}
    assert {k for k, kind in causes.items() if kind == "bias"} == {"window shape", "contrast loss", "surface"}
    assert {"noise", "alignment", "magnification", "lost nodes"} <= causes.keys()
    with (foil_store / "electrode" / "measurements.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if not row["name"].startswith("#")]
    (row,) = (r for r in rows if (r["name"], r["scan"]) == ("thickness", "T1"))
    assert float(row["value"]) == pytest.approx(thickness.value, rel=1e-6)
    parts = [float(row[f"sd_{cause.replace(' ', '_')}"]) for cause, kind in causes.items() if kind == "bias"]
    assert float(row["sd_bias"]) == pytest.approx(np.hypot.reduce(parts), rel=1e-5)
    assert len(rows) == len(read_measurements(foil_store)[0])


def test_histograms_count_the_gauges_outside_the_blurred_zone(foil_store, foil_film):
    _, said = read_measurements(foil_store)
    assert said["blurred_m"] == pytest.approx(8 * VOXEL_M)  # half a window: the blur reaches less far
    rows = {row["region"]: row for row in said["histograms"] if row["scan"] == "T1"}
    counts = {region: np.array(row["counts"]) for region, row in rows.items()}
    np.testing.assert_array_equal(counts["whole"], counts["collector side"] + counts["separator side"])
    field = io.read_field_zarr(foil_store / "cumulative" / "T1" / "field.zarr")
    strain = derive_strain(field, load_study(foil_film).settings.strain)
    above = field.positions_vox[:, 0] * VOXEL_M - FACE_M > said["blurred_m"] + VOXEL_M
    assert 0 < counts["whole"].sum() <= (above & np.isfinite(strain.volumetric)).sum()
    assert abs(rows["whole"]["maximum"] - SWELLING["T1"]) < AXIAL
    assert 0 < rows["whole"]["maximum_sd"] < AXIAL


def test_boxes_of_the_study_give_the_mean_of_their_own_nodes(foil_film, foil_store, tmp_path):
    film, store = shutil.copytree(foil_film, tmp_path / "film"), shutil.copytree(foil_store, tmp_path / "store")
    boxes = "  boxes: [{name: left, x: [0.0, 9.0e-06]}, {name: air, z: [1.25e-05, 1.3e-05]}]\n"
    edit_study(film, "  collector_side: low-z\n", "  collector_side: low-z\n" + boxes)
    assert set(run(film, store, without=DRAWINGS).made) == {"electrode/all", "tables/all"}
    measurements, said = read_measurements(store)
    rows = {(row["name"], row["measurement"]["scan"]): row for row in said["boxes"]}
    assert rows.keys() == {("left", scan) for scan in ("T1", "T2", "T3")}
    assert rows["left", "T1"]["high_m"] == pytest.approx([66 * VOXEL_M, 60 * VOXEL_M, 9e-6])
    numbers = {m.scan: m for m in measurements if m.region == "left"}
    for scan in ("T1", "T3"):
        assert abs(numbers[scan].value - SWELLING[scan]) < 3 * numbers[scan].sd < 0.1
    assert {share.cause for share in numbers["T1"].shares} >= {"noise", "lost nodes", "alignment", "surface"}
    assert any("Box air" in text and "nothing of the electrode" in text for text in said["warnings"])


def test_a_box_needs_a_name_of_its_own(foil_film, tmp_path):
    film = shutil.copytree(foil_film, tmp_path / "film")
    boxes = "  boxes: [{name: A}, {name: A}]\n"
    edit_study(film, "  collector_side: low-z\n", "  collector_side: low-z\n" + boxes)
    with pytest.raises(InputError, match=r"boxes\[1\].name must be its own"):
        load_study(film)


@pytest.fixture(scope="module")
def spoilt_store(foil_film, foil_store, tmp_path_factory):
    """At T2, which claims to repeat T1, the electrode has shrunk and the collector is below the field; at T3 the
    electrode has swollen beyond the field's other end."""
    folder = tmp_path_factory.mktemp("spoilt")
    film, store = shutil.copytree(foil_film, folder / "film"), shutil.copytree(foil_store, folder / "store")
    write_scan(film, "T2", draw(0.12, 7, left_out=18))
    write_scan(film, "T3", draw(0.45, 8))
    run(film, store, without=("figures", "movie"))
    return store


def test_a_scan_without_its_collector_is_the_only_one_that_is_not_aligned(spoilt_store):
    told = [line for line in read_warnings(spoilt_store) if "not aligned" in line]
    assert len(told) == 1
    assert re.match(r"T2 is not aligned, .*no collector found at the low-z end of the volume", told[0])
    aligned = {t: io.read_json(spoilt_store / "cumulative" / t / "summary.json")["aligned"] for t in ("T1", "T2", "T3")}
    assert aligned == {"T1": True, "T2": False, "T3": True}
    assert told[0].rstrip(".")[:60] in (spoilt_store / "report.html").read_text()


def test_a_scan_that_is_not_aligned_tells_the_raw_strain_and_no_thickness(spoilt_store):
    """Eighteen voxels of displacement that are not the electrode's own would make any thickness of it."""
    assert not [m for m in read_measurements(spoilt_store)[0] if m.scan == "T2"]
    raw = io.read_json(spoilt_store / "cumulative" / "T2" / "summary.json")
    assert raw["displacement_z_m"] == pytest.approx((-18 + 0.12 * 32 / 2) * VOXEL_M, abs=2 * VOXEL_M)
    assert raw["strain_zz"] == pytest.approx(np.log(1.12), abs=AXIAL)
    assert "No thickness could be measured at T2" in (spoilt_store / "report.html").read_text()


def test_an_electrode_that_fills_the_field_has_no_surface_there_and_says_on_what_its_thickness_rests(spoilt_store):
    said = io.read_json(spoilt_store / "surface" / "T3" / "summary.json")
    assert "reaches the end of the field" in said["refused"]
    assert sorted(path.name for path in (spoilt_store / "surface" / "T3").iterdir()) == ["summary.json"]
    (told,) = (line for line in read_warnings(spoilt_store) if "rests on displacements alone" in line)
    assert told.startswith("The thickness at T3 ") and "reaches the end of the field" in told
    numbers = read_numbers(spoilt_store)
    check_number(numbers["thickness", "whole", "T3"], 1.45 * THICKNESS_M, within=4 * VOXEL_M)
    seen = read_numbers(spoilt_store)["thickness", "whole", "T1"]
    assert numbers["thickness", "whole", "T3"].sd > 3 * seen.sd
    assert ("thickness_spread", "whole", "T3") not in numbers


def test_an_electrode_that_moved_between_repeat_scans_is_no_measure_of_noise(spoilt_store, foil_store):
    said = io.read_json(spoilt_store / "noise" / "T1-T2" / "noise.json")
    assert re.match(r"these are no repeat scans: the sample is strained unevenly by \d", said["refused"])
    page = (spoilt_store / "report.html").read_text()
    assert "The repeat scan T2 of T1 was refused: these are no repeat scans" in page
    assert "no repeat scan says how far to believe" in page
    good = io.read_json(foil_store / "noise" / "T1-T2" / "noise.json")
    assert good["refused"] is None
    sds = {}
    for store in (foil_store, spoilt_store):
        field = io.read_field_zarr(store / "cumulative" / "T1" / "field.zarr")
        sds[store] = np.nanmedian(field.sd[field.trusted][:, 3])
    assert sds[foil_store] == pytest.approx(good["factor_u"] * sds[spoilt_store], rel=0.02)


def test_without_a_repeat_scan_the_report_says_which_errors_are_unknown(foil_film, foil_store, tmp_path):
    film, store = shutil.copytree(foil_film, tmp_path / "film"), shutil.copytree(foil_store, tmp_path / "store")
    edit_study(film, ", repeats: T1", "")
    assert "noise/T1-T2" in run(film, store, without=("figures", "movie")).removed
    page = (store / "report.html").read_text()
    assert "Random errors rest on the grey residual alone: no repeat scan says how far to believe them." in page
    assert "no repeat scan" not in (foil_store / "report.html").read_text()
    before, now = (read_numbers(where)["thickness", "whole", "T1"] for where in (foil_store, store))
    assert now.share("noise") < before.share("noise")  # the factor of the repeat scan is gone
    assert now.value == pytest.approx(before.value, rel=1e-6)


def test_a_surface_seen_by_nobody_and_few_nodes_below_it_give_no_number(foil_film, foil_store, tmp_path):
    """A polynomial that is continued over half of the electrode would tell anything."""
    store = shutil.copytree(foil_store, tmp_path / "store")
    path = store / "cumulative" / "T3" / "field.zarr"
    field = io.read_field_zarr(path)
    suspect = np.where(field.positions_vox[:, 0] > 38, 1, field.suspect).astype(field.suspect.dtype)
    shutil.rmtree(path)
    io.write_field_zarr(path, field.with_values(suspect=suspect), voxel_size_m=VOXEL_M)
    io.write_json(store / "surface" / "T3" / "summary.json", {"refused": "fog"}, overwrite=True)
    with open_job(foil_film, store, "electrode") as job:
        found = measure_electrode(job)
    assert not [m for m in found["measurements"] if m.scan == "T3" and not m.name.startswith("alignment")]
    assert [line for line in found["warnings"] if "at T3 could not be measured" in line]
    assert [m for m in found["measurements"] if m.scan == "T1" and m.name == "thickness"]

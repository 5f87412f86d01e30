"""SCAN.yaml: what it may say, and what is wrong with it in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from voltome.errors import InputError
from voltome.pipeline.plane_frames import check_fresnel
from voltome.pipeline.plane_settings import load_planes

GOOD = {
    "wavelength_m": "532e-9",
    "pixel_m": "1.6e-7",
    "planes": "[{file: a.tif, distance_m: 0}, {file: b.tif, distance_m: 5e-5}]",
}


def write(folder: Path, **changes: str | None) -> Path:
    lines = [f"{name}: {value}" for name, value in (GOOD | changes).items() if value is not None]
    (folder / "scan.yaml").write_text("\n".join(lines) + "\n")
    return folder / "scan.yaml"


def test_paths_start_from_the_file(tmp_path):
    files = load_planes(write(tmp_path))
    assert files.locate("a.tif") == str(tmp_path / "a.tif")
    assert files.locate("/data/a.tif") == "/data/a.tif"


def test_energy_gives_the_wavelength(tmp_path):
    scan = load_planes(write(tmp_path, wavelength_m=None, energy_kev="29.6")).settings
    assert scan.wavelength == pytest.approx(4.1887e-11, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "ratio"),
    [
        ({}, None),
        ({"wavelength_m": None, "energy_kev": "29.6"}, 170.0),
        ({"wavelength_m": None, "energy_kev": "29.6", "delta_beta": "free"}, None),
        ({"delta_beta": "-50"}, -50.0),
    ],
)
def test_absorption_is_found_apart_unless_it_is_x_rays_or_a_ratio_is_given(changes, ratio, tmp_path):
    assert load_planes(write(tmp_path, **changes)).settings.ratio == ratio


def test_the_mode_asked_for_wins_and_is_checked(tmp_path):
    assert load_planes(write(tmp_path, mode="fast"), mode="quality").settings.mode == "quality"
    with pytest.raises(InputError, match="delta_beta must be a number for mode paper"):
        load_planes(write(tmp_path), mode="paper")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"energy_kev": "29.6"}, "line 4: one of wavelength_m and energy_kev must be given (got both)"),
        ({"wavelength_m": None}, "one of wavelength_m and energy_kev must be given (got neither)"),
        ({"wavelength_m": "532"}, "must be from 1e-12 to 0.001 m (got 532): it looks like nm, give 5.32e-07"),
        ({"wavelength_m": None, "energy_kev": "29600"}, "it looks like eV, give 29.6"),
        ({"pixel_m": "0.16"}, "line 2: pixel_m must be from 1e-09 to 0.0005 m (got 0.16): it looks like um, give 1.6"),
        ({"pixel_m": "-1e-7"}, "line 2: pixel_m must be > 0"),
        ({"pixel_m": None}, "pixel_m must be given"),
        ({"planes": "[]"}, "planes must have at least 1 item"),
        (
            {"planes": "[{file: a.tif, distance_m: 1e-5}, {file: b.tif, distance_m: 1e-5}]"},
            "line 3: planes[1].distance_m must differ",
        ),
        ({"planes": "[{file: a.tif, distance_m: 1e-5}]"}, "delta_beta must be a number for one plane alone (got free)"),
        ({"planes": "[{file: a.tif}]"}, "planes[0].distance_m must be given"),
        ({"planes": "[{file: a.tif, distance_m: .nan}]"}, "planes[0].distance_m must be a finite number"),
        ({"delta_beta": "0"}, "line 4: delta_beta must not be 0"),
        ({"mode": "paper", "delta_beta": "-3"}, "must be > 0 for mode paper"),
        ({"mode": "best"}, "line 4: mode must be 'fast', 'quality' or 'paper' (got 'best')"),
        ({"wavelenght_m": "1e-10"}, "did you mean wavelength_m?"),
        ({"cycles": "-1"}, "line 4: cycles must be >= 0"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_one_line_with_its_place(changes, said, tmp_path):
    with pytest.raises(InputError) as caught:
        load_planes(write(tmp_path, **changes))
    assert said in str(caught.value)
    assert str(tmp_path / "scan.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        ("50", "must be <= 0.0505, where the frame is one Fresnel zone wide (got 50): it looks like um, give 5e-05"),
        ("0.08", "it looks like mm, give 8e-05"),
        ("5e-14", "one distance at least must be >= "),
    ],
)  # fmt: skip
def test_distances_that_cannot_be_meant_are_refused_with_the_likely_unit(distance, said, tmp_path):
    scan = write(tmp_path, planes=f"[{{file: a.tif, distance_m: 0}}, {{file: b.tif, distance_m: {distance}}}]")
    with pytest.raises(InputError) as caught:
        check_fresnel(load_planes(scan).settings, (1024, 1100))
    assert said in str(caught.value)


def test_plausible_distances_pass(tmp_path):
    assert check_fresnel(load_planes(write(tmp_path)).settings, (1024, 1024)) is None

"""The study's file, and the line of what is wrong in it."""

from __future__ import annotations

import pytest

from voltome.errors import InputError
from voltome.pipeline.simulate import write_study
from voltome.study.study_file import StudyError, load_study
from voltome.twin.configuration import SIZE_NAMES, make_settings


def change(folder, old: str, new: str):
    path = folder / "study.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_a_file_and_its_folder_give_the_same_study(film):
    study = load_study(film)
    assert study == load_study(film / "study.yaml")
    assert [scan.name for scan in study.settings.scans] == ["T0", "T1", "T2"]


def test_paths_start_from_the_files_folder(film, tmp_path):
    study = load_study(film)
    assert study.locate("volumes/T0.tif") == str(film / "volumes" / "T0.tif")
    assert study.locate("scan.h5::/entry/data") == f"{film}/scan.h5::/entry/data"
    assert study.locate(f"{tmp_path}/T0.tif") == f"{tmp_path}/T0.tif"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            "  node_spacing_vox: 8",
            "  node_spacng_vox: 8",
            13,
            "correlation.node_spacng_vox must be a known setting (got 8): did you mean correlation.node_spacing_vox?",
        ),
        ("    repeats: T1", "    repeats: T0", 9, "scans[2].repeats must be the scan just before, T1 (got T0): put a "),
        ("name: T1", "name: T0", 5, "scans[1].name must be unique (got T0 again): rename that scan"),
        ("    volume: volumes/T2.tif\n", "", 6, "scans[2].volume must name a file (got none at T2)"),
        ("voxel_size_m: 5.0e-08", "", 1, "voxel_size_m must be given: give the edge of a voxel in metres, e.g. 5e-08"),
        ("  cycler: cycler.csv", "  cycler: [1]", 11, "electrochemistry.cycler must be a valid string (got [1]): "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old, new, line, said, film):
    path = change(film, old, new)
    with pytest.raises(InputError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path} line {line}: {said}")
    assert "\n" not in str(caught.value)


def test_all_lines_that_are_wrong_are_kept(film):
    change(film, "name: T1", "name: T0")
    change(film, "time_s: 1200", "time_s: 6")
    with pytest.raises(StudyError) as caught:
        load_study(film)
    assert [int(text.split(" line ")[1].split(":")[0]) for text in caught.value.lines] == [5, 9, 8]
    assert str(caught.value) == caught.value.lines[0]


def test_what_is_no_yaml_or_missing_is_one_line(film, tmp_path):
    change(film, "scans:", "scans: [")
    with pytest.raises(InputError, match=r"study\.yaml line \d+ is not YAML"):
        load_study(film)
    with pytest.raises(InputError, match=r"study\.yaml does not exist"):
        load_study(tmp_path)


@pytest.mark.parametrize("size", SIZE_NAMES)
def test_a_simulated_experiment_is_a_study(size, tmp_path):
    twin = make_settings(size)
    write_study(tmp_path, twin)
    settings = load_study(tmp_path).settings
    assert settings.voxel_size_m == twin.voxel_size_m
    assert [scan.name for scan in settings.scans] == [step.name for step in twin.steps]
    assert settings.scans[-1].repeats == settings.scans[-2].name
    wanted = {"tiny": (6, 10), "small": (12, 12), "paper": (35, 35)}[size]
    assert (settings.correlation.node_spacing_vox, settings.correlation.window_vox) == wanted
    assert 2 * settings.correlation.window_vox < min(twin.shape)


def test_steps_with_a_dash_in_their_name_become_scans(tmp_path):
    steps = [
        step.model_copy(update={"name": name})
        for step, name in zip(make_settings("tiny").steps, ["a-1", "a-2", "b", "c"], strict=True)
    ]
    write_study(tmp_path, make_settings("tiny").model_copy(update={"steps": tuple(steps)}))
    scans = load_study(tmp_path).settings.scans
    assert [scan.name for scan in scans] == ["a.1", "a.2", "b", "c"]
    assert scans[0].volume == "volumes/a-1.zarr"

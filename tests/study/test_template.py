"""A study's file to start from."""

from __future__ import annotations

import itertools
import json

import pytest

from voltome.errors import InputError
from voltome.io import read_yaml
from voltome.study.examples import EXAMPLES
from voltome.study.settings import StudySettings
from voltome.study.study_file import load_study
from voltome.study.template import format_schema, format_template, write_template

LEVELS = ("required", "common", "all")


@pytest.mark.parametrize("example", [None, *EXAMPLES])
@pytest.mark.parametrize("level", LEVELS)
def test_every_template_is_a_study_at_once(level, example, tmp_path):
    settings = load_study(write_template(tmp_path, level=level, example=example)).settings
    assert settings == load_study(write_template(tmp_path / "whole", level="all", example=example)).settings


def test_levels_list_more_and_more_settings(tmp_path):
    keys = {}
    for level in LEVELS:
        values = read_yaml(write_template(tmp_path / level, level=level))
        keys[level] = {
            name if group is None else f"{group}.{name}"
            for group, inner in ((None, values), *((k, v) for k, v in values.items() if isinstance(v, dict)))
            for name in inner
        }
    assert keys["required"] == {"voxel_size_m", "scans"}
    assert "correlation.node_spacing_vox" in keys["common"]
    assert "correlation.max_iterations" not in keys["common"]
    fields = StudySettings.model_fields
    assert {name for name in keys["all"] if "." not in name} == set(fields)
    assert keys["required"] < keys["common"] < keys["all"]


def test_every_setting_has_a_comment_above_it():
    lines = format_template(level="all").splitlines()
    assert all(len(line) <= 140 for line in lines)
    for above, line in itertools.pairwise(lines):
        if not line.lstrip().startswith(("#", "- ")):
            assert above.lstrip().startswith("# "), line


@pytest.mark.parametrize("example", ["ID16B-nabu", "ID16B-tiff"])
def test_the_open_data_have_the_papers_film_and_say_what_is_assumed(example, tmp_path):
    path = write_template(tmp_path, example=example)
    settings = load_study(path).settings
    assert settings.voxel_size_m == 5e-8
    assert [scan.name for scan in settings.scans] == [f"T{number}" for number in range(10)]
    assert {scan.name: scan.soc for scan in settings.scans if scan.soc is not None} == {
        "T0": 0, "T3": 0.5, "T6": 0.85, "T8": 0.7, "T9": 0.7,
    }  # fmt: skip
    assert settings.scans[9].repeats == "T8"
    text = path.read_text()
    assert "10.15151/ESRF-ES-1190113340" in text and "10.15151/ESRF-ES-1579881493" in text
    assert "Assumed" in text
    assert all(scan.volume.startswith(f"PROCESSED_DATA/anode/anode_{scan.name}/") for scan in settings.scans)


def test_editors_find_the_schema_beside_it(tmp_path):
    path = write_template(tmp_path)
    named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert json.loads((tmp_path / named).read_text()) == json.loads(format_schema())
    assert json.loads(format_schema())["additionalProperties"] is False


def test_a_study_that_is_there_is_never_replaced(tmp_path):
    (tmp_path / "study.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"study\.yaml already exists: give another folder"):
        write_template(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("study.yaml", "mine")]


def test_nothing_is_left_where_the_schema_cannot_be_written(tmp_path):
    (tmp_path / "film" / "study.schema.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"study\.schema\.json is a folder"):
        write_template(tmp_path / "film")
    assert [path.name for path in (tmp_path / "film").iterdir()] == ["study.schema.json"]


def test_scans_that_lie_in_the_folder_stay(tmp_path):
    (tmp_path / "T0.tif").write_bytes(b"scan")
    write_template(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["T0.tif", "study.schema.json", "study.yaml"]


def test_unknown_levels_and_examples_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"level must be one of required, common, all \(got 'most'\)"):
        write_template(tmp_path, level="most")
    with pytest.raises(InputError, match=r"example must be one of ID16B-nabu, .* \(got 'ID15'\)"):
        write_template(tmp_path, example="ID15")
    assert list(tmp_path.iterdir()) == []

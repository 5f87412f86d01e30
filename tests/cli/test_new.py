"""`voltome new` and `voltome schema`, as they are typed."""

from __future__ import annotations

import json

from voltome.cli import main
from voltome.study.examples import EXAMPLES
from voltome.study.study_file import load_study


def test_a_new_study_is_written_once(tmp_path, capfd):
    assert main(["new", str(tmp_path / "film"), "--level", "required", "--example", "ID16B-tiff"]) == 0
    said = capfd.readouterr()
    assert (said.out, said.err) == (f"wrote {tmp_path}/film/study.yaml\n", "")
    assert len(load_study(tmp_path / "film").settings.scans) == 10
    assert main(["new", str(tmp_path / "film")]) == 2
    said = capfd.readouterr()
    assert said.err.startswith(f"error: {tmp_path}/film/study.yaml already exists: ")
    assert said.err.count("\n") == 1


def test_unknown_examples_are_one_line(tmp_path, capfd):
    assert main(["new", str(tmp_path), "--example", "ID15"]) == 2
    assert f"--example must be one of {', '.join(map(repr, EXAMPLES))} (got 'ID15')" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_schema_is_printed_as_json(capfd):
    assert main(["schema"]) == 0
    assert json.loads(capfd.readouterr().out)["required"] == ["voxel_size_m", "scans"]

"""`voltome check`, as it is typed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voltome.cli import main


@pytest.fixture
def study(tmp_path):
    """A study of two scans of which one repeats the other."""
    random = np.random.default_rng(5)
    for name in ("T0", "T1"):
        np.save(tmp_path / f"{name}.npy", random.integers(2000, 4000, (44, 40, 36), dtype=np.uint16))
    path = tmp_path / "study.yaml"
    path.write_text(
        "voxel_size_m: 5e-8\n"
        "scans:\n"
        "  - {name: T0, volume: T0.npy, time_s: 0}\n"
        "  - {name: T1, volume: T1.npy, time_s: 60, repeats: T0}\n"
        "correlation: {node_spacing_vox: 8}\n"
    )
    return path


def test_a_sound_study_is_described_and_ready(study, capfd):
    assert main(["check", str(study), "--out", str(study.parent / "out"), "--threads", "1"]) == 0
    said = capfd.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "2 scans (T0, T1) of 44 x 40 x 36 voxels of 50 nm, uint16, silicon-darkest"
    assert lines[1] == "node spacings 8, half window 8: at most 80 nodes in each field"
    assert lines[-2].startswith("time: about ") and " s on 1 thread (" in lines[-2]
    assert lines[-1] == "ready to run"
    assert said.err == ""
    assert not (study.parent / "out").exists()


def test_models_are_named_with_how_good_they_are(study, capfd):
    study.write_text(study.read_text() + "segmentation: {model: twin}\n")
    assert main(["check", str(study), "--json"]) == 0
    dice = json.loads(capfd.readouterr().out)["models"]["twin"]
    assert 0.8 < dice < 1
    assert main(["check", str(study)]) == 0
    assert f"phases by twin (Dice of silicon {dice:.3f} where it was judged)" in capfd.readouterr().out


def test_the_folder_will_do_and_quiet_says_nothing(study, capfd):
    assert main(["check", str(study.parent), "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_every_problem_is_a_line_and_the_exit_code_tells(study, capfd):
    study.write_text(study.read_text().replace("T0.npy", "T5.npy").replace("spacing_vox: 8", "spacing_vox: 30"))
    assert main(["check", str(study)]) == 2
    said = capfd.readouterr()
    first, second = said.err.splitlines()
    assert first.startswith(f"error: {study} line 3: scans[0].volume cannot be used: ")
    assert second.startswith(f"error: {study} line 5: correlation.node_spacing_vox must be <= 17 ")
    assert "ready" not in said.out


def test_settings_that_break_rules_are_all_told(study, capfd):
    study.write_text(study.read_text().replace("repeats: T0", "repeats: T9").replace("node_spacing", "node_spcing"))
    assert main(["check", str(study)]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert [line.split(": ")[1].rsplit(" ", 1)[1] for line in said.err.splitlines()] == ["5"]
    assert "did you mean correlation.node_spacing_vox?" in said.err


def test_json_holds_the_same(study, capfd):
    assert main(["check", str(study), "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["shape"] == [44, 40, 36]
    assert answer["problems"] == answer["warnings"] == []
    study.write_text(study.read_text().replace("5e-8", "5"))
    assert main(["check", str(study), "--json"]) == 2
    said = capfd.readouterr()
    assert "voxel_size_m must be <= 0.001 (got 5)" in json.loads(said.out)["problems"][0]
    assert said.err == ""


def test_a_study_that_is_missing_is_one_line(tmp_path, capfd):
    assert main(["check", str(tmp_path / "film.yaml")]) == 2
    assert "film.yaml does not exist: give a study.yaml or its folder" in capfd.readouterr().err

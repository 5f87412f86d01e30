"""`voltome segment evaluate` as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer

from voltome.cli.endings import end_with
from voltome.cli.segment_evaluate import evaluate

SHAPE = (9, 14, 12)
TRUTH = np.ones(SHAPE, dtype=np.uint8)
TRUTH[:, 4:9] = 4
PREDICTED = np.roll(TRUTH, 1, axis=1)

APP = typer.Typer()
APP.command()(evaluate)


def run(*arguments):
    try:
        return APP([str(argument) for argument in arguments], standalone_mode=False) or 0
    except BaseException as error:
        return end_with(error)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "predicted.npy", PREDICTED)
    np.save(tmp_path / "truth.npy", TRUTH)
    return tmp_path / "predicted.npy", tmp_path / "truth.npy"


def test_the_table_has_one_row_for_each_class(files, capfd):
    assert run(*files, "--names", "1=matrix,4=silicon") == 0
    said, errors = capfd.readouterr()
    lines = said.splitlines()
    assert errors == ""
    assert lines[0] == "1512 of 1512 voxels are labelled: 85.7 % right, mean Dice 0.8444"
    rows = {line.split()[0]: line.split() for line in lines[2:4]}
    assert lines[1].split()[:8] == ["class", "code", "voxels", "Dice", "IoU", "precision", "recall", "volume"]
    assert rows["silicon"][1:8] == ["4", "540", "0.8000", "0.6667", "0.8000", "0.8000", "1.0000"]
    assert rows["silicon"][8:] == ["1.0000", "1.0000", "1.0000", "1.00", "1.00", "1.00", "0.0", "%"]
    assert [line.split() for line in lines[4:]] == [
        ["objects", "of", "diameter", "number", "recovered", "Dice"],
        ["matrix", "8", "to", "16", "2", "100.0", "%", "0.8889"],
        ["silicon", "8", "to", "16", "1", "100.0", "%", "0.8000"],
    ]


def test_quick_leaves_out_surfaces_and_objects(files, capfd):
    assert run(*files, "--quick") == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 4 and "F1" not in lines[1]
    assert lines[3].split() == ["class", "4", "4", "540", "0.8000", "0.6667", "0.8000", "0.8000", "1.0000"]


def test_json_holds_every_number(files, capfd):
    assert run(*files, "--json", "--names", "4=silicon", "--threads", "1") == 0
    found = json.loads(capfd.readouterr().out)
    silicon = found["classes"][1]
    assert (silicon["name"], silicon["dice"], silicon["volume_ratio"]) == ("silicon", 0.8, 1)
    assert silicon["surface"]["f1"] == [1, 1, 1] and silicon["surface"]["mean_vox"] == 1
    assert silicon["sizes"][0]["objects"] == 1
    assert found["confusion_vox"] == [[864, 108], [108, 432]]


def test_what_has_no_value_is_a_dash_and_null(files, tmp_path, capfd):
    missing = PREDICTED.copy()
    missing[TRUTH == 4] = 1
    missing[missing == 4] = 1
    np.save(tmp_path / "missing.npy", missing)
    assert run(tmp_path / "missing.npy", files[1]) == 0
    assert capfd.readouterr().out.splitlines()[3].split()[6:8] == ["-", "0.0000"]
    assert run(tmp_path / "missing.npy", files[1], "--json") == 0
    assert json.loads(capfd.readouterr().out)["classes"][1]["precision"] is None


def test_codes_of_the_truth_are_mapped(files, tmp_path, capfd):
    np.save(tmp_path / "model.npy", np.where(TRUTH == 4, 2, 1))
    assert run(tmp_path / "model.npy", files[1], "--map", "4=2", "--names", "2=silicon") == 0
    assert "100.0 % right, mean Dice 1.0000" in capfd.readouterr().out
    assert run(tmp_path / "model.npy", files[1], "--map", "1=0,4=2") == 0
    assert capfd.readouterr().out.startswith("540 of 1512 voxels are labelled")


@pytest.mark.parametrize("slices", [True, False])
def test_slices_are_judged_one_by_one(files, capfd, slices):
    assert run(*files, "--json", *["--slices"] * slices) == 0
    objects = json.loads(capfd.readouterr().out)["classes"][1]["sizes"]
    assert [size["objects"] for size in objects] == [9 if slices else 1]


@pytest.mark.parametrize(
    ("change", "options", "rule"),
    [
        (PREDICTED[1:], [], "both label volumes must have one shape (got (8, 14, 12) and (9, 14, 12))"),
        (PREDICTED / 2, [], "labels must be whole numbers (the prediction is float64)"),
        (np.full(SHAPE, np.nan), [], "labels must be whole numbers (the prediction is float64)"),
        (PREDICTED + 10, [], "must share a class (got codes 11, 14 and 1, 4)"),
        (PREDICTED, ["--map", "1=0,4=0"], "the truth must label some voxels"),
        (PREDICTED.astype(int) * 1000, [], "codes of classes must be 0 to 255"),
        (PREDICTED, ["--map", "1=two"], "--map must join codes with codes (got '1=two')"),
        (PREDICTED, ["--map", "1:2"], "--map must name each code once, as code=value (got '1:2')"),
        (PREDICTED, ["--names", "1=a,1=b"], "--names must name each code once"),
        (PREDICTED, ["--names", "a"], "--names must name each code once"),
        (PREDICTED, ["--map", "300=1"], "codes of classes must be 0 to 255 (got 300=1)"),
        (PREDICTED, ["--threads", "0"], "threads must be >= 1"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_exit_code_2(files, capfd, change, options, rule):
    np.save(files[0], change)
    assert run(*files, *options) == 2
    said, errors = capfd.readouterr()
    assert said == ""
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert rule in errors


def test_a_file_that_is_missing_is_one_line(files, tmp_path, capfd):
    assert run(tmp_path / "none.tif", files[1]) == 2
    assert "none.tif does not exist: check the name" in capfd.readouterr().err

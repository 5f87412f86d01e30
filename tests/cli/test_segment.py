"""`voltome segment`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from voltome.cli import main

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of stripes, their labels, and a model trained on them for a moment."""
    place = tmp_path_factory.mktemp("stripes")
    y, x = np.indices((64, 72))
    for number in range(3):
        truth = np.where(np.sin((y + 0.5 * x + 5 * number) / 6) > 0, 1, 2).astype(np.uint8)
        noise = np.random.default_rng(number).normal(0, 8, truth.shape)
        for kind, values in (("images", 90 + 60 * truth + noise), ("labels", truth)):
            (place / kind).mkdir(exist_ok=True)
            tifffile.imwrite(place / kind / f"s{number}.tif", values.astype(np.uint8))
    options = ["--base", "4", "--epochs", "2", "--folds", "3", "--names", "1=pore,2=grain", "--threads", "1"]
    pairs = ["--images", str(place / "images"), "--labels", str(place / "labels")]
    assert main(["segment", "train", *pairs, "--out", str(place / "m.safetensors"), *options]) == 0
    return place


def test_training_tells_losses_and_scores(folder, tmp_path, capfd) -> None:
    pairs = ["--images", str(folder / "images"), "--labels", str(folder / "labels")]
    quick = ["--base", "4", "--epochs", "1", "--folds", "0", "--threads", "1"]
    assert main(["segment", "train", *pairs, "--out", str(tmp_path / "m.safetensors"), *quick]) == 0
    caught = capfd.readouterr()
    assert "whole: epoch 1 of 1, loss" in caught.err
    assert caught.out.splitlines()[-1] == f"wrote {tmp_path / 'm.safetensors'}"


def test_stages_that_run_side_by_side_share_a_line_on_a_terminal(monkeypatch, tmp_path, capfd) -> None:
    from voltome.cli.segment import _Live
    from voltome.segmentation.stages import Epoch

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    with _Live(False, tmp_path / "m.checkpoint") as live:
        for stage, number in ((3, 1), (0, 1), (0, 2), (3, 2)):
            live.show(Epoch(stage, 4, number, 2 if stage == 0 else 9, 0.5, 0.75))
    shown = [line.rstrip() for line in capfd.readouterr().err.replace("\n", "").split("\r")[1:]]
    assert shown == [
        "whole 1/9 loss 0.500 Dice 0.750",
        "whole 1/9 loss 0.500 Dice 0.750 | fold 1 of 3 1/2 loss 0.500 Dice 0.750",
        "fold 1 of 3: epoch 2 of 2, loss 0.5000, Dice 0.7500",
        "whole 2/9 loss 0.500 Dice 0.750",
    ]


def test_image_is_segmented_shown_and_judged(folder, tmp_path, capfd) -> None:
    out = tmp_path / "phases.tif"
    model, image = str(folder / "m.safetensors"), str(folder / "images" / "s1.tif")
    assert main(["segment", "apply", model, image, "--out", str(out)]) == 0
    said = capfd.readouterr().out
    assert "1 x 64 x 72 voxels" in said and "pore" in said and f"wrote {out}" in said
    assert main(["segment", "show", model]) == 0
    said = capfd.readouterr().out
    assert "base 4" in said and "held out" in said
    assert main(["segment", "show", model, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["settings"]["base"] == 4
    assert main(["segment", "evaluate", str(out), str(folder / "labels" / "s1.tif"), "--json"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--labels", "{f}/labels", "--out", "{t}/x.safetensors"], "--images DIR"),
        (["train", "--images", "{f}/images", "--labels", "{f}/none", "--out", "{t}/x"], "not a folder"),
        (["train", "--images", "{f}/images", "--labels", "{f}/labels", "--out", "{t}/x", "--names", "a=b"], "--names"),
        (["train", "--images", "{f}/images", "--labels", "{f}/labels", "--out", "{t}/x", "--resume"], "--resume"),
        (
            ["train", "--images", "{f}/images", "--labels", "{f}/labels", "--out", "{t}/x", "--start", "twin"],
            "class 3|planes|grey",
        ),
        (["apply", "{f}/labels/s1.tif", "{f}/images/s1.tif", "--out", "{t}/p.tif"], "not a model"),
        (["apply", "{f}/none.safetensors", "{f}/images/s1.tif", "--out", "{t}/p.tif"], "not a file"),
        (["apply", "{f}/m.safetensors", "{f}/labels/s1.tif", "--out", "{t}/p.tif"], "--window"),
        (["apply", "twin", "{f}/images/s1.tif", "--out", "{t}/p.tif"], "."),
        (["show", "{f}/images/s1.tif"], "not a model"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder, tmp_path, capfd, arguments, said) -> None:
    import re

    typed = [part.format(f=folder, t=tmp_path) for part in arguments]
    assert main(["segment", *typed]) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and re.search(said, lines[0]), lines
    assert not list(tmp_path.iterdir())

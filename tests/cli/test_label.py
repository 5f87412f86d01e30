"""`voltome label`, as it is typed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from voltome.cli import main

SHAPE = (16, 80, 96)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume of two phases in noise, and lines drawn across two of its planes."""
    here = tmp_path_factory.mktemp("label")
    rng = np.random.default_rng(6)
    truth = np.where(ndimage.gaussian_filter(rng.normal(size=SHAPE), 3) > 0, 2, 1).astype(np.uint8)
    labels = np.zeros_like(truth)
    for z in (3, 11):
        labels[z, 10:75:20, 4:90] = truth[z, 10:75:20, 4:90]
    tifffile.imwrite(here / "volume.tif", (20000 + 4000.0 * truth + rng.normal(0, 3000, SHAPE)).astype(np.uint16))
    tifffile.imwrite(here / "scribbles.tif", labels)
    tifffile.imwrite(here / "truth.tif", truth)
    return here


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    out = folder / "forest.safetensors"
    command = ["label", "train", str(folder / "volume.tif"), str(folder / "scribbles.tif"), "--out", str(out)]
    assert main([*command, "--scales", "1,2", "--trees", "12", "--names", "1=pore,2=silicon", "--quiet"]) == 0
    return out


def test_training_says_what_was_learned(folder, model, tmp_path, capfd):
    out = tmp_path / "f.safetensors"
    command = ["label", "train", str(folder / "volume.tif"), str(folder / "scribbles.tif"), "--out", str(out)]
    assert main([*command, "--scales", "1,2", "--trees", "12", "--names", "1=pore,2=silicon", "--threads", "1"]) == 0
    shown = capfd.readouterr()
    said = shown.out.splitlines()
    assert said[0] == "12 trees on features in 3D at scales of 1, 2 voxels"
    assert said[2].split()[:2] == ["1", "pore"] and "labelled voxels, Dice 0." in said[2]
    assert said[-1] == f"wrote {out}" and shown.err == ""
    assert out.read_bytes() == model.read_bytes()  # same scribbles and seed, on any number of threads


def test_volume_is_labelled_with_its_confidence(folder, model, tmp_path, capfd):
    out = tmp_path / "phases.tif"
    assert main(["label", "apply", str(model), str(folder / "volume.tif"), "--out", str(out)]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0] == "16 x 80 x 96 voxels, by forest" and said[-1] == f"wrote {out}"
    assert (tifffile.imread(out) == tifffile.imread(folder / "truth.tif")).mean() > 0.85
    assert tifffile.imread(tmp_path / "phases-confidence.tif").shape == SHAPE


def test_places_for_the_next_scribbles_are_told(folder, model, tmp_path, capfd):
    out = tmp_path / "patches.csv"
    command = ["label", "suggest", str(model), str(folder / "volume.tif"), "--out", str(out), "--count", "2"]
    assert main([*command, "--scribbles", str(folder / "scribbles.tif")]) == 0
    said = capfd.readouterr().out.splitlines()
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert said[0] == f"{len(rows)} {'patch' if len(rows) == 1 else 'patches'} in 16 planes, the most uncertain first"
    assert said[1].startswith(f"z {rows[0]['z']}, y {rows[0]['y']} to {int(rows[0]['y']) + 63}, x ")
    assert list(rows[0]) == ["z", "y", "x", "height_vox", "width_vox", "uncertainty"]


def test_quiet_says_nothing(folder, model, tmp_path, capfd):
    out = str(tmp_path / "patches.json")
    assert main(["label", "suggest", str(model), str(folder / "volume.tif"), "--out", out, "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(folder, model, tmp_path, capfd):
    volume, scribbles, out = str(folder / "volume.tif"), str(folder / "scribbles.tif"), str(tmp_path / "new")
    tifffile.imwrite(tmp_path / "one.tif", np.minimum(tifffile.imread(scribbles), 1))
    tifffile.imwrite(tmp_path / "part.tif", tifffile.imread(scribbles)[:, :, :-2])
    tifffile.imwrite(tmp_path / "half.tif", tifffile.imread(scribbles) / np.float32(2))
    (tmp_path / "short.safetensors").write_bytes(model.read_bytes()[:2000])
    before = sorted(tmp_path.iterdir())
    train = ["label", "train", volume]
    for command, said in (
        ([*train, str(tmp_path / "one.tif"), "--out", out], "labels must hold at least two classes"),
        ([*train, str(tmp_path / "part.tif"), "--out", out], "labels must have the volume's shape"),
        ([*train, str(tmp_path / "half.tif"), "--out", out], "labels must be whole numbers"),
        ([*train, str(tmp_path / "none.tif"), "--out", out], "does not exist"),
        ([*train, scribbles, "--out", str(model)], "already exists"),
        ([*train, scribbles, "--out", out, "--scales", "1,b"], "--scales must be numbers"),
        ([*train, scribbles, "--out", out, "--scales", "4,2"], "scales must be voxels in ascending order"),
        ([*train, scribbles, "--out", out, "--names", "pore"], "--names must name each code once"),
        ([*train, scribbles, "--out", out, "--dimensions", "4"], "--dimensions"),
        (["label", "apply", str(tmp_path / "short.safetensors"), volume, "--out", out], "is not a model, or was cut"),
        (["label", "apply", str(tmp_path / "one.tif"), volume, "--out", out], "is not a model, or was cut short"),
        (["label", "suggest", str(model), volume, "--out", out], "must end in .csv or .json"),
        (["label", "suggest", str(model), volume, "--out", f"{out}.csv", "--count", "0"], "count must be >= 1"),
    ):
        assert main(command) == 2, command
        shown = capfd.readouterr()
        assert said in shown.err and shown.err.count("\n") == 1 and shown.out == "", command
    assert sorted(tmp_path.iterdir()) == before

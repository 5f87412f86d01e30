"""`voltome correlate --labels` as a user types it, and what it refuses."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from voltome import io, twin
from voltome.cli import main
from voltome.dvc.particle_motion import rotation_vectors

SHAPE = (64, 60, 66)
CENTRE = (np.array(SHAPE) - 1) / 2
MATRIX = twin.make_affine_motion(np.diag([1.03, 0.98, 1.0]), displacement_vox=(0.8, -1.3, 0.6), centre_vox=CENTRE)
SMALL = ("--node-spacing", "16", "--half-window", "10", "--no-report")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pair with its labels on disk, and everything that can be wrong with labels."""
    folder = tmp_path_factory.mktemp("particles")
    pair = twin.make_particle_pair(SHAPE, MATRIX, count=6, radius_vox=(8, 10), noise=0.02, seed=2, matrix_texture=0.5)
    io.write_volume(folder / "a.tif", pair.reference, voxel_size_m=5e-8)
    io.write_volume(folder / "b.tif", pair.deformed)
    io.write_volume(folder / "labels.tif", pair.labels)
    pair.labels.astype("<u4").tofile(folder / "labels.raw")
    np.save(folder / "float.npy", pair.labels.astype(np.float32))
    np.save(folder / "negative.npy", pair.labels.astype(np.int32) - 1)
    np.save(folder / "nothing.npy", np.zeros(SHAPE, dtype=np.uint8))
    np.save(folder / "shorter.npy", pair.labels[:-1])
    return folder, pair


def run(folder, out, *options):
    return main(["correlate", str(folder / "a.tif"), str(folder / "b.tif"), "--out", str(out), *SMALL, *options])


def read_rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_each_label_gets_a_row_that_is_right(folder, tmp_path, capfd):
    folder, pair = folder
    assert run(folder, tmp_path / "out", "--labels", str(folder / "labels.tif")) == 0
    assert "particles: 6 of 6 converged, 0 suspect, 0 deforming" in capfd.readouterr().out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["field.zarr", "particles.tsv", "phi.tsv", "phi_filtered.tsv", "strain.vtu", "summary.json"]
    rows = read_rows(tmp_path / "out" / "particles.tsv")
    assert [int(row["Label"]) for row in rows] == pair.numbers.tolist()
    assert {row["kind"] for row in rows} == {"rigid"}
    turn = np.degrees(rotation_vectors(pair.phi[:, :3, :3]))
    found = np.array([[float(row[f"{axis}rot_deg"]) for axis in "ZYX"] for row in rows])
    assert np.abs(found - turn).max() < 0.1
    field = io.read_phi_tsv(tmp_path / "out" / "particles.tsv")
    assert np.abs(field.phi - pair.evaluate_phi(field.positions_vox))[:, :3, 3].max() < 0.02
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["particles"]["total"] == summary["particles"]["trusted"] == 6
    assert summary["particles"]["medians"]["rotation_deg"] == pytest.approx(
        np.median(np.linalg.norm(turn, axis=1)), abs=0.05
    )
    assert summary["parameters"]["labels"] == "labels.tif"
    assert "particles" in summary["seconds"]


def test_a_particle_that_was_not_found_has_no_numbers(folder, tmp_path):
    folder, pair = folder
    labels = pair.labels.copy()
    labels[2, 2, 2] = 4000  # one voxel
    np.save(tmp_path / "labels.npy", labels)
    assert run(folder, tmp_path / "out", "--labels", str(tmp_path / "labels.npy"), "--label-dilation", "0") == 0
    row = next(row for row in read_rows(tmp_path / "out" / "particles.tsv") if row["Label"] == "4000")
    assert row["kind"] == "none" and int(row["returnStatus"]) < 0
    assert {row[name] for name in ("Zdisp", "Fxx", "Zrot_deg", "Ezz", "volumetric")} == {"nan"}


def test_raw_labels_and_a_chosen_dilation(folder, tmp_path):
    folder, pair = folder
    options = ("--labels", str(folder / "labels.raw"), "--label-dilation", "1", "--quiet")
    assert run(folder, tmp_path / "out", *options) == 0
    assert run(folder, tmp_path / "out", *options, "--overwrite") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["particles"]["dilation_vox"] == 1
    assert summary["particles"]["total"] == len(pair.numbers)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--labels", "float.npy"), "labels must be whole numbers (got float32)"),
        (("--labels", "negative.npy"), "labels must be >= 0 (found -1)"),
        (("--labels", "nothing.npy"), "no particle (every voxel is 0)"),
        (("--labels", "shorter.npy"), "the labels must have the volumes' shape (64, 60, 66) (got (63, 60, 66))"),
        (("--labels", "missing.npy"), "missing.npy does not exist"),
        (("--labels", "labels.tif", "--label-dilation", "100"), "label dilation must be -20 to 20"),
        (("--label-dilation", "2"), "give --labels as well"),
    ],
)
def test_what_is_wrong_with_labels_is_told_in_one_line(folder, tmp_path, capfd, monkeypatch, options, said):
    monkeypatch.chdir(folder[0])
    assert run(folder[0], tmp_path / "out", *options) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "out").exists() and not list(tmp_path.iterdir())

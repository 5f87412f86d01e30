"""`voltome noise` as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voltome import twin
from voltome.cli import main

SHAPE = (66, 62, 64)


@pytest.fixture(scope="module")
def repeats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repeats")
    motion = twin.make_rigid_motion(displacement_vox=(1.3, -0.2, 0.4))
    pair = twin.make_speckle_pair(SHAPE, motion, noise=0.05, seed=3)
    strained = twin.make_speckle_pair(SHAPE, twin.make_affine_motion(np.diag([1.03, 1.0, 0.99])), noise=0.05, seed=3)
    np.save(folder / "a.npy", pair.reference)
    np.save(folder / "b.npy", pair.deformed)
    np.save(folder / "strained.npy", strained.deformed)
    np.save(folder / "small.npy", pair.reference[:30])
    return folder


def test_two_scans_become_a_figure_and_a_table(repeats, tmp_path, capfd):
    out = tmp_path / "out"
    command = ["noise", str(repeats / "a.npy"), str(repeats / "b.npy"), "--out", str(out), "--crop", "60"]
    assert main([*command, "--half-windows", "6,10", "--strain-resolution", "0.002"]) == 0
    said, errors = capfd.readouterr()
    assert errors == ""
    lines = said.splitlines()
    assert lines[1].startswith("          6: ") and lines[2].startswith("         10: ")
    assert any(line.startswith("sd of u = ") for line in lines)
    assert any(line.startswith("for a strain resolution of 0.002 from displacements") for line in lines)
    assert any(line.startswith("found: the second scan is displaced by +1.3, -0.2") for line in lines)
    assert lines[-1] == f"figure: {out / 'noise.png'}"
    assert sorted(path.name for path in out.iterdir()) == ["noise.png", "noise.svg", "noise.tsv", "summary.json"]
    table = [line.split("\t") for line in (out / "noise.tsv").read_text().splitlines()]
    assert {len(row) for row in table} == {len(table[0])} and len(table) == 3
    summary = json.loads((out / "summary.json").read_text())
    assert np.isfinite([[float(value) for value in row] for row in table[1:]]).all()
    column = table[0].index("sd_u_vox")
    assert [float(row[column]) for row in table[1:]] == [row["sd_u_vox"] for row in summary["windows"]]
    assert summary["parameters"]["repeat_a"] == "a.npy"
    assert (out / "noise.png").read_bytes()[:4] == b"\x89PNG"
    assert main(command) == 2
    assert "already exists" in capfd.readouterr().err
    assert main([*command, "--half-windows", "8", "--no-virtual", "--overwrite", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    warnings = json.loads((out / "summary.json").read_text())["warnings"]
    assert warnings == ["one half window has no power law: give two or more that fit the volume"]


@pytest.mark.parametrize(
    ("second", "options", "rule"),
    [
        ("a.npy", [], "a volume compared with itself has no noise"),
        ("strained.npy", [], "these are no repeat scans"),
        ("small.npy", [], "shape"),
        ("none.npy", [], "does not exist"),
        ("b.npy", ["--half-windows", "8,many"], "--half-windows must be whole numbers separated by commas"),
        ("b.npy", ["--half-windows", "2"], "half windows must be different whole numbers >= 4"),
        ("b.npy", ["--half-windows", "30"], "must hold 8 windows side by side"),
        ("b.npy", ["--strain-resolution", "-1"], "the strain resolution must be above 0"),
        ("b.npy", ["--crop", "10"], "the crop must be >= 48 voxels"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(repeats, tmp_path, capfd, second, options, rule):
    out = tmp_path / "out"
    assert main(["noise", str(repeats / "a.npy"), str(repeats / second), "--out", str(out), *options]) == 2
    said, errors = capfd.readouterr()
    assert said == ""
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert rule in errors
    assert list(tmp_path.iterdir()) == []


def test_scans_across_a_crack_are_no_repeat_scans(notched_cylinder, tmp_path, capfd):
    assert main(["noise", *map(str, notched_cylinder), "--out", str(tmp_path / "out"), "--no-virtual"]) == 2
    assert "error: these are no repeat scans" in capfd.readouterr().err

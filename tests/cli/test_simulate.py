"""`voltome simulate`, as it is typed."""

from __future__ import annotations

import json

import pytest

from voltome.cli import main
from voltome.pipeline.twin_folder import load_settings
from voltome.twin.configuration import make_settings


def test_it_tells_what_it_made_and_where(miniature, tmp_path, capfd):
    out = tmp_path / "out"
    assert main(["simulate", str(miniature), "--out", str(out), "--tiff", "--seed", "5"]) == 0
    said = capfd.readouterr()
    assert said.out.startswith("simulated: 3 scans (T0, T1, T2) of 44 x 32 x 34 voxels of 300 nm, ")
    assert said.out.endswith(f"wrote {out}\n")
    assert said.err == ""
    assert sorted(path.name for path in (out / "volumes").iterdir()) == [
        f"T{n}.{ending}" for n in range(3) for ending in ("tif", "zarr")
    ]
    assert load_settings(out / "twin.yaml").seed == 5
    assert main(["simulate", str(miniature), "--out", str(out)]) == 2  # not twice over the same
    assert "already exists" in capfd.readouterr().err


def test_settings_and_schema_can_be_printed(tmp_path, capsys):
    assert main(["simulate", "--size", "tiny", "--seed", "9", "--show", "settings"]) == 0
    (tmp_path / "twin.yaml").write_text(capsys.readouterr().out)
    assert load_settings(tmp_path / "twin.yaml") == make_settings("tiny", seed=9)
    assert main(["simulate", "--show", "schema"]) == 0
    assert "electrode" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", [], "--out must name a folder"),
        ("", ["--out", "out", "--size", "huge"], "--size must be one of 'tiny', 'small', 'paper' (got 'huge')"),
        ("", ["--out", "out", "--seed", "-1"], "seed must be >= 0 (got -1)"),
        ("", ["--out", "out", "--threads", "0"], "threads must be >= 1 (got 0)"),
        ("electrode: {silicon_fraction: 0.9, binder_fraction: 0.2}", ["--out", "out"], "silicon_fraction"),
        ("steps: [{name: T0, thickness_m: 1e-4, soc: 0}]", ["--out", "out"], "steps[0]"),
        ("shape: [64, 40, 40]", ["--out", "out"], "raise shape[0]"),
        ("seed: [", ["--out", "out"], "twin.yaml line 1 is not YAML"),
    ],
)
def test_bad_input_is_one_line_before_any_work(text, arguments, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twin.yaml").write_text(text)
    assert main(["simulate", "twin.yaml", *arguments]) == 2
    shown = capfd.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["twin.yaml"]

"""From two volumes on disk to a strain map, as a newcomer types it."""

from __future__ import annotations

import filecmp
import json
import re
from pathlib import Path

import meshio
import numpy as np
import pytest
import xarray

from voltome import io, twin
from voltome.cli import main
from voltome.fields import SPAM_COLUMNS

SHAPE = (64, 56, 60)
CENTRE = (np.array(SHAPE) - 1) / 2
MOTION = twin.make_affine_motion(np.diag([1.03, 0.99, 1.0]), displacement_vox=(1.2, -2.3, 0.7), centre_vox=CENTRE)
RESULTS = ["field.zarr", "phi.tsv", "phi_filtered.tsv", "report.html", "strain.vtu", "summary.json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pair as TIFF, and what `voltome correlate` made of it."""
    folder = tmp_path_factory.mktemp("journey")
    pair = twin.make_speckle_pair(SHAPE, MOTION, noise=0.05, gain=0.7)
    for name, volume in (("before", pair.reference), ("after", pair.deformed)):
        io.write_volume(folder / f"{name}.tif", (volume * 10000).astype(np.uint16), voxel_size_m=5e-8)
    assert _correlate(folder, "out") == 0
    return folder


def _correlate(folder: Path, out: str, *options: str) -> int:
    volumes = (str(folder / name) for name in ("before.tif", "after.tif"))
    return main(
        ["correlate", *volumes, "--out", str(folder / out), "--node-spacing", "12", "--half-window", "10", *options]
    )


def test_correlate_writes_six_files_and_nothing_else(folder):
    assert sorted(path.name for path in (folder / "out").iterdir()) == RESULTS
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_the_table_is_spams_and_right(folder):
    text = (folder / "out" / "phi.tsv").read_text().splitlines()
    assert tuple(text[0].split("\t")[:20]) == SPAM_COLUMNS
    field = io.read_phi_tsv(folder / "out" / "phi.tsv")
    assert field.grid_shape == (5, 4, 4)
    error = field.phi - twin.true_field(MOTION, field.positions_vox).phi
    assert field.trusted.all()
    assert np.sqrt(np.mean(error[:, :3, 3] ** 2)) < 0.01
    assert np.sqrt(np.mean(error[:, :3, :3] ** 2)) < 0.002


def test_the_summary_has_its_keys(folder):
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert {"total", "converged", "by_status", "suspect", "filled"} <= set(summary["nodes"])
    assert summary["nodes"]["total"] == 80
    assert {"medians", "seconds", "peak_memory_bytes", "version", "parameters"} <= set(summary)
    assert summary["medians"]["strain_zz"] == pytest.approx(np.log(1.03), abs=1e-3)
    assert summary["voxel_size_m"] == 5e-8


def test_the_field_opens_with_xarray_and_the_mesh_with_meshio(folder):
    with xarray.open_zarr(folder / "out" / "field.zarr") as dataset:
        assert [dataset.sizes[axis] for axis in "zyx"] == [5, 4, 4]
        assert len(dataset.data_vars) > 5
    mesh = meshio.read(folder / "out" / "strain.vtu")
    assert mesh.point_data or mesh.cell_data


def test_the_report_is_one_self_contained_file(folder):
    html = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']+""", html)
    assert "strain" in html.lower() and str(folder) not in html


def test_the_same_command_gives_the_same_bytes(folder):
    assert _correlate(folder, "again", "--no-report", "--threads", "1", "--quiet") == 0
    once, again = folder / "out", folder / "again"
    assert not (again / "report.html").exists()
    for name in ("phi.tsv", "phi_filtered.tsv", "strain.vtu"):
        assert (once / name).read_bytes() == (again / name).read_bytes()
    files = sorted(path.relative_to(once) for path in (once / "field.zarr").rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in (again / "field.zarr").rglob("*") if path.is_file())
    same, different, missing = filecmp.cmpfiles(once, again, map(str, files), shallow=False)
    assert (len(same), different, missing) == (len(files), [], [])


def test_quiet_prints_nothing_and_else_a_few_lines(folder, capfd):
    assert _correlate(folder, "quiet", "--no-report", "--quiet") == 0
    assert capfd.readouterr() == ("", "")
    assert _correlate(folder, "quiet", "--no-report", "--overwrite") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "nodes: 80 of 80 converged" in out
    assert out.splitlines()[-1] == f"results: {folder / 'quiet'}"


def test_an_existing_result_needs_overwrite(folder, capfd):
    before = (folder / "out" / "phi.tsv").read_bytes()
    assert _correlate(folder, "out") == 2
    assert "already exists" in capfd.readouterr().err
    assert (folder / "out" / "phi.tsv").read_bytes() == before


def test_the_result_starts_the_next_correlation(folder):
    phi = str(folder / "out" / "phi_filtered.tsv")
    assert _correlate(folder, "next", "--initial-phi", phi, "--no-report", "--quiet") == 0
    summary = json.loads((folder / "next" / "summary.json").read_text())
    assert summary["registration"] is None
    assert summary["medians"]["iterations"] <= 3


@pytest.mark.parametrize("interpolation", ["cubic", "linear"])
def test_deform_and_residual_follow_from_the_table(folder, tmp_path, capfd, interpolation):
    phi, before, after = (str(folder / name) for name in ("out/phi_filtered.tsv", "before.tif", "after.tif"))
    options = ["--interpolation", interpolation]
    assert main(["deform", before, phi, "--out", str(tmp_path / "deformed.tif"), *options]) == 0
    assert main(["residual", before, after, phi, "--out", str(tmp_path / "residual.tif"), *options]) == 0
    assert capfd.readouterr().out.count("wrote ") == 2
    grey = {
        name: io.read_volume(folder / f"{name}.tif").astype(float)[8:-8, 8:-8, 8:-8] for name in ("before", "after")
    }
    deformed, residual = (
        io.read_volume(tmp_path / f"{name}.tif")[8:-8, 8:-8, 8:-8] for name in ("deformed", "residual")
    )
    assert np.corrcoef(deformed.ravel(), grey["after"].ravel())[0, 1] > 0.98
    assert np.corrcoef(grey["before"].ravel(), grey["after"].ravel())[0, 1] < 0.8
    assert residual.std() < 0.15 * grey["before"].std()


def test_strain_follows_from_the_table(folder, tmp_path):
    phi = str(folder / "out" / "phi_filtered.tsv")
    assert main(["strain", phi, "--measure", "green-lagrange", "--out", str(tmp_path / "strain"), "--quiet"]) == 0
    summary = json.loads((tmp_path / "strain" / "summary.json").read_text())
    assert summary["medians"]["strain_zz"] == pytest.approx((1.03**2 - 1) / 2, abs=1e-3)
    assert (tmp_path / "strain" / "strain.vtu").exists()


@pytest.mark.parametrize("form", ["slices", "data.h5::/scan/grey", "grey.npy", "grey.zarr"])
def test_every_format_gives_the_same_field(folder, tmp_path, form):
    volumes = []
    for name in ("before", "after"):
        volumes.append(f"{tmp_path}/{name}_{form}")
        assert main(["convert", str(folder / f"{name}.tif"), volumes[-1], "--quiet"]) == 0
    command = ["correlate", *volumes, "--out", str(tmp_path / "out"), "--node-spacing", "12", "--half-window", "10"]
    assert main([*command, "--no-report", "--quiet"]) == 0
    assert (tmp_path / "out" / "phi.tsv").read_bytes() == (folder / "out" / "phi.tsv").read_bytes()


def test_default_levels_that_do_not_fit_are_named(tmp_path, capfd):
    pair = twin.make_speckle_pair((80, 76, 82), MOTION)
    for name, volume in (("a", pair.reference), ("b", pair.deformed)):
        np.save(tmp_path / f"{name}.npy", volume)
    command = ["correlate", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), "--out", str(tmp_path / "out")]
    assert main([*command, "--no-report"]) == 0
    assert "skipped pyramid levels, which do not fit the volume: 100, 70" in capfd.readouterr().out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["skipped_levels"] == [100, 70]
    assert [level["node_spacing_vox"] for level in summary["levels"]] == [35]


def test_the_demo_tells_how_far_it_was_from_the_truth(demo):
    out, said = demo
    assert f"report: {out / 'results' / 'report.html'}" in said
    assert "T1: thickness 21.9" in said and "(true 21.9), volumetric strain 6.0" in said and "voxel (median)" in said
    assert re.search(r"silicon not lithiated 9\d\.\d ± \d\.\d % \(true 9\d\.\d\)", said)
    assert sorted(path.name for path in out.iterdir()) == ["experiment", "results"]
    rows = io.read_parquet(out / "results" / "tables" / "scans.parquet")
    assert rows["name"].tolist() == ["T0", "T1", "T6", "T6r"]
    assert (rows["nodes_trusted"][1:] > 0.7 * rows["nodes"][1:]).all()
    # The collector, seven voxels thick, fixes no lateral shift: 0.35 voxel of T1's drift stay. T6 is 45 % thicker, and
    # most of its silicon is gone from sight.
    assert (rows["truth_error_vox"][1:] < 0.45).all()
    found = {row["name"]: row for row in io.read_json(out / "results/truth/T6/accuracy.json")["rows"]}
    assert abs(found["axial strain zz, mean"]["error"]) < 0.03
    assert abs(found["lateral strain yy, mean"]["error"]) < 0.02


def test_the_demo_is_not_made_twice_over_the_same_results(demo):
    out, _ = demo
    before = (out / "results" / "report.html").stat().st_mtime_ns
    assert main(["demo", "--out", str(out)]) == 2
    assert (out / "results" / "report.html").stat().st_mtime_ns == before


def test_the_demos_report_shows_every_number_beside_the_truth(demo):
    page = (demo[0] / "results" / "report.html").read_text()
    rows = io.read_json(demo[0] / "results" / "accuracy.json")["rows"]
    assert "truth" in page.lower() and len(rows) > 40
    for row in rows:
        if row["name"] == "thickness":
            shown = f"{1e6 * row['true']:.3g}"
            assert shown in page, row
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']+""", page)

"""A study from its file to its report and out into other programs, as a newcomer types it (docs/first-study.md)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import meshio
import numpy as np
import pandas as pd
import pytest
import tifffile
import xarray
import zarr

from voltome.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
TRUTH_ERROR_VOX = 0.75  # of which 0.5 is lateral drift: a collector of four voxels does not tell that
MAGNIFICATION = 0.003  # of the notched cylinder's second scan, along every axis
NOTCH_VOX, AXIS_VOX = 140, 110


def type_command(*words: str | Path) -> None:
    assert main([str(word) for word in words]) == 0


def read_files(folder: Path) -> dict[str, bytes]:
    """Everything in a store but what its runs say of themselves."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "run" not in path.relative_to(folder).parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def results(experiment, tmp_path_factory):
    """What `voltome run` made of a simulated experiment, whose own study.yaml is the study."""
    out = tmp_path_factory.mktemp("study") / "results"
    type_command("run", experiment, "--out", out, "--threads", "2", "--quiet")
    return out


def test_check_says_what_it_will_take_and_writes_nothing(experiment, tmp_path, capfd):
    before = {path: path.stat().st_mtime_ns for path in experiment.rglob("*")}
    type_command("check", experiment, "--out", tmp_path / "results", "--threads", "2")
    said = capfd.readouterr()
    first, *_, last = said.out.splitlines()
    assert first.startswith("3 scans (T0, T1, T2) of 44 x 32 x 34 voxels of 300 nm, uint16, silicon-darkest")
    assert (last, said.err) == ("ready to run", "")
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in experiment.rglob("*")} == before


def test_status_says_that_all_is_done(results, capfd):
    type_command("status", results)
    first, header, *steps = capfd.readouterr().out.splitlines()
    assert first.startswith(f"{results}: done")
    assert header.split()[:3] == ["step", "done", "of"]
    made = [path for path in (results / "made_by").rglob("*.json")]
    assert steps[-1].split()[:3] == ["all", str(len(made)), str(len(made))]


def test_a_second_run_makes_nothing_and_a_change_what_depends_on_it(experiment, results, tmp_path, capfd):
    folder, store = tmp_path / "film", tmp_path / "results"
    shutil.copytree(experiment, folder)
    shutil.copytree(results, store)
    shutil.rmtree(store / "run")  # no result: it may be left out when a store is passed on
    type_command("run", folder, "--out", store)
    assert re.match(r"results: 0 made, \d+ kept\n", capfd.readouterr().out)
    assert read_files(store) == read_files(results)
    study = folder / "study.yaml"
    study.write_text(study.read_text() + "strain: {measure: small}\n")
    type_command("run", folder, "--out", store)
    # strain of T1 and T2, their errors; the electrode, its silicon, their accuracy; tables, figures, movie, report
    assert capfd.readouterr().out.startswith("results: 11 made")
    again, before = read_files(store), read_files(results)
    assert again["increments/T0-T1/field.zarr/zarr.json"] == before["increments/T0-T1/field.zarr/zarr.json"]
    assert again["cumulative/T1/field.zarr/zarr.json"] != before["cumulative/T1/field.zarr/zarr.json"]


def test_the_tables_open_with_pandas_and_are_near_the_truth(results):
    scans = pd.read_parquet(results / "tables" / "scans.parquet").set_index("name")
    nodes = pd.read_parquet(results / "tables" / "nodes.parquet")
    assert list(scans.index) == ["T0", "T1", "T2"] and scans.repeats["T2"] == "T1"
    assert (scans.truth_error_vox[["T1", "T2"]] < TRUTH_ERROR_VOX).all()
    counts = nodes.groupby("scan").trusted.agg(["size", "sum"])
    assert counts["size"].to_dict() == scans.nodes[["T1", "T2"]].to_dict()
    assert counts["sum"].to_dict() == scans.nodes_trusted[["T1", "T2"]].to_dict()
    trusted = nodes[nodes.trusted & (nodes.scan == "T1")]
    assert trusted.displacement_z_m.mean() == pytest.approx(scans.displacement_z_m["T1"], rel=1e-6)


def read_names(row: str) -> list[str]:
    """Names in a row of the page; one without a folder lies beside the first of its row."""
    first, *others = re.findall(r"`([^`]+)`", row)
    folder = first.rpartition("/")[0] if not first.endswith("/") else ""
    return [first, *(name if "/" in name or not folder else f"{folder}/{name}" for name in others)]


def test_the_store_holds_what_its_page_names_and_nothing_else(results):
    table = (DOCS / "store.md").read_text().split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    rows = [row for row in rows if "reconstruction/" not in row]  # of scans given as radiographs
    named = {name.rstrip("/") for row in rows for name in read_names(row)}
    files = {re.sub("/T[^/]+", "/*", name) for name in named}  # of any scan
    tops = {name.split("/")[0] for name in named}
    assert {path.name for path in results.iterdir()} == tops
    for name in files:
        assert list(results.glob(name if not name.startswith("made_by") else "made_by/*/*.json")), name
    found = {f"{path.parent.parent.name}/*/{path.name}" for top in tops for path in (results / top).glob("T*/*")}
    assert found and found <= files


def test_columns_and_variables_are_those_of_the_page(results):
    page = (DOCS / "store.md").read_text()
    fields, tables = page.split("## Fields")[1].split("## Tables")
    for name, words in zip(("scans", "nodes"), tables.split("| what |")[1:], strict=True):
        columns = set(pd.read_parquet(results / "tables" / f"{name}.parquet"))
        assert columns <= set(re.findall(r"`(\w+)`", words)), name
    with xarray.open_zarr(results / "cumulative" / "T1" / "field.zarr") as field:
        assert set(field.variables) <= set(re.findall(r"`(\w+)`", fields))
        assert all("units" in field[name].attrs for name in field.variables)


def test_the_scans_are_an_ome_zarr_image_for_other_readers(results, experiment):
    group = zarr.open_group(results / "volumes.zarr", mode="r")
    image = pytest.importorskip("ome_zarr_models.v05.image").Image.from_zarr(group)
    (multiscale,) = image.ome_attributes.multiscales
    assert [axis.name for axis in multiscale.axes] == ["t", "z", "y", "x"]
    assert group.attrs["voltome"]["scans"] == ["T0", "T1", "T2"]
    source = zarr.open_group(experiment / "volumes" / "T1.zarr", mode="r")["0"][:]
    np.testing.assert_array_equal(group["0"][1], np.squeeze(source))


def test_the_crate_tells_what_was_made_from_what(results, experiment):
    crate = pytest.importorskip("rocrate.rocrate").ROCrate(results)
    names = {entity.id for entity in crate.data_entities}
    assert {"report.html", "tables/nodes.parquet", "cumulative/T1/strain.vtu", "volumes.zarr/"} <= names
    assert all((results / name).exists() for name in names if not name.startswith("#"))
    (action,) = (entity for entity in crate.contextual_entities if entity.type == "CreateAction")
    inputs = {entity.get("name") for entity in action["object"]}
    assert {"volumes/T0.zarr", "cycler.csv"} <= inputs
    assert str(experiment) not in (results / "ro-crate-metadata.json").read_text()


def test_the_report_is_one_file_that_needs_nothing(results, experiment):
    page = (results / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']+""", page)
    assert "Before you trust these numbers" in page or "trusted nodes where they are fewest" in page
    assert all(str(place) not in page for place in (results, experiment))


def test_volumes_leave_as_tiff(results, tmp_path, capfd):
    type_command("export", results, "--as", "tiff", "--out", tmp_path / "tiff")
    assert capfd.readouterr().out.startswith("exported: T0.tif, T1.tif, T2.tif\n")
    group = zarr.open_group(results / "volumes.zarr", mode="r")
    for t in range(3):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "tiff" / f"T{t}.tif"), group["0"][t])


def test_fields_leave_for_paraview_and_spam(results, tmp_path):
    type_command("export", results, "--as", "vtk", "--out", tmp_path / "vtk", "--quiet")
    type_command("export", results, "--as", "tsv", "--out", tmp_path / "tsv", "--quiet")
    with xarray.open_zarr(results / "cumulative" / "T2" / "field.zarr") as field:
        place = np.stack(np.meshgrid(field.z, field.y, field.x, indexing="ij"), axis=-1).reshape(-1, 3)
        moved = field.displacement_vox.values.reshape(-1, 3)
        voxel_size_m = field.attrs["voxel_size_m"]
    mesh = meshio.read(tmp_path / "vtk" / "cumulative_T2.vtu")
    np.testing.assert_allclose(mesh.points, place[:, ::-1] * voxel_size_m)
    np.testing.assert_allclose(mesh.point_data["displacement_m"], moved[:, ::-1] * voxel_size_m, rtol=1e-6, atol=1e-15)
    table = pd.read_csv(tmp_path / "tsv" / "cumulative_T2.tsv", sep="\t")
    np.testing.assert_allclose(table[["Zpos", "Ypos", "Xpos"]], place)
    np.testing.assert_allclose(table[["Zdisp", "Ydisp", "Xdisp"]], moved, rtol=1e-6, atol=1e-12)


def test_tables_leave_as_csv(results, tmp_path):
    type_command("export", results, "--as", "csv", "--out", tmp_path / "csv", "--quiet")
    for name in ("scans", "nodes"):
        there = pd.read_parquet(results / "tables" / f"{name}.parquet")
        there = there.replace("", np.nan)  # CSV knows no empty word
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "csv" / f"{name}.csv"), there, check_dtype=False)


@pytest.fixture
def pair(tmp_path):
    """A study of two scans as `voltome new` begins it, with the scans that it names."""
    folder = tmp_path / "pair"
    type_command("new", folder, "--quiet")
    random = np.random.default_rng(3)
    (folder / "volumes").mkdir()
    for name in ("T0", "T1"):
        tifffile.imwrite(folder / "volumes" / f"{name}.tif", random.integers(0, 60000, (40, 44, 48), dtype=np.uint16))
    edit(folder, node_spacing_vox=10)
    return folder


def edit(folder: Path, **settings: object) -> None:
    """Give settings of a new study other values, as one does in an editor."""
    text = (folder / "study.yaml").read_text()
    for name, value in settings.items():
        text, count = re.subn(rf"^( *){name}: .*$", rf"\g<1>{name}: {value}", text, flags=re.M)
        assert count == 1, name
    (folder / "study.yaml").write_text(text)


def replace(folder: Path, old: str, new: str) -> None:
    text = (folder / "study.yaml").read_text()
    assert old in text
    (folder / "study.yaml").write_text(text.replace(old, new))


def cut_scan(folder: Path) -> None:
    scan = folder / "volumes" / "T1.tif"
    scan.write_bytes(scan.read_bytes()[:60000])


def drop_scans(folder: Path) -> None:
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(re.sub(r"^scans:\n(  - .*\n)+", "scans: []\n", text, flags=re.M))


def shape_scan(folder: Path) -> None:
    tifffile.imwrite(folder / "volumes" / "T1.tif", np.zeros((40, 44, 50), dtype=np.uint16))


WRONG = {
    "missing": (lambda folder: (folder / "volumes" / "T1.tif").unlink(), r"T1.tif does not exist: check the name"),
    "truncated": (cut_scan, r"T1.tif is cut short .*: copy it again"),
    "another shape": (shape_scan, r"must have the shape of T0, 40 x 44 x 48 \(got 40 x 44 x 50\)"),
    "one name twice": (lambda folder: replace(folder, "name: T1", "name: T0"), r"must be unique \(got T0 again\)"),
    "misspelt": (lambda folder: replace(folder, "gaussian_", "gausian_"), r"did you mean strain.gaussian_sigma"),
    "indented": (lambda folder: replace(folder, "  half_window_vox", " half_window_vox"), r"line \d+ is not YAML"),
    "no scans": (drop_scans, r"scans must hold at least two \(got 0\)"),
    "window": (lambda folder: edit(folder, half_window_vox=30), r"half_window_vox must be <= 19 .* give a smaller"),
    "no number": (lambda folder: edit(folder, voxel_size_m="50 nm"), r"voxel_size_m must be a valid number"),
    "no study": (lambda folder: (folder / "study.yaml").unlink(), r"study.yaml does not exist: give a study.yaml"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line_and_nothing_is_begun(pair, what, capfd):
    spoil, message = WRONG[what]
    spoil(pair)
    before = read_files(pair)
    out = pair.parent / "out"
    for command in (["check", str(pair), "--quiet"], ["run", str(pair), "--out", str(out), "--quiet"]):
        assert main(command) == 2
        said = capfd.readouterr()
        first, *others = said.err.splitlines()
        assert said.out == "" and re.search(message, said.err), said.err
        assert all(line.startswith("error: ") for line in (first, *others))
        assert not others or command[0] == "check"  # which tells all that is wrong
    assert not out.exists() and read_files(pair) == before


def test_a_folder_with_other_things_is_no_place_for_results(pair, capfd):
    (pair.parent / "thesis").mkdir()
    (pair.parent / "thesis" / "chapter.tex").write_text("mine")
    for out in (pair.parent / "thesis", pair, pair / "study.yaml"):
        assert main(["run", str(pair), "--out", str(out), "--quiet"]) == 2
        assert re.fullmatch(r"error: .*: give (a folder of its own|another name)\n", capfd.readouterr().err)
    assert [path.name for path in (pair.parent / "thesis").iterdir()] == ["chapter.tex"]


def test_a_measured_pair_is_a_study_of_two_steps(notched_cylinder, tmp_path, capfd):
    folder, out = tmp_path / "cylinder", tmp_path / "results"
    type_command("new", folder)
    for name, volume in zip(("T0", "T1"), notched_cylinder, strict=True):
        replace(folder, f"volumes/{name}.tif", str(volume))
    edit(folder, voxel_size_m="1.0e-05", node_spacing_vox=28, half_window_vox=14, region_m="all")
    type_command("check", folder, "--out", out)
    assert "2 scans (T0, T1) of 289 x 225 x 225 voxels of 10000 nm, uint8" in capfd.readouterr().out
    type_command("run", folder, "--out", out, "--threads", "2", "--quiet")
    nodes = pd.read_parquet(out / "tables" / "nodes.parquet")
    inside = np.hypot(nodes.y_vox - AXIS_VOX, nodes.x_vox - AXIS_VOX) < 80
    above = nodes[inside & (nodes.z_vox < NOTCH_VOX - 28)]
    assert len(above) > 60 and above.trusted.mean() > 0.98
    read = above[above.trusted & (above.strain_measured == 1)]
    strains = [read[f"strain_{axis}{axis}"].median() for axis in "zyx"]
    np.testing.assert_allclose(strains, MAGNIFICATION, atol=5e-4)
    across = nodes[inside & (nodes.z_vox.between(150, 235))]
    assert across.trusted.mean() < 0.95  # a crack runs through these

"""Export: the store's results in formats that other programs read; what is not there is said, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pandas as pd
import pytest
import tifffile
import typer
from typer.testing import CliRunner

from voltome import io
from voltome.cli.export import export
from voltome.dvc import compute_strain
from voltome.errors import DamagedError, InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import regular_nodes
from voltome.study.export import FORMATS, export_study

SHAPE = (21, 40, 33)
SCANS = ("T0", "T1", "T2")
VOXEL_SIZE_M = 5e-8
STRETCH = {"T1": 0.02, "T0-T1": 0.02, "T1-T2": 0.03, "T2": 0.05}
VOLUMES = [np.random.default_rng(seed).integers(0, 65535, SHAPE, dtype=np.uint16) for seed in range(3)]


def make_field(stretch: float) -> DeformationField:
    positions, grid_shape = regular_nodes(SHAPE, 7)
    phi = np.tile(np.eye(4), (len(positions), 1, 1))
    phi[:, 0, 0] += stretch
    phi[:, 0, 3] = stretch * positions[:, 0]
    field = DeformationField.from_phi(positions, phi, grid_shape=grid_shape)
    return field.with_values(status=np.full(len(field), NodeStatus.CONVERGED, dtype=np.int32))


def write_result(folder: Path, what: str, subject: str) -> None:
    """A field as the runner leaves it, with its mark."""
    field = make_field(STRETCH[subject])
    io.write_field_zarr(folder / what / subject / "field.zarr", field, voxel_size_m=VOXEL_SIZE_M)
    if what == "cumulative":
        io.write_strain_vtu(folder / what / subject / "strain.vtu", field, compute_strain(field, measure="small"))
    io.write_json(folder / "made_by" / what / f"{subject}.json", {})


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of three scans of which all but the direct field of T2 is finished."""
    folder = tmp_path_factory.mktemp("study") / "results"
    store = folder / "volumes.zarr"
    io.prepare_series(store, names=SCANS, shape=SHAPE, dtype="uint16", voxel_size_m=VOXEL_SIZE_M)
    for t, scan in enumerate(SCANS):
        (block,) = io.series_blocks(SHAPE)[0]
        io.write_series_block(store, 0, t, block, VOLUMES[t], scratch=folder / "run")
        io.write_json(folder / "made_by" / "volumes" / f"{scan}.json", {})
    for what, subject in (
        ("cumulative", "T1"), ("cumulative", "T2"), ("increments", "T0-T1"), ("increments", "T1-T2"), ("direct", "T1")
    ):  # fmt: skip
        write_result(folder, what, subject)
    io.write_field_zarr(folder / "direct" / "T2" / "field.zarr", make_field(0.0))  # without a mark: not finished
    io.write_parquet(folder / "tables" / "scans.parquet", {"name": list(SCANS), "soc": [0.0, None, 0.5]})
    nodes = {"scan": ["T1", "T1", "T2"], "zncc": np.array([0.9, np.nan, 0.7])}
    io.write_parquet(folder / "tables" / "nodes.parquet", nodes)
    io.write_json(folder / "made_by" / "tables" / "all.json", {})
    scans = [{"name": scan, "volume": f"{scan}.tif"} for scan in SCANS]
    settings = {"voxel_size_m": VOXEL_SIZE_M, "scans": scans, "strain": {"measure": "green-lagrange"}}
    io.write_yaml(folder / "study.yaml", settings)
    return folder


def test_volumes_become_tiff_with_their_voxel_size(study, tmp_path):
    assert export_study(study, tmp_path / "out", format="tiff") == ["T0.tif", "T1.tif", "T2.tif"]
    for scan, expected in zip(SCANS, VOLUMES, strict=True):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / f"{scan}.tif"), expected)
    with io.open_volume(tmp_path / "out" / "T1.tif") as volume:
        assert volume.voxel_size_m == pytest.approx(VOXEL_SIZE_M)


def test_volumes_become_images_for_paraview(study, tmp_path):
    assert export_study(study, tmp_path / "out", format="vtk", what=["volumes"], scans=["T1"]) == ["T1.vti"]
    content = (tmp_path / "out" / "T1.vti").read_bytes()
    assert VOLUMES[1].tobytes() in content and b'Spacing="5e-08 5e-08 5e-08"' in content


def test_a_mesh_that_the_study_made_is_given_as_it_is(study, tmp_path):
    assert export_study(study, tmp_path / "out", format="vtk", scans=["T2"]) == ["cumulative_T2.vtu"]
    made = (study / "cumulative" / "T2" / "strain.vtu").read_bytes()
    assert (tmp_path / "out" / "cumulative_T2.vtu").read_bytes() == made


def test_increments_get_the_strain_of_the_settings(study, tmp_path):
    names = export_study(study, tmp_path / "out", format="vtk", what=["increments", "direct"])
    assert names == ["increments_T0-T1.vtu", "increments_T1-T2.vtu", "direct_T1.vtu"]
    mesh = meshio.read(tmp_path / "out" / "increments_T1-T2.vtu")
    stretch = STRETCH["T1-T2"]
    green_lagrange = ((1 + stretch) ** 2 - 1) / 2
    np.testing.assert_allclose(mesh.point_data["strain_axial_zz"], green_lagrange, rtol=1e-9)
    field = make_field(stretch)
    np.testing.assert_allclose(mesh.points, field.positions_vox[:, ::-1] * VOXEL_SIZE_M)
    np.testing.assert_allclose(mesh.point_data["displacement_m"][:, 2], field.phi[:, 0, 3] * VOXEL_SIZE_M)


def test_fields_become_tables_of_spam(study, tmp_path):
    assert export_study(study, tmp_path / "out", format="tsv") == ["cumulative_T1.tsv", "cumulative_T2.tsv"]
    read = io.read_phi_tsv(tmp_path / "out" / "cumulative_T2.tsv")
    np.testing.assert_array_equal(read.phi, make_field(STRETCH["T2"]).phi)


def test_tables_become_csv_of_the_scans_that_are_wanted(study, tmp_path):
    assert export_study(study, tmp_path / "all", format="csv") == ["nodes.csv", "scans.csv"]
    assert pd.read_csv(tmp_path / "all" / "scans.csv")["name"].tolist() == list(SCANS)
    export_study(study, tmp_path / "some", format="csv", scans=["T1"])
    assert (tmp_path / "some" / "nodes.csv").read_text() == "scan,zncc\nT1,0.9\nT1,\n"
    assert (tmp_path / "some" / "scans.csv").read_text() == "name,soc\nT1,\n"


def test_scans_come_in_order_of_time_however_they_are_named(study, tmp_path):
    names = export_study(study, tmp_path / "out", format="tsv", scans=["T2", "T1", "T2"], what=["increments"] * 2)
    assert names == ["increments_T0-T1.tsv", "increments_T1-T2.tsv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scans": ["T7"]}, r"must be one of the study's \(got 'T7'\): give T0, T1, T2"),
        ({"scans": ["T0"]}, r"cumulative must be finished for a scan \(got T0\): give one of T1, T2"),
        ({"scans": ["T2"], "what": ["direct"]}, r"direct must be finished for a scan \(got T2\): give one of T1,"),
        ({"what": ["tables"]}, r"tsv holds cumulative, increments, direct \(got tables\): choose .* or csv"),
        ({"what": ["strain"]}, r"\(got strain\): choose one of these$"),
        ({"what": ["volumes"]}, r"\(got volumes\): choose one of these, or tiff, or vtk"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_nothing_is_written(study, tmp_path, options, message):
    with pytest.raises(InputError, match=message) as caught:
        export_study(study, tmp_path / "out", format="tsv", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no results of a study: give the folder that voltome run wrote"):
        export_study(tmp_path, tmp_path / "out", format="csv")


def test_a_study_that_has_just_begun_has_nothing_to_export(tmp_path):
    io.prepare_series(tmp_path / "volumes.zarr", names=["T0"], shape=SHAPE, dtype="uint16", voxel_size_m=None)
    for format, kinds in FORMATS.items():
        with pytest.raises(InputError, match=f"holds no finished {kinds[0]}: run the study first"):
            export_study(tmp_path, tmp_path / "out", format=format)


def test_a_damaged_store_is_named_and_nothing_is_left(study, tmp_path):
    place = study / "volumes.zarr" / "0" / "c" / "2" / "0" / "0" / "0"
    good = place.read_bytes()
    place.write_bytes(good[:-5])
    try:
        with pytest.raises(DamagedError, match="0/c/2/0/0/0 is damaged"):
            export_study(study, tmp_path / "out", format="tiff")
    finally:
        place.write_bytes(good)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_stays_unless_it_may_be_replaced(study, tmp_path):
    out = tmp_path / "out"
    export_study(study, out, format="csv")
    with pytest.raises(InputError, match="already exists"):
        export_study(study, out, format="csv")
    export_study(study, out, format="csv", overwrite=True)
    (out / "notes.csv").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.csv, which this job does not write"):
        export_study(study, out, format="csv", overwrite=True)


def test_the_command_says_what_it_wrote(study, tmp_path):
    app = typer.Typer()
    app.command()(export)
    arguments = [str(study), "--out", str(tmp_path / "out"), "--as", "tsv", "--scan", "T1", "--scan", "T2"]
    result = CliRunner().invoke(app, [*arguments, "--what", "cumulative", "--what", "increments"])
    assert result.exit_code == 0, result.output
    names = ["cumulative_T1.tsv", "cumulative_T2.tsv", "increments_T0-T1.tsv", "increments_T1-T2.tsv"]
    assert result.output.splitlines() == [f"exported: {', '.join(names)}", f"wrote {tmp_path / 'out'}"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names

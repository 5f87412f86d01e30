"""`voltome compose` as a user types it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voltome import io, twin
from voltome.cli import main
from voltome.grid import regular_nodes

SHAPE = (64, 56, 60)
CENTRE = (np.array(SHAPE) - 1) / 2
STEP = twin.make_affine_motion(np.diag([1.02, 0.99, 1.0]), displacement_vox=(1.2, -1.3, 0.7), centre_vox=CENTRE)
NODES, GRID_SHAPE = regular_nodes(SHAPE, 12)


def make_field(scale=1.0, shift=0.0):
    field = twin.true_field(STEP, NODES, grid_shape=GRID_SHAPE)
    phi = field.phi.copy()
    phi[:, :3, 3] *= scale
    variance = 1e-4 * np.tile([12 / 21**2] * 3 + [1.0], 3)  # of a window of 21 voxels
    covariance = np.tile(np.diag(variance).astype(np.float32), (len(field), 1, 1))
    return replace(field, positions_vox=field.positions_vox * scale + shift, phi=phi, covariance=covariance)


@pytest.fixture
def tables(tmp_path):
    """Three increments that are alike, and what a field far off looks like."""
    names = [str(tmp_path / f"{name}.tsv") for name in "abc"]
    for name in names:
        io.write_phi_tsv(name, make_field())
    io.write_phi_tsv(tmp_path / "far.tsv", make_field(shift=4000.0))
    io.write_phi_tsv(tmp_path / "tenfold.tsv", make_field(scale=10.0))
    return names


def test_three_images_become_one_composed_field(tmp_path, capfd):
    first = twin.make_speckle_pair(SHAPE, STEP, noise=0.02)
    shift = STEP.displacement(STEP.translation_vox[None])[0] + STEP.translation_vox
    twice = twin.make_affine_motion((np.eye(3) + STEP.linear) @ (np.eye(3) + STEP.linear), displacement_vox=shift)
    images = [first.reference, first.deformed, twin.make_speckle_pair(SHAPE, twice, noise=0.02).deformed]
    for number, image in enumerate(images):
        np.save(tmp_path / f"{number}.npy", image)
    for a, b in ((0, 1), (1, 2)):
        volumes = [str(tmp_path / f"{number}.npy") for number in (a, b)]
        grid = ["--node-spacing", "12", "--half-window", "10", "--no-report", "--quiet"]
        assert main(["correlate", *volumes, "--out", str(tmp_path / f"{a}{b}"), *grid]) == 0
    out = tmp_path / "02.tsv"
    assert main(["compose", str(tmp_path / "01"), str(tmp_path / "12" / "field.zarr"), "--out", str(out)]) == 0
    said, errors = capfd.readouterr()
    assert errors == ""
    assert said.splitlines()[0] == "composed: 80 of 80 nodes over 2 increments, 0 outside"
    assert "median sd_displacement_vox: 0.00" in said
    assert said.splitlines()[-1] == f"wrote {out}"
    field = io.read_phi_tsv(out)
    assert field.grid_shape == (5, 4, 4)
    error = (field.phi - twin.true_field(twice, field.positions_vox).phi)[field.trusted]
    assert field.trusted.mean() > 0.9
    assert np.sqrt(np.mean(error[:, :3, 3] ** 2)) < 0.02
    assert np.sqrt(np.mean(error[:, :3, :3] ** 2)) < 0.003
    assert main(["strain", str(out), "--out", str(tmp_path / "strain"), "--quiet"]) == 0


def test_independent_increments_have_larger_standard_deviations(tables, tmp_path):
    assert main(["compose", *tables, "--out", str(tmp_path / "shared.tsv"), "--quiet"]) == 0
    assert main(["compose", *tables, "--independent", "--out", str(tmp_path / "plain.tsv"), "--quiet"]) == 0
    shared, plain = (io.read_phi_tsv(tmp_path / f"{name}.tsv") for name in ("shared", "plain"))
    np.testing.assert_allclose(shared.phi, plain.phi, atol=1e-12)
    ratio = (shared.sd / plain.sd)[shared.trusted][:, [3, 7, 11]]
    assert (ratio < 1).all() and np.median(ratio) < 0.8


def test_an_existing_output_needs_overwrite(tables, tmp_path, capfd):
    out = tmp_path / "out.tsv"
    out.write_text("mine")
    assert main(["compose", *tables, "--out", str(out)]) == 2
    assert "already exists" in capfd.readouterr().err
    assert out.read_text() == "mine"
    assert main(["compose", *tables, "--out", str(out), "--overwrite", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    assert len(io.read_phi_tsv(out)) == len(NODES)


def test_an_increment_is_never_the_output(tables, capfd):
    assert main(["compose", *tables, "--out", tables[1], "--overwrite"]) == 2
    assert "which is being read" in capfd.readouterr().err
    assert len(io.read_phi_tsv(tables[1])) == len(NODES)


def test_increments_in_other_voxels_are_said(tables, tmp_path, capfd):
    assert main(["compose", tables[0], str(tmp_path / "tenfold.tsv"), "--out", str(tmp_path / "out.tsv")]) == 0
    said = capfd.readouterr().out
    assert "warning: the node spacings are 12, 120 voxels" in said


def test_what_leaves_the_next_grid_is_counted(tables, tmp_path, capfd):
    io.write_phi_tsv(tmp_path / "aside.tsv", make_field(shift=30.0))
    assert main(["compose", tables[0], str(tmp_path / "aside.tsv"), "--out", str(tmp_path / "out.tsv")]) == 0
    said = capfd.readouterr().out
    field = io.read_phi_tsv(tmp_path / "out.tsv")
    lost = int((field.status == -5).sum())
    assert 0 < lost < len(field)
    assert np.isnan(field.phi[field.status == -5]).any(axis=(1, 2)).all()
    assert f"{lost} outside" in said
    assert f"warning: {lost} of {len(field)} nodes arrive more than a node spacing outside" in said


@pytest.mark.parametrize(
    ("fields", "out", "rule"),
    [
        (["a.tsv"], "out.tsv", "composition needs two or more increments (got 1): give them in order"),
        (["a.tsv", "none.tsv"], "out.tsv", "does not exist"),
        (["a.tsv", "garbage.tsv"], "out.tsv", "line 1 must name SPAM's columns"),
        (["a.tsv", "folder"], "out.tsv", "holds no field.zarr: give a .tsv, a field.zarr or a folder"),
        (["a.tsv", "far.tsv"], "out.tsv", "increment 2 must have nodes where increment 1 ends"),
        (["a.tsv", "b.tsv"], "out", "the output must end in .tsv"),
        (["a.tsv", "b.tsv"], "folder/sub.tsv/out.tsv", "is a file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tables, tmp_path, capfd, fields, out, rule):
    (tmp_path / "garbage.tsv").write_text("one\ttwo\n1\t2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "sub.tsv").write_text("")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert main(["compose", *(str(tmp_path / name) for name in fields), "--out", str(tmp_path / out)]) == 2
    said, errors = capfd.readouterr()
    assert said == ""
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert rule in errors
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_no_field_at_all_is_a_usage_error(tmp_path, capfd):
    assert main(["compose", "--out", str(tmp_path / "out.tsv")]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_increments_that_do_not_belong_together_are_said(tmp_path, capfd):
    names = [str(tmp_path / name) for name in ("one.zarr", "two.zarr", "other.zarr")]
    made = [{"reference": "0.tif", "deformed": "1.tif"}, {"reference": "0.tif", "deformed": "2.tif"}, {}]
    for name, parameters, size in zip(names, made, (1e-6, 1e-6, 2e-6), strict=True):
        io.write_field_zarr(name, make_field(), voxel_size_m=size, attributes={"parameters": parameters})
    assert main(["compose", *names[:2], "--out", str(tmp_path / "a.tsv")]) == 0
    assert "increment 2 begins with 0.tif, the one before ends with 1.tif" in "".join(capfd.readouterr())
    assert main(["compose", names[0], names[2], "--out", str(tmp_path / "b.tsv")]) == 2
    assert "one voxel size (got 1e-06, 2e-06 m)" in capfd.readouterr().err
    assert not (tmp_path / "b.tsv").exists()

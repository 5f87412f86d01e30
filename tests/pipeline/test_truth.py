"""The truth at any node positions."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.errors import InputError
from voltome.fields import SPAM_COLUMNS, DeformationField, NodeStatus
from voltome.grid import regular_nodes
from voltome.io import read_phi_tsv, write_phi_tsv
from voltome.pipeline.truth import compare_with_truth, find_truth, write_truth

NODES = np.random.default_rng(8).uniform((0, 0, 0), (44, 32, 34), (150, 3))


@pytest.fixture
def nodes(tmp_path):
    write_phi_tsv(tmp_path / "nodes.tsv", DeformationField.from_phi(NODES))
    return tmp_path / "nodes.tsv"


def test_rows_stand_in_the_order_of_the_nodes_and_hold_the_twins_phi(experiment, electrode_twin, nodes, tmp_path):
    write_truth(experiment, nodes, tmp_path / "truth.tsv", step="T1")
    lines = (tmp_path / "truth.tsv").read_text().splitlines()
    assert tuple(lines[0].split("\t")[:20]) == SPAM_COLUMNS
    field = read_phi_tsv(tmp_path / "truth.tsv")
    np.testing.assert_array_equal(field.positions_vox, NODES)
    np.testing.assert_allclose(field.phi, electrode_twin.true_field(1, NODES).phi, atol=1e-9)


def test_status_tells_the_electrode_from_the_rest(experiment, electrode_twin, tmp_path):
    places = np.array([[1.0, 16, 16], [16, 16, 16], [42, 16, 16], [16, 16, 60], [16, -4, 16]])
    write_phi_tsv(tmp_path / "nodes.tsv", DeformationField.from_phi(places))
    field = write_truth(experiment, tmp_path / "nodes.tsv", tmp_path / "truth.tsv", step="T1")
    assert field.status.tolist() == [-5, 2, -5, -5, -5]  # copper, electrode, separator, and outside the scan
    assert np.isfinite(field.phi).all()


def test_there_and_back_is_nowhere(electrode_twin):
    there = find_truth(electrode_twin, 1, NODES)
    back = find_truth(electrode_twin, 0, NODES + there.displacement_vox, start=1)
    np.testing.assert_allclose(back.displacement_vox, -there.displacement_vox, atol=1e-5)
    np.testing.assert_allclose(
        back.deformation_gradient @ there.deformation_gradient, np.tile(np.eye(3), (len(NODES), 1, 1)), atol=1e-3
    )


def test_a_window_sees_the_mean_of_its_matter(electrode_twin, experiment, nodes, tmp_path):
    write_truth(experiment, nodes, tmp_path / "truth.tsv", step="T1", start="T0", half_window_vox=5)
    window = read_phi_tsv(tmp_path / "truth.tsv")
    offsets = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for row in (0, 70):
        matter = electrode_twin.find_matter(0, NODES[row] + offsets)
        arrived, _, _ = electrode_twin.move_matter(1, matter)
        np.testing.assert_allclose(
            window.displacement_vox[row], (arrived - offsets).mean(axis=0) - NODES[row], atol=0.02
        )


def test_an_unknown_step_is_named_with_those_that_there_are(experiment, nodes, tmp_path):
    for names in ({"step": "T9"}, {"step": "T1", "start": "T9"}):
        with pytest.raises(InputError, match=r"'T9' must be one of .*T0, T1, T2"):
            write_truth(experiment, nodes, tmp_path / "truth.tsv", **names)
    assert not (tmp_path / "truth.tsv").exists()


def test_a_folder_without_a_twin_is_named(nodes, tmp_path):
    for folder, said in ((tmp_path, "it has no twin.yaml"), (tmp_path / "nowhere", "there is no such folder")):
        with pytest.raises(InputError, match=said):
            write_truth(folder, nodes, tmp_path / "truth.tsv", step="T1")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("seed: 1", "seed: 2", "must give the electrode that it was written with"),
        ("in_plane_strain: 0.004", "in_plane_strain: 0.005", "must give the step T1 that it was written with"),
        ("step_T1: ", "step_T1: 0", "simulate again"),
        ("made_by:", "unknown:", "unknown must be a known setting"),
    ],
)
def test_a_twin_that_this_version_builds_differently_is_refused(before, after, said, experiment, nodes, tmp_path):
    (tmp_path / "copy").mkdir()
    shutil.copy(experiment / "twin.yaml", tmp_path / "copy")
    text = (tmp_path / "copy" / "twin.yaml").read_text()
    assert text.count(before) == 1
    (tmp_path / "copy" / "twin.yaml").write_text(text.replace(before, after))
    with pytest.raises(InputError, match=said):
        write_truth(tmp_path / "copy", nodes, tmp_path / "truth.tsv", step="T1")


def test_bad_tables_windows_and_outputs_are_refused(experiment, nodes, tmp_path):
    (tmp_path / "bad.tsv").write_text("Zpos\tYpos\n1\t2\n")
    with pytest.raises(InputError, match=r"bad\.tsv line 1 .*lacks Xpos"):
        write_truth(experiment, tmp_path / "bad.tsv", tmp_path / "truth.tsv", step="T1")
    with pytest.raises(InputError, match="half_window_vox must be >= 1"):
        write_truth(experiment, nodes, tmp_path / "truth.tsv", step="T1", half_window_vox=0)
    with pytest.raises(InputError, match="already exists"):
        write_truth(experiment, nodes, nodes, step="T1")


GRID_NODES, GRID_SHAPE = regular_nodes((60, 50, 55), 10)


@pytest.fixture
def true():
    motion = twin.make_affine_motion(np.diag([1.1, 1.0, 0.98]))
    return twin.true_field(motion, GRID_NODES, grid_shape=GRID_SHAPE)


def _rows(field, true):
    truth = compare_with_truth(field, true, dvc.compute_strain(field), dvc.compute_strain(true))
    return {row["name"]: row for row in truth["errors"]}, truth


def test_the_truth_itself_has_no_error(true):
    rows, truth = _rows(true, true)
    assert all(row["error"] == pytest.approx(0, abs=1e-12) for row in rows.values())
    assert rows["nodes that could be measured"]["true"] == len(true)
    assert rows["axial strain zz, mean"]["true"] == pytest.approx(np.log(1.1))
    np.testing.assert_array_equal(truth["error_u_vox"], 0)


def test_errors_and_scores_are_those_that_were_put_in(true):
    random, sd = np.random.default_rng(0), 0.02
    phi = true.phi.copy()
    phi[:, :3, :] += sd * random.standard_normal((len(true), 3, 4))
    covariance = np.tile(np.float32(sd**2) * np.eye(12, dtype=np.float32), (len(true), 1, 1))
    rows, truth = _rows(true.with_values(phi=phi, covariance=covariance), true)
    assert rows["displacement, rms error"]["error"] == pytest.approx(sd, rel=0.1)
    assert rows["displacement, rms error"]["sd"] == pytest.approx(sd, rel=1e-3)
    assert rows["deformation gradient, rms error"]["error"] == pytest.approx(sd, rel=0.1)
    assert truth["z_scores"].shape == (len(true), 12)
    assert truth["z_scores"].std() == pytest.approx(1, rel=0.1)


def test_nodes_that_are_not_trusted_are_left_out(true):
    phi, suspect = true.phi.copy(), np.zeros(len(true), dtype=np.uint8)
    phi[5, 0, 3], suspect[5] = 500.0, 1
    rows, truth = _rows(true.with_values(phi=phi, suspect=suspect), true)
    assert rows["displacement, rms error"]["error"] == 0
    assert rows["nodes that could be measured"]["error"] == -1
    assert np.flatnonzero(np.isnan(truth["error_u_vox"])).tolist() == [5]
    assert rows["axial strain zz, mean"]["error"] == pytest.approx(0, abs=1e-12)


def test_only_nodes_of_the_electrode_count(true):
    phi, status = true.phi.copy(), true.status.copy()
    phi[7, 0, 3], status[7] = 500.0, NodeStatus.MASKED
    rows, truth = _rows(true.with_values(phi=phi), true.with_values(status=status))
    assert rows["nodes that could be measured"]["true"] == len(true) - 1
    assert rows["displacement, rms error"]["error"] == 0
    assert np.flatnonzero(np.isnan(truth["error_u_vox"])).tolist() == [7]


def test_nothing_measured_has_no_error(true):
    rows, _ = _rows(true.with_values(suspect=np.ones(len(true), dtype=np.uint8)), true)
    assert rows["nodes that could be measured"]["recovered"] == 0
    assert all(np.isnan(row["error"]) for name, row in rows.items() if name != "nodes that could be measured")

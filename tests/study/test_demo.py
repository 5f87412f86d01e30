"""The demo's comparison with its truth; the whole demo runs in tests/cli/test_journey.py."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.errors import InputError
from voltome.fields import NodeStatus
from voltome.grid import regular_nodes
from voltome.pipeline.demo import compare_with_truth, find_electrode, run_demo

NODES, GRID_SHAPE = regular_nodes((60, 50, 55), 10)


@pytest.fixture
def true():
    motion = twin.make_affine_motion(np.diag([1.1, 1.0, 0.98]))
    return twin.true_field(motion, NODES, grid_shape=GRID_SHAPE)


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


def test_the_electrode_lies_between_copper_and_separator(electrode_twin):
    inside = find_electrode(electrode_twin)
    depth = inside.sum(axis=0) * 3e-7
    assert inside.shape == (44, 32, 34)
    assert depth.mean() == pytest.approx(7e-6, abs=3e-7)
    assert not inside[:4].any() and inside[4:20].all() and not inside[-8:].any()


def test_a_folder_that_holds_something_is_refused_before_any_work(tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    seen = []
    with pytest.raises(InputError, match="already exists"):
        run_demo(tmp_path, on_progress=lambda *report: seen.append(report))
    with pytest.raises(InputError, match="holds notes"):
        run_demo(tmp_path, overwrite=True, on_progress=lambda *report: seen.append(report))
    assert seen == []
    assert (tmp_path / "notes.txt").read_text() == "precious"

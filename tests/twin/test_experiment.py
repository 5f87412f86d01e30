"""The twin as an experiment: true Phi between any two scans, drift included."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.fields import DeformationField
from voltome.twin.experiment import ElectrodeTwin


def electrode_nodes(twin: ElectrodeTwin, count: int = 300, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.uniform((8, 4, 4), (57, 60, 60), (count, 3))


def test_phi_of_a_step_to_itself_is_the_identity(tiny: ElectrodeTwin) -> None:
    field = tiny.true_field(2, electrode_nodes(tiny), start=2)
    assert field.phi == pytest.approx(np.broadcast_to(np.eye(4), field.phi.shape), abs=1e-5)


def test_displacement_takes_a_node_to_where_its_matter_is(tiny: ElectrodeTwin) -> None:
    nodes = electrode_nodes(tiny)
    field = tiny.true_field(2, nodes)
    assert tiny.find_matter(2, nodes + field.displacement_vox) == pytest.approx(tiny.find_matter(0, nodes), abs=1e-5)


def test_gradient_is_that_of_the_displacement_drift_included(tiny: ElectrodeTwin) -> None:
    nodes = electrode_nodes(tiny)
    field = tiny.true_field(2, nodes, start=1)
    numeric = np.empty((len(nodes), 3, 3))
    for axis in range(3):
        shift = 1e-5 * np.eye(3)[axis]
        sides = [tiny.true_field(2, nodes + sign * shift, start=1).displacement_vox + sign * shift for sign in (1, -1)]
        numeric[:, :, axis] = (sides[0] - sides[1]) / 2e-5
    error = np.abs(numeric - field.deformation_gradient).max(axis=(1, 2))
    assert np.quantile(error, 0.99) < 2e-2  # origins are found to 1e-7 um, which differences of 1e-5 voxel magnify


def test_back_and_forth_gradients_are_inverse(tiny: ElectrodeTwin) -> None:
    nodes = electrode_nodes(tiny)
    there = tiny.true_field(2, nodes)
    back = tiny.true_field(0, nodes + there.displacement_vox, start=2)
    product = back.deformation_gradient @ there.deformation_gradient
    assert np.quantile(np.abs(product - np.eye(3)).max(axis=(1, 2)), 0.98) < 1e-3


def test_increments_compose_to_the_direct_truth(tiny: ElectrodeTwin) -> None:
    nodes = electrode_nodes(tiny)
    first = tiny.true_field(1, nodes)
    second = tiny.true_field(2, nodes + first.displacement_vox, start=1)
    direct = tiny.true_field(2, nodes)
    assert first.displacement_vox + second.displacement_vox == pytest.approx(direct.displacement_vox, abs=1e-5)


def test_status_says_what_lies_inside_the_electrode(tiny: ElectrodeTwin) -> None:
    nodes = np.array([[2.0, 30, 30], [30.0, 30, 30], [90.0, 30, 30]])  # copper, electrode, separator
    field = tiny.true_field(1, nodes)
    assert field.status.tolist() == [-5, 2, -5]
    assert np.isfinite(field.phi).all()


def test_copper_moves_with_the_drift_alone(tiny: ElectrodeTwin) -> None:
    nodes = np.array([[1.0, 10, 20], [4.0, 50, 40], [2.5, 33, 7]])
    field, drift = tiny.true_field(2, nodes), tiny.drifts[2]
    assert field.deformation_gradient == pytest.approx(np.broadcast_to(drift.linear, (3, 3, 3)), abs=1e-9)
    assert field.displacement_vox == pytest.approx(drift.to_scan(nodes * tiny.voxel_um) - nodes, abs=1e-6)


def test_window_truth_of_an_affine_motion_is_the_point_truth(tiny: ElectrodeTwin) -> None:
    node = np.array([[2.5, 32.0, 32.0]])  # copper: the drift is affine
    point, window = tiny.true_field(2, node), tiny.true_field(2, node, half_window_vox=2)
    assert window.phi == pytest.approx(point.phi, abs=1e-6)


def test_window_truth_is_smoother_than_point_truth(tiny: ElectrodeTwin) -> None:
    nodes = np.stack([np.full(20, 30.0), np.full(20, 30.0), np.linspace(15, 45, 20)], axis=1)
    point, window = tiny.true_field(2, nodes), tiny.true_field(2, nodes, half_window_vox=8)
    assert np.diff(window.displacement_vox[:, 0]).std() < np.diff(point.displacement_vox[:, 0]).std()


def test_no_two_scans_drift_apart_by_more_than_allowed(tiny: ElectrodeTwin) -> None:
    scan, drifts = tiny.settings.scan, tiny.drifts
    for a in drifts:
        for b in drifts:
            assert np.linalg.norm(a.translation_um - b.translation_um) <= scan.drift_m * 1e6
            assert abs(a.magnification - b.magnification) <= scan.drift_magnification
            assert np.linalg.norm(a.rotation_rad - b.rotation_rad) <= scan.drift_tilt_rad


def test_a_repeat_scan_shows_the_same_matter_with_jitter(tiny: ElectrodeTwin) -> None:
    assert tiny.step(3).matter is tiny.step(2).matter
    assert 0 < np.linalg.norm(tiny.drifts[3].translation_um - tiny.drifts[2].translation_um) < 0.1


def test_lab_and_scan_frames_are_inverse(tiny: ElectrodeTwin) -> None:
    nodes, drift = electrode_nodes(tiny, 50), tiny.drifts[2]
    assert drift.to_scan(drift.to_lab(nodes)) == pytest.approx(nodes, abs=1e-9)
    homogeneous = np.column_stack([nodes, np.ones(len(nodes))])
    assert homogeneous @ drift.affine.T == pytest.approx(drift.to_lab(nodes), abs=1e-9)


def test_truth_is_a_field_like_any_other(tiny: ElectrodeTwin) -> None:
    assert isinstance(tiny.true_field(1, electrode_nodes(tiny, 3)), DeformationField)

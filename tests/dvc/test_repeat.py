"""What moved between two scans."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import twin
from voltome.dvc.repeat import component_sd, fit_drift, measure_smoothness

GRID_SHAPE = (5, 4, 6)
POSITIONS = np.stack(np.meshgrid(*[20 + 25 * np.arange(n) for n in GRID_SHAPE], indexing="ij"), axis=-1).reshape(-1, 3)
CENTRE = np.array([70.0, 57.0, 82.0])
ALL = np.ones(len(POSITIONS), dtype=bool)


def noise(seed, sd=0.01):
    return np.random.default_rng(seed).normal(0, sd, POSITIONS.shape)


def test_rotation_translation_and_magnification_are_taken_apart():
    turn = twin.make_rigid_motion(rotation_rad=(1e-3, -2e-3, 3e-3), displacement_vox=(1, 2, 3), centre_vox=CENTRE)
    motion = turn + twin.make_affine_motion(1.003 * np.eye(3), centre_vox=CENTRE)
    drift, residual = fit_drift(POSITIONS, motion.displacement(POSITIONS), CENTRE)
    np.testing.assert_allclose(drift.translation_vox, [1, 2, 3], atol=1e-9)
    np.testing.assert_allclose(drift.rotation_rad, [1e-3, -2e-3, 3e-3], atol=1e-6)
    assert drift.magnification == pytest.approx(0.003, abs=1e-5)
    assert drift.distortion < 2e-5  # that of a rotation to second order
    np.testing.assert_allclose(residual, 0, atol=1e-9)


def test_uneven_strain_is_a_distortion():
    motion = twin.make_affine_motion(np.diag([1.02, 0.99, 0.99]), centre_vox=CENTRE)
    drift, _ = fit_drift(POSITIONS, motion.displacement(POSITIONS), CENTRE)
    assert drift.distortion == pytest.approx(np.sqrt(0.02**2 + 2 * 0.01**2), rel=1e-6)
    assert drift.magnification == pytest.approx(0, abs=1e-9)
    assert drift.distortion_vox == pytest.approx(np.sqrt(np.mean(motion.displacement(POSITIONS) ** 2)), rel=0.05)


def test_the_errors_of_a_drift_are_its_scatter():
    drifts = [fit_drift(POSITIONS, noise(seed), CENTRE)[0] for seed in range(200)]
    for name, sd in (("translation_vox", "translation_sd_vox"), ("rotation_rad", "rotation_sd_rad")):
        scatter = np.std([getattr(d, name) for d in drifts], axis=0)
        np.testing.assert_allclose(scatter / np.mean([getattr(d, sd) for d in drifts], axis=0), 1, atol=0.2)
    scatter = np.std([d.magnification for d in drifts])
    assert scatter / np.mean([d.magnification_sd for d in drifts]) == pytest.approx(1, abs=0.2)
    size = np.sqrt(np.mean([d.distortion**2 for d in drifts]))
    assert size / np.mean([d.distortion_sd for d in drifts]) == pytest.approx(1, abs=0.2)


def test_a_node_far_off_changes_neither_drift_nor_sd():
    u = noise(3)
    u[7] += 5.0
    drift, residual = fit_drift(POSITIONS, u, CENTRE)
    assert np.abs(drift.translation_vox).max() < 0.02
    np.testing.assert_allclose(component_sd(residual, parameters=4), 0.01, rtol=0.25)


def test_few_values_are_all_counted():
    assert component_sd(np.array([[1.0], [-1.0], [10.0], [-10.0]]), parameters=0)[0] == pytest.approx(7.1, abs=0.1)


def test_white_noise_is_not_smooth():
    significance = [measure_smoothness(fit_drift(POSITIONS, noise(s), CENTRE)[1], ALL, GRID_SHAPE) for s in range(100)]
    values = np.array([s.significance for s in significance])
    assert 0.6 < values.std() < 1.3
    assert values.max() < 4
    assert np.mean([s.noise_vox for s in significance]) == pytest.approx(0.01, rel=0.05)


def test_a_smooth_displacement_is_told_from_noise():
    wave = twin.make_sine_motion(0.02, 120.0, component=0, along=2).displacement(POSITIONS)
    found = measure_smoothness(fit_drift(POSITIONS, noise(4) + wave, CENTRE)[1], ALL, GRID_SHAPE)
    assert found.significance > 4
    assert found.noise_vox == pytest.approx(0.01, rel=0.3)
    assert 0.004 < found.smooth_vox < 0.01  # rms over the components: the affine takes a part


def test_nodes_that_are_not_used_do_not_count():
    u, use = noise(5), ALL.copy()
    u[::7], use[::7] = 100.0, False
    assert measure_smoothness(u, use, GRID_SHAPE).noise_vox == pytest.approx(0.01, rel=0.1)
    assert measure_smoothness(u, np.zeros_like(use), GRID_SHAPE).significance == 0

"""The stated standard deviation against the real scatter, with noise that is white or not."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.dvc.uncertainty import effective_variance
from voltome.fields import PARAMETERS

DISPLACEMENT = [k for k, name in enumerate(PARAMETERS) if name.endswith("disp")]
GRADIENT = [k for k, name in enumerate(PARAMETERS) if name.startswith("F")]
SHAPE = (108, 112, 116)
F = np.array([[1.012, 0.004, -0.003], [0.002, 0.994, 0.005], [-0.004, 0.003, 1.008]])


def check_scores(scores, low: float = 0.8, high: float = 1.25) -> None:
    assert low < np.sqrt(np.mean(np.square(scores))) < high


@pytest.mark.parametrize(("noise", "correlation_vox"), [(0.05, 0.0), (0.2, 0.0), (0.06, 0.6), (0.1, 1.0)])
@pytest.mark.parametrize(("spacing", "half"), [(18, 12), (18, 18)])
def test_errors_are_as_large_as_their_stated_sd(noise, correlation_vox, spacing, half):
    centre = (np.array(SHAPE) - 1) / 2
    motion = twin.make_affine_motion(F, displacement_vox=(1.3, -0.7, 0.45), centre_vox=centre)
    pair = twin.make_speckle_pair(SHAPE, motion, noise=noise, noise_correlation_vox=correlation_vox, seed=2)
    start = twin.true_field(motion, centre[None])
    field = dvc.correlate_local(
        pair.reference, pair.deformed, node_spacing_vox=spacing, half_window_vox=half, initial_phi=start
    ).field
    truth = twin.true_field(motion, field.positions_vox)
    inside = (field.positions_vox > half + 4).all(axis=1) & (field.positions_vox < np.array(SHAPE) - half - 6).all(
        axis=1
    )
    error = (field.phi - truth.phi)[:, :3].reshape(-1, 12)[inside]
    scores = error / np.sqrt(np.diagonal(field.covariance, axis1=1, axis2=2))[inside]
    check_scores(scores[:, DISPLACEMENT])
    check_scores(scores[:, GRADIENT])


def make_cells(displacement: np.ndarray, strength: float = 100.0) -> np.ndarray:
    cells = np.zeros((1, 64, 9))
    cells[0, :, :3] = strength * displacement
    cells[0, :, [3, 6, 8]] = strength
    return cells


def test_a_smooth_misfit_is_no_noise():
    axis = (np.arange(4) + 0.5) / 2 - 1
    z, y, x = (a.ravel() for a in np.meshgrid(axis, axis, axis, indexing="ij"))
    smooth = 0.1 * np.stack([z * y - x**2, z**3 + y, x * y * z], axis=1)
    assert effective_variance(make_cells(smooth), np.ones(1), 20)[0] < 1e-4


def test_white_noise_has_the_variance_it_has():
    scores = np.random.default_rng(3).normal(size=(400, 64, 3)) * np.sqrt(0.02 / 100)
    found = np.concatenate([effective_variance(make_cells(s), np.full(1, 0.02), 20) for s in scores])
    assert np.mean(found) == pytest.approx(0.02, rel=0.05)


def test_correlated_noise_counts_for_more_in_small_windows():
    scores = np.random.default_rng(4).normal(size=(64, 3)) * np.sqrt(0.2 / 100)
    small, large = (effective_variance(make_cells(scores), np.full(1, 0.02), h)[0] for h in (12, 40))
    assert small > 1.2 * large

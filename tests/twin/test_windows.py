"""The best affine of a window, and the truth as a field."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.fields import evaluate_affine
from voltome.grid import regular_nodes
from voltome.twin import (
    AnalyticMotion,
    best_affine,
    make_affine_motion,
    make_band_motion,
    make_jump_motion,
    make_smooth_motion,
    true_field,
)

SHAPE = (60, 50, 40)
NODES, GRID = regular_nodes(SHAPE, 15)


def fit_by_least_squares(motion: AnalyticMotion, node: np.ndarray, half: int, shape: tuple[int, ...]) -> np.ndarray:
    axes = [np.arange(max(c - half, 0), min(c + half, n - 1) + 1) for c, n in zip(node, shape, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(float)
    design = np.column_stack([points - node, np.ones(len(points))])
    return np.eye(4)[:3] + np.linalg.lstsq(design, motion.displacement(points), rcond=None)[0].T


@pytest.mark.parametrize("shape", [None, SHAPE])
def test_best_affine_of_an_affine_motion_is_that_motion(shape: tuple[int, ...] | None) -> None:
    gradient = np.array([[1.1, 0.02, 0], [0.01, 0.95, 0.03], [0, -0.02, 1.0]])
    centre = np.array([29.5, 24.5, 19.5])
    motion = make_affine_motion(gradient, displacement_vox=(1, -2, 3), centre_vox=centre)
    phi = np.eye(4)
    phi[:3, :3], phi[:3, 3] = gradient, (1, -2, 3)
    fitted = best_affine(motion, NODES, 12, shape=shape)
    np.testing.assert_allclose(fitted, evaluate_affine(phi, centre, NODES), atol=1e-10)


@pytest.mark.parametrize(
    "motion",
    [
        make_smooth_motion(SHAPE, strain=0.05, swelling=0.1, seed=2),
        make_band_motion(20, 40, 1.5),
        make_jump_motion((4, 1, 0), point_vox=(30, 0, 10), taper_vox=8),
        make_jump_motion((4, 1, 0), point_vox=(30, 0, 10)) + make_smooth_motion(SHAPE, seed=1),
    ],
    ids=["smooth", "band", "jump", "sum"],
)
def test_best_affine_is_the_least_squares_fit_over_the_cut_window(motion: AnalyticMotion) -> None:
    fitted = best_affine(motion, NODES, 9, shape=SHAPE)
    expected = [fit_by_least_squares(motion, node, 9, SHAPE) for node in NODES]
    np.testing.assert_allclose(fitted[:, :3], expected, atol=1e-9)
    np.testing.assert_array_equal(fitted[:, 3], np.tile([0, 0, 0, 1], (len(NODES), 1)))


def test_true_field_is_pointwise_without_a_window_and_the_best_affine_with_one() -> None:
    motion = make_smooth_motion(SHAPE, strain=0.05, seed=2)
    point = true_field(motion, NODES, grid_shape=GRID)
    np.testing.assert_allclose(point.displacement_vox, motion.displacement(NODES))
    np.testing.assert_allclose(point.deformation_gradient, motion.gradient(NODES))
    assert point.grid_shape == GRID
    assert point.trusted.all()
    assert (point.sd == 0).all()
    window = true_field(motion, NODES, half_window_vox=9)
    np.testing.assert_array_equal(window.phi, best_affine(motion, NODES, 9))
    assert np.abs(window.phi - point.phi).max() > 1e-3


def test_impossible_window_is_refused() -> None:
    with pytest.raises(InputError, match="half_window_vox must be >= 1"):
        best_affine(make_smooth_motion(SHAPE), NODES, 0)
    with pytest.raises(InputError, match="inside the volume"):
        best_affine(make_smooth_motion(SHAPE), [[70, 10, 10]], 5, shape=SHAPE)

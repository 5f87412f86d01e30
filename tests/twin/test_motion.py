"""Analytic motions: their gradient, their inverse, and what each maker promises."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.twin import (
    AnalyticMotion,
    make_affine_motion,
    make_band_motion,
    make_jump_motion,
    make_rigid_motion,
    make_sine_motion,
    make_smooth_motion,
)

SHAPE = (60, 50, 40)
MOTIONS = {
    "affine": make_affine_motion([[1.1, 0.02, 0], [0.01, 0.95, 0.03], [0, -0.02, 1.0]], displacement_vox=(1, 2, 3)),
    "rigid": make_rigid_motion(rotation_rad=(0.1, -0.2, 0.05), displacement_vox=(3, -2, 1), centre_vox=(30, 25, 20)),
    "smooth": make_smooth_motion(SHAPE, strain=0.05, swelling=0.1, seed=3),
    "sine": make_sine_motion(2.0, 16.0, component=0, along=0),
    "stretched band": make_band_motion(20, 40, 1.5),
    "pressed band": make_band_motion(20, 40, -0.5, join_vox=3),
    "jump": make_jump_motion((4, 1, 0), point_vox=(30, 0, 10), taper_vox=15),
    "sum": make_jump_motion((4, 1, 0), point_vox=(30, 0, 10)) + make_smooth_motion(SHAPE, seed=1),
}


@pytest.fixture
def points() -> np.ndarray:
    points = np.random.default_rng(5).uniform(0, SHAPE, (400, 3))
    return points[np.abs(points[:, 0] - 30) > 0.1]  # not on the crack's plane, where there is no derivative


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS.keys())
def test_gradient_is_the_derivative_of_the_displacement(motion: AnalyticMotion, points: np.ndarray) -> None:
    step = 1e-4
    numeric = np.empty((len(points), 3, 3))
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        numeric[:, :, axis] = (motion.displacement(points + shift) - motion.displacement(points - shift)) / (2 * step)
    np.testing.assert_allclose(motion.gradient(points), np.eye(3) + numeric, atol=2e-7)


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS.keys())
def test_inverse_finds_the_material_point(motion: AnalyticMotion, points: np.ndarray) -> None:
    deformed = points + motion.displacement(points)
    np.testing.assert_allclose(motion.inverse(deformed), points, atol=1e-6)


def test_inverse_does_not_depend_on_the_order_of_the_points(points: np.ndarray) -> None:
    motion = MOTIONS["stretched band"]
    order = np.lexsort(points.T)
    np.testing.assert_allclose(motion.inverse(points)[order], motion.inverse(points[order]), atol=1e-7)


def test_rigid_motion_keeps_distances_and_turns_about_its_axis(points: np.ndarray) -> None:
    centre = np.array([30.0, 25.0, 20.0])
    motion = make_rigid_motion(rotation_rad=(0.3, 0, 0), centre_vox=centre)
    moved = points + motion.displacement(points) - centre
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), np.linalg.norm(points - centre, axis=1))
    np.testing.assert_allclose(moved[:, 0], points[:, 0] - 30)
    # a positive turn about z carries x towards y
    tip = motion.displacement([centre + np.array([0, 0, 1])])[0]
    np.testing.assert_allclose(tip, [0, np.sin(0.3), np.cos(0.3) - 1], atol=1e-12)


def test_band_stretches_inside_and_carries_what_lies_above() -> None:
    motion = make_band_motion(100, 150, 1.5, join_vox=2)
    inside, below, above = [125, 0, 0], [20, 0, 0], [230, 0, 0]
    np.testing.assert_allclose(motion.gradient([inside, below, above])[:, 0, 0], [2.5, 1, 1], atol=1e-6)
    np.testing.assert_allclose(motion.displacement([below, above])[:, 0], [0, 75], atol=1e-6)


def test_smooth_motion_has_the_strain_it_was_asked_for() -> None:
    points = np.random.default_rng(0).uniform(0, 400, (20000, 3))
    gradient = np.mean(
        [np.square(make_smooth_motion((400,) * 3, strain=0.04, seed=s).gradient(points) - np.eye(3)) for s in range(8)],
        axis=(0, 1),
    )
    assert np.sqrt(gradient.sum()) == pytest.approx(0.04, rel=0.3)


def test_open_crack_holds_no_matter_and_only_beyond_its_front() -> None:
    motion = make_jump_motion((4, 0, 0), point_vox=(30, 0, 10), taper_vox=15)
    inside_gap, ahead_of_front = [[32, 20, 35]], [[32, 20, 5]]
    assert np.isnan(motion.inverse(inside_gap)).all()
    np.testing.assert_allclose(motion.inverse(ahead_of_front), ahead_of_front)


def test_folding_motion_is_refused_with_advice() -> None:
    motion = make_sine_motion(6.0, 16.0, component=0, along=0)  # gradient 2.4: it turns back on itself
    line = np.zeros((60, 3))
    line[:, 0] = np.arange(0, 30, 0.5)
    with pytest.raises(InputError, match=r"must be invertible .* smaller strains"):
        motion.inverse(line)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make_affine_motion(np.diag([-1, 1, 1])), "det F must be > 0"),
        (lambda: make_sine_motion(1, 0), "period_vox must be > 0"),
        (lambda: make_band_motion(5, 5, 1), "start < stop"),
        (lambda: make_band_motion(5, 9, -1), "stretch must be > -1"),
        (lambda: make_jump_motion((1, 0, 0), point_vox=(0, 0, 0), direction=(1, 0, 1)), "in the crack's plane"),
        (lambda: make_smooth_motion(SHAPE, waves=0), "waves must be >= 1"),
        (lambda: MOTIONS["jump"] + MOTIONS["jump"], "at most 1 crack"),
        (lambda: MOTIONS["jump"].displacement([1.0, 2.0, 3.0]), r"shape \(N, 3\)"),
    ],
)
def test_what_cannot_be_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call()

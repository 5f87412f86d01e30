"""The motion of matter: F is the derivative of u, the inverse inverts, cores are rigid, nothing folds."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.matter_loops import CORE, GAP, SHELL, move_points
from voltome.twin.return_loops import return_points


def draw_points(twin: ElectrodeTwin, count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    size = np.asarray(twin.settings.shape[1:]) * twin.voxel_um
    return random.uniform((1, 0, 0), (28, *size), (count, 3))


def move(twin: ElectrodeTwin, number: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places, gradients = np.empty(points.shape), np.empty((len(points), 9))
    kinds = np.empty((len(points), 3), dtype=np.int64)
    move_points(twin.cells, twin.step(number).matter.motion, points, places, gradients, kinds)
    return places, gradients.reshape(-1, 3, 3), kinds


def test_nothing_moves_at_the_first_step(tiny: ElectrodeTwin) -> None:
    points = draw_points(tiny, 5000)
    places, gradients, _ = move(tiny, 0, points)
    assert places == pytest.approx(points, abs=1e-9)
    assert gradients == pytest.approx(np.broadcast_to(np.eye(3), gradients.shape), abs=1e-9)


@pytest.mark.parametrize("number", [1, 2])
def test_gradient_is_the_derivative_of_the_motion(tiny: ElectrodeTwin, number: int) -> None:
    points = draw_points(tiny, 4000)
    _, gradients, _ = move(tiny, number, points)
    slopes = np.empty_like(gradients)
    step = 1e-6
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        slopes[:, :, axis] = (move(tiny, number, points + shift)[0] - move(tiny, number, points - shift)[0]) / (
            2 * step
        )
    error = np.abs(slopes - gradients).max(axis=(1, 2))
    # F jumps where a ray leaves one face of a grain for the next: a few differences of 2e-6 um straddle a jump
    assert np.quantile(error, 0.999) < 1e-5


@pytest.mark.parametrize("number", [1, 2])
def test_the_inverse_inverts_to_a_ten_thousandth_of_a_voxel(tiny: ElectrodeTwin, number: int) -> None:
    points = draw_points(tiny, 60_000, seed=4)
    places, gradients, _ = move(tiny, number, points)
    back = np.empty(points.shape)
    assert return_points(tiny.cells, tiny.step(number).matter.motion, places, back) == 0
    assert np.linalg.det(gradients).min() > 0
    assert np.abs(back - points).max() < 1e-4 * 0.05  # of a voxel of 50 nm


def test_all_kinds_of_matter_were_met(tiny: ElectrodeTwin) -> None:
    _, _, kinds = move(tiny, 2, draw_points(tiny, 60_000, seed=4))
    assert set(np.unique(kinds[:, 0])) == {0, 1, 2, 3, 4}


def test_unreacted_cores_keep_their_volume_and_nearly_their_shape(tiny: ElectrodeTwin) -> None:
    _, gradients, kinds = move(tiny, 2, draw_points(tiny, 60_000, seed=5))
    core = gradients[kinds[:, 0] == CORE]
    assert np.linalg.det(core) == pytest.approx(1.0, abs=1e-9)
    strain = np.abs(np.linalg.svd(core)[1] - 1).max(axis=1)
    assert np.median(strain) < 0.15  # of an electrode that strains by 0.45


def test_reacted_shells_swell_and_gaps_give_way(tiny: ElectrodeTwin) -> None:
    _, gradients, kinds = move(tiny, 2, draw_points(tiny, 60_000, seed=5))
    stretch = np.linalg.det(gradients)
    assert np.median(stretch[kinds[:, 0] == SHELL]) > 2.0
    assert np.median(stretch[kinds[:, 0] == GAP]) < 1.0


def test_motion_is_continuous_across_all_boundaries(tiny: ElectrodeTwin) -> None:
    random = np.random.default_rng(6)
    starts, directions = draw_points(tiny, 200, seed=6), random.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    length = np.linspace(0, 3, 3001)
    lines = (starts[:, None] + length[None, :, None] * directions[:, None]).reshape(-1, 3)
    places = move(tiny, 2, lines)[0].reshape(200, -1, 3)
    steps = np.linalg.norm(np.diff(places, axis=1), axis=2)
    assert steps.max() < 0.05  # of 1 nm of matter: a jump would be a micrometre's part, F at most some ten


def test_the_same_point_moves_alike_whatever_its_neighbours(tiny: ElectrodeTwin) -> None:
    points = draw_points(tiny, 500, seed=7)
    whole, single = move(tiny, 2, points)[0], np.concatenate([move(tiny, 2, p[None])[0] for p in points])
    assert np.array_equal(whole, single)

"""Alternating projections: their fixed point, and that they come to it."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.phase import PlaneGrid, make_ctf, make_planes, project_in_turn, project_together
from voltome.phase.alternating import order_planes

from .objects import expose, make_bumps, measure_error

SHAPE = (96, 120)
GRID = PlaneGrid(SHAPE, 5e-8, 4.19e-11)
DISTANCES = [0.005, 0.007, 0.011, 0.02]
PHASE = -1.5 * make_bumps(SHAPE, count=120, width_px=2.5)
LOSS = PHASE / 300
TRUTH = np.exp(LOSS + 1j * PHASE).astype(np.complex64)
SEEN = expose(PHASE, LOSS, GRID, DISTANCES)
AMPLITUDES = list(np.sqrt(SEEN))
PLANES = make_planes(GRID, DISTANCES)


def find_phase(wave: np.ndarray) -> np.ndarray:
    """Relative to the truth, so that it needs no unwrapping."""
    turned = wave * np.exp(-1j * PHASE)
    return PHASE + np.angle(turned * np.exp(-1j * np.angle(turned.mean())))


def start_from_ctf() -> tuple[np.ndarray, np.ndarray]:
    phase, loss = make_ctf(GRID, DISTANCES, delta_beta=300.0).retrieve(SEEN)
    return phase, np.exp(loss + 1j * phase).astype(np.complex64)


@pytest.mark.parametrize(("project", "count"), [(project_in_turn, "cycles"), (project_together, "iterations")])
def test_the_true_wave_stays(project, count):
    found = project(TRUTH.copy(), AMPLITUDES, PLANES, **{count: 3})
    assert np.abs(found - TRUTH).max() < 1e-4


@pytest.mark.parametrize(("project", "count"), [(project_in_turn, "cycles"), (project_together, "iterations")])
def test_error_falls_with_every_step_and_below_that_of_the_linear_start(project, count):
    phase, wave = start_from_ctf()
    errors = [measure_error(phase, PHASE)]
    for number in (2, 6, 18):
        errors.append(measure_error(find_phase(project(wave, AMPLITUDES, PLANES, **{count: number})), PHASE))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * errors[0]


def test_two_cycles_in_turn_do_what_six_iterations_together_do():
    _, wave = start_from_ctf()
    turn = project_in_turn(wave, AMPLITUDES, PLANES, cycles=2)
    together = project_together(wave, AMPLITUDES, PLANES, iterations=6)
    assert measure_error(find_phase(turn), PHASE) < 1.01 * measure_error(find_phase(together), PHASE)


def test_nothing_changes_where_the_weight_is_zero():
    weight = np.zeros((SHAPE[0], 1), np.float32), np.ones(SHAPE[1], np.float32)
    _, wave = start_from_ctf()
    found = project_in_turn(wave, AMPLITUDES, PLANES, cycles=2, weight=weight)
    assert np.abs(found - wave).max() < 1e-4


def test_the_first_plane_is_visited_last():
    assert order_planes(1) == (0,)
    assert order_planes(2) == (1, 0)
    assert sorted(order_planes(5)) == [0, 1, 2, 3, 4] and order_planes(5)[-1] == 0


def test_numbers_out_of_range_are_refused():
    with pytest.raises(InputError, match="iterations must be >= 0"):
        project_in_turn(TRUTH, AMPLITUDES, PLANES, cycles=-1)
    with pytest.raises(InputError, match="relaxation must be above 0"):
        project_together(TRUTH, AMPLITUDES, PLANES, relaxation=1.5)

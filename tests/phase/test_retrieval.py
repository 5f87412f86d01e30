"""Retrieval as a whole, frames that are no period included."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.phase import MODES, PhaseRetriever, PlaneGrid, Recipe, Screen, find_screen
from voltome.phase.screen import shade

from .objects import expose, make_bumps, measure_error

WIDE = (144, 180)
GRID = PlaneGrid(WIDE, 5e-8, 4.19e-11)
DISTANCES = [0.005, 0.007, 0.011, 0.02]
CUT = (slice(24, 120), slice(30, 150))
PHASE = -2.5 * make_bumps(WIDE, count=150, width_px=2.5)
SEEN = expose(PHASE, PHASE / 170, GRID, DISTANCES)[:, *CUT]
MIDDLE = (slice(12, -12), slice(12, -12))


def make_retriever(mode: str, **settings: object) -> PhaseRetriever:
    recipe = Recipe(mode, **settings)  # type: ignore[arg-type]
    return PhaseRetriever(SEEN.shape[1:], pixel_m=5e-8, wavelength_m=4.19e-11, distances_m=DISTANCES, recipe=recipe)


def find_detail(phase: np.ndarray) -> np.ndarray:
    """Steps from pixel to pixel: of the slowest variations so few distances in so small a frame tell little."""
    return np.diff(phase[MIDDLE], axis=1)


def test_projections_halve_the_error_of_the_linear_retrieval_on_a_strong_object():
    errors = {}
    for mode in MODES:
        found = make_retriever(mode).retrieve(SEEN)
        assert found.phase.dtype == np.float32 and found.phase.shape == SEEN.shape[1:]
        errors[mode] = measure_error(find_detail(found.phase), find_detail(PHASE[CUT]))
    assert errors["fast"] < 0.45
    assert errors["quality"] < 0.55 * errors["fast"]
    assert errors["paper"] < 0.55 * errors["fast"]


def test_predictions_come_to_what_was_measured():
    misfits = []
    for cycles in (0, 2, 8):
        seen = make_retriever("quality", iterations=cycles).predict(SEEN)
        misfits.append(np.std(np.stack(seen)[:, *MIDDLE] - SEEN[:, *MIDDLE]))
    assert misfits == sorted(misfits, reverse=True)
    assert misfits[-1] < 0.1 * SEEN.std()


def test_phase_is_unwrapped_beyond_half_a_turn():
    found = make_retriever("quality").retrieve(SEEN).phase
    assert np.ptp(PHASE[CUT]) > 1.2 * math.pi / 2
    assert np.abs(np.diff(found, axis=0)).max() < math.pi


def test_the_wave_holds_phase_and_absorption():
    retriever = make_retriever("quality")
    found = retriever.retrieve(SEEN)
    inner = found.wave[retriever.extension.inside]
    assert np.abs(np.exp(found.log_amplitude + 1j * found.phase) - inner).max() < 1e-4
    assert np.array_equal(found.wave, retriever.solve(SEEN))


def test_a_screen_does_not_bend_the_phase_beside_it():
    edge, width = 100.3, 1.5
    rows = np.arange(WIDE[0], dtype=np.float64)
    dark = np.log(find_amplitude(rows, edge, width))[:, None]
    seen = expose(PHASE, PHASE / 170 + dark, GRID, DISTANCES)[:, *CUT]
    profiles = seen.mean(axis=2, dtype=np.float64)
    screen = find_screen(profiles, GRID, DISTANCES)
    assert screen is not None and not screen.at_top
    assert screen.edge_row == pytest.approx(edge - CUT[0].start, abs=1.0)
    near = (slice(40, 66), slice(12, -12))
    truth = PHASE[CUT][near]
    errors = [
        measure_error(make_retriever("fast").retrieve(seen, screen=one).phase[near], truth) for one in (screen, None)
    ]
    assert errors[0] < 0.7 * errors[1]


def find_amplitude(rows: np.ndarray, edge: float, width: float) -> np.ndarray:
    from scipy.special import ndtr

    return np.maximum(ndtr((edge - rows) / width), 1e-2)


def test_the_edge_of_a_shade_is_found_again():
    for screen in (Screen(20.4, 2.0, True), Screen(70.7, 1.2, False)):
        found = find_screen(0.8 * shade(screen, 96, GRID, DISTANCES), GRID, DISTANCES)
        assert found is not None and found.at_top == screen.at_top
        assert found.edge_row == pytest.approx(screen.edge_row, abs=0.02)
        assert found.width_px == pytest.approx(screen.width_px, abs=0.05)
    assert find_screen(np.ones((4, 96)), GRID, DISTANCES) is None


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="one frame for each distance, 4"):
        make_retriever("fast").retrieve(SEEN[:3])
    with pytest.raises(InputError, match="mode must be one of"):
        Recipe("best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="mode paper needs a positive delta_beta"):
        Recipe("paper", delta_beta=None)
    with pytest.raises(InputError, match="distances must be finite"):
        PhaseRetriever((40, 50), pixel_m=1e-7, wavelength_m=1e-10, distances_m=[math.nan])

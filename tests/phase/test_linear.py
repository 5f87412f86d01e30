"""Linear retrieval on objects for which it is exact."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.phase import PlaneGrid, make_ctf, make_paganin

from .objects import expose, make_bumps, measure_error

SHAPE = (90, 108)
XRAYS = PlaneGrid(SHAPE, 5e-8, 4.19e-11)
LIGHT = PlaneGrid(SHAPE, 1.6e-7, 5.32e-7)
FAR = {"xrays": [0.01, 0.012, 0.016], "light": [2e-5, 5e-5, 1.2e-4]}


def make_wave_pattern(cycles: tuple[int, int]) -> np.ndarray:
    z, u = (np.arange(n) / n for n in SHAPE)
    return np.cos(2 * np.pi * (cycles[0] * z[:, None] + cycles[1] * u) + 0.7)


@pytest.mark.parametrize(("grid", "distances"), [(XRAYS, FAR["xrays"]), (LIGHT, FAR["light"])])
@pytest.mark.parametrize("ratio", [170.0, -40.0, math.inf])
@pytest.mark.parametrize("cycles", [(5, 0), (0, 9), (8, -11)])
def test_weak_waves_come_back_with_their_amplitude_and_sign(grid, distances, ratio, cycles):
    phase = -1e-3 * make_wave_pattern(cycles)
    seen = expose(phase, phase / ratio, grid, distances)
    found, absorbed = make_ctf(grid, distances, delta_beta=ratio).retrieve(seen)
    kept = np.sum(found * phase) / np.sum(phase**2)
    assert 0.9 < kept < 1.005  # the regularisation takes a little where fringes have no contrast
    assert np.abs(found - kept * phase).max() < 2e-5
    assert np.abs(absorbed - kept * phase / ratio).max() < 2e-5


def test_absorption_is_told_from_phase():
    phase, loss = 2e-3 * make_wave_pattern((6, 7)), -2e-3 * make_wave_pattern((9, 0))
    seen = expose(phase, loss, LIGHT, [0.0, *FAR["light"]])
    found, absorbed = make_ctf(LIGHT, [0.0, *FAR["light"]], delta_beta=None).retrieve(seen)
    assert measure_error(found, phase) < 0.05
    assert measure_error(absorbed, loss) < 0.06


def test_a_mean_absorption_is_taken_as_such():
    loss = np.full(SHAPE, -0.5)
    seen = expose(0 * loss, loss, LIGHT, FAR["light"])
    phase, absorbed = make_ctf(LIGHT, FAR["light"], delta_beta=None).retrieve(seen)
    assert np.abs(absorbed - loss).max() < 1e-4
    assert np.abs(phase).max() < 1e-3


def test_paganin_gives_the_chord_of_a_sphere():
    z, u = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    squared = 30.0**2 - z[:, None] ** 2 - u**2
    chord = 2 * np.sqrt(np.maximum(squared, 0)) / 60
    phase = -3.0 * chord
    distances = [1e-4, 3e-4]  # near enough that fringes are narrow
    seen = expose(phase, phase / 20, XRAYS, distances)
    found, absorbed = make_paganin(XRAYS, distances, delta_beta=20.0).retrieve(seen)
    middle = squared > 8**2
    assert np.abs(found - phase)[middle].max() < 0.1
    assert np.abs(found)[squared < -100].max() < 0.1
    assert np.abs(found - 20 * absorbed).max() < 1e-5


def test_paganin_and_ctf_agree_on_a_smooth_weak_object():
    phase = -0.02 * make_bumps(SHAPE, width_px=8.0)
    seen = expose(phase, phase / 170, XRAYS, [0.01, 0.014])
    for make in (make_ctf, make_paganin):
        found, _ = make(XRAYS, [0.01, 0.014], delta_beta=170.0).retrieve(seen)
        assert measure_error(found, phase) < 0.12, make.__name__


def test_what_cannot_be_told_is_refused():
    with pytest.raises(InputError, match="at least one distance"):
        make_ctf(XRAYS, [])
    with pytest.raises(InputError, match="delta_beta must not be 0"):
        make_ctf(XRAYS, [0.01], delta_beta=0.0)
    with pytest.raises(InputError, match="cannot tell phase from absorption"):
        make_ctf(XRAYS, [0.01], delta_beta=None)
    with pytest.raises(InputError, match="positive and finite for Paganin"):
        make_paganin(XRAYS, [0.01], delta_beta=-3.0)

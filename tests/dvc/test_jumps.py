"""The matched filter for displacement steps inside a window."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.dvc.jumps import find_jump
from voltome.kernels.gauss_newton import CELLS

AXIS = (np.arange(CELLS) + 0.5) / CELLS * 2 - 1
Z, Y, X = (a.ravel() for a in np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"))
STRENGTH = 200.0


def _cells(shift, strength=STRENGTH):
    """Sums of cells of equal texture whose remaining translation is `shift`, (64, 3)."""
    cells = np.zeros((1, CELLS**3, 9))
    cells[0, :, [3, 6, 8]] = strength
    cells[0, :, :3] = strength * shift
    return cells


@pytest.mark.parametrize("normal", [Z, Y, X, Z + Y, X - Z])
@pytest.mark.parametrize("opening", [(1.0, 0.0, 0.0), (0.3, -0.2, 0.6)])
def test_a_step_is_found_with_its_length(normal, opening):
    shift = 0.5 * np.sign(np.round(normal, 9))[:, None] * np.array(opening)
    jump, sd = find_jump(_cells(shift), np.array([0.01]))
    assert jump[0] == pytest.approx(np.linalg.norm(opening), rel=0.05)
    assert jump[0] > 5 * sd[0] > 0


def test_a_smooth_quadratic_displacement_is_no_step():
    shift = np.stack([0.4 * Z**2 - 0.2 * Y * X, 0.3 * Z + 0.1, 0.2 * X * Z], axis=1)
    jump, _ = find_jump(_cells(shift), np.array([0.01]))
    assert jump[0] < 0.02


def test_noise_alone_stays_below_five_standard_deviations():
    random, variance = np.random.default_rng(0), 0.04
    noise = np.sqrt(variance / STRENGTH) * random.standard_normal((300, CELLS**3, 3))
    cells = np.concatenate([_cells(one) for one in noise])
    jump, sd = find_jump(cells, np.full(300, variance))
    assert np.median(jump / sd) < 4
    assert np.mean(jump > 5 * sd) < 0.01


def test_cells_without_texture_do_not_blow_up():
    cells = _cells(np.full((CELLS**3, 3), 0.01))
    cells[0, ::3] = 0.0
    for some in (cells, np.zeros_like(cells)):
        jump, sd = find_jump(some, np.array([0.01]))
        assert np.isfinite([jump[0], sd[0]]).all()
        assert jump[0] < 0.1

"""The rotation axis and the level of projections, from line integrals whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from voltome.io import FrameStack
from voltome.pipeline.scan_axis import find_axis_block, level_projections, match_opposites

ROWS, COLUMNS, ANGLES, AXIS_PX = 40, 96, 120, 50.3


def project_blobs(angles: NDArray[np.float64]) -> NDArray[np.float32]:
    """Projections of Gaussian blobs, none of which leaves the field: (angles, rows, columns)."""
    random = np.random.default_rng(3)
    z, u = np.arange(ROWS)[:, None], np.arange(COLUMNS)
    out = np.zeros((len(angles), ROWS, COLUMNS))
    for _ in range(60):
        y, x = random.uniform(-25, 25, 2)
        height, width = random.uniform(0, ROWS), random.uniform(1.5, 3)
        place = AXIS_PX + x * np.cos(angles) + y * np.sin(angles)
        along = np.exp(-((z - height) ** 2) / (2 * width**2))
        out += along * np.exp(-((u - place[:, None, None]) ** 2) / (2 * width**2))
    return out.astype(np.float32)


def keep(folder: Path, frames: NDArray[np.float32]) -> FrameStack:
    stack = FrameStack(folder / "integrals.raw", (len(frames), ROWS, COLUMNS))
    stack.write(slice(0, len(frames)), frames)
    return stack


def test_opposite_projections_tell_the_axis(tmp_path: Path) -> None:
    angles = np.arange(ANGLES) * 2 * np.pi / ANGLES
    found = match_opposites(keep(tmp_path, project_blobs(angles)), angles, 0, ROWS)
    assert found is not None
    assert found[0] == pytest.approx(AXIS_PX, abs=0.05) and found[1] < 0.1


def test_half_a_turn_and_too_few_rows_have_no_opposites(tmp_path: Path) -> None:
    half = np.arange(ANGLES) * np.pi / ANGLES
    assert match_opposites(keep(tmp_path, project_blobs(half)), half, 0, ROWS) is None
    whole = 2 * half
    assert match_opposites(keep(tmp_path, project_blobs(whole)), whole, 8, 39) is None


@pytest.mark.parametrize("turn", [np.pi, 2 * np.pi])
def test_the_axis_of_noisy_projections_is_found_from_any_turn(tmp_path: Path, turn: float) -> None:
    angles = np.arange(ANGLES) * turn / ANGLES
    frames = project_blobs(angles)
    random = np.random.default_rng(7)
    frames += 0.05 * random.standard_normal(frames.shape).astype(np.float32)
    slow = gaussian_filter(random.standard_normal(frames.shape), (0, 20, 40)).astype(np.float32)
    frames += slow * np.float32(0.3 / slow.std())
    found = find_axis_block(keep(tmp_path, frames), angles, 0, ROWS)
    assert float(found["axis_px"]) == pytest.approx(AXIS_PX, abs=0.1)
    assert 0 < float(found["sd_px"]) < 0.2 and str(found["warning"]) == ""
    assert ("pairs" in found["names"]) == (turn > 4)
    assert len(found["names"]) == len(found["values"]) >= 2


def test_projections_that_flicker_are_brought_to_what_is_smooth_over_angles() -> None:
    angles = np.arange(200) * 2 * np.pi / 200
    place = np.linspace(-1, 1, ROWS)
    sample = (1 + 0.2 * np.cos(2 * angles))[:, None] * (1 - 0.3 * place**2)
    random = np.random.default_rng(5)
    flicker = random.normal(0, 0.1, (200, 3)) @ np.stack([place**0, place, place**2])
    levelled = sample + flicker + level_projections(sample + flicker, (0, ROWS))
    jumps, before = (np.diff(values, axis=0).std() for values in (levelled, sample + flicker))
    assert jumps < 0.1 * before
    assert np.abs(levelled - sample).max() < 0.35 * np.abs(flicker).max()


def test_what_copper_hides_does_not_set_the_level_of_the_rest() -> None:
    levels = np.ones((60, ROWS))
    levels[:, :10] = 5 + np.random.default_rng(1).normal(0, 1, (60, 10))
    np.testing.assert_allclose(level_projections(levels, (10, ROWS))[:, 10:], 0, atol=1e-9)

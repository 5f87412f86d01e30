"""Slices of a plan: levels, rows behind an opaque edge, scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voltome.io import FrameStack
from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.pipeline.scan_slices import SlicePlan, reconstruct_block, sample_block

ROWS, SIDE, ANGLES = 12, 64, 90
RADIUS_PX, VALUE = 20.0, 3.0


@pytest.fixture
def plan(tmp_path: Path) -> SlicePlan:
    """Of a disc that stands on the axis, the same in all rows: its projection is its chord."""
    u = np.arange(SIDE) - (SIDE - 1) / 2
    # mean of the chord over a pixel, so that its steep ends are seen as a detector sees them
    fine = u[:, None] + (np.arange(16) - 7.5) / 16
    chord = (2 * VALUE * np.sqrt(np.clip(RADIUS_PX**2 - fine**2, 0, None))).mean(axis=1)
    stack = FrameStack(tmp_path / "integrals.raw", (ANGLES, ROWS, SIDE))
    stack.write(slice(0, ANGLES), np.broadcast_to(chord, (ANGLES, ROWS, SIDE)).astype(np.float32))
    return SlicePlan(
        stack,
        ReconstructionSettings(rings_slice=None, padding="zero"),
        np.arange(ANGLES) * 2 * np.pi / ANGLES,
        (SIDE - 1) / 2,
        1.0,
        "ramp",
        np.zeros((ANGLES, ROWS)),
        np.zeros(ROWS),
        np.zeros(ROWS),
    )


def find_inside() -> np.ndarray:
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    return np.hypot(y, x) < RADIUS_PX - 3


def test_the_disc_comes_back(plan: SlicePlan) -> None:
    slices = plan.make(2, 5)
    assert slices.shape == (3, SIDE, SIDE)
    assert slices[:, find_inside()].mean() == pytest.approx(VALUE, rel=0.01)
    assert replace(plan, scale=2.5).make(2, 3)[0][find_inside()].mean() == pytest.approx(2.5 * VALUE, rel=0.01)


def test_half_of_the_angles_give_the_same_disc(plan: SlicePlan) -> None:
    halves = [plan.make(3, 4, slice(start, None, 2))[0] for start in (0, 1)]
    assert halves[0][find_inside()].mean() == pytest.approx(halves[1][find_inside()].mean(), rel=1e-3)


def test_levels_are_added_to_projections_and_tilts_taken_from_slices(plan: SlicePlan) -> None:
    plain = plan.make(0, ROWS)
    tilt = np.linspace(-1, 1, ROWS)
    np.testing.assert_allclose(replace(plan, tilt=tilt).make(0, ROWS), plain - tilt[:, None, None], atol=1e-5)
    levels = np.zeros((ANGLES, ROWS))
    levels[:, 4] = 0.5
    raised = replace(plan, levels=levels).make(0, ROWS)
    np.testing.assert_allclose(raised[6:], plain[6:], atol=1e-3)  # two slices share a transform
    assert raised[4][find_inside()].mean() > plain[4][find_inside()].mean()


def test_opaque_rows_are_one_dense_grey_and_hidden_ones_go_over_to_it(plan: SlicePlan) -> None:
    opaque = np.zeros(ROWS)
    opaque[:4] = 1.0, 1.0, 0.7, 0.2
    plain, seen = plan.make(0, ROWS), replace(plan, opaque=opaque, dense=7.0).make(0, ROWS)
    np.testing.assert_allclose(seen[:2], 7.0, rtol=1e-6)
    for row, share in ((2, 0.7), (3, 0.2)):
        assert seen[row].mean() == pytest.approx(share * 7.0 + (1 - share) * plain[row].mean(), rel=1e-3)
    assert seen[2].std() < 1e-3 < seen[3].std() < plain[3].std()
    np.testing.assert_array_equal(seen[4:], plain[4:])


def test_slices_are_written_where_they_belong(plan: SlicePlan, tmp_path: Path) -> None:
    volume = FrameStack(tmp_path / "volume.raw", (6, SIDE, SIDE))
    found = reconstruct_block(plan, volume, 3, 5, 8)
    written = np.asarray(volume[slice(2, 5), slice(0, SIDE), slice(0, SIDE)])
    np.testing.assert_array_equal(written, plan.make(5, 8))
    np.testing.assert_allclose(found["mean"], written.mean(axis=(1, 2)), rtol=1e-5)


def test_a_sample_tells_what_is_denser_than_all(plan: SlicePlan) -> None:
    found = sample_block(plan, 2, ROWS)
    assert found["tilt"].shape == (ROWS,)
    assert found["dense"] > 1.2 * VALUE

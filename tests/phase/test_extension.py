"""Frames beyond their edges."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.phase import plan_extension

from .objects import make_bumps

FRAME = (make_bumps((80, 100), seed=5)[:40, :53] + np.linspace(0, 1, 53)).astype(np.float32)


def find_steepest(image: np.ndarray) -> float:
    """Largest step between neighbours, across the edges of the period too."""
    return max(float(np.abs(np.roll(image, 1, axis) - image).max()) for axis in (0, 1))


@pytest.mark.parametrize("padding", [1.0, 1.25, 1.5, 2.0])
def test_the_frame_itself_is_kept(padding):
    extension = plan_extension(FRAME.shape, padding=padding)
    assert all(p >= padding * n for p, n in zip(extension.padded, FRAME.shape, strict=True))
    assert np.array_equal(extension.extend(FRAME)[extension.inside], FRAME)


def test_the_grid_closes_without_a_step():
    assert find_steepest(FRAME) > 0.9  # the frame alone does not
    inside = max(float(np.abs(np.diff(FRAME, axis=axis)).max()) for axis in (0, 1))
    assert find_steepest(plan_extension(FRAME.shape, padding=1.5).extend(FRAME)) < 2 * inside


def test_a_stack_is_extended_frame_by_frame_and_values_stay_in_their_range():
    extension = plan_extension(FRAME.shape)
    stack = extension.extend(np.stack([FRAME, 1 - FRAME]))
    assert np.array_equal(stack[0], extension.extend(FRAME))
    assert stack[0].min() >= FRAME.min() - 1e-6 and stack[0].max() <= FRAME.max() + 1e-6


def test_weight_is_one_inside_and_zero_beyond():
    extension = plan_extension(FRAME.shape, padding=1.5)
    rows, columns = extension.weigh(np.empty(0, np.float32), fade=4)
    weight = rows * columns
    assert weight[extension.inside][4:-4, 4:-4].min() == 1
    outside = np.ones(extension.padded, bool)
    outside[extension.inside] = False
    assert weight[outside].max() == 0


def test_what_makes_no_grid_is_refused():
    with pytest.raises(InputError, match="padding must be from 1 to 3"):
        plan_extension((40, 50), padding=0.5)
    with pytest.raises(InputError, match="8 pixels or more"):
        plan_extension((4, 50))
    with pytest.raises(InputError, match="must have shape"):
        plan_extension((40, 50)).extend(FRAME)

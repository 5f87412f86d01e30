"""Several stacks as one."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io.frame_reader import FrameReader, JoinedFrames

STACK = np.random.default_rng(1).integers(0, 99, (9, 4, 5), dtype=np.uint8)


class ArrayFrames(FrameReader):
    def __init__(self, values):
        super().__init__("stack", values.shape, values.dtype)
        self.values = values

    def read_run(self, start, stop, rows, columns):
        return self.values[start:stop, rows, columns]


@pytest.mark.parametrize(
    "frames", [slice(None), slice(2, 8, 3), slice(-3, None), 4, -1, np.array([1, 2, 3, 6, 8]), np.array([], dtype=int)]
)
def test_joined_stacks_are_read_as_one_array(frames):
    joined = JoinedFrames("all", [ArrayFrames(part) for part in np.split(STACK, [3, 4])])
    np.testing.assert_array_equal(joined[frames, 1:3, :], STACK[frames, 1:3, :])
    assert joined.shape == STACK.shape


def test_big_endian_frames_are_read_in_the_machines_order():
    read = ArrayFrames(STACK.astype(">u2"))[:, :, 1:2]
    assert read.dtype == np.uint16
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, STACK[:, :, 1:2])


def test_frames_of_two_shapes_are_no_scan():
    with pytest.raises(InputError, match="all frames of a scan must have one shape"):
        JoinedFrames("all", [ArrayFrames(STACK), ArrayFrames(STACK[:, 1:])])


@pytest.mark.parametrize("values", [STACK[0], STACK[:0], STACK.astype(complex)])
def test_what_is_no_stack_is_refused(values):
    with pytest.raises(InputError, match="must"):
        ArrayFrames(values)

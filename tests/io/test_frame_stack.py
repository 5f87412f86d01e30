"""Stacks of frames on disk between two steps."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from voltome.errors import DamagedError, InputError, ResourceError
from voltome.io import FrameStack

FRAMES = np.random.default_rng(8).random((23, 6, 5)).astype(np.float32)


def fill(path, start):
    stack = FrameStack(path, FRAMES.shape)
    stack.write(slice(start, min(start + 4, 23)), FRAMES[start : start + 4])


@pytest.mark.parametrize(
    "part",
    [
        (slice(None), slice(2, 4), slice(None)),
        (slice(3, 9), slice(None), slice(None)),
        (slice(None), slice(5, 6), slice(1, 4)),
        (np.array([0, 1, 7, 22]), slice(0, 3), slice(None)),
        (-1, slice(None), slice(2, 3)),
        (slice(5, 5), slice(None), slice(1, 4)),
    ],
)
def test_any_part_is_read_as_from_an_array(tmp_path, part):
    stack = FrameStack(tmp_path / "stack", FRAMES.shape)
    for start in range(0, 23, 4):
        stack.write(slice(start, min(start + 4, 23)), FRAMES[start : start + 4])
    np.testing.assert_array_equal(stack[part], FRAMES[part])
    assert stack[part].dtype == np.float32


def test_threads_and_processes_fill_one_file(tmp_path):
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(fill, [tmp_path / "threads"] * 6, range(0, 23, 4)))
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as processes:
        list(processes.map(fill, [tmp_path / "processes"] * 6, range(0, 23, 4)))
    for name in ("threads", "processes"):
        np.testing.assert_array_equal(FrameStack(tmp_path / name, FRAMES.shape)[:, :, :], FRAMES)


def test_a_file_that_stands_is_used_again(tmp_path):
    stack = FrameStack(tmp_path / "stack", FRAMES.shape, np.uint16)
    stack.write(slice(2, 4), np.full((2, 6, 5), 7))
    again = pickle.loads(pickle.dumps(FrameStack(tmp_path / "stack", FRAMES.shape, np.uint16)))
    assert again[:, :, :].sum() == 2 * 30 * 7
    with pytest.raises(InputError, match="must have 2760 bytes"):
        FrameStack(tmp_path / "stack", FRAMES.shape)


def test_values_that_do_not_fit_are_refused(tmp_path):
    stack = FrameStack(tmp_path / "stack", FRAMES.shape)
    with pytest.raises(InputError, match="frames must lie in their stack"):
        stack.write(slice(20, 24), np.zeros((4, 6, 5)))
    with pytest.raises(InputError, match="frames must lie in their stack"):
        stack.write(slice(0, 1), np.zeros((1, 6, 4)))


def test_a_stack_that_was_cut_short_is_an_error(tmp_path):
    stack = FrameStack(tmp_path / "stack", FRAMES.shape)
    with open(tmp_path / "stack", "r+b") as file:
        file.truncate(1000)
    with pytest.raises(DamagedError, match="has become shorter"):
        stack[:, 0:2, :]


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(ResourceError, match="could not be made"):
        FrameStack(tmp_path / "nowhere" / "stack", FRAMES.shape)

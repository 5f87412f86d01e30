"""Stacks of frames that are read in part: which frames are wanted, and what happens to those that cannot be read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, VoltomeError


class FrameReader(ABC):
    """A stack of frames in files (a `voltome.frames.FrameSource`): ``reader[frames, rows, columns]`` reads a part.

    A frame that cannot be read comes back as NaN (the part is then float32), so that one corrupt frame among thousands
    does not end a reconstruction; whoever reads counts them. Parts may be read by several threads.

    Parameters
    ----------
    name : str
        For messages.
    shape : tuple of int
        Frames, rows, columns.
    dtype : numpy.dtype

    Raises
    ------
    InputError
        If it is no stack of whole or real numbers.
    """

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        if len(shape) != 3 or 0 in shape:
            raise InputError(f"frames must have three axes n, rows, columns ({name} has shape {shape}): give another")
        if dtype.kind not in "uif":
            raise InputError(f"pixels must be whole or real numbers ({name} is {dtype}): give another file")
        self.name = name
        self.shape = tuple(int(n) for n in shape)
        self.dtype: np.dtype[Any] = dtype.newbyteorder("=")

    @abstractmethod
    def read_run(self, start: int, stop: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of the frames start ... stop - 1; raises OSError where one of them cannot be read.

        Parameters
        ----------
        start, stop : int
        rows, columns : slice
            With start and stop within the frame.

        Returns
        -------
        (stop - start, rows, columns) array
        """

    def __getitem__(self, part: tuple[Any, slice, slice]) -> NDArray[Any]:
        frames, rows, columns = part
        numbers = find_numbers(frames, self.shape[0])
        inside = _bound(rows, self.shape[1]), _bound(columns, self.shape[2])
        blocks = [self._read(start, stop, *inside) for start, stop in find_runs(numbers)]
        if not blocks:
            return np.empty((0, *(edge.stop - edge.start for edge in inside)), self.dtype)
        values = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return values[0] if np.ndim(frames) == 0 and not isinstance(frames, slice) else values

    def _read(self, start: int, stop: int, rows: slice, columns: slice) -> NDArray[Any]:
        try:
            values = self.read_run(start, stop, rows, columns)
            return values.astype(values.dtype.newbyteorder("="), copy=False)
        except VoltomeError:
            raise
        except OSError:
            if stop - start == 1:
                return np.full((1, rows.stop - rows.start, columns.stop - columns.start), np.nan, np.float32)
            return np.concatenate([self._read(i, i + 1, rows, columns) for i in range(start, stop)])


class JoinedFrames(FrameReader):
    """Several stacks one behind the other.

    Parameters
    ----------
    name : str
    stacks : sequence of FrameReader

    Raises
    ------
    InputError
        If their frames differ in shape.
    """

    def __init__(self, name: str, stacks: list[FrameReader]) -> None:
        for stack in stacks[1:]:
            if stack.shape[1:] != stacks[0].shape[1:]:
                raise InputError(
                    f"all frames of a scan must have one shape ({stacks[0].name} has {stacks[0].shape[1:]}, "
                    f"{stack.name} {stack.shape[1:]}): crop them alike"
                )
        self._stacks = stacks
        self._starts = np.cumsum([0, *(stack.shape[0] for stack in stacks)]).tolist()
        shape = (self._starts[-1], *stacks[0].shape[1:])
        super().__init__(name, shape, np.result_type(*(stack.dtype for stack in stacks)))

    def read_run(self, start: int, stop: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of the frames start ... stop - 1."""
        blocks = [
            stack.read_run(max(start - first, 0), min(stop - first, stack.shape[0]), rows, columns)
            for stack, first in zip(self._stacks, self._starts, strict=False)
            if start < first + stack.shape[0] and stop > first
        ]
        return np.concatenate(blocks)


def find_numbers(frames: Any, count: int) -> NDArray[np.int64]:
    """Numbers of the frames that an index means, as NumPy does.

    Parameters
    ----------
    frames : int, slice or array of int
    count : int
        Frames that there are.

    Returns
    -------
    (m,) int64

    Raises
    ------
    IndexError
        If one lies outside.

    Examples
    --------
    >>> find_numbers(slice(-2, None), 5).tolist(), find_numbers(3, 5).tolist()
    ([3, 4], [3])
    """
    return np.atleast_1d(np.arange(count, dtype=np.int64)[frames])


def find_runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of successive numbers, so that each is one read.

    Parameters
    ----------
    numbers : (m,) int64

    Yields
    ------
    (int, int)
        First number and the one behind the last.

    Examples
    --------
    >>> list(find_runs(np.array([2, 3, 4, 7])))
    [(2, 5), (7, 8)]
    """
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    for run in np.split(numbers, breaks):
        if run.size:
            yield int(run[0]), int(run[-1]) + 1


def _bound(edge: slice, size: int) -> slice:
    start, stop, step = edge.indices(size)
    if step != 1:
        raise IndexError(f"rows and columns are read without step (got {edge})")
    return slice(start, max(start, stop))

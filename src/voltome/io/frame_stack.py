"""Frames between two steps: a plain file, filled by frames and read by rows."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from voltome.errors import DamagedError, InputError, ResourceError
from voltome.io.frame_reader import FrameReader


class FrameStack(FrameReader):
    """A file of frames that stays; parts that do not overlap may be written by many threads and processes at once.

    Projections are made angle by angle and used row by row. Ordinary reads and writes: a memory map would count as
    resident. It can be pickled. What was not written is 0.

    Parameters
    ----------
    path : str or Path
        Made if it does not exist, else used as it is. Its folder must exist.
    shape : tuple of int
        Frames, rows, columns.
    dtype : numpy.dtype
        float32, since phases need no more.

    Raises
    ------
    InputError
        If the file exists and has another size.
    ResourceError
        If the file cannot be made.
    """

    def __init__(self, path: str | Path, shape: tuple[int, int, int], dtype: DTypeLike = np.float32) -> None:
        super().__init__(str(path), shape, np.dtype(dtype))
        self.path = Path(path)
        size = math.prod(self.shape) * self.dtype.itemsize
        try:
            # Another process may be doing the same: whoever finds the file empty gives it its size.
            with open(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
                found = os.fstat(file.fileno()).st_size
                if found == 0:
                    file.truncate(size)
        except OSError as error:
            raise ResourceError(f"{path} could not be made ({error.strerror}): choose another folder") from error
        if found not in (0, size):
            raise InputError(f"{path} must have {size} bytes for {shape} {self.dtype} (it has {found}): remove it")

    def write(self, frames: slice, values: ArrayLike) -> None:
        """Write whole frames.

        Parameters
        ----------
        frames : slice
            With start and stop within the stack.
        values : (m, rows, columns) array

        Returns
        -------
        None
            The frames stand when this returns.

        Raises
        ------
        InputError
            If frames and values do not fit each other or the stack.
        ResourceError
            If the disk is full.
        """
        array = np.ascontiguousarray(values, dtype=self.dtype)
        count = frames.stop - frames.start
        if array.shape != (count, *self.shape[1:]) or not 0 <= frames.start < frames.stop <= self.shape[0]:
            raise InputError(
                f"frames must lie in their stack (got {frames} with values of shape {array.shape} for {self.shape}): "
                "give the frames that the values fill"
            )
        view = array.reshape(-1).view(np.uint8).data
        try:
            with open(self.path, "r+b", buffering=0) as file:
                file.seek(frames.start * array[0].nbytes)
                while view:
                    view = view[file.write(view) :]
        except OSError as error:
            raise ResourceError(f"{self.path} could not be written ({error.strerror}): free some space") from error

    def read_run(self, start: int, stop: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of the frames start ... stop - 1, in one read per frame."""
        height, width = self.shape[1:]
        values = np.empty((stop - start, rows.stop - rows.start, width), self.dtype)
        whole = rows.stop - rows.start == height
        try:
            with open(self.path, "rb", buffering=0) as file:
                for i, target in enumerate([values] if whole else values):
                    file.seek(((start + i) * height + rows.start) * width * self.dtype.itemsize)
                    _read_exactly(file, target)
        except OSError as error:  # our own file: no frame of it may be missing
            raise DamagedError(f"{self.path} could not be read ({error}): run again", str(self.path)) from error
        return values[:, :, columns]


def _read_exactly(file: Any, target: NDArray[Any]) -> None:
    view = target.reshape(-1).view(np.uint8).data
    while view:
        count = file.readinto(view)
        if not count:
            raise OSError("it has become shorter")
        view = view[count:]

"""A volume on disk that is filled block by block, in any order, before it is read."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3
from voltome.io.flat import open_raw
from voltome.io.volume import Volume


class ScratchVolume:
    """A volume that is written block by block and read like any other (a `VolumeSource`).

    Its voxels lie in a file, as they do in memory; that file is there while the `with` block runs. Several threads may
    write blocks that do not overlap. What was not written is 0.

    Parameters
    ----------
    path : str or Path
        File to use; it must not exist.
    shape : tuple of int
        Voxels along z, y, x.
    dtype : numpy.dtype
    stays : bool
        A file that exists is used as it is, so that several processes may write it, one after another or at once.

    Raises
    ------
    InputError
        If the file exists and `stays` is False, or it has another size.
    """

    def __init__(self, path: str | Path, shape: Shape3, dtype: DTypeLike, *, stays: bool = False) -> None:
        self.path, self.shape = Path(path), shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        size = math.prod(shape) * self.dtype.itemsize
        try:
            # Another process may be doing the same: whoever finds the file empty gives it its size.
            flags = os.O_RDWR | os.O_CREAT | (0 if stays else os.O_EXCL)
            with open(os.open(self.path, flags, 0o666), "r+b", buffering=0) as file:
                found = os.fstat(file.fileno()).st_size
                if found == 0:
                    file.truncate(size)
        except FileExistsError as error:
            raise InputError(f"{self.path} already exists: give another name") from error
        if found not in (0, size):
            raise InputError(f"{self.path} must have {size} bytes for {shape} {self.dtype} (it has {found}): remove it")
        self._volume = Volume(str(path), open_raw(self.path, shape=shape, dtype=self.dtype))

    def write(self, block: Block, values: ArrayLike) -> None:
        """Write one block.

        Parameters
        ----------
        block : three slices
            With start and stop, within the shape.
        values : array of the block's shape

        Returns
        -------
        None
            The voxels stand when this returns.

        Raises
        ------
        InputError
            If block and values do not fit each other or the volume.
        """
        z, y, x = block
        size = tuple(edge.stop - edge.start for edge in block)
        array = np.ascontiguousarray(values, dtype=self.dtype)
        if array.shape != size or any(not 0 <= e.start < e.stop <= n for e, n in zip(block, self.shape, strict=True)):
            raise InputError(
                f"a block must lie in its volume (got {block} with values of shape {array.shape} for {self.shape}): "
                "give the slices that the values fill"
            )
        # As many axes as are whole go in one piece.
        axes = 2 if size[2] < self.shape[2] else 1 if size[1] < self.shape[1] else 0
        with open(self.path, "r+b", buffering=0) as file:
            for index in itertools.product(*map(range, size[:axes])):
                corner = [edge.start for edge in (z, y, x)]
                corner[:axes] = [a + i for a, i in zip(corner, index, strict=False)]
                file.seek(int(np.ravel_multi_index(corner, self.shape)) * self.dtype.itemsize)
                _write_exactly(file, array[index])

    def __getitem__(self, block: Block) -> NDArray[Any]:
        return self._volume[block]

    def __enter__(self) -> ScratchVolume:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)


def _write_exactly(file: Any, values: NDArray[Any]) -> None:
    view = values.reshape(-1).view(np.uint8)
    while view.size:
        view = view[file.write(view) :]

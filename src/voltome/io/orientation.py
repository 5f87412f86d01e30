"""A volume whose file has its axes in another order, or backwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.grid import Block, Shape3, VolumeSource


class OrientedVolume:
    """A volume as z, y, x ascending, whatever the file's own axes; blocks are turned when they are read.

    Parameters
    ----------
    source : VolumeSource
        As it lies in the file.
    axes : str
        Order of the file's axes, such as "yzx".
    flip : str
        Axes, of z, y and x, along which the file runs backwards.

    Examples
    --------
    >>> volume = OrientedVolume(np.arange(6).reshape(1, 2, 3), axes="yzx", flip="x")
    >>> volume.shape, volume[0:1, 0:1, 0:3].tolist()
    ((2, 1, 3), [[[2, 1, 0]]])
    """

    def __init__(self, source: VolumeSource, *, axes: str = "zyx", flip: str = "") -> None:
        self.source = source
        self._order = [axes.index(axis) for axis in "zyx"]
        self._backwards = [axis in flip for axis in "zyx"]

        def turned(values: tuple[int, ...]) -> Shape3:
            z, y, x = (values[i] for i in self._order)
            return z, y, x

        self.shape = turned(source.shape)
        self.dtype: np.dtype[Any] = source.dtype
        self.chunk_shape = turned(getattr(source, "chunk_shape", (1, 1, 1)))

    def __getitem__(self, block: Block) -> NDArray[Any]:
        wanted: list[slice] = [slice(None)] * 3
        for axis, edge in enumerate(block):
            start, stop, _ = edge.indices(self.shape[axis])
            if self._backwards[axis]:
                start, stop = self.shape[axis] - stop, self.shape[axis] - start
            wanted[self._order[axis]] = slice(start, max(start, stop))
        z, y, x = wanted
        values = np.transpose(self.source[z, y, x], self._order)
        steps = tuple(slice(None, None, -1 if back else 1) for back in self._backwards)
        return np.ascontiguousarray(values[steps])

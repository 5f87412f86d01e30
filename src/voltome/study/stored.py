"""Scans of the store and weights of their voxels as the correlation reads them: coarse levels come from the pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.grid import Block, Shape3, VolumeSource


class StoredScan:
    """A scan of the store (a `VolumeSource`).

    Parameters
    ----------
    series : str
        Path of the store.
    t : int
        Number of the scan.
    level : int
        Of the pyramid.
    shape : tuple of int, optional
        To cut the level to: block means of n voxels are n // factor, the pyramid has one more where n is odd.
    """

    def __init__(self, series: str, t: int, *, level: int = 0, shape: Shape3 | None = None) -> None:
        from voltome import io

        self._series, self._t = series, t
        self._volume = io.open_scan(series, t, level=level)
        self.shape: Shape3 = self._volume.shape if shape is None else shape
        self.dtype, self.chunk_shape = self._volume.dtype, self._volume.chunk_shape

    def __getitem__(self, block: Block) -> NDArray[Any]:
        z, y, x = (slice(*edge.indices(n)[:2]) for edge, n in zip(block, self.shape, strict=True))
        return self._volume[z, y, x]

    def reduced(self, factor: int) -> StoredScan | None:
        """Block means from the pyramid, rounded to whole grey values; None where it does not hold them.

        Parameters
        ----------
        factor : int
            Voxels along the side of a block.
        """
        from voltome import io

        level = factor.bit_length() - 1
        if factor != 1 << level or level >= len(io.open_series(self._series).level_shapes):
            return None
        z, y, x = (n // factor for n in self.shape)
        return StoredScan(self._series, self._t, level=level, shape=(z, y, x))


class Region:
    """Weights of a scan's voxels: those of its mask inside a box, 0 outside (a `VolumeSource`).

    Parameters
    ----------
    inside : three (n,) float32 arrays
        How much of each voxel lies between the box's faces, along z, y and x.
    mask : VolumeSource, optional
        Weights 0 to 1; else 1.
    """

    def __init__(self, inside: Sequence[NDArray[np.float32]], mask: VolumeSource | None = None) -> None:
        self._inside, self._mask = inside, mask
        z, y, x = map(len, inside)
        self.shape: Shape3 = (z, y, x)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    def __getitem__(self, block: Block) -> NDArray[np.float32]:
        z, y, x = (along[edge] for along, edge in zip(self._inside, block, strict=True))
        out: NDArray[np.float32] = z[:, None, None] * y[:, None] * x
        if self._mask is not None and out.any():
            out *= self._mask[block]
        return out

    def reduced(self, factor: int) -> Region | None:
        """Block means, where there is no mask; None where there is one.

        Parameters
        ----------
        factor : int
            Voxels along the side of a block.
        """
        if self._mask is not None:
            return None
        return Region([a[: len(a) // factor * factor].reshape(-1, factor).mean(axis=1) for a in self._inside])


def make_region(shape: Shape3, low: Sequence[int], high: Sequence[int], mask: VolumeSource | None = None) -> Region:
    """Weights that are those of a mask, or 1, inside a box.

    Parameters
    ----------
    shape : tuple of int
        Of the scan.
    low, high : three int
        Corners of the box, half-open.
    mask : VolumeSource, optional

    Returns
    -------
    Region

    Examples
    --------
    >>> region = make_region((4, 2, 2), (1, 0, 0), (3, 2, 2))
    >>> region[0:4, 0:1, 0:1].ravel().tolist(), region.reduced(2)[0:2, 0:1, 0:1].ravel().tolist()
    ([0.0, 1.0, 1.0, 0.0], [0.5, 0.5])
    """
    places = [np.arange(n) for n in shape]
    inside = [((p >= a) & (p < b)).astype(np.float32) for p, a, b in zip(places, low, high, strict=True)]
    return Region(inside, mask)

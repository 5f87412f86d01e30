"""What a tomographic scan is before reconstruction: frames in the order they were taken, and what each one is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from voltome.optics import Geometry

PROJECTION, FLAT, DARK, UNUSED = 0, 1, 2, 3
"""Kinds of frames: NXtomo's image keys; UNUSED are alignment frames and invalid ones."""

Floats = NDArray[np.float64]


@runtime_checkable
class FrameSource(Protocol):
    """A stack of frames that can be read in part: a NumPy array (n, rows, columns), or what io returns."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, part: tuple[Any, slice, slice], /) -> NDArray[Any]:
        """Frames (an int, a slice or a rising array of ints), rows, columns."""
        ...


@dataclass(frozen=True)
class DistanceScan:
    """All frames taken at one distance.

    Parameters
    ----------
    name : str
        For messages: the file, the entry.
    frames : FrameSource
        (n, rows, columns) in the order of acquisition.
    kinds : (n,) uint8
        PROJECTION, FLAT, DARK or UNUSED.
    angles_rad : (n,) float64
        Rotation of the sample at each frame; only those of projections mean something.
    geometry : Geometry or None
        None where the file does not tell.
    current : (n,) float64 or None
        Beam current of each frame in any unit, where it is known.
    """

    name: str
    frames: FrameSource
    kinds: NDArray[np.uint8]
    angles_rad: Floats
    geometry: Geometry | None = None
    current: Floats | None = field(default=None)

    def find(self, kind: int) -> NDArray[np.int64]:
        """Numbers of the frames of a kind.

        Parameters
        ----------
        kind : int

        Returns
        -------
        (m,) int64
            Rising.
        """
        return np.flatnonzero(self.kinds == kind)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])


@dataclass(frozen=True)
class HolotomographyScan:
    """A scan at one or several distances.

    Parameters
    ----------
    distances : tuple of DistanceScan
        In the order in which they are used; all else is registered to the first.
    """

    distances: tuple[DistanceScan, ...]

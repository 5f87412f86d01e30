"""Beyond the detector's edge: frames are continued so that periodic transforms see no step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.phase.backend import Array, find_namespace, move_like

_LEAST_SIDE = 8


@dataclass(frozen=True)
class Extension:
    """How a frame is laid on a larger, periodic grid.

    Each axis is continued by its mirror on both sides, and where both continuations meet one fades into the other.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the frames.
    padded : tuple of int
        Rows and columns of the grid; the frame lies in its middle.
    """

    shape: tuple[int, int]
    padded: tuple[int, int]

    @property
    def inside(self) -> tuple[slice, slice]:
        """Where the frame lies."""
        starts = [(p - n) // 2 for p, n in zip(self.padded, self.shape, strict=True)]
        return (
            slice(starts[0], starts[0] + self.shape[0]),
            slice(starts[1], starts[1] + self.shape[1]),
        )

    def extend(self, frames: Array) -> Array:
        """Frames on the grid.

        Parameters
        ----------
        frames : (..., rows, columns) float32 array

        Returns
        -------
        (..., padded rows, padded columns) float32 array

        Raises
        ------
        InputError
            If the frames do not have the extension's shape.
        """
        if tuple(frames.shape[-2:]) != self.shape:
            raise InputError(f"frames must have shape {self.shape} (got {tuple(frames.shape[-2:])}): crop or pad them")
        xp = find_namespace(frames)
        for axis in (-2, -1):
            near, far, weight = (move_like(a, frames) for a in _find_sources(self.shape[axis], self.padded[axis]))
            share = weight[:, None] if axis == -2 else weight
            frames = xp.take(frames, near, axis=axis) * (1 - share) + xp.take(frames, far, axis=axis) * share
        return frames

    def weigh(self, like: Array, *, fade: int = 8) -> tuple[Array, Array]:
        """How far a pixel of the grid is known: 1 inside of the frame, 0 beyond, along rows and columns.

        Parameters
        ----------
        like : array
            Kind of array and device of the result.
        fade : int
            Pixels over which the weight falls, within the frame.

        Returns
        -------
        (padded rows, 1) float32, (padded columns,) float32
            The weight of a pixel is their product.
        """
        weights = []
        for part, n, p in zip(self.inside, self.shape, self.padded, strict=True):
            weight = np.zeros(p, np.float32)
            edge = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
            width = min(fade, n // 4)
            weight[part] = 1.0 if p == n or width == 0 else np.clip(edge / width, 0, 1)
            weights.append(weight)
        return move_like(weights[0][:, None].copy(), like), move_like(weights[1], like)


def plan_extension(shape: tuple[int, int], *, padding: float = 1.25) -> Extension:
    """A grid whose sides are quick to transform.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    padding : float
        Side of the grid over that of the frame. 1.25: as 2048 -> 2560; 1: the frame is taken as periodic.

    Returns
    -------
    Extension

    Raises
    ------
    InputError
        If padding is below 1 or above 3, or a side is shorter than 8 pixels.
    """
    from scipy.fft import next_fast_len

    if not 1 <= padding <= 3:
        raise InputError(f"padding must be from 1 to 3 (got {padding}): 1.25 is usual")
    if min(shape) < _LEAST_SIDE:
        raise InputError(f"frames must have sides of {_LEAST_SIDE} pixels or more (got {shape}): give larger ones")
    rows, columns = (n if padding == 1 else int(next_fast_len(int(np.ceil(padding * n)), real=True)) for n in shape)
    return Extension(shape, (rows, columns))


def _find_sources(n: int, padded: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """For each pixel of an axis two pixels of the frame, and the share of the second."""
    start = (padded - n) // 2
    place = np.arange(padded) - start
    gap = padded - n
    # Behind the frame's end: distance to its last pixel, and to the first one of the next period.
    beyond = np.where(place < 0, place + padded, place) - n
    outside = beyond >= 0
    near: NDArray[Any] = np.where(outside, n - 1 - beyond, place)
    far: NDArray[Any] = np.where(outside, gap - 1 - beyond, place)
    share = np.where(outside, 0.5 - 0.5 * np.cos(np.pi * (beyond + 0.5) / max(gap, 1)), 0.0)
    near, far = np.clip(near, 0, n - 1), np.clip(far, 0, n - 1)
    return near.astype(np.int64), far.astype(np.int64), share.astype(np.float32)

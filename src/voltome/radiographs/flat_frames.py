"""Frames of a scan one at a time: darks and flats, never held together at full size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from voltome.frames import DistanceScan
from voltome.radiographs.moving_light import MovingLight

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]


def read_frames(scan: DistanceScan, numbers: NDArray[np.int64]) -> Iterator[Singles]:
    """Whole frames.

    Parameters
    ----------
    scan : DistanceScan
    numbers : (n,) int64

    Yields
    ------
    (rows, columns) float32
        0 where a value is not finite: no light, so a defect.
    """
    rows, cols = (slice(0, n) for n in scan.frame_shape)
    for number in numbers:
        frame = np.asarray(scan.frames[int(number), rows, cols]).astype(np.float32)
        yield np.nan_to_num(frame, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


class Light:
    """Flats less the dark, at the median current, and without the pattern that moves.

    Parameters
    ----------
    scan : DistanceScan
    dark : (rows, columns) float32
    gain : (n,) float64
        Current of each frame over the median of the flats'.
    moving : MovingLight, optional
    """

    def __init__(self, scan: DistanceScan, dark: Singles, gain: Floats, moving: MovingLight | None = None) -> None:
        self._scan, self._dark, self._gain, self._moving = scan, dark, gain, moving
        self._shifts: dict[int, Floats] = {}

    def read(self, group: int, numbers: NDArray[np.int64]) -> Iterator[Singles]:
        """The flats of a group, one at a time.

        Parameters
        ----------
        group : int
        numbers : (n,) int64
            Of frames.

        Yields
        ------
        (rows, columns) float32
        """
        rows, cols = (slice(0, n) for n in self._scan.frame_shape)
        for number, frame in zip(numbers.tolist(), read_frames(self._scan, numbers), strict=True):
            frame -= self._dark
            if self._moving is not None:
                if number not in self._shifts:
                    self._shifts[number] = self._moving.find_shift(frame, group, 0.0)
                frame *= np.exp(-self._moving.sample(self._shifts[number], rows, cols))
            yield frame / np.float32(self._gain[number])

    def read_all(self, groups: list[NDArray[np.int64]]) -> Iterator[Singles]:
        """The flats of all groups, one at a time.

        Parameters
        ----------
        groups : list of (n,) int64

        Yields
        ------
        (rows, columns) float32
        """
        for group, numbers in enumerate(groups):
            yield from self.read(group, numbers)

    def average(self, groups: list[NDArray[np.int64]]) -> tuple[Singles, Singles]:
        """Mean of each group of flats, and how they scatter.

        Parameters
        ----------
        groups : list of (n,) int64

        Returns
        -------
        means : (g, rows, columns) float32
        variance : (rows, columns) float32
            Of each pixel among the flats of a group, but for a factor.
        """
        found = [average_frames(self.read(group, numbers)) for group, numbers in enumerate(groups)]
        sizes = [numbers.size for numbers in groups]
        variance = np.average([scatter for _, scatter in found], axis=0, weights=sizes).astype(np.float32)
        return np.stack([mean for mean, _ in found]), variance


def average_frames(frames: Iterator[Singles]) -> tuple[Singles, Singles]:
    """Mean and variance of each pixel, without its largest and smallest value where there are three or more.

    Parameters
    ----------
    frames : iterator of (rows, columns) float32
        The first one is kept, all others may be changed.

    Returns
    -------
    mean : (rows, columns) float32
    variance : (rows, columns) float32
        Of what is left: smaller than that of all by a factor, the same for all pixels.
    """
    first = next(frames)
    total, squares = np.zeros_like(first), np.zeros_like(first)
    low, high = np.zeros_like(first), np.zeros_like(first)
    count = 1
    for frame in frames:
        frame -= first  # small differences: nothing is lost in float32
        total += frame
        squares += frame * frame
        np.minimum(low, frame, out=low)
        np.maximum(high, frame, out=high)
        count += 1
    if count >= 3:
        total -= low + high
        squares -= low * low + high * high
        count -= 2
    total /= np.float32(count)
    variance = np.maximum(squares / np.float32(count) - total * total, np.float32(0))
    return first + total, variance

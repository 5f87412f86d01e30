"""Planes at several distances brought on each other: each is compared with what the others predict.

Two planes do not look alike, and what does not move with the sample (fringes of the optics) looks the same in all: to
compare them directly finds the optics. What a wave from the other planes gives at a plane's distance looks like the
sample there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

_ROUNDS = 8
_STILL_PX = 0.05
_BORDER = 8  # an eighth of each side does not count in a correlation: beyond a displaced frame nothing is known


@dataclass(frozen=True, eq=False)
class PlaneShifts:
    """Where each plane shows what the first one shows.

    Parameters
    ----------
    shifts_px : (n, 2) float64
        Along rows and columns; the first is 0.
    sd_px : (n, 2) float64
        Standard deviation; infinite where the plane was not found, whose shift is then what the others let expect.
    left_out : (n,) float64
        Correlation of each plane with what the others predict for it; NaN where there is no other.
    """

    shifts_px: Floats
    sd_px: Floats
    left_out: Floats


Predict = Callable[[Singles, Sequence[int], int], Singles]
"""`predict(frames, numbers, wanted)`: what planes of these numbers, brought on each other, give for another one."""


def register_planes(
    frames: Singles,
    distances_m: Floats,
    predict: Predict,
    *,
    on_step: Callable[[], None] | None = None,
) -> PlaneShifts:
    """Measure the shifts of planes, each against the prediction of the others.

    First they are added one by one, nearest first, each predicted from those before; then each is compared with what
    all others predict, until none moves.

    Parameters
    ----------
    frames : (n, rows, columns) float32
        Intensities over the illumination.
    distances_m : (n,) float64
    predict : callable
        `predict(frames, numbers, wanted)` gives the (rows, columns) intensity of plane `wanted` from frames of the
        planes `numbers` that lie on each other.
    on_step : callable, optional
        Called after each plane of each round.

    Returns
    -------
    PlaneShifts

    Raises
    ------
    InputError
        If the frames are smaller than 32 pixels.
    """
    count = len(frames)
    shifts, sd, left_out = np.zeros((count, 2)), np.zeros((count, 2)), np.full(count, np.nan)
    aligned = frames.copy()

    def compare(number: int, others: Sequence[int], expected: Floats) -> None:
        seen = predict(aligned[list(others)], others, number)
        shifts[number], sd[number] = measure_shift(frames[number], seen, expected)
        aligned[number] = move_frame(frames[number], shifts[number])
        left_out[number] = correlate_middles(aligned[number], seen)
        if on_step is not None:
            on_step()

    order = sorted(range(1, count), key=lambda i: abs(distances_m[i] - distances_m[0]))
    known = [0]
    for number in order:
        tilt = find_tilt(distances_m[known], shifts[known])
        compare(number, known, tilt * (distances_m[number] - distances_m[0]))
        known.append(number)
    if count < 3:  # the prediction of the first from the second would be the same comparison once more
        return PlaneShifts(shifts, sd, left_out)
    for _ in range(_ROUNDS):
        before = shifts.copy()
        for number in range(count):
            others = [i for i in range(count) if i != number]
            compare(number, others, shifts[number].copy())
        shifts -= shifts[0].copy()
        aligned = np.stack([move_frame(frame, shift) for frame, shift in zip(frames, shifts, strict=True)])
        if np.abs(shifts - before).max() < _STILL_PX:
            break
    return PlaneShifts(shifts, sd, left_out)


def measure_shift(frame: Singles, seen: Singles, expected_px: Floats) -> tuple[Floats, Floats]:
    """Shift of a frame against its prediction.

    Parameters
    ----------
    frame, seen : (rows, columns) float32
        What was measured, and what was predicted.
    expected_px : (2,) float64

    Returns
    -------
    shift_px : (2,) float64
        What was expected where no peak stands out.
    sd_px : (2,) float64
        Infinite there.
    """
    from voltome.radiographs import measure_shifts

    found, sd = measure_shifts(frame[None], seen[None], start_px=expected_px)
    if not np.isfinite(found).all():
        return expected_px, np.full(2, np.inf)
    return found[0], sd[0]


def move_frame(frame: Singles, shift_px: Floats) -> Singles:
    """Bring back what lies displaced in a frame.

    Parameters
    ----------
    frame : (rows, columns) float32
    shift_px : (2,) float64
        Along rows and columns.

    Returns
    -------
    (rows, columns) float32
        Beyond the frame its edge goes on.
    """
    from voltome.radiographs import Resampler

    if not np.any(shift_px):
        return frame
    shape = (frame.shape[0], frame.shape[1])
    return Resampler(shape, 1.0, shape, 1.0, shift_px=shift_px).apply(frame)


def correlate_middles(frame: Singles, seen: Singles) -> float:
    """Correlation of two images in their middle three quarters.

    Parameters
    ----------
    frame, seen : (rows, columns) float32

    Returns
    -------
    float
        From -1 to 1; NaN where one of them shows nothing.
    """
    middle = tuple(slice(n // _BORDER, n - n // _BORDER) for n in frame.shape)
    a, b = (image[middle].astype(np.float64) - float(image[middle].mean()) for image in (frame, seen))
    power = float(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b)) / power**0.5 if power > 0 else float("nan")


def find_tilt(distances_m: Floats, shifts_px: Floats) -> Floats:
    """Slope of the line through the first plane that most planes lie on.

    The sum of distances to it is least, so that one plane that has drifted does not bend it.

    Parameters
    ----------
    distances_m : (n,) float64
    shifts_px : (n, 2) float64
        The first is 0.

    Returns
    -------
    (2,) float64
        Pixels a metre along rows and columns; 0 for one plane.

    Examples
    --------
    >>> find_tilt(np.array([0.0, 1.0, 2.0, 3.0]), np.array([[0, 0], [2, 1], [4, 2], [6, 9.0]])).tolist()
    [2.0, 1.0]
    """
    away = distances_m[1:] - distances_m[0]
    if not len(away):
        return np.zeros(2)
    slopes, weights = shifts_px[1:] / away[:, None], np.abs(away)
    tilt = np.zeros(2)
    for axis in (0, 1):
        order = np.argsort(slopes[:, axis])
        total = np.cumsum(weights[order])
        tilt[axis] = slopes[order[np.searchsorted(total, 0.5 * total[-1])], axis]
    return tilt


def find_place(distance_m: float, distances_m: Floats, shifts_px: Floats, tilt: Floats) -> Floats:
    """Where a detector at a distance sees what the first plane shows.

    Parameters
    ----------
    distance_m : float
    distances_m : (n,) float64
        Of the planes.
    shifts_px : (n, 2) float64
    tilt : (2,) float64
        As of `find_tilt`.

    Returns
    -------
    (2,) float64
        Shift in pixels: between planes by a straight line, beyond the outermost ones by the tilt.
    """
    order = np.argsort(distances_m)
    places, shifts = distances_m[order], shifts_px[order]
    inside = float(np.clip(distance_m, places[0], places[-1]))
    between = np.array([np.interp(inside, places, shifts[:, axis]) for axis in (0, 1)])
    return between + tilt * (distance_m - inside)

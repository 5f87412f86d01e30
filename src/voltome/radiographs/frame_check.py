"""Frames that are no radiographs: corrupt or saturated ones, found from cheap statistics of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.frames import FrameSource

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PARTS = 16  # a frame is looked at in 16 x 16 blocks
_NEAREST = 3  # on each side; as many frames in a row may be corrupt
_AROUND = 15
_LEAST_CHANGE = 0.05
_TIMES_USUAL = 8.0
_MISSING_SHARE = 1e-3
_CONSTANT_SHARE = 0.002


@dataclass(frozen=True, eq=False)
class FrameCheck:
    """What each frame's statistics say.

    Parameters
    ----------
    numbers : (n,) int64
        Of the frames, in the order of acquisition.
    mean : (n,) float64
        Grey value.
    missing : (n,) float64
        Share of pixels that are not finite.
    constant : (n,) float64
        Share of rows that have a single value.
    saturated : (n,) float64
        Share of pixels at the largest value.
    change : (n,) float64
        Relative difference between the frame's 16 x 16 block means and those of the frames around it (rms): the third
        smallest of the differences to the six nearest frames, so that neither a step of the beam nor three corrupt
        frames in a row mislead it.
    corrupt : (n,) bool
    level : float
        From which a pixel is saturated.
    """

    numbers: NDArray[np.int64]
    mean: Floats
    missing: Floats
    constant: Floats
    saturated: Floats
    change: Floats
    corrupt: Mask
    level: float


def check_frames(
    frames: FrameSource,
    numbers: NDArray[np.int64],
    *,
    current: Floats | None = None,
    saturation: float | None = None,
) -> FrameCheck:
    """Corrupt frames from each frame's mean, missing values, constant rows and jump against its neighbours.

    A frame is corrupt if more than a thousandth of it is not finite, if it has more constant rows than the others
    (by 0.2 % of the rows), or if its block means jump: by more than 5 % and eight times what is usual among the
    thirty frames around it. Slow change, of sample or beam, is none.

    Parameters
    ----------
    frames : (n, rows, columns) FrameSource
    numbers : (m,) int64
        Frames of one kind, rising. One is read at a time.
    current : (n,) float64, optional
        Beam current of all frames, which is divided out.
    saturation : float, optional
        Value of a saturated pixel: by default the largest of an integer type; frames of floats have none.

    Returns
    -------
    FrameCheck

    Raises
    ------
    InputError
        If no frame is given.
    """
    if numbers.size == 0:
        raise InputError("at least one frame must be checked (got none): give the numbers of the projections")
    integer = np.issubdtype(frames.dtype, np.integer)
    level = saturation if saturation is not None else float(np.iinfo(frames.dtype).max) if integer else np.inf
    rows, cols = frames.shape[1:]
    shape = min(_PARTS, rows), min(_PARTS, cols)
    statistics = np.empty((numbers.size, 4))
    blocks = np.empty((numbers.size, shape[0] * shape[1]))
    for i, number in enumerate(numbers):
        frame = np.asarray(frames[int(number), slice(0, rows), slice(0, cols)])
        statistics[i], blocks[i] = _describe_frame(frame, level, shape)
        if current is not None and np.isfinite(current[number]) and current[number] > 0:
            blocks[i] /= current[number]
    mean, missing, constant, saturated = statistics.T
    change = _find_change(blocks)
    corrupt = (missing > _MISSING_SHARE) | _is_striped(constant, rows) | _is_jump(change)
    return FrameCheck(numbers, mean, missing, constant, saturated, change, corrupt, level)


def _describe_frame(frame: NDArray[np.generic], level: float, shape: tuple[int, int]) -> tuple[list[float], Floats]:
    """Mean, shares of missing pixels, of constant rows, of saturated pixels; block means."""
    missing = 0.0
    if not np.issubdtype(frame.dtype, np.integer):
        finite = np.isfinite(frame)
        missing = 1.0 - float(finite.mean())
        if missing:
            frame = np.where(finite, frame, 0)
    rows, cols = frame.shape
    high = frame.max(axis=1)
    saturated = 0.0
    if high.max() >= level:
        saturated = np.count_nonzero(frame[high >= level] >= level) / frame.size
    # rows first: whole lines are added, which is far quicker than blocks
    top, left = (
        np.linspace(0, n, parts, endpoint=False).astype(np.int64) for n, parts in zip((rows, cols), shape, strict=True)
    )
    kind = np.uint32 if frame.dtype in (np.uint8, np.uint16) else np.float64
    sums = np.add.reduceat(frame, top, axis=0, dtype=kind).astype(np.float64)
    sums = np.add.reduceat(sums, left, axis=1)
    sizes = np.diff(np.append(top, rows))[:, None] * np.diff(np.append(left, cols))
    constant = float(np.mean(high == frame.min(axis=1)))
    return [float(sums.sum() / frame.size), missing, constant, saturated], (sums / sizes).ravel()


def _find_change(blocks: Floats) -> Floats:
    """Third smallest relative rms difference to the six nearest frames; the middle one of fewer at the ends."""
    count = len(blocks)
    scale = np.median(np.sqrt(np.mean(blocks**2, axis=1)))
    if count < 2 or not scale > 0:
        return np.zeros(count)
    distances = np.full((count, 2 * _NEAREST), np.inf)
    for step in range(1, min(_NEAREST, count - 1) + 1):
        distance = np.sqrt(np.mean((blocks[step:] - blocks[:-step]) ** 2, axis=1)) / scale
        distances[step:, 2 * step - 2] = distance
        distances[:-step, 2 * step - 1] = distance
    distances.sort(axis=1)
    available = np.isfinite(distances).sum(axis=1)
    out: Floats = distances[np.arange(count), (available + 1) // 2 - 1]
    return out


def _is_striped(constant: Floats, rows: int) -> Mask:
    """Frames with more constant rows than is usual in the scan (rows behind metal may always be constant)."""
    usual = float(np.median(constant))
    scatter = 1.4826 * float(np.median(np.abs(constant - usual)))
    return constant > usual + max(_CONSTANT_SHARE, 1.5 / rows, 6.0 * scatter)


def _is_jump(change: Floats) -> Mask:
    """Frames whose change is large and far larger than that of the frames around them."""
    around = np.array([np.median(change[max(0, i - _AROUND) : i + _AROUND + 1]) for i in range(change.size)])
    return change > np.maximum(_LEAST_CHANGE, _TIMES_USUAL * around)


def find_replacements(
    check: FrameCheck, *, most_share: float = 0.01, name: str = "scan"
) -> dict[int, tuple[tuple[int, float], ...]]:
    """What stands in for corrupt frames: the nearest good frame on each side, weighted linearly.

    Parameters
    ----------
    check : FrameCheck
        Of projections.
    most_share : float
        Of frames that may be replaced; a single one always may, if there are others.
    name : str
        Of the scan, for the message.

    Returns
    -------
    dict
        Number of the corrupt frame -> ((number, weight), ...), weights summing to 1.

    Raises
    ------
    InputError
        If too many frames are corrupt.
    """
    places = np.flatnonzero(check.corrupt)
    good = np.flatnonzero(~check.corrupt)
    count = check.numbers.size
    if places.size > max(1.0, most_share * count) or (places.size and good.size < 2):
        listed = ", ".join(str(int(check.numbers[i])) for i in places[:8]) + (", ..." if places.size > 8 else "")
        raise InputError(
            f"{name}: corrupt projections must be <= {100 * most_share:g} % (got {places.size} of {count}: "
            f"frames {listed}): check the file, or mark those frames as unused"
        )
    out: dict[int, tuple[tuple[int, float], ...]] = {}
    for place in places:
        after = int(np.searchsorted(good, place))
        if after in (0, good.size):  # at an end: the only neighbour
            out[int(check.numbers[place])] = ((int(check.numbers[good[min(after, good.size - 1)]]), 1.0),)
            continue
        low, high = int(good[after - 1]), int(good[after])
        share = float((place - low) / (high - low))
        pair = (int(check.numbers[low]), 1.0 - share), (int(check.numbers[high]), share)
        out[int(check.numbers[place])] = pair
    return out


def refuse_saturation(check: FrameCheck, *, most_share: float = 0.005, name: str = "scan") -> None:
    """Refuse frames of which too much is saturated: their transmission is not known.

    Parameters
    ----------
    check : FrameCheck
    most_share : float
        Of all pixels of the frames that are not corrupt.
    name : str
        Of the scan, for the message.

    Raises
    ------
    InputError
        If more pixels are saturated.
    """
    shares = check.saturated[~check.corrupt]
    if shares.size and float(shares.mean()) > most_share:
        hit = np.count_nonzero(shares > most_share)
        raise InputError(
            f"{name}: saturated pixels must be <= {100 * most_share:g} % (got {100 * shares.mean():.3g} %, in {hit} of "
            f"{shares.size} frames beyond it, at grey value {check.level:g}): expose for "
            "less time, or mark these frames as unused"
        )

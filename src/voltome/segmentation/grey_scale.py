"""The grey values a model has learned on, and whether a volume has the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

_PERCENTILES = (5.0, 50.0, 95.0)
_TOO_FAR = 0.75  # of the learned range: what training varies by chance is 0.2
_TOO_WIDE = 2.5


@dataclass(frozen=True)
class GreyScale:
    """Which grey values are 0 and 1 for a model, and between which the images lay that it learned from.

    Parameters
    ----------
    low, high : float
        Grey values that become 0 and 1; low may be the higher one.
    seen : tuple of three floats
        5th, 50th and 95th percentile of those images on that scale.
    """

    low: float
    high: float
    seen: tuple[float, float, float]

    def scale(self, values: NDArray[Any], window: Sequence[float] | None = None) -> NDArray[np.float32]:
        """Grey values on the model's scale.

        Parameters
        ----------
        values : array
        window : (low, high), optional
            What stands in this volume for `low` and `high`.

        Returns
        -------
        float32 array
        """
        low, high = (self.low, self.high) if window is None else window
        if values.dtype.kind != "f" or values.dtype.itemsize <= 4:
            scaled = values.astype(np.float32)
            if abs(high - low) > 1e-3 * abs(low):
                scaled -= np.float32(low)
                scaled *= np.float32(1 / (high - low))
                return scaled
        out: NDArray[np.float32] = ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)
        return out

    def check(self, sample: NDArray[Any], name: str, window: Sequence[float] | None = None) -> None:
        """Refuse a volume whose grey values are not those that the model learned.

        Parameters
        ----------
        sample : array
            Some of the volume's grey values.
        name : str
            Of the volume, for the error.
        window : (low, high), optional
            As of `scale`.

        Raises
        ------
        InputError
            If they have no value, or are elsewhere or spread otherwise; it says which window would fit.
        """
        check_window(window)
        known = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
        if not known.size:
            raise InputError(f"{name} holds no grey value where it was looked at: check the file")
        raw = np.percentile(known.astype(np.float64), _PERCENTILES)
        low, high = (self.low, self.high) if window is None else window
        found = (raw - low) / (high - low)
        found = found[:: 1 if high > low else -1]
        span = self.seen[2] - self.seen[0]
        wide = (found[2] - found[0]) / span
        if abs(found[1] - self.seen[1]) <= _TOO_FAR * span and 1 / _TOO_WIDE <= wide <= _TOO_WIDE:
            return
        if raw[2] > raw[0]:
            slope = (raw[2] - raw[0]) / span
            fit = raw[0] - self.seen[0] * slope
            advice = (
                f"give --window {fit:.6g} {fit + slope:.6g}, which lays these percentiles over those (for a series "
                "one window for all scans, from the greys of known phases), or train on slices of this volume"
            )
        else:
            advice = "it is as good as plain, check the file"
        learned = [self.low + s * (self.high - self.low) for s in self.seen]
        raise InputError(
            f"grey values of {name} (median {raw[1]:.6g}, 5 to 95 % {raw[0]:.6g} to {raw[2]:.6g}) are not those the "
            f"model learned (median {learned[1]:.6g}, {min(learned):.6g} to {max(learned):.6g}): {advice}"
        )


def check_window(window: Sequence[float] | None) -> None:
    """Refuse a window that has no width, or is no number.

    Parameters
    ----------
    window : (low, high) or None

    Raises
    ------
    InputError
        If the ends are not finite, or the same.
    """
    if window is not None and not (np.isfinite(window).all() and window[0] != window[1]):
        raise InputError(
            f"the window must have two different finite ends (got {window[0]:g} {window[1]:g}): give the greys that "
            "are to be 0 and 1"
        )


def find_grey_scale(images: Sequence[NDArray[Any]], window: Sequence[float] | None = None) -> GreyScale:
    """The grey scale of training images.

    Parameters
    ----------
    images : sequence of array
    window : (low, high), optional
        Grey values that become 0 and 1; by default the 1st and 99th percentile.

    Returns
    -------
    GreyScale

    Raises
    ------
    InputError
        If a value is not finite, the images are plain, or the window lies beside their values.
    """
    values = np.concatenate([np.asarray(image).ravel()[:: max(1, image.size // 200_000)] for image in images])
    values = values.astype(np.float64)
    check_window(window)
    if not values.size:
        raise InputError("training images hold no grey value where it was looked at: check the file")
    if not np.isfinite(values).all():
        raise InputError("training images hold NaN or infinite values: crop them, or fill these voxels, and try again")
    low, high = (float(v) for v in (np.percentile(values, (1.0, 99.0)) if window is None else window))
    if not high != low:
        raise InputError(f"training images are plain (all grey values {low:g}): give images with contrast")
    seen = np.percentile((values - low) / (high - low), _PERCENTILES)
    if not seen[2] > seen[0]:
        raise InputError("training images are as good as plain: give images with contrast")
    if seen[2] < 0 or seen[0] > 1:
        span = np.percentile(values, (_PERCENTILES[0], _PERCENTILES[2]))
        raise InputError(
            f"the window {low:g} to {high:g} lies beside the grey values (5 to 95 % {span[0]:.6g} to {span[1]:.6g}): "
            "give one that holds them, or leave it out"
        )
    return GreyScale(low, high, (float(seen[0]), float(seen[1]), float(seen[2])))

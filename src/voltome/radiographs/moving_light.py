"""Light whose pattern moves over the detector: where it lies in each frame.

Stripes and speckle of the optics drift by a pixel or two during a scan, and flats are taken before and after it. What
of the flats is no white noise and varies within some hundred pixels is taken as a pattern that moves as a whole; in
each frame it is found again, beside the sample, by least squares on the logarithms (a Gauss-Newton search for a
translation: Baker and Matthews 2004, 10.1023/B:VISI.0000011205.11775.fd), and divided away there. What does not move
is left to the flats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voltome.radiographs.frame_fit import filter_noise, fit_tiles, remove_slow

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

_REACH_PX = 16  # farthest motion that is looked for
_MARGIN_PX = _REACH_PX + 4
_SLOW_PX = 40.0  # what varies more slowly does not show a motion
_LEAST_LIGHT = 0.02  # of the flat: what is darker is opaque
_LEAST_SEEN = 0.01
_FAINT, _FAINT_SHARE = 2e-3, 1.0  # a pattern that is weaker, or so weak beside the noise, is not worth a search
_PRIOR_PX, _PRIOR_SHARE = 0.3, 2.0  # sd of a motion between flats: at least, and in terms of what flats moved
_WINDOWS, _WINDOW_PX = 6, 64
_STEPS, _LONGEST_STEP_PX, _STILL_PX = 5, 2.0, 0.01


class MovingLight:
    """A pattern of light, and where it lies.

    Parameters
    ----------
    pattern : (rows, columns) float32
        Logarithm; its mean is about 0.
    flats : (g, rows, columns) float32
        Mean of each group of flats, positive.
    shifts_px : (g, 2) float64
        Of the pattern in each group, rows and columns.
    """

    def __init__(self, pattern: Singles, flats: Singles, shifts_px: Floats) -> None:
        self.shape = pattern.shape
        self.shifts_px = shifts_px
        moved = float(np.sqrt(np.mean((shifts_px - shifts_px.mean(axis=0)) ** 2)))
        self._prior_px = max(_PRIOR_PX, _PRIOR_SHARE * moved)
        wide = np.pad(pattern, _MARGIN_PX, mode="symmetric")
        self._spline = _Spline(wide)
        self._starts = [_place_windows(n) for n in self.shape]
        self._size = tuple(min(n, _WINDOW_PX) for n in self.shape)
        parts = self._cut(wide, 2 * _MARGIN_PX)
        self._parts = _Spline(remove_slow(parts, np.ones_like(parts)))
        everything = slice(0, self.shape[0]), slice(0, self.shape[1])
        self._references = [
            self._cut(np.log(flat) - self.sample(shift, *everything))
            for flat, shift in zip(flats, shifts_px, strict=True)
        ]

    def sample(self, shift_px: Floats, rows: slice, cols: slice) -> Singles:
        """Logarithm of the pattern where it is displaced.

        Parameters
        ----------
        shift_px : (2,) float64
        rows, cols : slice
            Part of the frame, with start and stop.

        Returns
        -------
        (rows, columns) float32
        """
        return self._spline.sample(shift_px, rows, cols)

    def find_shift(self, light: Singles, low: int, share: float) -> Floats:
        """Where the pattern lies in a frame.

        Parameters
        ----------
        light : (rows, columns) float32
            The whole frame less the dark.
        low : int
            Group of flats before the frame.
        share : float
            Of the group after it.

        Returns
        -------
        (2,) float64
            Against the pattern. Between what the frame says and what lies between the groups, by as much as the frame
            is uncertain; the latter where there is no light.
        """
        after = min(low + 1, len(self._references) - 1)
        expected: Floats = (1 - share) * self.shifts_px[low] + share * self.shifts_px[after]
        reference = np.float32(1 - share) * self._references[low] + np.float32(share) * self._references[after]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(self._cut(light)) - reference
        lit = np.isfinite(values) & (values > np.log(_LEAST_LIGHT))
        if np.count_nonzero(lit) < _LEAST_SEEN * lit.size:
            return expected
        seen = lit.astype(np.float32)
        values = remove_slow(np.where(lit, values, np.float32(0)), seen)
        whole = slice(0, self._size[0]), slice(0, self._size[1])
        shift, covariance = expected, np.zeros((2, 2))
        for _ in range(_STEPS):
            slopes = [self._parts.sample(shift, *whole, along=axis) * seen for axis in (0, 1)]
            rest = (values - self._parts.sample(shift, *whole)) * seen
            step, covariance = fit_tiles(rest, np.stack(slopes), seen)
            shift = _limit(shift + np.clip(step, -_LONGEST_STEP_PX, _LONGEST_STEP_PX))
            if np.abs(step).max() < _STILL_PX:
                break
        return _limit(expected + np.linalg.solve(np.eye(2) + covariance / self._prior_px**2, shift - expected))

    def _cut(self, image: Singles, more: int = 0) -> Singles:
        """Windows of an image: (down, across, rows, columns), each wider by some pixels."""
        high, wide = (n + more for n in self._size)
        return np.stack(
            [np.stack([image[y : y + high, x : x + wide] for x in self._starts[1]]) for y in self._starts[0]]
        )


def find_moving_light(flats: Singles) -> MovingLight | None:
    """The pattern that moves, from the means of groups of flats.

    Parameters
    ----------
    flats : (g, rows, columns) float32
        Less the dark, defects filled.

    Returns
    -------
    MovingLight or None
        None where the light is too even to show a motion.
    """
    light = flats.min(axis=0)
    lit = light > _LEAST_LIGHT * np.median(light)
    bright = np.maximum(flats, np.float32(_LEAST_LIGHT * np.median(light)))
    patterns = [_find_pattern(np.log(flat), lit) for flat in bright]
    if not patterns[0].any():
        return None
    first = MovingLight(patterns[0], bright[:1], np.zeros((1, 2)))
    shifts = np.array([first.find_shift(flat, 0, 0.0) for flat in bright])
    return MovingLight(_average(patterns, shifts), bright, shifts)


def _find_pattern(values: Singles, lit: NDArray[np.bool_]) -> Singles:
    """What is neither slow nor white noise; nothing if that is faint."""
    from scipy import fft, ndimage

    weight = ndimage.gaussian_filter(lit.astype(np.float32), _SLOW_PX, mode="nearest", truncate=3)
    slow = ndimage.gaussian_filter(values * lit, _SLOW_PX, mode="nearest", truncate=3)
    texture = np.where(lit, values - slow / np.maximum(weight, np.float32(1e-3)), np.float32(0)).astype(np.float32)
    # Pixels smear the light: what is left near the highest frequencies of both axes is noise and the pixels' own gain.
    power = np.abs(fft.fft2(texture)) ** 2 / texture.size
    high = [np.abs(np.fft.fftfreq(n)) > 0.4 for n in texture.shape]
    noise = float(np.median(power[np.ix_(*high)]) / math.log(2))
    pattern: Singles = filter_noise(texture, noise) * lit
    return pattern if pattern.std() > max(_FAINT, _FAINT_SHARE * math.sqrt(noise)) else np.zeros_like(pattern)


def _average(patterns: Sequence[Singles], shifts_px: Floats) -> Singles:
    """The mean of patterns that are brought back from where they lie."""
    rows, cols = (slice(0, n) for n in patterns[0].shape)
    total = np.zeros_like(patterns[0])
    for pattern, shift in zip(patterns, shifts_px, strict=True):
        total += _Spline(np.pad(pattern, _MARGIN_PX, mode="symmetric")).sample(-shift, rows, cols)
    return total / np.float32(len(patterns))


def _limit(shift_px: Floats) -> Floats:
    return np.clip(shift_px, -_REACH_PX, _REACH_PX).astype(np.float64)


def _place_windows(size: int) -> NDArray[np.int64]:
    """First pixels of windows that are spread over an axis and do not overlap."""
    count = max(1, min(_WINDOWS, size // _WINDOW_PX))
    return np.linspace(0, max(0, size - _WINDOW_PX), count).astype(np.int64)


class _Spline:
    """Cubic splines through images, (..., rows, columns) with a margin all round."""

    def __init__(self, wide: Singles) -> None:
        from scipy.ndimage import spline_filter1d

        for axis in (-2, -1):
            wide = spline_filter1d(wide, 3, axis=axis, output=np.float32, mode="mirror")
        self._coefficients = wide

    def sample(self, shift_px: Floats, rows: slice, cols: slice, *, along: int | None = None) -> Singles:
        """The images displaced by a shift, or their derivative with respect to the shift along an axis."""
        out = self._coefficients
        for axis, part, rest in ((0, rows, (slice(None),)), (1, cols, ())):
            base = math.floor(-shift_px[axis])
            first, size = _MARGIN_PX + part.start + base - 1, part.stop - part.start
            weights = _weigh_taps(-float(shift_px[axis]) - base, slope=along == axis)
            taps = [out[(..., slice(first + i, first + i + size), *rest)] for i in range(4)]
            total = weights[0] * taps[0]
            for weight, tap in zip(weights[1:], taps[1:], strict=True):
                total += weight * tap
            out = total
        return out


def _weigh_taps(t: float, *, slope: bool) -> Singles:
    """Cubic B-spline at the four samples about a place, or its derivative with respect to a shift the other way."""
    s = 1 - t
    if slope:
        taps = (s * s / 2, (4 * t - 3 * t * t) / 2, (3 * s * s - 4 * s) / 2, -t * t / 2)
    else:
        taps = (s**3 / 6, 2 / 3 - t * t + t**3 / 2, 2 / 3 - s * s + s**3 / 2, t**3 / 6)
    return np.array(taps, dtype=np.float32)

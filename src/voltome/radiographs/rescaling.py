"""Distances brought to one pixel: one separable resampling that scales and shifts at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

_HALF_TAPS = 8  # with the window below: exact to 1e-3 up to 0.38 cycles a pixel
_KAISER = 6.0
_BLOCK = 64
_LEAST_PASSED = 0.2  # what the detector passes less than this is not taken back in full
_STEPS = 256


@dataclass(frozen=True, eq=False)
class _Axis:
    """A banded matrix, kept as small dense blocks: a product with them is quicker than with a sparse matrix."""

    count: int
    blocks: tuple[tuple[slice, slice, Singles], ...]  # outputs, inputs, (inputs, outputs)
    inside: slice


class Resampler:
    """Resampling of frames to another pixel, with a shift, by a Kaiser-windowed sinc of sixteen pixels.

    Output pixel i lies at input c_in + (i - c_out + shift) pixel_out / pixel_in. Where pixels grow, the kernel is as
    much wider, so that nothing is aliased. Beyond the input its edge is continued.

    Parameters
    ----------
    shape_in : (rows, columns)
    pixel_in_m : float
        Pixel at the sample.
    shape_out : (rows, columns)
        Without margin.
    pixel_out_m : float
    shift_px : (2,) float
        In output pixels, rows and columns, as `measure_shifts` gives it for a frame that was resampled without
        shift: a feature that lies at larger rows in the frame is brought back.
    margin_px : int or (int, int)
        Output pixels beyond `shape_out` on each side (rows, columns), e.g. for phase retrieval to see what other
        distances see beyond the field.
    centre_in_px, centre_out_px : (2,) float, optional
        The point that stays where it is; by default the middle of the frames, (n - 1) / 2. `centre_out_px` is
        without margin.

    psf_px : float, optional
        FWHM of the detector's point spread in its own pixels, besides their area: where it is given, both are taken
        back, as far as that does not raise noise more than 2.6 times.

    Raises
    ------
    InputError
        If a pixel, a shape or a margin makes no sense, or the two pixels differ by more than a factor of 16.

    Examples
    --------
    >>> import numpy as np
    >>> Resampler((40, 50), 1.5e-7, (40, 50), 1e-7).apply(np.ones((1, 40, 50), np.float32)).shape
    (1, 40, 50)
    """

    def __init__(
        self,
        shape_in: tuple[int, int],
        pixel_in_m: float,
        shape_out: tuple[int, int],
        pixel_out_m: float,
        *,
        shift_px: tuple[float, float] | Floats = (0.0, 0.0),
        margin_px: int | tuple[int, int] = 0,
        centre_in_px: tuple[float, float] | None = None,
        centre_out_px: tuple[float, float] | None = None,
        psf_px: float | None = None,
    ) -> None:
        for name, value in (("pixel_in_m", pixel_in_m), ("pixel_out_m", pixel_out_m)):
            if not (value > 0 and np.isfinite(value)):
                raise InputError(f"{name} must be > 0 (got {value}): give it in metres")
        ratio = pixel_out_m / pixel_in_m
        if not 1 / 16 <= ratio <= 16:
            raise InputError(
                f"pixel_out_m / pixel_in_m must be between 1/16 and 16 (got {ratio:.4g}): "
                "check the units of the distances"
            )
        for name, shape in (("shape_in", shape_in), ("shape_out", shape_out)):
            if min(shape) < 1:
                raise InputError(f"{name} must be >= 1 in rows and columns (got {tuple(shape)}): give a frame's shape")
        margins = (margin_px, margin_px) if isinstance(margin_px, int) else margin_px
        if min(margins) < 0:
            raise InputError(f"margin_px must be >= 0 (got {margin_px}): crop the result to have less")
        if not np.all(np.isfinite(shift_px)):
            raise InputError(f"shift_px must be finite (got {tuple(shift_px)}): smooth the shifts first")
        self.shape_in = (int(shape_in[0]), int(shape_in[1]))
        middle_in = centre_in_px or tuple((n - 1) / 2 for n in shape_in)
        middle_out = centre_out_px or tuple((n - 1) / 2 for n in shape_out)
        axes = []
        for axis in (0, 1):
            places = np.arange(-margins[axis], shape_out[axis] + margins[axis], dtype=np.float64)
            axes.append(
                _band(
                    middle_in[axis] + (places - middle_out[axis] + shift_px[axis]) * ratio,
                    shape_in[axis],
                    ratio,
                    psf_px,
                )
            )
        self._rows, self._cols = axes
        self.shape_out = (self._rows.count, self._cols.count)
        self.inside = (self._rows.inside, self._cols.inside)
        """Rows and columns of the output, margin included, that lie within the input: beyond, its edge goes on."""

    def apply(self, frames: Singles) -> Singles:
        """Resample frames.

        Parameters
        ----------
        frames : (n, rows, columns) or (rows, columns) float32

        Returns
        -------
        (n, rows, columns) or (rows, columns) float32
            Of `shape_out`, which includes the margin.

        Raises
        ------
        InputError
            If the frames have another shape than `shape_in`.
        """
        if frames.ndim not in (2, 3) or frames.shape[-2:] != self.shape_in:
            raise InputError(
                f"frames must have the shape {self.shape_in} (got {frames.shape}): make a resampler for them"
            )
        single = np.ascontiguousarray(frames, dtype=np.float32)
        if frames.ndim == 3:
            return np.stack([self._apply_one(frame) for frame in single]) if len(single) else self._none()
        return self._apply_one(single)

    def _none(self) -> Singles:
        return np.empty((0, *self.shape_out), dtype=np.float32)

    def _apply_one(self, frame: Singles) -> Singles:
        wide = np.empty((frame.shape[0], self._cols.count), dtype=np.float32)
        for out, taken, weights in self._cols.blocks:
            np.matmul(frame[:, taken], weights, out=wide[:, out])
        full = np.empty(self.shape_out, dtype=np.float32)
        for out, taken, weights in self._rows.blocks:
            np.matmul(weights.T, wide[taken], out=full[out])
        return full


def _band(places: Floats, count: int, ratio: float, psf_px: float | None = None) -> _Axis:
    """Weights of the inputs for outputs at rising places in input pixels."""
    stretch = max(1.0, ratio)
    half = _HALF_TAPS * stretch
    first = np.ceil(places - half).astype(np.int64)
    taps = first[:, None] + np.arange(int(np.floor(2 * half)) + 1)
    away = (taps - places[:, None]) / stretch
    weights = _interpolant(away, psf_px, stretch) * np.i0(
        _KAISER * np.sqrt(np.maximum(0.0, 1.0 - (away / _HALF_TAPS) ** 2))
    )
    weights *= np.abs(away) <= _HALF_TAPS
    weights /= weights.sum(axis=1, keepdims=True)
    taps = np.clip(taps, 0, count - 1)  # the edge goes on
    blocks = []
    for start in range(0, places.size, _BLOCK):
        stop = min(start + _BLOCK, places.size)
        low, high = int(taps[start:stop].min()), int(taps[start:stop].max()) + 1
        dense = np.zeros((high - low, stop - start))
        np.add.at(dense, (taps[start:stop] - low, np.arange(stop - start)[:, None]), weights[start:stop])
        blocks.append((slice(start, stop), slice(low, high), dense.astype(np.float32)))
    seen = np.flatnonzero((places >= 0) & (places <= count - 1))
    inside = slice(int(seen[0]), int(seen[-1]) + 1) if seen.size else slice(0, 0)
    return _Axis(places.size, tuple(blocks), inside)


def _interpolant(away: Floats, psf_px: float | None, stretch: float) -> Floats:
    """Sinc, or the sinc that takes back the detector's point spread and its pixels' area."""
    if psf_px is None:
        return np.asarray(np.sinc(away))
    frequency = (np.arange(_STEPS) + 0.5) / (2 * _STEPS)  # of the stretched kernel: up to 0.5
    real = frequency / stretch
    sigma = psf_px / (2 * np.sqrt(2 * np.log(2)))
    passed = np.exp(-2 * (np.pi * sigma * real) ** 2) * np.sinc(real)
    gain = passed / (passed**2 + _LEAST_PASSED**2) * (1 + _LEAST_PASSED**2)
    table = np.linspace(0, _HALF_TAPS + 1, 64 * (_HALF_TAPS + 1) + 1)
    kernel = np.cos(2 * np.pi * table[:, None] * frequency) @ gain / _STEPS
    return np.asarray(np.interp(np.abs(away), table, kernel))

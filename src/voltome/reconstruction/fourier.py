"""Filtered backprojection by direct Fourier inversion: each projection is a line of the image's transform."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.reconstruction.directions import find_directions
from voltome.reconstruction.filters import make_response

Floats = NDArray[np.float64]
Image = NDArray[np.float32]

EDGE_FACTOR = 1.5
"""Length of a padded row over its columns, where the object is wider than the field: 2048 become 3072."""

ZERO_FACTOR = 2.0
"""The same where the field holds the whole object: no part of it meets the filter's periodic images."""

PADDINGS = ("edge", "zero")
"""Names of the paddings."""

_UPSAMPLING = 1.25  # of finufft's grid: a transform takes half the time that it takes with 2
_BLOCK_ROWS = 32  # rows that are transformed together: they stay in the cache
_TABLE = 64
_SAME_PX = 0.01  # directions that differ by less than this at the edge of the field are one


@dataclass(eq=False)
class _Workspace:
    """What one thread needs: finufft's plan and its buffers."""

    plan: Any
    strengths: NDArray[np.complex64]
    image: NDArray[np.complex64]


class FourierReconstructor:
    """Filtered backprojection of many slices with the same angles, by non-uniform FFT.

    The transform of a projection, times the filter, lies on a line through the centre of the image's transform; one
    type 1 transform (finufft; Barnett et al. 2019, 10.1137/18M120885X) sums all lines. The plan is made once, rows
    half a turn apart are added before it, and two real slices make one complex transform.

    Parameters
    ----------
    angles_rad : (n,) float64
        Any range, uneven or repeated; the weights are those of `find_directions`.
    columns : int
        Width of a projection in pixels.
    axis_px : float
        Column of the rotation axis, 0-based.
    shape_vox : tuple of int, optional
        Rows and columns (y, x) of a slice, by default as wide as a projection. The axis is at ((ny - 1) / 2,
        (nx - 1) / 2). What is not asked for is left out and costs little.
    padding : str
        `edge`: rows are continued by their edge values, with a smooth passage from the right to the left one, because
        in interior tomography the object goes on (its grey then has an unknown offset: anchor it); `zero`: by zeros,
        for an object within the field.
    padding_factor : float, optional
        Length of a padded row over its columns, by default `EDGE_FACTOR` or `ZERO_FACTOR`.
    filter_name : str
        One of `filters.FILTERS`.
    cutoff : float
        Of the filter, as a share of the Nyquist frequency.
    eps : float
        Relative error of the transform. Below 3e-4 single precision adds more than it takes away.
    threads : int
        Pairs of slices worked at the same time; each thread has its own plan.

    Raises
    ------
    InputError
        If an option is out of its range.

    Notes
    -----
    Values are per pixel: projections that are sums of f over pixels give back f. If they are integrals over metres,
    divide by the voxel's edge in metres.
    """

    def __init__(
        self,
        angles_rad: Floats,
        columns: int,
        *,
        axis_px: float,
        shape_vox: tuple[int, int] | None = None,
        padding: str = "edge",
        padding_factor: float | None = None,
        filter_name: str = "ramp",
        cutoff: float = 1.0,
        eps: float = 3e-4,
        threads: int = 1,
    ) -> None:
        self.columns = int(columns)
        self.shape_vox = (self.columns, self.columns) if shape_vox is None else (int(shape_vox[0]), int(shape_vox[1]))
        self.axis_px = self._check_axis(axis_px)
        self.padding, self.threads = padding, int(threads)
        self._eps = eps
        self._check_options(padding_factor)
        self.padded_columns = _pad_length(self.columns, padding, padding_factor)
        response = make_response(filter_name, self.padded_columns, cutoff=cutoff)
        # Frequencies above the cutoff are left out, and so is Nyquist's: without a sign, it would mix two slices.
        self._kept = np.flatnonzero((response != 0) & (np.arange(self.padded_columns) * 2 != self.padded_columns))
        self._positive = int(np.searchsorted(self._kept, self.padded_columns / 2))
        angles = np.asarray(angles_rad, dtype=np.float64)
        self.projections = len(angles)
        self._directions = find_directions(angles, tolerance_rad=_SAME_PX / (self.columns / 2))
        self._frequency = np.fft.fftfreq(self.padded_columns)
        self._factor = self._make_factor(response[self._kept])
        self._points = self._make_points()
        self._passage = _make_passage(self.padded_columns - self.columns)
        self._idle: LifoQueue[_Workspace] = LifoQueue()

    def reconstruct(self, sinograms: NDArray[np.floating], *, axis_px: float | None = None) -> Image:
        """Slices from sinograms; may be called from several threads.

        Parameters
        ----------
        sinograms : (m, n, columns) float array
            Line integrals in units of value times pixel. An even m wastes no half of a transform.
        axis_px : float, optional
            Another axis than the one given first; the plan stays.

        Returns
        -------
        (m, ny, nx) float32
            Value per pixel. Outside the circle that all projections see it means little.

        Raises
        ------
        InputError
            If the shape does not fit the angles, or a sinogram holds a value that is not finite.
        """
        if sinograms.ndim != 3 or sinograms.shape[1:] != (self.projections, self.columns):
            raise InputError(
                f"sinograms must have the shape (m, {self.projections}, {self.columns}) (got {sinograms.shape}): "
                "give one row for each angle"
            )
        axis = self.axis_px if axis_px is None else self._check_axis(axis_px)
        phase = np.exp(2j * np.pi * self._frequency * axis).astype(np.complex64)
        out = np.empty((len(sinograms), *self.shape_vox), dtype=np.float32)
        starts = range(0, len(sinograms), 2)
        if self.threads == 1 or len(starts) < 2:
            for start in starts:
                self._reconstruct_pair(sinograms[start : start + 2], phase, out[start : start + 2])
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                pairs = [(sinograms[start : start + 2], phase, out[start : start + 2]) for start in starts]
                list(pool.map(lambda pair: self._reconstruct_pair(*pair), pairs))
        bad = np.flatnonzero(~np.isfinite(out[:, 0, 0]))  # one value that is not finite spoils all of a transform
        if len(bad):
            raise InputError(f"sinograms must be finite (sinogram {bad[0]} or its neighbour is not): mend its pixels")
        return out

    def _reconstruct_pair(self, pair: NDArray[np.floating], phase: NDArray[np.complex64], out: Image) -> None:
        try:
            space = self._idle.get_nowait()
        except Empty:
            space = self._make_workspace()
        for start in range(0, len(self._directions), _BLOCK_ROWS):
            rows = slice(start, min(start + _BLOCK_ROWS, len(self._directions)))
            spectra, factor, strengths = self._sum_members(pair, rows, phase), self._factor[rows], space.strengths[rows]
            for kept, part in self._halves():
                np.multiply(spectra[:, kept], factor[:, part], out=strengths[:, part])
        space.plan.execute(space.strengths.reshape(-1), space.image)
        out[0] = space.image.real
        if len(pair) == 2:
            out[1] = space.image.imag
        self._idle.put(space)

    def _halves(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where positive and negative frequencies are in a spectrum, and among those that are kept."""
        positive = self._positive
        negative = slice(self.padded_columns - (len(self._kept) - positive), None)
        return (slice(0, positive), slice(0, positive)), (negative, slice(positive, None))

    def _sum_members(
        self, pair: NDArray[np.floating], rows: slice, phase: NDArray[np.complex64]
    ) -> NDArray[np.complex64]:
        """Spectra about the axis of the directions in `rows`, summed over the projections of each."""
        total = np.zeros((rows.stop - rows.start, self.padded_columns), dtype=np.complex64)
        for rank in range(self._directions.members.shape[1]):
            members, flipped = self._directions.members[rows, rank], self._directions.flipped[rows, rank]
            for mirrored in (False, True):
                chosen = np.flatnonzero((members >= 0) & (flipped == mirrored))
                if len(chosen):
                    spectrum = self._transform_rows(pair, members[chosen], phase)
                    if mirrored:  # seen from the other side, f becomes -f
                        spectrum[:, 1:] = spectrum[:, :0:-1].copy()
                    total[chosen] += spectrum
        return total

    def _transform_rows(
        self, pair: NDArray[np.floating], rows: NDArray[np.int64], phase: NDArray[np.complex64]
    ) -> NDArray[np.complex64]:
        import scipy.fft

        padded = np.zeros((len(rows), self.padded_columns), dtype=np.complex64)
        padded.real[:, : self.columns] = pair[0, rows]
        if len(pair) == 2:
            padded.imag[:, : self.columns] = pair[1, rows]
        if self.padding == "edge":
            left, right = padded[:, :1], padded[:, self.columns - 1 : self.columns]
            padded[:, self.columns :] = right + (left - right) * self._passage
        spectrum: NDArray[np.complex64] = scipy.fft.fft(padded, axis=1, overwrite_x=True)
        spectrum *= phase
        return spectrum

    def _make_factor(self, response: Floats) -> NDArray[np.complex64]:
        """Filter, weight, and the shift of the image's centre to finufft's, which is at n // 2."""
        angles, weights = self._directions.angles_rad, self._directions.weights_rad / self._directions.counts
        y, x = (n // 2 - (n - 1) / 2 for n in self.shape_vox)
        shift = x * np.cos(angles) + y * np.sin(angles)
        factor = np.empty((len(angles), len(self._kept)), dtype=np.complex64)
        # exp(2 pi i f shift) for f = coarse + fine is a product: two short tables instead of an exponential per point.
        steps = np.round(self._frequency[self._kept] * self.padded_columns).astype(np.int64)
        coarse, fine = np.divmod(steps, _TABLE)
        turn = 2j * np.pi / self.padded_columns * shift[:, None]
        first = coarse.min()
        table = np.exp(turn * (_TABLE * np.arange(first, coarse.max() + 1))).astype(np.complex64)
        scaled = np.exp(turn * np.arange(_TABLE)) * (weights[:, None] / self.padded_columns)
        tables = scaled.astype(np.complex64)
        for start in range(0, len(angles), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            np.multiply(table[rows][:, coarse - first], tables[rows][:, fine], out=factor[rows])
        factor *= response.astype(np.float32)
        return factor

    def _make_points(self) -> tuple[Image, Image]:
        radial = (2 * np.pi * self._frequency[self._kept]).astype(np.float32)
        angles = self._directions.angles_rad
        y, x = (np.outer(part(angles).astype(np.float32), radial).ravel() for part in (np.sin, np.cos))
        return y, x

    def _make_workspace(self) -> _Workspace:
        import finufft

        plan = finufft.Plan(
            1, self.shape_vox, isign=1, eps=self._eps, dtype="complex64", nthreads=1, upsampfac=_UPSAMPLING, showwarn=0
        )
        plan.setpts(*self._points)
        return _Workspace(plan, np.empty_like(self._factor), np.empty(self.shape_vox, dtype=np.complex64))

    def _check_axis(self, axis_px: float) -> float:
        if not 0 <= axis_px <= self.columns - 1:
            raise InputError(
                f"axis_px must be in 0 to {self.columns - 1} (got {axis_px}): give a column of the detector"
            )
        return float(axis_px)

    def _check_options(self, padding_factor: float | None) -> None:
        if self.padding not in PADDINGS:
            raise InputError(f"padding must be edge or zero (got {self.padding}): take edge if the object is wider")
        if padding_factor is not None and not 1 <= padding_factor <= 16:
            raise InputError(f"padding_factor must be in 1 to 16 (got {padding_factor}): take {EDGE_FACTOR}")
        if min(self.shape_vox) < 1:
            raise InputError(f"shape_vox must be >= 1 (got {self.shape_vox}): give the rows and columns of a slice")
        if not 1e-4 <= self._eps <= 1e-1:
            raise InputError(f"eps must be in 1e-4 to 1e-1 (got {self._eps}): float32 gives no more; take 3e-4")
        if self.threads < 1:
            raise InputError(f"threads must be >= 1 (got {self.threads}): give the number of cores to use")


def _pad_length(columns: int, padding: str, factor: float | None) -> int:
    import scipy.fft

    if factor is None:
        factor = EDGE_FACTOR if padding == "edge" else ZERO_FACTOR
    return int(scipy.fft.next_fast_len(max(2, math.ceil(factor * columns))))


def _make_passage(length: int) -> Image:
    """From 0 behind the right edge to 1 before the left one, which is the next column of a periodic row."""
    step = (np.arange(length) + 1.0) / (length + 1)
    return (0.5 - 0.5 * np.cos(np.pi * step)).astype(np.float32)

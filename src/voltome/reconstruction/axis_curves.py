"""Three independent looks at the rotation axis: each gives, row by row, a misfit on a grid of axes.

Mirrored opposite projections, the double wedge of the completed sinogram, the sharpness of trial reconstructions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Spectra = NDArray[np.complex128]

_OPPOSITE = 0.3  # of an angular step: how far from half a turn a projection is still opposite
_SMOOTHED_BINS = 9  # of the coherence
_TAPER = 0.1  # of the half width seen from the axis
_OUTSIDE = 0.1  # of the mean contrast at a row's ends: more, and the object is wider than the field
_WIDER = 3.0  # how much wider it is taken to be: its double wedge opens so much more
_MOST_COLUMNS = 1024  # wider rows are binned: it is cheaper, and noise falls
_SHARP_FIELD = 0.6  # of the width: the part that is looked at
_SHARP_CUTOFF = 0.5  # of the Hann filter: noise above it hides the minimum


@dataclass(frozen=True, eq=False)
class AxisCurves:
    """Misfit of each row on a grid of axes.

    Parameters
    ----------
    axes_px : (C,) float64
        Rising, evenly spaced.
    misfits : (K, C) float64
        Least where the axis is; their sum over rows is what counts.
    """

    axes_px: Floats
    misfits: Floats

    def find_minimum(self) -> tuple[float, float]:
        """Where the summed misfit is least, and its standard deviation by leaving out one row at a time.

        Returns
        -------
        axis_px, sd_px : float
            The deviation is NaN from a single row, infinite where the minimum lies at the end of the grid.
        """
        total = self.misfits.sum(axis=0)
        value = _fit_minimum(self.axes_px, total)
        if value is None:
            return float(self.axes_px[np.argmin(total)]), np.inf
        rows = len(self.misfits)
        if rows < 2:
            return value, np.nan
        left = [_fit_minimum(self.axes_px, total - misfit) for misfit in self.misfits]
        if None in left:
            return value, np.inf
        others = np.array(left, dtype=np.float64)
        return value, float(np.sqrt((rows - 1) / rows * ((others - others.mean()) ** 2).sum()))


def _fit_minimum(axes: Floats, misfit: Floats, reach: int = 3) -> float | None:
    """Vertex of a parabola through the least sample and `reach` neighbours on each side."""
    i = int(np.argmin(misfit))
    reach = min(reach, i, len(axes) - 1 - i)
    if reach < 1:
        return None
    near = slice(i - reach, i + reach + 1)
    step = axes[1] - axes[0]
    curve = np.polyfit((axes[near] - axes[i]) / step, misfit[near], 2)
    return float(axes[i] - step * np.clip(curve[1] / (2 * curve[0]), -reach, reach)) if curve[0] > 0 else None


def pair_opposites(angles_rad: Floats, *, tolerance: float = _OPPOSITE) -> tuple[NDArray[np.int64], Floats]:
    """For each projection the two that bracket the opposite direction.

    Parameters
    ----------
    angles_rad : (n,) float64
        Rising.
    tolerance : float
        How far, in angular steps, a single one may be from the opposite direction where there are no two.

    Returns
    -------
    partners : (m, 3) int64
        Projection, and those before and behind its opposite.
    shares : (m,) float64
        Share of the one behind.
    """
    step = float(np.median(np.diff(angles_rad)))
    behind = np.searchsorted(angles_rad, angles_rad + np.pi)
    before, behind = np.clip(behind - 1, 0, None), np.clip(behind, None, len(angles_rad) - 1)
    opposite = angles_rad + np.pi
    gap = angles_rad[behind] - angles_rad[before]
    bracketed = (gap > 0) & (gap < 1.5 * step) & (angles_rad[behind] >= opposite)
    share = np.where(bracketed, (opposite - angles_rad[before]) / np.where(bracketed, gap, 1.0), 1.0)
    good = bracketed | (np.abs(angles_rad[behind] - opposite) < tolerance * step)
    first = np.flatnonzero(good)
    return np.stack([first, before[good], behind[good]], axis=1), share[good]


def correlate_opposites(sinograms: Floats, partners: NDArray[np.int64], shares: Floats, start_px: float) -> AxisCurves:
    """Misfit of mirrored opposite projections: generalised cross-correlation with maximum-likelihood weights.

    All pairs of a row share one shift, so that their cross spectra are summed before anything is decided; a frequency
    counts by its coherence (Knapp and Carter 1976, 10.1109/TASSP.1976.1162830). It holds for a truncated object, since
    opposite rays are the same rays.

    Parameters
    ----------
    sinograms : (K, n, columns) float64
    partners, shares : as `pair_opposites` gives them
    start_px : float
        An axis that is right to some pixels.

    Returns
    -------
    AxisCurves
        Within 3 pixels of `start_px`, every 0.05.
    """
    columns = sinograms.shape[2]
    shift = round(2 * start_px - (columns - 1))  # of a mirrored row, to lie upon its opposite
    lower, upper = max(0, shift), min(columns, columns + shift)
    window = np.hanning(upper - lower)
    cross, power, power_mirrored = [], [], []
    for sinogram in sinograms:
        seen = sinogram[partners[:, 0], lower:upper]
        opposite = (1 - shares[:, None]) * sinogram[partners[:, 1]] + shares[:, None] * sinogram[partners[:, 2]]
        opposite = opposite[:, ::-1][:, lower - shift : upper - shift]
        a, b = (np.fft.rfft(np.gradient(rows, axis=1) * sign * window) for rows, sign in ((seen, 1), (opposite, 1)))
        cross.append((a * b.conj()).sum(axis=0))
        power.append((np.abs(a) ** 2).sum(axis=0))
        power_mirrored.append((np.abs(b) ** 2).sum(axis=0))
    weights = _weigh_coherence(np.sum(cross, axis=0), np.sum(power, axis=0) * np.sum(power_mirrored, axis=0))
    axes = start_px + np.arange(-60, 61) * 0.05
    frequency = np.fft.rfftfreq(upper - lower)
    turns = np.exp(2j * np.pi * np.outer(frequency, 2 * axes - (columns - 1) - shift))
    misfits = -(np.array(cross) * weights @ turns).real
    return AxisCurves(np.asarray(axes, dtype=np.float64), misfits.astype(np.float64))


def _weigh_coherence(cross: Spectra, powers: Floats) -> Floats:
    from scipy.ndimage import uniform_filter1d

    kernel = {"size": _SMOOTHED_BINS, "mode": "nearest"}
    smooth = uniform_filter1d(cross.real, **kernel) ** 2 + uniform_filter1d(cross.imag, **kernel) ** 2
    coherence = np.clip(smooth / (uniform_filter1d(np.sqrt(powers), **kernel) ** 2 + 1e-300), 0.0, 0.999)
    weights: Floats = np.maximum(coherence - 1 / _SMOOTHED_BINS, 0) / (1 - coherence) / np.sqrt(smooth + 1e-300)
    return weights


def measure_wedge(sinograms: Floats, start_px: float) -> AxisCurves:
    """Energy outside the double wedge of the sinogram that its mirror image completes to a full turn.

    Vo et al. 2014 (10.1364/OE.22.019078). A shift of the mirrored half is a phase, so that the energy as a function of
    the axis is one Fourier sum: all axes for the price of one.

    Parameters
    ----------
    sinograms : (K, n, columns) float64
        Evenly spaced over half a turn, the end left out.
    start_px : float
        Rows fade out at the same distance from it on both sides.

    Returns
    -------
    AxisCurves
        The whole width but a tenth at each end, every 0.125 (binned) pixels.
    """
    import scipy.fft

    by = _find_binning(sinograms.shape[2])
    binned = _bin_columns(sinograms, by)
    _, projections, columns = binned.shape
    centre = (start_px - (by - 1) / 2) / by
    half = min(centre, columns - 1 - centre)
    fade = np.clip((half - np.abs(np.arange(columns) - centre)) / (_TAPER * half), 0, 1)
    fade = (np.sin(fade * np.pi / 2) ** 2).astype(np.float32)
    length = scipy.fft.next_fast_len(2 * columns)
    frequency = np.fft.rfftfreq(length)
    turns = np.fft.fftfreq(2 * projections) * 2 * projections
    radius = half * (_WIDER if _is_wider(binned) else 1.0)
    outside = np.abs(turns)[:, None] > 2 * np.pi * radius * frequency + 3
    axes = np.arange(0.1 * columns, 0.9 * columns, 0.125)
    shifts = np.exp(-2j * np.pi * np.outer(frequency, 2 * axes - (columns - 1)))
    odd = np.where(np.arange(2 * projections) % 2, -1.0, 1.0)[:, None]  # half a turn later
    misfits = []
    for sinogram in binned:
        rows = np.gradient(sinogram, axis=1) * fade
        spectra = [scipy.fft.rfft(half_turn, length) for half_turn in (rows, -rows[:, ::-1])]
        seen, mirrored = (scipy.fft.fft(spectrum, 2 * projections, axis=0) for spectrum in spectra)
        misfits.append(((seen.conj() * mirrored * (odd * outside)).sum(axis=0) @ shifts).real)
    return AxisCurves(axes * by + (by - 1) / 2, np.array(misfits))


def _find_binning(columns: int) -> int:
    """Columns that are averaged so that a row has no more than 1024 of them."""
    return -(-columns // _MOST_COLUMNS)


def _bin_columns(sinograms: Floats, by: int) -> NDArray[np.float32]:
    """Means of `by` neighbouring columns; what is left over is dropped."""
    rows, projections, columns = sinograms.shape
    width = columns // by
    if by == 1:
        return sinograms.astype(np.float32)
    split = sinograms[:, :, : width * by].reshape(rows, projections, width, by)
    return np.asarray(split.mean(axis=3), dtype=np.float32)


def _is_wider(sinograms: NDArray[np.float32]) -> bool:
    rows = sinograms - np.median(sinograms[:, :, [0, -1]])
    ends = np.abs(rows[:, :, [0, -1]]).mean()
    return bool(ends > _OUTSIDE * np.abs(rows).mean())


def measure_sharpness(sinograms: Floats, angles_rad: Floats, axes_px: Floats) -> AxisCurves:
    """Total variation of trial reconstructions from half a turn: a wrong axis draws each edge twice.

    As Donath et al. 2006 (10.1364/JOSAA.23.001048), with the gradient's modulus, which does not mind the offset of a
    truncated object.

    Parameters
    ----------
    sinograms : (K, n, columns) float64
        Over half a turn; a whole one would blur noise where the axis is wrong, and so hide the minimum.
    angles_rad : (n,) float64
    axes_px : (C,) float64

    Returns
    -------
    AxisCurves
    """
    from voltome.reconstruction.fourier import FourierReconstructor

    by = _find_binning(sinograms.shape[2])
    binned = _bin_columns(sinograms[:, ::by], by)
    width = binned.shape[2]
    size = max(16, int(_SHARP_FIELD * width))
    trial = FourierReconstructor(
        angles_rad[::by], width, axis_px=(width - 1) / 2, shape_vox=(size, size), filter_name="hann",
        cutoff=_SHARP_CUTOFF, eps=1e-3,
    )  # fmt: skip
    place = np.arange(size) - (size - 1) / 2
    inside = np.hypot(place[:, None], place)[:-1, :-1] < 0.48 * size
    misfits = np.empty((len(sinograms), len(axes_px)))
    for i, axis in enumerate(axes_px):
        slices = trial.reconstruct(binned, axis_px=float(np.clip((axis - (by - 1) / 2) / by, 0, width - 1)))
        down, along = np.diff(slices, axis=1)[:, :, :-1], np.diff(slices, axis=2)[:, :-1]
        misfits[:, i] = np.hypot(down, along)[:, inside].mean(axis=1)
    return AxisCurves(np.asarray(axes_px, dtype=np.float64), misfits)

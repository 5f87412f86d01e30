"""The rotation axis of a scan, found by several independent estimators that have to agree."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.frames import FrameSource
from voltome.reconstruction.axis_curves import (
    AxisCurves,
    correlate_opposites,
    measure_sharpness,
    measure_wedge,
    pair_opposites,
)

Floats = NDArray[np.float64]

DISAGREEMENT_PX = 0.5
"""Estimators further apart than this are worth a warning: half a pixel is what one sees in a slice."""

_MOST_SD_PX = 1e3
_LEAST_SD_PX = {"opposites": 0.03, "sharpness": 0.05, "wedge": 0.15}  # what none is trusted to beat
_COARSE_PX, _COARSE_STEP_PX = 8.0, 1.0
_COARSE_ROWS = 4
_FINE_PX, _FINE_STEP_PX = 1.5, 0.25
_LEAST_PROJECTIONS = 8
_EVEN = 0.6  # of a step: what the double wedge takes for evenly spaced


@dataclass(frozen=True)
class AxisEstimate:
    """Where the rotation axis is.

    Parameters
    ----------
    axis_px : float
        Column of the axis, 0-based, pixel centres at integers.
    sd_px : float
        Standard deviation: of the weighted mean, or of the scatter between estimators where that is larger.
    estimates : dict of str to float
        What each estimator found by itself: `opposites`, `wedge`, `sharpness`.
    sds_px : dict of str to float
        Standard deviation of each, from row to row: NaN from one row, infinite where it found no minimum.
    agreement_px : float
        Largest distance to `axis_px` of an estimator that knows better than half a pixel itself; NaN if fewer than two
        do.
    """

    axis_px: float
    sd_px: float
    estimates: dict[str, float]
    sds_px: dict[str, float]
    agreement_px: float

    @property
    def warning(self) -> str:
        """One line if the estimators disagree or know too little, else empty."""
        if self.agreement_px <= DISAGREEMENT_PX and self.sd_px <= DISAGREEMENT_PX:
            return ""
        values = ", ".join(f"{name} {value:.2f}" for name, value in self.estimates.items())
        return (
            f"rotation axis is uncertain: {values}; took {self.axis_px:.2f} +- {self.sd_px:.2f} px: "
            "look at a slice, and give the axis by hand if edges are double"
        )


def find_axis(
    projections: FrameSource, angles_rad: Floats, *, rows: int = 12, start_px: float | None = None
) -> AxisEstimate:
    """Rotation axis from opposite projections, the sinogram's double wedge and the sharpness of slices.

    Opposite projections need more than half a turn (or its closing angle); the double wedge even steps. Works for an
    object that is wider than the field.

    Parameters
    ----------
    projections : FrameSource, (n, rows, columns)
        Line integrals: attenuation after the logarithm, or phase.
    angles_rad : (n,) float64
    rows : int
        Detector rows that are used, spread evenly; the error falls with their root, and cost rises with them.
    start_px : float, optional
        Where to look; by default the whole width is searched.

    Returns
    -------
    AxisEstimate

    Raises
    ------
    InputError
        If shapes do not agree, a value is not finite, the angles span less than half a turn, or `start_px` is off the
        detector.

    Notes
    -----
    Estimates are weighted by their variance; one more than half a pixel off the median is left out and reported.
    """
    sinograms, angles = _read_rows(projections, angles_rad, rows)
    halves = _split_half_turns(angles)
    if start_px is not None and not 0 < start_px < sinograms.shape[2] - 1:
        raise InputError(f"start_px must be in 0 to {sinograms.shape[2] - 1} (got {start_px}): give a column, or none")
    few = sinograms[:: -(-len(sinograms) // _COARSE_ROWS)]
    start = _find_start(few, angles, halves[0]) if start_px is None else start_px
    middle = _centre_sharpness(few[:, halves[0]], angles[halves[0]], start, tries=4 if start_px is None else 1)
    fine = _keep_inside(middle + np.arange(-_FINE_PX, _FINE_PX + 1e-9, _FINE_STEP_PX), sinograms.shape[2])
    found = {"sharpness": _stack([measure_sharpness(sinograms[:, half], angles[half], fine) for half in halves])}
    partners, shares = pair_opposites(angles)
    if len(partners):
        first = correlate_opposites(sinograms, partners, shares, middle).find_minimum()[0]
        found["opposites"] = correlate_opposites(sinograms, partners, shares, first)
    even = [half for half in halves if _is_even_half_turn(angles[half])]
    if even:
        found["wedge"] = _stack([_narrow(measure_wedge(sinograms[:, half], middle), middle) for half in even])
    return _combine({name: curves.find_minimum() for name, curves in found.items()})


def _read_rows(projections: FrameSource, angles_rad: Floats, rows: int) -> tuple[Floats, Floats]:
    """Sinograms (K, n, columns) of evenly spaced rows, sorted by angle."""
    angles = np.asarray(angles_rad, dtype=np.float64)
    if len(projections.shape) != 3 or angles.shape != (projections.shape[0],):
        raise InputError(
            f"projections {tuple(projections.shape)} and angles {angles.shape} do not agree: give (n, rows, columns) "
            "and n angles"
        )
    if rows < 1:
        raise InputError(f"rows must be >= 1 (got {rows}): give the number of detector rows to look at")
    if len(angles) < _LEAST_PROJECTIONS or np.ptp(angles) < np.pi - 1.5 * np.ptp(angles) / max(1, len(angles) - 1):
        raise InputError(
            f"{len(angles)} angles over {np.rad2deg(np.ptp(angles)):.1f} degrees do not span half a turn: give the "
            "axis by hand"
        )
    used = min(rows, projections.shape[1])
    chosen = ((np.arange(used) + 0.5) * projections.shape[1] / used).astype(int)
    order = np.argsort(angles, kind="stable")
    whole = slice(None)
    read = (np.asarray(projections[whole, slice(row, row + 1), whole])[order, 0] for row in chosen.tolist())
    sinograms = np.stack([rows.astype(np.float64) for rows in read])
    if not np.isfinite(sinograms).all():
        raise InputError("projections must be finite (some are not): mend dead pixels before looking for the axis")
    return sinograms, angles[order]


def _split_half_turns(angles: Floats) -> list[slice]:
    """Half turns that follow each other, each with its end left out."""
    step = np.ptp(angles) / (len(angles) - 1)
    turns = max(1, int((np.ptp(angles) + 1.5 * step) / np.pi))
    bounds = np.searchsorted(angles, angles[0] + np.pi * np.arange(turns + 1) - 0.01 * step)
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]


def _is_even_half_turn(angles: Floats) -> bool:
    steps = np.diff(angles)
    step = np.pi / len(angles)
    return bool(np.all(np.abs(np.cumsum(steps - step)) < _EVEN * step))


def _centre_sharpness(half: Floats, angles: Floats, start: float, *, tries: int) -> float:
    """Coarse minimum, followed while it lies at the end of the grid."""
    columns = half.shape[2]
    for _ in range(tries):
        axes = _keep_inside(start + np.arange(-_COARSE_PX, _COARSE_PX + 1e-9, _COARSE_STEP_PX), columns)
        start, sd = measure_sharpness(half, angles, axes).find_minimum()
        if np.isfinite(sd) or np.isnan(sd):
            break
    return start


def _find_start(sinograms: Floats, angles: Floats, first: slice) -> float:
    """The sharper of two coarse guesses: phase correlation of the nearest opposites, and the double wedge."""
    columns = sinograms.shape[2]
    partners, _ = pair_opposites(angles, tolerance=1.5)
    half = sinograms[:, first]
    guesses = [measure_wedge(half, (columns - 1) / 2).find_minimum()[0]]
    if len(partners):
        guesses.append(_correlate_phases(sinograms, partners[:: max(1, len(partners) // 64)]))
    near = np.array([-1.0, 0.0, 1.0])
    scores = [
        measure_sharpness(half, angles[first], _keep_inside(guess + near, columns)).misfits.sum(axis=0).min()
        for guess in guesses
    ]
    return guesses[int(np.argmin(scores))]


def _correlate_phases(sinograms: Floats, partners: NDArray[np.int64]) -> float:
    columns = sinograms.shape[2]
    window = np.hanning(columns)
    seen = np.gradient(sinograms[:, partners[:, 0]], axis=2) * window
    opposite = np.gradient(sinograms[:, partners[:, 2], ::-1], axis=2) * window
    cross = (np.fft.rfft(seen, 2 * columns) * np.fft.rfft(opposite, 2 * columns).conj()).sum(axis=(0, 1))
    low = np.exp(-((np.fft.rfftfreq(2 * columns) / 0.15) ** 2))
    peak = int(np.argmax(np.fft.irfft(cross / (np.abs(cross) + 1e-300) * low)))
    return float(np.clip((columns - 1 + (peak + columns) % (2 * columns) - columns) / 2, 0, columns - 1))


def _keep_inside(axes: Floats, columns: int) -> Floats:
    moved: Floats = axes - max(0.0, axes[-1] - (columns - 1)) + max(0.0, -axes[0])
    return moved


def _narrow(curves: AxisCurves, middle: float) -> AxisCurves:
    near = np.abs(curves.axes_px - middle) < _COARSE_PX
    return AxisCurves(curves.axes_px[near], curves.misfits[:, near])


def _stack(curves: list[AxisCurves]) -> AxisCurves:
    return AxisCurves(curves[0].axes_px, np.concatenate([part.misfits for part in curves]))


def _combine(found: dict[str, tuple[float, float]]) -> AxisEstimate:
    """Weighted mean of the estimators that know better than half a pixel and lie near their median."""
    names = sorted(found)
    values = np.array([found[name][0] for name in names])
    sds = np.array([found[name][1] for name in names])
    sds = np.where(np.isnan(sds), DISAGREEMENT_PX / 2, sds)  # of a single row
    sds = np.minimum(sds, _MOST_SD_PX)  # who knows nothing still has a say where nobody knows
    weights = 1.0 / np.maximum(sds, [_LEAST_SD_PX[name] for name in names]) ** 2
    heard = weights >= DISAGREEMENT_PX**-2
    if not heard.any():
        heard[np.argmax(weights)] = True
    order = np.argsort(values[heard])
    rising = np.cumsum(weights[heard][order])
    median = float(values[heard][order][np.searchsorted(rising, rising[-1] / 2)])
    used = heard & (np.abs(values - median) <= DISAGREEMENT_PX)
    axis = float(np.average(values[used], weights=weights[used]))
    scatter = np.average((values[used] - axis) ** 2, weights=weights[used]) / max(1, used.sum() - 1)
    sd = float(np.sqrt(max(scatter, 1 / weights[used].sum())))
    return AxisEstimate(
        axis, sd, {name: found[name][0] for name in names}, {name: found[name][1] for name in names},
        float(np.abs(values[heard] - axis).max()) if heard.sum() > 1 else np.nan,
    )  # fmt: skip

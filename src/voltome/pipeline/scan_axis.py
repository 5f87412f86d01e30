"""The rotation axis of a scan from the line integrals of its projections, and their levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from voltome.io import FrameStack

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

_AXIS_ROWS = 16
_LEVEL_SHARE = 0.02  # of the turn, over which the sample's own level changes
_SLOW_SHARE = 0.1  # of the columns
_PAIRS = 48
_LEAST_SIDE_PX = 32  # below it frames cannot be registered
_AXIS_APART_PX = 0.5
_LEAST_AXIS_SD_PX = 0.02


def level_projections(levels: Floats, lit: tuple[int, int]) -> Floats:
    """What to add to the projections so that their mean does not jump from angle to angle.

    Phase retrieval knows little of the slowest variations: the light's flicker comes out as a level, and a bend along
    z, of each projection by itself. The sample's own level changes slowly with the angle. So a parabola along z is
    taken from each projection's row means, and brought to what is smooth over angles.

    Parameters
    ----------
    levels : (angles, rows) float64
        Mean of each row.
    lit : tuple of int
        Rows through which light comes.

    Returns
    -------
    (angles, rows) float64
    """
    from scipy.ndimage import gaussian_filter1d

    angles, rows = levels.shape
    place = np.linspace(-1.0, 1.0, rows)
    basis = np.polynomial.legendre.legvander(place, 2)
    inside = slice(*lit)
    few = min(basis.shape[1], lit[1] - lit[0])
    coefficients = np.linalg.lstsq(basis[inside, :few], levels[:, inside].T, rcond=None)[0].T
    smooth = gaussian_filter1d(coefficients, max(angles * _LEVEL_SHARE, 1.0), axis=0, mode="reflect")
    return np.asarray((smooth - coefficients) @ basis[:, :few].T)


def find_axis_block(integrals: FrameStack, angles_rad: Floats, first: int, last: int) -> Arrays:
    """The rotation axis from some rows of all angles.

    Parameters
    ----------
    integrals : FrameStack
        (angles, rows, columns).
    angles_rad : (n,) float64
    first, last : int
        Rows through which light comes.

    Returns
    -------
    dict
        `axis_px`, `sd_px`, `agreement_px`, `names` and `values` of the estimators, `warning`.
    """
    from voltome.reconstruction import find_axis

    chosen = np.unique(np.linspace(first, last - 1, min(_AXIS_ROWS, last - first) + 2)[1:-1].astype(int))
    whole = slice(0, integrals.shape[2])
    parts = [integrals[slice(0, integrals.shape[0]), slice(r, r + 1), whole] for r in chosen]
    rows = _pass_fast(np.concatenate(parts, axis=1))
    pairs = match_opposites(integrals, angles_rad, first, last)
    found = find_axis(rows, angles_rad, rows=len(chosen), start_px=None if pairs is None else pairs[0])
    estimates, axis, sd, warning = dict(found.estimates), found.axis_px, found.sd_px, found.warning
    agreement = found.agreement_px
    if pairs is not None:
        estimates["pairs"] = pairs[0]
        agreement = abs(axis - pairs[0])
        if agreement <= _AXIS_APART_PX and sd <= _AXIS_APART_PX:
            weights = 1 / np.array([sd, pairs[1]]) ** 2
            axis, sd = float(np.average([axis, pairs[0]], weights=weights)), float(weights.sum() ** -0.5)
        else:  # whole frames with their own scatter are believed before single rows
            axis, sd = pairs
        warning = warning if sd > _AXIS_APART_PX else ""
    return {
        "axis_px": np.array(axis),
        "sd_px": np.array(sd),
        "agreement_px": np.array(agreement),
        "names": np.array(list(estimates)),
        "values": np.array(list(estimates.values())),
        "warning": np.array(warning),
    }


def match_opposites(integrals: FrameStack, angles_rad: Floats, first: int, last: int) -> tuple[float, float] | None:
    """The rotation axis from whole projections half a turn apart: one is the mirror of the other.

    Parameters
    ----------
    integrals : FrameStack
        (angles, rows, columns).
    angles_rad : (n,) float64
    first, last : int
        Rows through which light comes.

    Returns
    -------
    axis_px, sd_px : float
        The median over pairs, and its standard deviation from their scatter. None where no angles are half a turn
        apart, or there are fewer than 32 rows or columns.
    """
    from voltome.radiographs import measure_shifts

    turn = 2 * np.pi
    step = np.median(np.diff(np.sort(angles_rad)))
    pairs = []
    for i in np.unique(np.linspace(0, len(angles_rad) - 1, min(2 * _PAIRS, len(angles_rad))).astype(int)):
        away = np.abs((angles_rad - angles_rad[i] - np.pi + turn / 2) % turn - turn / 2)
        if away.min() < 0.01 * step:
            pairs.append((int(i), int(away.argmin())))
    pairs = list(dict.fromkeys((min(pair), max(pair)) for pair in pairs))[:_PAIRS]
    if not pairs or min(last - first, integrals.shape[2]) < _LEAST_SIDE_PX:
        return None
    part = slice(first, last), slice(0, integrals.shape[2])
    shifts = []
    for one, other in pairs:
        image = _pass_fast(integrals[slice(one, one + 1), *part])
        mirrored = _pass_fast(integrals[slice(other, other + 1), *part])[:, :, ::-1]
        # Transmissions are expected: nothing of a phase is opaque.
        shifts.append(measure_shifts(image + 1, np.ascontiguousarray(mirrored) + 1)[0][0, 1])
    known = np.array(shifts)[np.isfinite(shifts)]
    if not len(known):
        return None
    scatter = float(np.median(np.abs(known - np.median(known))) * 1.4826) if len(known) > 2 else 0.2
    sd = max(scatter / 2 * 1.25 / np.sqrt(len(known)), _LEAST_AXIS_SD_PX)
    return float((integrals.shape[2] - 1) / 2 + np.median(known) / 2), sd


def _pass_fast(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frames without their slow variations along columns: of a phase these are mostly noise."""
    from scipy.ndimage import gaussian_filter1d

    slow = gaussian_filter1d(frames, frames.shape[2] * _SLOW_SHARE, axis=2, mode="nearest")
    rest: NDArray[np.float32] = frames - slow
    scale = float(np.abs(rest).max())
    return rest / np.float32(2 * scale) if scale > 0 else rest

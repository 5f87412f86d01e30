"""Energies, lengths and angles that cannot be meant, and the unit in which they were probably given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError


class _Range(NamedTuple):
    """What is plausible, and factors from units that are taken for the right one."""

    unit: str
    least: float
    most: float
    mistaken: Mapping[str, float]


_ENERGY = _Range("keV", 1.0, 500.0, {"eV": 1e-3, "MeV": 1e3, "GeV": 1e6, "J": 1 / 1.602176634e-16})
_LENGTHS = {"mm": 1e-3, "um": 1e-6, "nm": 1e-9}
_PIXEL = _Range("m", 1e-9, 5e-4, {"um": 1e-6, "nm": 1e-9, "mm": 1e-3})
# Of what exists, BM18 has the longest propagation (36 m), and some sources stand a kilometre away.
_SAMPLE_DETECTOR = _Range("m", 0.0, 45.0, _LENGTHS)
_SOURCE_SAMPLE = _Range("m", 1e-4, 1500.0, _LENGTHS)

_DUPLICATE = 0.1
_GAP = 1.5


def check_energy(energy_kev: float, name: str) -> None:
    """Refuse an energy that is no hard X-ray's.

    Parameters
    ----------
    energy_kev : float
    name : str
        For the message: what states it.

    Returns
    -------
    None
        It is plausible when this returns.

    Raises
    ------
    InputError
        If it is not from 1 to 500 keV; the unit that would make it so is named.

    Examples
    --------
    >>> check_energy(29600.0, "energy_kev")
    Traceback (most recent call last):
    voltome.errors.InputError: energy_kev must be from 1 to 500 keV (got 29600): it looks like eV, give 29.6
    """
    _check(energy_kev, _ENERGY, name)


def check_pixel(pixel_m: float, name: str) -> None:
    """Refuse a pixel that no detector or image has.

    Parameters
    ----------
    pixel_m : float
    name : str

    Returns
    -------
    None
        It is plausible when this returns.

    Raises
    ------
    InputError
        If it is not from 1 nm to 0.5 mm; the unit that would make it so is named.

    Examples
    --------
    >>> check_pixel(0.65, "pixel_m")
    Traceback (most recent call last):
    voltome.errors.InputError: pixel_m must be from 1e-09 to 0.0005 m (got 0.65): it looks like um, give 6.5e-07
    """
    _check(pixel_m, _PIXEL, name)


def check_distances(source_sample_m: float, sample_detector_m: float, name: str) -> None:
    """Refuse distances that no beam line has.

    Parameters
    ----------
    source_sample_m : float
        Infinite for a parallel beam.
    sample_detector_m : float
    name : str

    Returns
    -------
    None
        They are plausible when this returns.

    Raises
    ------
    InputError
        If the source is not from 0.1 mm to 1.5 km away, or the detector more than 45 m; the likely unit is named.
    """
    if source_sample_m != math.inf:
        _check(source_sample_m, _SOURCE_SAMPLE, f"source to sample of {name}")
    _check(sample_detector_m, _SAMPLE_DETECTOR, f"sample to detector of {name}")


def _check(value: float, limits: _Range, name: str) -> None:
    if limits.least <= value <= limits.most:
        return
    advice = f"give {limits.unit}"
    for unit, factor in limits.mistaken.items():
        if limits.least <= value * factor <= limits.most:
            advice = f"it looks like {unit}, give {float(f'{value * factor:.6g}'):g}"
            break
    raise InputError(f"{name} must be from {limits.least:g} to {limits.most:g} {limits.unit} (got {value:g}): {advice}")


def check_angles(angles_rad: NDArray[np.float64], name: str) -> None:
    """Refuse angles of projections that are missing, repeated, or not in the unit that they claim.

    Parameters
    ----------
    angles_rad : (n,) float64
        Of the projections.
    name : str

    Returns
    -------
    None
        They can be used when this returns, but for those that are NaN, at most 1 %.

    Raises
    ------
    InputError
        If more than 1 % are not finite or repeat another one, or all of them span the 3.14 or 6.28 degrees that
        radians taken for degrees span.
    """
    known = angles_rad[np.isfinite(angles_rad)]
    lost = angles_rad.size - known.size
    if lost > 0.01 * angles_rad.size:
        raise InputError(
            f"at most 1 % of the angles may be missing ({name} lacks {lost} of {angles_rad.size}): give them"
        )
    span_deg = math.degrees(float(np.ptp(known)))
    for turn in (math.pi, 2 * math.pi):
        if known.size >= 10 and abs(span_deg - turn) < 0.02 * turn:
            raise InputError(
                f"angles must span more than {span_deg:.4g} deg ({name}): they look like radians, correct their unit"
            )
    repeated = count_repeated(known)
    if repeated > 0.01 * angles_rad.size:
        raise InputError(
            f"at most 1 % of the angles may repeat another one ({name} has {repeated} of {angles_rad.size}): "
            "correct them"
        )


def count_repeated(angles_rad: NDArray[np.float64]) -> int:
    """How many angles repeat another one; 0 and 360 degrees are two.

    Parameters
    ----------
    angles_rad : (n,) float64
        Finite, in any order.

    Returns
    -------
    int
        Those that lie within a tenth of the usual step of another.
    """
    steps = np.diff(np.sort(angles_rad))
    return int(np.count_nonzero(steps <= _DUPLICATE * usual_step(angles_rad)))


def find_gaps(angles_rad: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Where angles are missing.

    Parameters
    ----------
    angles_rad : (n,) float64
        Finite, in any order.

    Returns
    -------
    list of (float, float)
        First and last angle of each gap wider than one and a half usual steps.
    """
    rising = np.sort(angles_rad)
    wide = np.flatnonzero(np.diff(rising) > _GAP * usual_step(angles_rad))
    return [(float(rising[i]), float(rising[i + 1])) for i in wide]


def usual_step(angles_rad: NDArray[np.float64]) -> float:
    """Median distance of neighbouring angles.

    Parameters
    ----------
    angles_rad : (n,) float64
        Finite, in any order.

    Returns
    -------
    float
        Radians; 0 for fewer than two.
    """
    return float(np.median(np.diff(np.sort(angles_rad)))) if angles_rad.size > 1 else 0.0

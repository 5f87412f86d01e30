"""How much of a volume is a phase: by the most likely class, by probability, and for other thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

AMOUNTS = ("likely", "expected", "above_0.3", "above_0.7")
"""Voxels whose most likely class it is; the sum of probabilities; voxels whose probability is above a threshold."""

_UNKNOWN_SD = 0.05  # of ln(measured over true volume) where nothing was held out


def tally_phase(
    phases: NDArray[np.uint8], confidence: NDArray[np.uint8], inside: NDArray[np.bool_], code: int
) -> NDArray[np.float64]:
    """Count a phase in the voxels of a region.

    The probability of the phase is the confidence where it is the most likely one. Elsewhere it is what the most likely
    one leaves: the phase is taken for its only rival, which beyond the copper it is.

    Parameters
    ----------
    phases, confidence : (...) uint8
        As `predictor.decide` gives them; 0 where there is no value.
    inside : (...) bool
        The region.
    code : int
        Of the phase.

    Returns
    -------
    (5,) float64
        `AMOUNTS`, then the region's voxels with a value.

    Examples
    --------
    >>> phases, sure = np.array([4, 4, 2, 2], np.uint8), np.array([255, 153, 255, 153], np.uint8)
    >>> tally_phase(phases, sure, np.ones(4, bool), 4).tolist()
    [2.0, 2.0, 3.0, 1.0, 4.0]
    """
    inside = inside & (phases > 0)
    known, sure = phases[inside], confidence[inside].astype(np.float32) / np.float32(255)
    own = known == code
    probability = np.where(own, sure, 1 - sure)
    return np.array(
        [
            own.sum(),
            probability.sum(dtype=np.float64),
            (probability > 0.3).sum(),
            (probability > 0.7).sum(),
            known.size,
        ],
        dtype=np.float64,
    )


def find_relative_sd(calibration: Mapping[str, Any], name: str, voxel_size_m: float | None = None) -> float:
    """What ln(measured over true volume) of a class differs by from scan to scan.

    Parameters
    ----------
    calibration : mapping
        Of the model.
    name : str
        Of the class.
    voxel_size_m : float, optional
        Of the scans: where the model was calibrated at several, the nearest one counts.

    Returns
    -------
    float
        Standard deviation between two scans: sqrt(2) times that of one. Where nothing was held out, 0.07.
    """
    found = calibration.get("volume", {}).get(name)
    if not found:
        return math.sqrt(2) * _UNKNOWN_SD
    sizes = found.get("by_voxel_size", [])
    if sizes and voxel_size_m is not None:
        found = min(sizes, key=lambda one: abs(math.log(one["voxel_size_m"] / voxel_size_m)))
    return math.sqrt(2) * float(found["log_ratio_sd"])

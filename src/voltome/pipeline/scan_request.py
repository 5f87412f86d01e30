"""What is asked of a scan, held against the scan before hours of work."""

from __future__ import annotations

import importlib.util
import math

import numpy as np

from voltome.errors import InputError, ResourceError
from voltome.frames import PROJECTION, HolotomographyScan
from voltome.pipeline.reconstruction_settings import ReconstructionSettings

_LEAST_COLUMNS = 32
_EQUAL = 1e-4  # of a distance
_MOST_FRESNEL = 10.0


def choose_mode(scan: HolotomographyScan, settings: ReconstructionSettings) -> str:
    """The mode that is used: what the settings say, else quality where all distances are known.

    Parameters
    ----------
    scan : HolotomographyScan
    settings : ReconstructionSettings

    Returns
    -------
    str
        One of fast, quality, paper, absorption.

    Raises
    ------
    InputError
        If phase is wanted, but energy, pixel or distances are not known.
    """
    unknown = [one.name for one in scan.distances if one.geometry is None]
    touching = [one.name for one in scan.distances if one.geometry is not None and not one.geometry.effective_m > 0]
    if settings.mode is None:
        return "absorption" if unknown or touching else "quality"
    if settings.mode != "absorption" and unknown:
        raise InputError(
            f"mode {settings.mode} needs energy, detector pixel and distances of each file ({unknown[0]} lacks one): "
            "give them, or mode absorption"
        )
    if settings.mode != "absorption" and touching:
        raise InputError(
            f"mode {settings.mode} needs samples before the detector ({touching[0]} has sample to detector 0 m): "
            "correct the distance, leave that file out, or give mode absorption"
        )
    return settings.mode


def check_request(scan: HolotomographyScan, settings: ReconstructionSettings) -> None:
    """Refuse what a later step would refuse, when much is done already.

    Parameters
    ----------
    scan : HolotomographyScan
        Open.
    settings : ReconstructionSettings

    Returns
    -------
    None
        The scan can give what is asked for when this returns.

    Raises
    ------
    InputError
        If rows or axis lie beside the detector, no axis can be found from the angles, phase is wanted without geometry,
        or the device is unknown.
    ResourceError
        If a package that the settings name is not installed.
    """
    from voltome.phase import open_device

    rows, columns = scan.distances[0].frame_shape
    if settings.rows is not None and settings.rows[1] > rows:
        raise InputError(
            f"rows must end at {rows}, the detector's last row, or before (got {settings.rows[1]}): lower it"
        )
    if settings.axis_px is not None and settings.axis_px > columns - 1:
        raise InputError(f"axis_px must lie on the detector, 0 to {columns - 1} (got {settings.axis_px:g}): lower it")
    angles = scan.distances[0].angles_rad[scan.distances[0].find(PROJECTION)]
    step = float(np.ptp(angles)) / max(1, len(angles) - 1)
    if settings.axis_px is None and np.ptp(angles) < math.pi - 1.5 * step:
        raise InputError(
            f"angles must span half a turn to find the rotation axis (got {np.degrees(np.ptp(angles)):.4g} deg): give "
            "axis_px"
        )
    for name in (settings.rings_sinogram, settings.rings_slice):
        if name is not None and name.startswith("algotom-") and importlib.util.find_spec("algotom") is None:
            raise ResourceError(f"{name} needs algotom, which is not installed: pip install algotom, or take another")
    if settings.axis_px is None and columns < _LEAST_COLUMNS:
        raise InputError(
            f"the detector must have at least {_LEAST_COLUMNS} columns to find the rotation axis (got {columns}): give "
            "axis_px"
        )
    if choose_mode(scan, settings) != "absorption":
        _check_fringes(scan)
        open_device(settings.device)


def _check_fringes(scan: HolotomographyScan) -> None:
    """Refuse distances that say the same, or at which a pixel is too wide to see a fringe."""
    places = [(one.name, one.geometry) for one in scan.distances if one.geometry is not None]
    for k, (name, place) in enumerate(places):
        for before, other in places[:k]:
            if abs(place.effective_m - other.effective_m) < _EQUAL * other.effective_m:
                raise InputError(
                    f"distances must differ ({before} and {name} have the same, {place.effective_m:.4g} m): was a file "
                    "named twice?"
                )
        if place.fresnel_number > _MOST_FRESNEL:
            raise InputError(
                f"distances must show fringes: pixel^2 / (wavelength x distance) <= {_MOST_FRESNEL:g} (got "
                f"{place.fresnel_number:.3g} at {name}): is its unit of length right? else give mode absorption"
            )

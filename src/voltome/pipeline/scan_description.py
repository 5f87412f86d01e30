"""Say what the radiographs of a scan are."""

from __future__ import annotations

from typing import Any

import numpy as np

from voltome.frames import DARK, FLAT, PROJECTION, UNUSED, DistanceScan
from voltome.io import RadiographFiles, inspect_scan

_KINDS = {"projections": PROJECTION, "flats": FLAT, "darks": DARK, "unused": UNUSED}


def describe_radiographs(files: RadiographFiles) -> dict[str, Any]:
    """Frames, angles and geometry of each distance, and what is odd about them.

    Parameters
    ----------
    files : RadiographFiles

    Returns
    -------
    dict
        `distances`, for each a dict with `name`, `shape` (frames, rows, columns), `dtype`, `projections`, `flats`,
        `darks`, `unused`, `angles_deg` (lowest and highest), `angle_step_deg`, and from `energy_kev` on the geometry,
        None where it is not known (`source_sample_m` is infinite for a parallel beam); `warnings`, one line each.

    Raises
    ------
    InputError
        If the files are no scan.
    ResourceError
        If they cannot be read.
    """
    with files.open() as scan:
        return {"distances": [_describe_distance(one) for one in scan.distances], "warnings": inspect_scan(scan)}


def _describe_distance(scan: DistanceScan) -> dict[str, Any]:
    angles = np.degrees(np.sort(scan.angles_rad[scan.find(PROJECTION)]))
    described: dict[str, Any] = {"name": scan.name, "shape": list(scan.frames.shape), "dtype": str(scan.frames.dtype)}
    described |= {name: int(scan.find(kind).size) for name, kind in _KINDS.items()}
    described["angles_deg"] = [float(angles[0]), float(angles[-1])]
    described["angle_step_deg"] = float(np.median(np.diff(angles))) if angles.size > 1 else None
    for name in (
        "energy_kev", "wavelength_m", "source_sample_m", "sample_detector_m", "detector_pixel_m", "magnification",
        "pixel_m", "effective_m", "fresnel_number",
    ):  # fmt: skip
        described[name] = getattr(scan.geometry, name, None)
    return described

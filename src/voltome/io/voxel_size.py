"""From the many ways in which files state a voxel size to one number in metres."""

from __future__ import annotations

import math
from collections.abc import Sequence

from voltome.errors import InputError

UNITS_M = {
    "m": 1.0, "meter": 1.0, "metre": 1.0, "meters": 1.0, "metres": 1.0,
    "cm": 1e-2, "centimeter": 1e-2, "centimetre": 1e-2,
    "mm": 1e-3, "millimeter": 1e-3, "millimetre": 1e-3,
    "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "\\u00b5m": 1e-6, "micron": 1e-6, "microns": 1e-6,
    "micrometer": 1e-6, "micrometre": 1e-6, "micrometers": 1e-6,
    "nm": 1e-9, "nanometer": 1e-9, "nanometre": 1e-9,
    "å": 1e-10, "angstrom": 1e-10, "ångström": 1e-10,
}  # fmt: skip
"""Length units as ImageJ, OME, NeXus and OME-Zarr spell them, lower case."""

_TOLERANCE = 1e-3


def length_m(value: float, unit: str | None) -> float | None:
    """A length in metres, or None where the unit is not a length (pixel, inch of a printer) or the value is no size.

    Parameters
    ----------
    value : float
    unit : str or None
        As the file spells it.

    Returns
    -------
    float or None

    Examples
    --------
    >>> length_m(0.05, "micron"), length_m(1.0, "pixel")
    (5e-08, None)
    """
    factor = UNITS_M.get((unit or "").strip().lower())
    if factor is None or not (math.isfinite(value) and value > 0):
        return None
    return float(f"{value * factor:.12g}")  # 0.05 um is 5e-08 m, not 5.0000000000000004e-08


def common_voxel_size(sizes_m: Sequence[float | None], path: object) -> float | None:
    """One voxel size from the sizes along the axes.

    Parameters
    ----------
    sizes_m : sequence of float or None
        Sizes along some or all of the axes; the first known one is taken.
    path : object
        For the message.

    Returns
    -------
    float or None
        None where no axis knows its size.

    Raises
    ------
    InputError
        If the voxels are not cubes (sizes differ by more than 0.1 %).
    """
    known = [size for size in sizes_m if size is not None]
    if not known:
        return None
    if max(known) > min(known) * (1 + _TOLERANCE):
        listed = ", ".join(f"{size:g}" for size in known)
        raise InputError(
            f"voxels must be cubes (got {listed} m in {path}): resample the volume, or give the voxel size yourself "
            "if the file is wrong"
        )
    return known[0]


def check_voxel_size(voxel_size_m: float | None) -> None:
    """Refuse a voxel size that is no length.

    Parameters
    ----------
    voxel_size_m : float or None

    Returns
    -------
    None
        The size is fine when this returns.

    Raises
    ------
    InputError
        If it is not a finite positive number.
    """
    if voxel_size_m is not None and not (math.isfinite(voxel_size_m) and voxel_size_m > 0):
        raise InputError(f"voxel size must be > 0 m (got {voxel_size_m}): give metres, such as 5e-8")

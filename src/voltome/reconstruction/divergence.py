"""How wrong it is to take the cone beam of a point source for a parallel one."""

from __future__ import annotations

import math

from voltome.errors import InputError
from voltome.optics import Geometry


def estimate_divergence(geometry: Geometry, *, columns: int, rows: int, axis_px: float | None = None) -> float:
    """Largest distance between where a point at the edge of the field is seen and where a parallel beam would show it.

    A point at u across the beam, z above its axis and d behind the rotation axis is seen at u z1 / (z1 + d) and
    z z1 / (z1 + d), z1 from source to axis. As it turns at the radius R, d = R sin, u = R cos, the error is at most
    (R^2 + z^2) / (2 z1) for z <= R, else R z / z1, to first order in R / z1; across alone it is R^2 / (2 z1). Over a
    full turn it changes sign: a point is blurred by so much to either side rather than moved.

    Parameters
    ----------
    geometry : Geometry
    columns, rows : int
        Of the detector; the beam's axis is taken to meet its middle row.
    axis_px : float, optional
        Column of the rotation axis, by default the middle one.

    Returns
    -------
    float
        Pixels at the sample; 0 for a parallel beam.

    Raises
    ------
    InputError
        If the field is empty or the axis lies outside of it.

    Examples
    --------
    >>> geometry = Geometry(41.9e-12, 0.06, 0.72, 0.65e-6)
    >>> round(geometry.pixel_m * 1e9), round(estimate_divergence(geometry, columns=2048, rows=2048), 2)
    (50, 0.87)
    """
    if columns < 1 or rows < 1:
        raise InputError(f"columns and rows must be >= 1 (got {columns} and {rows}): give the detector's size")
    axis = (columns - 1) / 2 if axis_px is None else axis_px
    if not 0 <= axis <= columns - 1:
        raise InputError(f"axis_px must be in 0 to {columns - 1} (got {axis_px}): give a column of the detector")
    if math.isinf(geometry.source_sample_m):
        return 0.0
    radius, height = max(axis, columns - 1 - axis), (rows - 1) / 2
    source_px = geometry.source_sample_m / geometry.pixel_m
    product = radius * height if height > radius else (radius**2 + height**2) / 2
    return product / source_px

"""The electrode's matter in a scan: which voxels hold what the region of the first scan held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.grid import Block

if TYPE_CHECKING:
    from voltome.alignment import Alignment
    from voltome.electrode import Frame, SmoothMotion

Floats = NDArray[np.float64]

STEP_VOX = 8
"""Voxels between the points at which matter is traced back; the motion is smooth over many more."""

_TURNS = 40
_CLOSE_VOX = 1e-3


@dataclass(frozen=True, eq=False)
class Matter:
    """A region of the first scan, and how its matter got to where it is in another.

    Parameters
    ----------
    frame : Frame
        Of the first scan.
    low, high : (3,) float64
        Corners of the region in that frame: depth, y, x.
    motion : SmoothMotion or None
        Since the first scan, seen from the collector; None for the first scan itself.
    linear, centre_vox, shift_vox : arrays or None
        Motion of the collector from the first scan to this one; None for the first.
    """

    frame: Frame
    low: Floats
    high: Floats
    motion: SmoothMotion | None = None
    linear: Floats | None = None
    centre_vox: Floats | None = None
    shift_vox: Floats | None = None

    def trace(self, positions_vox: Floats) -> Floats:
        """Places in the frame of the first scan that arrive at positions in this scan, (N, 3)."""
        at = positions_vox
        if self.linear is not None and self.centre_vox is not None and self.shift_vox is not None:
            at = (at - self.centre_vox - self.shift_vox) @ np.linalg.inv(self.linear).T + self.centre_vox
        if self.motion is None:
            return self.frame.locate(at)
        was = at.copy()
        for _ in range(_TURNS):
            places = self.frame.locate(was)
            # Polynomials run away beyond what they were fitted to.
            places = np.clip(places, (-0.3, -1.2, -1.2), (1.3, 1.2, 1.2))
            new = at - self.motion.displace(places)
            moved = float(np.abs(new - was).max())
            was = 0.5 * (was + new)
            if moved < _CLOSE_VOX:
                break
        return self.frame.locate(was)

    def find_inside(self, block: Block) -> NDArray[np.bool_]:
        """Which voxels of a block of this scan hold matter of the region."""
        return mark_inside(self.trace, self.low, self.high, block)


def mark_inside(trace: Callable[[Floats], Floats], low: Floats, high: Floats, block: Block) -> NDArray[np.bool_]:
    """Which voxels of a block come from inside a box of the first scan's frame.

    Parameters
    ----------
    trace : callable
        From positions (N, 3) in voxels of the scan to places in the frame; asked every `STEP_VOX` voxels.
    low, high : (3,) float64
        Corners of the box.
    block : three slices
        With start and stop.

    Returns
    -------
    (z, y, x) bool
    """
    axes = [_lay_points(edge) for edge in block]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    places = trace(np.ascontiguousarray(grid.reshape(-1, 3))).reshape(grid.shape)
    inside = np.ones([edge.stop - edge.start for edge in block], dtype=bool)
    for k in range(3):
        values = places[..., k]
        for axis, (points, edge) in enumerate(zip(axes, block, strict=True)):
            values = _interpolate(values, points, np.arange(edge.start, edge.stop, dtype=np.float64), axis)
        inside &= (values >= low[k]) & (values <= high[k])
    return inside


def _lay_points(edge: slice) -> Floats:
    count = max(2, -(-(edge.stop - edge.start) // STEP_VOX) + 1)
    return np.linspace(edge.start, max(edge.stop - 1, edge.start + 1), count)


def _interpolate(values: Floats, points: Floats, at: Floats, axis: int) -> Floats:
    """Linear, along one axis."""
    low = np.clip(np.searchsorted(points, at, side="right") - 1, 0, len(points) - 2)
    share = (at - points[low]) / (points[low + 1] - points[low])
    share = share.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    out: Floats = np.take(values, low, axis) * (1 - share) + np.take(values, low + 1, axis) * share
    return out


def describe_motion(alignment: Alignment | None) -> dict[str, Any]:
    """The collector's motion as `Matter` takes it.

    Parameters
    ----------
    alignment : Alignment or None

    Returns
    -------
    dict
    """
    if alignment is None:
        return {}
    return {
        "linear": alignment.linear,
        "centre_vox": alignment.centre_vox,
        "shift_vox": alignment.translation_vox,
    }

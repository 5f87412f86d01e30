"""Slices from the line integrals of a scan's projections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.pipeline.reconstruction_settings import ReconstructionSettings

if TYPE_CHECKING:
    from voltome.io import FrameStack
    from voltome.reconstruction import FourierReconstructor

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

_SAMPLED_ROWS = 48
_DENSE = 0.3  # of the range of greys: how far what lets no light through lies beyond the densest


@dataclass(frozen=True)
class SlicePlan:
    """All that turns rows of line integrals into slices.

    Parameters
    ----------
    integrals : FrameStack
        (angles, rows, columns).
    settings : ReconstructionSettings
    angles_rad : (n,) float64
    axis_px : float
    scale : float
        Of values per pixel.
    filter_name : str
    levels : (angles, rows) float64
        Added to each row of each projection.
    tilt : (rows,) float64
        Subtracted from the slice of each row.
    opaque : (rows,) float64
        How far a row lies behind an opaque edge, 0 to 1: there nothing is known of the sample but that it is dense.
    dense : float
        Value that opaque rows take.
    """

    integrals: FrameStack
    settings: ReconstructionSettings
    angles_rad: Floats
    axis_px: float
    scale: float
    filter_name: str
    levels: Floats
    tilt: Floats
    opaque: Floats
    dense: float = 0.0

    def make(self, start: int, stop: int, chosen: slice = slice(None)) -> Singles:
        """Slices of some rows.

        Parameters
        ----------
        start, stop : int
            Rows.
        chosen : slice
            Angles.

        Returns
        -------
        (stop - start, y, x) float32
        """
        from voltome.reconstruction import remove_rings_in_sinograms, remove_rings_in_slices

        numbers = np.arange(len(self.angles_rad))[chosen]
        stack = self.integrals[numbers, slice(start, stop), slice(0, self.integrals.shape[2])]
        sinograms = np.ascontiguousarray(np.swapaxes(stack, 0, 1))
        sinograms += self.levels[chosen, start:stop].T[:, :, None].astype(np.float32)
        if self.settings.rings_sinogram is not None:
            sinograms = remove_rings_in_sinograms(sinograms, method=self.settings.rings_sinogram)
        plan = _plan_once(
            self.angles_rad[chosen].tobytes(),
            self.integrals.shape[2],
            self.settings.shape_vox,
            self.settings.padding,
            self.filter_name,
        )
        slices: Singles = plan.reconstruct(sinograms, axis_px=self.axis_px)
        if self.settings.rings_slice is not None:
            slices = remove_rings_in_slices(slices, method=self.settings.rings_slice)
        slices *= np.float32(self.scale)
        slices -= self.tilt[start:stop, None, None].astype(np.float32)
        hidden = self.opaque[start:stop, None, None].astype(np.float32)
        if hidden.any():
            # Texture that shines through metal lies elsewhere: the row's mean stands for it, so that the face is kept.
            slices += np.minimum(2 * hidden, 1) * (slices.mean(axis=(1, 2), keepdims=True) - slices)
            slices += hidden * (np.float32(self.dense) - slices)
        return slices


def reconstruct_block(plan: SlicePlan, volume: FrameStack, offset: int, start: int, stop: int) -> Arrays:
    """Slices of some rows.

    Parameters
    ----------
    plan : SlicePlan
    volume : FrameStack
        Takes the slices.
    offset : int
        Row of the volume's first slice.
    start, stop : int
        Rows.

    Returns
    -------
    dict
        `mean` of each slice.
    """
    slices = plan.make(start, stop)
    volume.write(slice(start - offset, stop - offset), slices)
    return {"mean": slices.mean(axis=(1, 2), dtype=np.float64)}


def judge_block(plan: SlicePlan, start: int, stop: int, pixel_m: float) -> Arrays:
    """How good slices of some rows are: edges, contrast, rings, and what two halves of the angles agree on.

    Parameters
    ----------
    plan : SlicePlan
    start, stop : int
        Rows that show the electrode.
    pixel_m : float

    Returns
    -------
    dict
        `quality`: the text of `voltome.quality.describe_quality` as JSON, empty where rows are too few to tell.
    """
    import json

    from voltome.errors import InputError
    from voltome.quality import describe_quality

    halves = plan.make(start, stop, slice(0, None, 2)), plan.make(start, stop, slice(1, None, 2))
    try:
        found = describe_quality(plan.make(start, stop), voxel_size_m=pixel_m, halves=halves)
    except InputError:
        return {"quality": np.array("")}
    plain = {
        group: {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in values.items()}
        for group, values in found.items()
    }
    return {"quality": np.array(json.dumps(plain))}


def sample_block(plan: SlicePlan, first: int, last: int) -> Arrays:
    """What some slices say of all: how greys tilt along the axis, and what would be denser than all of them.

    Parameters
    ----------
    plan : SlicePlan
    first, last : int
        Rows through which light comes.

    Returns
    -------
    dict
        `tilt`: (rows,) to subtract from slices so that a material has one grey along the axis: 0 on average over the
        rows with light, constant beyond them. `dense`: a value beyond the densest.
    """
    from voltome.quality import find_slice_levels

    chosen = np.unique(np.linspace(first, last - 1, min(_SAMPLED_ROWS, last - first)).round().astype(int))
    slices = np.concatenate([plan.make(int(row), int(row) + 1) for row in chosen])
    middle, half = (first + last - 1) / 2, max((last - 1 - first) / 2, 1.0)
    found = find_slice_levels(slices, (chosen - middle) / half)
    place = np.clip((np.arange(plan.integrals.shape[1]) - middle) / half, -1, 1)
    tilt = np.polynomial.legendre.legval(place, np.r_[0.0, found])
    low, high = np.quantile(slices[:, ::4, ::4] - tilt[chosen][:, None, None], (0.01, 0.99))
    return {"tilt": tilt, "dense": np.array(high + _DENSE * (high - low))}


@lru_cache(maxsize=2)
def _plan_once(
    angles: bytes, columns: int, shape_vox: tuple[int, int] | None, padding: str, filter_name: str
) -> FourierReconstructor:
    """Transforms are planned once for all slabs of a scan; threads may share them."""
    from voltome.reconstruction import FourierReconstructor

    return FourierReconstructor(
        np.frombuffer(angles),
        columns,
        axis_px=(columns - 1) / 2,
        shape_vox=shape_vox,
        padding=padding,
        filter_name=filter_name,
    )

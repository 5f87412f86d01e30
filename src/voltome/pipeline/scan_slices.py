"""Slices from the line integrals of a scan's projections."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.pipeline.reconstruction_settings import ReconstructionSettings

if TYPE_CHECKING:
    from voltome.io import FrameStack
    from voltome.reconstruction import FourierReconstructor

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

_TILT_ROWS = 48


def reconstruct_block(
    integrals: FrameStack,
    volume: FrameStack,
    offset: int,
    start: int,
    stop: int,
    levels: Floats,
    settings: ReconstructionSettings,
    angles_rad: Floats,
    axis_px: float,
    scale: float,
    tilt: Floats,
) -> Arrays:
    """Slices of some rows.

    Parameters
    ----------
    integrals : FrameStack
        (angles, rows, columns).
    volume : FrameStack
        Takes the slices.
    offset : int
        Row of the volume's first slice.
    start, stop : int
        Rows.
    levels : (angles, rows) float64
        Added to each row.
    settings : ReconstructionSettings
    angles_rad : (n,) float64
    axis_px : float
    scale : float
        Of values per pixel.
    tilt : (rows,) float64
        Subtracted from the slice of each row.

    Returns
    -------
    dict
        `mean` of each slice.
    """
    every = np.arange(len(angles_rad))
    slices = _make_slices(integrals, every, start, stop, levels, settings, angles_rad, axis_px)
    slices *= np.float32(scale)
    slices -= tilt[start:stop, None, None].astype(np.float32)
    volume.write(slice(start - offset, stop - offset), slices)
    return {"mean": slices.mean(axis=(1, 2), dtype=np.float64)}


def judge_block(
    integrals: FrameStack,
    start: int,
    stop: int,
    levels: Floats,
    settings: ReconstructionSettings,
    angles_rad: Floats,
    axis_px: float,
    scale: float,
    tilt: Floats,
    pixel_m: float,
) -> Arrays:
    """How good slices of some rows are: edges, contrast, rings, and what two halves of the angles agree on.

    Parameters
    ----------
    integrals : FrameStack
        (angles, rows, columns).
    start, stop : int
        Rows that show the electrode.
    levels : (angles, rows) float64
    settings : ReconstructionSettings
    angles_rad : (n,) float64
    axis_px : float
    scale : float
    tilt : (rows,) float64
    pixel_m : float

    Returns
    -------
    dict
        `quality`: the text of `voltome.quality.describe_quality` as JSON, empty where rows are too few to tell.
    """
    import json

    from voltome.errors import InputError
    from voltome.quality import describe_quality

    def make(chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        slices = _make_slices(integrals, chosen, start, stop, levels, settings, angles_rad, axis_px)
        slices *= np.float32(scale)
        slices -= tilt[start:stop, None, None].astype(np.float32)
        return slices

    every = np.arange(len(angles_rad))
    try:
        found = describe_quality(make(every), voxel_size_m=pixel_m, halves=(make(every[::2]), make(every[1::2])))
    except InputError:
        return {"quality": np.array("")}
    plain = {
        group: {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in values.items()}
        for group, values in found.items()
    }
    return {"quality": np.array(json.dumps(plain))}


def find_tilt_block(
    integrals: FrameStack,
    first: int,
    last: int,
    levels: Floats,
    settings: ReconstructionSettings,
    angles_rad: Floats,
    axis_px: float,
    scale: float,
) -> Arrays:
    """What to subtract from the slices of all rows so that a material has one grey along the axis.

    Parameters
    ----------
    integrals : FrameStack
        (angles, rows, columns).
    first, last : int
        Rows through which light comes.
    levels : (angles, rows) float64
    settings : ReconstructionSettings
    angles_rad : (n,) float64
    axis_px : float
    scale : float

    Returns
    -------
    dict
        `tilt`: (rows,), 0 on average over the rows with light, and constant beyond them.
    """
    from voltome.quality import find_slice_levels

    chosen = np.unique(np.linspace(first, last - 1, min(_TILT_ROWS, last - first)).round().astype(int))
    every = np.arange(len(angles_rad))
    parts = [_make_slices(integrals, every, row, row + 1, levels, settings, angles_rad, axis_px)[0] for row in chosen]
    middle, half = (first + last - 1) / 2, max((last - 1 - first) / 2, 1.0)
    found = find_slice_levels(np.stack(parts) * np.float32(scale), (chosen - middle) / half)
    place = np.clip((np.arange(integrals.shape[1]) - middle) / half, -1, 1)
    tilt = np.polynomial.legendre.legval(place, np.r_[0.0, found])
    return {"tilt": tilt}


def _make_slices(
    integrals: FrameStack,
    chosen: NDArray[np.int64],
    start: int,
    stop: int,
    levels: Floats,
    settings: ReconstructionSettings,
    angles_rad: Floats,
    axis_px: float,
) -> NDArray[np.float32]:
    """Slices from some of the angles, rings removed, in values per pixel."""
    from voltome.reconstruction import remove_rings_in_sinograms, remove_rings_in_slices

    whole = slice(0, integrals.shape[2])
    stack = integrals[chosen, slice(start, stop), whole]
    sinograms = np.ascontiguousarray(np.swapaxes(stack, 0, 1))
    sinograms += levels[chosen, start:stop].T[:, :, None].astype(np.float32)
    if settings.rings_sinogram is not None:
        sinograms = remove_rings_in_sinograms(sinograms, method=settings.rings_sinogram)
    plan = _plan_once(angles_rad[chosen].tobytes(), integrals.shape[2], settings)
    slices = plan.reconstruct(sinograms, axis_px=axis_px)
    if settings.rings_slice is not None:
        slices = remove_rings_in_slices(slices, method=settings.rings_slice)
    return slices


@lru_cache(maxsize=2)
def _plan_once(angles: bytes, columns: int, settings: ReconstructionSettings) -> FourierReconstructor:
    """Transforms are planned once for all slabs of a scan; threads may share them."""
    from voltome.reconstruction import FourierReconstructor

    return FourierReconstructor(
        np.frombuffer(angles),
        columns,
        axis_px=(columns - 1) / 2,
        shape_vox=settings.shape_vox,
        padding=settings.padding,
        filter_name=settings.filter,
    )

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

    Returns
    -------
    dict
        `mean` of each slice.
    """
    every = np.arange(len(angles_rad))
    slices = _make_slices(integrals, every, start, stop, levels, settings, angles_rad, axis_px)
    slices *= np.float32(scale)
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
        return _make_slices(integrals, chosen, start, stop, levels, settings, angles_rad, axis_px) * np.float32(scale)

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

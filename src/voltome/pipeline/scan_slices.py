"""Slices from the line integrals of a scan's projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.pipeline.reconstruction_settings import ReconstructionSettings

if TYPE_CHECKING:
    from voltome.io import FrameStack

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
    from voltome.reconstruction import FourierReconstructor, remove_rings_in_sinograms, remove_rings_in_slices

    whole = slice(0, integrals.shape[2])
    stack = integrals[slice(0, integrals.shape[0]), slice(start, stop), whole]
    sinograms = np.ascontiguousarray(np.swapaxes(stack, 0, 1))
    sinograms += levels.T[start:stop, :, None].astype(np.float32)
    if settings.rings_sinogram is not None:
        sinograms = remove_rings_in_sinograms(sinograms, method=settings.rings_sinogram)
    reconstructor = FourierReconstructor(
        angles_rad,
        integrals.shape[2],
        axis_px=axis_px,
        shape_vox=settings.shape_vox,
        padding=settings.padding,
        filter_name=settings.filter,
    )
    slices = reconstructor.reconstruct(sinograms)
    if settings.rings_slice is not None:
        slices = remove_rings_in_slices(slices, method=settings.rings_slice)
    slices *= np.float32(scale)
    volume.write(slice(start - offset, stop - offset), slices)
    return {"mean": slices.mean(axis=(1, 2), dtype=np.float64)}

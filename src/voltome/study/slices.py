"""Vertical slices of scans for the eye, all in the frame of the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from voltome.alignment import Alignment
    from voltome.grid import VolumeSource


def sample_slice(
    volume: VolumeSource, motion: Alignment | None, *, factor: int, y_vox: float, nearest: bool = False
) -> NDArray[np.float32]:
    """The slice across y of a volume, moved onto the first scan.

    Parameters
    ----------
    volume : VolumeSource
        A level of a scan's pyramid.
    motion : Alignment or None
        Of the scan since the first one; None takes the volume as it stands.
    factor : int
        How many times the level is coarser than the scan.
    y_vox : float
        Where it stands in the first scan, in full voxels.
    nearest : bool
        Take the nearest voxel, as codes need it, instead of what linear interpolation gives.

    Returns
    -------
    (z, x) float32
        NaN where the scan does not reach.
    """
    from scipy.ndimage import map_coordinates

    z, x = np.meshgrid(*[np.arange(n) * factor + (factor - 1) / 2 for n in volume.shape[::2]], indexing="ij")
    places = np.stack([z.ravel(), np.full(z.size, float(y_vox)), x.ravel()], axis=1)
    if motion is not None:
        places = places + motion.displace(places)
    at = (places - (factor - 1) / 2) / factor
    low = int(np.clip(np.floor(at[:, 1].min()), 0, volume.shape[1] - 1))
    high = int(np.clip(np.ceil(at[:, 1].max()) + 1, low + 1, volume.shape[1]))
    planes = volume[:, low:high, :].astype(np.float32)
    at[:, 1] = np.clip(at[:, 1] - low, 0, high - low - 1)
    drawn: NDArray[np.float32] = map_coordinates(
        planes, at.T, output=np.float32, order=0 if nearest else 1, mode="constant", cval=np.nan
    )
    return drawn.reshape(z.shape)

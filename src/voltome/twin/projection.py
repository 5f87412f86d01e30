"""Line integrals through slices by the Fourier slice theorem: the transform of a projection is a line of the slice's.

The slice is a sample wider than the volume, of which it is continued by its mirror images.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_PRECISION = 1e-5
_SOFT_EDGE = 0.05  # of the radius


class Projector:
    """Projects planes of a volume, two at a time; one for each thread.

    Parameters
    ----------
    plane_shape : (ny, nx)
        Planes of the volume.
    diameter_vox : float
        Of the sample: a disc about the planes' centre with a soft edge, vacuum beyond. Planes are continued by their
        mirror images up to there.
    columns : int
        Of the projections; at least the diameter, so that the sample does not wrap round.
    angles_rad : (A,) float64

    Raises
    ------
    InputError
        If the columns do not hold the sample.
    """

    def __init__(self, plane_shape: tuple[int, int], diameter_vox: float, columns: int, angles_rad: Floats) -> None:
        import finufft

        if columns < diameter_vox:
            raise InputError(
                f"columns must be >= the sample's diameter, {diameter_vox:g} voxels (got {columns}): give more columns"
            )
        self._shape = (len(angles_rad), columns)
        sides = [_wide_side(n, diameter_vox) for n in plane_shape]
        self._rows, self._columns = (mirror_indices(n, side) for n, side in zip(plane_shape, sides, strict=True))
        self._disc = _soft_disc(sides, diameter_vox)
        frequency = np.fft.fftfreq(columns)
        along_y = np.sin(angles_rad)[:, None] * frequency
        along_x = np.cos(angles_rad)[:, None] * frequency
        self._plan = finufft.Plan(2, tuple(sides), 1, _PRECISION, -1, "complex64", nthreads=1, upsampfac=2.0)
        self._plan.setpts(*((2 * np.pi * f).astype(np.float32).ravel() for f in (along_y, along_x)))
        # finufft counts modes from -(side // 2), columns are counted from 0; both have their centre at (n - 1) / 2
        shift = [(side - 1) / 2 - side // 2 for side in sides]
        turn = along_y * shift[0] + along_x * shift[1] - frequency * ((columns - 1) / 2)
        self._phase = np.exp(2j * np.pi * turn).astype(np.complex64)
        if columns % 2 == 0:  # alone at its frequency, it would mix the two planes
            self._phase[:, columns // 2] = 0

    def project(self, planes: Singles) -> Singles:
        """Line integrals of one or two planes.

        Parameters
        ----------
        planes : (1 or 2, ny, nx) float32

        Returns
        -------
        (1 or 2, A, columns) float32
            Sums along the lines x cos(angle) + y sin(angle) = u in voxels; x and y from the plane's centre, and u from
            the middle of the columns.
        """
        from scipy import fft

        wide = planes[:, self._rows[:, None], self._columns[None, :]] * self._disc
        pair = np.empty(wide.shape[1:], np.complex64)
        pair.real = wide[0]
        pair.imag = wide[1] if len(wide) > 1 else 0
        spectrum = np.asarray(self._plan.execute(pair)).reshape(self._shape) * self._phase
        lines = fft.ifft(spectrum, axis=1, overwrite_x=True, workers=1)
        return np.stack([lines.real, lines.imag][: len(planes)])


def mirror_indices(size: int, wide: int) -> NDArray[np.int64]:
    """Where each sample of a centred, wider axis is found when `size` samples are continued by their mirror images.

    Parameters
    ----------
    size : int
    wide : int
        As odd or even as size is.

    Returns
    -------
    (wide,) int64

    Examples
    --------
    >>> mirror_indices(3, 9).tolist()
    [2, 1, 0, 0, 1, 2, 2, 1, 0]
    """
    index = (np.arange(wide) - (wide - size) // 2) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


def _wide_side(size: int, diameter: float) -> int:
    wide = math.ceil(diameter) + 2
    return wide + (wide - size) % 2


def _soft_disc(sides: list[int], diameter: float) -> Singles:
    y, x = ((np.arange(side) - (side - 1) / 2) for side in sides)
    radius = diameter / 2
    depth = np.clip((radius - np.hypot(y[:, None], x)) / (_SOFT_EDGE * radius), 0, 1)
    return np.asarray(depth**2 * (3 - 2 * depth), dtype=np.float32)

"""An endless analytic speckle object: a sum of compact blobs that can be evaluated exactly at any real position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voltome.errors import InputError

Floats = NDArray[np.float64]

_OVERLAP = 6.0  # blobs of one width that cover a point, on average
_WIDTH_SPREAD = 0.2  # a blob's width varies by this fraction to either side
_RADIUS_PER_WIDTH = np.sqrt(8.0)  # (1 - r^2/R^2)^4 has the curvature of a Gaussian of sd R / sqrt(8)
_CELL_VOX = 3.0  # edge of the small cells that list their blobs: fewer idle visits against longer lists
_TILE_VOX = 64.0
_VARIANCE = 0.0472938  # integral of (1 - r^2)^8 over the unit ball, divided by the ball's volume

_MEAN, _CONTRAST = 1.0, 0.2  # grey value and its sd; empty space is 0


def _hash(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's mixing function: random bits that depend on nothing but the value."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@dataclass(frozen=True)
class SpeckleTexture:
    """Speckle of several widths, a function of position alone.

    Space is divided into cells; each holds one blob of random place, width and amplitude, drawn by a hash of the
    cell and the seed. So the object has no edge, needs no storage, and is the same however it is cut up.

    Parameters
    ----------
    seed : int
    widths_vox : tuple of float
        Gaussian-equivalent sd of each population of blobs; they contribute equally to the variance. Add wider ones
        for a multi-scale texture.
    sharpness : float
        0 leaves the sum as it is; above, tanh(sharpness x sum) turns it into two soft phases, like particles.
    """

    seed: int = 0
    widths_vox: tuple[float, ...] = (1.5, 2.4, 4.0)
    sharpness: float = 0.0

    def __post_init__(self) -> None:
        if not self.widths_vox or min(self.widths_vox) < 0.5:
            raise InputError(f"widths_vox must be >= 0.5 voxel (got {self.widths_vox}): give (1.5, 2.4, 4.0)")

    def evaluate(self, points_vox: ArrayLike) -> Floats:
        """Grey value at any positions.

        Parameters
        ----------
        points_vox : (N, 3) array
            Positions in voxels; NaN stands for empty space.

        Returns
        -------
        (N,) float64
            Mean 1, sd 0.2 without sharpening; 0 in empty space. Memory is bounded by tiles of 64^3 voxels.

        Raises
        ------
        InputError
            If the points are not (N, 3).
        """
        points = np.ascontiguousarray(points_vox, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(f"points must have shape (N, 3) (got {points.shape}): give z, y, x in voxels")
        out = np.zeros(len(points))
        full = np.flatnonzero(np.isfinite(points).all(axis=1))
        tiles = np.floor(points[full] / _TILE_VOX).astype(np.int64)
        _, tile = np.unique(tiles, axis=0, return_inverse=True)
        order = full[np.argsort(tile.ravel(), kind="stable")]
        for members in np.split(order, np.cumsum(np.bincount(tile.ravel()))[:-1]) if len(order) else []:
            out[members] = self.evaluate_near(points[members])
        return out

    def evaluate_near(self, points_vox: Floats) -> Floats:
        """Grey value at positions that lie close together: `evaluate` without tiles, memory by their bounding box.

        Parameters
        ----------
        points_vox : (N, 3) float64
            Finite positions.

        Returns
        -------
        (N,) float64

        Raises
        ------
        InputError
            Never.
        """
        from voltome.twin.texture_loops import sort_blobs, sum_blobs

        low, high = points_vox.min(axis=0), points_vox.max(axis=0)
        first = np.floor(low / _CELL_VOX).astype(np.int64)
        size = np.floor(high / _CELL_VOX).astype(np.int64) - first + 1
        # all blobs that reach into the cells, also those that miss the points: a cell's list must not depend on them
        blobs = self._blobs(first * _CELL_VOX, (first + size) * _CELL_VOX)
        start, lists = sort_blobs(blobs, first, size, _CELL_VOX)
        out = np.empty(len(points_vox))
        sum_blobs(points_vox, first, size, _CELL_VOX, start, lists, out)
        if self.sharpness > 0:
            out = np.tanh(self.sharpness * out)
        return _MEAN + _CONTRAST * out

    def _blobs(self, low: Floats, high: Floats) -> Floats:
        """Blobs (B, 5: z, y, x, radius, amplitude) that may reach into the box low ... high; amplitudes for sd 1."""
        groups = []
        for population, width in enumerate(self.widths_vox):
            radius = width * _RADIUS_PER_WIDTH
            cube = 1 + _WIDTH_SPREAD**2  # mean of (radius / nominal)^3 for a uniform spread
            edge = (4 / 3 * np.pi * radius**3 * cube / _OVERLAP) ** (1 / 3)
            reach = radius * (1 + _WIDTH_SPREAD)
            axes = [
                np.arange(np.floor((a - reach) / edge), np.floor((b + reach) / edge) + 1)
                for a, b in zip(low, high, strict=True)
            ]
            cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
            draw = self._draw(cells.astype(np.int64), population)
            sign = np.where(draw[:, 5] < 0.5, -1.0, 1.0)
            # amplitudes from 0.5 to 1 have a mean square of 7/12
            scale = 1 / np.sqrt(len(self.widths_vox) * _OVERLAP * _VARIANCE * 7 / 12)
            radii = radius * (1 + _WIDTH_SPREAD * (2 * draw[:, 3] - 1))
            columns = ((cells + draw[:, :3]) * edge, radii[:, None], (sign * scale * (0.5 + 0.5 * draw[:, 4]))[:, None])
            groups.append(np.concatenate(columns, axis=1))
        return np.concatenate(groups)

    def _draw(self, cells: NDArray[np.int64], population: int) -> Floats:
        """Six uniform numbers per cell, (C, 6)."""
        state = _hash(np.full(len(cells), self.seed * 64 + population, dtype=np.int64).view(np.uint64))
        for axis in range(3):
            state = _hash(state ^ np.ascontiguousarray(cells[:, axis]).view(np.uint64))
        bits = np.stack([_hash(state + np.uint64(k)) for k in range(1, 7)], axis=1)
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53

"""Voxel grids, regular node grids, and what may stand for a volume.

Order is z, y, x. Voxel centres are at integers, 0-based; a volume of n voxels is centred at (n - 1) / 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Shape3 = tuple[int, int, int]
Block = tuple[slice, slice, slice]


@runtime_checkable
class VolumeSource(Protocol):
    """A volume that can be read block by block: a NumPy array, or what `voltome.io.open_volume` returns."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, block: Block, /) -> NDArray[Any]: ...


def make_block(start: Iterable[int], stop: Iterable[int]) -> Block:
    """Three slices from a first and a last-but-one corner.

    Parameters
    ----------
    start, stop : three int
        Corner (z, y, x), and the corner behind the last voxel.

    Returns
    -------
    tuple of slice
    """
    z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return z, y, x


@dataclass(frozen=True)
class VoxelGrid:
    """Shape and voxel size of a volume.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_m : float or None
        Edge of the cubic voxel in metres; None where nobody said.
    """

    shape: Shape3
    voxel_size_m: float | None = None

    @property
    def centre_vox(self) -> NDArray[np.float64]:
        """Position of the centre, (n - 1) / 2 on each axis."""
        return (np.asarray(self.shape, dtype=np.float64) - 1.0) / 2.0


def regular_nodes(shape: Sequence[int], node_spacing_vox: int) -> tuple[NDArray[np.int64], Shape3]:
    """Positions of a regular node grid: ns, 2 ns, ... < n on each axis, as SPAM places them.

    Parameters
    ----------
    shape : sequence of int
        Shape of the volume (z, y, x).
    node_spacing_vox : int
        Distance between nodes in voxels, the same on each axis.

    Returns
    -------
    positions : (N, 3) int64
        Node positions in voxels, x fastest.
    grid_shape : tuple of int
        Nodes along z, y, x; N is their product.

    Raises
    ------
    InputError
        If the spacing is below 1, or no node fits.

    Examples
    --------
    >>> positions, grid_shape = regular_nodes((50, 40, 31), 15)
    >>> grid_shape
    (3, 2, 2)
    >>> positions[0].tolist(), positions[-1].tolist()
    ([15, 15, 15], [45, 30, 30])
    """
    if node_spacing_vox < 1:
        raise InputError(f"node spacing must be >= 1 voxel (got {node_spacing_vox}): give a whole number such as 35")
    axes = [np.arange(node_spacing_vox, n, node_spacing_vox, dtype=np.int64) for n in shape]
    if min(len(axis) for axis in axes) == 0:
        raise InputError(
            f"node spacing must be below the volume's shortest side (got {node_spacing_vox} for shape "
            f"{tuple(shape)}): give a smaller node spacing"
        )
    positions = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return positions, (len(axes[0]), len(axes[1]), len(axes[2]))

"""Which blocks of a volume are looked at, and how they are read."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3, VolumeSource, make_block

Singles = NDArray[np.float32]


def check_volume(volume: VolumeSource, *, least_vox: int = 1) -> Shape3:
    """Shape of a volume that has three axes and is not too thin.

    Parameters
    ----------
    volume : VolumeSource
    least_vox : int
        What its shortest side has to have.

    Returns
    -------
    tuple of int

    Raises
    ------
    InputError
        If it is not so.
    """
    shape = tuple(int(n) for n in volume.shape)
    if len(shape) != 3:
        raise InputError(f"a volume must have the axes z, y, x (got shape {shape}): give a 3D array")
    if min(shape) < least_vox:
        raise InputError(f"each side of the volume must be >= {least_vox} voxels (got shape {shape}): give more of it")
    return shape


def tile_blocks(shape: Shape3, side_vox: int, *, equal: bool = False) -> list[Block]:
    """Blocks side by side, none wider than `side_vox`, of sides that differ by one voxel at most.

    Parameters
    ----------
    shape : tuple of int
    side_vox : int
    equal : bool
        All of one shape: then fewer voxels than blocks are left out at the far faces.

    Returns
    -------
    list of Block
    """
    edges = []
    for n in shape:
        count = -(-n // side_vox)
        edges.append([i * (n // count) if equal else i * n // count for i in range(count + 1)])
    spans = [[slice(a, b) for a, b in itertools.pairwise(axis)] for axis in edges]
    return [(z, y, x) for z, y, x in itertools.product(*spans)]


def sample_blocks(shape: Shape3, side_vox: int, most: int, *, seed: int = 0) -> list[Block]:
    """Up to `most` of the blocks of `tile_blocks`, drawn at random and in random order.

    Parameters
    ----------
    shape : tuple of int
    side_vox, most : int
    seed : int

    Returns
    -------
    list of Block
    """
    blocks = tile_blocks(shape, side_vox)
    return [blocks[i] for i in np.random.default_rng(seed).permutation(len(blocks))[:most]]


def widen_block(block: Block, halo_vox: int, shape: Shape3) -> tuple[Block, Block]:
    """A block with halo, cut at the volume's faces, and where the block lies in it.

    Parameters
    ----------
    block : Block
    halo_vox : int
    shape : tuple of int

    Returns
    -------
    wide, inner : Block
        The second relative to the first.
    """
    start = [max(0, s.start - halo_vox) for s in block]
    stop = [min(n, s.stop + halo_vox) for s, n in zip(block, shape, strict=True)]
    inner = [(s.start - a, s.stop - a) for s, a in zip(block, start, strict=True)]
    return make_block(start, stop), make_block((a for a, _ in inner), (b for _, b in inner))


def read_block(volume: VolumeSource, block: Block, *, what: str = "the volume") -> Singles:
    """Read one block as float32.

    Parameters
    ----------
    volume : VolumeSource
    block : Block
    what : str
        What to call the volume in an error.

    Returns
    -------
    float32 array

    Raises
    ------
    InputError
        If it holds NaN or infinity.
    """
    values = np.asarray(volume[block], dtype=np.float32)
    lost = values.size - int(np.isfinite(values).sum())
    if lost:
        where = ", ".join(f"{s.start}:{s.stop}" for s in block)
        raise InputError(
            f"{what} must be finite (got {lost} NaN or infinite voxels in [{where}]): give the part that was "
            "reconstructed"
        )
    return values

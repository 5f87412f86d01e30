"""A volume in a file, read block by block."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.grid import Block, Shape3
from voltome.io.voxel_size import check_voxel_size, common_voxel_size

_KINDS = "iufb"


class BlockReader(Protocol):
    """What a file format has to offer; `Volume` does the rest.

    `chunk_shape` is what one access decodes at least (1 for what can be read row by row), so that a caller can read
    in multiples of it. `voxel_sizes_m` are the sizes that the file states along some or all axes. `read` gets a block
    within the shape, step 1, not empty; several threads call it at once.
    """

    @property
    def format(self) -> str: ...

    @property
    def shape(self) -> Shape3: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def voxel_sizes_m(self) -> Sequence[float | None]: ...

    @property
    def chunk_shape(self) -> Shape3: ...

    def read(self, block: Block) -> NDArray[Any]: ...

    def close(self) -> None: ...


class Volume:
    """A volume in a file: ``volume[z0:z1, y0:y1, x0:x1]`` reads that block and nothing more.

    Blocks come by ordinary reads, never from a memory map, as C-contiguous arrays in the machine's byte order; bool
    comes as uint8. Any number of threads may read at once. Use it as a context manager, or call `close`.

    Parameters
    ----------
    path : str
        As the user gave it.
    reader : BlockReader
    voxel_size_m : float, optional
        Wins over the size that the file states.

    Attributes
    ----------
    path, format : str
    shape : tuple of int
        Voxels along z, y, x.
    dtype : numpy.dtype
    voxel_size_m : float or None
        Edge of the voxel in metres; None where nobody said.
    chunk_shape : tuple of int
        Reading in multiples of it decodes nothing twice.
    """

    def __init__(self, path: str, reader: BlockReader, *, voxel_size_m: float | None = None) -> None:
        check_voxel_size(voxel_size_m)
        self.path = path
        self.format = reader.format
        if voxel_size_m is None:
            voxel_size_m = common_voxel_size(reader.voxel_sizes_m, path)
        self.voxel_size_m = None if voxel_size_m is None else float(voxel_size_m)
        self.chunk_shape = reader.chunk_shape
        self._reader = reader
        self._out = np.dtype(np.uint8) if reader.dtype.kind == "b" else reader.dtype.newbyteorder("=")

    @property
    def shape(self) -> Shape3:
        """Voxels along z, y, x."""
        return self._reader.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the blocks, in the machine's byte order."""
        return self._out

    def __getitem__(self, block: Block) -> NDArray[Any]:
        block = _full_block(block, self.shape)
        if any(edge.start >= edge.stop for edge in block):
            return np.zeros([max(edge.stop - edge.start, 0) for edge in block], dtype=self._out)
        try:
            values = self._reader.read(block)
        except OSError as error:
            if isinstance(error, ResourceError):
                raise
            raise ResourceError(f"{self.path} could not be read ({error}): check that it is still there") from error
        return np.ascontiguousarray(values, dtype=self._out)

    def close(self) -> None:
        """Close the file; blocks can no longer be read."""
        self._reader.close()

    def __enter__(self) -> Volume:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Volume {self.path} ({self.format}) {self.shape} {self.dtype}>"


def _full_block(block: Block, shape: Shape3) -> Block:
    edges = tuple(block) if isinstance(block, tuple) else (block,)
    if len(edges) > 3 or not all(isinstance(edge, slice) for edge in edges):
        raise TypeError(f"a volume is read by up to three slices, such as volume[0:8, :, :] (got {block!r})")
    full = []
    for edge, n in zip((*edges, slice(None), slice(None), slice(None)), shape, strict=False):
        if edge.step is not None and operator.index(edge.step) != 1:
            raise TypeError(f"a volume is read without gaps (got step {edge.step}): read it and stride the array")
        start, stop, _ = edge.indices(n)
        full.append(slice(start, stop))
    return full[0], full[1], full[2]


def check_volume(shape: Sequence[int], dtype: np.dtype[Any], path: str) -> Shape3:
    """Refuse what is not a grey or label volume.

    Parameters
    ----------
    shape : sequence of int
        Leading axes of length one (a single time or channel) are dropped.
    dtype : numpy.dtype
    path : str
        For the message.

    Returns
    -------
    tuple of int
        Voxels along z, y, x.

    Raises
    ------
    InputError
        If it is not three-dimensional, is empty, or is neither whole nor real numbers.
    """
    shape = tuple(int(n) for n in shape)
    if len(shape) < 3:
        found = {0: "a single number", 1: "one-dimensional", 2: "two-dimensional"}[len(shape)]
        raise InputError(f"a volume must have three axes z, y, x ({path} is {found}, shape {shape}): give a 3D volume")
    if int(np.prod([bool(n) for n in shape])) == 0:
        raise InputError(f"a volume must hold voxels ({path} is empty, shape {shape}): give another file")
    if any(n != 1 for n in shape[:-3]):
        raise InputError(
            f"a volume must have three axes z, y, x ({path} has {len(shape)}, shape {shape}): save one time step or "
            "channel by itself"
        )
    if dtype.kind not in _KINDS or dtype.itemsize > 8:
        kind = "complex" if dtype.kind == "c" else f"of type {dtype}"
        raise InputError(f"voxels must be whole or real numbers ({path} is {kind}): save its magnitude or one part")
    return shape[-3], shape[-2], shape[-1]

"""A volume as an image for ParaView (.vti)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.io.staging import staged_file
from voltome.io.voxel_size import check_voxel_size

_SLAB_BYTES = 2**26
_KINDS = {"f": "Float", "i": "Int", "u": "UInt"}


def write_volume_vti(
    path: str | Path,
    source: VolumeSource,
    *,
    name: str = "grey",
    voxel_size_m: float | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a volume slab by slab as VTK's ImageData: values at points, the first voxel's centre at the origin.

    It lies where `write_strain_vtu` puts the nodes of a field.

    Parameters
    ----------
    path : str or Path
    source : array or Volume
        (nz, ny, nx) whole or real numbers.
    name : str
        Of the values.
    voxel_size_m : float, optional
        Edge of the voxel: coordinates are in metres; without it, and without one of the source's own, in voxels.
    overwrite : bool
        Replace an existing file.
    on_progress : callable, optional
        Called with (done, total) slices.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the file exists and `overwrite` is False, the voxel size is not positive, or voxels are no numbers.
    ResourceError
        If the disk is full or there is no permission.
    """
    voxel_size_m = getattr(source, "voxel_size_m", None) if voxel_size_m is None else voxel_size_m
    check_voxel_size(voxel_size_m)
    dtype = source.dtype.newbyteorder("<")
    if dtype.kind not in _KINDS:
        raise InputError(f"voxels must be whole or real numbers (got {dtype}): convert the volume first")
    nz, ny, nx = source.shape
    extent = f"0 {nx - 1} 0 {ny - 1} 0 {nz - 1}"
    spacing = " ".join([repr(1.0 if voxel_size_m is None else float(voxel_size_m))] * 3)
    header = (
        '<?xml version="1.0"?>\n'
        '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n'
        f'<ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="{spacing}">\n'
        f'<Piece Extent="{extent}">\n<PointData Scalars="{name}">\n'
        f'<DataArray type="{_KINDS[dtype.kind]}{8 * dtype.itemsize}" Name="{name}" format="appended" offset="0"/>\n'
        '</PointData>\n</Piece>\n</ImageData>\n<AppendedData encoding="raw">\n_'
    )
    deep = getattr(source, "chunk_shape", (1, 1, 1))[0]
    depth = deep * max(1, _SLAB_BYTES // (deep * ny * nx * dtype.itemsize))
    with staged_file(path, overwrite=overwrite) as part, open(part, "wb") as file:
        file.write(header.encode())
        file.write((math.prod(source.shape) * dtype.itemsize).to_bytes(8, "little"))
        for z in range(0, nz, depth):
            stop = min(z + depth, nz)
            file.write(np.ascontiguousarray(source[z:stop, 0:ny, 0:nx], dtype=dtype).tobytes())
            if on_progress is not None:
                on_progress(stop, nz)
        file.write(b"\n</AppendedData>\n</VTKFile>\n")

"""Write TIFF volumes: one file that ImageJ reads, or a folder of slices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.grid import Shape3
from voltome.io.staging import staged_directory, staged_file

_BIGTIFF_BYTES = 2**32 - 2**25  # leaves room for the page directories below the 4 GiB that offsets can address


def write_tiff(
    path: Path,
    shape: Shape3,
    dtype: np.dtype[Any],
    slabs: Iterable[NDArray[Any]],
    *,
    voxel_size_m: float | None,
    overwrite: bool,
) -> None:
    """Write a multi-page TIFF slab by slab; BigTIFF where 4 GiB do not suffice.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    dtype : numpy.dtype
    slabs : iterable of (n, ny, nx) arrays
        From z = 0 on, together the volume.
    voxel_size_m : float or None
        Stored as ImageJ does, in micrometres.
    overwrite : bool

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError, ResourceError
        As `staged_file`.
    """
    with staged_file(path, overwrite=overwrite) as part:
        _write_pages(part, shape, dtype, (page for slab in slabs for page in slab), voxel_size_m)


def write_tiff_folder(
    path: Path,
    shape: Shape3,
    dtype: np.dtype[Any],
    slabs: Iterable[NDArray[Any]],
    *,
    voxel_size_m: float | None,
    overwrite: bool,
) -> None:
    """Write a folder of TIFF slices, ``<folder>_0000.tif`` and on.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    dtype : numpy.dtype
    slabs : iterable of (n, ny, nx) arrays
    voxel_size_m : float or None
    overwrite : bool

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError, ResourceError
        As `staged_directory`.
    """
    digits = max(4, len(str(shape[0] - 1)))
    with staged_directory(path, overwrite=overwrite, replaces=(f"{path.name}_[0-9]*.tif",)) as part:
        for i, page in enumerate(page for slab in slabs for page in slab):
            file = part / f"{path.name}_{i:0{digits}d}.tif"
            _write_pages(file, (1, *shape[1:]), dtype, iter([page]), voxel_size_m)


def _write_pages(
    path: Path, shape: Shape3, dtype: np.dtype[Any], pages: Iterator[NDArray[Any]], voxel_size_m: float | None
) -> None:
    import tifffile

    size_um = None if voxel_size_m is None else float(f"{voxel_size_m * 1e6:.12g}")
    lines = ["ImageJ=1.54f", f"images={shape[0]}", f"slices={shape[0]}", "loop=false"]
    lines += [] if size_um is None else ["unit=micron", f"spacing={size_um!r}"]
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    with tifffile.TiffWriter(path, bigtiff=nbytes > _BIGTIFF_BYTES, byteorder="<") as tif:
        tif.write(
            (np.ascontiguousarray(page) for page in pages),
            shape=shape,
            dtype=dtype,
            photometric="minisblack",
            description="\n".join(lines) + "\n",
            metadata=None,
            software="voltome",
            resolution=None if size_um is None else (1 / size_um, 1 / size_um),
            resolutionunit=None if size_um is None else "NONE",
        )

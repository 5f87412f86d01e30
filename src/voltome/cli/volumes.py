"""`voltome convert` and `voltome info`: volumes from one format to another, and what a file holds."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.summary import in_words, print_written


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="Volume to read.", show_default=False)],
    target: Annotated[
        str, typer.Argument(metavar="OUT", help="Volume to write; its ending tells the format.", show_default=False)
    ],
    voxel_size_m: options.VoxelSize = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Convert a volume, block by block: TIFF, a folder of slices, HDF5, NumPy, raw, OME-Zarr."""
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.volumes import convert_volume

    with show_progress(quiet=quiet) as on_progress:
        convert_volume(
            source,
            target,
            voxel_size_m=voxel_size_m,
            shape=raw_shape,
            dtype=dtype,
            overwrite=overwrite,
            on_progress=partial(on_progress, "conversion"),
        )
    print_written(target, quiet=quiet)


def info(
    volume: Annotated[str, typer.Argument(metavar="FILE", help="Volume to describe.", show_default=False)],
    voxel_size_m: options.VoxelSize = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    quiet: options.Quiet = False,
) -> None:
    """Tell what a volume holds: shape, type, voxel size, range of grey values."""
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.volumes import describe_volume

    with show_progress(quiet=quiet) as on_progress:
        described = describe_volume(
            volume, shape=raw_shape, dtype=dtype, voxel_size_m=voxel_size_m, on_progress=partial(on_progress, "reading")
        )
    for name, value in described.items():
        typer.echo(f"{name}: {in_words(value)}")

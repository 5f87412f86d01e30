"""`voltome deform`, `residual` and `strain`: what follows from a deformation field that is already there."""

from __future__ import annotations

from typing import Annotated

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.summary import print_written


def deform(
    reference: options.Reference,
    phi: options.PhiTable,
    out: options.OutVolume,
    interpolation: options.InterpolationOption = "cubic",
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Deform REF by a field, as it should look in the deformed state."""
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.deform import deform_volume

    with show_progress(quiet=quiet, compiles=["kernels"]) as on_progress:
        deform_volume(
            reference,
            phi,
            out,
            interpolation=interpolation,
            threads=threads,
            overwrite=overwrite,
            shape=raw_shape,
            dtype=dtype,
            on_progress=on_progress,
        )
    print_written(out, quiet=quiet)


def residual(
    reference: options.Reference,
    deformed: options.Deformed,
    phi: options.PhiTable,
    out: options.OutVolume,
    interpolation: options.InterpolationOption = "cubic",
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Subtract REF from DEF brought back by a field, their grey gain matched: what the field does not explain."""
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.deform import write_residual

    with show_progress(quiet=quiet, compiles=["kernels"]) as on_progress:
        write_residual(
            reference,
            deformed,
            phi,
            out,
            interpolation=interpolation,
            threads=threads,
            overwrite=overwrite,
            shape=raw_shape,
            dtype=dtype,
            on_progress=on_progress,
        )
    print_written(out, quiet=quiet)


def strain(
    phi: options.PhiTable,
    out: options.OutFolder,
    measure: options.MeasureOption = "hencky",
    gradient: options.GradientOption = "geers",
    radius: Annotated[
        float, typer.Option("--radius", metavar="SPACINGS", help="Radius of the Geers gradient, in node spacings.")
    ] = 1.0,
    voxel_size_m: options.VoxelSize = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Derive strain from the displacements of a field."""
    from voltome.pipeline.strain import write_strain

    write_strain(
        phi, out, measure=measure, gradient=gradient, radius=radius, voxel_size_m=voxel_size_m, overwrite=overwrite
    )
    print_written(out, quiet=quiet)

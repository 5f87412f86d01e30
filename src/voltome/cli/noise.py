"""`voltome noise`: what a correlation of these scans can resolve, from two scans of an unmoved sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress


def noise(
    repeat_a: Annotated[str, typer.Argument(metavar="REPEAT_A", help="First scan, in any format.", show_default=False)],
    repeat_b: Annotated[
        str, typer.Argument(metavar="REPEAT_B", help="Second scan of the same, unmoved sample.", show_default=False)
    ],
    out: options.OutFolder,
    half_windows: Annotated[
        str | None,
        typer.Option(
            "--half-windows", metavar="VOX,VOX,...", help="Half windows to try.", show_default="8 to 64 that fit"
        ),
    ] = None,
    strain_resolution: Annotated[
        float,
        typer.Option("--strain-resolution", metavar="STRAIN", help="Wanted sd of axial strain, a fraction."),
    ] = 1e-3,
    no_virtual: Annotated[
        bool, typer.Option("--no-virtual", help="Measure noise alone, neither bias nor spatial resolution.")
    ] = False,
    crop: Annotated[
        int, typer.Option("--crop", metavar="VOX", help="Side of the central part for bias and resolution.")
    ] = 160,
    mask: Annotated[
        str | None,
        typer.Option("--mask", metavar="VOLUME", help="Weight of each voxel of REPEAT_A, 0 to 1.", show_default=False),
    ] = None,
    voxel_size_m: options.VoxelSize = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure noise, bias and spatial resolution against window size, from two scans of an unmoved sample.

    Writes noise.tsv, noise.png, noise.svg and summary.json, and recommends a window for a wanted strain resolution.
    """
    wanted = options.parse_whole_numbers("--half-windows", half_windows, example="8,12,16")
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.noise import NoiseOptions, write_noise

    job = NoiseOptions(
        repeat_a=repeat_a,
        repeat_b=repeat_b,
        out=out,
        half_windows=wanted,
        strain_resolution=strain_resolution,
        virtual=not no_virtual,
        crop_vox=crop,
        mask=mask,
        threads=threads,
        voxel_size_m=voxel_size_m,
        shape=raw_shape,
        dtype=dtype,
        overwrite=overwrite,
    )
    with show_progress(quiet=quiet, compiles=["kernels"]) as on_progress:
        summary = write_noise(job, on_progress=on_progress)
    if not quiet:
        for line in noise_lines(summary):
            typer.echo(line)
        typer.echo(f"figure: {out / 'noise.png'}")


def noise_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Put the noise of a repeat pair into words.

    Parameters
    ----------
    summary : mapping
        As in summary.json.

    Yields
    ------
    str
        One line at a time.
    """
    yield "half window: sd of u (voxels), of F, of strain zz from displacements; measured / predicted; resolution"
    for row in summary["windows"]:
        resolution = row["resolution_vox"]
        known = f"{resolution:.0f} voxels" if resolution == resolution else "not measured"
        yield (
            f"{row['half_window_vox']:11d}: {row['sd_u_vox']:.2e}, {row['sd_f']:.2e}, {row['sd_strain_zz']:.2e}; "
            f"{row['ratio_u']:.2f}, {row['ratio_f']:.2f}; {known}"
        )
    for name, law in summary["power_laws"].items():
        if law is not None and name in ("u_vox", "f"):
            shown = "u" if name == "u_vox" else "F"
            yield (
                f"sd of {shown} = {law['factor']:.3g} h^{law['exponent']:.2f} (sd {law['factor_sd']:.1g}, "
                f"{law['exponent_sd']:.1g})"
            )
    wanted = summary["recommended"]
    for name, source in (("from_displacement", "displacements at 50 % overlap"), ("from_window_f", "windows' own F")):
        if wanted[name] is not None:
            yield (
                f"for a strain resolution of {wanted['strain_resolution']:g} from {source}: half window "
                f"{wanted[name]['half_window_vox']}"
            )
    for finding in summary["findings"]:
        yield f"found: {finding}"
    for warning in summary["warnings"]:
        yield f"warning: {warning}"
    yield f"took {sum(summary['seconds'].values()):.3g} s"

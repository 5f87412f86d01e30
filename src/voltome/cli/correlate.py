"""`voltome correlate`: two volumes become a strain field with its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.summary import print_summary


def correlate(
    reference: options.Reference,
    deformed: options.Deformed,
    out: options.OutFolder,
    node_spacing: Annotated[
        int | None,
        typer.Option(
            "--node-spacing",
            metavar="VOX",
            help="Distance between nodes. Without --pyramid this one level runs.",
            show_default="the pyramid's last",
        ),
    ] = None,
    half_window: Annotated[
        int | None,
        typer.Option(
            "--half-window", metavar="VOX", help="Half window of the last level.", show_default="the node spacing"
        ),
    ] = None,
    pyramid: Annotated[
        str | None,
        typer.Option(
            "--pyramid",
            metavar="VOX,VOX,...",
            help="Node spacings, coarse to fine.",
            show_default="100,70,35, as far as they fit",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask",
            metavar="VOLUME",
            help="Weight of each voxel of REF, 0 to 1.",
            show_default=False,
        ),
    ] = None,
    initial_phi: Annotated[
        Path | None,
        typer.Option(
            "--initial-phi",
            metavar="PHI.TSV",
            help="Start from this registration (one row) or field; no registration then.",
            show_default=False,
        ),
    ] = None,
    interpolation: options.InterpolationOption = "cubic",
    grey_low: Annotated[
        float | None,
        typer.Option("--grey-low", metavar="GREY", help="Darker voxels do not count.", show_default=False),
    ] = None,
    grey_high: Annotated[
        float | None,
        typer.Option("--grey-high", metavar="GREY", help="Brighter voxels do not count.", show_default=False),
    ] = None,
    min_coverage: Annotated[
        float,
        typer.Option("--min-coverage", metavar="FRACTION", help="Least part of a window that has to count."),
    ] = 0.5,
    max_iterations: Annotated[
        int, typer.Option("--max-iterations", metavar="N", help="Most iterations of a node.")
    ] = 50,
    median_radius: Annotated[
        int,
        typer.Option("--median-radius", metavar="NODES", help="Median over so many neighbours before strain; 0: none."),
    ] = 0,
    gaussian_sigma: Annotated[
        float, typer.Option("--gaussian-sigma", metavar="NODES", help="Gaussian smoothing before strain; 0: none.")
    ] = 0.0,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="VOLUME",
            help="Labels of REF's particles, 0 outside: each gets a Phi of its own.",
            show_default=False,
        ),
    ] = None,
    label_dilation: Annotated[
        float | None,
        typer.Option(
            "--label-dilation",
            metavar="VOX",
            help="How far a particle's window reaches beyond its label; below 0 it shrinks.",
            show_default="-1 or 2, whichever is more precise",
        ),
    ] = None,
    measure: options.MeasureOption = "hencky",
    gradient: options.GradientOption = "geers",
    voxel_size_m: options.VoxelSize = None,
    shape: options.RawShape = None,
    dtype: options.RawDtype = None,
    threads: options.Threads = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Do not write report.html.")] = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Correlate DEF with REF: displacement and strain at every node, with their uncertainty.

    Writes phi.tsv (readable by SPAM), phi_filtered.tsv, field.zarr, strain.vtu, summary.json and report.html; with
    --labels also particles.tsv: rotation, displacement and own strain of each particle.
    """
    levels = options.parse_whole_numbers("--pyramid", pyramid, example="100,70,35")
    raw_shape = options.parse_shape(shape)
    from voltome.pipeline.correlate import CorrelateOptions, correlate_pair

    job = CorrelateOptions(
        reference=reference,
        deformed=deformed,
        out=out,
        node_spacing_vox=node_spacing,
        half_window_vox=half_window,
        pyramid=levels,
        mask=mask,
        initial_phi=None if initial_phi is None else str(initial_phi),
        interpolation=interpolation,
        threads=threads,
        voxel_size_m=voxel_size_m,
        shape=raw_shape,
        dtype=dtype,
        grey_low=grey_low,
        grey_high=grey_high,
        min_coverage=min_coverage,
        max_iterations=max_iterations,
        report=not no_report,
        overwrite=overwrite,
        median_radius=median_radius,
        gaussian_sigma=gaussian_sigma,
        strain_measure=measure,
        strain_gradient=gradient,
        labels=labels,
        label_dilation_vox=label_dilation,
    )
    with show_progress(quiet=quiet, compiles=["kernels"]) as on_progress:
        summary = correlate_pair(job, on_progress=on_progress)
    print_summary(summary, out, quiet=quiet)

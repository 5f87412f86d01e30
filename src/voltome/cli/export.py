"""`voltome export`: a study's results in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.summary import print_written

Format = Literal["tiff", "vtk", "csv", "tsv"]  # as voltome.study.export has it, whose NumPy the help does not need


def export(
    study: Annotated[Path, typer.Argument(metavar="DIR", help="What `voltome run` wrote.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write.", show_default=False)],
    format: Annotated[
        Format,
        typer.Option("--as", help="Volumes as tiff or vtk, fields as vtk or SPAM's tsv, tables as csv."),
    ],
    what: Annotated[
        list[str] | None,
        typer.Option(
            "--what",
            metavar="RESULT",
            help="volumes, cumulative, increments, direct or tables; several times.",
            show_default="what the format is for",
        ),
    ] = None,
    scan: Annotated[
        list[str] | None,
        typer.Option("--scan", metavar="NAME", help="Scan, such as T3; several times.", show_default="all"),
    ] = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Export finished results of a study: TIFF, ParaView's VTK, CSV, SPAM's TSV."""
    from voltome.study.export import export_study
    from voltome.study.status import read_status

    with show_progress(quiet=quiet) as on_progress:
        names = export_study(
            study,
            out,
            format=format,
            what=what or (),
            scans=scan or (),
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if read_status(study).count("outdated"):
        typer.echo("warning: some results are of an earlier state of the study: voltome run makes them anew", err=True)
    if not quiet:
        typer.echo(f"exported: {', '.join(names)}")
    print_written(out, quiet=quiet)

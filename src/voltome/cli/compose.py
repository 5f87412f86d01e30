"""`voltome compose`: increments become the field from the first state to the last."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voltome.cli import options
from voltome.cli.summary import print_written, summary_lines


def compose(
    increments: Annotated[
        list[Path],
        typer.Argument(
            metavar="FIELD...",
            help="Two or more increments in order: PHI.TSV, field.zarr, or a folder that `voltome correlate` wrote.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="PHI.TSV", help="Deformation field to write.", show_default=False)
    ],
    independent: Annotated[
        bool,
        typer.Option("--independent", help="The increments share no image: their errors add up as independent ones."),
    ] = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Compose increments (0 to 1, 1 to 2, ...) into the field from the first state to the last.

    A folder or field.zarr brings its full covariance, a table only its standard deviations.
    """
    from voltome.pipeline.compose import write_composition

    summary = write_composition(increments, out, independent=independent, overwrite=overwrite)
    if not quiet:
        nodes = summary["nodes"]
        typer.echo(
            f"composed: {nodes['composed']} of {nodes['total']} nodes over {summary['increments']} increments, "
            f"{nodes['outside']} outside"
        )
        for line in summary_lines(summary):
            typer.echo(line)
    print_written(out, quiet=quiet)

"""`voltome new` and `voltome schema`: a study's file to start from, and its JSON schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from voltome.cli import options
from voltome.cli.summary import print_written


def new(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for study.yaml; it may hold the scans.", show_default=False)
    ],
    level: Annotated[
        Literal["required", "common", "all"],
        typer.Option("--level", help="Settings to list: what must be given, what one often changes, or every one."),
    ] = "common",
    example: Annotated[
        Literal["ID16B-nabu", "ID16B-tiff", "twin"] | None,
        typer.Option(
            "--example",
            help="Layout of the files: ESRF's ID16B with Nabu's HDF5 or with TIFF slices, or a simulated experiment.",
            show_default="two scans in volumes/",
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a study.yaml to start from, with a comment above each setting."""
    from voltome.study.template import write_template

    print_written(write_template(folder, level=level, example=example), quiet=quiet)


def schema() -> None:
    """Print the JSON schema of a study.yaml, for editors."""
    from voltome.study.template import format_schema

    typer.echo(format_schema(), nl=False)

"""`voltome simulate`: the digital twin of an in-situ experiment, with its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.summary import simulation_lines
from voltome.errors import InputError

Size = Literal["tiny", "small", "paper"]


def simulate(
    settings_file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[TWIN.YAML]", help="Settings; what it leaves out is as in the paper.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the experiment.", show_default=False)
    ] = None,
    size: Annotated[
        Size | None,
        typer.Option(
            "--size",
            help="96 x 64 x 64 voxels and 4 scans, 256 x 176 x 168 and 10, or 768 x 512 x 512 and 10.",
            show_default="small",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="All that is random follows from it.", show_default="1")
    ] = None,
    tiff: Annotated[bool, typer.Option("--tiff", help="Volumes also as TIFF, beside OME-Zarr.")] = False,
    radiographs: Annotated[
        bool,
        typer.Option("--radiographs", help="Raw radiographs as well: NXtomo, and a study that begins with them."),
    ] = False,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    show: Annotated[
        Literal["settings", "schema"] | None,
        typer.Option(
            "--show",
            help="Print the settings as a commented TWIN.YAML, or the JSON schema of one, and simulate nothing.",
            show_default=False,
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Simulate an in-situ experiment on a silicon electrode: scans, cycler data, and the truth of all that happens.

    Writes volumes/, cycler.csv, study.yaml, twin.yaml, and truth/: phases, labels, displacement, particles, thickness
    of each scan, strain, masses and volumes, events. With --radiographs also radiographs/ and study-radiographs.yaml.
    """
    from voltome.pipeline.twin_folder import format_settings, load_settings, schema_text

    if show == "schema":
        typer.echo(schema_text(), nl=False)
        return
    settings = load_settings(settings_file, size=size, seed=seed)
    if show == "settings":
        typer.echo(format_settings(settings), nl=False)
        return
    if out is None:
        raise InputError("--out must name a folder for the experiment (got none): give such as --out experiment")
    from voltome.pipeline.simulate import simulate_experiment

    with show_progress(quiet=quiet, compiles=["twin"]) as on_progress:
        summary = simulate_experiment(
            settings,
            out,
            tiff=tiff,
            radiographs=radiographs,
            threads=threads,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if not quiet:
        for line in simulation_lines(summary):
            typer.echo(line)
        typer.echo(f"wrote {out}")

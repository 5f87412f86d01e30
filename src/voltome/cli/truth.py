"""`voltome truth`: what a simulated experiment did at any position."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress
from voltome.cli.summary import print_written


def truth(
    experiment: Annotated[
        Path, typer.Argument(metavar="DIR", help="What `voltome simulate` wrote.", show_default=False)
    ],
    step: Annotated[str, typer.Option("--step", metavar="NAME", help="Deformed scan, such as T6.", show_default=False)],
    at: Annotated[
        Path,
        typer.Option("--at", metavar="NODES.TSV", help="Table with Zpos, Ypos, Xpos in voxels.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="TRUTH.TSV", help="Table to write, in SPAM's columns.", show_default=False)
    ],
    start: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Reference scan.", show_default="the first")
    ] = None,
    half_window: Annotated[
        int | None,
        typer.Option(
            "--half-window",
            metavar="VOX",
            help="The affine motion that fits such a window best, instead of the node's own.",
            show_default=False,
        ),
    ] = None,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell the true Phi from one scan of a simulated experiment to another, at the nodes of a table.

    The drift of the scans is in it. returnStatus is 2 inside the electrode and -5 elsewhere.
    """
    from voltome.pipeline.truth import write_truth

    with show_progress(quiet=quiet) as on_progress:
        write_truth(
            experiment,
            at,
            out,
            step=step,
            start=start,
            half_window_vox=half_window,
            threads=threads,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    print_written(out, quiet=quiet)

"""`voltome check`: whether a study can run, before anything is run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from voltome.cli import options

_PROBLEMS = 2  # exit code: something that the user can mend


def check(
    study_file: Annotated[
        Path, typer.Argument(metavar="STUDY.YAML", help="The study, or a folder that holds it.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the results, to see its disk.", show_default=False),
    ] = None,
    planned: Annotated[
        bool, typer.Option("--planned", help="Before the experiment: scans need not be there yet.")
    ] = False,
    threads: options.Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Check that a study can run: its settings, files, shapes, voxel sizes, disk and memory, and how long it will take.

    Everything that is wrong is told at once, with the line of the study. Nothing is written.
    """
    from voltome.io.text import plain_json
    from voltome.study.check import check_study_file

    found = check_study_file(study_file, out=out, threads=threads, planned=planned)
    if as_json:
        answer = {**found.facts, "problems": found.problems, "warnings": found.warnings}
        typer.echo(json.dumps(plain_json(answer), indent=2, ensure_ascii=False))
    else:
        if not quiet:
            for line in check_lines(found.facts):
                typer.echo(line)
            for warning in found.warnings:
                typer.echo(f"warning: {' '.join(warning.split())}")
        for problem in found.problems:
            typer.echo(f"error: {' '.join(problem.split())}", err=True)  # one line, whatever a file is called
    if found.problems:
        raise typer.Exit(_PROBLEMS)
    if not (as_json or quiet):
        typer.echo("ready to watch" if planned else "ready to run")


def check_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Put what is known of a study into words.

    Parameters
    ----------
    facts : mapping
        As `voltome.study.check.check_study` finds them.

    Yields
    ------
    str
        One line at a time; none where no scan could be opened.
    """
    if "shape" not in facts:
        return
    from voltome.io.disk import format_bytes

    names, shape = facts["scans"], " x ".join(map(str, facts["shape"]))
    listed = ", ".join(names if len(names) <= 4 else (*names[:2], "...", names[-1]))
    size = f"{shape} voxels of {facts['voxel_size_m'] * 1e9:.6g} nm"
    yield f"{len(names)} scans ({listed}) of {size}, {facts['dtype']}, {facts['polarity']}"
    levels, window = ", ".join(map(str, facts["pyramid"])), facts["half_window_vox"]
    yield f"node spacings {levels}, half window {window}: at most {facts['nodes']} nodes in each field"
    yield f"{facts['pairs']} increments and {facts['direct_pairs']} direct correlations as a check"
    for model, dice in facts.get("models", {}).items():
        yield f"phases by {model}" + ("" if dice is None else f" (Dice of silicon {dice:.3f} where it was judged)")
    yield f"disk: about {format_bytes(facts['disk_bytes'])}; memory: about {format_bytes(facts['memory_bytes'])}"
    rate = f"{facts['node_ms']:.2g} ms of CPU a node, which varies with the scans"
    threads = f"{facts['threads']} thread{'s' if facts['threads'] > 1 else ''}"
    yield f"time: about {_duration(facts['seconds'])} on {threads} ({rate})"


def _duration(seconds: float) -> str:
    """Seconds as one says them."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 6000 else f"{seconds / 3600:.2g} h"

"""`voltome run` and `voltome demo`: the results of a study, from one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voltome.cli import options
from voltome.cli.progress import show_progress

if TYPE_CHECKING:
    from voltome.study.runner import RunSummary

_FAILED = 2


def run(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY.YAML", help="The study, or a folder with study.yaml.", show_default=False)
    ],
    out: options.OutFolder,
    threads: options.Threads = None,
    processes: options.Processes = None,
    dask: options.DaskAddress = None,
    slurm: options.SlurmWorkers = None,
    quiet: options.Quiet = False,
) -> None:
    """Bring a study's results up to date: scans, correlation, composition, strain, tables, report.

    What stands is kept, what depends on a change is made again, and a run that was killed is taken up. DIR/report.html
    tells the story.
    """
    from voltome.errors import InputError
    from voltome.study.check import check_study
    from voltome.study.executors import open_workers
    from voltome.study.lookout import take_in_scans
    from voltome.study.runner import run_study
    from voltome.study.study_file import load_study

    loaded = take_in_scans(load_study(study), out)
    problems = check_study(loaded, out=out, threads=threads).problems
    if problems:
        more = f" (and {len(problems) - 1} more: voltome check {study})" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    with (
        show_progress(quiet=quiet, compiles=["kernels"]) as on_progress,
        open_workers(threads=threads, processes=processes, dask=dask, slurm=slurm) as workers,
    ):
        summary = run_study(loaded, out, workers, on_progress=on_progress)
    _end(summary, out, quiet)


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path("demo-output"),
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Simulate a tiny experiment, run it as a study, and tell how far off the truth that was."""
    from voltome.study.demo import RESULTS, list_errors, run_demo

    with show_progress(quiet=quiet, compiles=["twin", "kernels"]) as on_progress:
        summary = run_demo(out, overwrite=overwrite, threads=threads, on_progress=on_progress)
    if not quiet:
        for line in list_errors(out / RESULTS):
            typer.echo(line)
    _end(summary, out / RESULTS, quiet)


def _end(summary: RunSummary, out: Path, quiet: bool) -> None:
    if not quiet:
        for line in run_lines(summary):
            typer.echo(line)
    for name, cause in summary.failed.items():
        typer.echo(f"error: {name} failed: {cause}", err=True)
    if summary.failed:
        typer.echo(
            f"{len(summary.failed)} results failed and {len(summary.held_up)} wait for them: mend the cause and run "
            "again, the rest is kept",
            err=True,
        )
        raise typer.Exit(_FAILED)
    if not quiet:
        for text in read_warnings(out):
            typer.echo(f"warning: {text}", err=True)
        typer.echo(f"report: {out / 'report.html'}")


def read_warnings(out: Path) -> list[str]:
    """What the electrode's numbers warn of.

    Parameters
    ----------
    out : Path
        Results of a study.

    Returns
    -------
    list of str
        None where there are no such numbers.
    """
    from voltome import io

    place = out / "electrode" / "measurements.json"
    return list(io.read_json(place)["warnings"]) if place.is_file() else []


def run_lines(summary: RunSummary) -> Iterator[str]:
    """Put a run into words.

    Parameters
    ----------
    summary : RunSummary

    Yields
    ------
    str
        One line at a time.
    """
    for name, file in summary.damaged.items():
        yield f"{name} was made again: {file} was not what it had been"
    for name in summary.removed:
        yield f"{name} was removed: the study no longer has it"
    made, kept = len(summary.made), len(summary.kept)
    yield f"results: {made} made, {kept} kept" + (f", {len(summary.failed)} failed" if summary.failed else "")
    yield f"took {summary.seconds:.3g} s"

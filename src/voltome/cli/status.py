"""`voltome status`: how far a study is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from voltome.study.status import ResultStatus, StudyStatus

_LISTED = 20  # of results in one state, before the rest is counted


def status(
    store: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a study's results.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print every result as JSON.")] = False,
) -> None:
    """Tell how far a study is: what stands, runs, waits or failed, and what it all took.

    May be asked at any time, also while the study runs.
    """
    from dataclasses import asdict

    from voltome.study.status import read_status

    found = read_status(store)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    for line in status_lines(found):
        typer.echo(line)


def status_lines(found: StudyStatus) -> Iterator[str]:
    """Put the state of a study into words.

    Parameters
    ----------
    found : StudyStatus

    Yields
    ------
    str
        The run, a table with one line for each step, and what runs, was interrupted, failed or is held up.
    """
    from voltome.study.status import RESULT_STATES

    yield _describe_run(found)
    if not found.results:
        return
    shown = [state for state in RESULT_STATES if state == "done" or found.count(state)]
    rows = [["step", *shown, "of", "seconds", "CPU s", "blocks", "size"]]
    for step in dict.fromkeys(result.step for result in found.results):
        rows.append([step, *_count([result for result in found.results if result.step == step], shown)])
    rows.append(["all", *_count(found.results, shown)])
    yield from _align(rows)
    for state in ("running", "interrupted", "failed", "held up"):
        chosen = [result for result in found.results if result.state == state]
        for result in chosen[:_LISTED]:
            yield f"{state}: {_describe(result)}"
        if len(chosen) > _LISTED:
            yield f"{state}: {len(chosen) - _LISTED} more (--json lists them)"


def _describe_run(found: StudyStatus) -> str:
    words = {
        "running": f"running (process {found.process or 'unknown'})",
        "done": "done",
        "failed": "done but for results that failed: mend the cause and run again",
        "stopped": "stopped: run again to go on",
        "killed": "killed: run again to go on",
        "never": "no run is known",
    }
    since = "" if found.started is None else f"; last run began {found.started}"
    took = "" if found.seconds is None or found.run == "killed" else f", {found.seconds:.3g} s"
    watched = "" if found.watched_by is None else f"; watched (process {found.watched_by or 'unknown'})"
    return f"{found.store}: {words[found.run]}{since}{took}{watched}"


def _count(results: Sequence[ResultStatus], shown: Sequence[str]) -> list[str]:
    from voltome.io.disk import format_bytes

    counts = [sum(result.state == state for result in results) for state in shown]
    seconds, cpu_s = (
        [value for value in values if value is not None]
        for values in ([result.seconds for result in results], [result.cpu_s for result in results])
    )
    retries, blocks = sum(result.retries for result in results), sum(result.blocks_done for result in results)
    return [
        *(str(count) if count or state == "done" else "" for count, state in zip(counts, shown, strict=True)),
        str(len(results)),
        f"{sum(seconds):.1f}" if seconds else "",
        f"{sum(cpu_s):.1f}" if cpu_s else "",
        (str(blocks) if blocks else "") + (f" ({retries} again)" if retries else ""),
        format_bytes(sum(result.size_bytes for result in results)),
    ]


def _align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *others in rows:
        numbers = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *numbers)).rstrip()


def _describe(result: ResultStatus) -> str:
    if result.cause:
        return f"{result.name}: {' '.join(result.cause.split())}"
    took = "" if result.seconds is None else f", {result.seconds:.3g} s"
    return f"{result.name}, {result.blocks_done} of {result.blocks} blocks{took}"

"""Progress of a long job on the terminal: one bar for each stage, with rate and time left."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

OnProgress = Callable[[str, int, int], None]
Room = Literal["kernels", "twin"]

_PATIENCE_S = 1.0


@contextmanager
def show_progress(*, quiet: bool = False, compiles: Sequence[Room] = ()) -> Iterator[OnProgress]:
    """Show bars on stderr while the block runs, if it takes longer than a second and somebody is watching.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    compiles : sequence of {"kernels", "twin"}
        Rooms whose compiled loops the job uses: say so at its first report if one has to be compiled first.

    Yields
    ------
    callable
        `on_progress(stage, done, total)`; may be called from any thread. A total of 0 means unknown.
    """
    if quiet:
        yield lambda stage, done, total: None
        return
    bars = _Bars() if sys.stderr.isatty() else None
    rooms = compiles

    def on_progress(stage: str, done: int, total: int) -> None:
        nonlocal rooms
        if rooms:  # not earlier: a job whose input is refused compiles nothing
            _announce_compiling(rooms)
            rooms = ()
        if bars is not None:
            bars.update(stage, done, total)

    try:
        yield on_progress
    finally:
        if bars is not None:
            bars.close()


def _announce_compiling(rooms: Sequence[Room]) -> None:
    from voltome import kernels, twin

    if any({"kernels": kernels, "twin": twin}[room].needs_compiling() for room in rooms):
        typer.echo("compiling kernels (once per machine, half a minute to a minute)", err=True)


class _Bars:
    def __init__(self) -> None:
        self._progress = _make_progress()
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._waiting = threading.Timer(_PATIENCE_S, self._show)
        self._waiting.daemon = True
        self._waiting.start()

    def update(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(stage, total=total or None)
            self._progress.update(self._tasks[stage], completed=done, total=total or None)

    def _show(self) -> None:
        with self._lock:
            if not self._closed:
                self._progress.start()

    def close(self) -> None:
        self._waiting.cancel()
        with self._lock:
            self._closed = True
            self._progress.stop()


def _make_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g}/s" if speed else "")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
        transient=True,
    )

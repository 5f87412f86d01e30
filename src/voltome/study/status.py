"""How far a study is: what stands, what is being made, what failed and why, and what it all took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voltome.errors import DamagedError, InputError
from voltome.study import marks
from voltome.study.run_log import FOLDER as RUN_FOLDER

WATCH_LOCK = "watch"
"""File in the run's folder that a watch holds as long as it lasts."""

ResultState = Literal["done", "outdated", "running", "interrupted", "waiting", "failed", "held up"]
RunState = Literal["running", "done", "failed", "stopped", "killed", "never"]

RESULT_STATES: tuple[ResultState, ...] = ("done", "outdated", "running", "interrupted", "waiting", "failed", "held up")


@dataclass(frozen=True)
class ResultStatus:
    """How far one result is.

    Parameters
    ----------
    name : str
        step/subject.
    state : str
        "done": it stands; "outdated": it stands for an earlier state of the study; "running";
        "interrupted": a run was stopped or killed while it was made; "waiting";
        "failed"; "held up": it needs one that failed.
    cause : str
        Why it failed or is held up, else empty.
    seconds, cpu_s : float or None
        What it took when it was made last, or has taken so far; None where nobody remembers.
    blocks, blocks_done, retries : int
        Blocks of it in all and worked, and how often one was worked again.
    size_bytes : int
        Of its files in the store.
    """

    name: str
    state: ResultState
    cause: str = ""
    seconds: float | None = None
    cpu_s: float | None = None
    blocks: int = 0
    blocks_done: int = 0
    retries: int = 0
    size_bytes: int = 0

    @property
    def step(self) -> str:
        """First part of the name."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Parameters
    ----------
    store : str
    run : str
        The last run: "running" now, "done", "failed" (some results did), "stopped" by Ctrl-C or an error, "killed", or
        "never" where nothing is known of one.
    process, watched_by : int or None
        Process of the run that goes on, and of a watch that waits for more scans.
    started : str or None
        When the last run began, UTC.
    seconds : float or None
        How long it took, or has taken when it last said so.
    results : tuple of ResultStatus
        In the order of the study's steps.
    """

    store: str
    run: RunState
    process: int | None
    watched_by: int | None
    started: str | None
    seconds: float | None
    results: tuple[ResultStatus, ...]

    def count(self, *states: ResultState) -> int:
        """How many results are in one of some states."""
        return sum(result.state in states for result in self.results)

    @property
    def cpu_s(self) -> float:
        """Processor seconds of all results that are remembered."""
        return sum(result.cpu_s or 0.0 for result in self.results)

    @property
    def size_bytes(self) -> int:
        """Size of all results that stand."""
        return sum(result.size_bytes for result in self.results)


def read_status(store: str | Path) -> StudyStatus:
    """Read how far a study is, from its marks and what the last run says of itself; one that goes on is not disturbed.

    Parameters
    ----------
    store : str or Path
        Folder of the results.

    Returns
    -------
    StudyStatus

    Raises
    ------
    InputError
        If it is no folder with a study's results.
    ResourceError
        If there is no permission to read it.
    """
    from voltome import io

    folder = Path(store)
    if not any((folder / name).is_dir() for name in (RUN_FOLDER, marks.FOLDER)):
        what = "holds no study's results" if folder.is_dir() else "is not a folder that is there"
        raise InputError(f"{folder} {what}: give the folder that `voltome run` wrote, its --out")
    run = _read(folder / RUN_FOLDER / "run.json")
    process = io.lock_holder(folder / RUN_FOLDER / "lock")
    said, took = run.get("results", {}), _read(folder / RUN_FOLDER / "timings.json").get("results", {})
    sizes = {mark.name: mark.size_bytes for mark in _read_marks(folder)}
    results = [
        _describe(name, said.get(name, {}), took.get(name, {}), sizes, process is not None)
        for name in _order([*said, *sizes])
    ]
    return StudyStatus(
        store=str(store),
        run=_name_state(run.get("state"), process is not None),
        process=process,
        watched_by=io.lock_holder(folder / RUN_FOLDER / WATCH_LOCK),
        started=run.get("started"),
        seconds=run.get("seconds"),
        results=tuple(results),
    )


def _read(path: Path) -> dict[str, Any]:
    """What a run said; nothing where it said nothing that can be read."""
    from voltome import io

    try:
        return io.read_json(path)
    except DamagedError:
        return {}


def _read_marks(folder: Path) -> Iterable[marks.Mark]:
    found = (marks.read_mark(folder, name) for name in marks.find_marks(folder))
    return (mark for mark in found if mark is not None)


def _order(names: Iterable[str]) -> list[str]:
    """Names by step, in the order of the steps, and within a step by their numbers."""
    from voltome.io.natural_order import natural_key
    from voltome.study.steps import STEPS

    steps = [step.name for step in STEPS]

    def place(name: str) -> tuple[int, list[str | int]]:
        step, _, subject = name.partition("/")
        return steps.index(step) if step in steps else len(steps), natural_key(subject)

    return sorted(set(names), key=place)


def _name_state(said: str | None, going_on: bool) -> RunState:
    if going_on:
        return "running"
    known: dict[str | None, RunState] = {"done": "done", "failed": "failed", "stopped": "stopped", "running": "killed"}
    return known.get(said, "never")


def _describe(
    name: str, said: Mapping[str, Any], took: Mapping[str, Any], sizes: Mapping[str, int], going_on: bool
) -> ResultStatus:
    effort = said if "blocks" in said else took
    return ResultStatus(
        name=name,
        state=_judge(said.get("state"), name in sizes, going_on),
        cause=said.get("cause", ""),
        seconds=effort.get("seconds"),
        cpu_s=effort.get("cpu_s"),
        blocks=effort.get("blocks", 0),
        blocks_done=effort.get("blocks_done", 0),
        retries=effort.get("retries", 0),
        size_bytes=sizes.get(name, 0),
    )


def _judge(said: str | None, stands: bool, going_on: bool) -> ResultState:
    """A mark says that a result stands; while a run goes on, it may still find that it is no longer true."""
    if said == "running":
        return "running" if going_on else "done" if stands else "interrupted"
    if said in ("outdated", "held up") and stands:
        return "outdated"
    if said == "waiting" and going_on:
        return "waiting"
    if stands:
        return "done"
    if said == "failed":
        return "failed"
    return "held up" if said == "held up" else "waiting"

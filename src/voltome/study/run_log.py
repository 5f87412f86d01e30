"""What a run says of itself while it goes on: run.json for `voltome status`, timings.json when it is over."""

from __future__ import annotations

import datetime
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from voltome import __version__
from voltome.errors import DamagedError
from voltome.study.job import Effort

FOLDER = "run"
_EVERY_S = 1.0

State = Literal["kept", "outdated", "waiting", "running", "done", "failed", "held up"]


@dataclass
class Progress:
    """How far a result is."""

    state: State
    cause: str = ""
    effort: Effort | None = None
    since_s: float = 0.0


class RunLog:
    """The states of all results of a run, and its file.

    Parameters
    ----------
    store : Path
    """

    def __init__(self, store: Path) -> None:
        self._path = store / FOLDER / "run.json"
        self._timings = store / FOLDER / "timings.json"
        self.started = datetime.datetime.now(datetime.UTC)
        self._clock, self._cpu_s = time.perf_counter(), time.process_time()
        self._written = -_EVERY_S
        self._lock = threading.Lock()
        self.results: dict[str, Progress] = {}

    def note(self, name: str, state: State, *, cause: str = "", effort: Effort | None = None) -> None:
        """Say that a result has come to a state.

        Parameters
        ----------
        name : str
        state : str
        cause : str
            Why it failed.
        effort : Effort, optional
            Followed while it runs.

        Returns
        -------
        None
            The file follows within a second.
        """
        now = time.perf_counter() - self._clock
        with self._lock:
            before = self.results.get(name)
            effort = effort or (before.effort if before else None)
            if effort is not None and before is not None and before.state == "running":
                effort.seconds = now - before.since_s
            self.results[name] = Progress(state, cause, effort, now)
        self.save()

    def save(self, *, state: str = "running", force: bool = False) -> None:
        """Write run.json, at most once in a second unless it has to be.

        Parameters
        ----------
        state : str
            Of the whole run.
        force : bool

        Returns
        -------
        None
            The file stands when this returns.
        """
        from voltome import io

        with self._lock:
            now = time.perf_counter() - self._clock
            if not force and now - self._written < _EVERY_S:
                return
            self._written = now
            values = {
                "voltome": __version__,
                "state": state,
                "process": os.getpid(),
                "started": self.started.isoformat(timespec="seconds"),
                "seconds": round(now, 3),
                "results": {name: self._describe(progress, now) for name, progress in self.results.items()},
            }
            io.write_json(self._path, values, overwrite=True)

    def _describe(self, progress: Progress, now: float) -> dict[str, Any]:
        values: dict[str, Any] = {"state": progress.state}
        if progress.cause:
            values["cause"] = progress.cause
        if progress.effort is not None:
            values |= {name: round(value, 3) for name, value in asdict(progress.effort).items()}
            if progress.state == "running":
                values["seconds"] = round(now - progress.since_s, 3)
        return values

    def finish(self, state: str) -> dict[str, Any]:
        """Write run.json for the last time, and timings.json.

        Parameters
        ----------
        state : str

        Returns
        -------
        dict
            `seconds`, `cpu_s` of this process, `work_cpu_s` of all results wherever they were worked.
        """
        from voltome import io

        self.save(state=state, force=True)
        efforts = {name: p.effort for name, p in self.results.items() if p.effort is not None and p.effort.cpu_s}
        totals = {
            "seconds": round(time.perf_counter() - self._clock, 3),
            "cpu_s": round(time.process_time() - self._cpu_s, 3),
            "work_cpu_s": round(sum(effort.cpu_s for effort in efforts.values()), 3),
        }
        if efforts:  # a run with nothing to do does not hide what the last one took
            results = self._known_timings() | {name: asdict(effort) for name, effort in efforts.items()}
            io.write_json(self._timings, {"run": totals, "results": results}, overwrite=True)
        return totals

    def _known_timings(self) -> dict[str, Any]:
        """What earlier runs noted of results that still stand."""
        from voltome import io

        try:
            known = io.read_json(self._timings)["results"]
        except (DamagedError, KeyError):
            return {}
        return {name: timing for name, timing in known.items() if name in self.results}

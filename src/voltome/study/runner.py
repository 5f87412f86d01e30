"""Run a study: make what is not there yet, or no longer true, in the order in which one result needs another."""

from __future__ import annotations

import datetime
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voltome import __version__
from voltome.errors import DamagedError, InputError, ResourceError, VoltomeError
from voltome.study import marks
from voltome.study.compilation import compile_apart
from voltome.study.executors import Workers
from voltome.study.job import Job, StoppedError
from voltome.study.result import Result, Step, make_key
from voltome.study.run_log import FOLDER as RUN_FOLDER
from voltome.study.run_log import RunLog
from voltome.study.study_file import STUDY_FILE, Study

OnProgress = Callable[[str, int, int], None]

_CRATE = "ro-crate-metadata.json"
_HASH_THREADS = 4
_MOST_STUMBLES = 3


@dataclass(frozen=True)
class RunSummary:
    """How a run ended.

    Parameters
    ----------
    made, kept, removed : tuple of str
        Results that were made, that stood already, and that the study no longer has.
    failed : mapping of str to str
        Results that could not be made, with the cause.
    held_up : tuple of str
        Results that wait for one that failed.
    damaged : mapping of str to str
        Results that were made again because a file of theirs was not what it was: that file.
    seconds, cpu_s, work_cpu_s : float
        Of the run, of this process, and of all blocks wherever they were worked.
    """

    made: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    failed: Mapping[str, str]
    held_up: tuple[str, ...]
    damaged: Mapping[str, str]
    seconds: float
    cpu_s: float
    work_cpu_s: float


def plan_study(study: Study, steps: Sequence[Step]) -> dict[str, tuple[Step, Result]]:
    """All results of a study by name, each after those that it is made from.

    Parameters
    ----------
    study : Study
    steps : sequence of Step
        In order.

    Returns
    -------
    dict
        Name to step and result.
    """
    return {result.name: (step, result) for step in steps for result in step.plan(study)}


def run_study(
    study: Study,
    out: str | Path,
    workers: Workers,
    *,
    steps: Sequence[Step] | None = None,
    on_progress: OnProgress | None = None,
) -> RunSummary:
    """Bring the results of a study up to date.

    Parameters
    ----------
    study : Study
    out : str or Path
        The store; made where there is none. A run that was killed is taken up.
    workers : Workers
        Where blocks are worked; the results do not depend on it.
    steps : sequence of Step, optional
        By default all that a study has.
    on_progress : callable, optional
        Called with step, results done, results in all.

    Returns
    -------
    RunSummary
        Results that fail are told in it; all others are made.

    Raises
    ------
    InputError
        If another run holds the store, it is no store, or a file of the study cannot be read.
    ResourceError
        If the disk is full or a file cannot be written: the run can be taken up again.
    """
    from voltome import io
    from voltome.study.steps import STEPS

    store = Path(out).absolute()  # workers may stand in another folder
    study = replace(study, folder=study.folder.absolute())
    check_store(store)
    with io.hold_lock(store / RUN_FOLDER / "lock"):
        compile_apart()
        return _Run(study, store, workers, STEPS if steps is None else steps, on_progress).run()


def check_store(store: Path) -> None:
    """Refuse a folder that is no study's.

    Parameters
    ----------
    store : Path

    Returns
    -------
    None
        It is empty, does not exist yet, or holds the results of a study when this returns.

    Raises
    ------
    InputError
        If it is a file, or holds other things.
    """
    if store.exists() and not store.is_dir():
        raise InputError(f"{store} is a file, not a folder: give another name")
    names = [entry.name for entry in store.iterdir()] if store.is_dir() else []
    if names and not (store / RUN_FOLDER).is_dir() and not (store / marks.FOLDER).is_dir():
        raise InputError(f"{store} holds {min(names)} and no study's results: give a folder of its own")


class _Run:
    def __init__(
        self, study: Study, store: Path, workers: Workers, steps: Sequence[Step], on_progress: OnProgress | None
    ) -> None:
        from voltome import io

        self.study, self.store, self.workers, self.on_progress = study, store, workers, on_progress
        self.plan = plan_study(study, steps)
        self.log = RunLog(store)
        self.hashes = io.FileHashes(store / RUN_FOLDER / "stat.json", threads=_HASH_THREADS)
        self.stop = threading.Event()
        self.keys: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        self.damaged: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.stumbles: Counter[str] = Counter()
        self.made: list[str] = []
        self.kept: list[str] = []
        self.held_up: list[str] = []

    def run(self) -> RunSummary:
        _sweep(self.store)
        self.digests = self._hash_sources()
        removed = self._prune()
        self._write_study()
        outdated = self._find_outdated()
        for name in self.plan:
            self.log.note(name, "outdated" if name in outdated else "waiting")
        self.log.save(force=True)
        state = "failed"
        try:
            self._make_all()
            state = "failed" if self.failed else "done"
        except BaseException:
            state = "stopped"
            raise
        finally:
            totals = self._close(state)
        if self.made or removed or not (self.store / _CRATE).exists():
            self._describe_run()
        return RunSummary(
            made=tuple(self.made),
            kept=tuple(self.kept),
            removed=tuple(removed),
            failed=self.failed,
            held_up=tuple(self.held_up),
            damaged=self.damaged,
            **totals,
        )

    def _hash_sources(self) -> dict[str, str]:
        names = dict.fromkeys(name for _, result in self.plan.values() for name in result.sources.values())
        found = {}
        for done, name in enumerate(names):
            self._report("reading", done, len(names))
            found[name] = self.hashes.hash_input(self.study.locate(name))
        return found

    def _prune(self) -> list[str]:
        """Remove results that the study no longer has, and what was begun and is no longer wanted."""
        gone = [name for name in marks.find_marks(self.store) if name not in self.plan]
        for name in gone:
            marks.remove_result(self.store, name)
        return gone

    def _find_outdated(self) -> set[str]:
        """Results that stand but are not what the study asks for now, if all can be made."""
        keys: dict[str, str] = {}
        for name, (step, planned) in self.plan.items():
            result = planned.settle(keys)
            keys[name] = self._make_key(step, result, keys)
        standing = {name: marks.read_mark(self.store, name) for name in self.plan}
        return {name for name, mark in standing.items() if mark is not None and mark.key != keys[name]}

    def _write_study(self) -> None:
        from voltome import io

        values = self.study.settings.model_dump(mode="json")
        place = self.store / STUDY_FILE
        try:
            same = io.read_yaml(place) == values
        except InputError:  # not there, or spoilt
            same = False
        if not same:
            io.write_yaml(place, values, heading="The study as it was run.", overwrite=True)

    def _make_all(self) -> None:
        waiting, running = dict(self.plan), dict[Future[None], Job]()
        with ThreadPoolExecutor(self.workers.count + 2, thread_name_prefix="voltome-result") as drivers:
            try:
                while waiting or running:
                    self._start_ready(waiting, running, drivers)
                    if not running:
                        continue
                    done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._finish(running.pop(future), future, waiting)
                    self.log.save()
            finally:
                self.stop.set()

    def _start_ready(
        self, waiting: dict[str, tuple[Step, Result]], running: dict[Future[None], Job], drivers: ThreadPoolExecutor
    ) -> None:
        """Begin with what has all that it needs; pass over what stands already or can no longer be made."""
        going_on = True
        while going_on:  # what is passed over may be what another one waits for
            going_on = False
            for name, (step, result) in list(waiting.items()):
                if any(
                    other in waiting or other in self._running(running)
                    for other in result.inputs + result.optional + result.after
                ):
                    continue
                del waiting[name]
                going_on = True
                lost = [other for other in result.inputs + result.after if other not in self.keys]
                if lost:
                    self.held_up.append(name)
                    self.log.note(name, "held up", cause=f"waits for {lost[0]}")
                    continue
                result = result.settle(self.keys)
                key = self._make_key(step, result, self.keys)
                if self._stands(name, key):
                    self._keep(name, key)
                    continue
                job = self._prepare(result, key)
                running[drivers.submit(self._make, step, job)] = job

    @staticmethod
    def _running(running: Mapping[Future[None], Job]) -> set[str]:
        return {job.result.name for job in running.values()}

    def _make_key(self, step: Step, result: Result, keys: Mapping[str, str]) -> str:
        digests = {role: self.digests[name] for role, name in result.sources.items()}
        return make_key(result, step.version, keys, digests)

    def _stands(self, name: str, key: str) -> bool:
        mark = marks.read_mark(self.store, name)
        if mark is None or mark.key != key:
            return False
        damage = marks.find_damage(self.store, mark, self.hashes)
        if damage is not None:
            self.damaged[name] = damage
        return damage is None

    def _keep(self, name: str, key: str) -> None:
        self.keys[name] = key
        self.kept.append(name)
        self.log.note(name, "kept")
        self._report_step(name)

    def _prepare(self, result: Result, key: str) -> Job:
        marks.remove_result(self.store, result.name)
        work = self.store / RUN_FOLDER / "work" / key[:24]
        job = Job(self.study, self.store, result, key, work, self.workers, self.stop)
        self.log.note(result.name, "running", effort=job.effort)
        return job

    def _make(self, step: Step, job: Job) -> None:
        job.work.mkdir(parents=True, exist_ok=True)
        clock = time.thread_time()
        step.make(job)
        job.effort.cpu_s += time.thread_time() - clock - job.effort.scheduling_cpu_s
        if self.stop.is_set():
            raise StoppedError
        mark = marks.Mark(
            step=job.result.step,
            subject=job.result.subject,
            version=step.version,
            voltome=__version__,
            key=job.key,
            parameters=dict(job.result.parameters),
            inputs={name: self.keys[name] for name in job.result.inputs},
            sources={name: self.digests[name] for name in job.result.sources.values()},
            files=dict(sorted(job.files.items())),
        )
        marks.write_mark(self.store, mark)
        shutil.rmtree(job.work, ignore_errors=True)

    def _finish(self, job: Job, future: Future[None], waiting: dict[str, tuple[Step, Result]]) -> None:
        name = job.result.name
        try:
            future.result()
        except DamagedError as error:
            culprit = self._find_damaged_input(job)
            if culprit is None or self.stumbles[name] == _MOST_STUMBLES:
                self._fail(name, error)
            else:
                self._make_again(culprit, name, waiting)
        except (ResourceError, MemoryError):
            raise
        except StoppedError:
            raise
        except Exception as error:
            self._fail(name, error)
        else:
            self.keys[name] = job.key
            self.made.append(name)
            self.log.note(name, "done")
            self._report_step(name)

    def _fail(self, name: str, error: BaseException) -> None:
        cause = str(error) if isinstance(error, VoltomeError) else f"{type(error).__name__}: {error}"
        self.failed[name] = " ".join(cause.split())
        self.log.note(name, "failed", cause=self.failed[name])

    def _find_damaged_input(self, job: Job) -> str | None:
        """The result, among those that a job reads, that is not what it was."""
        hashes = type(self.hashes)(None)  # what is known of files that rot without a trace is worth nothing
        for name in job.result.inputs:
            mark = marks.read_mark(self.store, name)
            damage = "its mark" if mark is None else marks.find_damage(self.store, mark, hashes)
            if damage is not None:
                self.damaged.setdefault(name, damage)
                return name
        return None

    def _make_again(self, damaged: str, name: str, waiting: dict[str, tuple[Step, Result]]) -> None:
        """Put a damaged result, and the one that stumbled over it, back to those that wait."""
        self.stumbles[name] += 1
        waiting[name] = self.plan[name]
        self.log.note(name, "waiting")
        if damaged in self.keys:  # else another one stumbled over it before
            marks.remove_result(self.store, damaged)
            del self.keys[damaged]
            waiting[damaged] = self.plan[damaged]
            self.log.note(damaged, "waiting")
            self.kept = [other for other in self.kept if other != damaged]

    def _close(self, state: str) -> dict[str, Any]:
        """Remember the hashes of what stands and write what the run says of itself."""
        for mark in (marks.read_mark(self.store, name) for name in self.made):
            for path, (_, digest) in mark.files.items() if mark is not None else ():
                self.hashes.remember(self.store / path, digest)
        self.hashes.save()
        if state in ("done", "failed"):
            shutil.rmtree(self.store / RUN_FOLDER / "work", ignore_errors=True)
        return self.log.finish(state)

    def _describe_run(self) -> None:
        from voltome import io

        standing = [marks.read_mark(self.store, name) for name in sorted(self.keys)]
        files = {path: entry for mark in standing if mark is not None for path, entry in mark.files.items()}
        io.write_ro_crate(
            self.store,
            name=self.store.resolve().name,
            description=f"A study of {len(self.study.settings.scans)} scans: motion and strain of an electrode.",
            version=__version__,
            files=files,
            inputs=self.digests,
            started=self.log.started,
            ended=datetime.datetime.now(datetime.UTC),
        )

    def _report(self, stage: str, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(stage, done, total)

    def _report_step(self, name: str) -> None:
        step = name.partition("/")[0]
        names = [other for other in self.plan if other.startswith(f"{step}/")]
        self._report(step, sum(other in self.keys for other in names), len(names))


def _sweep(store: Path) -> None:
    """Remove files that a killed run left half-written; nobody else writes while the lock is held."""
    for folder in (store, store / RUN_FOLDER, *(store / marks.FOLDER).glob("*/")):
        for pattern in (".part-*", ".old-*"):
            for path in folder.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

"""Watch a study's folder during beam time: judge each scan when it has arrived, then run the study as far as it goes.

A thread looks for scans and judges them, while the study is run with those that are there: a verdict never waits for a
correlation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voltome.errors import InputError
from voltome.study import marks, runner
from voltome.study.compilation import compile_apart
from voltome.study.executors import Workers
from voltome.study.lookout import Lookout, OnArrival, OnTrouble, Sighting
from voltome.study.run_log import FOLDER as RUN_FOLDER
from voltome.study.status import WATCH_LOCK
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.study.settings import Scan

OnStrain = Callable[[str, float | None, float | None], None]

_CUMULATIVE = "cumulative"


@dataclass(frozen=True)
class WatchSummary:
    """How a watch ended.

    Parameters
    ----------
    sightings : tuple of Sighting
        The scans that have arrived, in order.
    failed : mapping of str to str
        Results that could not be made in the last run, with the cause.
    """

    sightings: tuple[Sighting, ...]
    failed: Mapping[str, str]


def watch_study(
    study: Study,
    out: str | Path,
    workers: Workers,
    *,
    on_arrival: OnArrival,
    on_strain: OnStrain,
    on_trouble: OnTrouble,
    stop_after: int | None = None,
    idle_s: float | None = None,
) -> WatchSummary:
    """Wait for a study's scans, judge each one and bring the results up to date.

    Parameters
    ----------
    study : Study
        Its scans need not be there yet. Where `watch.incoming` is set, files that match it become further scans.
    out : str or Path
        The store, as of `run_study`.
    workers : Workers
    on_arrival : callable
        Called with each scan that has arrived, those of an earlier watch too; from another thread.
    on_strain : callable
        Called with a scan's name, its mean volumetric strain against the first scan and the sd of that mean (None where
        it is not known), once they are on disk.
    on_trouble : callable
        Called with a line on what failed or holds things up, once for each; from either thread.
    stop_after : int, optional
        End when so many scans have arrived.
    idle_s : float, optional
        End when there was no news for so many seconds.

    Returns
    -------
    WatchSummary
        When no more scans are to come: all are there and `watch.incoming` is not set, or as the options say.

    Raises
    ------
    InputError
        If another watch or run holds the store, the options make no sense, or the last run could not begin.
    ResourceError
        If the disk is full or a file cannot be written; the watch can be taken up again.
    """
    from voltome import io

    if stop_after is not None and stop_after < 1:
        raise InputError(f"stop_after must be >= 1 scan (got {stop_after}): leave it out to wait for all")
    if idle_s is not None and not idle_s > 0:
        raise InputError(f"idle must be > 0 seconds (got {idle_s:g}): leave it out to wait for ever")
    if any(scan.radiographs for scan in study.settings.scans):
        raise InputError("watch waits for reconstructed volumes (the scans have radiographs): use voltome run instead")
    store = Path(out)
    runner.check_store(store)
    with io.hold_lock(store / RUN_FOLDER / WATCH_LOCK):
        compile_apart()
        return _Watch(study, store, workers, on_arrival, on_strain, on_trouble, stop_after, idle_s).run()


class _Watch:
    def __init__(
        self,
        study: Study,
        store: Path,
        workers: Workers,
        on_arrival: OnArrival,
        on_strain: OnStrain,
        on_trouble: OnTrouble,
        stop_after: int | None,
        idle_s: float | None,
    ) -> None:
        self.study, self.store, self.workers = study, store, workers
        self.on_strain, self.on_trouble = on_strain, on_trouble
        self.lookout = Lookout(
            study, store, on_arrival=on_arrival, on_trouble=on_trouble, stop_after=stop_after, idle_s=idle_s
        )
        self.told: set[str] = set()
        self.told_lines: set[str] = set()
        self.failed: Mapping[str, str] = {}
        self.refused: InputError | None = None

    def run(self) -> WatchSummary:
        with self.lookout:
            while scans := self.lookout.wait_for_more():
                self._bring_up_to_date(scans)
        if self.refused is not None:
            raise self.refused
        return WatchSummary(self.lookout.sightings, self.failed)

    def _bring_up_to_date(self, scans: tuple[Scan, ...]) -> None:
        """Run the study with the scans that are there; what is wrong with a file is told, and the next one may do."""
        from voltome import io

        cut = self._cut(scans)
        before = self._read_keys(scans)

        def on_progress(stage: str, done: int, total: int) -> None:
            if stage == _CUMULATIVE:  # what stood before may still be made again
                self._tell_strains(name for name, key in self._read_keys(scans).items() if key != before.get(name))

        try:
            self._keep_results(cut)
            summary = runner.run_study(cut, self.store, self.workers, on_progress=on_progress)
        except InputError as error:
            if io.lock_holder(self.store / RUN_FOLDER / "lock") is not None:
                raise
            self.refused = error
            self._tell(str(error))
            return
        self.refused = None
        for name, cause in summary.failed.items():
            self._tell(f"{name} failed: {cause}")
        self.failed = summary.failed
        up_to_date = {*summary.made, *summary.kept}
        self._tell_strains(scan.name for scan in scans if f"{_CUMULATIVE}/{scan.name}" in up_to_date)

    def _cut(self, scans: tuple[Scan, ...]) -> Study:
        """The study with some scans, and without its cycler's table while that is not there."""
        settings = self.study.settings
        cycler = settings.electrochemistry.cycler
        update: dict[str, object] = {"scans": scans}
        if cycler is not None and not Path(self.study.locate(cycler)).exists():
            update["electrochemistry"] = settings.electrochemistry.model_copy(update={"cycler": None})
            self._tell(f"{cycler} is not there: results go without it until it is")
        return Study(settings.model_copy(update=update), self.study.path, self.study.folder)

    def _tell(self, line: str) -> None:
        if line not in self.told_lines:
            self.told_lines.add(line)
            self.on_trouble(line)

    def _keep_results(self, cut: Study) -> None:
        """Refuse a run that would remove what an earlier one made of scans whose files are gone."""
        from voltome.study.steps import STEPS

        planned = runner.plan_study(cut, STEPS)
        known = runner.plan_study(self._cut(self.lookout.known), STEPS)
        lost = [name for name in marks.find_marks(self.store) if name in known and name not in planned]
        if lost:
            gone = self.lookout.known[len(cut.settings.scans)]
            raise InputError(
                f"{lost[0]} stands in {self.store}, but {gone.name} ({gone.volume}) is not there: put it back, or give "
                "another --out"
            )

    def _read_keys(self, scans: tuple[Scan, ...]) -> dict[str, str]:
        found = {scan.name: marks.read_mark(self.store, f"{_CUMULATIVE}/{scan.name}") for scan in scans}
        return {name: mark.key for name, mark in found.items() if mark is not None}

    def _tell_strains(self, names: Iterable[str]) -> None:
        from voltome import io

        for name in names:
            if name not in self.told:
                found = io.read_json(self.store / _CUMULATIVE / name / "summary.json")
                self.told.add(name)
                self.on_strain(name, found.get("strain_volumetric"), found.get("strain_volumetric_sd"))

"""Who looks out for scans: finds those that have arrived, judges them at once and keeps a record."""

from __future__ import annotations

import datetime
import glob
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from voltome.errors import DamagedError, InputError, VoltomeError
from voltome.grid import make_block
from voltome.io.natural_order import natural_key
from voltome.study.arrival import Arrival, Earlier, inspect_arrival, read_arrival
from voltome.study.run_log import FOLDER as RUN_FOLDER
from voltome.study.source import describe_source
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.study.settings import Scan

ARRIVALS_FILE = "arrivals.json"

_LONGEST_NAME = 40
_ENDINGS = (".tif", ".tiff", ".h5", ".hdf5", ".hdf", ".nxs", ".npy", ".raw", ".bin", ".vol", ".zarr")

FileState = tuple[int, int, int]


@dataclass(frozen=True)
class Sighting:
    """A scan that has arrived.

    Parameters
    ----------
    arrival : Arrival
        The verdict.
    volume : str
        As the study names it.
    listed : bool
        Whether study.yaml lists it; else `watch.incoming` brought it.
    files : tuple of int
        How many files it has, their bytes, and when the last one was changed (ns): whether it is still the same.
    at : str
        Time of day of the verdict, ISO 8601.
    waited_s : float
        From the last time that the scan was seen to grow to the verdict.
    """

    arrival: Arrival
    volume: str
    listed: bool
    files: FileState
    at: str
    waited_s: float


OnArrival = Callable[[Sighting], None]
OnTrouble = Callable[[str], None]


class Lookout:
    """Looks for scans in a thread of its own while the block runs.

    Parameters
    ----------
    study : Study
    store : Path
        Where the record of arrivals is kept.
    on_arrival, on_trouble : callable
        Called from the thread.
    stop_after : int or None
        No more scans than this are waited for.
    idle_s : float or None
        Seconds without news after which no more are waited for.
    """

    def __init__(
        self,
        study: Study,
        store: Path,
        *,
        on_arrival: OnArrival,
        on_trouble: OnTrouble,
        stop_after: int | None = None,
        idle_s: float | None = None,
    ) -> None:
        self._study, self._on_arrival, self._on_trouble = study, on_arrival, on_trouble
        self._stop_after, self._idle_s = stop_after, idle_s
        self._store = store
        self._record = store / RUN_FOLDER / ARRIVALS_FILE
        self._remembered = {sighting.volume: sighting for sighting in read_record(self._record)}
        self._expected = [*study.settings.scans, *self._list_taken_in()]
        self._sightings: list[Sighting] = []
        self._growing: dict[str, tuple[FileState, float]] = {}
        self._told: set[str] = set()
        self._grey_window: tuple[float, float] | None = None
        self._news_at = self._looked_at = time.monotonic()
        self._taken = 0
        self._working, self._over = False, False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="voltome-lookout", daemon=True)

    def __enter__(self) -> Lookout:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def known(self) -> tuple[Scan, ...]:
        """Scans of the study, those that have not arrived too."""
        return tuple(self._expected)

    def list_all(self) -> tuple[Scan, ...]:
        """Scans of the study, and those that would be taken in if one looked now."""
        scans = list(self._expected)
        for volume in self._list_incoming():
            scans.append(_make_scan(name_scan(volume, [scan.name for scan in scans]), volume))
        return tuple(scans)

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The scans that have arrived, in order."""
        return tuple(self._sightings)

    def wait_for_more(self) -> tuple[Scan, ...]:
        """Wait until more scans have arrived than were given last.

        Returns
        -------
        tuple of Scan
            All that have arrived, in order; empty when no more are to come.

        Raises
        ------
        ResourceError
            If the record of arrivals cannot be written.
        """
        with self._changed:
            self._working = False
            self._changed.wait_for(lambda: self._over or len(self._sightings) > self._taken)
            if self._error is not None:
                raise self._error
            more = len(self._sightings) > self._taken
            self._taken, self._working = len(self._sightings), True
            return self.known[: self._taken] if more else ()

    def _look_on(self) -> None:
        try:
            while not self._stop.is_set() and not self._is_over():
                arrived = self._find_arrived()
                with self._changed:
                    self._sightings += arrived
                    self._changed.notify_all()
                self._stop.wait(self._study.settings.watch.poll_s)
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _is_over(self) -> bool:
        count = len(self._sightings)
        if count == self._stop_after or (self._study.settings.watch.incoming is None and count == len(self._expected)):
            return True
        if self._working:
            self._news_at = time.monotonic()
        return self._idle_s is not None and time.monotonic() - self._news_at > self._idle_s

    def _find_arrived(self) -> list[Sighting]:
        """Scans that are complete and whose turn it is: one that is not there yet holds up those behind it."""
        awaited, incoming = self._expected[len(self._sightings) :], self._list_incoming()
        self._looked_at = time.monotonic()  # one moment for all: what lies there together arrives together
        for scan in awaited:
            self._follow(scan.volume, scan.mask)
        for volume in incoming:
            self._follow(volume)
        arrived: list[Sighting] = []
        for number, scan in enumerate(awaited):
            sighting = self._look_at(scan, arrived)
            if sighting is None:
                self._tell_who_waits(awaited[number:])
                return arrived
            arrived.append(sighting)
        for volume in incoming:
            scan = _make_scan(name_scan(volume, [scan.name for scan in self._expected]), volume)
            sighting = self._look_at(scan, arrived)
            if sighting is not None:
                self._expected.append(scan)
                arrived.append(sighting)
            elif self._settled_at(volume) is None:
                break
        return arrived

    def _follow(self, volume: str, mask: str | None = None) -> None:
        """See whether the files of a volume, and of its mask, have changed since the last look."""
        names = [volume] if mask is None else [volume, mask]
        files = measure_files(*map(self._study.locate, names))
        if files is None:
            self._growing.pop(volume, None)
        elif volume not in self._growing or self._growing[volume][0] != files:
            self._growing[volume] = files, self._looked_at
            self._news_at = self._looked_at

    def _settled_at(self, volume: str) -> float | None:
        """When a volume's files were seen to change last, on the monotonic clock; None if they are not complete."""
        if volume not in self._growing:
            return None
        files, since = self._growing[volume]
        remembered = self._remembered.get(volume)
        known = remembered is not None and remembered.files == files
        return since if known or self._looked_at - since >= self._study.settings.watch.settle_s else None

    def _look_at(self, scan: Scan, before: list[Sighting]) -> Sighting | None:
        """The verdict on a scan, if it is complete, can be opened and is still wanted."""
        earlier = [*self._sightings, *before]
        since = self._settled_at(scan.volume)
        if self._stop.is_set() or since is None or len(earlier) == self._stop_after:
            return None
        files = self._growing[scan.volume][0]
        sighting = self._remembered.get(scan.volume)
        if sighting is None or sighting.files != files or sighting.arrival.scan != scan.name:
            try:
                arrival = self._inspect(scan, earlier)
            except VoltomeError as error:
                self._tell(f"{scan.name} ({scan.volume}) cannot be used yet: {error}")
                return None
            listed = scan in self._study.settings.scans
            now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
            sighting = Sighting(arrival, scan.volume, listed, files, now, round(time.monotonic() - since, 3))
            self._remember(sighting)
        self._on_arrival(sighting)
        return sighting

    def _inspect(self, scan: Scan, earlier: list[Sighting]) -> Arrival:
        from voltome.study.storing import find_grey_window

        settings = self._study.settings
        source = describe_source(self._study, scan.volume)
        with source.open() as volume:  # its last voxel too: a file may have its head and not yet its end
            volume[make_block([n - 1 for n in volume.shape], volume.shape)]
        if self._grey_window is None:
            first = describe_source(self._study, self._expected[0].volume) if earlier else source
            found = find_grey_window(first, settings.volumes.grey_low, settings.volumes.grey_high)
            self._grey_window = float(found["low"]), float(found["high"])
        usable = [sighting for sighting in earlier if sighting.arrival.comparable]
        return inspect_arrival(
            source,
            scan.name,
            settings=settings,
            grey_window=self._grey_window,
            first=usable[0].arrival if usable else None,
            last=Earlier(usable[-1].arrival, describe_source(self._study, usable[-1].volume)) if usable else None,
        )

    def _remember(self, sighting: Sighting) -> None:
        from voltome import io

        self._remembered[sighting.volume] = sighting
        values = [asdict(other) for other in self._remembered.values()]
        io.write_json(self._record, {"arrivals": values}, overwrite=True)

    def _list_taken_in(self) -> list[Scan]:
        """Scans that an earlier watch took in, in the order of their arrival."""
        listed = self._study.settings.scans
        names, places = {scan.name.lower() for scan in listed}, {self._place(scan.volume) for scan in listed}
        return [
            _make_scan(sighting.arrival.scan, sighting.volume)
            for sighting in self._remembered.values()
            if not sighting.listed
            and sighting.arrival.scan.lower() not in names
            and self._place(sighting.volume) not in places
        ]

    def _list_incoming(self) -> list[str]:
        """Volumes that match the pattern and are not scans yet, sorted by the numbers in their names."""
        pattern = self._study.settings.watch.incoming
        if pattern is None:
            return []
        place, mark, inner = pattern.partition("::")
        taken, store = {self._place(scan.volume) for scan in self._expected}, Path(os.path.abspath(self._store))
        names = sorted(glob.glob(place, root_dir=self._study.folder, recursive=True), key=natural_key)
        places = {name: self._place(name) for name in names}
        return [
            f"{name}{mark}{inner}"
            for name, place in places.items()
            if place not in taken and not Path(place).is_relative_to(store)
        ]

    def _place(self, volume: str) -> str:
        return os.path.abspath(self._study.locate(volume).partition("::")[0])

    def _tell_who_waits(self, awaited: list[Scan]) -> None:
        missing = awaited[0]
        there = [scan.name for scan in awaited if scan.volume in self._growing]
        if there and missing.volume not in self._growing:
            self._tell(f"{there[0]} waits for {missing.name} ({missing.volume}), which is not there")

    def _tell(self, line: str) -> None:
        line = " ".join(line.split())
        if line not in self._told:
            self._told.add(line)
            self._on_trouble(line)


def take_in_scans(study: Study, store: Path) -> Study:
    """The study with the scans that match `watch.incoming`, as a watch takes them in.

    Parameters
    ----------
    study : Study
    store : Path
        Results of the study, where a watch keeps its record.

    Returns
    -------
    Study
        The same where no pattern is set.

    Raises
    ------
    InputError
        If there are fewer than two scans then.
    """
    pattern = study.settings.watch.incoming
    if pattern is None:
        return study
    scans = Lookout(study, store, on_arrival=lambda _: None, on_trouble=lambda _: None).list_all()
    if len(scans) < 2:
        raise InputError(f"{study.path}: two scans are needed (got {len(scans)} with {pattern}): wait for more of them")
    return Study(study.settings.model_copy(update={"scans": scans}), study.path, study.folder)


def measure_files(*names: str) -> FileState | None:
    """How many files volumes have, their bytes and when the last one was changed.

    Parameters
    ----------
    names : str
        As `voltome.io.open_volume` takes them.

    Returns
    -------
    tuple of int or None
        None where one of them has no file, or some vanish while they are counted.
    """
    states: list[os.stat_result] = []
    for name in names:
        place = Path(name.partition("::")[0])
        try:
            files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
            states += [path.stat() for path in files]
        except OSError:
            return None
        if not files:
            return None
    return len(states), sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)


def name_scan(volume: str, taken: Collection[str]) -> str:
    """Name for a scan, from its file's.

    Parameters
    ----------
    volume : str
    taken : collection of str
        Names of other scans.

    Returns
    -------
    str
        The file's name without its ending; what a scan's name may not hold becomes _, and a number makes it unique.

    Examples
    --------
    >>> name_scan("incoming/cell-7 charge.tif", ["T0"]), name_scan("b/t0.h5::/entry/data", ["T0"])
    ('cell_7_charge', 't0_2')
    """
    stem, ending = os.path.splitext(os.path.basename(volume.partition("::")[0].rstrip("/")))
    stem = stem if ending.lower() in _ENDINGS else stem + ending
    clean = re.sub(r"[^A-Za-z0-9_.]", "_", stem)[-_LONGEST_NAME:].lstrip("_.") or "scan"
    name, others, number = clean, {other.lower() for other in taken}, 2
    while name.lower() in others:
        more = f"_{number}"
        name, number = clean[: _LONGEST_NAME - len(more)] + more, number + 1
    return name


def read_record(path: Path) -> list[Sighting]:
    """The scans that have arrived, as a watch wrote them down.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Sighting
        In the order of their arrival; none where there is no record that can be read.
    """
    from voltome import io

    try:
        return [_read_sighting(values) for values in io.read_json(path)["arrivals"]]
    except (DamagedError, KeyError, TypeError, ValueError):
        return []


def _read_sighting(values: Mapping[str, Any]) -> Sighting:
    plain = {name: values[name] for name in ("volume", "listed", "at", "waited_s")}
    files, size, changed = map(int, values["files"])
    return Sighting(arrival=read_arrival(values["arrival"]), files=(files, size, changed), **plain)


def _make_scan(name: str, volume: str) -> Scan:
    from voltome.study.settings import Scan

    return Scan(name=name, volume=volume)

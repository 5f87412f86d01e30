"""`voltome watch`: scans are judged and evaluated as they arrive."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voltome.cli import options

if TYPE_CHECKING:
    from voltome.study.arrival import Arrival
    from voltome.study.lookout import Sighting

_FAILED = 2


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with study.yaml, or that file.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default="results beside study.yaml"),
    ] = None,
    threads: options.Threads = None,
    processes: options.Processes = None,
    dask: options.DaskAddress = None,
    slurm: options.SlurmWorkers = None,
    stop_after: Annotated[
        int | None,
        typer.Option("--stop-after", metavar="N", help="End when N scans have arrived.", show_default=False),
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option("--idle", metavar="SECONDS", help="End when there is no news for so long.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each event.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Judge each scan when it has arrived, go or no-go, and bring the study up to date with it.

    Scans that study.yaml lists are waited for; files that match its watch.incoming become further scans. A no-go is
    evaluated like any other scan. Ctrl-C ends the watch, and the same command takes it up again.
    """
    from voltome.study.executors import open_workers
    from voltome.study.study_file import load_study
    from voltome.study.watch import watch_study

    study = load_study(folder)
    store = study.folder / "results" if out is None else out
    teller = _Teller(as_json=as_json, quiet=quiet)
    teller.tell_start(len(study.settings.scans), study.settings.watch.incoming, store)
    with open_workers(threads=threads, processes=processes, dask=dask, slurm=slurm) as workers:
        summary = watch_study(
            study,
            store,
            workers,
            on_arrival=teller.tell_arrival,
            on_strain=teller.tell_strain,
            on_trouble=teller.tell_trouble,
            stop_after=stop_after,
            idle_s=idle,
        )
    if not (quiet or as_json):
        typer.echo(f"report: {store / 'report.html'}")
    if summary.failed:
        typer.echo(f"{len(summary.failed)} results failed: mend the cause and run again, the rest is kept", err=True)
        raise typer.Exit(_FAILED)


class _Teller:
    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json, self._quiet = as_json, quiet

    def tell_start(self, listed: int, incoming: str | None, store: Path) -> None:
        more = f" and {incoming}" if incoming else ""
        self._say("start", {"scans": listed, "incoming": incoming, "out": str(store)},
                  f"watching {listed} scans{more} for {store}; Ctrl-C ends")  # fmt: skip

    def tell_arrival(self, sighting: Sighting) -> None:
        values = asdict(sighting) | {"scan": sighting.arrival.scan, "go": sighting.arrival.go}
        line = f"{arrival_line(sighting.arrival)} ({sighting.waited_s:.1f} s after it was there)"
        self._say("arrival", values, line, at=sighting.at)

    def tell_strain(self, scan: str, mean: float | None, sd: float | None) -> None:
        error = "" if sd is None else f" +- {sd:.2%}"
        said = "not measured" if mean is None else f"{mean:+.2%}{error}"
        self._say("strain", {"scan": scan, "strain_volumetric": mean, "sd": sd}, f"{scan}: volumetric strain {said}")

    def tell_trouble(self, line: str) -> None:
        if self._as_json:
            self._say("trouble", {"cause": line}, line)
        else:
            typer.echo(f"{_time_of_day()}  warning: {line}", err=True)

    def _say(self, event: str, values: dict[str, object], line: str, *, at: str | None = None) -> None:
        from voltome.io.text import plain_json

        if self._as_json:
            typer.echo(json.dumps(plain_json({"event": event} | values), ensure_ascii=False))
        elif not self._quiet:
            typer.echo(f"{_time_of_day(at)}  {' '.join(line.split())}")


def _time_of_day(at: str | None = None) -> str:
    moment = datetime.datetime.now() if at is None else datetime.datetime.fromisoformat(at)
    return moment.strftime("%H:%M:%S")


def arrival_line(arrival: Arrival) -> str:
    """Put the verdict on a scan into words.

    Parameters
    ----------
    arrival : Arrival

    Returns
    -------
    str
        GO with what was measured, or NO-GO with the reasons.
    """
    if not arrival.go:
        return f"{arrival.scan}: NO-GO, {'; '.join(arrival.reasons)}"
    measured = []
    if arrival.drift is not None:
        measured.append(f"drift {arrival.drift.length_m * 1e6:.2f} um since {arrival.drift_since}")
    if arrival.noise_rise is not None:
        measured.append(f"noise {arrival.noise_rise:.2f} times the first scan's")
    if arrival.grey is not None:
        measured.append(f"{arrival.grey.at_low + arrival.grey.at_high:.1%} saturated")
    return f"{arrival.scan}: GO, {', '.join(measured)}"

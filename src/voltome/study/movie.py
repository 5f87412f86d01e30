"""The movie of a study: axial strain over time on the electrode's cross-section."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from voltome.study.job import Job, StoppedError
from voltome.study.result import Result
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.report.electrode_findings import ElectrodeFindings


def plan_movie(study: Study) -> Iterator[Result]:
    """The movie, of what the report is made from.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    from voltome.study.electrode_findings import plan_gathering

    yield plan_gathering(study, "movie")


def make_movie(job: Job) -> None:
    """Write movie.mp4, unless there is nothing that moves.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The movie stands in its place when this returns; its mark does not yet.
    """
    from voltome.study.electrode_findings import gather_findings

    findings = gather_findings(job)
    if findings is not None and film_findings(findings, job.out, stop=job.stop):
        job.publish("movie.mp4")


def film_findings(findings: ElectrodeFindings, path: Path, *, stop: threading.Event) -> bool:
    """Draw the movie of an electrode and write it.

    Parameters
    ----------
    findings : ElectrodeFindings
    path : Path
        A file there is replaced.
    stop : threading.Event
        Ends the work at the next picture when it is set.

    Returns
    -------
    bool
        Whether there was anything to show: strain at two scans or more, the first one counted.

    Raises
    ------
    InputError
        If ffmpeg cannot be run.
    ResourceError
        If the disk is full or there is no permission.
    StoppedError
        If it was stopped; nothing is left.
    """
    from voltome import io
    from voltome.report.movie import FRAMES_PER_SECOND, draw_movie_frames

    frames = draw_movie_frames(findings)
    if frames is None:
        return False
    io.write_movie(path, _until_stopped(frames, stop), frames_per_second=FRAMES_PER_SECOND, overwrite=True)
    return True


def _until_stopped(frames: Iterator[NDArray[Any]], stop: threading.Event) -> Iterator[NDArray[Any]]:
    for frame in frames:
        if stop.is_set():
            raise StoppedError
        yield frame

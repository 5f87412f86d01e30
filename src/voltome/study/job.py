"""A result while it is being made: its blocks are worked, kept and found again, and put in place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from voltome.errors import DamagedError, VoltomeError
from voltome.study.compilation import compile_apart
from voltome.study.executors import Workers
from voltome.study.marks import put_in_place
from voltome.study.result import Result
from voltome.study.study_file import Study

Arrays = Mapping[str, NDArray[Any]]

_ATTEMPTS = 3
_LOOK_S = 0.2


class StoppedError(Exception):
    """The run is over before this result is."""


@dataclass
class Effort:
    """What a result has cost so far."""

    blocks: int = 0
    blocks_done: int = 0
    retries: int = 0
    cpu_s: float = 0.0
    scheduling_cpu_s: float = 0.0
    seconds: float = 0.0


@dataclass
class Job:
    """What a step's function gets to make one result.

    Parameters
    ----------
    study : Study
    store : Path
        The study's results.
    result : Result
    key : str
    work : Path
        Folder for what is not complete. What lies there from an earlier run with the same key is taken up.
    workers : Workers
    stop : threading.Event
        Set when the run is to end.
    """

    study: Study
    store: Path
    result: Result
    key: str
    work: Path
    workers: Workers
    stop: threading.Event
    effort: Effort = field(default_factory=Effort)
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    _stages: int = 0

    @property
    def out(self) -> Path:
        """Where a block may lay the folder or file that the result is to be."""
        return self.work / "out"

    def run_blocks(
        self, stage: str, function: Callable[..., Arrays], arguments: Sequence[tuple[Any, ...]]
    ) -> list[dict[str, NDArray[Any]]]:
        """Work blocks, each a pure function of its arguments; those that are done already are not worked again.

        Parameters
        ----------
        stage : str
            Names the blocks. Stages have to come in the same order each time.
        function : callable
            Of a module; gives arrays.
        arguments : sequence of tuple
            Of each block.

        Returns
        -------
        list of dict
            The arrays of each block.

        Raises
        ------
        VoltomeError
            What a block raised; other errors are tried again first.
        StoppedError
            If the run is to end.
        """
        clock = time.thread_time()
        try:
            return self._run_blocks(stage, function, arguments)
        finally:
            self.effort.scheduling_cpu_s += time.thread_time() - clock

    def _run_blocks(
        self, stage: str, function: Callable[..., Arrays], arguments: Sequence[tuple[Any, ...]]
    ) -> list[dict[str, NDArray[Any]]]:
        from voltome import io

        self.work.mkdir(parents=True, exist_ok=True)
        self._stages += 1
        places = [self.work / f"{self._stages:04d}-{stage}-{i:05d}.npz" for i in range(len(arguments))]
        outputs: dict[int, dict[str, NDArray[Any]]] = {}
        for i, place in enumerate(places):
            if place.exists():
                try:
                    outputs[i] = io.read_arrays(place)
                except DamagedError:
                    place.unlink()
        self.effort.blocks += len(arguments)
        self.effort.blocks_done += len(outputs)

        def submit(i: int) -> Future[float]:
            return self.workers.submit(work_block, function, arguments[i], str(places[i]))

        waiting = {submit(i): (i, 1) for i in range(len(arguments)) if i not in outputs}
        try:
            while waiting:
                done, _ = wait(waiting, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                if self.stop.is_set():
                    raise StoppedError
                for future in done:
                    i, attempt = waiting.pop(future)
                    try:
                        self.effort.cpu_s += future.result()
                        outputs[i] = io.read_arrays(places[i])
                        self.effort.blocks_done += 1
                    except (VoltomeError, MemoryError):
                        raise
                    except Exception:
                        if attempt == _ATTEMPTS or self.stop.is_set():
                            raise
                        self.effort.retries += 1
                        waiting[submit(i)] = (i, attempt + 1)
        finally:
            for future in waiting:
                future.cancel()
        return [outputs[i] for i in range(len(arguments))]

    def run(self, stage: str, function: Callable[..., Arrays], *arguments: Any) -> dict[str, NDArray[Any]]:
        """Work one block, as `run_blocks`."""
        return self.run_blocks(stage, function, [arguments])[0]

    def publish(self, target: str) -> None:
        """Put what lies at `out` into its place in the store.

        Parameters
        ----------
        target : str
            Path in the store.

        Returns
        -------
        None
            It stands when this returns; the mark does not yet.
        """
        self.files |= put_in_place(self.store, self.out, target)


def work_block(function: Callable[..., Arrays], arguments: tuple[Any, ...], target: str) -> float:
    """Work one block and keep its arrays; this is what a worker does.

    Parameters
    ----------
    function : callable
    arguments : tuple
    target : str
        File for the arrays. If its folder is gone nobody waits for them any more.

    Returns
    -------
    float
        Seconds of processor time.
    """
    from voltome import io

    _get_ready()
    clock = time.thread_time()
    arrays = function(*arguments)
    if Path(target).parent.is_dir():
        io.write_arrays(target, arrays)
    return time.thread_time() - clock


@lru_cache(maxsize=1)
def _get_ready() -> None:
    """A worker on another machine has kernels of its own to compile."""
    compile_apart()

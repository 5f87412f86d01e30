"""Where blocks are worked: threads or processes of this machine, or the workers of Dask."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from voltome.errors import InputError

_PATIENCE_S = 10
_ADDRESS = r"\w+://[^\s/]+:\d+"


class Workers:
    """An executor that is made anew when one of its processes dies.

    Parameters
    ----------
    make : callable
        Makes the executor.
    count : int
        Blocks that it works at once.
    """

    def __init__(self, make: Callable[[], Executor], count: int) -> None:
        self._make, self.count = make, count
        self._executor = make()
        self._lock = threading.Lock()

    def submit(self, work: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Future of a call; if a process has died since the last call, the pool is made anew."""
        with self._lock:
            try:
                return self._executor.submit(work, *arguments)
            except BrokenExecutor:
                self._executor.shutdown(wait=False)
                self._executor = self._make()
                return self._executor.submit(work, *arguments)

    def close(self) -> None:
        """Wait for what was submitted and not cancelled."""
        self._executor.shutdown(wait=True)


@contextmanager
def open_workers(
    *, threads: int | None = None, processes: int | None = None, dask: str | None = None, slurm: int | None = None
) -> Iterator[Workers]:
    """Workers while the block runs: threads, unless something else is asked for.

    Parameters
    ----------
    threads : int, optional
        By default one for each core.
    processes : int, optional
        Processes of this machine.
    dask : str, optional
        Address of a Dask scheduler, whose workers see the same files under the same names.
    slurm : int, optional
        Workers that are started as jobs of SLURM (dask-jobqueue); its own configuration says with which resources.

    Yields
    ------
    Workers

    Raises
    ------
    InputError
        If more than one is asked for, numbers are below 1, Dask is not installed or the scheduler does not answer.
    """
    given = [name for name, value in (("threads", threads), ("processes", processes), ("dask", dask), ("slurm", slurm))
             if value is not None]  # fmt: skip
    if len(given) > 1:
        raise InputError(
            f"one of threads, processes, dask and slurm must be given (got {', '.join(given)}): choose one"
        )
    with ExitStack() as stack:
        if processes is not None:
            workers = _open_processes(processes)
        elif dask is not None or slurm is not None:
            workers = _open_dask(stack, dask, slurm)
        else:
            from voltome.dvc.workers import count_threads, thread_pool

            count = count_threads(threads)
            workers = Workers(lambda: thread_pool(count), count)
        try:
            yield workers
        finally:
            workers.close()


def _open_processes(count: int) -> Workers:
    import multiprocessing

    if count < 1:
        raise InputError(f"processes must be >= 1 (got {count}): give one for each core")
    context = multiprocessing.get_context("spawn")
    return Workers(lambda: ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent), count)


def _end_with_parent() -> None:
    """A worker whose parent is killed ends at once, instead of writing into a run that has begun anew."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes

        death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)


def _open_dask(stack: ExitStack, address: str | None, slurm: int | None) -> Workers:
    distributed = _import_cluster("distributed")
    if address is not None and not re.fullmatch(_ADDRESS, address):
        raise InputError(f"a Dask scheduler's address must be such as tcp://node:8786 (got {address!r}): see its log")
    scheduler: Any = address
    if slurm is not None:
        if slurm < 1:
            raise InputError(f"slurm must be >= 1 worker (got {slurm}): give such as 8")
        if shutil.which("sbatch") is None:
            raise InputError(
                "SLURM's sbatch is not on this machine: run voltome where jobs are submitted, or give --dask"
            )
        try:
            scheduler = stack.enter_context(_import_cluster("dask_jobqueue").SLURMCluster())
        except (TypeError, ValueError) as error:
            raise InputError(
                f"SLURM needs cores and memory of a worker ({error}): set jobqueue.slurm in Dask's configuration"
            ) from error
        scheduler.scale(slurm)
    try:
        client = stack.enter_context(distributed.Client(scheduler, timeout=_PATIENCE_S, set_as_default=False))
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address} ({error}): start one with dask scheduler") from error
    cores = slurm or sum(client.nthreads().values())
    if cores < 1:
        raise InputError(f"the Dask scheduler at {address} has no worker: start some with dask worker {address}")
    return Workers(lambda: client.get_executor(pure=False, retries=2), cores)


def _import_cluster(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{name} is not installed: pip install 'voltome[cluster]'") from error

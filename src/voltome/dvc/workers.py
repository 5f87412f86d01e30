"""Threads of a correlation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

from voltome.errors import InputError

_Work = TypeVar("_Work")


class InlinePool(ThreadPoolExecutor):
    """A pool without threads: work is done when it is submitted, where it is submitted.

    For a block of work that is one of many which are worked at once.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do the work; the future is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def thread_pool(threads: int | None = None) -> ThreadPoolExecutor:
    """Pool of threads; one per core that this process may use by default.

    Parameters
    ----------
    threads : int, optional

    Returns
    -------
    ThreadPoolExecutor
        Its `with` block waits for the threads.

    Raises
    ------
    InputError
        If fewer than one thread is asked for.
    """
    return ThreadPoolExecutor(max_workers=count_threads(threads), thread_name_prefix="voltome")


def count_threads(threads: int | None = None) -> int:
    """How many threads a pool has: as many as asked for, else one per core that this process may use.

    Parameters
    ----------
    threads : int, optional

    Returns
    -------
    int

    Raises
    ------
    InputError
        If fewer than one thread is asked for.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads must be >= 1 (got {threads}): leave it out to use every core")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threads or available


def finish_jobs(jobs: Mapping[Future[None], _Work]) -> list[_Work]:
    """Wait for jobs; where one fails, or the user stops, those that have not begun are dropped.

    Parameters
    ----------
    jobs : mapping of Future
        Each with what it works on.

    Returns
    -------
    list
        What was worked on, in the order in which it was done.
    """
    finished = []
    try:
        for job in as_completed(jobs):
            job.result()
            finished.append(jobs[job])
    except BaseException:
        for job in jobs:
            job.cancel()
        raise
    return finished

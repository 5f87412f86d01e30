"""Threads of a correlation."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from voltome.errors import InputError


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
    if threads is not None and threads < 1:
        raise InputError(f"threads must be >= 1 (got {threads}): leave it out to use every core")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(max_workers=threads or available, thread_name_prefix="voltome")

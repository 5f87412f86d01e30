"""How a job that runs on several threads says how far it is."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]


def count_jobs(stage: str, total: int, on_progress: OnProgress | None) -> Callable[[], None]:
    """Report a stage's begin, and give what its jobs call when they are done, on any thread.

    Parameters
    ----------
    stage : str
    total : int
        Jobs.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    callable
        Without arguments.
    """
    if on_progress is None:
        return lambda: None
    lock, done = threading.Lock(), itertools.count(1)

    def count() -> None:
        with lock:
            on_progress(stage, next(done), total)

    on_progress(stage, 0, total)
    return count

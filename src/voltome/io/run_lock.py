"""One process at a time works in a folder; the kernel lets go of the lock when that process dies, however it dies."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from voltome.errors import InputError, ResourceError

_PATIENCE_S, _PAUSE_S = 0.5, 0.05  # `lock_holder` looks by taking the lock for a moment

_HELD: set[int] = set()  # file descriptors; a forked child would hold the lock beyond its parent's death


def _let_go_in_child() -> None:
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


@contextlib.contextmanager
def hold_lock(path: str | Path) -> Iterator[None]:
    """Hold a lock while the block runs (flock).

    Parameters
    ----------
    path : str or Path
        File of the lock, such as `DIR/run/lock`; it is made, with its folders, and stays. The folder above `run` is
        what the error names.

    Yields
    ------
    None
        While this process alone holds it. Children that it forks do not.

    Raises
    ------
    InputError
        If another process, or this one, holds it.
    ResourceError
        If there is no permission, or the disk knows no locks.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ResourceError(
            f"{path} could not be opened ({error.strerror}): choose a folder you may write to"
        ) from error
    _HELD.add(descriptor)
    try:
        _wait_for_lock(descriptor, path)
        _describe_holder(descriptor)
        try:
            yield
        finally:
            if descriptor in _HELD:
                os.ftruncate(descriptor, 0)
    finally:
        if descriptor in _HELD:
            _HELD.discard(descriptor)
            os.close(descriptor)


def lock_holder(path: str | Path) -> int | None:
    """Process that holds a lock.

    Parameters
    ----------
    path : str or Path
        File of the lock.

    Returns
    -------
    int or None
        Its number (0 where it is not known); None if nobody holds it, or there is no such file.

    Raises
    ------
    ResourceError
        If there is no permission, or the disk knows no locks.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResourceError(f"{path} could not be opened ({error.strerror}): check its permissions") from error
    try:
        if _try_lock(descriptor, path, shared=True):
            return None
        return int(_read_holder(path).get("process", 0))
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not _try_lock(descriptor, path):
        if time.monotonic() > deadline:
            holder = _read_holder(path)
            folder = path.parent.parent if path.parent.name == "run" else path.parent
            process = f"process {holder['process']}" if "process" in holder else "another process"
            host = f" on {holder['host']}" if holder.get("host", platform.node()) != platform.node() else ""
            since = f" since {holder['since']}" if "since" in holder else ""
            raise InputError(f"{folder} is being run by {process}{host}{since}: wait for it or stop it")
        time.sleep(_PAUSE_S)


def _try_lock(descriptor: int, path: Path, *, shared: bool = False) -> bool:
    try:
        import fcntl
    except ImportError as error:  # Windows
        raise ResourceError(
            f"{path} cannot be locked on this system: run the study on Linux, macOS or Windows' WSL"
        ) from error
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ResourceError(f"{path} cannot be locked ({error.strerror}): choose a disk that knows locks") from error
    return True


def _describe_holder(descriptor: int) -> None:
    now = datetime.datetime.now().astimezone()
    holder = {"process": os.getpid(), "host": platform.node(), "since": now.isoformat(sep=" ", timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _read_holder(path: Path) -> dict[str, str]:
    """What the holder says of itself; nothing in the instant before it does."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in holder.items()}
    except (OSError, ValueError, AttributeError):
        return {}

"""Room on a disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from voltome.errors import ResourceError


def check_free_space(path: str | Path, needed_bytes: int) -> None:
    """Refuse a job whose output would not fit on its disk.

    Parameters
    ----------
    path : str or Path
        Output, which need not exist yet.
    needed_bytes : int

    Returns
    -------
    None
        There is room when this returns; another job may take it.

    Raises
    ------
    ResourceError
        If less is free.
    """
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise ResourceError(
            f"{path} needs {format_bytes(needed_bytes)} of free disk (there are {format_bytes(free)}): free some, "
            "write to another disk or write less"
        )


def format_bytes(count: int) -> str:
    """A number of bytes as one reads it.

    Parameters
    ----------
    count : int

    Returns
    -------
    str

    Examples
    --------
    >>> format_bytes(0), format_bytes(1999), format_bytes(7_340_000_000)
    ('0 B', '2 kB', '7.34 GB')
    """
    value, names = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(names) > 1:
        value, names = value / 1000, names[1:]
    return f"{value:.3g} {names[0]}"

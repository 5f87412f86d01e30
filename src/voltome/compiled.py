"""Compiled code that rooms keep on disk: what of it is stale, and whether there is any."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def drop_stale_cache(folder: Path) -> None:
    """Delete a room's compiled functions if they were made from other sources.

    Numba looks at a function's own file alone, not at those of the functions that it calls, and an upgrade may keep
    both time and size of a file.

    Parameters
    ----------
    folder : Path
        The room's folder; all its modules count but `__init__` and `reference*`.
    """
    sources = [path for path in sorted(folder.glob("*.py")) if not path.name.startswith(("__init__", "reference"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = folder / "__pycache__"
    stamp = cache / f"compiled-{digest}.stamp"
    if stamp.exists():
        return
    try:
        cache.mkdir(exist_ok=True)
        for pattern in ("*.nbi", "*.nbc", "compiled-*.stamp"):
            for path in cache.glob(pattern):
                path.unlink(missing_ok=True)
        stamp.touch()
    except OSError:  # a folder that is not ours to write: Numba then keeps its cache elsewhere
        return


def is_compiled(function: Any) -> bool:
    """Whether a compiled function is found on disk.

    Parameters
    ----------
    function : Numba dispatcher
        With its cache enabled.

    Returns
    -------
    bool
        Reading the cache takes under a second, compiling a room up to a minute.
    """
    module = function.__module__.rpartition(".")[2]
    own = Path(function.__code__.co_filename).parent / "__pycache__"
    places = {own, Path(function._cache.cache_path)}
    return any(True for place in places for _ in place.glob(f"{module}.{function.__name__}-*.nbi"))

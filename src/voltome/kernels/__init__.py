"""Compiled loops: arrays in, arrays out, no options, no files.

Every kernel is serial, releases the GIL, has one signature and is cached on disk; threads are the caller's business.
`reference` holds a NumPy twin of each, which is what a kernel is tested against.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_FOLDER = Path(__file__).parent
_CACHE = _FOLDER / "__pycache__"
_LARGEST = "gauss_newton.correlate_nodes-*.nbi"


def _drop_stale_cache() -> None:
    """Delete compiled kernels that were made from other sources.

    Numba looks at a function's own file alone, not at those of the functions that it calls, and an upgrade may keep
    both time and size of a file.
    """
    sources = [path for path in sorted(_FOLDER.glob("*.py")) if not path.name.startswith(("__init__", "reference"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    stamp = _CACHE / f"kernels-{digest}.stamp"
    if stamp.exists():
        return
    try:
        _CACHE.mkdir(exist_ok=True)
        for pattern in ("*.nbi", "*.nbc", "kernels-*.stamp"):
            for path in _CACHE.glob(pattern):
                path.unlink(missing_ok=True)
        stamp.touch()
    except OSError:  # a folder that is not ours to write: Numba then keeps its cache elsewhere
        return


def needs_compiling() -> bool:
    """Whether the largest kernel has to be compiled before its first use on this machine.

    Returns
    -------
    bool
        True where no compiled kernel is found: reading the cache takes under a second, compiling up to a minute.
    """
    from voltome.kernels.gauss_newton import correlate_nodes

    elsewhere = Path(correlate_nodes._cache.cache_path)  # type: ignore[attr-defined]
    places = {_CACHE, elsewhere}
    return not any(True for place in places for _ in place.glob(_LARGEST))


_drop_stale_cache()

"""Compiled loops: arrays in, arrays out, no options, no files.

Every kernel is serial, releases the GIL, has one signature and is cached on disk; threads are the caller's business.
`reference` holds a NumPy twin of each, which is what a kernel is tested against.
"""

from __future__ import annotations

from pathlib import Path

from voltome.compiled import drop_stale_cache, is_compiled


def needs_compiling() -> bool:
    """Whether the largest kernel has to be compiled before its first use on this machine.

    Returns
    -------
    bool
        True where no compiled kernel is found.
    """
    from voltome.kernels.gauss_newton import correlate_nodes

    return not is_compiled(correlate_nodes)


drop_stale_cache(Path(__file__).parent)

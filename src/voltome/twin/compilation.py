"""How the twin's loops are compiled: cached on disk, without the GIL, without counting references to arrays."""

from __future__ import annotations

import functools

from numba import njit

# Loops that hand many arrays on at every call would spend most of their time counting references; they allocate none.
compiled = functools.partial(njit, nogil=True, cache=True, _nrt=False)

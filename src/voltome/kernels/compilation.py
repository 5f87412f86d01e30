"""How kernels are compiled."""

from __future__ import annotations

from functools import partial
from typing import Any

from numba import njit

compiled: Any = partial(njit, nogil=True, _nrt=False)
"""Decorator for kernels: no GIL, and no counting of references.

Counting costs more than the arithmetic where small functions hand arrays to each other. The price is that such a kernel
cannot allocate: it works in memory that its caller gives it. Only the few kernels that allocate for all others use
`numba.njit`.
"""

"""Alignment: where the rigid collector stands in a scan, and how it moved since the first one.

This room opens no file: it takes arrays or volume sources and returns numbers with their errors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "Alignment": "similarity",
    "Collector": "collector",
    "align_field": "fields",
    "find_collector": "collector",
    "register_collector": "registration",
}

if TYPE_CHECKING:
    from voltome.alignment.collector import Collector, find_collector
    from voltome.alignment.fields import align_field
    from voltome.alignment.registration import register_collector
    from voltome.alignment.similarity import Alignment

__all__ = ["Alignment", "Collector", "align_field", "find_collector", "register_collector"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.alignment.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.alignment' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

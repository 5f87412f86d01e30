"""A study: one file that says what was filmed and how it is evaluated, and what runs it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "Study": "study_file",
    "StudySettings": "settings",
    "load_study": "study_file",
}

if TYPE_CHECKING:
    from voltome.study.settings import StudySettings
    from voltome.study.study_file import Study, load_study

__all__ = ["Study", "StudySettings", "load_study"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.study.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.study' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

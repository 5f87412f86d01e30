"""The twin's settings as a plain mapping, which is what a YAML or JSON file holds: parsed, dumped, described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voltome.errors import InputError
from voltome.settings import show_value, validate_settings
from voltome.twin.configuration import SIZE_NAMES, TwinSettings, make_settings


def parse_settings(mapping: Mapping[str, Any]) -> TwinSettings:
    """Settings from a mapping: a size to start from, and what differs from it.

    Parameters
    ----------
    mapping : mapping
        `size` (tiny, small or paper; default small), and any setting under its name, groups as mappings. `steps`
        replaces the whole list.

    Returns
    -------
    TwinSettings

    Raises
    ------
    InputError
        At the first thing that is wrong, with its path.

    Examples
    --------
    >>> settings = parse_settings({"size": "tiny", "lithiation": {"visible": False}})
    >>> settings.shape, settings.lithiation.visible
    ((96, 64, 64), False)
    >>> parse_settings({"scan": {"noize": 0.2}})
    Traceback (most recent call last):
    ...
    voltome.settings.SettingError: scan.noize must be a known setting (got 0.2): did you mean scan.noise?
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f"the twin must be a group of settings (got {show_value(mapping)}): give e.g. size: small")
    changes = dict(mapping)
    base = make_settings(changes.pop("size", "small"))
    return validate_settings(TwinSettings, _merge(base.model_dump(), changes))


def dump_settings(settings: TwinSettings) -> dict[str, Any]:
    """Settings as a mapping of plain values, complete: `parse_settings` gives the same settings again.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    dict
        Lists, dicts, numbers, texts and booleans only.
    """
    return settings.model_dump(mode="json")


def make_schema() -> dict[str, Any]:
    """JSON schema of what `parse_settings` takes: description, bounds and default of every setting.

    Returns
    -------
    dict
        JSON Schema, draft 2020-12. Defaults are those of the size small.
    """
    schema = TwinSettings.model_json_schema()
    size = {"default": "small", "description": "settings to start from", "enum": list(SIZE_NAMES), "title": "Size"}
    schema["properties"] = {"size": size} | schema["properties"]
    return schema


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        below = base.get(key)
        if isinstance(below, dict) and (value is None or isinstance(value, Mapping)):  # YAML: an empty group is None
            merged[key] = _merge(below, value or {})
        else:
            merged[key] = value
    return merged

"""The twin's settings as a plain mapping, which is what a YAML or JSON file holds: parsed, dumped, described."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from voltome.errors import InputError
from voltome.twin.configuration import SIZE_NAMES, TwinSettings, make_settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]

_UNKNOWN = ("extra_forbidden", "invalid_key")
_SHOWN = 60
_PLAIN = (
    (r"^\w+ should ", "must "),
    (r" after validation|, (got|not|unable) .*$", ""),
    (r"a valid dictionary or instance of \w+", "a group of settings"),
    ("a valid tuple", "a list"),
    ("greater than or equal to", ">="),
    ("greater than", ">"),
    ("less than or equal to", "<="),
    ("less than", "<"),
)  # pydantic's sentences in ours


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
    voltome.errors.InputError: scan.noize must be a known setting (got 0.2): did you mean scan.noise?
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f"the twin must be a group of settings (got {_show(mapping)}): give e.g. size: small")
    changes = dict(mapping)
    base = make_settings(changes.pop("size", "small"))
    try:
        return TwinSettings.model_validate(_merge(base.model_dump(), changes))
    except ValidationError as error:
        errors = error.errors()
        unknown = [one for one in errors if one["type"] in _UNKNOWN]  # a misspelt key is why another one is missing
        raise InputError(_describe((unknown or errors)[0])) from None


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


def _describe(error: ErrorDetails) -> str:
    """One line: path, rule, value, next step."""
    kind, place = error["type"], error["loc"]
    path = _join(place)
    if kind == "value_error":  # our own checks, whose messages are complete
        return f"{path}.{error['ctx']['error']}" if path else str(error["ctx"]["error"])
    if kind in _UNKNOWN:
        return f"{path} must be a known setting (got {_show(error['input'])}): {_suggest(place)}"
    if kind == "missing":
        return f"{path} must be given: {_advise(place)}"
    rule = error["msg"]
    for pattern, plain in _PLAIN:
        rule = re.sub(pattern, plain, rule)
    rule = re.sub(r"\b0\.000\d+", lambda number: f"{float(number[0]):g}", rule)
    return f"{path} {rule} (got {_show(error['input'])}): {_advise(place)}"


def _join(place: Place) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")


def _show(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + " ..."


def _find_group(field: FieldInfo) -> type[BaseModel] | None:
    """The group of settings that a field holds, or holds a list of."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _advise(place: Place) -> str:
    """What to give at a place, with the default as an example."""
    group: type[BaseModel] | None = TwinSettings
    field = None
    for key in place:
        if group is not None and isinstance(key, str):
            field = group.model_fields[key]
            group = _find_group(field)
    if field is None or group is not None:
        return f"give {', '.join(group.model_fields if group is not None else TwinSettings.model_fields)}"
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    example = "" if field.is_required() else f", e.g. {_show(default)}"
    return f"give the {field.description}{example}"


def _suggest(place: Place) -> str:
    """The known setting whose name is nearest, in the same group if there is one."""
    *above, wrong = place
    paths: dict[str, list[str]] = {}
    for name, field in TwinSettings.model_fields.items():
        paths.setdefault(name, []).append(name)
        group = _find_group(field)
        prefix = _join(tuple(above)) if name == "steps" and above[:1] == ["steps"] else name
        for below in group.model_fields if group is not None else ():
            paths.setdefault(below, []).append(f"{prefix}.{below}")
    here = _join((*above, ""))
    beside = [name for name, known in paths.items() if any(path == f"{here}{name}" for path in known)]
    for names in (beside, list(paths)):
        near = difflib.get_close_matches(str(wrong), names, n=1)
        if near:
            return f"did you mean {next((p for p in paths[near[0]] if p.startswith(here)), paths[near[0]][0])}?"
    return f"known here are {', '.join(beside)}"

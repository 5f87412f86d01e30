"""A study's file to start from, with a comment above each setting, and its JSON schema for editors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from voltome.errors import InputError
from voltome.study.study_file import STUDY_FILE

if TYPE_CHECKING:
    from pydantic import BaseModel

    from voltome.study.levels import Level

SCHEMA_FILE = "study.schema.json"
_EDITORS = f"yaml-language-server: $schema={SCHEMA_FILE}"
_HEADING = "A study: `voltome check {0}` tells whether it can run, `voltome run {0} --out results` runs it."
_LEFT_OUT = "What is left out keeps its default; `voltome new --level all` lists every setting."
_START: dict[str, Any] = {
    "voxel_size_m": 5e-8,
    "scans": [{"name": name, "volume": f"volumes/{name}.tif"} for name in ("T0", "T1")],
}


def format_template(*, level: Level = "common", example: str | None = None) -> str:
    """A study's file to start from, as YAML with comments: what each setting is and may be.

    Parameters
    ----------
    level : {"required", "common", "all"}
        Settings to list: those that must be given, also those that one often changes, or every one.
    example : str, optional
        Name of a known layout of files, one of `EXAMPLES`; by default two scans in a folder `volumes`.

    Returns
    -------
    str
        `load_study` takes it as it is.

    Raises
    ------
    InputError
        If there is no such level or example.
    """
    from voltome import io
    from voltome.settings import describe_schema
    from voltome.study.examples import EXAMPLES
    from voltome.study.levels import Level
    from voltome.study.settings import StudySettings

    levels = get_args(Level)
    if level not in levels:
        raise InputError(f"level must be one of {', '.join(levels)} (got {level!r}): name one of these")
    if example is not None and example not in EXAMPLES:
        raise InputError(f"example must be one of {', '.join(EXAMPLES)} (got {example!r}): name one of these")
    given = _START if example is None else EXAMPLES[example].settings
    notes = [] if example is None else ["", EXAMPLES[example].heading]
    whole = StudySettings.model_validate(given).model_dump(mode="json")
    values = _choose(StudySettings, whole, given, levels[: levels.index(level) + 1])
    heading = "\n".join([_EDITORS, _HEADING.format(STUDY_FILE), _LEFT_OUT, *notes, " "])
    return io.format_yaml(values, comments=describe_schema(StudySettings.model_json_schema()), heading=heading)


def format_schema() -> str:
    """JSON schema of a study's file, for editors.

    Returns
    -------
    str
        JSON Schema, draft 2020-12.
    """
    from voltome.study.settings import StudySettings

    return json.dumps(StudySettings.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def write_template(folder: str | Path, *, level: Level = "common", example: str | None = None) -> Path:
    """Write a study's file to start from into a folder, with its JSON schema beside it.

    Parameters
    ----------
    folder : str or Path
        It may hold other things, such as the volumes.
    level, example
        As `format_template` takes them.

    Returns
    -------
    Path
        Of the file, study.yaml.

    Raises
    ------
    InputError
        If there is a study.yaml already, or no such level or example.
    ResourceError
        If the disk is full or there is no permission.
    """
    from voltome import io

    text = format_template(level=level, example=example)
    path = Path(folder) / STUDY_FILE
    if path.exists():
        raise InputError(f"{path} already exists: give another folder, or move it away")
    with io.staged_file(path) as part:  # both files or none
        io.write_text(part, text)
        io.write_text(path.with_name(SCHEMA_FILE), format_schema(), overwrite=True)
    return path


def _choose(
    group: type[BaseModel], values: Mapping[str, Any], given: Mapping[str, Any], levels: tuple[str, ...]
) -> dict[str, Any]:
    """The settings of these levels, and whatever is given."""
    from voltome.settings import find_group

    chosen: dict[str, Any] = {}
    for name, field in group.model_fields.items():
        value, own = values[name], given.get(name)
        below = find_group(field)
        if below is not None and isinstance(value, Mapping):
            inner = _choose(below, value, own or {}, levels)
            chosen |= {name: inner} if inner else {}
        elif isinstance(own, list):
            chosen[name] = own  # the scans as they are: what they leave out is nothing
        elif name in given or _level(field) in levels:
            chosen[name] = value
    return chosen


def _level(field: Any) -> object:
    extra = field.json_schema_extra
    return extra.get("level") if isinstance(extra, Mapping) else None

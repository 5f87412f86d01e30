"""Groups of settings: from a plain mapping, as a YAML or JSON file holds it, to checked values or one clear line.

What is wrong is said with its path, the rule, the value and the next step. Floor 0: twin and study use the same words.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from voltome.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]

_UNKNOWN = ("extra_forbidden", "invalid_key")
_OPTIONAL = ", or leave it out"
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


class Settings(BaseModel):
    """A group of settings: frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Group = TypeVar("Group", bound=Settings)


class SettingProblem(NamedTuple):
    """What is wrong with a setting, and where that stands."""

    place: Place
    text: str


class SettingError(InputError):
    """Settings break rules; the message is the first problem's.

    Parameters
    ----------
    problems : sequence of SettingProblem
        At least one.
    """

    def __init__(self, problems: Sequence[SettingProblem]) -> None:
        super().__init__(problems[0].text)
        self.problems = tuple(problems)


class BrokenRules(ValueError):
    """What a group's own checks find: settings that do not go together.

    Parameters
    ----------
    problems : sequence of SettingProblem
        At least one; places and paths are those within the group.
    """

    def __init__(self, problems: Sequence[SettingProblem]) -> None:
        super().__init__(problems[0].text)
        self.problems = tuple(problems)


def validate_settings(group: type[Group], mapping: Mapping[str, Any]) -> Group:
    """Settings of a group from a mapping.

    Parameters
    ----------
    group : type
        Class of the settings.
    mapping : mapping
        Texts, numbers, booleans, None, lists and mappings.

    Returns
    -------
    instance of `group`

    Raises
    ------
    SettingError
        With all that is wrong, unknown settings first: a misspelt key is why another one is missing.
    """
    try:
        return group.model_validate(mapping)
    except ValidationError as error:
        found = error.errors()
    unknown = [one for one in found if one["type"] in _UNKNOWN]
    others = [one for one in found if one["type"] not in _UNKNOWN]
    hit = {one["loc"][:-1] for one in unknown}
    problems: dict[Place, SettingProblem] = {}
    for one in (*unknown, *(one for one in others if one["type"] != "missing" or one["loc"][:-1] not in hit)):
        for problem in _describe(group, one):
            problems.setdefault(problem.place, problem)
    raise SettingError(list(problems.values()))


def join_place(place: Place) -> str:
    """Path of a setting as one writes it.

    Parameters
    ----------
    place : tuple of str or int

    Returns
    -------
    str

    Examples
    --------
    >>> join_place(("scans", 1, "volume"))
    'scans[1].volume'
    """
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")


def show_value(value: object) -> str:
    """A value as a message shows it, cut where it is long.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
    """
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + " ..."


def find_group(field: FieldInfo) -> type[BaseModel] | None:
    """The group of settings that a field holds, or holds a list of.

    Parameters
    ----------
    field : FieldInfo

    Returns
    -------
    type or None
        None where it holds plain values.
    """
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def describe_schema(schema: Mapping[str, Any]) -> dict[str, str]:
    """What each setting is and may be, by its path: the comments of a file of settings.

    Parameters
    ----------
    schema : mapping
        JSON schema of a group.

    Returns
    -------
    dict of str
        `{"scan.noise": "sd of ... (0 to 1)", ...}`; the settings of a list's items are lines of the list.
    """
    return dict(_describe_group(schema, schema.get("$defs", {}), ""))


def _describe_group(group: Mapping[str, Any], groups: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for name, field in group["properties"].items():
        kinds = [field, *field.get("anyOf", ())]
        below = _find_schema(groups, kinds)
        item = _find_schema(groups, [kind.get("items", {}) for kind in kinds])
        text = field.get("description") or (below or item or {}).get("description", "")
        if item is not None:
            rows = [f"{key}: {value['description']}{_bounds(value)}" for key, value in item["properties"].items()]
            text = "\n".join([text, *rows])
        yield above + name, text + _bounds(field)
        if below is not None:
            yield from _describe_group(below, groups, f"{above}{name}.")


def _find_schema(groups: Mapping[str, Any], kinds: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((groups[kind["$ref"].removeprefix("#/$defs/")] for kind in kinds if "$ref" in kind), None)


def _bounds(field: Mapping[str, Any]) -> str:
    """What a value may be, in brackets; nothing where anything may."""
    known: dict[str, Any] = {}
    for kind in (field, *field.get("anyOf", ())):
        known |= kind
    if "enum" in known:
        return f" ({' or '.join(map(str, known['enum']))})"
    low, above = known.get("minimum"), known.get("exclusiveMinimum")
    high, below = known.get("maximum"), known.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" ({low:g} to {high:g})"
    signs = {">=": low, ">": above, "<=": high, "<": below}
    rules = [f"{sign} {bound:g}" for sign, bound in signs.items() if bound is not None]
    return f" ({' and '.join(rules)})" if rules else ""


def _describe(group: type[BaseModel], error: ErrorDetails) -> list[SettingProblem]:
    """One line for each problem: path, rule, value, next step."""
    kind, place = error["type"], _clean_place(group, error)
    path = join_place(place)
    if kind == "value_error":  # our own checks, whose messages are complete
        rule = error["ctx"]["error"]
        problems = getattr(rule, "problems", [SettingProblem((), str(rule))])
        return [SettingProblem((*place, *own), f"{path}.{text}" if path else text) for own, text in problems]
    if kind in _UNKNOWN:
        text, cure = f"must be a known setting (got {show_value(error['input'])})", _suggest(group, place)
    elif kind == "missing":
        text, cure = "must be given", _advise(group, place).removesuffix(_OPTIONAL)
    else:
        text = error["msg"]
        for pattern, plain in _PLAIN:
            text = re.sub(pattern, plain, text)
        text = re.sub(r"\b0\.000\d+", lambda number: f"{float(number[0]):g}", text)
        text, cure = f"{text} (got {show_value(error['input'])})", _advise(group, place)
    return [SettingProblem(place, f"{path} {text}: {cure}")]


def _clean_place(group: type[BaseModel], error: ErrorDetails) -> Place:
    """A place without the names that pydantic gives to the kinds of value that a setting may hold."""
    below: type[BaseModel] | None = group
    kept: list[int | str] = []
    for key in error["loc"]:
        if isinstance(key, str) and below is not None and key in below.model_fields:
            below = find_group(below.model_fields[key])
            kept.append(key)
        elif isinstance(key, int):
            kept.append(key)
    return (*kept, error["loc"][-1]) if error["type"] in _UNKNOWN and isinstance(error["loc"][-1], str) else tuple(kept)


def _advise(group: type[BaseModel], place: Place) -> str:
    """What to give at a place, with an example or the default."""
    below: type[BaseModel] | None = group
    field = None
    for key in place:
        if below is not None and isinstance(key, str):
            field = below.model_fields[key]
            below = find_group(field)
    if field is None or below is not None:
        words = [repr(word) for kind in get_args(field and field.annotation) for word in _words(kind)]
        return f"give {' or '.join([', '.join((below or group).model_fields), *words])}"
    example = field.examples[0] if field.examples else field.default
    if example is None:
        return f"give the {field.description}{_OPTIONAL}"
    if example is PydanticUndefined:
        return f"give the {field.description}"
    return f"give the {field.description}, e.g. {show_value(list(example) if isinstance(example, tuple) else example)}"


def _words(kind: object) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _suggest(group: type[BaseModel], place: Place) -> str:
    """The known setting whose name is nearest, in the same group if there is one."""
    *start, wrong = place
    above = tuple(start)
    known = list(_known_places(group, (), place))
    beside = [one for one in known if one[:-1] == above]
    for places in (beside, known):
        near = difflib.get_close_matches(str(wrong), [str(one[-1]) for one in places], n=1)
        if near:
            same = [one for one in places if one[-1] == near[0]]
            return f"did you mean {join_place(next((one for one in same if one[: len(above)] == above), same[0]))}?"
    return f"known here are {', '.join(str(one[-1]) for one in beside)}"


def _known_places(group: type[BaseModel], above: Place, wanted: Place) -> Iterator[Place]:
    """Places of all settings, in lists of groups those of the item that the wanted place is in."""
    for name, field in group.model_fields.items():
        place = (*above, name)
        yield place
        below = find_group(field)
        if below is not None:
            item = wanted[len(place) : len(place) + 1] if wanted[: len(place)] == place else ()
            inside = (*place, *item) if item and isinstance(item[0], int) else place
            yield from _known_places(below, inside, wanted)

"""Settings as YAML files: read with the line of what is wrong, written with a comment above each value."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from voltome.errors import InputError, ResourceError
from voltome.io.text import write_text

_FLOAT = r"^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Parameters
    ----------
    path : str or Path
        UTF-8. Numbers such as 5e-8 are numbers, as in YAML 1.2; an empty file is an empty mapping.

    Returns
    -------
    dict
        Texts, numbers, booleans, None, lists and dicts.

    Raises
    ------
    InputError
        If the file is missing, is no text or no YAML, has a key twice, or is no mapping; the line is named.
    ResourceError
        If there is no permission to read it.
    """
    values = _load(Path(path), lambda yaml, text: yaml.load(text, Loader=_dialect()[0]))
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path} must hold `name: value` lines at its top level: write such as `seed: 1`")
    return values


def read_yaml_lines(path: str | Path) -> dict[tuple[str | int, ...], int]:
    """Lines of a YAML file at which its values stand.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        Line, from 1, of each value by its path, such as `("scans", 1, "volume")`: where its key stands, or its item of
        a list begins. The file itself is `()`. What is named again by an alias has the line of its first place.

    Raises
    ------
    InputError
        If the file is missing, or is no text or no YAML; the line is named.
    ResourceError
        If there is no permission to read it.
    """
    root = _load(Path(path), lambda yaml, text: yaml.compose(text, Loader=_dialect()[0]))
    lines: dict[tuple[str | int, ...], int] = {(): 1}
    seen: set[int] = set()  # an alias is the same node again, and may lie within itself
    waiting: deque[tuple[tuple[str | int, ...], Any]] = deque([((), root)])
    while waiting:
        place, node = waiting.popleft()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        for key, mark, value in _children(node):
            lines[*place, key] = mark.line + 1
            waiting.append(((*place, key), value))
    return lines


def _children(node: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Key, mark and node of what a node of YAML holds."""
    import yaml  # type: ignore[import-untyped]

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key.start_mark, value
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield number, value.start_mark, value


def _load(path: Path, parse: Callable[[Any, str], Any]) -> Any:
    """What a parser makes of a file; what it raises becomes one line."""
    import yaml

    if not path.is_file():
        raise InputError(f"{path} {'is not a file' if path.exists() else 'does not exist'}: give a .yaml of settings")
    try:
        return parse(yaml, path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: give a .yaml of settings in UTF-8") from error
    except OSError as error:
        raise ResourceError(f"{path} could not be read ({error.strerror}): check its permissions") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply: give a .yaml of settings") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}{_place(error)} is not YAML ({_problem(error)}): correct it") from error
    except (ValueError, OverflowError) as error:  # a date that is none, a number that is too large
        raise InputError(f"{path} holds a value that YAML cannot read ({error}): put it in quotes") from error


def write_yaml(
    path: str | Path,
    values: Mapping[str, Any],
    *,
    comments: Mapping[str, str] | None = None,
    heading: str = "",
    overwrite: bool = False,
) -> None:
    """Write settings as `format_yaml` puts them.

    Parameters
    ----------
    path : str or Path
    values, comments, heading
        As `format_yaml` takes them.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the file exists and `overwrite` is False, or the path cannot be a file.
    ResourceError
        If the disk is full or there is no permission.
    """
    write_text(path, format_yaml(values, comments=comments, heading=heading), overwrite=overwrite)


def format_yaml(values: Mapping[str, Any], *, comments: Mapping[str, str] | None = None, heading: str = "") -> str:
    """Settings as YAML, in the order of the mapping; `read_yaml` gives the same values again.

    Parameters
    ----------
    values : mapping
        Texts, numbers, booleans, None, lists and mappings, nested. A list of mappings takes one line for each.
    comments : mapping of str, optional
        What stands above a value, by its path (`scan.noise`).
    heading : str
        Lines at the top, as comments.

    Returns
    -------
    str

    Examples
    --------
    >>> print(format_yaml({"seed": 1, "scan": {"size_m": 5e-8}}, comments={"scan.size_m": "edge of a voxel"}), end="")
    seed: 1
    scan:
      # edge of a voxel
      size_m: 5.0e-08
    """
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    return "\n".join([*lines, *_lines(values, comments or {}, "")]) + "\n"


def _lines(values: Mapping[str, Any], comments: Mapping[str, str], above: str) -> Iterator[str]:
    indent = "  " * above.count(".")
    for key, value in values.items():
        name = _inline(key)
        for comment in comments.get(above + key, "").splitlines():
            yield f"{indent}# {comment}".rstrip()
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:"
            yield from _lines(value, comments, f"{above}{key}.")
        elif isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(v, Mapping) for v in value):
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {_inline(item)}" for item in value)
        else:
            yield f"{indent}{name}: {_inline(value)}"


def _inline(value: Any) -> str:
    """A value in one line."""
    import yaml

    text: str = yaml.dump(
        value, Dumper=_dialect()[1], default_flow_style=True, sort_keys=False, allow_unicode=True, width=2**31
    )
    return text.removesuffix("\n").removesuffix("...").rstrip("\n")


@cache
def _dialect() -> tuple[Any, Any]:
    """PyYAML's safe loader and dumper, which know 5e-8 as a number; the loader refuses a key that stands twice."""
    import re

    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key.value, str) and key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands twice", key.start_mark)
                seen.add(str(key.value))
            out: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return out

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        pass

    def represent_text(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)

    for kind in (Loader, Dumper):
        kind.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+.0123456789"))
    Dumper.add_representer(str, represent_text)
    return Loader, Dumper


def _place(error: Any) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return f" line {mark.line + 1}"
    return f" at character {error.position + 1}" if hasattr(error, "position") else ""


def _problem(error: Any) -> str:
    return " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or "no detail").split())

"""Small text and JSON files, staged like everything else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voltome.errors import DamagedError
from voltome.io.staging import staged_file


def write_text(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text file (UTF-8, lines end in a newline character on every system).

    Parameters
    ----------
    path : str or Path
    text : str
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
    write_bytes(path, text.encode("utf-8"), overwrite=overwrite)


def write_bytes(path: str | Path, content: bytes, *, overwrite: bool = False) -> None:
    """Write a file that is already in memory, such as a picture.

    Parameters
    ----------
    path : str or Path
    content : bytes
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
    with staged_file(path, overwrite=overwrite) as part:
        part.write_bytes(content)


def write_json(path: str | Path, values: object, *, overwrite: bool = False) -> None:
    """Write JSON with sorted keys, so that equal content gives equal bytes.

    Parameters
    ----------
    path : str or Path
    values : object
        As `plain_json` takes it.
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
    text = json.dumps(plain_json(values), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", overwrite=overwrite)


def read_json(path: str | Path) -> dict[str, Any]:
    """Read an object that `write_json` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict

    Raises
    ------
    DamagedError
        If the file is missing, or holds no JSON object.
    """
    try:
        values = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise DamagedError(f"{path} is missing: run again, it is made anew", str(path)) from error
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path} cannot be read ({error}): run again, it is made anew", str(path)) from error
    if not isinstance(values, dict):
        raise DamagedError(f"{path} holds no object: run again, it is made anew", str(path))
    return values


def plain_json(values: object) -> object:
    """Same content in what JSON knows: NaN and infinity become None, NumPy's scalars and arrays plain ones.

    Parameters
    ----------
    values : object
        Mappings, sequences, NumPy scalars and arrays, paths, strings, numbers, booleans, None, nested.

    Returns
    -------
    object
        Dictionaries with text keys, lists, strings, numbers, booleans and None.

    Raises
    ------
    TypeError
        If something else is found.

    Examples
    --------
    >>> plain_json({"sd": np.float32("nan"), "shape": (3, np.int64(4))})
    {'sd': None, 'shape': [3, 4]}
    """
    if isinstance(values, np.ndarray | np.generic):
        values = values.tolist()
    if isinstance(values, Mapping):
        return {str(key): plain_json(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain_json(value) for value in values]
    if isinstance(values, float):
        return float(values) if math.isfinite(values) else None
    if isinstance(values, Path):
        return str(values)
    if values is None or isinstance(values, str | bool | int):
        return values
    raise TypeError(f"{type(values).__name__} does not fit into JSON")

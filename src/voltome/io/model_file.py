"""Model files: safetensors, arrays behind a header of JSON. Nothing in them is ever run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.io.staging import staged_file

_KEY, _SUM = "voltome", "sha256"


def write_model_file(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], description: Mapping[str, Any], *, overwrite: bool = False
) -> None:
    """Write arrays and what they are into one file.

    Parameters
    ----------
    path : str or Path
        By custom `.safetensors`.
    arrays : mapping of str to array
    description : mapping
        Plain values, for JSON.
    overwrite : bool
        Replace an existing file, at the very end.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the file exists and `overwrite` is False.
    ResourceError
        If the disk is full or there is no permission.
    """
    from safetensors.numpy import save

    ordered = {name: np.asarray(array, order="C") for name, array in sorted(arrays.items())}
    said = {**description, _SUM: _add_up(ordered, description)}  # one key: others would come in any order
    content = save(ordered, metadata={_KEY: json.dumps(said, sort_keys=True, allow_nan=False)})
    with staged_file(path, overwrite=overwrite) as part:
        part.write_bytes(content)


def read_model_file(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_model_file` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    arrays : dict of str to array
    description : dict

    Raises
    ------
    InputError
        If the file is missing, cut short, damaged, or none of voltome's models.
    ResourceError
        If there is no permission to read it.
    """
    from safetensors import SafetensorError, safe_open

    place = Path(path)
    if not place.is_file():
        raise InputError(f"{path} is not a file: give what `voltome segment train` or `voltome label train` wrote")
    try:
        with safe_open(place, framework="numpy") as opened:
            said = (opened.metadata() or {}).get(_KEY)
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (it is no mapping)
        if said is None:
            raise InputError(f"{path} is a safetensors file, but no model of voltome: train one, or name another file")
        description = json.loads(said)
        if not isinstance(description, dict):
            raise ValueError("its description is none")
        wanted = description.pop(_SUM, None)
        if wanted not in (None, _add_up(arrays, description)):
            raise InputError(f"{path} is damaged (its checksum differs): copy it again or train it anew")
    except (SafetensorError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a model, or was cut short ({str(error).splitlines()[0]}): copy it again or train it anew"
        ) from None
    except OSError as error:
        raise ResourceError(f"{path} could not be read ({error.strerror or error}): check its permissions") from error
    return arrays, description


def _add_up(arrays: Mapping[str, NDArray[Any]], description: Mapping[str, Any]) -> str:
    """SHA-256 of arrays and description."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True, allow_nan=False).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

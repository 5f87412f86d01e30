"""Arrays of an intermediate result: one file, written and read at the disk's speed, checked when it is read."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import DamagedError
from voltome.io.staging import staged_file


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as NumPy's .npz does, uncompressed; the same arrays give the same bytes.

    A file that is there already is replaced in one step.

    Parameters
    ----------
    path : str or Path
        By custom `.npz`.
    arrays : mapping of str to array
        Of numbers or text.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the path cannot be a file.
    ResourceError
        If the disk is full or there is no permission.
    """
    with staged_file(path, overwrite=True) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read what `write_arrays` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to array

    Raises
    ------
    DamagedError
        If the file is missing, cut short, or not what was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for name in archive.namelist():
                with archive.open(name) as member:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
                    if member.read(1):
                        raise ValueError("more bytes than the array has")
            return arrays
    except FileNotFoundError as error:
        raise DamagedError(f"{path} is missing: run again, it is made anew", str(path)) from error
    except Exception as error:  # broken bytes raise anything: BadZipFile, ValueError, struct.error ...
        reason = " ".join(str(error).split())
        raise DamagedError(f"{path} is damaged ({reason}): run again, it is made anew", str(path)) from error

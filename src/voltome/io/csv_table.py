"""Tables of named columns, separated by commas, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.io.text import write_text


def write_table_csv(path: str | Path, columns: Mapping[str, NDArray[Any]], *, overwrite: bool = False) -> None:
    """Write a table, each number in as many digits as its type needs to read back the same.

    Parameters
    ----------
    path : str or Path
    columns : mapping of str to (N,) array
        In order; the names make the first line. None and NaN become empty cells.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the columns differ in length, the file exists and `overwrite` is False, or the path cannot be a file.
    ResourceError
        If the disk is full or there is no permission.
    """
    if len({len(values) for values in columns.values()}) > 1:
        listed = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        raise InputError(f"a table's columns must be equally long (got {listed}): give one value for each row")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_cells(np.asarray(values)) for values in columns.values()), strict=True))
    write_text(path, text.getvalue(), overwrite=overwrite)


def _cells(values: NDArray[Any]) -> list[str]:
    # of float32 the elements know how few digits they need, plain numbers do not
    plain = values if values.dtype == np.float32 else values.tolist()
    return ["" if value is None or value != value else str(value) for value in plain]

"""Tables of named columns, separated by tabs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voltome.errors import InputError
from voltome.io.text import write_text


def write_table_tsv(path: str | Path, columns: Mapping[str, ArrayLike], *, overwrite: bool = False) -> None:
    """Write a table, each number in as many digits as its type needs to read back the same.

    Parameters
    ----------
    path : str or Path
    columns : mapping of str to (N,) array
        Numbers or words, in order; the names make the first line.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the columns differ in length, a word holds a tab or a line's end, the file exists and `overwrite` is False,
        or the path cannot be a file.
    ResourceError
        If the disk is full or there is no permission.
    """
    arrays = [np.asarray(values) for values in columns.values()]
    lengths = {len(values) if values.ndim == 1 else -1 for values in arrays}
    if len(lengths) > 1 or -1 in lengths:
        listed = ", ".join(f"{name} {values.shape}" for name, values in zip(columns, arrays, strict=True))
        raise InputError(f"a table's columns must be equally long (got {listed}): give one value for each row")
    # of float32 the elements know how few digits they need, plain numbers do not
    cells = [map(str, values if values.dtype == np.float32 else values.tolist()) for values in arrays]
    lines = ["\t".join(columns), *map("\t".join, zip(*cells, strict=True))]
    for line in lines:
        if line.count("\t") != max(len(columns) - 1, 0) or "\n" in line:
            raise InputError(f"{path} cannot hold a tab or a line's end in a word (got {line[:60]!r}): rename it")
    write_text(path, "\n".join(lines) + "\n", overwrite=overwrite)


def read_table_tsv(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read a table that `write_table_tsv` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to (N,) array
        float64 where every cell is a number, else words.

    Raises
    ------
    InputError
        If there is no such file, it is not text, its lines differ in length, or two columns have one name.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a table of columns separated by tabs")
    try:
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no table (it is not UTF-8): give columns separated by tabs") from error
    if not lines or any(len(line) != len(lines[0]) for line in lines) or len(set(lines[0])) < len(lines[0]):
        raise InputError(
            f"{path} is no table (its lines differ in length, or a name is there twice): give columns parted by tabs"
        )
    return {name: _read_column(cells) for name, *cells in zip(*lines, strict=True)}


def _read_column(cells: Sequence[str]) -> NDArray[Any]:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        return np.array(cells)

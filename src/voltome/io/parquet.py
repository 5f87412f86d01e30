"""Tables in Parquet, with units."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import DamagedError, InputError
from voltome.io.staging import staged_file
from voltome.io.text import plain_json


def write_parquet(
    path: str | Path,
    columns: Mapping[str, NDArray[Any] | Sequence[Any]],
    *,
    units: Mapping[str, str] | None = None,
    attributes: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a table, compressed by zstd; the same columns give the same bytes.

    Parameters
    ----------
    path : str or Path
    columns : mapping of str to (N,) array or sequence
        Numbers, words or truth values. NaN stays NaN; None in a sequence is a missing value.
    units : mapping of str to str, optional
        Of some columns; stored as `unit` in the field's metadata.
    attributes : mapping, optional
        What made the table; stored as JSON under `voltome` in the table's metadata.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the columns differ in length or mix types, a unit has no column, the file exists and `overwrite` is False,
        or the path cannot be a file.
    ResourceError
        If the disk is full or there is no permission.
    """
    import pyarrow as pa
    import pyarrow.parquet

    units = units or {}
    unknown = sorted(set(units) - set(columns))
    if unknown:
        raise InputError(f"a unit needs its column (got one for {unknown[0]!r}): give one of {', '.join(columns)}")
    arrays = {name: _to_arrow(name, values) for name, values in columns.items()}
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) > 1:
        listed = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise InputError(f"a table's columns must be equally long (got {listed}): give one value for each row")
    fields = [
        pa.field(name, array.type, metadata={"unit": units[name]} if name in units else None)
        for name, array in arrays.items()
    ]
    about = json.dumps(plain_json(attributes or {}), sort_keys=True, ensure_ascii=False)
    table = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields, metadata={"voltome": about}))
    with staged_file(path, overwrite=overwrite) as part:
        pyarrow.parquet.write_table(table, part, compression="zstd", version="2.6", write_page_checksum=True)


def read_parquet(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read a table's columns.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to (N,) array
        In the table's order. Words are objects; missing numbers are NaN, which makes whole ones real; missing words
        are None.

    Raises
    ------
    InputError
        If there is no such file.
    DamagedError
        If it is no Parquet file that can be read.
    """
    import pyarrow as pa
    import pyarrow.parquet

    if not Path(path).is_file():
        raise InputError(f"{path} is not a file that is there: check the name")
    try:
        table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        return {name: table[name].to_numpy() for name in table.column_names}
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DamagedError(f"{path} is damaged ({reason}): run again, it is made anew", str(path)) from error


def _to_arrow(name: str, values: NDArray[Any] | Sequence[Any]) -> Any:
    import pyarrow as pa

    try:
        array = pa.array(values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "OU" else values)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"column {name!r} must hold values of one type ({reason}): convert them") from error
    if pa.types.is_nested(array.type):
        raise InputError(f"column {name!r} must have one value per row (got {array.type}): give one column for each")
    return (
        array.cast(pa.float64()) if pa.types.is_null(array.type) else array
    )  # nothing known: numbers that are missing

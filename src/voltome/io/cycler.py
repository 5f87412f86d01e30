"""Cycler data as a table in the Battery Data Format."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from voltome.errors import InputError
from voltome.io.text import write_text


def write_cycler_csv(
    path: str | Path,
    *,
    time_s: ArrayLike,
    voltage_v: ArrayLike,
    current_a: ArrayLike,
    charge_ah: ArrayLike | None = None,
    step_count: ArrayLike | None = None,
    step_type: Sequence[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write what a cycler records as CSV, in the columns of the Battery Data Format (BDF).

    No clock time is written: the same data give the same bytes.

    Parameters
    ----------
    path : str or Path
        `.bdf.csv` is the format's own ending.
    time_s, voltage_v, current_a : (R,) array
        Test Time / s, Voltage / V, Current / A: the format's required columns. Time must not fall; current is
        positive on charge.
    charge_ah : (R,) array, optional
        Net Capacity / Ah: charge less discharge since the start.
    step_count : (R,) array of int, optional
        Step Count / 1: rises with each step of the program.
    step_type : sequence of R str, optional
        Step Type: what the cell does in that step.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns; each number reads back the same.

    Raises
    ------
    InputError
        If columns differ in length, are empty or hold what is no number, time falls, the file exists and `overwrite`
        is False, or the path cannot be a file.
    ResourceError
        If the disk is full or there is no permission.
    """
    numbers = {
        "Test Time / s": time_s,
        "Voltage / V": voltage_v,
        "Current / A": current_a,
        "Net Capacity / Ah": charge_ah,
        "Step Count / 1": step_count,
    }
    columns = {name: np.asarray(values) for name, values in numbers.items() if values is not None}
    if step_type is not None:
        columns["Step Type"] = np.asarray(step_type, dtype=object)
    rows = columns["Test Time / s"].size
    for name, values in columns.items():
        if values.shape != (rows,) or rows == 0:
            raise InputError(
                f"column {name!r} must have one value per row (got shape {values.shape} for {rows} times): give 1D "
                f"columns of equal length, with at least one row"
            )
        if name == "Step Type":
            continue
        if values.dtype.kind not in "iuf":
            raise InputError(f"column {name!r} must hold numbers (got {values.dtype}): convert it to float")
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise InputError(
                f"column {name!r} must hold finite numbers (got {values[bad[0]]} in row {bad[0]}): leave such rows out"
            )
    falls = np.flatnonzero(np.diff(columns["Test Time / s"]) < 0)
    if falls.size:
        raise InputError(f"time_s must not fall (got a fall after row {falls[0]}): sort the rows by time")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    write_text(path, text.getvalue(), overwrite=overwrite)

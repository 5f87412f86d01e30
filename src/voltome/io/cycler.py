"""Cycler data as a table in the Battery Data Format."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from voltome.errors import InputError, ResourceError
from voltome.fields import FloatArray
from voltome.io.text import write_text

_TIME, _VOLTAGE, _CURRENT, _CHARGE = "Test Time / s", "Voltage / V", "Current / A", "Net Capacity / Ah"


@dataclass(frozen=True)
class CyclerHistory:
    """What a cycler recorded of one cell.

    Parameters
    ----------
    time_s : (R,) float64
        Never falls.
    voltage_v : (R,) float64
    current_a : (R,) float64
        Positive on charge.
    charge_ah : (R,) float64
        Charge less discharge since the start.
    """

    time_s: FloatArray
    voltage_v: FloatArray
    current_a: FloatArray
    charge_ah: FloatArray


def read_cycler_csv(path: str | Path) -> CyclerHistory:
    """Read a cycler's table in the columns of the Battery Data Format (BDF).

    Parameters
    ----------
    path : str or Path
        Test Time / s, Voltage / V and Current / A must be there; Net Capacity / Ah is the integral of the current
        (trapezoids) where it is not. Other columns may hold anything.

    Returns
    -------
    CyclerHistory

    Raises
    ------
    InputError
        If the file is missing, empty, no text, lacks a column, has a value that is no finite number, or time falls; the
        line is named.
    ResourceError
        If it cannot be read.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            columns = _read_columns(csv.reader(file), path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the name") from error
    except OSError as error:
        raise ResourceError(f"{path} could not be read ({error.strerror}): check its permissions") from error
    except (UnicodeDecodeError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a table in CSV ({reason}): export it as UTF-8 text") from error
    time_s, current_a = columns[_TIME], columns[_CURRENT]
    falls = np.flatnonzero(np.diff(time_s) < 0)
    if falls.size:
        raise InputError(f"{path} has a {_TIME} that falls after row {falls[0] + 1}: sort the rows by time")
    charge_ah = columns.get(_CHARGE)
    if charge_ah is None:
        steps_ah = np.diff(time_s) * (current_a[1:] + current_a[:-1]) / 2 / 3600
        charge_ah = np.concatenate([[0.0], np.cumsum(steps_ah)])
    return CyclerHistory(time_s, columns[_VOLTAGE], current_a, charge_ah)


def _read_columns(reader: Any, path: str | Path) -> dict[str, FloatArray]:
    names = [name.strip() for name in next(reader, [])]
    for name in (_TIME, _VOLTAGE, _CURRENT):
        if name not in names:
            found = ", ".join(names[:8]) or "nothing"
            raise InputError(f"{path} must have a column {name!r} (its first line has {found}): name the columns so")
    places = {name: names.index(name) for name in (_TIME, _VOLTAGE, _CURRENT, _CHARGE) if name in names}
    values: dict[str, list[float]] = {name: [] for name in places}
    for row in reader:
        if not row:
            continue
        for name, place in places.items():
            text = row[place] if place < len(row) else ""
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                where = f"{path} line {reader.line_num}"
                raise InputError(f"{where}: {name!r} must be a finite number (got {text[:40]!r}): correct the line")
            values[name].append(value)
    if not values[_TIME]:
        raise InputError(f"{path} must have at least one row (it has none): give a cycler's record")
    return {name: np.array(column) for name, column in values.items()}


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
        _TIME: time_s,
        _VOLTAGE: voltage_v,
        _CURRENT: current_a,
        _CHARGE: charge_ah,
        "Step Count / 1": step_count,
    }
    columns = {name: np.asarray(values) for name, values in numbers.items() if values is not None}
    if step_type is not None:
        columns["Step Type"] = np.asarray(step_type, dtype=object)
    rows = columns[_TIME].size
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
    falls = np.flatnonzero(np.diff(columns[_TIME]) < 0)
    if falls.size:
        raise InputError(f"time_s must not fall (got a fall after row {falls[0]}): sort the rows by time")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    write_text(path, text.getvalue(), overwrite=overwrite)

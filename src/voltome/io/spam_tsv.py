"""Deformation fields as tables that SPAM reads and writes (.tsv)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.fields import (
    EXTRA_COLUMNS,
    PARAMETERS,
    SD_COLUMNS,
    SD_ORDER,
    SPAM_COLUMNS,
    DeformationField,
    FloatArray,
)
from voltome.grid import Shape3
from voltome.io.table import write_table_tsv

_POSITIONS = SPAM_COLUMNS[1:4]
_MANDATORY = (*_POSITIONS, *PARAMETERS)
_WHOLE = ("iterations", "returnStatus", "suspect", "filled")
_READ = (*_MANDATORY, "error", "deltaPhiNorm", "zncc", *_WHOLE, *SD_COLUMNS)
_TOLERANCE_VOX = 1e-4  # SPAM writes seven decimals


def write_phi_tsv(path: str | Path, field: DeformationField, *, overwrite: bool = False) -> None:
    """Write a field as SPAM's twenty columns, then voltome's own, each number so that it reads back the same.

    Parameters
    ----------
    path : str or Path
    field : DeformationField
        Row order is node order; `NodeNumber` counts from 0. Of the covariance only the standard deviations are kept.
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
    columns: dict[str, NDArray[Any]] = {"NodeNumber": np.arange(len(field))}
    columns |= dict(zip(_POSITIONS, field.positions_vox.T, strict=True))
    columns |= dict(zip(PARAMETERS, field.phi[:, :3, :].reshape(-1, 12).T, strict=True))
    columns |= {
        "error": field.residual,
        "iterations": field.iterations,
        "returnStatus": field.status,
        "deltaPhiNorm": field.delta_phi_norm,
        "zncc": field.zncc,
        "suspect": field.suspect,
        "filled": field.filled,
    }
    # The covariance is float32: more digits of its root would only be noise.
    columns |= dict(zip(SD_COLUMNS, field.sd[:, SD_ORDER].astype(np.float32).T, strict=True))
    names = (*SPAM_COLUMNS, *EXTRA_COLUMNS)
    write_table_tsv(path, {name: columns[name] for name in names}, overwrite=overwrite)


def read_phi_tsv(path: str | Path) -> DeformationField:
    """Read a field or a registration that voltome or SPAM wrote (spam-reg, spam-ldic, spam-pixelSearch, filtered ...).

    Parameters
    ----------
    path : str or Path
        Columns are found by name. Positions and the twelve parameters must be there; others become NaN or 0.

    Returns
    -------
    DeformationField
        `grid_shape` is set where the nodes form a regular grid with x fastest. The covariance is diagonal, from the
        standard deviations; NaN where the table has none.

    Raises
    ------
    InputError
        If the file is missing, empty, garbage, lacks columns, or has a row that is not right; the line is named.
    ResourceError
        If there is no permission to read it.
    """
    values = _read_columns(Path(path), _MANDATORY, _READ)
    count = len(values[_POSITIONS[0]])

    def column(name: str, default: float = math.nan) -> FloatArray:
        return values.get(name, np.full(count, default))

    whole = {name: np.nan_to_num(column(name, 0.0)).astype(np.int32) for name in _WHOLE}
    positions = np.stack([values[name] for name in _POSITIONS], axis=1)
    phi = np.tile(np.eye(4), (count, 1, 1))
    phi[:, :3, :] = np.stack([values[name] for name in PARAMETERS], axis=1).reshape(-1, 3, 4)
    sd = np.full((count, 12), np.nan)
    sd[:, SD_ORDER] = np.stack([column(name) for name in SD_COLUMNS], axis=1)
    return DeformationField.from_phi(positions, phi, grid_shape=find_grid(positions)).with_values(
        status=whole["returnStatus"],
        iterations=whole["iterations"],
        residual=column("error"),
        delta_phi_norm=column("deltaPhiNorm"),
        zncc=column("zncc"),
        suspect=whole["suspect"].astype(np.uint8),
        filled=whole["filled"].astype(np.uint8),
        covariance=_diagonal(sd),
    )


def read_positions_tsv(path: str | Path) -> FloatArray:
    """Read where nodes lie, from any table with the columns Zpos, Ypos and Xpos.

    Parameters
    ----------
    path : str or Path
        Separated by tabs; other columns may hold anything.

    Returns
    -------
    (N, 3) float64
        Positions z, y, x in voxels, in the order of the rows.

    Raises
    ------
    InputError
        If the file is missing, empty, garbage, lacks columns, or has a row that is not right; the line is named.
    ResourceError
        If there is no permission to read it.
    """
    values = _read_columns(Path(path), _POSITIONS, _POSITIONS)
    return np.stack([values[name] for name in _POSITIONS], axis=1)


def _read_columns(path: Path, mandatory: tuple[str, ...], wanted: tuple[str, ...]) -> dict[str, FloatArray]:
    """The wanted columns that a table has."""
    names, lines = _split_table(path, wanted)
    missing = [name for name in mandatory if name not in names]
    if missing:
        listed = ", ".join(missing[:4]) + (" ..." if len(missing) > 4 else "")
        raise InputError(
            f"{path} line 1 must name SPAM's columns (it lacks {listed}): give a .tsv of spam-reg, spam-ldic or voltome"
        )
    if not lines:
        raise InputError(f"{path} has no rows below its names: give a table of at least one node")
    found = [name for name in wanted if name in names]
    return dict(zip(found, _parse(path, lines, names, found).T, strict=True))


def _diagonal(sd: FloatArray) -> NDArray[np.float32]:
    known = np.isfinite(sd)
    covariance = np.where(known[:, :, None] & known[:, None, :], 0.0, np.nan)
    index = np.arange(12)
    covariance[:, index, index] = sd**2
    return covariance.astype(np.float32)


def _split_table(path: Path, wanted: tuple[str, ...]) -> tuple[list[str], list[tuple[int, str]]]:
    """Names of the columns, and the rows with their line numbers."""
    if not path.is_file():
        raise InputError(f"{path} {'is not a file' if path.exists() else 'does not exist'}: give a .tsv with nodes")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: give a .tsv of spam-reg, spam-ldic or voltome") from error
    except OSError as error:
        raise ResourceError(f"{path} could not be read ({error.strerror}): check its permissions") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty: give a .tsv of spam-reg, spam-ldic or voltome")
    names = [name.strip().lstrip("# ") for name in lines[0][1].split("\t")]
    repeated = sorted({name for name in names if names.count(name) > 1 and name in wanted})
    if repeated:
        raise InputError(f"{path} line 1 names {repeated[0]} twice: keep one of them")
    return names, lines[1:]


def _parse(path: Path, lines: list[tuple[int, str]], names: list[str], wanted: list[str]) -> FloatArray:
    columns = [names.index(name) for name in wanted]
    try:
        values = np.loadtxt([line for _, line in lines], delimiter="\t", comments=None, ndmin=2)
        fast = values.shape[1] == len(names)
    except ValueError:
        fast = False
    values = values[:, columns] if fast else np.array([_parse_line(path, *line, names, columns) for line in lines])
    for name, column in zip(wanted, values.T, strict=True):
        bad, rule = _breaks_rule(name, column)
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{path} line {lines[row][0]}: {name} must be {rule} (got {column[row]:g}): correct the row"
            )
    return np.where(np.isinf(values), np.nan, values)  # SPAM's infinite error says that there was none


def _breaks_rule(name: str, column: FloatArray) -> tuple[NDArray[np.bool_], str]:
    if name in _POSITIONS:
        return ~np.isfinite(column), "a finite number"
    if name in PARAMETERS:
        return np.isinf(column), "finite or nan"
    if name in _WHOLE:
        low, high, rule = (0, 1, "0 or 1") if name in ("suspect", "filled") else (-(2**31), 2**31 - 1, "a whole number")
        known = np.nan_to_num(column)
        return (known != np.rint(known)) | (known < low) | (known > high), rule
    return np.zeros(len(column), dtype=bool), "a number"


def _parse_line(path: Path, number: int, line: str, names: list[str], columns: list[int]) -> list[float]:
    fields = line.split("\t")
    if len(fields) != len(names):
        raise InputError(
            f"{path} line {number} must have {len(names)} fields, as line 1 has (it has {len(fields)}): correct the row"
        )
    numbers = []
    for column in columns:
        try:
            numbers.append(float(fields[column]))
        except ValueError as error:
            raise InputError(
                f"{path} line {number}: {names[column]} must be a number (got {fields[column][:40]!r}): correct the row"
            ) from error
    return numbers


def find_grid(positions_vox: FloatArray) -> Shape3 | None:
    """Shape of the regular grid that nodes form, or None.

    Parameters
    ----------
    positions_vox : (N, 3) float64

    Returns
    -------
    tuple of int or None
        Nodes along z, y, x, if x runs fastest and the steps along each axis are equal.

    Examples
    --------
    >>> find_grid(np.array([[5.0, 5, 5], [5, 5, 10], [5, 10, 5], [5, 10, 10]]))
    (1, 2, 2)
    >>> find_grid(np.array([[5.0, 5, 5], [5, 5, 10], [5, 5, 16]])) is None
    True
    """
    axes = [np.unique(np.round(column, 4)) for column in positions_vox.T]
    shape = (len(axes[0]), len(axes[1]), len(axes[2]))
    if math.prod(shape) != len(positions_vox):
        return None
    for axis in axes:
        if len(axis) > 2 and np.ptp(np.diff(axis)) > 2 * _TOLERANCE_VOX:
            return None
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return shape if np.abs(grid - positions_vox).max() <= _TOLERANCE_VOX else None

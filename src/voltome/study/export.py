"""A study's results in the formats of other programs: TIFF, ParaView's, CSV, SPAM's TSV."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from voltome.errors import InputError

Format = Literal["tiff", "vtk", "csv", "tsv"]
OnProgress = Callable[[str, int, int], None]

FORMATS: dict[Format, tuple[str, ...]] = {
    "tiff": ("volumes",),
    "vtk": ("cumulative", "increments", "direct", "volumes"),
    "csv": ("tables",),
    "tsv": ("cumulative", "increments", "direct"),
}
"""What each format can hold; the first is the default."""

_SCAN_COLUMNS = ("scan", "name")  # of the tables: which scan a row is of
_Job = tuple[str, Callable[[Path], None]]  # name of a file, and what writes it


def export_study(
    folder: str | Path,
    out: str | Path,
    *,
    format: Format,
    what: Sequence[str] = (),
    scans: Sequence[str] = (),
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> list[str]:
    """Write finished results of a study into a folder, in another format.

    Parameters
    ----------
    folder : str or Path
        What `voltome run` wrote.
    out : str or Path
        Folder to write.
    format : {"tiff", "vtk", "csv", "tsv"}
        TIFF for volumes; ParaView's .vtu for fields with their strain and .vti for volumes; CSV for tables; SPAM's
        TSV for fields.
    what : sequence of str, optional
        "volumes", "cumulative", "increments", "direct", "tables"; by default what the format is for: volumes,
        cumulative fields, tables, cumulative fields.
    scans : sequence of str, optional
        Names of scans; an increment belongs to the scan that it ends in. By default all that are finished.
    overwrite : bool
        Replace an existing folder.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    list of str
        Names of the files in `out`.

    Raises
    ------
    InputError
        If `folder` holds no study's results, the format cannot hold what is wanted, a scan is unknown or has no such
        result, nothing is finished, or `out` exists.
    DamagedError
        If a file of the study is damaged.
    ResourceError
        If the disk is full or there is no permission.
    """
    from voltome import io

    folder = Path(folder)
    kinds = _choose(format, what)
    try:
        series = io.open_series(folder / "volumes.zarr")
    except InputError as error:
        raise InputError(f"{folder} holds no results of a study: give the folder that voltome run wrote") from error
    for scan in scans:
        if scan not in series.names:
            raise InputError(f"a scan must be one of the study's (got {scan!r}): give {', '.join(series.names)}")
    jobs = [job for kind in kinds for job in _plan(folder, kind, format, series.names, scans)]
    names = [name for name, _ in jobs]
    if "volumes" in kinds:
        scan_bytes = math.prod(series.shape) * series.dtype.itemsize
        io.check_free_space(out, scan_bytes * sum(name.endswith((".tif", ".vti")) for name in names))
    with io.staged_directory(out, overwrite=overwrite, replaces=names) as part:
        for i, (name, write) in enumerate(jobs):
            if on_progress is not None:
                on_progress("export", i, len(jobs))
            write(part / name)
        if on_progress is not None:
            on_progress("export", len(jobs), len(jobs))
    return names


def _choose(format: Format, what: Sequence[str]) -> Sequence[str]:
    possible = FORMATS[format]
    for kind in what:
        if kind not in possible:
            others = "".join(f", or {other}" for other, kinds in FORMATS.items() if kind in kinds)
            raise InputError(f"{format} holds {', '.join(possible)} (got {kind}): choose one of these{others}")
    return tuple(dict.fromkeys(what)) or possible[:1]


def _plan(folder: Path, kind: str, format: Format, known: Sequence[str], scans: Sequence[str]) -> list[_Job]:
    """The files of one kind of result, in order of time."""
    finished = {mark.stem for mark in (folder / "made_by" / kind).glob("*.json")}
    if not finished:
        raise InputError(f"{folder} holds no finished {kind}: run the study first (voltome run)")
    if kind == "tables":
        tables = sorted((folder / "tables").glob("*.parquet"))
        return [(f"{table.stem}.csv", partial(_write_table, table, scans)) for table in tables]
    subjects = {subject.rpartition("-")[2]: subject for subject in finished}  # T1-T2 is an increment that ends in T2
    for scan in scans:
        if scan not in subjects:
            there = ", ".join(scan for scan in known if scan in subjects)
            raise InputError(f"{kind} must be finished for a scan (got {scan}): give one of {there}, or run the study")
    chosen = [scan for scan in known if scan in (scans or subjects) and scan in subjects]
    if kind == "volumes":
        suffix = {"tiff": "tif", "vtk": "vti"}[format]
        return [(f"{scan}.{suffix}", partial(_write_volume, folder, known.index(scan))) for scan in chosen]
    write, suffix = (_write_vtu, "vtu") if format == "vtk" else (_write_tsv, "tsv")
    return [
        (f"{kind}_{subjects[scan]}.{suffix}", partial(write, folder, f"{kind}/{subjects[scan]}")) for scan in chosen
    ]


def _write_volume(folder: Path, t: int, path: Path) -> None:
    from voltome import io

    with io.open_scan(folder / "volumes.zarr", t) as volume:
        if path.suffix == ".vti":
            io.write_volume_vti(path, volume)
        else:
            io.write_volume(path, volume)


def _write_table(table: Path, scans: Sequence[str], path: Path) -> None:
    from voltome import io

    columns = io.read_parquet(table)
    by = next((name for name in _SCAN_COLUMNS if name in columns), None)
    if scans and by is not None:
        rows = np.isin(columns[by].astype(str), scans)
        columns = {name: values[rows] for name, values in columns.items()}
    io.write_table_csv(path, columns)


def _write_tsv(folder: Path, result: str, path: Path) -> None:
    from voltome import io

    io.write_phi_tsv(path, io.read_field_zarr(folder / result / "field.zarr"))


def _write_vtu(folder: Path, result: str, path: Path) -> None:
    """The mesh that the study made, or one with the strain of its settings."""
    from voltome import dvc, io
    from voltome.study.study_file import load_study

    made = folder / result / "strain.vtu"
    if made.is_file():
        shutil.copyfile(made, path)
        return
    settings = load_study(folder).settings
    field, strain = io.read_field_zarr(folder / result / "field.zarr"), None
    if field.trusted.any() and field.grid_shape is not None and min(field.grid_shape) >= 2:
        filled = dvc.smooth_field(
            dvc.fill_field(field),
            median_radius=settings.strain.median_radius,
            gaussian_sigma=settings.strain.gaussian_sigma,
        )
        strain = dvc.compute_strain(filled, measure=settings.strain.measure, gradient=settings.strain.gradient)
    io.write_strain_vtu(path, field, strain, voxel_size_m=settings.voxel_size_m)

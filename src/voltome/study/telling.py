"""What a study tells: one row for each scan and each node, the errors where truth is known, and the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome import __version__
from voltome.study.composing import derive_strain
from voltome.study.electrode_findings import gather_findings, plan_gathering, read_slices
from voltome.study.job import Job
from voltome.study.reconstructing import gather_reconstructions
from voltome.study.result import Result
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.fields import DeformationField, StrainField


def plan_tables(study: Study) -> Iterator[Result]:
    """The tables of scans and nodes.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    yield plan_gathering(study, "tables")


def plan_report(study: Study) -> Iterator[Result]:
    """The report.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    gathered = plan_gathering(study, "report")
    yield replace(gathered, parameters={**gathered.parameters, "shown": _shown_settings(study)})


def _shown_settings(study: Study) -> dict[str, Any]:
    """What the report says of the study's settings; scans have a table of their own."""
    return study.settings.model_dump(mode="json", exclude={"scans", "watch", "truth"})


def describe_scans(job: Job) -> list[dict[str, Any]]:
    """One row for each scan of what stands.

    Parameters
    ----------
    job : Job

    Returns
    -------
    list of dict
        The fields of `voltome.report.series.SeriesScan` and others; None where something is not known.
    """
    from voltome import io

    history = None
    if "cycler" in job.result.sources:
        history = io.read_cycler_csv(job.study.locate(job.result.sources["cycler"]))
    rows = []
    for t, scan in enumerate(job.study.settings.scans):
        row: dict[str, Any] = scan.model_dump(include={"name", "repeats", "time_s", "soc"})
        row |= dict.fromkeys(("voltage_v", "current_a", "charge_ah"))
        if history is not None and scan.time_s is not None:
            row |= _read_cycler(history, scan.time_s)
        grey = _read(job, f"volumes/{scan.name}", "summary.json")
        if grey:
            row["outside_grey_window"] = (grey["below_window"] + grey["above_window"]) / grey["voxels"]
        state = _read(job, f"cumulative/{scan.name}", "summary.json")
        row["failure"] = "it could not be made: see voltome status" if t and not state else None
        row |= state
        row["composed_direct_vox"] = _read(job, f"direct/{scan.name}", "summary.json").get("composed_direct_vox")
        truth = _read(job, f"truth/{scan.name}", "accuracy.json")
        row |= {name: truth.get(name) for name in ("truth_error_vox", "truth_error_at_node_vox")} if truth else {}
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


def _read_cycler(history: Any, time_s: float) -> dict[str, float | None]:
    inside = history.time_s[0] <= time_s <= history.time_s[-1]
    out: dict[str, float | None] = {}
    for name in ("voltage_v", "current_a", "charge_ah"):
        values = getattr(history, name)
        out[name] = float(np.interp(time_s, history.time_s, values)) if inside and values is not None else None
    return out


def _read(job: Job, name: str, file: str) -> dict[str, Any]:
    """A summary of a result that stands; empty where it does not."""
    from voltome import io

    return io.read_json(job.store / name / file) if name in job.result.inputs else {}


def make_tables(job: Job) -> None:
    """Write the tables of scans and nodes.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    rows = describe_scans(job)
    units = {"time_s": "s", "voltage_v": "V", "current_a": "A", "charge_ah": "Ah"}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for name in columns:
        if name.endswith(("_m", "_vox")):
            units[name] = "m" if name.endswith("_m") else "voxel"
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_parquet(
            folder / "scans.parquet", _without_empty(columns), units={k: u for k, u in units.items() if k in columns}
        )
        nodes = tabulate_nodes(job)
        if nodes:
            io.write_parquet(folder / "nodes.parquet", nodes, units=_node_units(nodes))
    job.publish("tables")


def _without_empty(columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Columns with NaN, or no word, for what is missing."""
    out: dict[str, Sequence[Any]] = {}
    for name, values in columns.items():
        words = name in ("name", "repeats", "failure")
        out[name] = [value or "" if words else math.nan if value is None else float(value) for value in values]
    return out


def tabulate_nodes(job: Job) -> dict[str, NDArray[Any]]:
    """Every node of every composed field, those outside the electrode left out.

    Parameters
    ----------
    job : Job

    Returns
    -------
    dict of (R,) array
        Positions in voxels of the first scan, displacement in metres, strain, their sd, and what to make of them.
    """
    from voltome import io
    from voltome.fields import NodeStatus

    parts: dict[str, list[NDArray[Any]]] = {}
    scans = [scan.name for scan in job.study.settings.scans if f"cumulative/{scan.name}" in job.result.inputs]
    voxel_m = job.study.settings.voxel_size_m
    for number, scan in enumerate(scans):
        field = io.read_field_zarr(job.store / "cumulative" / scan / "field.zarr")
        strain = derive_strain(field, job.study.settings.strain)
        use = np.flatnonzero(field.status != NodeStatus.MASKED)
        columns: dict[str, NDArray[Any]] = {"scan": np.full(len(use), number, dtype=np.int32), "node": use}
        for i, axis in enumerate("zyx"):
            columns[f"{axis}_vox"] = field.positions_vox[use, i]
            columns[f"displacement_{axis}_m"] = field.displacement_vox[use, i] * voxel_m
            columns[f"displacement_{axis}_sd_m"] = field.sd[use, 3 + 4 * i] * voxel_m
        if len(strain) == len(field):
            for i, axis in enumerate("zyx"):
                columns[f"strain_{axis}{axis}"] = strain.strain[use, i, i]
                columns[f"strain_{axis}{axis}_sd"] = strain.strain_sd[use, i, i]
            columns["strain_volumetric"] = strain.volumetric[use]
            columns["strain_volumetric_sd"] = strain.volumetric_sd[use]
            columns["strain_measured"] = strain.measured[use]
        columns |= {"zncc": field.zncc[use], "status": field.status[use], "trusted": field.trusted[use]}
        columns["filled"] = field.filled[use].astype(bool)
        for name, values in columns.items():
            parts.setdefault(name, []).append(values)
    out = {name: np.concatenate(values) for name, values in parts.items()}
    if out:
        out["scan"] = np.array(scans, dtype=object)[out["scan"]]
    return out


def _node_units(columns: Mapping[str, Any]) -> dict[str, str]:
    suffixes = {"_vox": "voxel", "_m": "m"}
    return {name: unit for name in columns for suffix, unit in suffixes.items() if name.endswith(suffix)}


class _Fields(Mapping[str, Any]):
    """Composed fields of a study, or their strain, read when they are asked for."""

    def __init__(self, job: Job, *, strain: bool) -> None:
        self._job, self._strain = job, strain
        self._names = [s.name for s in job.study.settings.scans if f"cumulative/{s.name}" in job.result.inputs]

    def __getitem__(self, name: str) -> DeformationField | StrainField:
        from voltome import io

        if name not in self._names:
            raise KeyError(name)
        field = io.read_field_zarr(self._job.store / "cumulative" / name / "field.zarr")
        return derive_strain(field, self._job.study.settings.strain) if self._strain else field

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def make_report(job: Job) -> None:
    """Write the page of the whole series.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io, report

    settings = job.study.settings
    slices, index, pixel_m = read_slices(job)
    noise = [name for name in job.result.inputs if name.startswith("noise/")]
    repeats = []
    for name in noise:
        found, (reference, repeat) = _read(job, name, "noise.json"), name.removeprefix("noise/").split("-")
        repeats.append(
            {"reference": reference, "repeat": repeat, "factor": found.get("factor_u"), "refused": found["refused"]}
        )
    truth = [
        row for scan in settings.scans for row in _read(job, f"truth/{scan.name}", "accuracy.json").get("rows", [])
    ]
    shown = dict(job.result.parameters["shown"])
    title = shown.pop("title") or f"A study of {len(settings.scans)} scans"
    page = report.render_series_report(
        {"title": title, "version": __version__, "parameters": shown, "files": _list_files(job)},
        describe_scans(job),
        _Fields(job, strain=False),
        _Fields(job, strain=True),
        slices,
        slice_index_vox=index,
        slice_scale=round(pixel_m / settings.voxel_size_m),
        node_spacing_vox=settings.correlation.node_spacing_vox,
        voxel_size_m=settings.voxel_size_m,
        repeats=repeats,
        truth=truth,
        electrode=gather_findings(job),
        reconstruction=report.describe_reconstructions(*gather_reconstructions(job), polarity=settings.polarity),
    )
    io.write_text(job.out, page, overwrite=True)
    job.publish("report.html")


def _list_files(job: Job) -> list[tuple[str, str]]:
    """What stands beside the report for the electrode."""
    out = [
        ("alignment/", "where the collector stands in each scan, and how it moved since the first"),
        ("surface/", "thickness.tif and surface.tif of each scan, in the frame of the first"),
        ("electrode/", "measurements.csv: the numbers of this page, and what each cause adds to their errors"),
        ("figures/", "the figures of this page as PNG and SVG, and the numbers behind each as CSV"),
        ("movie.mp4", "the axial strain over time"),
    ]
    if "silicon/all" in job.result.inputs:
        out.insert(3, ("segmentation/", "phases of each scan and how sure they are, as OME-Zarr"))
        out.insert(4, ("silicon/", "measurements.csv: the silicon that has not reacted, and other ways to count it"))
    if "accuracy/all" in job.result.inputs:
        out.append(("accuracy.json", "every recovered number beside the true one"))
    return out


def plan_figures(study: Study) -> Iterator[Result]:
    """The report's figures as files.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    yield plan_gathering(study, "figures")


def make_figures(job: Job) -> None:
    """Write each figure of the electrode as PNG and SVG, with the numbers behind it as CSV.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io, report

    findings = gather_findings(job)
    if findings is None:
        return
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        for name, figure in report.draw_electrode_figures(findings).items():
            io.write_bytes(folder / f"{name}.png", report.figure_to_png(figure))
            io.write_text(folder / f"{name}.svg", report.figure_to_svg(figure))
            io.write_text(folder / f"{name}.csv", report.tabulate_figure(findings, name))
    job.publish("figures")

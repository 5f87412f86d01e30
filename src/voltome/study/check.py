"""Whether a study can run, before anything is run: its files, their shapes, disk, memory and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voltome.errors import VoltomeError
from voltome.grid import Shape3
from voltome.study.findings import Findings
from voltome.study.inspection import inspect_scans
from voltome.study.study_file import StudyError, load_study

if TYPE_CHECKING:
    from voltome.study.estimates import StudyEstimate
    from voltome.study.settings import StudySettings
    from voltome.study.study_file import Study


@dataclass(frozen=True)
class StudyCheck:
    """What was found.

    Parameters
    ----------
    problems : tuple of str
        What keeps the study from running, one line each, with the line of the study's file.
    warnings : tuple of str
        What it would be better with, likewise.
    facts : mapping
        What is known of the study: scans, shape, nodes, disk, memory, time. Plain values; empty where its settings
        break rules.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def check_study_file(
    path: str | Path, *, out: str | Path | None = None, threads: int | None = None, planned: bool = False
) -> StudyCheck:
    """Check a study's file and then, where its settings are sound, all that they name.

    Parameters
    ----------
    path, out, threads, planned
        As `load_study` and `check_study` take them.

    Returns
    -------
    StudyCheck

    Raises
    ------
    InputError
        If there is no such file, or it is no YAML.
    ResourceError
        If there is no permission to read it.
    """
    try:
        study = load_study(path)
    except StudyError as error:
        return StudyCheck(error.lines)
    return check_study(study, out=out, threads=threads, planned=planned)


def check_study(
    study: Study, *, out: str | Path | None = None, threads: int | None = None, planned: bool = False
) -> StudyCheck:
    """Open what a study names and compare it; nothing is written and next to nothing is read.

    Parameters
    ----------
    study : Study
    out : str or Path, optional
        Folder for the results, whose disk is looked at.
    threads : int, optional
        That will work at once; by default one per core.
    planned : bool
        Before the experiment: scans that are not there yet are nothing wrong.

    Returns
    -------
    StudyCheck
        With everything that was found, not only the first.

    Raises
    ------
    InputError
        If fewer than one thread is asked for.
    """
    from voltome.dvc.workers import count_threads
    from voltome.study.estimates import estimate_study

    findings = Findings(study)
    workers = count_threads(threads)
    scans = inspect_scans(study, findings, planned=planned)
    _check_companions(study, findings)
    models = _check_models(study, findings)
    facts: dict[str, Any] = {"study": str(study.path), "scans": [scan.name for scan in study.settings.scans]}
    facts |= {
        "voxel_size_m": study.settings.voxel_size_m,
        "polarity": study.settings.polarity,
        "threads": workers,
        "models": models,
    }
    if scans:
        first = scans[min(scans)]
        _check_geometry(study.settings, first.shape, findings)
        estimate = estimate_study(study.settings, first.shape, frames=first.frames, threads=workers)
        facts |= _check_machine(estimate, out, findings)
        facts |= {"shape": list(first.shape), "dtype": first.dtype, **vars(estimate)}
        facts["pyramid"] = list(study.settings.correlation.fit_pyramid(first.shape))
        facts["half_window_vox"] = study.settings.correlation.window_vox
    return StudyCheck(tuple(findings.problems), tuple(findings.warnings), facts)


def _check_companions(study: Study, findings: Findings) -> None:
    """What the evaluation rests on beside the volumes: a repeat scan, times, the cycler's table."""
    from voltome.io.cycler import read_cycler_csv

    settings = study.settings
    if not any(scan.repeats for scan in settings.scans):
        findings.warn(("scans",), "should hold a repeat scan (none has repeats): errors rest on the residuals alone")
    timed = [(number, scan.time_s) for number, scan in enumerate(settings.scans) if scan.time_s is not None]
    if len(timed) < len(settings.scans):
        listed = ", ".join(scan.name for scan in settings.scans if scan.time_s is None)
        findings.warn(("scans",), f"should have time_s (missing at {listed}): curves over time leave these out")
    if settings.electrochemistry.cycler is None:
        return
    try:
        history = read_cycler_csv(study.locate(settings.electrochemistry.cycler))
    except VoltomeError as error:
        findings.refuse(("electrochemistry", "cycler"), f"cannot be used: {error}")
        return
    first, last = float(history.time_s[0]), float(history.time_s[-1])
    for number, time_s in timed:
        if not first <= time_s <= last:
            rule = f"is outside the cycler's table, {first:g} to {last:g} s (got {time_s:g}): check its clock"
            findings.warn(("scans", number, "time_s"), rule)


def _check_models(study: Study, findings: Findings) -> dict[str, float | None]:
    """Models are there, whole, and know silicon; ranges name scans that there are. Dice of silicon where judged."""
    from voltome.pipeline.segment import SHIPPED, load_model

    settings = study.settings.segmentation
    places: dict[str, tuple[int | str, ...]] = {} if settings.model is None else {settings.model: ("model",)}
    known = {scan.name for scan in study.settings.scans}
    for number, one in enumerate(settings.ranges):
        places.setdefault(one.model, ("ranges", number, "model"))
        for name in sorted(set(one.scans) - known):
            findings.refuse(("segmentation", "ranges", number, "scans"), f"must name scans (got {name!r}): correct it")
    judged: dict[str, float | None] = {}
    for name, place in places.items():
        try:
            model = load_model(name if name == SHIPPED else study.locate(name))
            model.find_class(settings.silicon)
        except VoltomeError as error:
            findings.refuse(("segmentation", *place), f"cannot be used: {error}")
            continue
        judged[name] = model.scores.get("dice", {}).get(settings.silicon)
    return judged


def _check_geometry(settings: StudySettings, shape: Shape3, findings: Findings) -> None:
    """Whether windows, nodes and region fit the volumes."""
    from voltome.study.estimates import count_nodes, region_edges_vox

    correlation, listed = settings.correlation, " x ".join(map(str, shape))
    most = (min(shape) - 1) // 2
    given = "node_spacing_vox" if correlation.half_window_vox is None else "half_window_vox"
    if correlation.window_vox > most:
        rule = f"must be <= {most} for volumes of {listed} (got {correlation.window_vox}): give a smaller window"
        findings.refuse(("correlation", given), rule)
    region = settings.electrode.region_m
    for axis, side in zip("zyx", shape, strict=True):
        low, high = region_edges_vox(region, axis, settings.voxel_size_m, side)
        if high > side + 0.5:
            edges = f"{low * settings.voxel_size_m:g} to {high * settings.voxel_size_m:g}"
            rule = f"must end in the volume, at {side * settings.voxel_size_m:g} m (got {edges}): lower it"
            findings.refuse(("electrode", "region_m", axis), rule)
    counts = count_nodes(settings, shape)
    if min(counts) < 2 and correlation.window_vox <= most:
        got = f"{min(counts)} at a spacing of {correlation.node_spacing_vox} in {listed}"
        rule = f"must give at least 2 nodes along {'zyx'[counts.index(min(counts))]} (got {got})"
        findings.refuse(("correlation", "node_spacing_vox"), f"{rule}: lower it, or widen electrode.region_m")


def _check_machine(estimate: StudyEstimate, out: str | Path | None, findings: Findings) -> dict[str, Any]:
    """Whether the disk has room; memory can be freed, and is only warned of."""
    import psutil

    from voltome.io.disk import check_free_space, format_bytes

    available = int(psutil.virtual_memory().available)
    if estimate.memory_bytes > available:
        needed, there = format_bytes(estimate.memory_bytes), format_bytes(available)
        findings.warnings.append(f"about {needed} of memory are needed (there are {there}): close other programs")
    if out is not None:
        try:
            check_free_space(out, max(0, estimate.disk_bytes - _measure_folder(Path(out))))
        except VoltomeError as error:
            findings.problems.append(str(error))
    return {"memory_available_bytes": available}


def _measure_folder(folder: Path) -> int:
    """Bytes of what an earlier run left, which need not be written again."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())

"""Scans that are given as radiographs: their volumes, and the grey window that belongs to those."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.settings import Scan
from voltome.study.source import SourceFile, describe_source
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.pipeline.reconstruction_settings import ReconstructionSettings
    from voltome.quality.grey_window import Polarity

RECONSTRUCTION = "reconstruction"

_VOLUME = "volume.raw"

_ONE_AT_A_TIME = threading.Lock()
"""A scan's flats take memory, and workers keep those of the last one: blocks of several scans would push them out."""


def plan_reconstruction(study: Study) -> Iterator[Result]:
    """The volume of each scan that is given as radiographs.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    settings = study.settings.reconstruction.model_dump(mode="json", exclude={"device"})
    for scan in study.settings.scans:
        if scan.radiographs:
            sources = {f"distance_{number}": name for number, name in enumerate(scan.radiographs, start=1)}
            yield Result(RECONSTRUCTION, scan.name, settings, sources=sources)


def make_reconstruction(job: Job) -> None:
    """Reconstruct a scan from its radiographs.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.

    Raises
    ------
    InputError
        If the voxels come out with another size than the study says.
    """
    from voltome import io
    from voltome.pipeline.reconstruct import reconstruct_scan
    from voltome.pipeline.scan_frames import name_files

    settings = job.study.settings
    files = name_files([job.study.locate(name) for name in job.result.sources.values()], settings.reconstruction)
    job.work.mkdir(parents=True, exist_ok=True)
    with _ONE_AT_A_TIME:
        volume, summary = reconstruct_scan(files, settings.reconstruction, job.work, job.run_blocks)
    _check_voxel(settings.voxel_size_m, summary["voxel_size_m"], job.result.subject)
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_volume(folder / _VOLUME, volume, voxel_size_m=settings.voxel_size_m)
        told = {job.study.locate(name): name for name in job.result.sources.values()}
        io.write_json(folder / "summary.json", io.plain_json(_name_plainly(summary, settings.reconstruction, told)))
    job.publish(f"{RECONSTRUCTION}/{job.result.subject}")
    for left in (job.work / "integrals.raw", job.work / "volume.raw"):
        left.unlink(missing_ok=True)


def _check_voxel(wanted_m: float, pixel_m: float | None, name: str) -> None:
    from voltome.study.inspection import VOXEL_SIZE_TOLERANCE

    if pixel_m is not None and abs(pixel_m - wanted_m) > VOXEL_SIZE_TOLERANCE * wanted_m:
        raise InputError(
            f"voxel_size_m must be {pixel_m:g}, the pixel at the sample that the radiographs of {name} give (got "
            f"{wanted_m:g}): correct it, or the geometry under reconstruction"
        )


def _name_plainly(
    summary: dict[str, Any], settings: ReconstructionSettings, names: Mapping[str, str]
) -> dict[str, Any]:
    """A summary with files as the study names them, not with the folders of this machine."""

    def shorten(text: str) -> str:
        for located, name in names.items():
            text = text.replace(located, name)
        return text

    shifts = [one | {"name": shorten(one["name"]).partition("::")[0]} for one in summary["shifts"]]
    warnings = [shorten(line) for line in summary["warnings"]]
    return summary | {"shifts": shifts, "warnings": warnings, "settings": settings.model_dump(mode="json")}


def gather_reconstructions(job: Job) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None]:
    """What is known of the volumes that stand, and of their grey, for a report.

    Parameters
    ----------
    job : Job
        Of a result to which these are inputs.

    Returns
    -------
    summaries : dict
        By scan; empty where volumes were given.
    grey : dict or None
    """
    from voltome import io

    def read(name: str) -> dict[str, Any] | None:
        return io.read_json(job.store / name / "summary.json") if name in job.result.inputs else None

    scans = [scan.name for scan in job.study.settings.scans]
    found = {name: read(f"{RECONSTRUCTION}/{name}") for name in scans}
    return {name: one for name, one in found.items() if one is not None}, read("grey/window")


def describe_scan(study: Study, store: Path, scan: Scan) -> SourceFile:
    """How the volume of a scan is read: its own file, or what its radiographs gave.

    Parameters
    ----------
    study : Study
    store : Path
    scan : Scan

    Returns
    -------
    SourceFile
    """
    if not scan.radiographs:
        return describe_source(study, scan.volume)
    from voltome import io

    folder = store / RECONSTRUCTION / scan.name
    z, y, x = io.read_json(folder / "summary.json")["shape"]
    return SourceFile(str(folder / _VOLUME), "zyx", "", (z, y, x), "<f4")


def find_anchored_window(source: SourceFile, polarity: Polarity) -> dict[str, NDArray[Any]]:
    """Grey values that become 0 and 65535 so that bulk silicon and electrolyte stand at fixed greys.

    Parameters
    ----------
    source : SourceFile
        The first scan: refractive decrements.
    polarity : {"silicon-darkest", "silicon-brightest"}

    Returns
    -------
    dict
        `low`, `high`: the latter below the former where denser is darker. Where both modes were found also their
        values, `silicon` and `electrolyte`, and `silicon_sd` and `electrolyte_sd`.
    """
    from voltome.quality import find_anchors, make_grey_window, spread_grey_window

    with source.open() as volume:
        slab = read_textured_slab(volume)
    found: dict[str, NDArray[Any]] = {}
    try:
        anchors = find_anchors(slab)
        window = make_grey_window(anchors, polarity=polarity)
        for name, grey in (("silicon", anchors.silicon), ("electrolyte", anchors.electrolyte)):
            found |= {name: np.array(grey.mean), f"{name}_sd": np.array(grey.sd)}
    except InputError:
        window = spread_grey_window(slab, polarity=polarity)
    ends = (window.high, window.low) if polarity == "silicon-darkest" else (window.low, window.high)
    return found | {"low": np.array(ends[0]), "high": np.array(ends[1])}


def read_textured_slab(volume: VolumeSource) -> NDArray[np.float32]:
    """The slices that show particles: those between collector and separator.

    Parameters
    ----------
    volume : VolumeSource

    Returns
    -------
    (z, y, x) float32
        The longest run of slices whose smoothed values scatter at least half as much as those of a typical slice,
        without those at its ends; the whole where there is none.
    """
    from scipy.ndimage import gaussian_filter

    z, y, x = volume.shape
    whole = slice(0, y), slice(0, x)
    scatter = np.array([gaussian_filter(volume[slice(i, i + 1), *whole][0][::2, ::2], 1.5).std() for i in range(z)])
    usual = np.quantile(scatter, 0.75)
    textured = np.r_[False, (scatter > usual / 2) & (scatter < usual * 2), False]
    edges = np.flatnonzero(np.diff(textured.astype(int)))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return np.asarray(volume[slice(0, z), *whole])
    longest = int(np.argmax(stops - starts))
    start, stop = int(starts[longest]), int(stops[longest])
    margin = (stop - start) // 10
    return np.asarray(volume[slice(start + margin, stop - margin), *whole])

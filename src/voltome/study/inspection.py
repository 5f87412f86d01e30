"""The scans of a study as their files are: opened, compared with each other, hardly read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import VoltomeError
from voltome.frames import PROJECTION
from voltome.grid import Block, Shape3, make_block
from voltome.settings import Place
from voltome.study.findings import Findings
from voltome.study.source import describe_source

if TYPE_CHECKING:
    from voltome.io.orientation import OrientedVolume
    from voltome.io.volume import Volume
    from voltome.study.study_file import Study

VOXEL_SIZE_TOLERANCE = 1e-3
"""Largest relative difference between a file's voxel size and the study's."""

_PROBE = 64
"""Voxels, along each side at most, of what is read of a scan: its last corner, so that a file cut short shows."""

_END_PLANES = 2
_RARE_PERCENT = 2.0
"""Of the voxels in the middle: what is darker or brighter than nearly all of them may be the collector."""


@dataclass(frozen=True)
class FoundScan:
    """A scan whose file could be opened.

    Parameters
    ----------
    name : str
    shape : tuple of int
        Voxels along z, y, x of the study.
    dtype : str
    voxel_size_m : float or None
        As the file says, where it does.
    frames : tuple of int or None
        Of a scan that is given as radiographs: distances, angles, rows and columns.
    """

    name: str
    shape: Shape3
    dtype: str
    voxel_size_m: float | None
    frames: tuple[int, int, int, int] | None = None


def inspect_scans(study: Study, findings: Findings, *, planned: bool = False) -> dict[int, FoundScan]:
    """Open every scan and its mask, and compare them.

    Parameters
    ----------
    study : Study
    findings : Findings
        Takes what is wrong.
    planned : bool
        Scans that are not there yet are nothing wrong.

    Returns
    -------
    dict
        The scans that could be opened, by their number.
    """
    found: dict[int, FoundScan] = {}
    for number, scan in enumerate(study.settings.scans):
        if scan.radiographs:
            seen = _open_radiographs(study, number, findings, planned=planned)
            if seen is not None:
                found[number] = seen
            continue
        if planned and not Path(study.locate(scan.volume).partition("::")[0]).exists():
            continue
        volume = _open_file(study, ("scans", number, "volume"), scan.name, scan.volume, findings)
        if volume is not None:
            found[number] = volume
    for number, scan in enumerate(study.settings.scans):
        if scan.mask is not None and (number in found or not planned):
            mask = _open_file(study, ("scans", number, "mask"), scan.name, scan.mask, findings)
            if mask is not None and number in found and mask.shape != found[number].shape:
                wanted = f"must have the shape of its scan, {_by(found[number].shape)} (got {_by(mask.shape)})"
                findings.refuse(("scans", number, "mask"), f"{wanted}: crop or bin it likewise")
    _compare_shapes(study, found, findings)
    _compare_voxel_sizes(study, found, findings)
    if study.settings.scans and study.settings.scans[0].radiographs:
        return found
    _compare_grey(study, found, findings)
    _compare_names(study, findings)
    if 0 in found:
        _look_at_ends(study, found[0], findings)
    return found


def _open_file(study: Study, place: Place, name: str, path: str, findings: Findings) -> FoundScan | None:
    """Open a volume and read its last corner."""
    try:
        with _open_volume(study, path) as volume:
            volume[_last_corner(volume)]
            return FoundScan(name, _orient(study, volume).shape, str(volume.dtype), volume.voxel_size_m)
    except VoltomeError as error:
        findings.refuse(place, f"cannot be used: {error}")
        return None


def _open_radiographs(study: Study, number: int, findings: Findings, *, planned: bool) -> FoundScan | None:
    """Open the radiographs of a scan and see what volume they give."""
    from voltome.pipeline.scan_frames import name_files
    from voltome.pipeline.scan_request import check_request

    scan, settings = study.settings.scans[number], study.settings.reconstruction
    names = [study.locate(name) for name in scan.radiographs]
    if planned and not all(Path(name.partition("::")[0]).exists() for name in names):
        return None
    try:
        with name_files(names, settings).open() as opened:
            check_request(opened, settings)
            first = opened.distances[0]
            rows, columns = first.frame_shape
            frames = len(opened.distances), len(first.find(PROJECTION)), rows, columns
            pixel = None if first.geometry is None else first.geometry.pixel_m
    except VoltomeError as error:
        findings.refuse(("scans", number, "radiographs"), f"cannot be used: {error}")
        return None
    low, high = settings.rows or (0, rows)
    y, x = settings.shape_vox or (columns, columns)
    return FoundScan(scan.name, (high - low, y, x), "float32", pixel, frames)


def _open_volume(study: Study, path: str) -> Volume:
    """A volume as it lies in the file, with the voxel size that the file says."""
    from voltome.io.volumes import open_volume

    source = describe_source(study, path)
    return open_volume(source.name, shape=source.shape, dtype=source.dtype)


def _orient(study: Study, volume: Volume) -> OrientedVolume:
    from voltome.io.orientation import OrientedVolume

    return OrientedVolume(volume, axes=study.settings.volumes.axes, flip=study.settings.volumes.flip)


def _compare_shapes(study: Study, found: Mapping[int, FoundScan], findings: Findings) -> None:
    first = next(iter(found.values()), None)
    for number, scan in found.items():
        if first is not None and scan.shape != first.shape:
            rule = (
                f"must have the shape of {first.name}, {_by(first.shape)} (got {_by(scan.shape)}): crop or bin it alike"
            )
            findings.refuse(("scans", number, "volume"), rule)


def _compare_voxel_sizes(study: Study, found: Mapping[int, FoundScan], findings: Findings) -> None:
    """One line where all files say the same, and else one for each file that differs from the study."""
    wanted = study.settings.voxel_size_m
    said = {number: scan.voxel_size_m for number, scan in found.items() if scan.voxel_size_m is not None}
    wrong = {number: size for number, size in said.items() if not _same(size, wanted)}
    size = next(iter(wrong.values()), wanted)
    if len(wrong) > 1 and len(wrong) == len(said) and all(_same(other, size) for other in wrong.values()):
        rule = f"must be {size:g}, as the scans' files say (got {wanted:g}): correct it, or write the files again"
        findings.refuse(("voxel_size_m",), rule)
        return
    for number, size in wrong.items():
        rule = f"must have voxels of voxel_size_m, {wanted:g} (its file says {size:g}): bin it alike, or correct one"
        findings.refuse(("scans", number, "volume"), rule)


def _compare_grey(study: Study, found: Mapping[int, FoundScan], findings: Findings) -> None:
    """The types of the files must agree with one grey window for all scans."""
    volumes, first = study.settings.volumes, next(iter(found.values()), None)
    if first is None or (volumes.grey_low is not None and volumes.grey_high is not None):
        return
    for number, scan in found.items():
        if scan.dtype != first.dtype:
            rule = f"must be of the type of {first.name}, {first.dtype} (got {scan.dtype}): convert it, or give "
            findings.refuse(("scans", number, "volume"), f"{rule}volumes.grey_low and grey_high")
    if first.dtype not in ("uint8", "uint16"):
        rule = f"and grey_high are not given (the scans are {first.dtype}): the grey window is then taken from "
        findings.warn(("volumes", "grey_low"), f"{rule}{first.name}, whatever comes later; give both to be sure")


def _compare_names(study: Study, findings: Findings) -> None:
    volumes, firsts = study.settings.volumes, dict[str, str]()
    for number, scan in enumerate(study.settings.scans):
        first = firsts.setdefault(scan.volume, scan.name)
        if first != scan.name:
            findings.warn(
                ("scans", number, "volume"), f"is the file of {first} as well ({scan.volume}): is that meant?"
            )
    read = [describe_source(study, scan.volume) for scan in study.settings.scans]
    if (volumes.shape or volumes.dtype) and not any(source.shape or source.dtype for source in read):
        findings.warn(("volumes",), "has a shape or dtype, which are for raw files (none is): leave them out")


def _look_at_ends(study: Study, scan: FoundScan, findings: Findings) -> None:
    """The collector is much denser than the electrode: see whether polarity and side agree with the first scan.

    Where neither end of z is darker or brighter than nearly all of the middle, nothing can be told.
    """
    polarity, side = study.settings.polarity, study.settings.electrode.collector_side
    low, middle, high = (planes.astype(np.float64) for planes in _sample_planes(study, scan))
    sign = -1.0 if polarity == "silicon-darkest" else 1.0  # of density in grey
    lightest, densest = np.percentile(sign * middle, [_RARE_PERCENT, 100 - _RARE_PERCENT])
    ends = {"low-z": np.median(sign * low), "high-z": np.median(sign * high)}
    here = ends.pop(side)
    (other, there), *_ = ends.items()
    if here < lightest or (there > densest >= here):
        rule = f"is {side}, and the polarity {polarity}, but in {scan.name} the {other} end is denser: check both"
        findings.warn(("electrode", "collector_side"), rule)


def _sample_planes(study: Study, scan: FoundScan) -> list[NDArray[Any]]:
    """The middle of a few planes at z = 0, halfway, and at the last z."""
    nz, ny, nx = scan.shape
    deep = min(_END_PLANES, nz)
    y, x = (slice(max(0, n // 2 - _PROBE), n // 2 + _PROBE) for n in (ny, nx))
    with _open_volume(study, study.settings.scans[0].volume) as volume:
        oriented = _orient(study, volume)
        return [oriented[start : start + deep, y, x] for start in (0, (nz - deep) // 2, nz - deep)]


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=VOXEL_SIZE_TOLERANCE)


def _last_corner(volume: Volume) -> Block:
    start = [
        max(0, n - min(_PROBE, (n - 1) % chunk + 1)) for n, chunk in zip(volume.shape, volume.chunk_shape, strict=True)
    ]
    return make_block(start, volume.shape)


def _by(shape: Shape3) -> str:
    return " x ".join(map(str, shape))

"""Where in a scan the electrode lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.storing import VOLUMES
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.study.settings import ElectrodeSettings

_PROFILE_VOXELS = 256**3
_LEAST_CONTRAST = 2.5
_OPAQUE = 0.02  # of the largest texture: a plane in which nothing is seen
_BESIDE = 24  # planes beside such a one that are hidden in part: one of so many in the volume


def plan_regions(study: Study) -> Iterator[Result]:
    """Where the electrode lies in each scan.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    electrode = study.settings.electrode
    parameters: dict[str, Any] = {"voxel_size_m": study.settings.voxel_size_m}
    region = electrode.region_m
    parameters["region_m"] = region if region is None or isinstance(region, str) else region.model_dump(mode="json")
    for t, scan in enumerate(study.settings.scans):
        yield Result("region", scan.name, parameters | {"t": t}, inputs=(f"volumes/{scan.name}",))


def make_region(job: Job) -> None:
    """Find the electrode's box in a scan.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    study, series = job.study.settings, str(job.store / VOLUMES)
    found = job.run("find", find_region, series, int(job.result.parameters["t"]), study.electrode, study.voxel_size_m)
    box = {name: found[name].tolist() for name in ("low_vox", "high_vox")}
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_json(folder / "summary.json", box | {"found_by": str(found["found_by"])})
    job.publish(f"region/{job.result.subject}")


def find_region(series: str, t: int, electrode: ElectrodeSettings, voxel_size_m: float) -> dict[str, NDArray[Any]]:
    """Box of a scan that the electrode lies in.

    Parameters
    ----------
    series : str
        Path of the store.
    t : int
    electrode : ElectrodeSettings
    voxel_size_m : float

    Returns
    -------
    dict
        `low_vox`, `high_vox` (half-open, full voxels) and `found_by`: "study", "texture" or "nothing".
    """
    from voltome import io

    shape = np.array(io.open_series(series).shape)
    low, high, region = np.zeros(3, dtype=np.int64), shape.copy(), electrode.region_m
    if region == "all":
        return {"low_vox": low, "high_vox": high, "found_by": np.array("study")}
    if region is not None:
        for axis, edges in enumerate((region.z, region.y, region.x)):
            if edges is not None:
                low[axis], high[axis] = (min(round(edge / voxel_size_m), shape[axis]) for edge in edges)
        return {"low_vox": low, "high_vox": high, "found_by": np.array("study")}
    level = 0
    while np.prod(shape >> level) > _PROFILE_VOXELS or (level < 2 and (shape[0] >> level) >= 48):
        level += 1
    with io.open_scan(series, t, level=min(level, len(io.open_series(series).level_shapes) - 1)) as volume:
        texture = np.array([float(volume[z : z + 1, :, :].std()) for z in range(volume.shape[0])])
        scale = round(shape[0] / volume.shape[0])
    slab = find_slab(texture)
    if slab is not None:
        low[0], high[0] = slab[0] * scale, min(slab[1] * scale, shape[0])
    return {"low_vox": low, "high_vox": high, "found_by": np.array("nothing" if slab is None else "texture")}


def find_slab(texture: NDArray[np.floating]) -> tuple[int, int] | None:
    """The longest stretch of planes with texture.

    Silicon, pores and binder differ in grey, foil and separator do not: the sd of the electrode's planes is many times
    theirs. The geometric mean of the extremes parts them.

    Parameters
    ----------
    texture : (n,) array
        Standard deviation of the grey values of each plane, on a coarse level where noise is averaged out.

    Returns
    -------
    tuple of int or None
        First plane and the one behind the last; None where planes do not differ by a factor of 2.5.

    Examples
    --------
    >>> find_slab(np.array([1.0, 1.2, 6.0, 7.0, 5.0, 1.1]))
    (2, 5)
    >>> find_slab(np.array([0.0, 0.0, 0.5, 6.0, 6.0, 7.0, 5.0, 1.1, 1.2, 1.0, 1.1]))  # nothing is seen behind metal
    (3, 7)
    """
    most = float(texture.max())
    # What lets no light through has no texture at all, and beside it little by little: no measure of a separator.
    beside = max(2, len(texture) // _BESIDE)
    dark = np.convolve(texture <= _OPAQUE * most, np.ones(2 * beside + 1))[beside : beside + len(texture)] > 0.5
    least = float(texture[~dark].min()) if not dark.all() else float(texture.min())
    if not most > _LEAST_CONTRAST * max(least, 1e-12 * most) or least == most:
        return None
    inside = np.concatenate([[False], texture > np.sqrt(max(least, 1e-6 * most) * most), [False]])
    edges = np.flatnonzero(np.diff(inside.astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest])


def read_box(store: Path, scan: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Corners of the electrode's box in a scan.

    Parameters
    ----------
    store : Path
    scan : str

    Returns
    -------
    low, high : tuple of int
        Half-open, in voxels.
    """
    from voltome import io

    values = io.read_json(store / "region" / scan / "summary.json")
    return tuple(values["low_vox"]), tuple(values["high_vox"])

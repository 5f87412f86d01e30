"""The scans in the study's store: one grey window, OME-Zarr with its pyramid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.grid import Block, Shape3, VolumeSource
from voltome.study.job import Job
from voltome.study.reconstructing import describe_scan, find_anchored_window
from voltome.study.result import Result
from voltome.study.source import SourceFile, describe_source
from voltome.study.study_file import Study

VOLUMES = "volumes.zarr"
GREY_TYPE = np.dtype(np.uint16)

_HIGHEST = 65535
_SAMPLE_PLANES = 48
_PERCENTILES = (0.01, 99.99)
_WIDEN = 0.25  # of the percentiles' distance: later scans may be brighter and darker


def plan_grey(study: Study) -> Iterator[Result]:
    """One grey window for all scans.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    volumes = study.settings.volumes
    given = volumes.grey_low is not None and volumes.grey_high is not None
    parameters: dict[str, Any] = {"low": volumes.grey_low, "high": volumes.grey_high}
    first = study.settings.scans[0]
    if first.radiographs and not given:
        parameters |= {"polarity": study.settings.polarity}
        yield Result("grey", "window", parameters, inputs=(f"reconstruction/{first.name}",))
    else:
        yield Result("grey", "window", parameters, sources={} if given else {"volume": first.volume})


def make_grey(job: Job) -> None:
    """Find the grey window and write it down.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    volumes, first = job.study.settings.volumes, job.study.settings.scans[0]
    low, high = volumes.grey_low, volumes.grey_high
    if low is not None and high is not None:
        window: dict[str, NDArray[Any]] = {"low": np.array(low), "high": np.array(high)}
    elif first.radiographs:
        source = describe_scan(job.study, job.store, first)
        window = job.run("anchors", find_anchored_window, source, job.study.settings.polarity)
    else:
        window = job.run("window", find_grey_window, describe_source(job.study, first.volume), low, high)
    summary = {f"grey_{name}" if name in ("low", "high") else name: plain(value) for name, value in window.items()}
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_json(folder / "summary.json", summary)
    job.publish("grey/window")


def find_grey_window(source: SourceFile, low: float | None, high: float | None) -> dict[str, NDArray[Any]]:
    """Grey values that become 0 and 65535: the whole range of 8 and 16 bits, else percentiles of some planes.

    Parameters
    ----------
    source : SourceFile
        The first scan.
    low, high : float or None
        What the study says of it.

    Returns
    -------
    dict
        `low`, `high`.
    """
    if low is None or high is None:
        with source.open() as volume:
            below, above = _type_range(volume.dtype) or _spread(volume)
        low, high = below if low is None else low, above if high is None else high
    return {"low": np.array(float(low)), "high": np.array(float(high))}


def _type_range(dtype: np.dtype[Any]) -> tuple[float, float] | None:
    if dtype.kind not in "iu" or dtype.itemsize > 2:
        return None
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)


def _spread(volume: VolumeSource) -> tuple[float, float]:
    planes = np.unique(np.linspace(0, volume.shape[0] - 1, _SAMPLE_PLANES).round().astype(int))
    values = np.concatenate([volume[int(z) : int(z) + 1, :, :].ravel()[::7].astype(np.float64) for z in planes])
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.percentile(known, _PERCENTILES)
    wider = _WIDEN * (high - low) if high > low else 1.0
    return float(low - wider), float(high + wider)


def plain(value: NDArray[Any]) -> float | str:
    """A number or a word for JSON.

    Parameters
    ----------
    value : array without axes

    Returns
    -------
    float or str
    """
    return str(value) if value.dtype.kind == "U" else float(value)


def plan_series(study: Study) -> Iterator[Result]:
    """The metadata of the store of all scans.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    settings = study.settings
    volumes = settings.volumes
    parameters = {
        "scans": [scan.name for scan in settings.scans],
        "voxel_size_m": settings.voxel_size_m,
        "axes": volumes.axes,
        "shape": volumes.shape,
        "dtype": volumes.dtype,
    }
    first = settings.scans[0]
    if first.radiographs:
        yield Result("series", "volumes", parameters, inputs=(f"reconstruction/{first.name}",))
    else:
        yield Result("series", "volumes", parameters, sources={"volume": first.volume})


def make_series(job: Job) -> None:
    """Write the metadata of the store.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    _prepare(job)
    job.files |= io.describe_files(job.store, sorted((job.store / VOLUMES).glob("**/zarr.json")))


def _prepare(job: Job) -> Shape3:
    from voltome import io

    settings = job.study.settings
    with describe_scan(job.study, job.store, settings.scans[0]).open() as volume:
        z, y, x = volume.shape
    io.prepare_series(
        job.store / VOLUMES,
        names=[scan.name for scan in settings.scans],
        shape=(z, y, x),
        dtype=GREY_TYPE,
        voxel_size_m=settings.voxel_size_m,
        scratch=job.work,
    )
    return z, y, x


def plan_volumes(study: Study) -> Iterator[Result]:
    """Each scan in the store.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    volumes = study.settings.volumes
    for t, scan in enumerate(study.settings.scans):
        parameters = {
            "t": t,
            "axes": volumes.axes,
            "flip": volumes.flip,
            "shape": volumes.shape,
            "dtype": volumes.dtype,
        }
        yield Result(
            "volumes",
            scan.name,
            parameters,
            inputs=("grey/window", *((f"reconstruction/{scan.name}",) if scan.radiographs else ())),
            after=("series/volumes",),
            sources={} if scan.radiographs else {"volume": scan.volume},
        )


def make_volume(job: Job) -> None:
    """Store a scan shard by shard, then its pyramid level by level.

    Parameters
    ----------
    job : Job

    Returns
    -------
    None
        The result stands in its place when this returns; its mark does not yet.
    """
    from voltome import io

    t, series = int(job.result.parameters["t"]), str(job.store / VOLUMES)
    scan = next(one for one in job.study.settings.scans if one.name == job.result.subject)
    source = describe_scan(job.study, job.store, scan)
    window = io.read_json(job.store / "grey/window/summary.json")
    blocks = io.series_blocks(io.open_series(series).shape)
    scratch = str(job.work)
    grey = (window["grey_low"], window["grey_high"])
    stored = job.run_blocks("store", store_block, [(source, series, t, block, *grey, scratch) for block in blocks[0]])
    for level in range(1, len(blocks)):
        arguments = [(series, level, t, block, scratch) for block in blocks[level]]
        stored += job.run_blocks(f"level{level}", reduce_block, arguments)
    for shard in stored:
        job.files[f"{VOLUMES}/{shard['name']}"] = (int(shard["size"]), str(shard["digest"]))
    counts = np.sum([shard["counts"] for shard in stored[: len(blocks[0])]], axis=0)
    mean, sd = pool_moments([shard["moments"] for shard in stored[: len(blocks[0])]])
    names = ("below_window", "above_window", "missing", "voxels")
    summary = window | {name: int(count) for name, count in zip(names, counts, strict=True)} | {"mean": mean, "sd": sd}
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        io.write_json(folder / "summary.json", summary)
    job.publish(f"volumes/{job.result.subject}")


def store_block(
    source: SourceFile, series: str, t: int, block: Block, low: float, high: float, scratch: str
) -> dict[str, NDArray[Any]]:
    """Store one shard of a scan in the study's grey window.

    Parameters
    ----------
    source : SourceFile
    series : str
        Path of the store.
    t : int
        Number of the scan.
    block : three slices
    low, high : float
        Grey values that become 0 and 65535.
    scratch : str
        Folder for the file until it is complete.

    Returns
    -------
    dict
        `name`, `size`, `digest` of the file; `counts` of voxels below and above the window, without a value, in all;
        `moments`: voxels, mean and variance of what was stored.
    """
    from voltome import io

    with source.open() as volume:
        if volume.shape != io.open_series(series).shape:
            from voltome.errors import InputError

            raise InputError(
                f"{source.name} has shape {volume.shape}, the first scan {io.open_series(series).shape}: crop or pad it"
            )
        values = volume[block]
    scaled, counts = scale_grey(values, low, high)
    name, size, digest = io.write_series_block(series, 0, t, block, scaled, scratch=scratch)
    moments = np.array([scaled.size, scaled.mean(dtype=np.float64), scaled.var(dtype=np.float64)])
    file = {"name": np.array(name), "size": np.array(size), "digest": np.array(digest)}
    return file | {"counts": counts, "moments": moments}


def pool_moments(parts: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Mean and standard deviation of a whole from the moments of its parts.

    Parameters
    ----------
    parts : sequence of (3,) array
        Count, mean, variance.

    Returns
    -------
    mean, sd : float

    Examples
    --------
    >>> pool_moments([np.array([2.0, 1.0, 0.0]), np.array([2.0, 3.0, 0.0])])
    (2.0, 1.0)
    """
    count, mean, variance = np.array(parts).T
    whole = float(np.average(mean, weights=count))
    return whole, float(np.sqrt(np.average(variance + (mean - whole) ** 2, weights=count)))


def scale_grey(values: NDArray[Any], low: float, high: float) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Grey values in the study's 16-bit window.

    Parameters
    ----------
    values : array
    low, high : float
        What becomes 0 and 65535.

    Returns
    -------
    scaled : uint16 array
        What is outside the window is at its ends; what is NaN is 0.
    counts : (4,) int64
        Voxels below and above the window, without a value, in all.

    Examples
    --------
    >>> scale_grey(np.array([-1.0, 0.0, 0.5, 2.0, np.nan]), 0.0, 1.0)[0].tolist()
    [0, 0, 32768, 65535, 0]
    """
    if values.dtype == GREY_TYPE and (low, high) == (0.0, float(_HIGHEST)):
        return values, np.array([0, 0, 0, values.size])
    scaled: NDArray[Any] = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    scaled -= low
    scaled *= _HIGHEST / (high - low)
    missing = np.isnan(scaled)
    counts = np.array([(scaled < -0.5).sum(), (scaled > _HIGHEST + 0.5).sum(), missing.sum(), values.size])
    scaled[missing] = 0.0
    return np.clip(np.rint(scaled), 0, _HIGHEST).astype(GREY_TYPE), counts


def reduce_block(series: str, level: int, t: int, block: Block, scratch: str) -> dict[str, NDArray[Any]]:
    """Make one shard of the pyramid; see `voltome.io.reduce_series_block`.

    Parameters
    ----------
    series : str
        Path of the store.
    level, t : int
        Level of the pyramid and number of the scan.
    block : three slices
    scratch : str
        Folder for the file until it is complete.

    Returns
    -------
    dict
        `name`, `size`, `digest` of the file.
    """
    from voltome import io

    name, size, digest = io.reduce_series_block(series, level, t, block, scratch=scratch)
    return {"name": np.array(name), "size": np.array(size), "digest": np.array(digest)}

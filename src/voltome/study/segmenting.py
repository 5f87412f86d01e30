"""Phases of each scan of a study, by one model for all or one for each range of scans."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.storing import VOLUMES
from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.segmentation import Model, Predictor

PHASES, CONFIDENCE = "phases.zarr", "confidence.zarr"


def plan_segmentation(study: Study) -> Iterator[Result]:
    """The phases of each scan for which the study names a model.

    Parameters
    ----------
    study : Study

    Yields
    ------
    Result
    """
    from voltome.pipeline.segment import SHIPPED

    settings = study.settings.segmentation
    for t, scan in enumerate(study.settings.scans):
        model = settings.find_model(scan.name)
        if model is None:
            continue
        parameters: dict[str, Any] = {
            "t": t,
            "flips": settings.flips,
            "window": settings.window,
            "engine": settings.engine,
            "weights": digest_weights() if model == SHIPPED else None,
        }
        yield Result(
            "segmentation",
            scan.name,
            parameters,
            inputs=(f"volumes/{scan.name}",),
            sources={} if model == SHIPPED else {"model": model},
        )


@lru_cache(maxsize=1)
def digest_weights() -> str:
    """SHA-256 of the weights that come with voltome.

    Returns
    -------
    str
    """
    from voltome.pipeline.segment import SHIPPED, locate_model

    return hashlib.sha256(locate_model(SHIPPED).read_bytes()).hexdigest()


def name_model(study: Study, scan: str) -> str:
    """The model of a scan: a file, or `twin`.

    Parameters
    ----------
    study : Study
    scan : str

    Returns
    -------
    str
    """
    from voltome.pipeline.segment import SHIPPED

    model = study.settings.segmentation.find_model(scan)
    assert model is not None  # else it was not planned
    return model if model == SHIPPED else study.locate(model)


def make_segmentation(job: Job) -> None:
    """Segment a scan slab by slab, then store phases and confidence.

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
        If grey values are not those that the model learned, or it knows no silicon.
    """
    from voltome import io, segmentation
    from voltome.pipeline.segment import load_model, sample_greys

    settings, t = job.study.settings.segmentation, int(job.result.parameters["t"])
    name = name_model(job.study, job.result.subject)
    model = load_model(name)
    model.find_class(settings.silicon)
    series = str(job.store / VOLUMES)
    engine = segmentation.choose_engine(settings.engine) if model.kind == "network" else "forest"
    with io.open_scan(series, t) as volume:
        shape = volume.shape
        try:
            model.grey.check(sample_greys(volume), job.result.subject, settings.window)
        except InputError as error:
            raise InputError(str(error).replace("--window", "segmentation.window")) from None
    job.work.mkdir(parents=True, exist_ok=True)
    stacks = [str(job.work / f"{name}.raw") for name in ("phases", "confidence")]
    slabs = segmentation.cut_slabs(shape, open_cached(name, engine, settings.flips))
    arguments = [(series, t, name, engine, settings.flips, settings.window, slab, stacks) for slab in slabs]
    counted = np.sum([one["counts"] for one in job.run_blocks("slabs", segment_slab, arguments)], axis=0)
    voxel_m = job.study.settings.voxel_size_m
    with io.staged_directory(job.out, overwrite=True, replaces=("*",)) as folder:
        for path, target, labels in zip(stacks, (PHASES, CONFIDENCE), (True, False), strict=True):
            with io.open_volume(path, shape=shape, dtype="u1") as volume:
                io.write_volume(folder / target, volume, voxel_size_m=voxel_m, labels=labels)
        said = {"kind": model.kind, "engine": engine, "data": model.made.get("data"), "scores": model.scores}
        said |= {"calibration": dict(model.calibration)}
        io.write_json(folder / "summary.json", said | segmentation.describe_tally(counted, model, settings.window))
    job.publish(f"segmentation/{job.result.subject}")
    for path in stacks:
        Path(path).unlink(missing_ok=True)


@lru_cache(maxsize=2)
def _load(name: str, digest: str) -> Model:
    from voltome.pipeline.segment import load_model

    return load_model(name)


def open_cached(name: str, engine: str, flips: int) -> Predictor:
    """A model at work, kept by each worker; on one thread, since blocks are worked side by side.

    Parameters
    ----------
    name : str
    engine : str
    flips : int

    Returns
    -------
    Predictor
    """
    from voltome.pipeline.segment import locate_model

    status = locate_model(name).stat()
    return _open(name, engine, flips, f"{status.st_size} {status.st_mtime_ns}")


@lru_cache(maxsize=2)
def _open(name: str, engine: str, flips: int, state: str) -> Predictor:
    from voltome import segmentation

    model = _load(name, state)
    return segmentation.open_predictor(
        model, engine="auto" if model.kind == "forest" else engine, threads=1, flips=flips
    )


def segment_slab(
    series: str,
    t: int,
    name: str,
    engine: str,
    flips: int,
    window: tuple[float, float] | None,
    slab: Block,
    stacks: list[str],
) -> dict[str, NDArray[Any]]:
    """Segment a slab of a scan into raw files.

    Parameters
    ----------
    series : str
        Path of the store.
    t : int
        Number of the scan.
    name : str
        Of the model.
    engine : str
    flips : int
    window : (low, high) or None
    slab : three slices
    stacks : list of str
        Files of phases and confidence.

    Returns
    -------
    dict
        `counts`: as `voltome.segmentation.tally_slab` counts.
    """
    from voltome import io, segmentation
    from voltome.pipeline.segment import locate_model

    predictor = open_cached(name, engine, flips)
    status = locate_model(name).stat()
    model = _load(name, f"{status.st_size} {status.st_mtime_ns}")
    with io.open_scan(series, t) as volume:
        shape = volume.shape
        targets = [io.ScratchVolume(path, shape, np.uint8, stays=True) for path in stacks]
        found = segmentation.predict_slab(predictor, model, volume, slab, window=window)
        for target, values in zip(targets, found[:2], strict=True):
            target.write(slab, values)
    return {"counts": segmentation.tally_slab(*found)}

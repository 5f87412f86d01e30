"""Labelled slices become a model in a file; a model and a volume become phases and their confidence."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.grid import VolumeSource
from voltome.pipeline.progress import OnProgress, count_jobs
from voltome.pipeline.volumes import refuse_replacing

if TYPE_CHECKING:
    from voltome.segmentation.model import Model

SHIPPED = "twin"
"""Name that stands for the weights that come with voltome, trained on its digital twin."""

_SAMPLE_PLANES = 12
_SAMPLE_VALUES = 40_000


def load_model(name: str | Path) -> Model:
    """Read a model.

    Parameters
    ----------
    name : str or Path
        File, or `twin` for the weights that come with voltome.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If it is missing, cut short, or no model.
    ResourceError
        If there is no permission to read it.
    """
    from voltome import io
    from voltome.segmentation.model import restore_model

    place = locate_model(name)
    return restore_model(*io.read_model_file(place), str(name))


def locate_model(name: str | Path) -> Path:
    """File of a model.

    Parameters
    ----------
    name : str or Path
        As of `load_model`.

    Returns
    -------
    Path
    """
    import voltome

    shipped = Path(voltome.__file__).parent / "segmentation" / "weights" / f"{SHIPPED}.safetensors"
    return shipped if str(name) == SHIPPED else Path(name)


def _count_threads(threads: int | None) -> int:
    from voltome.dvc.workers import count_threads

    return count_threads(threads)


def apply_model(
    model: str | Path,
    volume: str | Path,
    out: str | Path,
    *,
    kind: str | None = None,
    engine: str = "auto",
    flips: int = 1,
    window: tuple[float, float] | None = None,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    voxel_size_m: float | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Write the phase of each voxel of a volume and how sure it is, slab by slab.

    Parameters
    ----------
    model : str or Path
        File, or `twin`.
    volume : str or Path
        As `voltome.io.open_volume` takes it.
    out : str or Path
        Labels to write, uint8; 0 where the volume has no value. Confidence, probability of that phase times 255, goes
        beside it, as `name_confidence` says.
    kind : {"forest", "network"}, optional
        What the model has to be.
    engine : str
        As `voltome.segmentation.choose_engine` takes it.
    flips : {1, 2, 4, 8}
        Mean over so many mirror images and turns.
    window : (low, high), optional
        Grey values of this volume that stand for the model's 0 and 1.
    shape, dtype, voxel_size_m : optional
        Of a raw volume.
    threads : int, optional
        One for each core by default.
    overwrite : bool
        Replace existing outputs, at the very end.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        `shape`, `engine`, `confidence_file`, and what `describe_tally` says: `phases`, `missing`, `warnings`.

    Raises
    ------
    InputError
        If model or volume break a rule, grey values are not those the model learned, or an output exists.
    ResourceError
        If the engine is not installed, or a file cannot be read or written.
    """
    from voltome import io, segmentation

    beside = name_confidence(out)
    for target in (out, beside):
        refuse_replacing(volume, target)
        io.nearest_folder(io.check_volume_name(target, overwrite=overwrite))
    trained = load_model(model)
    if kind is not None and trained.kind != kind:
        other = "label" if trained.kind == "forest" else "segment"
        raise InputError(f"{model} is a {trained.kind}, not a {kind}: use `voltome {other} apply`")
    workers = _count_threads(threads)
    chosen = segmentation.choose_engine(engine) if trained.kind == "network" else "forest"
    predictor = segmentation.open_predictor(trained, engine=engine, threads=workers, flips=flips)
    place = io.split_name(out)[0]
    with ExitStack() as stack:
        source: VolumeSource
        if _is_image(volume, trained):
            source = io.read_image(volume)[None]
        else:
            source = stack.enter_context(io.open_volume(volume, shape=shape, dtype=dtype, voxel_size_m=voxel_size_m))
        if trained.settings.get("planes", 0) > 1 and min(source.shape) < 2:
            raise InputError(
                f"{volume} has shape {source.shape}, the model takes {trained.settings['planes']} neighbouring slices: "
                "apply it to a volume, or train on isolated images"
            )
        trained.grey.check(sample_greys(source), str(volume), window)
        voxel_m = voxel_size_m or getattr(source, "voxel_size_m", None)
        slabs = segmentation.cut_slabs(source.shape, predictor)
        count = count_jobs("segmentation", len(slabs) + 2, on_progress)
        folder = stack.enter_context(_scratch_folder(place))
        phases, confidence = (
            stack.enter_context(io.ScratchVolume(folder / f"{name}.raw", source.shape, np.uint8))
            for name in ("phases", "confidence")
        )
        total = np.zeros((4, 256))
        for slab in slabs:
            found = segmentation.predict_slab(predictor, trained, source, slab, window=window)
            phases.write(slab, found[0])
            confidence.write(slab, found[1])
            total += segmentation.tally_slab(*found)
            count()
        for target, values, labels in ((out, phases, True), (beside, confidence, False)):
            io.write_volume(target, values, voxel_size_m=voxel_m, labels=labels, overwrite=overwrite)
            count()
    told = segmentation.describe_tally(total, trained, window)
    return told | {"shape": source.shape, "engine": chosen, "confidence_file": str(beside)}


def _is_image(name: str | Path, model: Model) -> bool:
    """Whether a file holds one image, and the model takes isolated ones."""
    from voltome import io

    alone = model.settings.get("planes") == 1 or model.settings.get("dimensions") == 2
    return alone and io.holds_image(name)


@contextmanager
def _scratch_folder(place: Path) -> Iterator[Path]:
    """A hidden folder beside an output, while the block runs."""
    from voltome import io

    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=io.nearest_folder(place))
    except OSError as error:
        raise ResourceError(
            f"{place} could not be written ({error.strerror or error}): choose another folder"
        ) from error
    with folder as name:
        yield Path(name)


def name_confidence(out: str | Path) -> str:
    """File of the confidence beside that of the labels.

    Parameters
    ----------
    out : str or Path

    Returns
    -------
    str

    Examples
    --------
    >>> name_confidence("T3-phases.tif")
    'T3-phases-confidence.tif'
    """
    text = str(out)
    place, mark, inner = text.partition("::")
    if mark:
        return f"{place}::{inner}-confidence"
    path = Path(place)
    return str(path.with_name(f"{path.stem}-confidence{path.suffix}"))


def sample_greys(volume: VolumeSource) -> NDArray[Any]:
    """Some grey values of all of a volume.

    Parameters
    ----------
    volume : VolumeSource

    Returns
    -------
    (N,) array
    """
    planes = np.unique(np.linspace(0, volume.shape[0] - 1, _SAMPLE_PLANES).round().astype(int))
    step = max(1, volume.shape[1] * volume.shape[2] // _SAMPLE_VALUES)
    return np.concatenate([volume[int(z) : int(z) + 1, :, :].ravel()[::step] for z in planes])

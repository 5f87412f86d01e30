"""Labelled slices become a model in a file: trained, or calibrated on slices that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome import __version__
from voltome.errors import InputError, ResourceError
from voltome.pipeline.progress import OnProgress
from voltome.pipeline.segment import load_model

if TYPE_CHECKING:
    from voltome.segmentation.grey_scale import GreyScale
    from voltome.segmentation.model import Model, PhaseClass
    from voltome.segmentation.settings import TrainingSettings
    from voltome.segmentation.slices import LabelledSlice
    from voltome.segmentation.stages import Epoch, State

_SAMPLE_VALUES = 40_000


def train_model(
    slices: Sequence[LabelledSlice],
    out: str | Path,
    *,
    names: Mapping[int, str] | None = None,
    axis: str = "z",
    settings: TrainingSettings | None = None,
    start: str | Path | None = None,
    window: tuple[float, float] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> dict[str, Any]:
    """Train a network on labelled slices and write it.

    Parameters
    ----------
    slices : sequence of LabelledSlice
        As `label_files.read_pairs` or `label_files.read_label_file` give them.
    out : str or Path
        Model to write. While it is trained, `OUT.checkpoint` stands beside it.
    names : mapping of int to str, optional
        Of the classes; by default those of the model to start from, else `class 3` and the like.
    axis : {"z", "y", "x"}
    settings : TrainingSettings, optional
    start : str or Path, optional
        Model to begin from; `twin` for voltome's own.
    window : (low, high), optional
        Grey values that become 0 and 1; with `start` those that stand for its own. By default the 1st and 99th
        percentile of the slices, or the model's.
    device : str
        cpu or cuda.
    threads : int, optional
        One for each core by default.
    resume : bool
        Go on from the checkpoint of a run that was cut off: the same model comes out.
    overwrite : bool
        Replace an existing model, at the very end; without `resume` also the checkpoint of a run that was cut off.
    on_epoch : callable, optional
        Called after each epoch.

    Returns
    -------
    dict
        What the model says of itself, and `warnings`.

    Raises
    ------
    InputError
        If slices, classes, checkpoint or the model to start from do not fit, or the output exists.
    ResourceError
        If PyTorch is not installed, or a file cannot be written.
    """
    from voltome import io, segmentation
    from voltome.dvc.workers import count_threads
    from voltome.segmentation.slices import check_slices

    target = Path(out)
    io.check_target(target, overwrite=overwrite)
    checkpoint = name_checkpoint(target)
    if checkpoint.is_file() and not (resume or overwrite):
        raise InputError(f"{checkpoint} holds a run that was cut off: go on with --resume, or add --overwrite")
    io.check_target(checkpoint, overwrite=True)
    torch = _import_torch()
    from voltome.segmentation.training import train_network

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no GPU that PyTorch can use: take --device cpu")
    warnings = check_slices(slices)
    first = None if start is None else load_model(start)
    if first is None:
        classes, grey = _choose_classes(slices, names or {}, window, warnings)
    else:
        classes, grey = _take_classes(slices, names or {}, window, first, settings, warnings)
    torch.set_num_threads(count_threads(threads))
    settings = settings or segmentation.TrainingSettings()
    if settings.ensemble and settings.folds < 2:
        raise InputError(f"an ensemble keeps the networks of folds, and folds are {settings.folds}: 2 or more")
    if first is not None and (learned := segmentation.find_learned(slices, first.made)):
        warnings.append(
            f"the model to start from has learned from {len(learned)} of these {len(slices)} slices ({learned[0]}): "
            "what is said to be held out was not, scores and bands are too good; calibrate the new model on others"
        )
    meant = _describe_run(settings, slices, axis, grey, classes, first)
    model = train_network(
        slices,
        classes=classes,
        grey=grey,
        settings=settings,
        axis=axis,
        start=first,
        device=device,
        state=_read_state(checkpoint, meant) if resume else None,
        on_epoch=on_epoch,
        on_state=partial(_write_state, checkpoint, meant),
    )
    described = segmentation.describe_model(model)
    described["made"] |= {"version": __version__, "greys": segmentation.measure_greys(slices, classes, grey)}
    io.write_model_file(target, model.arrays, described, overwrite=overwrite)
    checkpoint.unlink(missing_ok=True)
    warnings += segmentation.doubt_temperature(model.calibration)
    new, old = model.scores.get("dice_mean"), model.scores.get("start", {}).get("dice_mean")
    if old is not None and old > new:
        warnings.append(
            f"the model to start from is better on these slices (mean Dice {old:.4f}, the new one {new:.4f} held out, "
            "trained for a third as long): "
            "keep it (voltome segment calibrate), or train longer or on more slices"
        )
    return described | {"warnings": warnings}


def _describe_run(
    settings: TrainingSettings,
    slices: Sequence[LabelledSlice],
    axis: str,
    grey: GreyScale,
    classes: Sequence[PhaseClass],
    first: Model | None,
) -> dict[str, Any]:
    """All that a run that goes on must have in common with the one that was cut off."""
    from voltome import segmentation

    return {
        "settings": asdict(settings),
        "slices": [one.name for one in slices],
        "grey values or labels": segmentation.fingerprint_slices(slices),
        "axis": axis,
        "grey window": [grey.low, grey.high],
        "classes": [[one.code, one.name] for one in classes],
        "model to start from": None if first is None else segmentation.fingerprint_arrays(first.arrays),
    }


def _choose_classes(
    slices: Sequence[LabelledSlice], names: Mapping[int, str], window: tuple[float, float] | None, warnings: list[str]
) -> tuple[tuple[PhaseClass, ...], GreyScale]:
    """Classes that are labelled, and the grey scale of the slices."""
    from voltome import segmentation

    codes = _list_codes(slices)
    unused = sorted(set(names) - set(codes))
    if unused:
        listed = ", ".join(f"{code} {names[code]}" for code in unused)
        warnings.append(f"class {listed} is named, but labelled in no slice: the model will not know it")
    return segmentation.make_classes(codes, names), segmentation.find_grey_scale([s.image for s in slices], window)


def _take_classes(
    slices: Sequence[LabelledSlice],
    names: Mapping[int, str],
    window: tuple[float, float] | None,
    first: Model,
    settings: TrainingSettings | None,
    warnings: list[str],
) -> tuple[tuple[PhaseClass, ...], GreyScale]:
    """Classes and grey scale of the model to start from, if the slices fit them."""
    from voltome import segmentation

    known = ", ".join(f"{one.code} {one.name}" for one in first.classes)
    unknown = sorted(set(_list_codes(slices)) - {0, *first.codes.tolist()})
    if unknown:
        raise InputError(
            f"labels hold class {unknown[0]}, which the model to start from does not know ({known}): write its codes "
            "into your labels (0 where you do not know), or train without --start"
        )
    if first.kind != "network":
        raise InputError("the model to start from is a forest, not a network: give one that `segment train` wrote")
    planes, images = first.settings.get("planes"), [one.image for one in slices]
    if planes != len(images[0]):
        raise InputError(
            f"the model to start from takes {planes} planes, these slices have {len(images[0])}: cut them from volumes "
            f"with --planes {planes}, or train without --start"
        )
    own = {one.code: one.name for one in first.classes}
    if any(own.get(code, name) != name for code, name in names.items()):
        warnings.append(f"names of classes are those of the model to start from ({known})")
    if settings is not None and settings.base != first.settings["base"]:
        warnings.append(f"the network is as large as the one to start from: base {first.settings['base']}")
    sample = np.concatenate([image.ravel()[:: max(1, image.size // _SAMPLE_VALUES)] for image in images])
    first.grey.check(sample, "the labelled slices", window)
    grey = first.grey if window is None else segmentation.find_grey_scale(images, window)
    return first.classes, grey


def _list_codes(slices: Sequence[LabelledSlice]) -> list[int]:
    codes: list[int] = np.unique(np.concatenate([np.unique(one.labels) for one in slices])).tolist()
    return codes


def calibrate_model(
    model: str | Path,
    slices: Sequence[LabelledSlice],
    out: str | Path,
    *,
    axis: str | None = None,
    window: tuple[float, float] | None = None,
    engine: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Score and calibrate a network on labelled slices that it has not seen, and write it.

    Parameters
    ----------
    model : str or Path
        File, or `twin`.
    slices : sequence of LabelledSlice
    out : str or Path
        The same weights with new scores and calibration.
    axis : {"z", "y", "x"}, optional
        Across the slices, if known; the model predicts along its own.
    window : (low, high), optional
        Grey values that stand for the model's 0 and 1 from now on; by default those it learned.
    engine : str
    threads : int, optional
    overwrite : bool
        Replace an existing model, at the very end.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        What the model says of itself, and `warnings`.

    Raises
    ------
    InputError
        If it is no network, slices do not fit or were learned from, or the output exists.
    ResourceError
        If a file cannot be read or written.
    """
    from voltome import io, segmentation
    from voltome.dvc.workers import count_threads
    from voltome.segmentation.slices import check_slices

    io.check_target(out, overwrite=overwrite)
    trained = load_model(model)
    if trained.kind != "network":
        raise InputError(f"{model} is a forest: only networks are calibrated")
    learned = segmentation.find_learned(slices, trained.made)
    if learned:
        raise InputError(f"{model} was trained on what {learned[0]} shows: calibrate it on slices that it has not seen")
    if axis is not None and trained.settings["planes"] > 1 and axis != trained.settings["axis"]:
        raise InputError(
            f"{model} predicts slices across {trained.settings['axis']}, these are across {axis}: cut them so"
        )
    sample = np.concatenate([one.image.ravel()[:: max(1, one.image.size // _SAMPLE_VALUES)] for one in slices])
    trained.grey.check(sample, "the labelled slices", window)
    if window is not None:
        trained = replace(trained, grey=segmentation.find_grey_scale([one.image for one in slices], window))
    count = None if on_progress is None else partial(on_progress, "calibration")
    new = segmentation.recalibrate(trained, slices, engine=engine, threads=count_threads(threads), on_slice=count)
    described = segmentation.describe_model(new)
    described["made"] |= {"calibrated_on": [one.name for one in slices]}
    io.write_model_file(out, new.arrays, described, overwrite=overwrite)
    shown = segmentation.measure_greys(slices, new.classes, new.grey)
    doubts = segmentation.doubt_temperature(new.calibration) + segmentation.doubt_greys(shown, new)
    return described | {"warnings": check_slices(slices, learn=False) + doubts}


def name_checkpoint(model: str | Path) -> Path:
    """Where a model's training that was cut off is kept.

    Parameters
    ----------
    model : str or Path
        To be written.

    Returns
    -------
    Path
    """
    return Path(model).with_name(Path(model).name + ".checkpoint")


def _import_torch() -> Any:
    try:
        import torch
    except ImportError:
        raise ResourceError("training needs PyTorch: pip install 'voltome[train]'") from None
    return torch


def _write_state(checkpoint: Path, meant: Mapping[str, Any], state: State) -> None:
    from voltome import io

    io.write_model_file(checkpoint, state.arrays, {"meant": meant, "numbers": state.numbers}, overwrite=True)


def _read_state(checkpoint: Path, meant: Mapping[str, Any]) -> State:
    from voltome import io
    from voltome.segmentation.stages import State

    if not checkpoint.exists():
        raise InputError(f"there is no {checkpoint} to go on from: leave out --resume")
    arrays, said = io.read_model_file(checkpoint)
    known = said.get("meant", {})
    other = [name for name, value in meant.items() if known.get(name) != io.plain_json(value)]
    if other:
        raise InputError(
            f"{checkpoint} is of other {' and '.join(other)}: give the same again, or begin anew (--overwrite instead "
            "of --resume)"
        )
    return State(arrays, said["numbers"])

"""Scores and calibration of a trained model on slices that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from voltome.errors import InputError
from voltome.grid import Block
from voltome.segmentation.calibration import HeldOut, calibrate, score_held_out
from voltome.segmentation.model import Model
from voltome.segmentation.predictor import open_predictor, predict_block
from voltome.segmentation.slices import LabelledSlice, check_slices

_KEPT_PIXELS = 60_000
_LEAST = 1e-7


def recalibrate(
    model: Model,
    slices: Sequence[LabelledSlice],
    *,
    engine: str = "auto",
    threads: int = 1,
    on_slice: Callable[[int, int], None] | None = None,
) -> Model:
    """Score and calibrate a network on labelled slices that it was not trained on.

    Parameters
    ----------
    model : Model
        Of kind "network".
    slices : sequence of LabelledSlice
        With as many planes as the model takes.
    engine : str
        As of `engine.choose_engine`.
    threads : int
    on_slice : callable, optional
        Called with done, total.

    Returns
    -------
    Model
        The same weights with new `scores` and `calibration`.

    Raises
    ------
    InputError
        If slices have other planes or classes, or are those that it was trained on.
    """
    check_slices(slices)
    planes, axis = int(model.settings["planes"]), "zyx".index(model.settings["axis"])
    places = np.full(256, -1, dtype=np.int64)
    places[model.codes] = np.arange(len(model.codes))
    for one in slices:
        unknown = sorted(set(np.unique(one.labels).tolist()) - {0, *model.codes.tolist()})
        if len(one.image) != planes or unknown:
            what = f"class {unknown[0]}" if unknown else f"{len(one.image)} planes"
            raise InputError(
                f"{one.name} has {what}, the model {planes} planes and classes {model.codes.tolist()}: write its codes "
                "into your labels, and cut as many planes"
            )
    plain = replace(model, calibration={})
    predictor = open_predictor(plain, engine=engine, threads=threads)
    held = []
    for number, one in enumerate(slices):
        volume = np.ascontiguousarray(np.moveaxis(one.image, 0, axis))
        edges = [slice(0, n) for n in volume.shape]
        edges[axis] = slice(planes // 2, planes // 2 + 1)
        block: Block = (edges[0], edges[1], edges[2])
        likely = np.moveaxis(predict_block(predictor, plain, volume, block), 1 + axis, 1)[:, 0]
        known = one.labels > 0
        scores = np.log(np.maximum(likely[:, known], _LEAST))
        held.append(HeldOut.sample(number, scores, places[one.labels[known]], most=_KEPT_PIXELS))
        if on_slice is not None:
            on_slice(number + 1, len(slices))
    return replace(
        model,
        scores=score_held_out(held, model.classes),
        calibration=calibrate(held, model.classes, slices),
    )

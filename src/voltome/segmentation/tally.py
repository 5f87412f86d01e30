"""What a segmented volume consists of, and whether its phases are as bright as those that the model learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.segmentation.grey_scale import GreyScale
from voltome.segmentation.model import Model, PhaseClass
from voltome.segmentation.slices import LabelledSlice

Floats = NDArray[np.float64]

_EVERY = 7  # grey values are looked at
_SURE = 230  # of 255: voxels at borders are none of either phase's grey
_LEAST_SHARE = 0.01
_TOO_FAR = 0.05  # of the window: what lithium does to phases from step to step is 0.03


def tally_slab(phases: NDArray[np.uint8], confidence: NDArray[np.uint8], grey: NDArray[Any]) -> Floats:
    """Count the voxels of a slab; tallies of slabs add up.

    Parameters
    ----------
    phases, confidence : (z, y, x) uint8
    grey : (z, y, x) array
        As the volume has it.

    Returns
    -------
    (4, 256) float64
        By code: voxels, the sum of their confidence; of some that the model is sure of their number, and the sum of
        their grey values.
    """
    flat, sure = phases.ravel(), confidence.ravel()
    some = np.flatnonzero(sure[::_EVERY] >= _SURE) * _EVERY
    return np.stack(
        [
            np.bincount(flat, minlength=256),
            np.bincount(flat, sure, 256),
            np.bincount(flat[some], minlength=256),
            np.bincount(flat[some], grey.ravel()[some], 256),
        ]
    )


def describe_tally(tally: Floats, model: Model, window: Sequence[float] | None = None) -> dict[str, Any]:
    """What a volume consists of.

    Parameters
    ----------
    tally : (4, 256) float64
        Of all slabs.
    model : Model
    window : (low, high), optional
        Grey values that stood for the model's 0 and 1.

    Returns
    -------
    dict
        `phases`: for each class `code`, `name`, `fraction` of the voxels with a value, mean `confidence`, mean `grey`
        on the model's scale (None of a class without a voxel); `missing` voxels; `warnings`.
    """
    voxels, confidence, sure, sums = tally
    missing = int(voxels[0])
    known = max(float(voxels.sum()) - missing, 1.0)
    low, high = (model.grey.low, model.grey.high) if window is None else window
    rows: list[dict[str, Any]] = [
        {
            "code": one.code,
            "name": one.name,
            "fraction": float(voxels[one.code] / known),
            "confidence": float(confidence[one.code] / max(voxels[one.code], 1.0) / 255),
            "grey": float((sums[one.code] / sure[one.code] - low) / (high - low)) if sure[one.code] else None,
        }
        for one in model.classes
    ]
    warnings = [f"voxels without a finite grey value: {missing}; they are labelled 0"] if missing else []
    shown = {row["name"]: row["grey"] for row in rows if row["grey"] is not None and row["fraction"] >= _LEAST_SHARE}
    return {"phases": rows, "missing": missing, "warnings": warnings + doubt_greys(shown, model)}


def measure_greys(slices: Sequence[LabelledSlice], classes: Sequence[PhaseClass], scale: GreyScale) -> dict[str, float]:
    """Mean grey of each class where it was labelled, on the model's scale.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    classes : sequence of PhaseClass
    scale : GreyScale

    Returns
    -------
    dict
        By name.
    """
    counts, sums = np.zeros(256), np.zeros(256)
    for one in slices:
        codes = one.labels.ravel()
        counts += np.bincount(codes, minlength=256)
        sums += np.bincount(codes, scale.scale(one.image[len(one.image) // 2]).ravel(), 256)
    return {one.name: float(sums[one.code] / counts[one.code]) for one in classes if counts[one.code]}


def doubt_greys(shown: Mapping[str, float], model: Model) -> list[str]:
    """Warn where phases are not as bright as those that a model learned.

    Parameters
    ----------
    shown : mapping of str to float
        Mean grey of phases by name, on the model's scale.
    model : Model

    Returns
    -------
    list of str
        One warning, or none; none of a model that does not say how bright its phases were.
    """
    learned = model.made.get("greys", {})
    shifts = [grey - learned[name] for name, grey in shown.items() if name in learned]
    shift = float(np.median(shifts)) if shifts else 0.0
    if abs(shift) <= _TOO_FAR:
        return []
    return [
        f"phases are {'brighter' if shift > 0 else 'darker'} than those that the model learned (by {abs(shift):.0%} of "
        "its grey window): borders and phases that react are told wrongly; give the window that lays known phases "
        "where they were, or train on slices of this volume"
    ]

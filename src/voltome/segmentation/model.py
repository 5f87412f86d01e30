"""A trained model: what it is, what it tells apart, what it was made from, and how good it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.segmentation.grey_scale import GreyScale

FORMAT = 1
"""Of the description that a model file carries."""
KINDS = ("forest", "network")


@dataclass(frozen=True)
class PhaseClass:
    """A class of voxels.

    Parameters
    ----------
    code : int
        1 to 255 in labels; 0 is what nobody labelled.
    name : str
    """

    code: int
    name: str


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model.

    Parameters
    ----------
    kind : {"forest", "network"}
    classes : tuple of PhaseClass
        In the order of the probabilities.
    grey : GreyScale
    settings : mapping
        What the model computes: of a forest `scales` and `dimensions`, of a network `base`, `depth`, `planes`, `axis`.
    arrays : mapping of str to array
        Weights, or the trees.
    made : mapping
        How it was trained: version, seed, epochs, fingerprint of the data.
    scores : mapping
        On what it was not trained on: Dice of each class, and on how many slices.
    calibration : mapping
        `temperature` of its probabilities, and what volumes measured with it may err by.
    """

    kind: str
    classes: tuple[PhaseClass, ...]
    grey: GreyScale
    settings: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    made: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Code of each class."""
        return np.array([one.code for one in self.classes], dtype=np.uint8)

    def find_class(self, name: str) -> int:
        """Place of a class among the probabilities.

        Raises
        ------
        InputError
            If the model knows no class of that name.
        """
        names = [one.name for one in self.classes]
        if name not in names:
            raise InputError(
                f"the model has no class {name!r} (it has {', '.join(names)}): name one of these, or train a model "
                "with this class"
            )
        return names.index(name)


def make_classes(codes: Sequence[int], names: Mapping[int, str] | None = None) -> tuple[PhaseClass, ...]:
    """Classes of the codes that were found in labels.

    Parameters
    ----------
    codes : sequence of int
    names : mapping of int to str, optional
        Else `class 3` and the like.

    Returns
    -------
    tuple of PhaseClass
        In ascending order.

    Raises
    ------
    InputError
        If there are fewer than two, a code is none, or two have one name.
    """
    known = sorted({int(code) for code in codes} - {0})
    if len(known) < 2:
        raise InputError(
            f"labels must hold at least two classes, codes 1 to 255, 0 is not labelled (got {known or 'none'}): "
            "label some voxels of each"
        )
    if known[0] < 0 or known[-1] > 255:
        raise InputError(f"codes of classes must be 1 to 255 (got {known[0]} to {known[-1]}): write other codes")
    names = names or {}
    twice = [name for name in names.values() if list(names.values()).count(name) > 1]
    if twice:
        raise InputError(f"classes must have names of their own (got {twice[0]} twice): name each otherwise")
    return tuple(PhaseClass(code, names.get(code, f"class {code}")) for code in known)


def fingerprint_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of a model's arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def describe_model(model: Model) -> dict[str, Any]:
    """What a model file says of its arrays, for JSON.

    Parameters
    ----------
    model : Model

    Returns
    -------
    dict
    """
    return {
        "format": FORMAT,
        "kind": model.kind,
        "classes": [{"code": one.code, "name": one.name} for one in model.classes],
        "grey": {"low": model.grey.low, "high": model.grey.high, "seen": list(model.grey.seen)},
        "settings": dict(model.settings),
        "made": dict(model.made),
        "scores": dict(model.scores),
        "calibration": dict(model.calibration),
    }


def restore_model(arrays: Mapping[str, NDArray[Any]], description: Mapping[str, Any], name: str) -> Model:
    """A model from what its file holds.

    Parameters
    ----------
    arrays, description
        As `voltome.io.read_model_file` gives them.
    name : str
        Of the file, for errors.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If this version knows no such model, or something is missing.
    """
    wrong = f"{name} is no model that this version of voltome reads"
    try:
        if description["format"] != FORMAT or description["kind"] not in KINDS:
            raise InputError(
                f"{wrong} (format {description['format']}, kind {description['kind']}): update voltome or train anew"
            )
        grey = description["grey"]
        first, middle, last = (float(value) for value in grey["seen"])
        return Model(
            str(description["kind"]),
            tuple(PhaseClass(int(one["code"]), str(one["name"])) for one in description["classes"]),
            GreyScale(float(grey["low"]), float(grey["high"]), (first, middle, last)),
            dict(description["settings"]),
            arrays,
            dict(description["made"]),
            dict(description["scores"]),
            dict(description["calibration"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{wrong} ({error!r} in its description): train it anew") from None

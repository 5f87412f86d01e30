"""Labelled slices: what a network learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

_LEAST = 32


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """A slice of a volume, or an image by itself, and what of it was labelled.

    Parameters
    ----------
    name : str
        For errors and tables.
    image : (planes, h, w) array
        Grey values: the slice in the middle, its neighbours before and behind. An image by itself has one plane.
    labels : (h, w) uint8
        Code of a class, 0 where nothing was labelled.
    volume : str
        That it was cut from; an image by itself is one of its own.
    group : str, optional
        What is held out together: the volume, or all scans of one electrode.
    voxel_size_m : float, optional
        What a model may err by depends on it.
    """

    name: str
    image: NDArray[Any]
    labels: NDArray[np.uint8]
    volume: str
    group: str = ""
    voxel_size_m: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.group or self.volume)
        if self.image.ndim != 3 or self.image.shape[1:] != self.labels.shape:
            raise InputError(
                f"labels of {self.name} have shape {self.labels.shape}, the image {self.image.shape[1:]}: "
                "both must be the same slice, pixel by pixel"
            )
        if min(self.labels.shape) < _LEAST:
            raise InputError(
                f"{self.name} has {self.labels.shape[0]} x {self.labels.shape[1]} pixels, a labelled slice needs "
                f"{_LEAST} along each side: cut a larger one"
            )
        if self.image.dtype.kind == "f" and not np.isfinite(self.image).all():
            raise InputError(f"{self.name} holds NaN or infinite grey values: crop it, or fill these pixels")


def check_slices(slices: Sequence[LabelledSlice], *, learn: bool = True) -> list[str]:
    """Refuse slices that nothing can be learned from.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    learn : bool
        A network is to learn from them; else they judge one.

    Returns
    -------
    list of str
        Warnings: classes that some slices lack, a single slice.

    Raises
    ------
    InputError
        If there is no slice, one has no labels at all, two show the same, or they have different numbers of planes.
    """
    if not slices:
        raise InputError("there is no labelled slice: give images and labels of the same names")
    bare = [one.name for one in slices if not one.labels.any()]
    if bare:
        raise InputError(f"nothing is labelled in {', '.join(bare)} (all labels 0): label it or leave it out")
    planes = {len(one.image) for one in slices}
    if len(planes) > 1:
        raise InputError(
            f"slices have {min(planes)} and {max(planes)} planes: train on isolated images or on slices of volumes"
        )
    shown: dict[str, str] = {}
    for one in slices:
        pixels = hashlib.sha256(np.ascontiguousarray(one.image).tobytes()).hexdigest()
        if pixels in shown:
            raise InputError(f"{one.name} shows the same pixels as {shown[pixels]}: leave one of them out")
        shown[pixels] = one.name
    codes = np.unique(np.concatenate([np.unique(one.labels) for one in slices]))
    warnings = []
    for code in codes[codes > 0]:
        lacking = [one.name for one in slices if not (one.labels == code).any()]
        if learn and lacking and len(slices) - len(lacking) <= max(1, len(slices) // 4):
            warnings.append(
                f"class {code} is labelled in {len(slices) - len(lacking)} of {len(slices)} slices only: it will be "
                "learned badly, and its score may come from one slice"
            )
    if len(slices) == 1:
        unknown = "nothing can be held out, so that scores and calibration are" if learn else "how far volumes err is"
        warnings.append(f"one slice only: {unknown} not known")
    return warnings


def fingerprint_slices(slices: Sequence[LabelledSlice]) -> str:
    """SHA-256 of what was learned from.

    Parameters
    ----------
    slices : sequence of LabelledSlice

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for one in slices:
        for array in (one.image, one.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def list_images(slices: Sequence[LabelledSlice]) -> list[str]:
    """What slices show, to know them again under another name.

    Parameters
    ----------
    slices : sequence of LabelledSlice

    Returns
    -------
    list of str
        Of each, the first 16 digits of the SHA-256 of its grey values, its neighbours left out.
    """
    middles = [np.ascontiguousarray(one.image[len(one.image) // 2]) for one in slices]
    return [hashlib.sha256(f"{m.dtype.str}{m.shape}".encode() + m.tobytes()).hexdigest()[:16] for m in middles]


def find_learned(slices: Sequence[LabelledSlice], made: Mapping[str, Any]) -> list[str]:
    """Slices that a model has learned from.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    made : mapping
        What the model says it was made from: `images`, or the names of its `slices`.

    Returns
    -------
    list of str
        Their names.
    """
    if "images" in made:
        return [one.name for one, shown in zip(slices, list_images(slices), strict=True) if shown in made["images"]]
    return [one.name for one in slices if one.name in made.get("slices", ())]


def split_groups(slices: Sequence[LabelledSlice], folds: int) -> list[list[int]]:
    """Part slices into folds, each to be held out once; slices of one volume stay together.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    folds : int

    Returns
    -------
    list of list of int
        Numbers of the slices of each fold; fewer folds where there are fewer groups, none if one is asked for. If all
        are of one volume, its slices are parted as they follow each other.

    Examples
    --------
    >>> import numpy as np
    >>> plain = np.ones((1, 32, 32)), np.ones((32, 32), np.uint8)
    >>> split_groups([LabelledSlice("a", *plain, "T0"), LabelledSlice("b", *plain, "T1")], 3)
    [[0], [1]]
    """
    groups = list(dict.fromkeys(one.group for one in slices))
    if len(groups) == 1:
        number = min(folds, len(slices))
        parts = np.array_split(np.arange(len(slices)), number) if number > 1 else []
        return [part.tolist() for part in parts]
    number = min(folds, len(groups))
    if number < 2:
        return []
    return [[i for i, one in enumerate(slices) if groups.index(one.group) % number == fold] for fold in range(number)]

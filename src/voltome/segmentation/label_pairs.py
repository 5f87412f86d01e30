"""Two label volumes of one place: what they must be to be compared, and how both are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3, VolumeSource, make_block

Codes = NDArray[np.uint8]

CODES = 256


@dataclass(frozen=True, eq=False)
class Labels:
    """A label volume.

    Parameters
    ----------
    source : VolumeSource
    shape : tuple of int
    what : str
        For errors.
    merged : (256,) uint8, optional
        What each of its codes counts as.
    """

    source: VolumeSource
    shape: Shape3
    what: str
    merged: Codes | None = None

    def read(self, block: Block) -> Codes:
        """Codes of a block.

        Raises
        ------
        InputError
            If a code is not 0 to 255.
        """
        values = np.asarray(self.source[block])
        if values.dtype != np.uint8 and values.size:
            low, high = int(values.min()), int(values.max())
            if low < 0 or high >= CODES:
                raise InputError(
                    f"codes of classes must be 0 to 255 ({self.what} holds {low if low < 0 else high}): give phases, "
                    "not particles"
                )
        codes: Codes = values.astype(np.uint8, copy=False)
        return codes if self.merged is None else self.merged[codes]


def open_labels(source: VolumeSource, what: str, *, merge: Mapping[int, int] | None = None) -> Labels:
    """Take a volume, or a single plane, as labels.

    Parameters
    ----------
    source : VolumeSource
        (z, y, x), or an array (y, x); whole numbers.
    what : str
        "the truth", for errors.
    merge : mapping of int to int, optional
        Codes that count as another one; 0 leaves voxels out. Codes that are not named stay as they are.

    Returns
    -------
    Labels

    Raises
    ------
    InputError
        If it is no volume, not of whole numbers, or a code is none.
    """
    shape = tuple(int(n) for n in source.shape)
    if len(shape) == 2:
        shape, source = (1, *shape), np.asarray(source)[None]
    if len(shape) != 3 or 0 in shape:
        raise InputError(f"{what} must have the axes z, y, x or y, x (got shape {shape}): give a volume or a plane")
    if np.dtype(source.dtype).kind not in "bui":
        raise InputError(
            f"labels must be whole numbers ({what} is {source.dtype}): give codes of classes, not grey values or "
            "probabilities"
        )
    return Labels(source, (shape[0], shape[1], shape[2]), what, None if merge is None else _merging(merge))


def _merging(merge: Mapping[int, int]) -> Codes:
    table = np.arange(CODES, dtype=np.uint8)
    for code, other in merge.items():
        if not (0 <= code < CODES and 0 <= other < CODES):
            raise InputError(f"codes of classes must be 0 to 255 (got {code}={other}): map such as 5=4")
        table[code] = other
    return table


@dataclass(frozen=True, eq=False)
class LabelPair:
    """Labels that are compared voxel by voxel: where the truth is 0 nothing is known, and nothing counts.

    Parameters
    ----------
    predicted, truth : Labels
    """

    predicted: Labels
    truth: Labels

    def __post_init__(self) -> None:
        if self.predicted.shape != self.truth.shape:
            raise InputError(
                f"both label volumes must have one shape (got {self.predicted.shape} and {self.truth.shape}): crop "
                "them, or compare labels of the same scan"
            )

    @property
    def shape(self) -> Shape3:
        """Voxels along z, y, x."""
        return self.truth.shape

    @property
    def layer(self) -> int:
        """Planes that are decoded together."""
        return max(int(getattr(one.source, "chunk_shape", (1, 1, 1))[0]) for one in (self.predicted, self.truth))

    def slabs(
        self, voxels: int, *, least: int = 1, halo: int = 0
    ) -> Iterator[tuple[tuple[int, int], int, Codes, Codes]]:
        """Read both, slab by slab of whole planes.

        Parameters
        ----------
        voxels : int
            About as many as a slab may have.
        least : int
            Planes that it has at any rate.
        halo : int
            Planes around it that are read as well, as far as there are any.

        Yields
        ------
        span : (first, stop)
            Planes of the slab itself.
        low : int
            First plane that was read.
        predicted, truth : (n, y, x) uint8
        """
        depth, height, width = self.shape
        step = max(least, voxels // (height * width))
        for first in range(0, depth, step):
            stop = min(first + step, depth)
            low, high = max(first - halo, 0), min(stop + halo, depth)
            block = make_block((low, 0, 0), (high, height, width))
            yield (first, stop), low, self.predicted.read(block), self.truth.read(block)


def count_pairs(predicted: Codes, truth: Codes) -> NDArray[np.int64]:
    """How often each code stands where the truth has each code.

    Parameters
    ----------
    predicted, truth : uint8 arrays

    Returns
    -------
    (256, 256) int64
        [truth, predicted].
    """
    counts = np.zeros(CODES * CODES, dtype=np.int64)
    for ours, theirs in zip(predicted.reshape(len(predicted), -1), truth.reshape(len(truth), -1), strict=True):
        counts += np.bincount(theirs.astype(np.uint16) * np.uint16(CODES) + ours, minlength=counts.size)
    return counts.reshape(CODES, CODES)


def choose_codes(found: Sequence[int] | NDArray[Any], wanted: Sequence[int] | None) -> list[int]:
    """Classes that are told of: those that were asked for, else those that occur.

    Parameters
    ----------
    found : sequence of int
    wanted : sequence of int, optional

    Returns
    -------
    list of int
        Ascending, without 0.

    Raises
    ------
    InputError
        If a code that was asked for is none.
    """
    if wanted is None:
        return sorted({int(code) for code in found} - {0})
    if len(wanted) == 0 or min(wanted) < 1 or max(wanted) >= CODES:
        raise InputError(f"codes of classes must be 1 to 255 (got {list(wanted)}): give such as [1, 4]")
    return sorted({int(code) for code in wanted})


def divide(part: float, whole: float) -> float:
    """A share; NaN where there is nothing to share.

    Parameters
    ----------
    part, whole : float

    Returns
    -------
    float
    """
    return float(part) / float(whole) if whole else float("nan")

"""Where labels would teach a model most: patches that it is least sure of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Singles = NDArray[np.float32]

SIDE_VOX = 64
_STEPS = 4  # to a patch's side: how finely its place is looked for


@dataclass(frozen=True)
class Patch:
    """A square of one slice.

    Parameters
    ----------
    z : int
        Number of the slice.
    y, x : int
        First row and column.
    height_vox, width_vox : int
    uncertainty : float
        Mean entropy, 0 where the model is sure of every voxel, 1 where all classes are equally likely.
    """

    z: int
    y: int
    x: int
    height_vox: int
    width_vox: int
    uncertainty: float


def measure_entropy(likely: Singles) -> Singles:
    """How unsure probabilities are.

    Parameters
    ----------
    likely : (C, ...) float32
        Two classes or more.

    Returns
    -------
    (...) float32
        Shannon's entropy over that of equal probabilities, 0 to 1; NaN where they are NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(likely > 0, -likely * np.log(likely), np.where(np.isnan(likely), np.nan, 0))
    out: Singles = (terms.sum(axis=0) / math.log(len(likely))).astype(np.float32)
    return out


def suggest_patches(
    slices: Iterable[tuple[int, Singles, NDArray[Any] | None]], *, count: int = 12, side_vox: int = SIDE_VOX
) -> list[Patch]:
    """The most uncertain patches, no two in one neighbourhood.

    Parameters
    ----------
    slices : iterable of (z, uncertainty, labels)
        Number of a slice, (y, x) as of `measure_entropy`, and (y, x) what was labelled already (0: nothing) or None;
        one after another. A patch that touches labels, or voxels without a value (NaN), is not suggested.
    count : int
        Most patches.
    side_vox : int
        Of a patch; where a slice is smaller, its side.

    Returns
    -------
    list of Patch
        The most uncertain first. Each is two sides or more from all others along y or x, or half a side along z; fewer
        than `count` where the volume has no more such places.

    Raises
    ------
    InputError
        If the count is below 1 or the side below 8 voxels, or there is no slice.
    """
    if count < 1:
        raise InputError(f"count must be >= 1 (got {count}): say how many patches to suggest")
    if side_vox < 8:
        raise InputError(f"side must be >= 8 voxels (got {side_vox}): a patch has to show what is around it")
    rows: list[NDArray[np.float64]] = []
    height, width = 0, 0
    for z, uncertainty, labels in slices:
        height, width = (min(side_vox, n) for n in uncertainty.shape)
        rows.append(_rate_patches(z, uncertainty, labels, height, width))
    if not rows:
        raise InputError("there is no slice to suggest patches of: give a volume")
    table = np.concatenate(rows)
    table = table[np.argsort(-table[:, 3], kind="stable")]
    found: list[Patch] = []
    while len(table) and len(found) < count:
        z, y, x, value = table[0]
        found.append(Patch(int(z), int(y), int(x), height, width, float(value)))
        away = np.abs(table[:, :3] - table[0, :3]) / (side_vox / 2, 2 * side_vox, 2 * side_vox)
        table = table[away.max(axis=1) >= 1]
    return found


def _rate_patches(
    z: int, uncertainty: Singles, labels: NDArray[Any] | None, height: int, width: int
) -> NDArray[np.float64]:
    """Place and mean uncertainty of the patches of a slice, (N, 4)."""
    y, x = (
        np.unique([*range(0, n - side, max(1, side // _STEPS)), n - side])
        for n, side in zip(uncertainty.shape, (height, width), strict=True)
    )
    unknown = np.isnan(uncertainty)
    taken = unknown if labels is None else unknown | (labels != 0)
    sums = _sum_patches(np.where(unknown, 0, uncertainty), y, x, height, width)
    free = _sum_patches(taken, y, x, height, width) == 0
    places = np.stack([np.full(free.shape, z), *np.meshgrid(y, x, indexing="ij")], axis=-1)
    return np.column_stack([places[free], sums[free] / (height * width)])


def _sum_patches(
    values: NDArray[Any], y: NDArray[np.int64], x: NDArray[np.int64], height: int, width: int
) -> NDArray[np.float64]:
    table = np.pad(values.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    out: NDArray[np.float64] = (
        table[np.ix_(y + height, x + width)]
        - table[np.ix_(y, x + width)]
        - table[np.ix_(y + height, x)]
        + table[np.ix_(y, x)]
    )
    return out

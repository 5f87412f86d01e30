"""Levels of the pyramid: node spacings, half windows, and the resolutions they are worked at."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from itertools import pairwise

from voltome.errors import InputError

DEFAULT_PYRAMID = (100, 70, 35)
"""The paper's node spacings (10.1039/D5EB00193E)."""

_SMALLEST_REDUCED_WINDOW = 16


@dataclass(frozen=True)
class Level:
    """One level of the pyramid."""

    node_spacing_vox: int
    half_window_vox: int


def whole_number(name: str, value: object) -> int | None:
    """A whole number or None.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object

    Returns
    -------
    int or None

    Raises
    ------
    InputError
        If it is anything else, 16.5 for instance.
    """
    if value is None:
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{name} must be a whole number (got {value!r}): give one such as 35") from None


def choose_levels(
    shape: tuple[int, ...],
    node_spacing_vox: int | None,
    half_window_vox: int | None,
    pyramid: tuple[int, ...] | None,
) -> tuple[tuple[Level, ...], tuple[int, ...]]:
    """Levels of the pyramid that fit a volume, and the default spacings that do not.

    Parameters
    ----------
    shape : tuple of int
    node_spacing_vox, half_window_vox, pyramid
        As in `correlate_local`.

    Returns
    -------
    levels : tuple of Level
    skipped : tuple of int

    Raises
    ------
    InputError
        If a requested level does not fit, spacings do not decrease, or the last one contradicts `node_spacing_vox`.

    Examples
    --------
    >>> choose_levels((150, 200, 200), None, None, None)
    ((Level(node_spacing_vox=70, half_window_vox=70), Level(node_spacing_vox=35, half_window_vox=35)), (100,))
    """
    requested = pyramid if pyramid else ((node_spacing_vox,) if node_spacing_vox is not None else None)
    spacings = requested or DEFAULT_PYRAMID
    if any(b >= a for a, b in pairwise(spacings)):
        raise InputError(f"the pyramid's spacings must decrease (got {','.join(map(str, spacings))}): sort them")
    if node_spacing_vox is not None and spacings[-1] != node_spacing_vox:
        raise InputError(
            f"the pyramid must end in the node spacing {node_spacing_vox} (got {','.join(map(str, spacings))}): "
            f"leave out one of the two"
        )
    levels, skipped = [], []
    for spacing in spacings:
        half = half_window_vox if half_window_vox is not None and spacing == spacings[-1] else spacing
        problem = _level_problem(shape, spacing, half)
        if problem is None:
            levels.append(Level(spacing, half))
        elif requested is None and spacing != spacings[-1]:
            skipped.append(spacing)
        else:
            raise InputError(problem)
    return tuple(levels), tuple(skipped)


def _level_problem(shape: tuple[int, ...], spacing: int, half_window: int) -> str | None:
    if spacing < 1:
        return f"node spacing must be >= 1 voxel (got {spacing}): give a whole number such as 35"
    if half_window < 4:
        return f"half window must be >= 4 voxels (got {half_window}): widen the window"
    if 2 * half_window + 1 > min(shape):
        return (
            f"the window of 2 x {half_window} + 1 voxels must fit the volume of shape {tuple(shape)}: give a smaller "
            f"half window or node spacing"
        )
    if spacing >= min(shape):
        return f"node spacing must be below the shortest side of {tuple(shape)} (got {spacing}): give a smaller one"
    return None


def choose_reductions(half_window: int, last: bool) -> list[int]:
    """Resolutions of a level: as coarse as the window allows; the last level ends at full resolution."""
    factor = 1
    while half_window // (2 * factor) >= _SMALLEST_REDUCED_WINDOW:
        factor *= 2
    if not last:
        return [factor]
    return [2, 1] if factor > 1 else [1]

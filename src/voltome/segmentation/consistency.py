"""How far labels agree with themselves, where no truth is known: repeat scans, the next time step, other slice axes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, VolumeSource, make_block
from voltome.segmentation.label_pairs import CODES, Codes, Labels, choose_codes, divide, open_labels

Displacement = NDArray[np.floating] | Callable[[NDArray[np.float64]], NDArray[np.floating]]
Counts = NDArray[np.int64]

_LEAST_CELL_VOX = 8
_KEPT, _VANISHED, _CAME, _VANISHED_DEEP, _CAME_DEEP = range(5)


@dataclass(frozen=True)
class ClassConsistency:
    """How far two label volumes agree on a class, in voxels of the first.

    A label that vanished or came *deep* has no voxel of its class in the other volume next to it, edges and corners
    included: noise, partial volumes and the rounding of positions shift surfaces by less.

    Parameters
    ----------
    code : int
    name : str
    dice : float
        NaN where neither holds the class.
    first_vox, second_vox, common_vox : int
        Voxels of the first, voxels whose image in the second is of the class, and both.
    vanished_vox, came_vox : int
        Voxels of the first that are not of the class in the second, and the other way round.
    vanished_deep_vox, came_deep_vox : int
        Of those, what no shift of a surface explains.
    """

    code: int
    name: str
    dice: float
    first_vox: int
    second_vox: int
    common_vox: int
    vanished_vox: int
    came_vox: int
    vanished_deep_vox: int
    came_deep_vox: int


@dataclass(frozen=True, eq=False)
class Consistency:
    """How far two label volumes agree.

    Parameters
    ----------
    classes : tuple of ClassConsistency
    agreement : float
        Share of the compared voxels that have one code in both.
    compared_vox, left_out_vox : int
        Voxels that are labelled in both, and all others: not labelled, displaced out of the second volume, or of
        unknown displacement.
    cell_vox : int
        Side of the cells of the maps.
    kept_vox, vanished_vox, came_vox : (C, Z, Y, X) int64
        For each class and cell of the first volume; `vanished_vox` and `came_vox` deep ones only.
    """

    classes: tuple[ClassConsistency, ...]
    agreement: float
    compared_vox: int
    left_out_vox: int
    cell_vox: int
    kept_vox: Counts
    vanished_vox: Counts
    came_vox: Counts


def measure_consistency(
    first: VolumeSource,
    second: VolumeSource,
    *,
    displacement_vox: Displacement | None = None,
    classes: Sequence[int] | None = None,
    names: Mapping[int, str] | None = None,
    cell_vox: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
) -> Consistency:
    """Compare labels of two scans of the same matter, or two predictions of one scan.

    Each voxel of the first volume is looked up in the second where its matter has gone, at the nearest voxel: nothing
    is resampled, and matter that swells counts with the volume it had. Of a repeat pair this is what noise does to
    labels; of two steps it is that, and what matter and model did. Some 6 million voxels a second for four classes and
    an array of displacements.

    Parameters
    ----------
    first, second : VolumeSource
        (z, y, x), or arrays (y, x), whole numbers 0 to 255; 0 is not labelled.
    displacement_vox : (3, z, y, x) array or callable, optional
        From the first to the second scan at each voxel of the first; or a function of positions (N, 3) that gives
        displacements (N, 3). NaN where it is not known. None: both volumes lie on each other.
    classes : sequence of int, optional
        Codes to tell of; by default all that occur.
    names : mapping of int to str, optional
        Else `class 3` and the like.
    cell_vox : int
        Side of the cells in which changes are counted.
    on_progress : callable, optional
        Called with (done, total) cells.

    Returns
    -------
    Consistency

    Raises
    ------
    InputError
        If labels are not whole numbers or above 255, shapes do not fit, nothing can be compared, or a parameter breaks
        a rule.
    """
    if cell_vox < _LEAST_CELL_VOX:
        raise InputError(f"cell_vox must be >= {_LEAST_CELL_VOX} (got {cell_vox}): give such as 64")
    warp = _Warp(open_labels(first, "the first"), open_labels(second, "the second"), displacement_vox)
    codes = choose_codes(range(1, CODES), classes)
    shape = warp.first.shape
    grid = tuple(-(-n // cell_vox) for n in shape)
    sums = np.zeros((CODES, 5), dtype=np.int64)
    cells: dict[tuple[int, int], Counts] = {}
    agreeing = compared = 0
    for number, cell in enumerate(np.ndindex(*grid)):
        low = np.multiply(cell, cell_vox)
        high = np.minimum(low + cell_vox, shape)
        ours, theirs, within = warp.read(low, high)
        agreeing += int(np.count_nonzero((ours == theirs) & (ours != 0) & within))
        compared += int(np.count_nonzero((ours != 0) & (theirs != 0) & within))
        for code in np.intersect1d(codes, [*_occurring(ours), *_occurring(theirs)]).tolist():
            counts = _count_changes(ours, theirs, code, within)
            if counts.any():
                cells[code, number] = counts
                sums[code] += counts
        if on_progress is not None:
            on_progress(number + 1, int(np.prod(grid)))
    if not compared:
        raise InputError(
            "no voxel is labelled (not 0) in both volumes where the displacement leads: check its sign and unit"
        )
    shown = [code for code in codes if classes is not None or sums[code].any()]
    maps = np.zeros((5, len(shown), int(np.prod(grid))), dtype=np.int64)
    for (code, number), counts in cells.items():
        maps[:, shown.index(code), number] = counts
    kept, vanished, came = (maps[which].reshape(-1, *grid) for which in (_KEPT, _VANISHED_DEEP, _CAME_DEEP))
    return Consistency(
        classes=tuple(_describe(code, (names or {}).get(code, f"class {code}"), sums[code]) for code in shown),
        agreement=divide(agreeing, compared),
        compared_vox=compared,
        left_out_vox=int(np.prod(shape)) - compared,
        cell_vox=cell_vox,
        kept_vox=kept,
        vanished_vox=vanished,
        came_vox=came,
    )


class _Warp:
    """Labels of the first volume beside those that the second has where the matter went."""

    def __init__(self, first: Labels, second: Labels, displacement: Displacement | None) -> None:
        self.first, self.second, self.displacement = first, second, displacement
        if displacement is None and first.shape != second.shape:
            raise InputError(
                f"without a displacement both volumes must have one shape (got {first.shape} and {second.shape}): give "
                "displacement_vox, or crop them"
            )
        if isinstance(displacement, np.ndarray) and displacement.shape != (3, *first.shape):
            raise InputError(
                f"the displacement must have the shape (3, z, y, x) of the first volume, {(3, *first.shape)} (got "
                f"{displacement.shape}): give a function of positions where it is sampled elsewhere"
            )

    def read(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[Codes, Codes, NDArray[np.bool_]]:
        """Codes of both in a cell and the voxels around it, 0 where one of them is not known; and what is the cell."""
        start = np.maximum(low - 1, 0)
        stop = np.minimum(high + 1, self.first.shape)
        block = make_block(start, stop)
        ours = self.first.read(block)
        theirs = self.second.read(block) if self.displacement is None else self._look_up(start, stop)
        within = np.zeros(ours.shape, dtype=np.bool_)
        within[make_block(low - start, high - start)] = True
        return ours, theirs, within

    def _look_up(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> Codes:
        block = make_block(start, stop)
        moved = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(start, stop, strict=True)), indexing="ij"), -1)
        moved = moved.reshape(-1, 3).astype(np.float64)
        moved += self._displace(moved, block)
        nearest = np.rint(moved)
        seen = (np.isfinite(nearest) & (nearest >= 0) & (nearest < self.second.shape)).all(axis=1)
        found = np.zeros(len(moved), dtype=np.uint8)
        if seen.any():
            places = nearest[seen].astype(np.int64)
            corner = places.min(axis=0)
            codes = self.second.read(make_block(corner, places.max(axis=0) + 1))
            found[seen] = codes[tuple((places - corner).T)]
        return found.reshape(stop - start)

    def _displace(self, positions: NDArray[np.float64], block: Block) -> NDArray[np.floating]:
        if isinstance(self.displacement, np.ndarray):
            return self.displacement[(slice(None), *block)].reshape(3, -1).T
        assert self.displacement is not None
        moved = np.asarray(self.displacement(positions.copy()))
        if moved.shape != positions.shape:
            raise InputError(
                f"the displacement of {len(positions)} positions must be of shape {positions.shape} (got "
                f"{moved.shape}): return one row z, y, x for each"
            )
        return moved


def _occurring(codes: Codes) -> Counts:
    return np.flatnonzero(np.bincount(codes.ravel()))


def _count_changes(ours: Codes, theirs: Codes, code: int, within: NDArray[np.bool_]) -> Counts:
    """Voxels of a class that are kept, vanished, came; vanished and came deep."""
    before, after = ours == code, theirs == code
    unknown = (ours == 0) | (theirs == 0)
    counted = within & ~unknown
    vanished, came = before & ~after & counted, after & ~before & counted
    deep = vanished & ~_grow(after | unknown), came & ~_grow(before | unknown)
    return np.array([np.count_nonzero(part) for part in (before & after & counted, vanished, came, *deep)])


def _grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a set and all 26 neighbours of each."""
    grown = mask.copy()
    for axis in range(3):
        before = grown.copy()
        after, source = np.moveaxis(grown, axis, 0), np.moveaxis(before, axis, 0)
        after[1:] |= source[:-1]
        after[:-1] |= source[1:]
    return grown


def _describe(code: int, name: str, counts: Counts) -> ClassConsistency:
    kept, vanished, came, vanished_deep, came_deep = (int(n) for n in counts)
    return ClassConsistency(
        code=code,
        name=name,
        dice=divide(2 * kept, 2 * kept + vanished + came),
        first_vox=kept + vanished,
        second_vox=kept + came,
        common_vox=kept,
        vanished_vox=vanished,
        came_vox=came,
        vanished_deep_vox=vanished_deep,
        came_deep_vox=came_deep,
    )


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far predictions of one volume agree.

    Parameters
    ----------
    pairs : dict of (str, str) to Consistency
    mean_dice : dict of int to float
        Of each class over the pairs in which it occurs.
    """

    pairs: dict[tuple[str, str], Consistency]
    mean_dice: dict[int, float]


def compare_predictions(
    predictions: Mapping[str, VolumeSource],
    *,
    classes: Sequence[int] | None = None,
    names: Mapping[int, str] | None = None,
    cell_vox: int = 64,
) -> Agreement:
    """Compare predictions of one volume pair by pair, such as those made along each of its axes.

    Parameters
    ----------
    predictions : mapping of str to VolumeSource
        Two or more, of one shape: {"z": ..., "y": ..., "x": ...}.
    classes, names, cell_vox : optional
        As `measure_consistency` takes them.

    Returns
    -------
    Agreement

    Raises
    ------
    InputError
        If there are fewer than two, or `measure_consistency` refuses them.
    """
    if len(predictions) < 2:
        raise InputError(
            f"agreement needs two or more predictions (got {len(predictions)}): predict along another axis"
        )
    pairs = {
        (a, b): measure_consistency(predictions[a], predictions[b], classes=classes, names=names, cell_vox=cell_vox)
        for a, b in itertools.combinations(predictions, 2)
    }
    dice: dict[int, list[float]] = {}
    for pair in pairs.values():
        for one in pair.classes:
            if one.dice == one.dice:  # not NaN
                dice.setdefault(one.code, []).append(one.dice)
    return Agreement(pairs, {code: divide(sum(values), len(values)) for code, values in sorted(dice.items())})

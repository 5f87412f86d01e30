"""How far the surfaces of classes lie apart in two label volumes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.segmentation.label_pairs import Codes, LabelPair

_SLAB_VOXELS = 1 << 27
_LEAST_PLANES = 64
_SIDE_VOX = 192
_ASIDE_VOX = 1e-6 * np.sqrt([1.0, 2.0, 3.0])  # of several that are nearest, the same one whatever the block


@dataclass(frozen=True)
class SurfaceScore:
    """Agreement of a class's surfaces, in voxels.

    A surface is made of the voxels of the class that touch, by a face, a labelled voxel of another class: what borders
    on voxels that nobody labelled, or on the volume's faces, is no surface.

    Parameters
    ----------
    f1 : tuple of float
        For each tolerance; harmonic mean of the shares of predicted surface near true surface, and of true near
        predicted.
    mean_vox, median_vox, p95_vox : float
        Distance to the nearest voxel of the other surface, over the voxels of both. What is beyond the cap counts as
        the cap: then these are lower bounds.
    beyond : float
        Share of both surfaces that has none of the other within the cap.
    truth_vox, predicted_vox : int
        Voxels of the surfaces.
    """

    f1: tuple[float, ...]
    mean_vox: float
    median_vox: float
    p95_vox: float
    beyond: float
    truth_vox: int
    predicted_vox: int


def score_surfaces(
    pair: LabelPair,
    codes: Sequence[int],
    *,
    tolerances_vox: Sequence[float],
    cap_vox: int,
    planes_apart: bool = False,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[int, SurfaceScore]:
    """Measure distances between the surfaces of each class.

    By blocks with a halo of `cap_vox`, so that each distance up to the cap is exact. Nearest voxels are found in a k-d
    tree of the surface, not by a distance transform of the volume: surfaces have far fewer voxels.

    Parameters
    ----------
    pair : LabelPair
    codes : sequence of int
    tolerances_vox : sequence of float
    cap_vox : int
    planes_apart : bool
        Planes are no neighbours.
    threads : int, optional
    on_progress : callable, optional
        Called with (planes done, planes in all).

    Returns
    -------
    dict of int to SurfaceScore

    Raises
    ------
    InputError
        If the cap is below 1, or a tolerance is not between 0 and the cap.
    """
    if cap_vox < 1:
        raise InputError(f"cap_vox must be >= 1 (got {cap_vox}): give such as 32")
    for tolerance in tolerances_vox:
        if not 0 <= tolerance <= cap_vox:
            raise InputError(
                f"tolerances_vox must be 0 to cap_vox = {cap_vox} (got {tolerance:g}): give such as 1, 2, 3"
            )
    counts = {code: np.zeros((2, cap_vox**2 + 2), dtype=np.int64) for code in codes}
    halo = 0 if planes_apart else cap_vox + 1
    for (first, stop), low, predicted, truth in pair.slabs(_SLAB_VOXELS, least=_LEAST_PLANES, halo=halo):
        for inner, outer in _tiles(pair.shape, (first, stop), low, len(truth), cap_vox):
            place = tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
            near, true = predicted[outer], truth[outer]
            for code in codes:
                counts[code] += _count_distances(
                    near, true, code, place, cap_vox, planes_apart=planes_apart, threads=threads
                )
        if on_progress is not None:
            on_progress(stop, pair.shape[0])
    return {code: _summarise(counts[code], tolerances_vox, cap_vox) for code in codes}


def _tiles(
    shape: Sequence[int], span: tuple[int, int], low: int, planes: int, cap: int
) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Blocks of a slab, and each with its halo, as slices of what was read."""
    deep = slice(span[0] - low, span[1] - low)
    sides = []
    for n in shape[1:]:
        edges = range(0, n, _SIDE_VOX)
        sides.append([slice(a, min(a + _SIDE_VOX, n)) for a in edges])
    tiles: list[tuple[tuple[slice, ...], tuple[slice, ...]]] = []
    for y, x in itertools.product(*sides):
        grown = [
            slice(max(s.start - cap - 1, 0), min(s.stop + cap + 1, n)) for s, n in zip((y, x), shape[1:], strict=True)
        ]
        tiles.append(((deep, y, x), (slice(0, planes), *grown)))
    return tiles


def find_surface(codes: Codes, code: int, known: NDArray[np.bool_], *, planes_apart: bool = False) -> NDArray[np.bool_]:
    """Voxels of a class that touch a known voxel of another one by a face.

    Parameters
    ----------
    codes : (z, y, x) uint8
    code : int
    known : (z, y, x) bool
    planes_apart : bool
        Planes are no neighbours.

    Returns
    -------
    (z, y, x) bool
    """
    own: NDArray[np.bool_] = (codes == code) & known
    other = known & ~own
    touches = np.zeros_like(own)
    for axis in (1, 2) if planes_apart else (0, 1, 2):
        after, before = np.moveaxis(touches, axis, 0), np.moveaxis(other, axis, 0)
        after[1:] |= before[:-1]
        after[:-1] |= before[1:]
    touches &= own
    return touches


def _count_distances(
    predicted: Codes,
    truth: Codes,
    code: int,
    place: tuple[slice, ...],
    cap: int,
    *,
    planes_apart: bool,
    threads: int | None,
) -> NDArray[np.int64]:
    """Squared distances from predicted to true surface, and back, of the voxels in `place`; the last count: beyond."""
    known = truth != 0
    ours, theirs = (find_surface(codes, code, known, planes_apart=planes_apart) for codes in (predicted, truth))
    within = np.zeros_like(known)
    within[place] = True
    counts = np.zeros((2, cap**2 + 2), dtype=np.int64)
    for row, start, end in ((counts[0], ours, theirs), (counts[1], theirs, ours)):
        begin = start & within
        row[0] = np.count_nonzero(begin & end)
        begin &= ~end
        distance, _ = find_nearest(begin, end, cap, planes_apart=planes_apart, threads=threads)
        found = np.isfinite(distance)
        row[-1] = np.count_nonzero(~found)
        row += np.bincount(np.rint(distance[found] ** 2).astype(np.int64), minlength=row.size)
    return counts


def find_nearest(
    begin: NDArray[np.bool_], end: NDArray[np.bool_], cap: int, *, planes_apart: bool, threads: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Nearest voxel of one set from each voxel of another.

    Parameters
    ----------
    begin, end : (z, y, x) bool
    cap : int
        How far to look.
    planes_apart : bool
        Only within a plane.
    threads : int, optional

    Returns
    -------
    distance : (N,) float64
        Of the voxels of `begin` in their order; infinite where none is within the cap.
    place : (N,) int64
        Which of the voxels of `end`, in their order; as many as there are where there is none.
    """
    from scipy.spatial import cKDTree

    starts, ends = np.argwhere(begin), np.argwhere(end)
    if not len(starts) or not len(ends):
        return np.full(len(starts), np.inf), np.full(len(starts), len(ends))
    if planes_apart:
        starts[:, 0] *= 2 * cap + 2
        ends[:, 0] *= 2 * cap + 2
    tree = cKDTree(ends, balanced_tree=False, compact_nodes=False)
    distance, place = tree.query(
        starts + _ASIDE_VOX, distance_upper_bound=math.sqrt(cap**2 + 0.5), workers=threads or -1
    )
    return distance, place


def _summarise(counts: NDArray[np.int64], tolerances: Sequence[float], cap: int) -> SurfaceScore:
    predicted, truth = (int(total) for total in counts.sum(axis=1))
    both = counts.sum(axis=0)
    total = predicted + truth
    if not total:
        nan = math.nan
        return SurfaceScore((nan,) * len(tolerances), nan, nan, nan, nan, 0, 0)
    distances = np.sqrt(np.arange(both.size, dtype=np.float64))
    distances[-1] = cap
    sums = np.cumsum(both)
    median, p95 = (float(distances[np.searchsorted(sums, share * total)]) for share in (0.5, 0.95))
    return SurfaceScore(
        f1=tuple(_find_f1(counts, math.floor(tolerance**2 + 1e-9)) for tolerance in tolerances),
        mean_vox=float((both * distances).sum() / total),
        median_vox=median,
        p95_vox=p95,
        beyond=float(both[-1] / total),
        truth_vox=truth,
        predicted_vox=predicted,
    )


def _find_f1(counts: NDArray[np.int64], most: int) -> float:
    """Csurka et al. 2013, 10.5244/C.27.32. A surface that is missing in one of them is all missed."""
    near, total = counts[:, : most + 1].sum(axis=1), counts.sum(axis=1)
    if not total.all() or not near.any():
        return 0.0
    precision, recall = near / total
    return float(2 * precision * recall / (precision + recall))

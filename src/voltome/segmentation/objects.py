"""How well objects of each size are found: particles, pores, connected components of a class of the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.segmentation.label_pairs import Codes, LabelPair, divide
from voltome.segmentation.surfaces import find_nearest, find_surface

Counts = NDArray[np.int64]

_SLAB_VOXELS = 1 << 24
_LEAST_PLANES = 8
_REACH_VOX = 3
_FOUND = 0.5


@dataclass(frozen=True)
class SizeScore:
    """How well objects of some size are found.

    Parameters
    ----------
    low_vox, high_vox : float
        Diameter of the sphere (in a plane, of the disc) that has as many voxels: from, to below.
    objects : int
        Components of the truth, voxels that share a face.
    recovered : float
        Share of them of which at least half of the voxels were predicted as the class.
    dice : float
        Of all of them within their neighbourhood: their own voxels, and those of other classes up to three voxels from
        them and nearer to them than to other objects.
    """

    low_vox: float
    high_vox: float
    objects: int
    recovered: float
    dice: float


class _Pieces:
    """What slabs hold of the objects of a class.

    Slabs overlap by their halos: pieces of two slabs that share a voxel are of one object.
    """

    def __init__(self) -> None:
        self.counts: list[Counts] = []
        self.links: list[Counts] = []
        self.total = 0
        self._before: Counts | None = None

    def add(self, numbers: NDArray[np.int32], counts: Counts, overlap: int) -> None:
        """Take the pieces 1, 2, ... of a slab, of which the last `overlap` planes begin the next one."""
        if self._before is not None:
            again = numbers[: len(self._before)]
            both = again > 0
            pairs = np.stack([self._before[both] - 1, again[both].astype(np.int64) - 1 + self.total])
            self.links.append(np.unique(pairs, axis=1) if pairs.size else pairs)
        tail = numbers[len(numbers) - overlap :].astype(np.int64)
        tail[tail > 0] += self.total
        self._before = tail
        self.counts.append(counts)
        self.total += counts.shape[1]

    def join(self) -> Counts:
        """Voxels, those predicted as the class, and those falsely predicted nearby, of each object: (3, N)."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        counts = np.concatenate([np.zeros((3, 0), dtype=np.int64), *self.counts], axis=1)
        links = np.concatenate([np.zeros((2, 0), dtype=np.int64), *self.links], axis=1)
        graph = coo_array((np.ones(links.shape[1], dtype=np.int8), (links[0], links[1])), shape=(self.total,) * 2)
        number, member = connected_components(graph, directed=False)
        return np.stack([np.bincount(member, row, number) for row in counts]).astype(np.int64)


def score_objects(
    pair: LabelPair,
    codes: Sequence[int],
    *,
    planes_apart: bool = False,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[int, tuple[SizeScore, ...]]:
    """Score the connected components of each class of the truth, by octaves of their diameter.

    Parameters
    ----------
    pair : LabelPair
    codes : sequence of int
    planes_apart : bool
        Planes are no neighbours: objects are those of each plane.
    threads : int, optional
    on_progress : callable, optional
        Called with (planes done, planes in all).

    Returns
    -------
    dict of int to tuple of SizeScore
        Ascending; sizes of which there is none are left out. What the volume's faces cut counts with what is left.
    """
    pieces = {code: _Pieces() for code in codes}
    halo = 0 if planes_apart else _REACH_VOX
    for (first, stop), low, predicted, truth in pair.slabs(_SLAB_VOXELS, least=_LEAST_PLANES, halo=halo):
        own = slice(first - low, stop - low)
        overlap = low + len(truth) - max(stop - halo, low)
        for code in codes:
            numbers, counts = _count_pieces(predicted, truth, code, own, planes_apart, threads)
            pieces[code].add(numbers, counts, overlap)
        if on_progress is not None:
            on_progress(stop, pair.shape[0])
    flat = planes_apart or pair.shape[0] == 1
    return {code: _bin_sizes(pieces[code].join(), flat=flat) for code in codes}


def _count_pieces(
    predicted: Codes, truth: Codes, code: int, own: slice, planes_apart: bool, threads: int | None
) -> tuple[NDArray[np.int32], Counts]:
    """Components of a slab with its halo; of each, as `join` has them, what lies in the planes `own`."""
    from scipy.ndimage import generate_binary_structure, label

    structure = generate_binary_structure(3, 1)
    if planes_apart:
        structure[[0, 2]] = False
    true, found = truth == code, predicted == code
    numbers, count = label(true, structure)
    # a false voxel is one of the nearest object, whose nearest voxel is one of its surface
    false = found & ~true & (truth != 0)
    false[: own.start], false[own.stop :] = False, False
    surface = find_surface(truth, code, np.ones_like(true), planes_apart=planes_apart)
    distance, place = find_nearest(false, surface, _REACH_VOX, planes_apart=planes_apart, threads=threads)
    nearby = numbers[surface][place[np.isfinite(distance)]]
    hits = numbers[own][found[own]]
    counts = [np.bincount(values, minlength=count + 1)[1:] for values in (numbers[own].ravel(), hits, nearby)]
    return numbers, np.stack(counts).astype(np.int64)


def _bin_sizes(counts: Counts, *, flat: bool) -> tuple[SizeScore, ...]:
    volume, hits, false = counts.astype(np.float64)
    diameter = np.sqrt(4 * volume / math.pi) if flat else np.cbrt(6 * volume / math.pi)
    octave = np.floor(np.log2(diameter)).astype(np.int64)
    scores = []
    for number in np.unique(octave):
        chosen = octave == number
        sums = [float(values[chosen].sum()) for values in (volume, hits, false)]
        scores.append(
            SizeScore(
                low_vox=float(2.0**number),
                high_vox=float(2.0 ** (number + 1)),
                objects=int(chosen.sum()),
                recovered=float((hits >= _FOUND * volume)[chosen].mean()),
                dice=divide(2 * sums[1], sums[0] + sums[1] + sums[2]),
            )
        )
    return tuple(scores)

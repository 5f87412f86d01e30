"""How good labels are, against labels that are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.segmentation.label_pairs import LabelPair, choose_codes, count_pairs, divide, open_labels
from voltome.segmentation.objects import SizeScore, score_objects
from voltome.segmentation.surfaces import SurfaceScore, score_surfaces

_SLAB_VOXELS = 1 << 25


@dataclass(frozen=True)
class ClassScore:
    """How good the labels of a class are; NaN where a quotient has nothing below its line.

    Parameters
    ----------
    code : int
    name : str
    truth_vox, predicted_vox, common_vox : int
        Voxels of the class, among those that the truth labels.
    dice, iou, precision, recall : float
    volume_ratio : float
        Predicted volume over true volume.
    surface : SurfaceScore or None
    sizes : tuple of SizeScore
        Objects of the truth by diameter.
    """

    code: int
    name: str
    truth_vox: int
    predicted_vox: int
    common_vox: int
    dice: float
    iou: float
    precision: float
    recall: float
    volume_ratio: float
    surface: SurfaceScore | None
    sizes: tuple[SizeScore, ...]


@dataclass(frozen=True)
class Comparison:
    """How good labels are.

    Parameters
    ----------
    classes : tuple of ClassScore
    mean_dice : float
        Over the classes that the truth holds.
    accuracy : float
        Share of labelled voxels that are right.
    labelled_vox, volume_vox : int
        Voxels that the truth labels, and all.
    tolerances_vox : tuple of float
        Of the surfaces' F1.
    truth_codes, predicted_codes : tuple of int
        Rows and columns of `confusion_vox`.
    confusion_vox : tuple of tuple of int
        Voxels of each code of the truth that were predicted as each code.
    """

    classes: tuple[ClassScore, ...]
    mean_dice: float
    accuracy: float
    labelled_vox: int
    volume_vox: int
    tolerances_vox: tuple[float, ...]
    truth_codes: tuple[int, ...]
    predicted_codes: tuple[int, ...]
    confusion_vox: tuple[tuple[int, ...], ...]


def compare_labels(
    predicted: VolumeSource,
    truth: VolumeSource,
    *,
    classes: Sequence[int] | None = None,
    names: Mapping[int, str] | None = None,
    merge: Mapping[int, int] | None = None,
    tolerances_vox: Sequence[float] = (1, 2, 3),
    cap_vox: int = 32,
    planes_apart: bool = False,
    overlap_only: bool = False,
    threads: int | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Compare labels with the truth: overlap, surfaces, and objects by size, of each class.

    Voxels where the truth is 0 do not count. Both are read by slabs of whole planes: memory is some 2 GB for planes of
    2048 x 2048, whatever their number. On one core a few hundred million voxels a second for the overlap alone, some
    one million with surfaces and objects.

    Parameters
    ----------
    predicted, truth : VolumeSource
        (z, y, x), or arrays (y, x), whole numbers 0 to 255, of one shape.
    classes : sequence of int, optional
        Codes to tell of; by default all that occur.
    names : mapping of int to str, optional
        Else `class 3` and the like.
    merge : mapping of int to int, optional
        Codes of the truth that count as another code, such as {4: 2, 5: 2}; as 0 they do not count. Codes that are not
        named stay as they are.
    tolerances_vox : sequence of float
        Of the surfaces' F1.
    cap_vox : int
        Distances between surfaces are measured up to it.
    planes_apart : bool
        Planes are slices that are no neighbours: surfaces and objects are those of each plane.
    overlap_only : bool
        Neither surfaces nor objects.
    threads : int, optional
        By default one for each core.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If shapes differ, labels are not whole numbers or above 255, the truth labels nothing, no class is in both, or a
        parameter breaks a rule.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads must be >= 1 (got {threads}): leave it out to use every core")
    pair = LabelPair(open_labels(predicted, "the prediction"), open_labels(truth, "the truth", merge=merge))
    counts = _count_overlap(pair, _staged(on_progress, "overlap"))
    _check_classes(counts)
    found = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    codes = choose_codes(found, classes)
    surfaces: Mapping[int, SurfaceScore] = {}
    objects: Mapping[int, tuple[SizeScore, ...]] = {}
    if not overlap_only:
        surfaces = score_surfaces(
            pair, codes, tolerances_vox=tolerances_vox, cap_vox=cap_vox, planes_apart=planes_apart, threads=threads,
            on_progress=_staged(on_progress, "surfaces"),
        )  # fmt: skip
        objects = score_objects(
            pair, codes, planes_apart=planes_apart, threads=threads, on_progress=_staged(on_progress, "objects")
        )
    scores = tuple(
        _score_class(counts, code, (names or {}).get(code, f"class {code}"), surfaces.get(code), objects.get(code, ()))
        for code in codes
    )
    return _summarise(counts, scores, math.prod(pair.shape), tolerances_vox)


def _staged(on_progress: Callable[[str, int, int], None] | None, stage: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(stage, done, total)

    return report


def _count_overlap(pair: LabelPair, on_progress: Callable[[int, int], None]) -> NDArray[np.int64]:
    """Voxels of each code of the truth (rows) that were predicted as each code; nothing where the truth is 0."""
    counts = np.zeros((256, 256), dtype=np.int64)
    for (_, stop), _, predicted, truth in pair.slabs(_SLAB_VOXELS, least=pair.layer):
        counts += count_pairs(predicted, truth)
        on_progress(stop, pair.shape[0])
    counts[0] = 0
    return counts


def _check_classes(counts: NDArray[np.int64]) -> None:
    known, guessed = (np.flatnonzero(counts.sum(axis=axis)) for axis in (1, 0))
    if not len(known):
        raise InputError(
            "the truth must label some voxels (every code is 0, which is not labelled): give other labels, or map "
            "what is background to a code of its own"
        )
    if not np.intersect1d(known, guessed).size:
        ours, theirs = (", ".join(map(str, codes)) for codes in (guessed, known))
        raise InputError(
            f"prediction and truth must share a class (got codes {ours} and {theirs}): map the truth's codes on those "
            f"of the prediction, such as {known[0]}={max(1, guessed[-1])}"
        )


def _score_class(
    counts: NDArray[np.int64], code: int, name: str, surface: SurfaceScore | None, sizes: tuple[SizeScore, ...]
) -> ClassScore:
    truth, predicted, common = (int(n) for n in (counts[code].sum(), counts[:, code].sum(), counts[code, code]))
    return ClassScore(
        code=code,
        name=name,
        truth_vox=truth,
        predicted_vox=predicted,
        common_vox=common,
        dice=divide(2 * common, truth + predicted),
        iou=divide(common, truth + predicted - common),
        precision=divide(common, predicted),
        recall=divide(common, truth),
        volume_ratio=divide(predicted, truth),
        surface=surface,
        sizes=sizes,
    )


def _summarise(
    counts: NDArray[np.int64], scores: tuple[ClassScore, ...], volume_vox: int, tolerances_vox: Sequence[float]
) -> Comparison:
    labelled = int(counts.sum())
    dice = [score.dice for score in scores if score.truth_vox]
    rows, columns = (np.flatnonzero(counts.sum(axis=axis)) for axis in (1, 0))
    return Comparison(
        classes=scores,
        mean_dice=divide(sum(dice), len(dice)),
        accuracy=divide(int(np.trace(counts)), labelled),
        labelled_vox=labelled,
        volume_vox=volume_vox,
        tolerances_vox=tuple(float(tolerance) for tolerance in tolerances_vox),
        truth_codes=tuple(int(code) for code in rows),
        predicted_codes=tuple(int(code) for code in columns),
        confusion_vox=tuple(tuple(int(n) for n in row) for row in counts[np.ix_(rows, columns)]),
    )

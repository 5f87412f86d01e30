"""A random forest that learns phases from scribbles."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, make_block
from voltome.segmentation.features import BOXES, SCALES, FeaturePlan, measure_tiles, plan_features
from voltome.segmentation.grey_scale import GreyScale
from voltome.segmentation.model import Model, PhaseClass

Singles = NDArray[np.float32]

TREES = 64
"""Of 100 trees the Dice is 0.0005 better, and the time goes with their number."""

_LEAST_LEAF = 2
_ARRAYS = {
    "feature": (np.int16, 1),
    "threshold": (np.float32, 1),
    "child": (np.int32, 1),
    "probability": (np.float32, 2),
    "roots": (np.int32, 1),
}


def train_forest(
    features: Singles,
    codes: NDArray[np.integer],
    *,
    classes: Sequence[PhaseClass],
    grey: GreyScale,
    scales: Sequence[float] = SCALES,
    dimensions: int = 3,
    trees: int = TREES,
    seed: int = 0,
    threads: int = 1,
) -> Model:
    """Train a random forest on the features of labelled voxels.

    Classes weigh alike in each tree: how many voxels were scribbled says how long somebody drew, not how common the
    class is.

    Parameters
    ----------
    features : (N, F) float32
        As `find_features` gives them at these scales.
    codes : (N,) int
        Class of each voxel.
    classes : sequence of PhaseClass
    grey : GreyScale
        That the features were found with.
    scales, dimensions
        As of `features.plan_features`.
    trees : int
    seed : int
        All that is random follows from it.
    threads : int
        The forest does not depend on them.

    Returns
    -------
    Model
        Its `scores` are out of bag: each voxel is judged by the trees that have not learned from it. They have learned
        from its neighbours on the same stroke, so that voxels elsewhere are told apart less well.

    Raises
    ------
    InputError
        If the features are others, are not finite, or a class has no voxel.

    References
    ----------
    L. Breiman, Machine Learning 45, 5 (2001), doi:10.1023/A:1010933404324
    """
    plan = plan_features(scales, dimensions)
    if features.ndim != 2 or features.shape != (len(codes), len(plan.names)):
        raise InputError(
            f"features must be one row of {len(plan.names)} for each of {len(codes)} codes (got shape "
            f"{features.shape}): find them at the same scales"
        )
    if trees < 1:
        raise InputError(f"trees must be >= 1 (got {trees}): leave them out for {TREES}")
    known = np.array([one.code for one in classes])
    target = np.searchsorted(known, codes)
    if not np.array_equal(known[np.minimum(target, len(known) - 1)], codes):
        raise InputError(f"codes must be those of the classes, {known.tolist()}: make the classes from the codes")
    counts = np.bincount(target, minlength=len(known))
    if not counts.all():
        raise InputError(f"class {known[counts.argmin()]} has no labelled voxel: label some, or leave the class out")
    if not np.isfinite(features).all():
        raise InputError("features hold NaN or infinity: leave these voxels out")
    estimator = _fit(features, target, trees, seed, threads)
    settings = {"scales": list(plan.scales), "dimensions": dimensions, "trees": trees}
    voxels = {one.name: int(count) for one, count in zip(classes, counts, strict=True)}
    made = {"seed": seed, "labelled_voxels": voxels}
    arrays = _flatten([tree.tree_ for tree in estimator.estimators_], len(known))
    scores = {"out_of_bag": _score(estimator.oob_decision_function_, target, classes)}
    return Model("forest", tuple(classes), grey, settings, arrays, made, scores)


def _fit(features: Singles, target: NDArray[np.integer], trees: int, seed: int, threads: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(
        trees,
        min_samples_leaf=_LEAST_LEAF,
        class_weight="balanced_subsample",
        oob_score=True,
        n_jobs=threads,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # voxels that all trees have learned from are left out of the score
        warnings.filterwarnings("ignore", "Some inputs do not have OOB scores")
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        return estimator.fit(features, target)


def _flatten(trees: Sequence[Any], classes: int) -> dict[str, NDArray[Any]]:
    """scikit-learn's trees as `kernels.forest_walk` walks them, each level of a tree behind the one above."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _ARRAYS}
    first = 0
    for tree in trees:
        order, child = _sort_levels(tree.children_left, tree.children_right)
        leaf = tree.children_left[order] < 0
        # Features are float32 and thresholds float64: rounded down they part the same values.
        rounded = tree.threshold[order].astype(np.float32)
        rounded[rounded > tree.threshold[order]] = np.nextafter(
            rounded[rounded > tree.threshold[order]], np.float32(-np.inf)
        )
        values = tree.value[order, 0, :classes]
        parts["feature"].append(np.where(leaf, 0, tree.feature[order]))
        parts["threshold"].append(np.where(leaf, np.inf, rounded))
        parts["child"].append(child + first)
        parts["probability"].append(values / values.sum(axis=1, keepdims=True))
        parts["roots"].append(np.array([first]))
        first += len(order)
    return {name: np.concatenate(arrays).astype(_ARRAYS[name][0]) for name, arrays in parts.items()}


def _sort_levels(left: NDArray[np.integer], right: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nodes level by level, siblings side by side; and the first child of each, of a leaf itself."""
    order = [0]
    child = []
    for place, node in enumerate(order):  # which grows meanwhile
        if left[node] < 0:
            child.append(place)
        else:
            child.append(len(order))
            order += [int(left[node]), int(right[node])]
    return np.array(order), np.array(child)


def _score(likely: NDArray[np.float64], target: NDArray[np.integer], classes: Sequence[PhaseClass]) -> dict[str, Any]:
    """Dice of each class over the voxels that some tree has not learned from."""
    judged = np.isfinite(likely).all(axis=1) & (likely.sum(axis=1) > 0)
    found, truth = likely[judged].argmax(axis=1), target[judged]
    dice = {}
    for number, one in enumerate(classes):
        total = int((found == number).sum() + (truth == number).sum())
        dice[one.name] = float(2 * ((found == number) & (truth == number)).sum() / total) if total else None
    return {"voxels": int(judged.sum()), "dice": dice}


class ForestPredictor:
    """A forest at work: a block of grey values in, probabilities out (a `voltome.segmentation.Predictor`).

    Parameters
    ----------
    model : Model
        Of kind "forest".
    threads : int
        Parts of a block that are worked at once; each needs some 0.3 GB.

    Attributes
    ----------
    halo_vox : tuple of int
        Voxels around a block that decide on it.
    mirrored : tuple of bool
        Axes along which the halo is mirrored where the volume ends: all.
    classes : tuple of PhaseClass

    Raises
    ------
    InputError
        If the model is no forest, or its trees are damaged.
    """

    def __init__(self, model: Model, *, threads: int = 1) -> None:
        if model.kind != "forest":
            raise InputError(f"the model is a {model.kind}, not a forest: apply it with `voltome segment apply`")
        self.classes = model.classes
        try:
            self._plan: FeaturePlan = plan_features(model.settings["scales"], int(model.settings["dimensions"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the model does not say its features ({error}): train it anew") from None
        self._trees = _check_trees(model.arrays, len(self._plan.names), len(model.classes))
        self._threads = threads
        self.halo_vox = self._plan.halo_vox
        self.mirrored = (True, True, True)

    def predict(self, block: Singles) -> Singles:
        """Probabilities of the classes.

        Parameters
        ----------
        block : (z, y, x) float32
            On the model's grey scale, finite, with `halo_vox` voxels of context on every side.

        Returns
        -------
        (C, z, y, x) float32
            Without that halo.

        Raises
        ------
        InputError
            If the block is no larger than its halo.
        """
        shape = tuple(n - 2 * halo for n, halo in zip(block.shape, self.halo_vox, strict=True))
        if min(shape) < 1:
            raise InputError(
                f"a block must be larger than its halo {self.halo_vox} (got shape {block.shape}): widen it"
            )
        out = np.empty((len(self.classes), *shape), dtype=np.float32)
        size = BOXES[self._plan.dimensions]
        edges = [[slice(low, min(low + s, n)) for low in range(0, n, s)] for n, s in zip(shape, size, strict=True)]

        def work(part: Block) -> None:
            self._predict_part(block, part, out)

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(work, itertools.product(*edges)):
                pass
        return out

    def _predict_part(self, block: Singles, part: Block, out: Singles) -> None:
        from voltome.kernels.forest_walk import walk_forest

        wide = make_block(
            (edge.start for edge in part),
            (edge.stop + 2 * halo for edge, halo in zip(part, self.halo_vox, strict=True)),
        )
        inside = out[(slice(None), *part)]
        for place, features in measure_tiles(block[wide], self._plan):
            likely = np.zeros((len(out), *features.shape[1:]), dtype=np.float32)
            walk_forest(features.reshape(len(features), -1), *self._trees, likely.reshape(len(out), -1))
            z, y, x = place
            inside[:, z, y, x] = likely[..., : x.stop - x.start]


def _check_trees(arrays: Mapping[str, NDArray[Any]], features: int, classes: int) -> tuple[NDArray[Any], ...]:
    """Arrays that a walk cannot leave and never fails to end, probabilities divided by the number of trees."""
    trees = []
    for name, (dtype, axes) in _ARRAYS.items():
        array = arrays.get(name)
        if array is None or array.dtype != dtype or array.ndim != axes or not array.size:
            raise InputError(f"the model's trees are damaged ({name} is missing or no {dtype.__name__}): train it anew")
        trees.append(np.array(array, order="C"))
    feature, threshold, child, probability, roots = trees
    count = len(child)
    place = np.arange(count)
    leaf = child == place
    good = (
        len(feature) == len(threshold) == count
        and probability.shape == (count, classes)
        and bool(((feature >= 0) & (feature < features)).all())
        and bool((leaf | ((child > place) & (child < count - 1))).all())
        and bool((threshold[leaf] == np.inf).all())
        and bool(((roots >= 0) & (roots < count)).all())
        and bool(np.isfinite(probability).all())
    )
    if not good:
        raise InputError("the model's trees are damaged (they do not fit each other or its features): train it anew")
    trees[3] = probability / np.float32(len(roots))
    return tuple(trees)

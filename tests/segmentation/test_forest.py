"""Forests: the same as scikit-learn's, wherever the blocks lie; what they learn; what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from voltome.errors import InputError
from voltome.segmentation import (
    ForestPredictor,
    Model,
    cut_slabs,
    describe_model,
    find_features,
    find_grey_scale,
    make_classes,
    open_predictor,
    predict_block,
    restore_model,
    train_forest,
)
from voltome.segmentation.forest import _flatten

SCALES = (1.0, 2.0)
SHAPE = (14, 40, 150)
WHOLE = (slice(0, 14), slice(0, 40), slice(0, 150))
CLASSES = make_classes([2, 5, 9], {2: "pore", 5: "matrix", 9: "silicon"})


def make_phantom(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey values of three phases, noise above their contrast, and the phases' codes."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3)
    truth = np.array([2, 5, 9], dtype=np.uint8)[np.digitize(field, np.percentile(field, (30, 75)))]
    grey = 20000 + 1500.0 * truth + rng.normal(0, 6000, SHAPE)
    return grey.clip(0, 65535).astype(np.uint16), truth


GREY, TRUTH = make_phantom(1)


def draw(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Voxels that somebody labelled, and their codes."""
    at = np.argwhere(np.random.default_rng(seed).random(SHAPE) < count / TRUTH.size)
    return at, TRUTH[tuple(at.T)].astype(np.int64)


def train(dimensions: int = 3, **options) -> Model:
    at, codes = draw(1200)
    grey = find_grey_scale([GREY])
    features = find_features(GREY, scales=SCALES, dimensions=dimensions, at=at, grey=grey)
    settings = {"trees": 16, "seed": 4} | options
    return train_forest(features, codes, classes=CLASSES, grey=grey, scales=SCALES, dimensions=dimensions, **settings)


@pytest.fixture(scope="module")
def forest() -> Model:
    return train()


def likely_of(model: Model, block: tuple[slice, ...] = WHOLE, threads: int = 1) -> np.ndarray:
    return predict_block(ForestPredictor(model, threads=threads), model, GREY, block)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_probabilities_are_those_of_scikit_learn(dimensions: int) -> None:
    from sklearn.ensemble import RandomForestClassifier

    model = train(dimensions)
    at, codes = draw(1200)
    features = find_features(GREY, scales=SCALES, dimensions=dimensions, grey=model.grey)
    learned = features.reshape(*SHAPE, -1)[tuple(at.T)]
    theirs = RandomForestClassifier(16, min_samples_leaf=2, class_weight="balanced_subsample", random_state=4)
    expected = theirs.fit(learned, codes).predict_proba(features).T.reshape(3, *SHAPE)
    ours = likely_of(model)
    # where a feature equals a threshold to the last digit a tree may say otherwise
    assert (np.abs(ours - expected) > 1e-5).mean() < 1e-4
    assert np.abs(ours - expected).max() < 2 / 16


def test_thresholds_part_float32_as_float64_does() -> None:
    from sklearn.tree import DecisionTreeClassifier

    values = np.float32(1) + np.arange(64, dtype=np.float32)[:, None] * np.finfo(np.float32).eps
    tree = DecisionTreeClassifier().fit(values, np.arange(64) % 2).tree_
    arrays = _flatten([tree], 2)
    for value in values[:, 0]:
        ours = theirs = 0
        while arrays["child"][ours] != ours:
            ours = arrays["child"][ours] + int(value > arrays["threshold"][ours])
        while tree.children_left[theirs] >= 0:
            down = tree.children_left if value <= tree.threshold[theirs] else tree.children_right
            theirs = down[theirs]
        np.testing.assert_array_equal(arrays["probability"][ours], tree.value[theirs, 0])


def test_phases_are_told_apart_where_grey_values_alone_do_not(forest: Model) -> None:
    phases = forest.codes[likely_of(forest).argmax(axis=0)]
    edges = [(20000 + 1500.0 * (a + b) / 2) for a, b in ((2, 5), (5, 9))]
    by_grey = forest.codes[np.digitize(GREY, edges)]
    assert (phases == TRUTH).mean() > 0.72 > (by_grey == TRUTH).mean() + 0.1


def test_three_dimensions_know_more_than_two(forest: Model) -> None:
    right = [(m.codes[likely_of(m).argmax(axis=0)] == TRUTH).mean() for m in (forest, train(2))]
    assert right[0] > right[1] + 0.03


@pytest.mark.parametrize("threads", [1, 2])
def test_slabs_give_what_the_whole_gives(forest: Model, threads: int) -> None:
    whole = likely_of(forest)
    for start in range(0, 14, 5):
        block = (slice(start, min(start + 5, 14)), *WHOLE[1:])
        np.testing.assert_allclose(likely_of(forest, block, threads), whole[:, block[0]], atol=1e-6)


def test_parts_give_what_the_whole_gives(forest: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = likely_of(forest)
    monkeypatch.setattr("voltome.segmentation.forest.BOXES", {3: (5, 17, 66)})
    assert (np.abs(likely_of(forest, threads=2) - whole) > 1e-6).mean() < 1e-4


def test_narrow_blocks_are_predicted(forest: Model) -> None:
    block = (slice(3, 4), slice(7, 9), slice(100, 103))
    expected = likely_of(forest)[(slice(None), *block)]
    np.testing.assert_allclose(likely_of(forest, block), expected, atol=1e-6)


def test_probabilities_add_up_to_one(forest: Model) -> None:
    np.testing.assert_allclose(likely_of(forest).sum(axis=0), 1, atol=1e-5)


def test_same_seed_gives_the_same_trees_on_any_number_of_threads(forest: Model) -> None:
    again, other = train(threads=2), train(seed=5)
    for name, array in forest.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    assert not np.array_equal(forest.arrays["threshold"], other.arrays["threshold"])


def test_class_that_was_scribbled_little_is_found_as_often() -> None:
    at, codes = draw(3000)
    kept = (codes != 5) | (np.random.default_rng(2).random(len(codes)) < 0.08)
    grey = find_grey_scale([GREY])
    features = find_features(GREY, scales=SCALES, at=at[kept], grey=grey)
    model = train_forest(features, codes[kept], classes=CLASSES, grey=grey, scales=SCALES, trees=32)
    share = (likely_of(model).argmax(axis=0) == 1).mean() / (TRUTH == 5).mean()
    assert 0.4 < share < 1.6


def test_scores_are_out_of_bag(forest: Model) -> None:
    score = forest.scores["out_of_bag"]
    assert score["voxels"] <= len(draw(1200)[1])
    phases = forest.codes[likely_of(forest).argmax(axis=0)]
    for one in CLASSES:
        found, true = phases == one.code, one.code == TRUTH
        dice = 2 * (found & true).sum() / (found.sum() + true.sum())
        assert score["dice"][one.name] == pytest.approx(dice, abs=0.08)
    assert sum(forest.made["labelled_voxels"].values()) == len(draw(1200)[1])


def test_model_survives_its_description(forest: Model) -> None:
    restored = restore_model(forest.arrays, describe_model(forest), "forest")
    np.testing.assert_array_equal(likely_of(restored), likely_of(forest))


def test_predictor_is_opened_and_cut_to_slabs_as_others_are(forest: Model) -> None:
    predictor = open_predictor(forest, threads=2)
    count = np.zeros(SHAPE, int)
    for block in cut_slabs(SHAPE, predictor):
        count[block] += 1
    assert predictor.halo_vox == (12, 12, 12) and (count == 1).all()
    assert open_predictor(train(2)).halo_vox == (0, 12, 12)


def test_missing_values_get_no_phase(forest: Model) -> None:
    grey = GREY.astype(np.float32)
    grey[4, 10:20] = np.nan
    likely = predict_block(ForestPredictor(forest), forest, grey, WHOLE)
    assert np.isnan(likely[:, 4, 10:20]).all() and np.isnan(likely).sum() == 3 * 10 * 150


def test_network_is_refused(forest: Model) -> None:
    with pytest.raises(InputError, match="the model is a network, not a forest"):
        ForestPredictor(replace(forest, kind="network"))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("child", lambda a: a[:-1], "do not fit"),
        ("child", lambda a: np.where(np.arange(len(a)) == 7, 3, a).astype(np.int32), "do not fit"),
        ("child", lambda a: np.where(np.arange(len(a)) == 0, len(a), a).astype(np.int32), "do not fit"),
        ("feature", lambda a: a + np.int16(20), "do not fit"),
        ("threshold", lambda a: np.zeros_like(a), "do not fit"),
        ("roots", lambda a: a - np.int32(1), "do not fit"),
        ("probability", lambda a: a[:, :2], "do not fit"),
        ("probability", lambda a: a.astype(np.float64), "probability is missing or no float32"),
    ],
)
def test_damaged_trees_are_told(forest: Model, name: str, change, said: str) -> None:
    arrays = dict(forest.arrays) | {name: change(forest.arrays[name])}
    with pytest.raises(InputError, match=said):
        ForestPredictor(replace(forest, arrays=arrays))


def test_missing_trees_and_settings_are_told(forest: Model) -> None:
    with pytest.raises(InputError, match="roots is missing"):
        ForestPredictor(replace(forest, arrays={k: v for k, v in forest.arrays.items() if k != "roots"}))
    with pytest.raises(InputError, match="does not say its features"):
        ForestPredictor(replace(forest, settings={"scales": [1, 2]}))


def test_block_that_is_all_halo_is_refused(forest: Model) -> None:
    with pytest.raises(InputError, match="larger than its halo"):
        ForestPredictor(forest).predict(np.zeros((24, 60, 90), dtype=np.float32))


def test_what_cannot_be_learned_from_is_refused() -> None:
    at, codes = draw(300)
    grey = find_grey_scale([GREY])
    features = find_features(GREY, scales=SCALES, at=at, grey=grey)
    given = {"classes": CLASSES, "grey": grey, "scales": SCALES}
    for options, what, said in (
        ({"scales": (1.0, 2.0, 4.0)}, (features, codes), "features must be one row of 28"),
        ({}, (features[:-1], codes), "features must be one row of 19 for each"),
        ({"trees": 0}, (features, codes), "trees must be >= 1"),
        ({"classes": CLASSES[:2]}, (features, codes), "codes must be those of the classes"),
        ({}, (features[codes != 9], codes[codes != 9]), "class 9 has no labelled voxel"),
        ({}, (np.where(features == features[3, 3], np.nan, features), codes), "features hold NaN"),
    ):
        with pytest.raises(InputError, match=said):
            train_forest(*what, **(given | options))

"""Scores of labels whose scores are known: bodies shifted by known voxels, and what other means count."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter, label
from sklearn.metrics import f1_score

from voltome.errors import InputError
from voltome.segmentation import compare_labels, objects, surfaces

SHAPE = (21, 30, 26)


def draw_layer(shift=0, shape=SHAPE):
    """A layer of class 2 in class 1, across the whole volume: ten voxels thick."""
    labels = np.ones(shape, dtype=np.uint8)
    labels[:, 8 + shift : 18 + shift] = 2
    return labels


def draw_noise(seed, shape=SHAPE, classes=3):
    """Blobs of several classes, and the same seen with noise."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.standard_normal(shape), 2)
    noise = gaussian_filter(rng.standard_normal(shape), 0.7)
    edges = np.quantile(smooth, np.arange(1, classes) / classes)
    seen = smooth + 0.3 * noise * smooth.std() / noise.std()
    return ((1 + np.digitize(values, edges)).astype(np.uint8) for values in (seen, smooth))


def one_class(found, code):
    return next(score for score in found.classes if score.code == code)


def check_same(one, other):
    """Both comparisons are equal in every number, NaN included."""
    np.testing.assert_equal(asdict(one), asdict(other))


@pytest.mark.parametrize("shift", [1, 2, 4])
def test_a_shifted_layer_has_the_scores_of_its_shift(shift):
    found = one_class(compare_labels(draw_layer(shift), draw_layer()), 2)
    right = (10 - shift) / 10
    assert found.dice == found.precision == found.recall == right
    assert found.iou == pytest.approx(right / (2 - right))
    assert found.volume_ratio == 1
    assert found.surface is not None
    assert found.surface.mean_vox == found.surface.median_vox == found.surface.p95_vox == shift
    assert found.surface.f1 == tuple(float(shift <= tolerance) for tolerance in (1, 2, 3))
    assert found.surface.beyond == 0
    assert found.surface.truth_vox == 2 * SHAPE[0] * SHAPE[2]


def test_a_grown_layer_is_told_by_its_volume_and_distance():
    grown = draw_layer()
    grown[:, 7], grown[:, 18] = 2, 2
    found = one_class(compare_labels(grown, draw_layer()), 2)
    assert (found.volume_ratio, found.recall) == (1.2, 1.0)
    assert found.precision == pytest.approx(10 / 12)
    assert found.surface.mean_vox == 1
    assert found.surface.f1 == (1, 1, 1)


def test_right_labels_are_perfect():
    _, truth = draw_noise(1)
    found = compare_labels(truth, truth)
    assert found.mean_dice == found.accuracy == 1
    for score in found.classes:
        assert score.dice == score.iou == score.volume_ratio == 1
        assert score.surface.f1 == (1, 1, 1) and score.surface.mean_vox == 0
        assert all(size.recovered == size.dice == 1 for size in score.sizes)


def test_dice_is_that_of_scikit_learn():
    predicted, truth = draw_noise(2, classes=4)
    found = compare_labels(predicted, truth, overlap_only=True)
    expected = f1_score(truth.ravel(), predicted.ravel(), average=None, labels=[1, 2, 3, 4])
    np.testing.assert_allclose([score.dice for score in found.classes], expected, rtol=1e-12)
    assert found.mean_dice == pytest.approx(expected.mean())
    assert found.accuracy == pytest.approx((predicted == truth).mean())
    assert all(score.surface is None and score.sizes == () for score in found.classes)


def find_edge(labels, code):
    own = np.pad(labels == code, 1, mode="edge")
    return (own & ~binary_erosion(own, border_value=1))[1:-1, 1:-1, 1:-1]


@pytest.mark.parametrize("seed", [3, 4])
def test_distances_are_those_of_a_distance_transform(seed):
    predicted, truth = draw_noise(seed)
    for score in compare_labels(predicted, truth).classes:
        ours, theirs = find_edge(predicted, score.code), find_edge(truth, score.code)
        there, back = distance_transform_edt(~theirs)[ours], distance_transform_edt(~ours)[theirs]
        distances = np.sort(np.r_[there, back])
        assert score.surface.mean_vox == pytest.approx(distances.mean())
        assert score.surface.median_vox == pytest.approx(distances[math.ceil(0.5 * distances.size) - 1])
        assert score.surface.p95_vox == pytest.approx(distances[math.ceil(0.95 * distances.size) - 1])
        for tolerance, f1 in zip((1, 2, 3), score.surface.f1, strict=True):
            precision, recall = (there <= tolerance).mean(), (back <= tolerance).mean()
            assert f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_what_lies_beyond_the_cap_is_said():
    far = one_class(compare_labels(draw_layer(4), draw_layer(), cap_vox=3), 2).surface
    near = one_class(compare_labels(draw_layer(4), draw_layer(), cap_vox=4), 2).surface
    assert (far.beyond, far.mean_vox, far.p95_vox) == (1, 3, 3)
    assert (near.beyond, near.mean_vox, near.p95_vox) == (0, 4, 4)


def test_a_class_that_is_missed_altogether_scores_nothing():
    truth = draw_layer()
    truth[3, 2, 4] = 3
    found = compare_labels(draw_layer(), truth)
    missed = one_class(found, 3)
    assert (missed.dice, missed.recall, missed.volume_ratio) == (0, 0, 0)
    assert math.isnan(missed.precision)
    assert missed.surface.f1 == (0, 0, 0) and missed.surface.beyond == 1
    assert [(size.objects, size.recovered, size.dice) for size in missed.sizes] == [(1, 0, 0)]
    assert found.mean_dice < 0.67


def test_a_class_that_the_truth_does_not_hold_is_told_but_not_in_the_mean():
    predicted = draw_layer()
    predicted[0, 0, 0] = 9
    found = compare_labels(predicted, draw_layer())
    assert one_class(found, 9).precision == 0
    assert found.mean_dice > 0.999


def test_voxels_without_truth_do_not_count():
    truth, predicted = draw_layer(), draw_layer(3)
    truth[:, 18:22] = 0
    truth[:, 4:8] = 0  # no voxel of class 1 is left beside the layer
    predicted[:, 8:12] = 2
    found = compare_labels(predicted, truth)
    assert found.accuracy == 1
    assert found.labelled_vox == (30 - 8) * 21 * 26 and found.volume_vox == truth.size
    assert one_class(found, 2).volume_ratio == 1
    assert one_class(found, 2).surface.truth_vox == 0  # where it ends nobody knows
    assert math.isnan(one_class(found, 2).surface.mean_vox)


def test_a_prediction_of_0_is_a_miss():
    predicted = draw_layer()
    predicted[:, 8:13] = 0
    found = compare_labels(predicted, draw_layer())
    assert one_class(found, 2).recall == 0.5
    assert found.predicted_codes == (0, 1, 2)
    assert found.confusion_vox == ((0, 20 * 21 * 26, 0), (5 * 21 * 26, 0, 5 * 21 * 26))


def test_codes_of_the_truth_are_merged():
    _, truth = draw_noise(5, classes=4)
    predicted = np.choose(truth, [0, 1, 2, 2, 1])
    found = compare_labels(predicted, truth, merge={3: 2, 4: 0})
    assert found.accuracy == 1 and [score.code for score in found.classes] == [1, 2]
    assert found.labelled_vox == np.count_nonzero(truth != 4)


def draw_cubes(sides, shape):
    labels = np.ones(shape, dtype=np.uint8)
    place = 3
    for side in sides:
        labels[3 : 3 + side, 3 : 3 + side, place : place + side] = 2
        place += side + 8
    return labels


def test_objects_are_told_by_their_size():
    truth = draw_cubes((2, 2, 5, 10), (16, 17, 60))
    predicted = truth.copy()
    predicted[3:5, 3:5, 3:5] = 1  # the first small one is missed
    predicted[3:8, 3:8, 23:25] = 1  # two of five layers of the middle one
    predicted[3:13, 3:13, 46] = 2  # a layer too many on the large one
    sizes = {size.low_vox: size for size in one_class(compare_labels(predicted, truth), 2).sizes}
    assert [(low, size.objects, size.recovered) for low, size in sizes.items()] == [(2, 2, 0.5), (4, 1, 1), (8, 1, 1)]
    assert sizes[2].dice == pytest.approx(2 * 8 / (16 + 8))
    assert sizes[4].dice == pytest.approx(2 * 75 / (125 + 75))
    assert sizes[8].dice == pytest.approx(2 * 1000 / (1000 + 1100))


def test_false_voxels_count_with_the_nearest_object_and_no_further_than_three_voxels():
    truth = np.ones((5, 9, 40), dtype=np.uint8)
    truth[2, 4, 5] = 2
    truth[1:4, 3:6, 20:23] = 2
    predicted = truth.copy()
    predicted[2, 4, 8] = 2  # three from the small one
    predicted[2, 4, 19] = 2  # one from the large one
    predicted[2, 4, 12] = 2  # seven and eight from both
    small, large = one_class(compare_labels(predicted, truth), 2).sizes
    assert small.dice == pytest.approx(2 / 3)
    assert large.dice == pytest.approx(54 / 55)


def test_single_slices_are_no_neighbours():
    truth = np.ones((3, 12, 14), dtype=np.uint8)
    truth[:, 4:8, 5:9] = 2
    predicted = truth.copy()
    predicted[1] = np.roll(truth[1], 2, axis=1)
    apart, together = (one_class(compare_labels(predicted, truth, planes_apart=way), 2) for way in (True, False))
    assert [(size.low_vox, size.objects) for size in apart.sizes] == [(4, 3)]
    assert [size.objects for size in together.sizes] == [1]
    assert apart.surface.truth_vox == 3 * 12
    assert apart.surface.f1[0] == pytest.approx(
        (12 + 8 + 12) / 36
    )  # of the square that moved by two, one side is beyond one voxel
    assert apart.dice == together.dice


def test_a_plane_is_a_volume_of_one():
    predicted, truth = (labels[7] for labels in draw_noise(6))
    flat, thin = compare_labels(predicted, truth), compare_labels(predicted[None], truth[None])
    check_same(flat, thin)
    disc = np.hypot(*np.indices((30, 31)) - 14.6).reshape(30, 31)[None] < 10  # diameter 20
    sizes = one_class(compare_labels(1 + disc, 1 + disc), 2).sizes
    assert [(size.low_vox, size.objects) for size in sizes] == [(16, 1)]


@pytest.mark.parametrize("planes_apart", [False, True])
def test_slabs_and_tiles_give_what_the_whole_gives(monkeypatch, planes_apart):
    predicted, truth = draw_noise(7, shape=(40, 33, 29), classes=3)
    truth[11:14, 5:9] = 0
    options = {"planes_apart": planes_apart, "cap_vox": 5}
    whole = compare_labels(predicted, truth, **options)
    for module, name, value in (
        (surfaces, "_SLAB_VOXELS", 1), (surfaces, "_LEAST_PLANES", 7), (surfaces, "_SIDE_VOX", 10),
        (objects, "_SLAB_VOXELS", 1), (objects, "_LEAST_PLANES", 4),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    check_same(compare_labels(predicted, truth, **options), whole)
    assert max(size.objects for score in whole.classes for size in score.sizes) > 5


def test_objects_that_wind_through_many_slabs_are_one(monkeypatch):
    truth = np.ones((60, 9, 40), dtype=np.uint8)
    for number, x in enumerate(range(2, 38, 4)):  # a strip up and down, joined at the ends
        truth[2:58, 4, x] = 2
        truth[2 if number % 2 else 57, 4, x : min(x + 5, 38)] = 2
    monkeypatch.setattr(objects, "_SLAB_VOXELS", 1)
    monkeypatch.setattr(objects, "_LEAST_PLANES", 5)
    sizes = one_class(compare_labels(truth, truth), 2).sizes
    assert label(truth == 2)[1] == 1
    assert [size.objects for size in sizes] == [1]


class Chunked:
    """A volume that says in which layers it is best read, as those in files do, and remembers what was read."""

    def __init__(self, values, deep):
        self.values, self.chunk_shape, self.blocks = values, (deep, 4, 4), []

    @property
    def shape(self):
        return self.values.shape

    @property
    def dtype(self):
        return self.values.dtype

    def __getitem__(self, block):
        self.blocks.append(block)
        return self.values[block]


def test_volumes_are_read_block_by_block():
    predicted, truth = (Chunked(labels.astype(np.uint32), 16) for labels in draw_noise(8, shape=(200, 9, 8)))
    check_same(compare_labels(predicted, truth), compare_labels(predicted.values, truth.values))
    assert all(len(block) == 3 and all(isinstance(edge, slice) for edge in block) for block in truth.blocks)


LABELS = nps.arrays(np.uint8, (4, 5, 6), elements=st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(LABELS, LABELS)
def test_dice_is_symmetric_and_fixes_iou(one, other):
    one[0, 0, :3], other[0, 0, :3] = (1, 2, 3), (1, 2, 3)
    there, back = (compare_labels(*pair, threads=1) for pair in ((one, other), (other, one)))
    for a, b in zip(there.classes, back.classes, strict=True):
        assert a.dice == b.dice
        assert a.iou == pytest.approx(a.dice / (2 - a.dice))
        assert (a.precision, a.recall) == (b.recall, b.precision)
        assert a.surface.f1 == pytest.approx(b.surface.f1, nan_ok=True)
        assert a.surface.mean_vox == pytest.approx(b.surface.mean_vox, nan_ok=True)
        assert sum(size.objects for size in a.sizes) == label(other == a.code)[1]
    assert there.accuracy == back.accuracy


@settings(max_examples=40, deadline=None)
@given(LABELS)
def test_the_confusion_holds_every_voxel(labels):
    truth = np.where(labels == 3, 0, labels)
    truth[0, 0, :2] = labels[0, 0, :2] = (1, 2)
    found = compare_labels(labels, truth, overlap_only=True)
    assert sum(map(sum, found.confusion_vox)) == found.labelled_vox == np.count_nonzero(truth)


def test_classes_and_names_are_those_asked_for():
    found = compare_labels(draw_layer(1), draw_layer(), classes=[2, 7], names={2: "silicon"})
    assert [(score.code, score.name) for score in found.classes] == [(2, "silicon"), (7, "class 7")]
    assert math.isnan(found.classes[1].dice) and math.isnan(found.classes[1].surface.mean_vox)


def test_progress_is_told_stage_by_stage():
    seen = []
    compare_labels(draw_layer(1), draw_layer(), on_progress=lambda *args: seen.append(args))
    assert [stage for stage, done, total in seen if done == total] == ["overlap", "surfaces", "objects"]


@pytest.mark.parametrize(
    ("predicted", "truth", "options", "rule"),
    [
        (draw_layer()[1:], draw_layer(), {}, "must have one shape (got (20, 30, 26) and (21, 30, 26))"),
        (draw_layer().astype(float), draw_layer(), {}, "must be whole numbers (the prediction is float64)"),
        (draw_layer(), np.full(SHAPE, np.nan, np.float32), {}, "must be whole numbers (the truth is float32)"),
        (draw_layer(), 0 * draw_layer(), {}, "the truth must label some voxels"),
        (draw_layer(), draw_layer(), {"merge": {1: 0, 2: 0}}, "the truth must label some voxels"),
        (draw_layer(), 4 + draw_layer(), {}, "must share a class (got codes 1, 2 and 5, 6)"),
        (draw_layer(), 1000 * draw_layer().astype(int), {}, "codes of classes must be 0 to 255 (the truth holds 2000)"),
        (-1 * draw_layer().astype(int), draw_layer(), {}, "(the prediction holds -2)"),
        (draw_layer(), draw_layer(), {"merge": {1: 256}}, "must be 0 to 255 (got 1=256)"),
        (draw_layer(), draw_layer(), {"classes": [0, 1]}, "must be 1 to 255 (got [0, 1])"),
        (draw_layer(), draw_layer(), {"cap_vox": 0}, "cap_vox must be >= 1 (got 0)"),
        (draw_layer(), draw_layer(), {"tolerances_vox": (1, 40)}, "tolerances_vox must be 0 to cap_vox = 32 (got 40)"),
        (draw_layer(), draw_layer(), {"threads": 0}, "threads must be >= 1"),
        (draw_layer()[0, 0], draw_layer(), {}, "must have the axes z, y, x or y, x (got shape (26,))"),
    ],
)
def test_bad_input_is_one_clear_line(predicted, truth, options, rule):
    with pytest.raises(InputError) as refused:
        compare_labels(predicted, truth, **options)
    assert rule in str(refused.value) and "\n" not in str(refused.value)

"""Labels against themselves: what moved with its matter agrees, what vanished or came is counted where it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from voltome.errors import InputError
from voltome.segmentation import measure_consistency
from voltome.segmentation.consistency import compare_predictions

SHAPE = (36, 44, 40)
Z, Y, X = np.indices(SHAPE)


def draw_balls(centres, radius=6.0, shape=SHAPE, stretch=1.0, shift=(0, 0, 0)):
    """Balls of class 2 in class 1, in matter that was stretched along z and shifted."""
    z, y, x = np.indices(shape)
    z, y, x = (z - shift[0]) / stretch, y - shift[1], x - shift[2]
    labels = np.ones(shape, dtype=np.uint8)
    for centre in centres:
        labels[(z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2] = 2
    return labels


CENTRES = [(10, 12, 12), (11, 30, 28), (26, 14, 27)]
FIRST = draw_balls(CENTRES)


def one_class(found, code):
    return next(score for score in found.classes if score.code == code)


def test_the_same_labels_agree():
    found = measure_consistency(FIRST, FIRST)
    assert found.agreement == 1 and found.left_out_vox == 0
    assert [(score.code, score.dice, score.vanished_vox, score.came_vox) for score in found.classes] == [
        (1, 1.0, 0, 0),
        (2, 1.0, 0, 0),
    ]


@pytest.mark.parametrize("shift", [(3, -2, 1), (0, 4, 0)])
@pytest.mark.parametrize("sampled", [True, False])
def test_labels_that_moved_with_their_matter_agree(shift, sampled):
    second = draw_balls(CENTRES, shift=shift)
    field = np.broadcast_to(np.reshape(shift, (3, 1, 1, 1)), (3, *SHAPE)).astype(np.float32)
    given_ = field if sampled else lambda positions: np.broadcast_to(shift, positions.shape)
    found = measure_consistency(FIRST, second, displacement_vox=given_)
    assert found.agreement == 1 and all(score.dice == 1 for score in found.classes)
    kept = np.prod([n - abs(u) for n, u in zip(SHAPE, shift, strict=True)])
    assert (found.compared_vox, found.left_out_vox) == (kept, FIRST.size - kept)
    assert measure_consistency(FIRST, second).classes[1].dice < 0.8


def test_matter_that_swells_counts_with_the_volume_it_had():
    second = draw_balls(CENTRES, shape=(54, 44, 40), stretch=1.4)

    def swell(positions):
        return positions * [0.4, 0, 0]

    silicon = one_class(measure_consistency(FIRST, second, displacement_vox=swell), 2)
    assert silicon.first_vox == np.count_nonzero(FIRST == 2)
    assert silicon.second_vox == pytest.approx(silicon.first_vox, rel=0.02)
    assert silicon.dice > 0.97
    assert silicon.vanished_deep_vox == silicon.came_deep_vox == 0
    assert np.count_nonzero(second == 2) > 1.35 * silicon.first_vox


def test_what_vanished_and_what_came_is_told_with_its_place():
    second = draw_balls([CENTRES[0], CENTRES[1], (26, 33, 10)])  # the third ball went, another came
    found = measure_consistency(FIRST, second, cell_vox=20, names={2: "silicon"})
    silicon = one_class(found, 2)
    ball = np.count_nonzero(draw_balls([(26, 14, 27)]) == 2)
    assert silicon.name == "silicon"
    assert silicon.vanished_vox == silicon.vanished_deep_vox == silicon.came_vox == silicon.came_deep_vox == ball
    assert silicon.dice == pytest.approx(2 / 3, abs=0.01)
    vanished, came = found.vanished_vox[1], found.came_vox[1]
    assert vanished.shape == (2, 3, 2)
    assert vanished.sum() == came.sum() == ball
    assert np.unravel_index(vanished.argmax(), vanished.shape) == (1, 0, 1)
    assert np.unravel_index(came.argmax(), came.shape) == (1, 1, 0)
    assert found.kept_vox[1].sum() == silicon.common_vox
    assert one_class(found, 1).vanished_vox == ball  # what is silicon now was matrix


def test_a_surface_that_shifts_by_a_voxel_is_nothing_deep():
    smaller = measure_consistency(FIRST, draw_balls(CENTRES, radius=5.0))
    much_smaller = measure_consistency(FIRST, draw_balls(CENTRES, radius=3.0))
    assert one_class(smaller, 2).vanished_vox > 500 and one_class(smaller, 2).vanished_deep_vox == 0
    assert one_class(much_smaller, 2).vanished_deep_vox > 500
    assert one_class(much_smaller, 2).came_vox == 0 and one_class(much_smaller, 1).vanished_vox == 0


@pytest.mark.parametrize("cell_vox", [8, 13, 64])
def test_cells_do_not_change_what_is_counted(cell_vox):
    rng = np.random.default_rng(2)
    second = np.where(rng.random(SHAPE) < 0.1, 3, FIRST)
    second[5:9, 5:9] = 0
    found, whole = (
        measure_consistency(FIRST, second, displacement_vox=0.3 * (Z - Y + X)[None] * np.ones((3, 1, 1, 1)) / 9,
                            cell_vox=side)
        for side in (cell_vox, 100)
    )  # fmt: skip
    assert found.classes == whole.classes
    assert (found.agreement, found.compared_vox) == (whole.agreement, whole.compared_vox)
    assert found.came_vox.sum() == whole.came_vox.sum() > 0


def test_unknown_displacement_and_missing_labels_are_left_out():
    field = np.zeros((3, *SHAPE))
    field[1, :5] = np.nan
    second = draw_balls(CENTRES)
    second[30:] = 0
    found = measure_consistency(FIRST, second, displacement_vox=field)
    assert found.compared_vox == 25 * 44 * 40 and found.agreement == 1
    assert one_class(found, 2).vanished_vox == 0
    assert one_class(found, 2).first_vox == np.count_nonzero(FIRST[5:30] == 2)


def test_noise_lowers_the_dice_of_a_repeat_by_its_share():
    flip = np.random.default_rng(0).random(SHAPE) < 0.05
    found = measure_consistency(FIRST, np.where(flip, 3 - FIRST, FIRST))
    assert found.agreement == pytest.approx(0.95, abs=0.003)
    assert one_class(found, 1).dice > one_class(found, 2).dice


SMALL = nps.arrays(np.uint8, (5, 6, 4), elements=st.integers(0, 3))


@settings(max_examples=40, deadline=None)
@given(SMALL, SMALL)
def test_there_and_back_is_the_same_with_vanished_and_came_exchanged(first, second):
    first[0, 0, 0] = second[0, 0, 0] = 1
    there, back = measure_consistency(first, second), measure_consistency(second, first)
    both = (first != 0) & (second != 0)
    assert there.compared_vox == back.compared_vox == both.sum()
    for a, b in zip(there.classes, back.classes, strict=True):
        assert (a.dice, a.vanished_vox, a.came_vox) == (b.dice, b.came_vox, b.vanished_vox)
        assert (a.vanished_deep_vox, a.came_deep_vox) == (b.came_deep_vox, b.vanished_deep_vox)
        assert a.vanished_deep_vox <= a.vanished_vox == ((first == a.code) & (second != a.code) & both).sum()


def test_predictions_along_three_axes_are_compared_pair_by_pair():
    other = draw_balls([*CENTRES[:2], (26, 15, 27)])
    found = compare_predictions({"z": FIRST, "y": FIRST.copy(), "x": other}, names={2: "silicon"})
    assert sorted(found.pairs) == [("y", "x"), ("z", "x"), ("z", "y")]
    dice = {pair: one_class(one, 2).dice for pair, one in found.pairs.items()}
    assert dice["z", "y"] == 1 and dice["z", "x"] == dice["y", "x"] < 1
    assert found.mean_dice[2] == pytest.approx(np.mean(list(dice.values())))


def test_planes_are_compared_as_well():
    found = measure_consistency(FIRST[12], FIRST[12], displacement_vox=np.zeros((3, 1, 44, 40)))
    assert found.agreement == 1 and found.compared_vox == 44 * 40


@pytest.mark.parametrize(
    ("second", "options", "rule"),
    [
        (FIRST[:-1], {}, "without a displacement both volumes must have one shape"),
        (FIRST, {"displacement_vox": np.zeros((3, 4, 4, 4))}, "the displacement must have the shape (3, z, y, x)"),
        (FIRST, {"displacement_vox": lambda at: at[:, 0]}, "must be of shape"),
        (FIRST, {"displacement_vox": np.full((3, *SHAPE), 99.0)}, "no voxel is labelled (not 0) in both volumes"),
        (0 * FIRST, {}, "no voxel is labelled (not 0) in both volumes"),
        (FIRST.astype(np.float32), {}, "labels must be whole numbers (the second is float32)"),
        (FIRST, {"cell_vox": 2}, "cell_vox must be >= 8 (got 2)"),
    ],
)
def test_bad_input_is_one_clear_line(second, options, rule):
    with pytest.raises(InputError) as refused:
        measure_consistency(FIRST, second, **options)
    assert rule in str(refused.value) and "\n" not in str(refused.value)


def test_one_prediction_cannot_agree():
    with pytest.raises(InputError, match="two or more predictions"):
        compare_predictions({"z": FIRST})

"""What held-out slices say of probabilities and volumes."""

import numpy as np
import pytest

from voltome.segmentation import LabelledSlice, make_classes
from voltome.segmentation.calibration import (
    HeldOut,
    calibrate,
    doubt_temperature,
    find_temperature,
    score_held_out,
    soften,
)

CLASSES = make_classes([1, 4], {1: "matrix", 4: "silicon"})


def draw(seed: int, sure: float, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose probabilities are right at temperature `sure`, and classes drawn from them."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 2, (2, count)).astype(np.float32)
    truth = (rng.random(count) < soften(honest, 1.0)[1]).astype(np.int64)
    return honest * np.float32(sure), truth


@pytest.mark.parametrize("sure", [0.6, 1.0, 2.5])
def test_temperature_undoes_overconfidence(sure: float) -> None:
    assert find_temperature(*draw(3, sure)) == pytest.approx(sure, rel=0.08)


def test_probabilities_sum_to_one_for_any_scores() -> None:
    scores = np.array([[1000.0, -1000.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    assert np.allclose(soften(scores, 0.5).sum(axis=0), 1)


def test_scores_count_pixels_of_all_slices_together() -> None:
    scores = np.array([[2.0, 2.0, -1.0, -1.0], [0.0, 0.0, 1.0, 1.0]], np.float32)
    one = HeldOut.sample(0, scores, np.array([0, 1, 1, 1]), most=10)
    said = score_held_out([one, one], CLASSES)
    assert said["slices"] == 2
    assert said["dice"] == pytest.approx({"matrix": 2 / 3, "silicon": 4 / 5})


def test_expected_volumes_of_honest_probabilities_are_unbiased() -> None:
    held = [HeldOut.sample(i, *draw(i, 1.8), most=40_000) for i in range(6)]
    said = calibrate(held, CLASSES, [plain(str(i)) for i in range(6)])
    assert abs(said["volume"]["silicon"]["log_ratio"]) < 0.01
    assert said["volume"]["silicon"]["volumes"] == 6


def test_errors_of_volumes_are_those_within_a_group() -> None:
    """Two electrodes whose volumes err by +10 and -10 % alike: between scans of one nothing is lost."""
    held, slices = [], []
    for number, (group, shift) in enumerate([("a", 0.5), ("a", 0.5), ("b", -0.5), ("b", -0.5)]):
        scores, truth = draw(number, 1.0)
        scores[1] += np.float32(shift)
        held.append(HeldOut.sample(number, scores, truth, most=40_000))
        slices.append(plain(f"T{number}", group))
    apart = [plain(f"T{number}") for number in range(4)]
    within, over_all = (calibrate(held, CLASSES, s)["volume"]["silicon"]["log_ratio_sd"] for s in (slices, apart))
    assert within < 0.01
    assert over_all > 0.05


def test_the_choice_of_slices_is_no_error_of_the_volume() -> None:
    random, slices, held = np.random.default_rng(3), [], []
    for volume in range(600):
        own = random.normal(0, 0.03)
        for _ in range(4):
            likely = np.arange(2000) < 800 * np.exp(own + random.normal(0, 0.06))
            truth = (np.arange(2000) < 800).astype(np.int64)
            scores = np.stack([~likely, likely]).astype(np.float32) * 40
            held.append(HeldOut(len(slices), np.zeros((2, 2), np.int64), scores, truth))
            slices.append(plain(f"v{volume}"))
    found = calibrate(held, CLASSES, slices)["volume"]["silicon"]["log_ratio_sd"]
    assert found == pytest.approx(0.03, rel=0.15)  # with the slices' share it would be 0.042


def plain(volume: str, group: str = "") -> LabelledSlice:
    return LabelledSlice(volume, np.zeros((1, 32, 32)), np.ones((32, 32), np.uint8), volume, group)


def test_nothing_held_out_says_nothing() -> None:
    assert score_held_out([], CLASSES) == {}
    assert calibrate([], CLASSES, []) == {}


def test_held_out_survives_its_arrays() -> None:
    one = HeldOut.sample(7, *draw(1, 1.0, 500), most=100)
    again = HeldOut.restore(one.arrays(), 7)
    assert np.array_equal(again.scores, one.scores)
    assert np.array_equal(again.confusion, one.confusion)


def test_a_temperature_at_the_end_of_what_is_tried_is_doubted() -> None:
    wrong = np.array([[9.0, -9.0], [-9.0, 9.0]], np.float32)
    found = find_temperature(wrong, np.array([1, 0]))
    (warning,) = doubt_temperature({"temperature": found})
    assert "temperature 4 is the end" in warning and "label every class" in warning
    assert doubt_temperature({"temperature": 1.3}) == [] and doubt_temperature({}) == []

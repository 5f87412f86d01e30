"""Grey values of models and volumes."""

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.segmentation import GreyScale, find_grey_scale

RNG = np.random.default_rng(5)
GREYS = np.concatenate([RNG.normal(20000, 1500, 4000), RNG.normal(36000, 1500, 6000)])
SCALE = find_grey_scale([GREYS.reshape(1, 100, 100).astype(np.uint16)])


def test_window_maps_its_ends_to_zero_and_one() -> None:
    scale = GreyScale(100.0, 300.0, (0.1, 0.5, 0.9))
    assert scale.scale(np.array([100, 200, 300], np.uint16)).tolist() == [0.0, 0.5, 1.0]
    assert scale.scale(np.array([7.0, 5.0]), (7.0, 5.0)).tolist() == [0.0, 1.0]


def test_tiny_numbers_far_from_zero_keep_their_contrast() -> None:
    values = 1.0 + 1e-6 * np.linspace(0, 1, 5)
    assert np.allclose(GreyScale(1.0, 1.0 + 1e-6, (0, 0.5, 1)).scale(values), np.linspace(0, 1, 5), atol=1e-3)


def test_same_grey_values_pass_and_a_small_drift_does_too() -> None:
    SCALE.check(GREYS, "a")
    SCALE.check(1.05 * GREYS + 500, "a")


@pytest.mark.parametrize("other", [GREYS / 256, GREYS * 1e-12, 65535 - GREYS * 2, GREYS + 30000])
def test_other_grey_values_are_refused_and_the_advice_helps(other: np.ndarray) -> None:
    with pytest.raises(InputError, match="not those the model learned") as caught:
        SCALE.check(other, "scan")
    low, high = (float(word) for word in str(caught.value).split("--window ")[1].split(",")[0].split())
    SCALE.check(other, "scan", (low, high))


def test_inverted_volume_passes_with_its_own_window() -> None:
    inverted = 65535 - GREYS
    SCALE.check(inverted, "inverted", (65535 - SCALE.low, 65535 - SCALE.high))
    assert np.allclose(SCALE.scale(inverted, (65535 - SCALE.low, 65535 - SCALE.high)), SCALE.scale(GREYS), atol=1e-5)


def test_volume_without_values_or_contrast_is_refused() -> None:
    with pytest.raises(InputError, match="no grey value"):
        SCALE.check(np.full(9, np.nan), "empty")
    with pytest.raises(InputError, match="plain"):
        SCALE.check(np.full(9, 7.0), "plain")


def test_training_images_need_finite_values_and_contrast() -> None:
    with pytest.raises(InputError, match="NaN"):
        find_grey_scale([np.array([[1.0, np.nan]])])
    with pytest.raises(InputError, match="plain"):
        find_grey_scale([np.full((4, 4), 3.0)])


def test_window_beside_the_grey_values_is_refused() -> None:
    with pytest.raises(InputError, match="lies beside the grey values"):
        find_grey_scale([np.linspace(0, 1000, 5000)], (2000.0, 3000.0))
    find_grey_scale([np.linspace(0, 1000, 5000)], (900.0, 100.0))

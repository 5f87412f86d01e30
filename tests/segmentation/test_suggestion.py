"""Patches to annotate next: where entropy is, apart from each other, and not where labels are."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.segmentation import suggest_patches
from voltome.segmentation.suggestion import Patch, measure_entropy


def make_slice(shape: tuple[int, int], spots: dict[tuple[int, int], float], side: int = 16) -> np.ndarray:
    """Squares of uncertainty on a sure slice, by their first corner."""
    out = np.full(shape, 0.01, dtype=np.float32)
    for (y, x), value in spots.items():
        out[y : y + side, x : x + side] = value
    return out


def test_entropy_is_none_where_sure_and_one_where_all_are_alike() -> None:
    likely = np.array([[1, 1 / 3, 0.5, np.nan], [0, 1 / 3, 0.5, np.nan], [0, 1 / 3, 0, np.nan]], dtype=np.float32)
    np.testing.assert_allclose(measure_entropy(likely), [0, 1, np.log(2) / np.log(3), np.nan], atol=1e-6)


def test_the_most_uncertain_patch_comes_first_and_stands_on_its_spot() -> None:
    slices = [(0, make_slice((96, 120), {(16, 24): 0.5}), None), (90, make_slice((96, 120), {(64, 72): 0.9}), None)]
    found = suggest_patches(iter(slices), count=2, side_vox=16)
    assert found == [
        Patch(90, 64, 72, 16, 16, pytest.approx(0.9, abs=1e-6)),
        Patch(0, 16, 24, 16, 16, pytest.approx(0.5, abs=1e-6)),
    ]


def test_patches_keep_two_sides_apart_in_a_slice_and_half_a_side_between_slices() -> None:
    rng = np.random.default_rng(0)
    slices = [(z, rng.random((100, 130)).astype(np.float32), None) for z in range(0, 60, 4)]
    found = suggest_patches(slices, count=40, side_vox=16)
    places = np.array([(one.z, one.y, one.x) for one in found])
    apart = (np.abs(places[:, None] - places) / (8, 32, 32)).max(axis=2)
    assert len(found) == 40
    assert apart[~np.eye(len(found), dtype=bool)].min() >= 1
    assert (np.diff([one.uncertainty for one in found]) <= 0).all()


def test_labelled_places_and_places_without_values_are_left_out() -> None:
    uncertainty = make_slice((80, 90), {(8, 8): 0.9, (8, 60): 0.8, (50, 30): 0.3})
    labels = np.zeros(uncertainty.shape, dtype=np.uint8)
    labels[20, 20] = 3
    uncertainty[10, 65] = np.nan
    found = suggest_patches([(5, uncertainty, labels)], count=9, side_vox=16)
    assert found[0].uncertainty < 0.8
    for one in found:
        patch = (slice(one.y, one.y + 16), slice(one.x, one.x + 16))
        assert not labels[patch].any() and np.isfinite(uncertainty[patch]).all()


def test_small_slice_is_one_patch() -> None:
    found = suggest_patches([(2, np.full((40, 70), 0.25, dtype=np.float32), None)], count=5)
    assert found == [Patch(2, 0, 0, 40, 64, pytest.approx(0.25))]


def test_last_rows_and_columns_can_be_suggested() -> None:
    found = suggest_patches([(0, make_slice((75, 83), {(59, 67): 1.0}), None)], count=1, side_vox=16)
    assert (found[0].y, found[0].x) == (59, 67)


@pytest.mark.parametrize(
    ("options", "slices", "said"),
    [
        ({"count": 0}, [(0, np.zeros((9, 9), np.float32), None)], "count must be >= 1"),
        ({"side_vox": 4}, [(0, np.zeros((9, 9), np.float32), None)], "side must be >= 8"),
        ({}, [], "there is no slice"),
    ],
)
def test_what_cannot_be_is_refused(options: dict, slices: list, said: str) -> None:
    with pytest.raises(InputError, match=said):
        suggest_patches(slices, **options)

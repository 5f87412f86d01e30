"""Labelled slices and what is wrong with them."""

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.segmentation import LabelledSlice
from voltome.segmentation.slices import check_slices, fingerprint_slices, split_groups

IMAGE = np.arange(3 * 40 * 36, dtype=np.uint16).reshape(3, 40, 36)
LABELS = np.ones((40, 36), np.uint8)


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(36, 40\).*\(40, 36\)"):
        LabelledSlice("a", IMAGE, LABELS.T, "v")


def test_slice_with_nan_and_tiny_slice_are_refused() -> None:
    grey = IMAGE.astype(np.float32)
    grey[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        LabelledSlice("a", grey, LABELS, "v")
    with pytest.raises(InputError, match="32"):
        LabelledSlice("a", IMAGE[:, :20], LABELS[:20], "v")


def test_slices_without_labels_and_of_other_depth_are_refused() -> None:
    whole = LabelledSlice("a", IMAGE, LABELS, "v")
    with pytest.raises(InputError, match="nothing is labelled in b"):
        check_slices([whole, LabelledSlice("b", IMAGE, 0 * LABELS, "v")])
    with pytest.raises(InputError, match="1 and 3 planes"):
        check_slices([whole, LabelledSlice("b", IMAGE[:1], LABELS, "v")])
    with pytest.raises(InputError, match="no labelled slice"):
        check_slices([])


def test_rare_class_and_single_slice_are_warned_of() -> None:
    rare = LABELS.copy()
    rare[:5] = 7
    slices = [LabelledSlice(str(i), IMAGE + i, rare if i == 0 else LABELS, "v") for i in range(6)]
    assert any("class 7 is labelled in 1 of 6" in line for line in check_slices(slices))
    assert any("one slice only" in line for line in check_slices(slices[:1]))


def test_folds_hold_out_every_slice_once_and_volumes_whole() -> None:
    slices = [LabelledSlice(f"{g}{i}", IMAGE, LABELS, g) for g in "abcd" for i in range(2)]
    folds = split_groups(slices, 3)
    assert sorted(i for fold in folds for i in fold) == list(range(8))
    homes = [{slices[i].group for i in fold} for fold in folds]
    assert all(not a & b for k, a in enumerate(homes) for b in homes[:k])


def test_folds_of_one_volume_part_its_slices_and_one_slice_gives_none() -> None:
    slices = [LabelledSlice(str(i), IMAGE, LABELS, "v") for i in range(5)]
    assert split_groups(slices, 2) == [[0, 1, 2], [3, 4]]
    assert split_groups(slices[:1], 3) == []
    assert split_groups(slices, 1) == []  # one fold would leave nothing to learn from


def test_fingerprint_follows_every_pixel() -> None:
    other = LABELS.copy()
    other[3, 4] = 2
    first, second = (fingerprint_slices([LabelledSlice("a", IMAGE, x, "v")]) for x in (LABELS, other))
    assert first != second
    assert first == fingerprint_slices([LabelledSlice("b", IMAGE, LABELS, "w")])


def test_slices_that_show_the_same_are_refused() -> None:
    image = np.random.default_rng(0).normal(size=(1, 40, 40))
    labels = np.ones((40, 40), np.uint8)
    with pytest.raises(InputError, match="b shows the same pixels as a"):
        check_slices([LabelledSlice("a", image, labels, "a"), LabelledSlice("b", image.copy(), labels, "b")])

"""Scores of labels from files of several formats."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from voltome import io
from voltome.errors import InputError
from voltome.pipeline.evaluate import evaluate_labels
from voltome.segmentation import compare_labels

SHAPE = (9, 14, 12)
TRUTH = np.ones(SHAPE, dtype=np.uint8)
TRUTH[:, 4:9] = 4
PREDICTED = np.roll(TRUTH, 1, axis=1)


@pytest.mark.parametrize("name", ["labels.tif", "labels.npy", "labels.zarr", "labels.h5::/phases", "slices/", "x.raw"])
def test_every_format_gives_the_scores_of_its_arrays(tmp_path, name):
    io.write_volume(f"{tmp_path}/{name}", PREDICTED)
    np.save(tmp_path / "truth.npy", TRUTH.astype(np.uint32))
    found = evaluate_labels(f"{tmp_path}/{name}", tmp_path / "truth.npy", names={4: "silicon"})
    assert found == compare_labels(PREDICTED, TRUTH, names={4: "silicon"})
    assert found.classes[1].dice == 0.8


def test_the_codes_of_the_truth_are_mapped_on_those_of_the_prediction(tmp_path):
    np.save(tmp_path / "predicted.npy", np.where(TRUTH == 4, 2, 1))
    np.save(tmp_path / "truth.npy", TRUTH)
    with pytest.raises(InputError, match="must share a class"):
        evaluate_labels(tmp_path / "predicted.npy", tmp_path / "truth.npy", merge={1: 9})
    found = evaluate_labels(tmp_path / "predicted.npy", tmp_path / "truth.npy", merge={4: 2})
    assert found.mean_dice == 1


def test_single_images_are_planes(tmp_path):
    tifffile.imwrite(tmp_path / "predicted.tif", PREDICTED[0])
    np.save(tmp_path / "truth.npy", TRUTH[0])
    found = evaluate_labels(tmp_path / "predicted.tif", tmp_path / "truth.npy")
    assert found.volume_vox == TRUTH[0].size and found.classes[1].dice == 0.8


def test_a_raw_file_takes_its_shape_and_type(tmp_path):
    PREDICTED.astype("<u2").tofile(tmp_path / "predicted.raw")
    TRUTH.astype("<u2").tofile(tmp_path / "truth.raw")
    found = evaluate_labels(tmp_path / "predicted.raw", tmp_path / "truth.raw", shape=SHAPE, dtype="<u2")
    assert found == compare_labels(PREDICTED, TRUTH)


def test_slices_and_overlap_alone_are_passed_on(tmp_path):
    np.save(tmp_path / "a.npy", PREDICTED)
    found = evaluate_labels(tmp_path / "a.npy", tmp_path / "a.npy", planes_apart=True)
    assert [size.objects for size in found.classes[1].sizes] == [SHAPE[0]]
    found = evaluate_labels(tmp_path / "a.npy", tmp_path / "a.npy", overlap_only=True)
    assert found.classes[1].surface is None


@pytest.mark.parametrize(
    ("predicted", "rule"),
    [
        ("none.npy", "does not exist"),
        ("grey.npy", "labels must be whole numbers"),
        ("nan.npy", "labels must be whole numbers"),
        ("text.tif", "text.tif"),
        ("thin.npy", "a volume must have three axes"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, predicted, rule):
    np.save(tmp_path / "truth.npy", TRUTH)
    np.save(tmp_path / "grey.npy", PREDICTED / 4)
    np.save(tmp_path / "nan.npy", np.full(SHAPE, np.nan))
    np.save(tmp_path / "thin.npy", PREDICTED[0, 0])
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(InputError) as refused:
        evaluate_labels(tmp_path / predicted, tmp_path / "truth.npy")
    assert rule in str(refused.value) and "\n" not in str(refused.value)

"""Labelled slices in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from voltome.errors import InputError
from voltome.io import write_volume
from voltome.pipeline.label_files import read_label_file, read_pairs

GREY = np.arange(12 * 48 * 40, dtype=np.uint16).reshape(12, 48, 40)
LABELS = np.ones((48, 40), np.uint8)


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, values)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_volume(tmp_path / "T0.npy", GREY)
    save(tmp_path / "labels" / "a.tif", LABELS)
    return tmp_path


def write(folder: Path, *entries: str, more: str = "") -> Path:
    path = folder / "LABELS.yaml"
    path.write_text("slices:\n" + "\n".join(f"  - {{{entry}}}" for entry in entries) + f"\n{more}\n")
    return path


def test_pairs_are_found_by_name_whatever_their_ending(tmp_path) -> None:
    save(tmp_path / "i" / "b.tif", GREY[1])
    save(tmp_path / "i" / "a.tif", GREY[0])
    save(tmp_path / "l" / "b.tif", 2 * LABELS)
    np.save(tmp_path / "l" / "a.npy", LABELS)
    slices = read_pairs(tmp_path / "i", tmp_path / "l")
    assert [one.name for one in slices] == ["a", "b"]
    assert np.array_equal(slices[1].image, GREY[1:2]) and (slices[1].labels == 2).all()


def test_image_without_labels_is_named(tmp_path) -> None:
    save(tmp_path / "i" / "a.tif", GREY[0])
    save(tmp_path / "i" / "b.tif", GREY[0])
    save(tmp_path / "l" / "a.tif", LABELS)
    with pytest.raises(InputError, match=r"nothing named b\.\*"):
        read_pairs(tmp_path / "i", tmp_path / "l")
    with pytest.raises(InputError, match="not a folder"):
        read_pairs(tmp_path / "none", tmp_path / "l")


@pytest.mark.parametrize("values", [LABELS + 0.5, LABELS.astype(np.int16) - 2, 300 * LABELS.astype(np.uint16)])
def test_labels_are_whole_numbers_of_a_byte(tmp_path, values) -> None:
    save(tmp_path / "i" / "a.tif", GREY[0])
    save(tmp_path / "l" / "a.tif", values)
    with pytest.raises(InputError, match="labels must be"):
        read_pairs(tmp_path / "i", tmp_path / "l")


def test_slice_of_a_volume_brings_its_neighbours(folder) -> None:
    slices, names, axis = read_label_file(
        write(folder, "volume: T0.npy, axis: z, index: 5, labels: labels/a.tif", more="classes: {1: matrix}"), planes=5
    )
    assert (names, axis, slices[0].group) == ({1: "matrix"}, "z", "T0.npy")
    assert np.array_equal(slices[0].image, GREY[3:8])


def test_slices_at_the_faces_are_mirrored(folder) -> None:
    path = write(
        folder,
        "volume: T0.npy, axis: z, index: 0, labels: labels/a.tif",
        "volume: T0.npy, axis: z, index: 11, labels: labels/a.tif",
    )
    first, last = read_label_file(path, planes=5)[0]
    assert np.array_equal(first.image, GREY[[1, 0, 0, 1, 2]])
    assert np.array_equal(last.image, GREY[[9, 10, 11, 11, 10]])


def test_labels_of_a_part_lie_where_they_are_said_to_lie(folder) -> None:
    tall = np.arange(60 * 48 * 40, dtype=np.uint16).reshape(60, 48, 40)
    write_volume(folder / "tall.npy", tall)
    save(folder / "labels" / "p.tif", LABELS[:32, :40])
    entry = "volume: tall.npy, axis: y, index: 7, labels: labels/p.tif, rows: [10, 42], columns: [0, 40]"
    (one,) = read_label_file(write(folder, entry), planes=3)[0]
    assert np.array_equal(one.image, tall[10:42, 6:9].swapaxes(0, 1))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("volume: T0.npy, axis: z, index: 12, labels: labels/a.tif", "12 slices along z"),
        ("volume: T0.npy, axis: z, index: 2, labels: labels/a.tif, rows: [40, 60]", "rows of"),
        ("volume: T0.npy, axis: q, index: 2, labels: labels/a.tif", "line 2"),
        ("volume: T0.npy, axis: y, index: 2, labels: labels/a.tif", r"\(48, 40\)"),
        ("volume: T9.npy, axis: z, index: 2, labels: labels/a.tif", "T9.npy"),
    ],
)
def test_entry_that_does_not_fit_is_told_in_one_line(folder, entry, said) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_label_file(write(folder, entry))
    assert "\n" not in str(caught.value)


def test_one_axis_and_an_odd_number_of_planes(folder) -> None:
    path = write(
        folder,
        "volume: T0.npy, axis: z, index: 2, labels: labels/a.tif",
        "volume: T0.npy, axis: y, index: 2, labels: labels/a.tif",
    )
    with pytest.raises(InputError, match="one axis"):
        read_label_file(path)
    with pytest.raises(InputError, match="odd"):
        read_label_file(path, planes=4)

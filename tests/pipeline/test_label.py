"""Scribbles in files become a forest in a file, and that says where to scribble next."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from voltome import io
from voltome.errors import InputError
from voltome.pipeline import label
from voltome.pipeline.label import suggest_labels, train_label_model
from voltome.pipeline.segment import apply_model, load_model

SHAPE = (20, 90, 100)
OPTIONS = {"scales": (1, 2), "trees": 12, "threads": 2}


def make_phantom(seed: int = 1, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Grey values of two phases in noise above their contrast, and codes 3 and 7."""
    rng = np.random.default_rng(seed)
    truth = np.where(ndimage.gaussian_filter(rng.normal(size=shape), 4) > 0, 7, 3).astype(np.uint8)
    grey = 20000 + 2000.0 * truth + rng.normal(0, 6000, shape)
    return grey.clip(0, 65535).astype(np.uint16), truth


def scribble(truth: np.ndarray, rows: tuple[int, ...] = (12, 33, 55, 76)) -> np.ndarray:
    """Lines drawn across two planes."""
    labels = np.zeros_like(truth)
    for z in {4 % len(truth), 13 % len(truth)}:
        for y in rows:
            labels[z, y : y + 2, 5:85] = truth[z, y : y + 2, 5:85]
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume, its scribbles in several formats, and a forest that learned from them."""
    here = tmp_path_factory.mktemp("label")
    grey, truth = make_phantom()
    labels = scribble(truth)
    tifffile.imwrite(here / "volume.tif", grey)
    tifffile.imwrite(here / "scribbles.tif", labels)
    io.write_volume(here / "scribbles.zarr", labels.astype(np.uint32), labels=True)
    with h5py.File(here / "scribbles.h5", "w") as file:
        file["exported_data"] = labels.astype(np.uint16)
    tifffile.imwrite(here / "plane.tif", grey[4])
    tifffile.imwrite(here / "plane_scribbles.tif", labels[4])
    train_label_model(here / "volume.tif", here / "scribbles.tif", here / "forest.safetensors", **OPTIONS)
    return here


def check_left_nothing(folder: Path) -> None:
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".", "new"))]


def test_forest_learns_and_labels_a_volume_that_it_has_not_seen(folder: Path, tmp_path: Path) -> None:
    grey, truth = make_phantom(2)
    tifffile.imwrite(tmp_path / "other.tif", grey)
    found = apply_model(
        folder / "forest.safetensors", tmp_path / "other.tif", tmp_path / "phases.tif", kind="forest", threads=2
    )
    phases, sure = (tifffile.imread(tmp_path / f"phases{tail}.tif") for tail in ("", "-confidence"))
    assert found["engine"] == "forest" and phases.dtype == np.uint8
    assert (phases == truth).mean() > 0.85 > 0.77 > ((grey > 30000) == (truth == 7)).mean()
    assert sure[phases == truth].mean() > sure[phases != truth].mean() + 20


def test_model_says_what_it_was_made_from(folder: Path) -> None:
    model = load_model(folder / "forest.safetensors")
    labels = tifffile.imread(folder / "scribbles.tif")
    assert model.kind == "forest" and [one.code for one in model.classes] == [3, 7]
    assert model.settings == {"scales": [1.0, 2.0], "dimensions": 3, "trees": 12}
    assert model.made["labelled_voxels"] == {"class 3": (labels == 3).sum(), "class 7": (labels == 7).sum()}
    hashes = io.FileHashes(None)
    assert model.made["data"] == {
        "volume": hashes.hash_input(folder / "volume.tif"), "scribbles": hashes.hash_input(folder / "scribbles.tif")
    }  # fmt: skip
    assert str(folder) not in json.dumps(dict(model.made))


@pytest.mark.parametrize("name", ["scribbles.zarr", "scribbles.h5::/exported_data"])
def test_scribbles_in_any_format_give_the_same_forest(folder: Path, tmp_path: Path, name: str) -> None:
    train_label_model(folder / "volume.tif", f"{folder}/{name}", tmp_path / "f.safetensors", **OPTIONS)
    ours, theirs = (load_model(place) for place in (tmp_path / "f.safetensors", folder / "forest.safetensors"))
    for key, array in theirs.arrays.items():
        np.testing.assert_array_equal(ours.arrays[key], array)


def test_single_image_is_learned_and_labelled_in_2d(folder: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "flat.safetensors", tmp_path / "phases.tif"
    train_label_model(
        folder / "plane.tif", folder / "plane_scribbles.tif", model, dimensions=2, names={3: "pore"}, **OPTIONS
    )
    apply_model(model, folder / "plane.tif", out, kind="forest", threads=1)
    _, truth = make_phantom()
    assert (np.squeeze(tifffile.imread(out)) == truth[4]).mean() > 0.75
    assert [one.name for one in load_model(model).classes] == ["pore", "class 7"]
    with pytest.raises(InputError, match="is a single image: features in 3D need a volume, add --dimensions 2"):
        train_label_model(folder / "plane.tif", folder / "plane_scribbles.tif", tmp_path / "new", **OPTIONS)
    with pytest.raises(InputError, match="is a single image, the model knows volumes"):
        suggest_labels(folder / "forest.safetensors", folder / "plane.tif", tmp_path / "new.csv")
    check_left_nothing(tmp_path)


def test_many_labels_are_drawn_evenly_and_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label, "_MOST_VOXELS", 600)
    _, truth = make_phantom()
    labels = np.where(np.random.default_rng(0).random(SHAPE) < 0.4, truth, 0).astype(np.uint8)
    few = np.argwhere(labels == 7)[100:]
    labels[tuple(few.T)] = 0
    tifffile.imwrite(tmp_path / "many.tif", labels)
    made = train_label_model(folder / "volume.tif", tmp_path / "many.tif", tmp_path / "m.safetensors", **OPTIONS)
    learned = made["made"]["labelled_voxels"]
    assert learned["class 7"] == 100 and learned["class 3"] == pytest.approx(500, abs=70)
    assert made["warnings"] == [
        f"{sum(learned.values())} of {(labels > 0).sum()} labelled voxels were learned from, drawn at random"
    ]


def test_few_labels_of_a_class_are_warned_of(folder: Path, tmp_path: Path) -> None:
    labels = tifffile.imread(folder / "scribbles.tif")
    labels[0, 0, :5] = 9
    tifffile.imwrite(tmp_path / "few.tif", labels)
    made = train_label_model(folder / "volume.tif", tmp_path / "few.tif", tmp_path / "m.safetensors", **OPTIONS)
    assert made["warnings"] == ["only 5 voxels are labelled 9 (class 9): label some more, in several places"]


def test_suggestions_go_to_a_table_and_avoid_scribbles(folder: Path, tmp_path: Path) -> None:
    asked = {"count": 3, "scribbles": folder / "scribbles.tif", "threads": 2}
    found = suggest_labels(folder / "forest.safetensors", folder / "volume.tif", tmp_path / "p.csv", **asked)
    suggest_labels(folder / "forest.safetensors", folder / "volume.tif", tmp_path / "p.json", **asked)
    with open(tmp_path / "p.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == found["patches"] == json.loads((tmp_path / "p.json").read_text())["patches"]
    assert found["planes"] == 20 and len(rows) >= 1
    labels = tifffile.imread(folder / "scribbles.tif")
    for one in found["patches"]:
        patch = (one["z"], slice(one["y"], one["y"] + one["height_vox"]), slice(one["x"], one["x"] + one["width_vox"]))
        assert labels[patch].shape == (64, 64) and not labels[patch].any()
        assert 0 < one["uncertainty"] <= 1


def test_large_volumes_are_looked_at_in_some_planes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label, "_LOOKED_AT_VOXELS", 4 * 90 * 100)
    found = suggest_labels(folder / "forest.safetensors", folder / "volume.tif", tmp_path / "p.csv", count=1)
    assert found["planes"] == 4 and found["patches"][0]["z"] in (2, 7, 12, 17)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v[:, :-1], r"labels must have the volume's shape .*\(20, 89, 100\).*\(20, 90, 100\)"),
        (lambda v: np.where(v == 7, 0, v), r"at least two classes, codes 1 to 255, 0 is not labelled \(got \[3\]\)"),
        (np.zeros_like, r"at least two classes.*\(got none\)"),
        (lambda v: v.astype(np.float32) / 2, r"labels must be whole numbers \(.*float32\): save codes"),
        (lambda v: np.where(v == 7, np.uint16(300), v), r"codes of classes must be 1 to 255.*to 300"),
        (lambda v: np.where(v == 7, np.int16(-7), v), r"codes of classes must be 1 to 255.*holds -7"),
    ],
)
def test_labels_that_cannot_be_are_refused(folder: Path, tmp_path: Path, change, said: str) -> None:
    tifffile.imwrite(tmp_path / "labels.tif", change(tifffile.imread(folder / "scribbles.tif")))
    with pytest.raises(InputError, match=said):
        train_label_model(folder / "volume.tif", tmp_path / "labels.tif", tmp_path / "new.safetensors", **OPTIONS)
    check_left_nothing(tmp_path)


def test_whole_numbers_saved_as_floats_are_labels(folder: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "labels.tif", tifffile.imread(folder / "scribbles.tif").astype(np.float32))
    made = train_label_model(folder / "volume.tif", tmp_path / "labels.tif", tmp_path / "m.safetensors", **OPTIONS)
    assert [one["code"] for one in made["classes"]] == [3, 7]


def test_voxels_without_value_matter_only_near_scribbles(folder: Path, tmp_path: Path) -> None:
    grey = tifffile.imread(folder / "volume.tif").astype(np.float32)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[4, 5:25, 5:25] = tifffile.imread(folder / "scribbles.tif")[4, 5:25, 5:25]
    grey[:, :, 60:] = np.nan
    tifffile.imwrite(tmp_path / "holes.tif", grey)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    train_label_model(tmp_path / "holes.tif", tmp_path / "labels.tif", tmp_path / "m.safetensors", **OPTIONS)
    with pytest.raises(InputError, match=r"grey values within 12 voxels of z 4 to 13, .* hold NaN or infinity"):
        train_label_model(tmp_path / "holes.tif", folder / "scribbles.tif", tmp_path / "new", **OPTIONS)
    check_left_nothing(tmp_path)


def test_names_of_other_classes_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no voxel of .*scribbles.tif has code 4 \(they have 3, 7\)"):
        train_label_model(
            folder / "volume.tif", folder / "scribbles.tif", tmp_path / "new", names={3: "a", 4: "b"}, **OPTIONS
        )


def test_outputs_are_not_replaced_unasked(folder: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.safetensors"
    taken.write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        train_label_model(folder / "volume.tif", folder / "scribbles.tif", taken, **OPTIONS)
    assert taken.read_text() == "mine"
    train_label_model(folder / "volume.tif", folder / "scribbles.tif", taken, overwrite=True, **OPTIONS)
    assert load_model(taken).kind == "forest"
    with pytest.raises(InputError, match="which is being read"):
        train_label_model(folder / "volume.tif", folder / "scribbles.tif", folder / "volume.tif", overwrite=True)


def test_suggestions_refuse_what_they_cannot_use(folder: Path, tmp_path: Path) -> None:
    volume, model, out = folder / "volume.tif", folder / "forest.safetensors", tmp_path / "new.csv"
    (tmp_path / "short.safetensors").write_bytes(model.read_bytes()[:-100])
    tifffile.imwrite(tmp_path / "dark.tif", tifffile.imread(volume) // 4)
    network = tmp_path / "network.safetensors"
    arrays, said_of_it = io.read_model_file(model)
    io.write_model_file(network, arrays, said_of_it | {"kind": "network"})
    for given, options, said in (
        ((tmp_path / "short.safetensors", volume, out), {}, "is not a model, or was cut short"),
        ((network, volume, out), {}, "network.safetensors is a network, not a forest"),
        ((model, tmp_path / "dark.tif", out), {}, "are not those the model learned"),
        ((model, volume, tmp_path / "new.txt"), {}, "must end in .csv or .json"),
        ((model, volume, out), {"scribbles": folder / "plane_scribbles.tif"}, "labels must have the volume's shape"),
        ((model, volume, out), {"threads": 0}, "threads must be >= 1"),
    ):
        with pytest.raises(InputError, match=said):
            suggest_labels(*given, **options)
    check_left_nothing(tmp_path)


def test_window_stands_for_the_grey_values_of_another_scan(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder / "forest.safetensors")
    tifffile.imwrite(tmp_path / "dark.tif", tifffile.imread(folder / "volume.tif").astype(np.float32) / 4)
    window = (model.grey.low / 4, model.grey.high / 4)
    found = suggest_labels(
        folder / "forest.safetensors", tmp_path / "dark.tif", tmp_path / "p.csv", window=window, count=1
    )
    plain = suggest_labels(folder / "forest.safetensors", folder / "volume.tif", tmp_path / "q.csv", count=1)
    assert found["patches"][0]["uncertainty"] == pytest.approx(plain["patches"][0]["uncertainty"], abs=1e-3)


def test_progress_is_told_stage_by_stage(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))

    train_label_model(
        folder / "volume.tif", folder / "scribbles.tif", tmp_path / "m.safetensors", on_progress=note, **OPTIONS
    )
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["labels", "features", "forest"]
    assert told[-1] == ("forest", 1, 1)
    told.clear()
    suggest_labels(folder / "forest.safetensors", folder / "volume.tif", tmp_path / "p.csv", on_progress=note)
    assert told[0] == ("uncertainty", 0, 20) and told[-1] == ("uncertainty", 20, 20)

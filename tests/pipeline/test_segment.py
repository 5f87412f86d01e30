"""From labelled slices to a model, from a model and a volume to phases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voltome import io
from voltome.errors import InputError
from voltome.pipeline.model_training import calibrate_model, train_model
from voltome.pipeline.segment import apply_model, load_model, name_confidence
from voltome.segmentation import LabelledSlice, TrainingSettings

torch = pytest.importorskip("torch")

QUICK = TrainingSettings(base=4, depth=2, epochs=10, folds=2, side=48, batches=8, batch=2)
NAMES = {1: "matrix", 4: "silicon"}


def draw(seed: int, shape: tuple[int, int, int] = (9, 64, 56)) -> tuple[np.ndarray, np.ndarray]:
    """Slanted layers of two greys with noise, and their classes."""
    _, y, x = np.indices(shape)
    truth = np.where(np.sin((y + 0.6 * x + 7 * seed) / 5) > 0, 4, 1).astype(np.uint8)
    noise = np.random.default_rng(seed).normal(0, 2500, shape)
    return (np.where(truth == 4, 20000, 36000) + noise).astype(np.uint16), truth


def cut(planes: int = 3) -> list[LabelledSlice]:
    slices = []
    for seed in (1, 2):
        grey, truth = draw(seed)
        slices += [
            LabelledSlice(f"v{seed} z={z}", grey[z - planes // 2 : z + planes // 2 + 1], truth[z], f"v{seed}")
            for z in (3, 6)
        ]
    return slices


def swap_codes(slices: list[LabelledSlice]) -> list[LabelledSlice]:
    return [replace(one, labels=np.where(one.labels == 1, 4, 1).astype(np.uint8)) for one in slices]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    train_model(cut(), path, names=NAMES, settings=QUICK, threads=1)
    return path


def test_model_says_what_it_was_made_from(model: Path) -> None:
    trained = load_model(model)
    assert [(one.code, one.name) for one in trained.classes] == [(1, "matrix"), (4, "silicon")]
    assert len(trained.made["data"]) == 64 and trained.made["training"]["seed"] == 0
    assert trained.scores["slices"] == 4
    assert not model.with_name(model.name + ".checkpoint").exists()


def test_volume_of_any_format_gets_phases_and_confidence(model: Path, tmp_path: Path) -> None:
    grey, truth = draw(5, (11, 70, 52))
    io.write_volume(tmp_path / "T3.zarr", grey, voxel_size_m=1.5e-7)
    said = apply_model(model, tmp_path / "T3.zarr", tmp_path / "out" / "phases.tif", threads=1)
    phases = io.read_volume(tmp_path / "out" / "phases.tif")
    sure = io.read_volume(tmp_path / "out" / "phases-confidence.tif")
    assert phases.dtype == sure.dtype == np.uint8 and phases.shape == grey.shape
    assert (phases == truth).mean() > 0.9
    assert sum(row["fraction"] for row in said["phases"]) == pytest.approx(1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["phases-confidence.tif", "phases.tif"]
    with io.open_volume(tmp_path / "out" / "phases.tif") as volume:
        assert volume.voxel_size_m == pytest.approx(1.5e-7)


def test_nothing_is_left_behind_on_failure(model: Path, tmp_path: Path) -> None:
    io.write_volume(tmp_path / "T3.npy", draw(5)[0] // 256)
    with pytest.raises(InputError, match="not those the model learned"):
        apply_model(model, tmp_path / "T3.npy", tmp_path / "out" / "phases.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["T3.npy"]


def test_window_adapts_other_grey_values(model: Path, tmp_path: Path) -> None:
    grey, truth = draw(5)
    io.write_volume(tmp_path / "T3.npy", grey / 65535.0)
    window = tuple(edge / 65535.0 for edge in (load_model(model).grey.low, load_model(model).grey.high))
    apply_model(model, tmp_path / "T3.npy", tmp_path / "p.npy", window=window)
    assert (io.read_volume(tmp_path / "p.npy") == truth).mean() > 0.9


def test_phases_brighter_than_learned_are_told(model: Path, tmp_path: Path) -> None:
    grey = draw(5)[0]
    io.write_volume(tmp_path / "T3.npy", grey)
    assert apply_model(model, tmp_path / "T3.npy", tmp_path / "p.npy")["warnings"] == []
    io.write_volume(tmp_path / "T4.npy", grey + np.uint16(2000))
    assert "brighter" in apply_model(model, tmp_path / "T4.npy", tmp_path / "q.npy")["warnings"][0]


def test_voxels_without_value_are_counted_and_told(model: Path, tmp_path: Path) -> None:
    grey = draw(5)[0].astype(np.float32)
    grey[:, :5] = np.nan
    io.write_volume(tmp_path / "T3.npy", grey)
    said = apply_model(model, tmp_path / "T3.npy", tmp_path / "p.npy")
    assert said["missing"] == 9 * 5 * 56
    assert "without a finite grey value: 2520" in said["warnings"][0]
    assert (io.read_volume(tmp_path / "p.npy")[:, :5] == 0).all()


def test_outputs_are_never_replaced_unasked_nor_the_volume_ever(model: Path, tmp_path: Path) -> None:
    io.write_volume(tmp_path / "T3.npy", draw(5)[0])
    (tmp_path / "p-confidence.npy").write_bytes(b"mine")
    with pytest.raises(InputError, match="already exists"):
        apply_model(model, tmp_path / "T3.npy", tmp_path / "p.npy")
    with pytest.raises(InputError, match=r"T3\.npy"):
        apply_model(model, tmp_path / "T3.npy", tmp_path / "T3.npy", overwrite=True)
    assert (tmp_path / "p-confidence.npy").read_bytes() == b"mine"


def test_single_slice_is_no_volume(model: Path, tmp_path: Path) -> None:
    io.write_volume(tmp_path / "one.npy", draw(5)[0][:1])
    with pytest.raises(InputError, match="neighbouring slices"):
        apply_model(model, tmp_path / "one.npy", tmp_path / "p.npy")


def test_run_that_was_cut_off_is_resumed_to_the_same_model(tmp_path: Path) -> None:
    short = replace(QUICK, epochs=4, batches=1)
    whole, cut_off = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    train_model(cut(), whole, settings=short, threads=1)

    def stop(epoch) -> None:
        if (epoch.stage, epoch.number) == (2, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(cut(), cut_off, settings=short, threads=1, on_epoch=stop)
    assert not cut_off.exists()
    for other, said in (
        ((cut()[:3], short), "other slices and grey values or labels"),
        ((cut(), replace(short, seed=7)), "other settings"),
        ((swap_codes(cut()), short), "other grey values or labels: "),
    ):
        with pytest.raises(InputError, match=said):
            train_model(other[0], cut_off, settings=other[1], threads=1, resume=True)
    with pytest.raises(InputError, match=r"other grey window: .*--overwrite"):
        train_model(cut(), cut_off, settings=short, threads=1, resume=True, window=(0, 60000))
    train_model(cut(), cut_off, settings=short, threads=1, resume=True)
    assert cut_off.read_bytes() == whole.read_bytes()


def test_a_start_that_learned_from_these_slices_is_told(model: Path, tmp_path: Path) -> None:
    short, renamed = replace(QUICK, epochs=2, batches=1), [replace(one, name=f"mine {one.name}") for one in cut()]
    made = train_model(renamed, tmp_path / "m.safetensors", settings=short, start=model)
    count = len(renamed)
    assert any(f"has learned from {count} of these {count} slices (mine " in said for said in made["warnings"])
    assert made["scores"]["start"]["learned"] == count
    with pytest.raises(InputError, match=r"was trained on what mine .* shows"):
        calibrate_model(model, renamed, tmp_path / "c.safetensors")


def test_an_ensemble_needs_folds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folds are 1: 2 or more"):
        train_model(cut(), tmp_path / "m.safetensors", settings=replace(QUICK, ensemble=True, folds=1))


def test_a_start_that_is_better_than_what_came_of_it_is_told(model: Path, tmp_path: Path) -> None:
    spoil = replace(QUICK, epochs=1, folds=2, rate=0.5)
    made = train_model(cut(), tmp_path / "m.safetensors", settings=spoil, start=model)
    assert any("the model to start from is better" in warning for warning in made["warnings"])


def test_what_cannot_be_written_is_told_before_the_training(model: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        train_model(cut(), tmp_path / "folder", settings=QUICK, overwrite=True)
    (tmp_path / "m.safetensors.checkpoint").write_bytes(b"hours of work")
    with pytest.raises(InputError, match="--resume"):
        train_model(cut(), tmp_path / "m.safetensors", settings=QUICK)
    assert (tmp_path / "m.safetensors.checkpoint").read_bytes() == b"hours of work"


def test_a_forest_is_no_start(tmp_path: Path) -> None:
    from voltome.pipeline.label import train_label_model

    grey, truth = draw(1)
    io.write_volume(tmp_path / "grey.npy", grey)
    io.write_volume(tmp_path / "labels.npy", truth)
    forest = tmp_path / "forest.safetensors"
    train_label_model(tmp_path / "grey.npy", tmp_path / "labels.npy", forest, scales=(1.0,), trees=2)
    with pytest.raises(InputError, match="is a forest"):
        train_model(cut(), tmp_path / "m.safetensors", settings=QUICK, start=forest)


def test_calibration_in_another_grey_window_moves_the_models(model: Path, tmp_path: Path) -> None:
    others = [replace(one, image=(one.image / 4).astype(np.uint16), name=f"dim {one.name}") for one in cut()]
    old = load_model(model).grey
    with pytest.raises(InputError, match="--window"):
        calibrate_model(model, others, tmp_path / "dim.safetensors")
    calibrate_model(model, others, tmp_path / "dim.safetensors", window=(old.low / 4, old.high / 4))
    new = load_model(tmp_path / "dim.safetensors")
    assert (new.grey.low, new.grey.high) == (old.low / 4, old.high / 4)
    assert new.scores["dice_mean"] > 0.9 * load_model(model).scores["dice_mean"]


def test_labels_with_a_class_the_start_does_not_know_are_refused(model: Path, tmp_path: Path) -> None:
    slices = cut()
    slices[0].labels[:3] = 9
    with pytest.raises(InputError, match=r"class 9.*1 matrix, 4 silicon"):
        train_model(slices, tmp_path / "m.safetensors", settings=QUICK, start=model)


def test_calibration_on_other_slices_keeps_the_weights(model: Path, tmp_path: Path) -> None:
    others = []
    for seed in (7, 8):
        grey, truth = draw(seed)
        others += [LabelledSlice(f"v{seed} z={z}", grey[z - 1 : z + 2], truth[z], f"v{seed}") for z in (3, 6)]
    calibrate_model(model, others, tmp_path / "m.safetensors")
    before, after = load_model(model), load_model(tmp_path / "m.safetensors")
    assert all(np.array_equal(after.arrays[name], array) for name, array in before.arrays.items())
    assert after.scores["slices"] == 4 and after.scores["dice"]["silicon"] > 0.9
    assert after.calibration["volume"]["silicon"]["volumes"] == 2
    assert after.made["calibrated_on"] == [one.name for one in others]
    with pytest.raises(InputError, match="was trained on what v1 z=3 shows"):
        calibrate_model(model, cut(), tmp_path / "n.safetensors")
    deep = [LabelledSlice("x", draw(9)[0][:5], draw(9)[1][2], "v9")]
    with pytest.raises(InputError, match="5 planes, the model 3 planes"):
        calibrate_model(model, deep, tmp_path / "n.safetensors")


def test_class_that_no_slice_shows_is_warned_of(tmp_path: Path) -> None:
    short = replace(QUICK, epochs=1, batches=1, folds=0)
    said = train_model(cut(), tmp_path / "m.safetensors", names=NAMES | {7: "bubble"}, settings=short)
    assert "7 bubble is named, but labelled in no slice" in said["warnings"][0]
    assert [one["code"] for one in said["classes"]] == [1, 4]


def test_start_of_another_grey_window_is_refused(model: Path, tmp_path: Path) -> None:
    dim = [LabelledSlice(one.name, one.image // 256, one.labels, one.group) for one in cut()]
    with pytest.raises(InputError, match="not those the model learned"):
        train_model(dim, tmp_path / "m.safetensors", settings=QUICK, start=model)


def test_confidence_stands_beside_labels_of_any_name() -> None:
    assert name_confidence("a/T3.zarr") == "a/T3-confidence.zarr"
    assert name_confidence("a.h5::/phases") == "a.h5::/phases-confidence"


def test_weights_that_come_with_voltome_know_silicon() -> None:
    trained = load_model("twin")
    assert trained.settings["base"] == 8 and trained.settings["planes"] == 5
    trained.find_class("silicon")
    assert trained.scores["dice"]["silicon"] > 0.85

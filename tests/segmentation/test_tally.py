"""What a volume consists of, and whether its phases are as bright as those that were learned."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.segmentation import (
    GreyScale,
    LabelledSlice,
    Model,
    describe_tally,
    make_classes,
    measure_greys,
    tally_slab,
)

CLASSES = make_classes([1, 4], {1: "matrix", 4: "silicon"})
GREY = GreyScale(1000.0, 2000.0, (0.1, 0.5, 0.9))


def make_volume(offset: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    phases = rng.choice(np.array([0, 1, 4], np.uint8), (8, 40, 50), p=[0.1, 0.6, 0.3])
    sure = np.full(phases.shape, 255, np.uint8)
    sure[:4] = 51
    sure[phases == 0] = 0
    grey = np.where(phases == 4, 1200.0, 1700.0) + offset + rng.normal(0, 20, phases.shape)
    grey[:4] = 9e4  # unsure voxels are at borders: their grey is no phase's
    return phases, sure, grey


def describe(offset: float, window: tuple[float, float] | None = None, greys: dict[str, float] | None = None) -> dict:
    made = {"greys": {"matrix": 0.7, "silicon": 0.2} if greys is None else greys}
    model = Model("network", CLASSES, GREY, {}, {}, made)
    phases, sure, grey = make_volume(offset)
    slabs = [tally_slab(phases[z : z + 2], sure[z : z + 2], grey[z : z + 2]) for z in range(0, 8, 2)]
    return describe_tally(np.sum(slabs, axis=0), model, window)


def test_a_volume_consists_of_what_was_told() -> None:
    phases, _, _ = make_volume(0)
    said = describe(0)
    assert said["missing"] == (phases == 0).sum()
    for row, code in zip(said["phases"], (1, 4), strict=True):
        assert row["fraction"] == pytest.approx((phases == code).sum() / (phases > 0).sum())
        assert row["confidence"] == pytest.approx(0.6, abs=0.01)
    assert [row["grey"] for row in said["phases"]] == pytest.approx([0.7, 0.2], abs=0.003)
    assert len(said["warnings"]) == 1 and "without a finite grey" in said["warnings"][0]


def test_phases_brighter_or_darker_than_learned_are_told() -> None:
    assert "brighter" in describe(80)["warnings"][1] and "8%" in describe(80)["warnings"][1]
    assert "darker" in describe(-80)["warnings"][1]
    assert len(describe(20)["warnings"]) == 1
    assert len(describe(80, window=(1080.0, 2080.0))["warnings"]) == 1
    assert len(describe(80, greys={})["warnings"]) == 1  # a model that does not know


def test_greys_of_classes_are_those_of_labelled_pixels() -> None:
    labels = np.zeros((32, 32), np.uint8)
    labels[:8], labels[8:12] = 1, 4
    image = np.stack([np.zeros((32, 32)), np.where(labels == 4, 1300.0, 1600.0), np.zeros((32, 32))])
    found = measure_greys([LabelledSlice("a", image, labels, "a")], make_classes([1, 4, 5]), GREY)
    assert found == pytest.approx({"class 1": 0.6, "class 4": 0.3})

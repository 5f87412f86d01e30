"""Stripes of two phases with noise: easy enough to be learned in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.segmentation import LabelledSlice, Model, TrainingSettings, find_grey_scale, make_classes

QUICK = TrainingSettings(base=4, depth=2, epochs=10, folds=2, side=48, batches=8, batch=2)


def make_volume(seed: int, shape: tuple[int, int, int] = (9, 64, 56)) -> tuple[np.ndarray, np.ndarray]:
    """Grey values of slanted layers of classes 1 and 4, the same in all planes, and the classes."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    truth = np.where(np.sin((y + 0.6 * x + 7 * seed) / 5) > 0, 4, 1).astype(np.uint8)
    grey = np.where(truth == 4, 20000, 36000) + rng.normal(0, 2500, shape) + 0 * z
    return grey.astype(np.uint16), truth


def make_slices(planes: int = 3) -> list[LabelledSlice]:
    """Four labelled slices of two volumes."""
    slices = []
    for seed in (1, 2):
        grey, truth = make_volume(seed)
        for z in (3, 6):
            image = grey[z - planes // 2 : z + planes // 2 + 1]
            slices.append(LabelledSlice(f"v{seed} z={z}", image, truth[z], f"v{seed}"))
    return slices


@pytest.fixture(scope="session")
def trained() -> Model:
    """A network that has learned the stripes."""
    import torch

    from voltome.segmentation.training import train_network

    torch.set_num_threads(1)  # tests run side by side
    slices = make_slices()
    classes = make_classes([1, 4], {1: "matrix", 4: "silicon"})
    return train_network(
        slices, classes=classes, grey=find_grey_scale([s.image for s in slices]), settings=QUICK, axis="z"
    )

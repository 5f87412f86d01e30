"""Grey values, phases and confidence of the digital twin at T0, T3 and T6, by the weights that come with voltome.

    python examples/segmentation_pictures.py segmentation.png [SEED] [SLICES.npz]

Renders one cross-section of each step of an experiment of size `paper` (50 nm voxels); a minute or two. Or takes
slices that `benchmarks/segmentation.py` has rendered.
"""

from __future__ import annotations

import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray
from train_on_twin import PLANES, cut_slice

from voltome.pipeline.segment import load_model
from voltome.segmentation import decide, open_predictor, predict_block
from voltome.twin import ElectrodeTwin, make_settings

STEPS = (0, 3, 6)
COLOURS = {1: "#8c8c8c", 2: "#e8e4d8", 4: "#c0392b", 7: "#2e86c1"}


def read_slices(seed: int, path: str | None) -> dict[int, NDArray[np.uint16]]:
    """Five neighbouring cross-sections (planes, z, x) of each step."""
    if path is None:
        twin = ElectrodeTwin(make_settings("paper", seed=seed))
        return {number: cut_slice(twin, "", number, 250).image for number in STEPS}
    with np.load(path) as found:
        names = {
            number: next(n for n in found if n.startswith(f"{number}_") and n.endswith("image")) for number in STEPS
        }
        return {number: found[name] for number, name in names.items()}


def predict(image: NDArray[np.uint16], model: Any, predictor: Any) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Phases and confidence of the middle slice."""
    volume = np.ascontiguousarray(image.swapaxes(0, 1))
    middle = slice(PLANES // 2, PLANES // 2 + 1)
    block = (slice(0, volume.shape[0]), middle, slice(0, volume.shape[2]))
    phases, sure = decide(predict_block(predictor, model, volume, block)[:, :, 0], model.codes)
    return phases, sure / np.float32(255)


def main(path: str, seed: int, slices: str | None) -> None:
    model = load_model("twin")
    predictor = open_predictor(model, threads=2)
    palette = ListedColormap([COLOURS.get(code, "white") for code in range(8)])
    figure, axes = plt.subplots(len(STEPS), 3, figsize=(10.5, 12), layout="constrained")
    for row, (number, image) in zip(axes, read_slices(seed, slices).items(), strict=True):
        phases, sure = predict(image, model, predictor)
        row[0].imshow(image[PLANES // 2], cmap="gray", vmin=12000, vmax=50000)
        row[1].imshow(palette(phases))
        row[2].imshow(sure, cmap="magma", vmin=0.5, vmax=1)
        for axis, what in zip(row, ("grey", "phases", "confidence"), strict=True):
            axis.set_title(f"T{number}, {what}", fontsize=10)
            axis.axis("off")
        row[0].plot([30, 130], [image.shape[1] - 30] * 2, "w", lw=3)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3, sys.argv[3] if len(sys.argv) > 3 else None)

"""Train the weights that come with voltome on slices of its digital twin.

    python examples/train_on_twin.py twin.safetensors [--epochs 180] [--threads 2]

Cross-sections of eight experiments (three sizes of voxel, all steps); scores and calibration come from six others. No
demo, test or table uses them but where it says so. Rendering takes about an hour of processor time, training ten
minutes. The same seed gives the same weights on the same machine, versions and number of threads.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from voltome.pipeline.model_training import calibrate_model, train_model
from voltome.segmentation import LabelledSlice, TrainingSettings
from voltome.segmentation.training import Epoch
from voltome.twin import ElectrodeTwin, make_settings, render_block
from voltome.twin.render import find_bubble

SEEDS = {"paper": (101, 102), "small": (101, 102, 103), "tiny": (101, 102, 103)}
CALIBRATED_ON = {"paper": (2,), "small": (104, 105), "tiny": (104, 105, 106)}
SLICES = {"paper": 2, "small": 3, "tiny": 5}
"""Experiments to learn from, others to judge on, and slices of each step, by size: 50, 150 and 400 nm voxels."""
PLANES = 5
NAMES = {1: "collector", 2: "matrix", 4: "silicon", 7: "bubble"}
PHASES = np.array([0, 1, 2, 2, 4, 2, 2, 7], dtype=np.uint8)
"""Class of each of the twin's phases: electrolyte, binder, reacted silicon and fibres are one matrix."""
WINDOW = (16000.0, 42000.0)
"""Grey values that are 0 and 1: silicon lies at 0.23, electrolyte at 0.76, as between percentiles of slices."""


def cut_all(seeds: dict[str, tuple[int, ...]], threads: int) -> Iterator[LabelledSlice]:
    """Slices of all these experiments."""
    for size, numbers in seeds.items():
        for seed in numbers:
            yield from cut_slices(size, seed, threads)
            print(f"{size} {seed}: rendered", flush=True)


def cut_slices(size: str, seed: int, threads: int) -> list[LabelledSlice]:
    """Slices across y of all steps of an experiment."""
    twin = ElectrodeTwin(make_settings(size, seed=seed))
    random = np.random.default_rng(seed)
    steps = [number for number, step in enumerate(twin.settings.steps) if not step.repeat]
    places = [(number, y) for number in steps for y in choose_places(twin, number, SLICES[size], random)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda place: cut_slice(twin, f"{size} {seed}", *place), places))


def choose_places(twin: ElectrodeTwin, number: int, count: int, random: np.random.Generator) -> Iterator[int]:
    """Slices at random; one of them through the bubble, where there is one."""
    _, depth, _ = twin.settings.shape
    for k in range(count):
        y = int(random.integers(PLANES, depth - PLANES))
        if k == 0 and twin.settings.steps[number].name in ("T2", "T3", "T4"):
            y = int(np.clip(round(find_bubble(twin)[1] / twin.voxel_um), PLANES, depth - PLANES - 1))
        yield y


def cut_slice(twin: ElectrodeTwin, group: str, number: int, y: int) -> LabelledSlice:
    """One slice with its neighbours, and the phases of the middle one."""
    depth, _, width = twin.settings.shape
    block = (slice(0, depth), slice(y - PLANES // 2, y + PLANES // 2 + 1), slice(0, width))
    grey, phases, _ = render_block(twin, number, block)
    name = f"{group} {twin.settings.steps[number].name} y={y}"
    labels = PHASES[phases[:, PLANES // 2]]
    image, size = np.ascontiguousarray(grey.swapaxes(0, 1)), twin.settings.voxel_size_m
    return LabelledSlice(name, image, labels, name.rpartition(" ")[0], group, size)


def tell(epoch: Epoch) -> None:
    """One line every tenth epoch."""
    if epoch.number % 10 == 0:
        print(f"stage {epoch.stage}: {epoch.number} of {epoch.epochs}, {epoch.loss:.4f}, {epoch.dice:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out")
    parser.add_argument("--epochs", type=int, default=180)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    wanted = parser.parse_args()
    train_model(
        list(cut_all(SEEDS, wanted.threads)),
        wanted.out,
        names=NAMES,
        axis="y",
        settings=TrainingSettings(epochs=wanted.epochs, folds=0),
        window=WINDOW,
        threads=wanted.threads,
        overwrite=True,
        on_epoch=tell,
    )
    others = list(cut_all(CALIBRATED_ON, wanted.threads))
    made = calibrate_model(wanted.out, others, wanted.out, threads=wanted.threads, overwrite=True)
    print(made["scores"], made["calibration"])


if __name__ == "__main__":
    main()

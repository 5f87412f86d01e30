"""Train the weights that come with voltome on slices of its digital twin.

    python examples/train_on_twin.py twin.safetensors [--epochs 300] [--threads 2]

Cross-sections of eight experiments (three sizes of voxel, all steps), and of eleven more about T3, when many grains
that react all through cross the composition at which silicon loses its contrast; scores and calibration come from six
others. No demo, test or table uses them but where it says so. Rendering takes about an hour of processor time, training
twenty minutes. The same seed gives the same weights on the same machine and versions.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from voltome.pipeline.model_training import calibrate_model, train_model
from voltome.segmentation import LabelledSlice, TrainingSettings
from voltome.segmentation.stages import Epoch
from voltome.twin import ElectrodeTwin, make_settings, render_block
from voltome.twin.configuration import StepSettings
from voltome.twin.render import find_bubble

SEEDS = {"paper": (101, 102), "small": (101, 102, 103), "tiny": (101, 102, 103)}
CALIBRATED_ON = {"paper": (2,), "small": (104, 105), "tiny": (104, 105, 106)}
SLICES = {"paper": 2, "small": 3, "tiny": 5}
"""Experiments to learn from, others to judge on, and slices of each step, by size: 50, 150 and 400 nm voxels."""
MIDWAY = {"paper": (103, 104, 105), "small": tuple(range(106, 114))}
MIDWAY_STEPS = (("T0", 20.7, 0.0), ("T2b", 24.3, 0.40), ("T3", 25.8, 0.50), ("T3b", 26.5, 0.56))
"""Experiments about T3 alone: name, thickness in micrometres and state of charge of their steps."""
PLANES = 5
NAMES = {1: "collector", 2: "matrix", 4: "silicon", 7: "bubble"}
PHASES = np.array([0, 1, 2, 2, 4, 2, 2, 7], dtype=np.uint8)
"""Class of each of the twin's phases: electrolyte, binder, reacted silicon and fibres are one matrix."""
WINDOW = (16000.0, 42000.0)
"""Grey values that are 0 and 1: silicon lies at 0.23, electrolyte at 0.76, as between percentiles of slices."""


def cut_all(seeds: dict[str, tuple[int, ...]], threads: int) -> Iterator[LabelledSlice]:
    """Slices of all steps of these experiments."""
    for size, numbers in seeds.items():
        for seed in numbers:
            yield from cut_slices(size, ElectrodeTwin(make_settings(size, seed=seed)), SLICES[size], threads)


def cut_midway(threads: int) -> Iterator[LabelledSlice]:
    """Slices of the experiments about T3, one more of each step, none of T0."""
    steps = tuple(StepSettings(name=name, thickness_m=um * 1e-6, soc=soc) for name, um, soc in MIDWAY_STEPS)
    for size, numbers in MIDWAY.items():
        for seed in numbers:
            twin = ElectrodeTwin(make_settings(size, seed=seed).model_copy(update={"steps": steps}))
            yield from cut_slices(size, twin, SLICES[size] + 1, threads, first=1)


def cut_slices(size: str, twin: ElectrodeTwin, count: int, threads: int, first: int = 0) -> list[LabelledSlice]:
    """So many slices across y of each step of an experiment from `first` on."""
    steps, seed = twin.settings.steps, twin.settings.seed
    random = np.random.default_rng(seed)
    numbers = [n for n in range(first, len(steps)) if not steps[n].repeat]
    places = [(number, y) for number in numbers for y in choose_places(twin, number, count, random)]
    with ThreadPoolExecutor(threads) as pool:
        slices = list(pool.map(lambda place: cut_slice(twin, f"{size} {seed}", *place), places))
    print(f"{size} {seed}: rendered", flush=True)
    return slices


def choose_places(twin: ElectrodeTwin, number: int, count: int, random: np.random.Generator) -> Iterator[int]:
    """Slices at random, none twice; one of them through the bubble, where there is one."""
    _, depth, _ = twin.settings.shape
    chosen: set[int] = set()
    for k in range(count):
        y = int(random.integers(PLANES, depth - PLANES))
        if k == 0 and twin.settings.steps[number].bubble_radius_m > 0:
            y = int(np.clip(round(find_bubble(twin)[1] / twin.voxel_um), PLANES, depth - PLANES - 1))
        if y not in chosen:
            yield y
        chosen.add(y)


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
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    wanted = parser.parse_args()
    train_model(
        [*cut_all(SEEDS, wanted.threads), *cut_midway(wanted.threads)],
        wanted.out,
        names=NAMES,
        axis="y",
        # Steps of four, as voxels have three sizes: by steps of one, volumes at 400 nm differ twice as much.
        settings=TrainingSettings(epochs=wanted.epochs, folds=0, batches=32, batch=4),
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

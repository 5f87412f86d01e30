"""A film of an electrode that swells on its collector, is scanned again, and shrinks by half of that."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voltome.io import read_json, write_volume
from voltome.study.executors import open_workers
from voltome.study.job import Job
from voltome.study.marks import find_marks
from voltome.study.runner import RunSummary, run_study
from voltome.study.steps import STEPS
from voltome.study.study_file import load_study

from ..alignment.foil import FACE_VOX, VOXEL_M, Foil

SHAPE = (66, 60, 64)
FOIL = Foil()
THICKNESS_M = FOIL.thickness_vox * VOXEL_M
FACE_M = FACE_VOX * VOXEL_M
SWELLING = {"T0": 0.0, "T1": 0.2, "T2": 0.2, "T3": 0.1}
DRAWINGS = ("figures", "movie", "report")
"""Steps that take long and that not every test looks at."""

STUDY = """\
voxel_size_m: 2.0e-07
scans:
  - {name: T0, volume: T0.tif, time_s: 0, soc: 0}
  - {name: T1, volume: T1.tif, time_s: 600, soc: 0.8}
  - {name: T2, volume: T2.tif, time_s: 1200, soc: 0.8, repeats: T1}
  - {name: T3, volume: T3.tif, time_s: 1800, soc: 0.4}
electrode:
  collector_side: low-z
correlation:
  node_spacing_vox: 7
  half_window_vox: 8
"""


def draw(swelling: float, seed: int, *, left_out: int = 0) -> NDArray[np.uint16]:
    """A scan of the foil whose field begins so many planes higher."""
    shape = (SHAPE[0] + left_out, *SHAPE[1:])
    grey = FOIL.draw(swelling=swelling, noise=600.0, noise_seed=seed, shape=shape)[left_out:]
    return np.clip(grey, 0, 65535).astype(np.uint16)


def write_scan(folder: Path, name: str, grey: NDArray[np.uint16]) -> None:
    write_volume(folder / f"{name}.tif", grey, voxel_size_m=VOXEL_M, overwrite=True)


def edit_study(folder: Path, old: str, new: str) -> None:
    text = (folder / "study.yaml").read_text()
    assert text.count(old) == 1
    (folder / "study.yaml").write_text(text.replace(old, new))


def run(folder: Path, store: Path, *, without: Collection[str] = (), threads: int = 2) -> RunSummary:
    """Run a study without some of its steps; nothing may fail."""
    steps = [step for step in STEPS if step.name not in without]
    with open_workers(threads=threads) as workers:
        summary = run_study(load_study(folder), store, workers, steps=steps)
    assert not summary.failed
    return summary


def read_warnings(store: Path) -> list[str]:
    warnings: list[str] = read_json(store / "electrode" / "measurements.json")["warnings"]
    return warnings


@contextmanager
def open_job(folder: Path, store: Path, step: str) -> Iterator[Job]:
    """What a step's function gets for its one result, made from what stands in the store."""
    study = load_study(folder)
    (planned,) = next(found for found in STEPS if found.name == step).plan(study)
    with open_workers(threads=1) as workers:
        work = store / "run" / "work"
        yield Job(study, store, planned.settle(find_marks(store)), "key", work, workers, threading.Event())

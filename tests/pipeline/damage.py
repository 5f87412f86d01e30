"""Copies of a filmed twin's radiographs in which something is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py

DETECTOR = "entry0000/instrument/detector"
FRAMES = f"{DETECTOR}/data"
FIRST_PROJECTION = 10  # behind five darks and five flats
ANGLES = 56


def name_radiographs(folder: Path, step: str = "T0") -> list[str]:
    """The three files of a step."""
    return [str(folder / "radiographs" / f"{step}_{number}.nx") for number in (1, 2, 3)]


def copy_radiographs(
    source: Path, target: Path, change: Callable[[h5py.File], None], *, numbers: Sequence[int] = (1,), step: str = "T0"
) -> list[str]:
    """The three files of a step in another folder, some of them changed."""
    (target / "radiographs").mkdir(parents=True, exist_ok=True)
    names = name_radiographs(target, step)
    for number, (old, new) in enumerate(zip(name_radiographs(source, step), names, strict=True), start=1):
        shutil.copy(old, new)
        if number in numbers:
            with h5py.File(new, "r+") as file:
                change(file)
    return names


def blacken(*projections: int) -> Callable[[h5py.File], None]:
    """Projections without any light."""

    def change(file: h5py.File) -> None:
        for number in projections:
            file[FRAMES][FIRST_PROJECTION + number] = 0

    return change


def forget_distance(file: h5py.File) -> None:
    """A file that does not say how far the detector was."""
    del file[f"{DETECTOR}/distance"]
    del file["entry0000/sample/propagation_distance"]

"""Labelled slices in files: folders of images and labels of the same names, or LABELS.yaml for slices in volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from voltome.errors import InputError
from voltome.grid import make_block
from voltome.segmentation.slices import LabelledSlice
from voltome.settings import SettingError, Settings, validate_settings

Span = tuple[int, int]


class SliceEntry(Settings):
    """A slice inside a volume, and the image of its labels."""

    volume: str = Field(min_length=1, description="volume that it was cut from", examples=["volumes/T0.zarr"])
    axis: Literal["z", "y", "x"] = Field(default="y", description="axis across the slice")
    index: int = Field(ge=0, description="number of the slice along that axis, from 0")
    labels: str = Field(
        min_length=1, description="labels: TIFF, .npy, OME-Zarr of one plane", examples=["labels/T0_y120.tif"]
    )
    rows: Span | None = Field(default=None, description="rows of the slice that the labels cover, half-open")
    columns: Span | None = Field(default=None, description="columns of the slice that the labels cover, half-open")


class LabelFile(Settings):
    """LABELS.yaml: which slices of which volumes are labelled."""

    slices: tuple[SliceEntry, ...] = Field(min_length=1, description="labelled slices")
    classes: dict[int, str] = Field(default_factory=dict, description="names of the classes by their code, 1 to 255")


def read_pairs(images: str | Path, labels: str | Path) -> list[LabelledSlice]:
    """Isolated images and their labels, paired by the files' names without ending.

    Parameters
    ----------
    images, labels : str or Path
        Folders.

    Returns
    -------
    list of LabelledSlice
        In the order of the names; one plane each, each a group of its own.

    Raises
    ------
    InputError
        If a folder is missing, an image has no labels or the other way round, or one cannot be read.
    """
    from voltome import io

    found = [_list_files(folder) for folder in (images, labels)]
    for here, there, where in ((found[0], found[1], labels), (found[1], found[0], images)):
        lacking = sorted(set(here) - set(there))
        if lacking:
            raise InputError(
                f"{where} holds nothing named {lacking[0]}.* ({len(lacking)} of {len(here)} names lack a partner): "
                "images and labels are paired by their names"
            )
    return [
        LabelledSlice(name, io.read_image(found[0][name])[None], _read_labels(found[1][name]), name)
        for name in sorted(found[0])
    ]


def read_label_file(path: str | Path, *, planes: int = 5) -> tuple[list[LabelledSlice], dict[int, str], str]:
    """Labelled slices of volumes, with their neighbours.

    Parameters
    ----------
    path : str or Path
        LABELS.yaml; its paths start from its own folder.
    planes : int
        Slices to cut: the labelled one in the middle; odd. Beyond the volume's faces slices are mirrored.

    Returns
    -------
    slices : list of LabelledSlice
        Those of one volume are one group.
    names : dict of int to str
        Of the classes.
    axis : str
        Across the slices.

    Raises
    ------
    InputError
        If the file, a slice or its labels break a rule; with the line.
    ResourceError
        If a file cannot be read.
    """
    from voltome import io
    from voltome.io.yaml_file import read_yaml_lines

    if planes < 1 or planes % 2 == 0:
        raise InputError(f"planes must be odd and >= 1 (got {planes}): the labelled slice is the middle one")
    try:
        said = validate_settings(LabelFile, io.read_yaml(path))
    except SettingError as error:
        place, text = error.problems[0]
        lines = read_yaml_lines(path)
        line = next(lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in lines)
        raise InputError(f"{path} line {line}: {text}") from None
    wrong = sorted(code for code in said.classes if not 1 <= code <= 255)
    if wrong:
        raise InputError(f"{path} names class {wrong[0]}: codes of classes are 1 to 255")
    axes = {entry.axis for entry in said.slices}
    if len(axes) > 1:
        raise InputError(
            f"{path} has slices across {' and '.join(sorted(axes))}: a model predicts along one axis, cut all of one"
        )
    folder = Path(path).parent
    slices = [_cut_slice(entry, folder, planes) for entry in said.slices]
    return slices, dict(said.classes), axes.pop()


def _cut_slice(entry: SliceEntry, folder: Path, planes: int) -> LabelledSlice:
    from voltome import io

    axis = "zyx".index(entry.axis)
    name = f"{entry.volume} {entry.axis}={entry.index}"
    labels = _read_labels(folder / entry.labels)
    with io.open_volume(str(folder / entry.volume)) as volume:
        size = volume.voxel_size_m
        if entry.index >= volume.shape[axis]:
            raise InputError(
                f"{entry.volume} has {volume.shape[axis]} slices along {entry.axis} (index {entry.index}): number them "
                "from 0"
            )
        across = [n for a, n in enumerate(volume.shape) if a != axis]
        spans = [span or (0, n) for span, n in zip((entry.rows, entry.columns), across, strict=True)]
        for (low, high), n, what in zip(spans, across, ("rows", "columns"), strict=True):
            if not 0 <= low < high <= n:
                raise InputError(
                    f"{what} of {name} must be [FIRST, STOP] with 0 <= FIRST < STOP <= {n} (got [{low}, {high}]): give "
                    "those that the labels cover"
                )
        first, last = max(entry.index - planes // 2, 0), min(entry.index + planes // 2, volume.shape[axis] - 1)
        low_corner = [spans[0][0], spans[1][0]]
        high_corner = [spans[0][1], spans[1][1]]
        low_corner.insert(axis, first)
        high_corner.insert(axis, last + 1)
        image = np.moveaxis(volume[make_block(low_corner, high_corner)], axis, 0)
    numbers = np.arange(entry.index - planes // 2, entry.index + planes // 2 + 1) - first
    numbers = np.pad(np.arange(len(image)), planes, mode="symmetric")[numbers + planes]
    return LabelledSlice(name, np.ascontiguousarray(image[numbers]), labels, entry.volume, voxel_size_m=size)


def _list_files(folder: str | Path) -> dict[str, Path]:
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"{folder} is not a folder: give a folder of images")
    files: dict[str, Path] = {}
    for path in sorted(place.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            if path.stem in files:
                raise InputError(f"{folder} holds two files named {path.stem}.*: keep one")
            files[path.stem] = path
    if not files:
        raise InputError(f"{folder} holds no file: give a folder of images")
    return files


def _read_labels(path: Path) -> NDArray[np.uint8]:
    from voltome import io

    try:
        labels: NDArray[Any] = io.read_image(path)
    except InputError as error:
        if "colours" in str(error):
            raise InputError(
                f"labels must be class codes, one number a pixel ({path} holds colours): write 1, 2, ... for them"
            ) from None
        raise
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
        raise InputError(f"labels must be whole numbers ({path} holds {labels.dtype}): save class codes, not colours")
    if labels.min() < 0 or labels.max() > 255:
        raise InputError(
            f"labels must be 0 to 255 ({path} holds {labels.min():g} to {labels.max():g}): 0 is not labelled, classes "
            "count from 1"
        )
    return labels.astype(np.uint8)

"""Radiographs in folders of EDF files: ESRF's ID16A and ID16B before 2022, and its parallel beam lines.

A folder `name_1_` holds `name_1_0000.edf` and so on (`TOMO_N` of them; what follows are alignment frames), the flats
`ref0000_0500.edf` (number of the flat, of the projection before which it was taken) or their median `refHST0500.edf`,
the mean dark `dark.edf` or the sum of `DARK_N` of them `darkend0000.edf`, and `name_1_.info`. The folders of one
holotomographic scan are called `name_1_`, `name_2_` ...
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION, UNUSED
from voltome.io.frame_reader import FrameReader
from voltome.io.natural_order import natural_key
from voltome.io.scan_facts import ScanFacts

_SILENT = logging.NullHandler()  # what fabio says of a short file on standard error, we say
_MEMBER = re.compile(r"(.*_)\d+_")


@dataclass(frozen=True)
class _Frame:
    path: Path
    kind: int
    number: int
    """Of the projection, or of the one before which a flat was taken."""
    factor: float = 1.0


class EdfFrames(FrameReader):
    """Frames that are one file each; they need not all exist.

    Parameters
    ----------
    name : str
    paths : sequence of Path
    factors : (n,) float
        What each frame is multiplied with; those other than 1 make a part float32.
    shape : tuple of int
        Rows, columns.
    dtype : numpy.dtype
    """

    def __init__(
        self, name: str, paths: Sequence[Path], factors: Sequence[float], shape: tuple[int, int], dtype: np.dtype[Any]
    ) -> None:
        super().__init__(name, (len(paths), *shape), dtype)
        self._paths, self._factors = tuple(paths), tuple(factors)

    def read_run(self, start: int, stop: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of the frames start ... stop - 1."""
        return np.stack([self._read_frame(i)[rows, columns] for i in range(start, stop)])

    def _read_frame(self, i: int) -> NDArray[Any]:
        values = read_edf(self._paths[i])
        if values.shape != self.shape[1:]:
            raise OSError(f"{self._paths[i]} is {values.shape}, the others are {self.shape[1:]}")
        return values if self._factors[i] == 1 else np.multiply(values, self._factors[i], dtype=np.float32)


def read_edf(path: Path) -> NDArray[Any]:
    """The image of an EDF file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    (rows, columns) array

    Raises
    ------
    OSError
        If it is missing, damaged or cut short.
    """
    from fabio.edfimage import EdfImage

    logging.getLogger("fabio").addHandler(_SILENT)
    path.stat()  # fabio says less about a file that is missing
    try:
        image = EdfImage().read(str(path))
        values: NDArray[Any] = np.asarray(image.data)
    except Exception as error:  # a header full of garbage raises anything
        raise OSError(f"{path} is damaged ({error})") from error
    if image.incomplete_file or values.ndim != 2:
        raise OSError(f"{path} is cut short")
    return values


def find_family(path: Path) -> list[Path]:
    """Folders of the scan that a name means.

    Parameters
    ----------
    path : Path
        One of `name_1_`, `name_2_` ..., or what they share, `name_`; or a folder by itself.

    Returns
    -------
    list of Path
        In the order of the distances; empty where there are none.
    """
    member = _MEMBER.fullmatch(path.name)
    if path.is_dir() and not member:
        return [path] if _list_projections(path) else []
    prefix = member.group(1) if member else path.name
    if not path.parent.is_dir():
        return []
    pattern = re.compile(re.escape(prefix) + r"\d+_")
    folders = [folder for folder in path.parent.iterdir() if pattern.fullmatch(folder.name) and folder.is_dir()]
    return sorted((folder for folder in folders if _list_projections(folder)), key=lambda f: natural_key(f.name))


def read_edf_folder(folder: Path) -> ScanFacts:
    """What a folder says; of the frames, one is read.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    ScanFacts
        Projections that are missing are there as frames that cannot be read. The beam current is not known: it stands
        in thousands of headers.

    Raises
    ------
    InputError
        If there are no projections, more than 1 % of them are missing, or none can be read.
    """
    info = _read_info(folder / f"{folder.name}.info")
    found = _list_projections(folder)
    if not found:
        raise InputError(f"{folder} has no frames {folder.name}0000.edf ...: give another folder")
    count = int(info.get("tomo_n", len(found)))
    lost = sum(number not in found for number in range(count))
    if count < 1 or lost > 0.01 * count:
        raise InputError(f"at most 1 % of the projections may be missing ({folder} lacks {lost} of {count}): copy them")
    frames = _list_darks(folder, info)
    numbers = {number: folder / f"{folder.name}{number:04d}.edf" for number in range(count)} | found
    projections = [
        _Frame(path, PROJECTION if number < count else UNUSED, number) for number, path in sorted(numbers.items())
    ]
    # A flat comes before the projection whose number it carries.
    frames += sorted(_list_flats(folder) + projections, key=lambda f: (f.number, f.kind != FLAT))
    step = math.radians(info["scanrange"]) / count if "scanrange" in info else math.nan
    sample = _read_any(found)
    return ScanFacts(
        str(folder),
        EdfFrames(str(folder), [f.path for f in frames], [f.factor for f in frames], sample.shape, sample.dtype),
        np.array([frame.kind for frame in frames], dtype=np.uint8),
        np.array([frame.number for frame in frames]) * step,
        energy_kev=info.get("energy"),
        sample_detector_m=_scale(info.get("distance"), 1e-3),
        pixel_m=_scale(info.get("pixelsize"), 1e-6),
        pixel_at="unsaid",
    )


def _read_info(path: Path) -> dict[str, float]:
    """Numbers of an .info file by their names in lower case without underscores but in TOMO_N and its like."""
    if not path.is_file():
        return {}
    values: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, text = line.partition("#")[0].partition("=")
        try:
            values[key.strip().lower().replace("pixel_size", "pixelsize")] = float(text)
        except ValueError:
            continue
    return values


def _scale(value: float | None, factor: float) -> float | None:
    return None if value is None else float(f"{value * factor:.12g}")


def _list_projections(folder: Path) -> dict[int, Path]:
    return {number: path for (number,), path in _match(folder, re.escape(folder.name) + r"(\d{4,})\.edf")}


def _list_flats(folder: Path) -> list[_Frame]:
    """Each flat by itself where they were kept (they tell how flats vary), else medians."""
    flats = [_Frame(path, FLAT, number) for (_, number), path in _match(folder, r"ref(\d+)_(\d+)\.edf")]
    return flats or [_Frame(path, FLAT, number) for (number,), path in _match(folder, r"refHST(\d+)\.edf")]


def _list_darks(folder: Path, info: dict[str, float]) -> list[_Frame]:
    darks = [_Frame(path, DARK, 0) for _, path in _match(folder, r"dark(?:HST)?\d*\.edf")]
    sums = [
        _Frame(path, DARK, 0, 1 / max(1.0, info.get("dark_n", 1.0))) for _, path in _match(folder, r"darkend\d*\.edf")
    ]
    return darks or sums


def _match(folder: Path, pattern: str) -> list[tuple[tuple[int, ...], Path]]:
    found = [(match, path) for path in folder.iterdir() if (match := re.fullmatch(pattern, path.name))]
    return sorted((tuple(int(text) for text in match.groups()), path) for match, path in found)


def _read_any(paths: dict[int, Path]) -> NDArray[Any]:
    for path in list(paths.values())[:10]:
        try:
            return read_edf(path)
        except OSError as error:
            trouble = error
    raise InputError(f"none of the first frames can be read ({trouble}): copy the folder again")

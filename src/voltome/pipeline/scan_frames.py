"""The frames of a scan, corrected and brought to one pixel: what all steps of a reconstruction read."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.frames import FLAT, PROJECTION, HolotomographyScan
from voltome.pipeline.reconstruction_settings import ReconstructionSettings

if TYPE_CHECKING:
    from voltome.io import RadiographFiles
    from voltome.radiographs import FlatField

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_DYNAMIC_FLATS = 8


def name_files(names: Sequence[str], settings: ReconstructionSettings) -> RadiographFiles:
    """The files of a scan, with what the settings add to them.

    Parameters
    ----------
    names : sequence of str
        As `voltome.io.open_scan_files` takes them.
    settings : ReconstructionSettings

    Returns
    -------
    RadiographFiles
    """
    from voltome import io

    distances = None
    if settings.distances is not None:
        distances = tuple((one.source_sample_m or math.inf, one.sample_detector_m) for one in settings.distances)
    angles = settings.angle_range_deg
    return io.RadiographFiles(
        tuple(names),
        energy_kev=settings.energy_kev,
        detector_pixel_m=settings.detector_pixel_m,
        distances_m=distances,
        angle_range_rad=None if angles is None else (math.radians(angles[0]), math.radians(angles[1])),
    )


@dataclass(frozen=True)
class Corrections:
    """What was found out about a scan before its phases are worked out.

    Parameters
    ----------
    replacements : tuple of dict
        For each distance: corrupt frame to those that stand in for it, with weights.
    shifts_px : (distances, angles, 2) float64
        Along rows and columns against the first distance, in its pixels.
    screen : (3,) float64
        Row and width of an opaque edge, and 1 if what lies above it is dark, -1 if what lies below; NaN: there is none.
    """

    replacements: tuple[Mapping[int, tuple[tuple[int, float], ...]], ...]
    shifts_px: Floats
    screen: Floats

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """The same as plain arrays, for a file.

        Returns
        -------
        dict
            `replacements`: (n, 4) rows of distance, frame, other frame, weight; `shifts_px`; `screen`.
        """
        rows = [
            (k, number, other, weight)
            for k, found in enumerate(self.replacements)
            for number, parts in found.items()
            for other, weight in parts
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, 4)
        return {"replacements": table, "shifts_px": self.shifts_px, "screen": self.screen}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Corrections:
        """From plain arrays.

        Parameters
        ----------
        arrays : mapping
            As `as_arrays` gives them.

        Returns
        -------
        Corrections
        """
        return cls(
            read_replacements(arrays["replacements"], len(arrays["shifts_px"])),
            arrays["shifts_px"],
            arrays["screen"],
        )


def read_replacements(table: Floats, distances: int) -> tuple[dict[int, tuple[tuple[int, float], ...]], ...]:
    """Corrupt frames and what stands in for them, from rows of distance, frame, other frame, weight.

    Parameters
    ----------
    table : (n, 4) float64
    distances : int

    Returns
    -------
    tuple of dict
        For each distance.
    """
    found: tuple[dict[int, tuple[tuple[int, float], ...]], ...] = tuple({} for _ in range(distances))
    for k, number, other, weight in table:
        parts = found[int(k)].get(int(number), ())
        found[int(k)][int(number)] = (*parts, (int(other), float(weight)))
    return found


class OpenScan:
    """A scan whose files are open and whose flats are known; threads may share it.

    Parameters
    ----------
    files : RadiographFiles
    settings : ReconstructionSettings
    replacements : tuple of dict
        As of `Corrections`.
    """

    def __init__(
        self,
        files: RadiographFiles,
        settings: ReconstructionSettings,
        replacements: tuple[Mapping[int, tuple[tuple[int, float], ...]], ...],
    ) -> None:
        from voltome.radiographs import FlatField

        self._stack = ExitStack()
        self.settings = settings
        self.scan: HolotomographyScan = self._stack.enter_context(files.open())
        self.numbers = [one.find(PROJECTION) for one in self.scan.distances]
        self.fields: list[FlatField] = []
        for one, found in zip(self.scan.distances, replacements, strict=True):
            many = len(one.find(FLAT)) >= _DYNAMIC_FLATS
            mode = settings.flats or ("dynamic" if many else "interpolated")
            self.fields.append(FlatField.fit(one, mode=mode, replacements=found))
        self.angles_rad = self.scan.distances[0].angles_rad[self.numbers[0]]
        self.frame_shape = self.scan.distances[0].frame_shape

    def read(self, angle: int, distance: int, *, rows: slice = slice(None)) -> Singles:
        """Transmission of one projection on its own detector.

        Parameters
        ----------
        angle : int
            Number among the projections.
        distance : int
        rows : slice

        Returns
        -------
        (rows, columns) float32
        """
        number = self.numbers[distance][[angle]]
        return np.asarray(self.fields[distance].correct(number, rows=rows)[0])

    def rescale(self, frame: Singles, distance: int, shift_px: Floats | tuple[float, float] = (0.0, 0.0)) -> Singles:
        """A frame on the pixels of the first distance.

        Parameters
        ----------
        frame : (rows, columns) float32
        distance : int
        shift_px : two floats
            What it is displaced by, rows and columns of the first distance; it is brought back.

        Returns
        -------
        (rows, columns) float32
        """
        from voltome.radiographs import Resampler

        first, own = self.scan.distances[0].geometry, self.scan.distances[distance].geometry
        psf = self.settings.detector_psf_px
        if distance == 0 and psf is None and not np.any(shift_px):
            return frame
        pixels = (1.0, 1.0) if first is None or own is None else (own.pixel_m, first.pixel_m)
        shift = (float(shift_px[0]), float(shift_px[1]))
        return Resampler(self.frame_shape, pixels[0], self.frame_shape, pixels[1], shift_px=shift, psf_px=psf).apply(
            frame
        )

    def read_registered(self, angle: int, shifts_px: Floats) -> Singles:
        """One projection at all distances, on the pixels of the first and registered to it.

        Parameters
        ----------
        angle : int
        shifts_px : (distances, angles, 2) float64

        Returns
        -------
        (distances, rows, columns) float32
        """
        count = len(self.scan.distances)
        return np.stack([self.rescale(self.read(angle, k), k, shifts_px[k, angle]) for k in range(count)])

    def close(self) -> None:
        """Close the files.

        Returns
        -------
        None
            Frames cannot be read any more.
        """
        self._stack.close()


_LOCK = threading.Lock()


def share_scan(files: RadiographFiles, settings: ReconstructionSettings, table: NDArray[np.float64]) -> OpenScan:
    """The open scan that all threads of this process share, opened when it is first asked for.

    Parameters
    ----------
    files : RadiographFiles
    settings : ReconstructionSettings
    table : (n, 4) float64
        Corrupt frames, as `Corrections.as_arrays` gives them.

    Returns
    -------
    OpenScan
    """
    with _LOCK:
        return _open_once(files, settings, tuple(map(tuple, table.tolist())))


@lru_cache(maxsize=1)
def _open_once(
    files: RadiographFiles, settings: ReconstructionSettings, table: tuple[tuple[float, ...], ...]
) -> OpenScan:
    with files.open() as scan:
        count = len(scan.distances)
    rows = np.array(table, dtype=np.float64).reshape(-1, 4)
    return OpenScan(files, settings, read_replacements(rows, count))


def forget_scan() -> None:
    """Let the shared scan go: its flats take memory, its files stay open.

    Returns
    -------
    None
        Whoever still works with it keeps it.
    """
    with _LOCK:
        _open_once.cache_clear()

"""The flat field: from grey values to transmission."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION, DistanceScan
from voltome.radiographs.defects import REACH_PX, Defects, find_defects, plan_repair, repair_pixels
from voltome.radiographs.dynamic_flats import DynamicFlats, find_eigenflats
from voltome.radiographs.flat_frames import Light, average_frames, read_frames
from voltome.radiographs.moving_light import MovingLight, find_moving_light

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

MODES = ("interpolated", "dynamic")
_UNLIT_SHARE = 1e-3
_FEW_FLATS = 5


class FlatField:
    """Dark, flats and defects of one distance, and the transmission of its frames.

    Transmission is (I - dark) / (current x flat). Flats taken together are one mean, without each pixel's largest
    and smallest value where there are three or more; between groups flats go linearly with the frame's number. In
    mode `dynamic` the light's pattern is found where it lies in each frame (`moving_light`), and what of the
    illumination has changed beside is fitted to it (`dynamic_flats`).

    Parameters
    ----------
    scan : DistanceScan
    dark : (rows, columns) float32
    flats : (g, rows, columns) float32
        Mean of each group less the dark, at the current's median; without the pattern that moves.
    places : (g,) float64
        Mean frame number of each group, rising.
    defects : Defects
    gain : (n,) float64
        Current of each frame over the median of the flats'; 1 where it is not known.
    dynamic : DynamicFlats or None
    expected : (g, k) float64
        Mean coefficients of each group.
    moving : MovingLight or None
    replacements : mapping
        Corrupt frame -> ((frame, weight), ...) that stand in.
    ratio : (rows, columns) float32 or None
        A response fixed to the detector that flats do not show; transmissions are divided by it.
    floor : float
        Least transmission: noise behind metal must not be negative.
    """

    def __init__(
        self,
        scan: DistanceScan,
        dark: Singles,
        flats: Singles,
        places: Floats,
        *,
        defects: Defects,
        gain: Floats,
        dynamic: DynamicFlats | None = None,
        expected: Floats | None = None,
        moving: MovingLight | None = None,
        replacements: Mapping[int, tuple[tuple[int, float], ...]] | None = None,
        ratio: Singles | None = None,
        floor: float = 1e-4,
    ) -> None:
        self.scan = scan
        self.dark = dark
        self.flats = flats
        self.places = places
        self.defects = defects
        self.gain = gain
        self.dynamic = dynamic
        self.expected = expected if expected is not None else np.zeros((len(places), 0))
        self.moving = moving
        self.replacements = dict(replacements or {})
        self.ratio = ratio
        self.floor = floor
        light = flats.min(axis=0)
        self.unlit = light <= _UNLIT_SHARE * np.median(light)
        self._adapted: dict[int, tuple[Floats, Floats]] = {}

    @classmethod
    def fit(
        cls,
        scan: DistanceScan,
        *,
        mode: str = "interpolated",
        dark: float | Singles | None = None,
        defects: Defects | None = None,
        skip: NDArray[np.int64] | None = None,
        replacements: Mapping[int, tuple[tuple[int, float], ...]] | None = None,
        ratio: Singles | None = None,
        floor: float = 1e-4,
    ) -> FlatField:
        """Flat field of a scan: mean dark, flats by groups, defective pixels, eigenflats.

        Frames are read one at a time, flats four times in mode `dynamic`.

        Parameters
        ----------
        scan : DistanceScan
        mode : {"interpolated", "dynamic"}
        dark : float or (rows, columns) float32, optional
            In place of dark frames.
        defects : Defects, optional
            By default those that `find_defects` finds.
        skip : (m,) int64, optional
            Numbers of flats and darks not to use.
        replacements : mapping, optional
            From `find_replacements`: corrupt frame -> ((frame, weight), ...).
        ratio : (rows, columns) float32, optional
            A response fixed to the detector that flats do not show; transmissions are divided by it.
        floor : float
            Least transmission.

        Returns
        -------
        FlatField

        Raises
        ------
        InputError
            If flats or darks are missing, the current is not positive, an option is unknown, too many pixels are
            defective, or there are too few flats for mode `dynamic`.
        """
        if mode not in MODES:
            raise InputError(f"mode must be one of {', '.join(MODES)} (got {mode!r}): choose one")
        if not 0 < floor < 1:
            raise InputError(f"floor must be > 0 and < 1 (got {floor}): 1e-4 is usual")
        _check_shape("ratio", ratio, scan)
        skip = _add_unreadable(scan, skip)
        groups = _find_groups(scan, skip)
        gain = _find_gain(scan, groups)
        level = _find_dark(scan, dark, skip)
        if defects is not None and defects.shape != scan.frame_shape:
            raise InputError(
                f"defects must have the frame's shape {scan.frame_shape} (got {defects.shape}): mask whole frames"
            )
        sizes = np.array([group.size for group in groups], dtype=np.float64)
        light = Light(scan, level, gain)
        flats, scatter = light.average(groups)
        mean = np.average(flats, axis=0, weights=sizes).astype(np.float32)
        if not np.median(mean) > 0:
            raise InputError(
                f"{scan.name}: flats must be brighter than darks (median difference {np.median(mean):.3g}): "
                "check the image keys"
            )
        if defects is None:
            scatter_known = sizes.max() >= _FEW_FLATS
            defects = find_defects(level, mean, flat_sd=np.sqrt(scatter) if scatter_known else None)
        moving, dynamic, expected = None, None, None
        if mode == "dynamic":
            repair_pixels(flats, defects)
            moving = find_moving_light(flats)
            light = Light(scan, level, gain, moving)
            flats, _ = light.average(groups)
            dynamic, expected = _find_dynamic(
                light, groups, np.average(flats, axis=0, weights=sizes).astype(np.float32)
            )
        return cls(
            scan,
            level,
            flats,
            np.array([group.mean() for group in groups]),
            defects=defects,
            gain=gain,
            dynamic=dynamic,
            expected=expected,
            moving=moving,
            replacements=replacements,
            ratio=ratio,
            floor=floor,
        )

    def correct(self, numbers: NDArray[np.int64], *, rows: slice = slice(None), cols: slice = slice(None)) -> Singles:
        """Transmission of frames, defects filled from their neighbours.

        Parameters
        ----------
        numbers : (n,) int64
            Of frames; corrupt ones are made of those that stand in.
        rows, cols : slice
            Part of the frame, step 1. The result does not depend on how a frame is cut.

        Returns
        -------
        (n, rows, columns) float32
            At least `floor`; 1 where the flat has no light (`unlit`).

        Raises
        ------
        InputError
            If a number is no frame's, or the part is empty.
        """
        window = _Window.cut(self.defects, rows, cols)
        out = np.empty((len(numbers), *window.shape), dtype=np.float32)
        for target, number in zip(out, numbers, strict=True):
            if not 0 <= number < len(self.scan.kinds):
                raise InputError(
                    f"frame numbers must be >= 0 and < {len(self.scan.kinds)} (got {number}): take them from the scan"
                )
            parts = self.replacements.get(int(number), ((int(number), 1.0),))
            target[:] = 0
            for part, weight in parts:
                target += np.float32(weight) * self._transmit(part, window)
        return out

    def _transmit(self, number: int, window: _Window) -> Singles:
        """Transmission of one frame that is not corrupt."""
        part = window.outer
        light = np.asarray(self.scan.frames[number, part[0], part[1]]).astype(np.float32)
        light -= self.dark[part]
        low, share = self._find_group(number)
        flat = self.flats[low][part]
        if share:
            flat = np.float32(1 - share) * flat
            flat += np.float32(share) * self.flats[low + 1][part]
        unlit = self.unlit[part]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            light /= flat
        factor = np.float32(1.0 / self.gain[number])
        excess = self._find_excess(number, part)
        if excess is not None:
            light *= np.exp(-excess) * factor
        elif factor != 1:
            light *= factor
        light[unlit] = 1.0
        if self.ratio is not None:
            light /= self.ratio[part]
        repair_pixels(light, window.defects)
        if not np.isfinite(light.sum()):
            broken = ~np.isfinite(light)
            repair_pixels(light, plan_repair(broken))
        light = light[window.inner]
        return np.maximum(light, np.float32(self.floor), out=light)

    def adapt(self, number: int) -> tuple[Floats, Floats]:
        """How the light of a frame departs from the flats; found once from the whole frame, then kept.

        Parameters
        ----------
        number : int

        Returns
        -------
        shift_px : (2,) float64
            Of the pattern that moves, rows and columns, against where `moving` has it.
        coefficients : (k,) float64
            Of the eigenflats, in units of the flats' own scatter. Empty in mode `interpolated`.
        """
        if number not in self._adapted:
            shift, found = np.zeros(2), self._expect(number)
            if self.moving is not None or found.size:
                whole = slice(0, self.scan.frame_shape[0]), slice(0, self.scan.frame_shape[1])
                light = np.asarray(self.scan.frames[number, whole[0], whole[1]]) - self.dark
                if self.moving is not None:
                    shift = self.moving.find_shift(light, *self._find_group(number))
                if self.dynamic is not None and found.size:
                    if self.moving is not None:
                        light *= np.exp(-self.moving.sample(shift, *whole))
                    found = self.dynamic.fit_frame(light, found)
            self._adapted[number] = shift, found
        return self._adapted[number]

    def _find_excess(self, number: int, part: tuple[slice, slice]) -> Singles | None:
        """Logarithm of a frame's light over the flats, in a part of the frame; None if there is nothing to it."""
        if self.moving is None and (self.dynamic is None or not len(self.dynamic.eigenflats)):
            return None
        shift, found = self.adapt(number)
        excess = np.float32(0) if self.moving is None else self.moving.sample(shift, *part)
        if self.dynamic is not None and found.size:
            step = (found - self._expect(number)).astype(np.float32)
            excess = excess + np.tensordot(step, self.dynamic.eigenflats[:, part[0], part[1]], 1)
        return np.asarray(excess)

    def _find_group(self, number: int) -> tuple[int, float]:
        """The group of flats before a frame and the share of the next one."""
        low = int(np.clip(np.searchsorted(self.places, number, side="right") - 1, 0, max(0, len(self.places) - 2)))
        if len(self.places) == 1:
            return 0, 0.0
        return low, float(np.clip((number - self.places[low]) / (self.places[low + 1] - self.places[low]), 0, 1))

    def _expect(self, number: int) -> Floats:
        low, share = self._find_group(number)
        after = min(low + 1, len(self.expected) - 1)
        out: Floats = (1 - share) * self.expected[low] + share * self.expected[after]
        return out


@dataclass(frozen=True, eq=False)
class _Window:
    """A part of the frame, and the larger part that is read so that its defects find their neighbours."""

    outer: tuple[slice, slice]
    inner: tuple[slice, slice]
    shape: tuple[int, int]
    defects: Defects = field(repr=False)

    @classmethod
    def cut(cls, defects: Defects, rows: slice, cols: slice) -> _Window:
        spans = [
            _resolve(part, n, name) for part, n, name in zip((rows, cols), defects.shape, ("rows", "cols"), strict=True)
        ]
        halo = REACH_PX if defects.pixels.size else 0
        wide = [(max(0, a - halo), min(n, b + halo)) for (a, b), n in zip(spans, defects.shape, strict=True)]
        outer = slice(*wide[0]), slice(*wide[1])
        inner = [slice(a - low, b - low) for (a, b), (low, _) in zip(spans, wide, strict=True)]
        whole = all(high - low == n for (low, high), n in zip(wide, defects.shape, strict=True))
        part = defects if whole else defects.crop(*outer)
        return cls(outer, (inner[0], inner[1]), (spans[0][1] - spans[0][0], spans[1][1] - spans[1][0]), part)


def _resolve(part: slice, count: int, name: str) -> tuple[int, int]:
    start, stop, step = part.indices(count)
    if step != 1 or stop <= start:
        raise InputError(f"{name} must be a slice with step 1 that is not empty (got {part} of {count}): widen it")
    return start, stop


def _check_shape(name: str, image: Singles | None, scan: DistanceScan) -> None:
    if image is not None and image.shape != scan.frame_shape:
        raise InputError(
            f"{name} must have the frame's shape {scan.frame_shape} (got {image.shape}): give whole frames"
        )


def _add_unreadable(scan: DistanceScan, skip: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Flats and darks not to use, with those that have no value in their middle row: they cannot be read."""
    middle, columns = scan.frame_shape[0] // 2, slice(0, scan.frame_shape[1])
    numbers = np.concatenate([scan.find(FLAT), scan.find(DARK)])
    lost = [n for n in numbers if not np.isfinite(scan.frames[int(n), slice(middle, middle + 1), columns]).any()]
    return np.union1d(np.array(lost, dtype=np.int64), () if skip is None else skip).astype(np.int64)


def _find_groups(scan: DistanceScan, skip: NDArray[np.int64] | None) -> list[NDArray[np.int64]]:
    """Flats with no projection between them."""
    flats = scan.find(FLAT)
    if skip is not None:
        flats = np.setdiff1d(flats, skip)
    if not flats.size:
        raise InputError(
            f"{scan.name}: a scan must have flats that can be read (got none): add them, or check the image keys"
        )
    before = np.searchsorted(scan.find(PROJECTION), flats)
    cuts = np.flatnonzero(np.diff(before)) + 1
    return list(np.split(flats, cuts))


def _find_gain(scan: DistanceScan, groups: list[NDArray[np.int64]]) -> Floats:
    if scan.current is None:
        return np.ones(len(scan.kinds))
    used = np.concatenate([scan.find(PROJECTION), *groups])
    bad = used[~(np.isfinite(scan.current[used]) & (scan.current[used] > 0))]
    if bad.size:
        raise InputError(
            f"{scan.name}: the beam current must be > 0 (got {scan.current[bad[0]]} at frame {bad[0]}, "
            f"{bad.size} such frames): correct it, or leave the current out"
        )
    gain: Floats = scan.current / np.median(scan.current[np.concatenate(groups)])
    return np.where(np.isin(np.arange(gain.size), used), gain, 1.0)


def _find_dark(scan: DistanceScan, dark: float | Singles | None, skip: NDArray[np.int64] | None) -> Singles:
    if isinstance(dark, np.ndarray):
        _check_shape("dark", dark, scan)
        return dark.astype(np.float32)
    if dark is not None:
        return np.full(scan.frame_shape, dark, dtype=np.float32)
    numbers = scan.find(DARK)
    if skip is not None:
        numbers = np.setdiff1d(numbers, skip)
    if not numbers.size:
        raise InputError(
            f"{scan.name}: a scan must have darks that can be read (got none): add them, or give the dark level"
        )
    return average_frames(read_frames(scan, numbers))[0]


def _find_dynamic(light: Light, groups: list[NDArray[np.int64]], mean: Singles) -> tuple[DynamicFlats, Floats]:
    """Eigenflats, and the mean coefficients of each group."""
    dynamic = find_eigenflats(light.read_all(groups), light.read_all(groups), mean)
    ends = np.cumsum([group.size for group in groups])[:-1]
    expected = np.stack([part.mean(axis=0) for part in np.split(dynamic.coefficients, ends)])
    return dynamic, expected

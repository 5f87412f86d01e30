"""A holotomographic scan from its files: one distance each, or several in one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from voltome.errors import InputError, ResourceError
from voltome.frames import DARK, FLAT, PROJECTION, UNUSED, DistanceScan, HolotomographyScan
from voltome.io.dxchange import is_dxchange, read_dxchange
from voltome.io.edf_folder import find_family, read_edf_folder
from voltome.io.nexus_field import open_hdf5_file
from voltome.io.nxtomo import find_nxtomo_entries, is_hdf5_name, read_nxtomo
from voltome.io.plausibility import check_angles, check_distances, check_energy, check_pixel, usual_step
from voltome.io.scan_facts import ScanFacts
from voltome.io.volumes import split_name
from voltome.optics import Geometry, find_wavelength

if TYPE_CHECKING:
    import h5py

_NAMES = {PROJECTION: "projections", FLAT: "flats", DARK: "darks"}
_SAME = 1e-3


@dataclass(frozen=True)
class RadiographFiles:
    """The files of a scan and what they lack, said so shortly that it can be sent to a worker.

    Parameters
    ----------
    names : tuple of str
        As `open_scan_files` takes them.
    energy_kev : float or None
    detector_pixel_m : float or None
    distances_m : tuple of (float, float) or None
        Source to sample and sample to detector, for each distance; infinite for a parallel beam.
    angle_range_rad : (float, float) or None
        Angles of the first and the last projection.
    """

    names: tuple[str, ...]
    energy_kev: float | None = None
    detector_pixel_m: float | None = None
    distances_m: tuple[tuple[float, float], ...] | None = None
    angle_range_rad: tuple[float, float] | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[HolotomographyScan]:
        """The scan while the block runs; frames are read when they are asked for.

        Yields
        ------
        HolotomographyScan

        Raises
        ------
        InputError, ResourceError
            As `open_scan_files`.
        """
        with contextlib.ExitStack() as stack:
            try:
                facts = [found for name in self.names for found in _read_facts(name, stack, alone=len(self.names) == 1)]
            except OSError as error:
                if isinstance(error, ResourceError):
                    raise
                path = error.filename or self.names[0]
                raise ResourceError(
                    f"{path} could not be read ({error.strerror or error}): check its permissions"
                ) from error
            if not facts:
                raise InputError("a scan must have at least one file (got none): give its names")
            yield _complete_scan(facts, self)


def open_scan_files(
    names: Sequence[str | Path],
    *,
    energy_kev: float | None = None,
    detector_pixel_m: float | None = None,
    distances_m: Sequence[tuple[float, float]] | None = None,
    angle_range_rad: tuple[float, float] | None = None,
) -> contextlib.AbstractContextManager[HolotomographyScan]:
    """Open the radiographs of a scan at one or several distances.

    Parameters
    ----------
    names : sequence of str or Path
        For each distance an NXtomo file (``file.nx``, or ``file.nx::/entry`` where one of its entries is meant; all of
        them are distances otherwise), a Data Exchange HDF5 file, or a folder of EDF files. A single folder
        ``name_1_``, or ``name_``, means all the folders ``name_1_``, ``name_2_`` ... beside it. All distances are
        registered to the first.
    energy_kev, detector_pixel_m : float, optional
        Win over what the files say.
    distances_m : sequence of (float, float), optional
        Source to sample and sample to detector of each distance, win over what the files say. A file without source is
        taken for a parallel beam.
    angle_range_rad : (float, float), optional
        Angles of the first and the last projection, the others evenly between: wins over what the files say.

    Returns
    -------
    context manager of HolotomographyScan
        A distance whose energy, pixel or length is not known has no geometry. Frames that cannot be read come back as
        NaN. Projections whose angle is not finite (at most 1 %) are UNUSED at all distances.

    Raises
    ------
    InputError
        If a file is missing, unknown, damaged or cut short; there are no projections, flats or darks; image keys do not
        fit the frames; more than 1 % of the angles are missing or repeat another one; an energy or length is not
        plausible (the likely unit is named); or distances differ in frames' shape, projections or angles.
    ResourceError
        If there is no permission to read.
    """
    return RadiographFiles(
        tuple(str(name) for name in names),
        energy_kev,
        detector_pixel_m,
        None if distances_m is None else tuple((float(source), float(detector)) for source, detector in distances_m),
        angle_range_rad,
    ).open()


def holds_radiographs(name: str | Path) -> bool:
    """Whether a name means radiographs rather than a volume.

    Parameters
    ----------
    name : str or Path

    Returns
    -------
    bool
        False as well where nothing of that name can be read.
    """
    path, inner = split_name(name)
    try:
        if not path.is_file():
            return inner is None and bool(find_family(path))
        if not is_hdf5_name(path):
            return False
        with open_hdf5_file(path) as file:
            entries = find_nxtomo_entries(file)
            return (is_dxchange(file) or bool(entries)) if inner is None else f"/{inner.strip('/')}" in entries
    except (OSError, InputError):
        return False


def _read_facts(name: str, stack: contextlib.ExitStack, *, alone: bool) -> list[ScanFacts]:
    path, inner = split_name(name)
    if path.is_file():
        file: h5py.File = stack.enter_context(open_hdf5_file(path))
        if inner is None and is_dxchange(file):
            return [read_dxchange(file)]
        entries = find_nxtomo_entries(file) if inner is None else [f"/{inner.strip('/')}"]
        if not entries:
            raise InputError(f"{path} holds no radiographs (NXtomo or Data Exchange): give another file")
        return [read_nxtomo(file, entry) for entry in entries]
    folders = find_family(path) if alone or not path.is_dir() else [path]
    if not folders:
        what = "holds no radiographs" if path.exists() else "does not exist"
        raise InputError(f"{path} {what}: give an NXtomo or Data Exchange file, or a folder of EDF files")
    return [read_edf_folder(folder) for folder in folders]


def _complete_scan(facts: list[ScanFacts], files: RadiographFiles) -> HolotomographyScan:
    facts = [_override(found, files, i, len(facts)) for i, found in enumerate(facts)]
    for found in facts:
        for kind, name in _NAMES.items():
            if not (found.kinds == kind).any():
                raise InputError(
                    f"a scan must have projections, flats and darks ({found.name} has no {name}): add them"
                )
        check_angles(found.angles_rad[found.kinds == PROJECTION], found.name)
    for other in facts[1:]:
        _check_alike(facts[0], other)
    facts = _drop_lost_angles(facts)
    if files.detector_pixel_m is None:
        facts = _settle_pixels(facts)
    return HolotomographyScan(tuple(_make_distance(found) for found in facts))


def _override(facts: ScanFacts, files: RadiographFiles, i: int, count: int) -> ScanFacts:
    if files.energy_kev is not None:
        facts = replace(facts, energy_kev=files.energy_kev)
    if files.detector_pixel_m is not None:
        facts = replace(facts, pixel_m=files.detector_pixel_m, pixel_at="detector")
    if files.distances_m is not None:
        if len(files.distances_m) != count:
            raise InputError(
                f"distances_m must have a pair for each of {count} distances (got {len(files.distances_m)}): add them"
            )
        source, detector = files.distances_m[i]
        facts = replace(facts, source_sample_m=source, sample_detector_m=detector)
    if files.angle_range_rad is not None:
        angles = np.zeros(facts.kinds.size)
        projections = np.flatnonzero(facts.kinds == PROJECTION)
        angles[projections] = np.linspace(*files.angle_range_rad, projections.size)
        facts = replace(facts, angles_rad=angles)
    return facts


def _check_alike(first: ScanFacts, other: ScanFacts) -> None:
    for what, one, two in (
        ("frame shape", first.frames.shape[1:], other.frames.shape[1:]),
        ("number of projections", *(int(np.sum(found.kinds == PROJECTION)) for found in (first, other))),
    ):
        if one != two:
            raise InputError(
                f"all distances must have one {what} ({first.name} has {one}, {other.name} {two}): give scans that "
                "belong together"
            )
    if first.energy_kev and other.energy_kev and not math.isclose(first.energy_kev, other.energy_kev, rel_tol=_SAME):
        raise InputError(
            f"all distances must have one energy ({first.name} has {first.energy_kev:g} keV, {other.name} "
            f"{other.energy_kev:g} keV): give scans that belong together, or the energy"
        )
    angles, others = (found.angles_rad[found.kinds == PROJECTION] for found in (first, other))
    apart = float(np.nanmax(np.abs(angles - others), initial=0.0))
    if apart > 0.5 * usual_step(angles[np.isfinite(angles)]):
        raise InputError(
            f"all distances must have the same angles ({first.name} and {other.name} differ by up to "
            f"{math.degrees(apart):.3g} deg): give scans that belong together"
        )


def _drop_lost_angles(facts: list[ScanFacts]) -> list[ScanFacts]:
    """Projections without angle are not used, at any distance: the others keep their numbers in step."""
    projections = [np.flatnonzero(found.kinds == PROJECTION) for found in facts]
    lost = np.any([np.isnan(found.angles_rad[own]) for found, own in zip(facts, projections, strict=True)], axis=0)
    if not lost.any():
        return facts
    kept = []
    for found, own in zip(facts, projections, strict=True):
        kinds = found.kinds.copy()
        kinds[own[lost]] = UNUSED
        kept.append(replace(found, kinds=kinds))
    return kept


def _magnification(facts: ScanFacts) -> float:
    return 1 + (facts.sample_detector_m or 0.0) / (facts.source_sample_m or math.inf)


def _settle_pixels(facts: list[ScanFacts]) -> list[ScanFacts]:
    """The detector's pixel from one that is meant at the sample, or of which the files do not say where it is meant.

    Those at the sample shrink as the magnification grows, the detector's are one.
    """
    if any(found.pixel_at == "unsaid" for found in facts) and all(found.pixel_m for found in facts):
        stated = np.array([found.pixel_m for found in facts], dtype=np.float64)
        scaled = stated * [_magnification(found) for found in facts]
        place: Literal["sample", "detector"]
        place = "sample" if np.ptp(stated) > _SAME * stated[0] and np.ptp(scaled) < _SAME * scaled[0] else "detector"
        if place == "detector" and np.ptp(stated) > _SAME * stated[0]:
            listed = ", ".join(f"{pixel:g}" for pixel in stated)
            raise InputError(
                f"pixels must be the detector's, or fit the magnifications ({facts[0].name} ... have {listed} m): give "
                "the detector's pixel and the distances"
            )
        facts = [replace(found, pixel_at=place) for found in facts]
    return [
        replace(found, pixel_m=found.pixel_m * _magnification(found), pixel_at="detector")
        if found.pixel_m and found.pixel_at == "sample"
        else found
        for found in facts
    ]


def _make_distance(facts: ScanFacts) -> DistanceScan:
    if facts.energy_kev is not None:
        check_energy(facts.energy_kev, f"energy of {facts.name}")
    if facts.pixel_m is not None:
        check_pixel(facts.pixel_m, f"pixel of {facts.name}")
    source = math.inf if facts.source_sample_m is None else facts.source_sample_m
    if facts.sample_detector_m is not None:
        check_distances(source, facts.sample_detector_m, facts.name)
    geometry = None
    if facts.energy_kev is not None and facts.pixel_m is not None and facts.sample_detector_m is not None:
        geometry = Geometry(find_wavelength(facts.energy_kev), source, facts.sample_detector_m, facts.pixel_m)
    return DistanceScan(facts.name, facts.frames, facts.kinds, facts.angles_rad, geometry, facts.current)

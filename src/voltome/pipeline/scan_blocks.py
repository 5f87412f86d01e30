"""The blocks of a reconstruction: pure functions of what they are given, which any worker can do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.pipeline.scan_frames import Corrections, OpenScan, share_scan
from voltome.pipeline.scan_request import choose_mode

if TYPE_CHECKING:
    from voltome.io import FrameStack, RadiographFiles
    from voltome.phase import PhaseRetriever, Screen

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

_LEAST_TRANSMISSION = 1e-4
_SHIFT_BAND = (0.01, 0.25)
_FRINGES = 3.0


def find_mode(scan: OpenScan) -> str:
    """The mode that is used: what the settings say, else quality where all distances are known.

    Parameters
    ----------
    scan : OpenScan

    Returns
    -------
    str
        One of fast, quality, paper, absorption.

    Raises
    ------
    InputError
        If phase is wanted, but energy, pixel or distances are not known.
    """
    return choose_mode(scan.scan, scan.settings)


def check_distance(files: RadiographFiles, distance: int) -> Arrays:
    """Look for corrupt and saturated frames among the projections of a distance.

    Parameters
    ----------
    files : RadiographFiles
    distance : int

    Returns
    -------
    dict
        `replacements`: (n, 4) rows of distance, frame, other frame, weight; `saturated`: mean share of pixels.

    Raises
    ------
    InputError
        If more than 1 % of the frames are corrupt, or too much is saturated.
    """
    from voltome.frames import PROJECTION
    from voltome.radiographs import check_frames, find_replacements, refuse_saturation

    with files.open() as scan:
        one = scan.distances[distance]
        check = check_frames(one.frames, one.find(PROJECTION), current=one.current)
        refuse_saturation(check, name=one.name)
        found = find_replacements(check, name=one.name)
    rows = [(distance, number, other, weight) for number, parts in found.items() for other, weight in parts]
    saturated = np.array(float(np.mean(check.saturated)))
    return {"replacements": np.array(rows, dtype=np.float64).reshape(-1, 4), "saturated": saturated}


def measure_block(
    files: RadiographFiles, settings: ReconstructionSettings, replacements: Floats, start: int, stop: int
) -> Arrays:
    """Shifts of each distance against the first for some angles, and the mean of each row.

    Parameters
    ----------
    files : RadiographFiles
    settings : ReconstructionSettings
    replacements : (n, 4) float64
    start, stop : int
        Angles.

    Returns
    -------
    dict
        `shifts_px`, `sd_px`: (distances, angles, 2); `profiles`: (distances, rows) sum over the angles.
    """
    from voltome.radiographs import measure_shifts

    scan = share_scan(files, settings, replacements)
    count, angles = len(scan.scan.distances), range(start, stop)
    shifts, sd = np.zeros((count, len(angles), 2)), np.zeros((count, len(angles), 2))
    first = np.stack([scan.rescale(scan.read(angle, 0), 0) for angle in angles])
    profiles = [first.mean(axis=2, dtype=np.float64).sum(axis=0)]
    for k in range(1, count):
        own = np.stack([scan.rescale(scan.read(angle, k), k) for angle in angles])
        if settings.register_distances:
            shifts[k], sd[k] = measure_shifts(own, first)
        profiles.append(own.mean(axis=2, dtype=np.float64).sum(axis=0))
    return {"shifts_px": shifts, "sd_px": sd, "profiles": np.stack(profiles)}


def make_retriever(scan: OpenScan) -> PhaseRetriever:
    """What retrieves phases from the frames of a scan.

    Parameters
    ----------
    scan : OpenScan

    Returns
    -------
    PhaseRetriever

    Raises
    ------
    InputError
        If the geometry is not known.
    """
    from typing import cast

    from voltome.phase import Mode, PhaseRetriever, Recipe, open_device

    settings = scan.settings
    mode = cast("Mode", find_mode(scan))
    geometries = [one.geometry for one in scan.scan.distances if one.geometry is not None]
    recipe = Recipe(
        mode,
        delta_beta=settings.delta_beta,
        iterations=settings.iterations,
        relaxation=settings.relaxation,
        padding=settings.phase_padding,
    )
    return PhaseRetriever(
        scan.frame_shape,
        pixel_m=geometries[0].pixel_m,
        wavelength_m=geometries[0].wavelength_m,
        distances_m=[one.effective_m for one in geometries],
        recipe=recipe,
        like=open_device(settings.device),
    )


def make_screen(numbers: Floats) -> Screen | None:
    """An opaque edge from the numbers that `Corrections` keeps of it.

    Parameters
    ----------
    numbers : (3,) float64

    Returns
    -------
    Screen or None
    """
    from voltome.phase import Screen

    if not np.isfinite(numbers).all():
        return None
    return Screen(float(numbers[0]), float(numbers[1]), bool(numbers[2] > 0))


def refine_block(files: RadiographFiles, settings: ReconstructionSettings, corrections: Arrays, angle: int) -> Arrays:
    """Shifts that are left when each distance is compared with what the retrieved wave gives there.

    Parameters
    ----------
    files : RadiographFiles
    settings : ReconstructionSettings
    corrections : dict
        Of `Corrections.as_arrays`.
    angle : int

    Returns
    -------
    dict
        `shifts_px`: (distances, 2); `correlation`: (distances,) of measured and predicted intensity; `profiles`:
        (distances, rows) mean of each row.
    """
    from voltome.phase import as_numpy, move_like, open_device
    from voltome.radiographs import measure_shifts

    found = Corrections.from_arrays(corrections)
    scan = share_scan(files, settings, corrections["replacements"])
    frames = scan.read_registered(angle, found.shifts_px)
    moved = move_like(frames, open_device(settings.device))
    seen = make_retriever(scan).predict(moved, screen=make_screen(found.screen))
    predicted = np.stack([as_numpy(one) for one in seen])
    weights = _weigh_rows(scan, found.screen)
    shifts, _ = measure_shifts(frames, predicted, weights=weights, band_px=_SHIFT_BAND)
    agreement = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(frames, predicted, strict=True)]
    profiles = frames.mean(axis=2, dtype=np.float64)
    return {"shifts_px": shifts - shifts[0], "correlation": np.array(agreement), "profiles": profiles}


def _weigh_rows(scan: OpenScan, screen: Floats) -> Singles:
    """1 where rows show the sample; 0 in an opaque edge and where its own fringes, which stay where they are, rule."""
    rows = scan.frame_shape[0]
    weights = np.ones(rows, np.float32)
    geometry = scan.scan.distances[0].geometry
    if geometry is not None and np.isfinite(screen).all():
        reach = _FRINGES * math.sqrt(geometry.wavelength_m * geometry.effective_m) / geometry.pixel_m
        away = (np.arange(rows) - screen[0]) * screen[2]
        weights[away < min(reach, rows / 4)] = 0
    return weights


def retrieve_block(
    files: RadiographFiles,
    settings: ReconstructionSettings,
    corrections: Arrays,
    target: FrameStack,
    start: int,
    stop: int,
) -> Arrays:
    """Line integrals of some angles: phases, or the logarithm of the transmission.

    Parameters
    ----------
    files : RadiographFiles
    settings : ReconstructionSettings
    corrections : dict
        Of `Corrections.as_arrays`.
    target : FrameStack
        Takes what comes out: -phase, or -log transmission.
    start, stop : int
        Angles.

    Returns
    -------
    dict
        `levels`: (angles, rows), mean of each row.
    """
    from voltome.phase import as_numpy, move_like, open_device

    found = Corrections.from_arrays(corrections)
    scan = share_scan(files, settings, corrections["replacements"])
    absorption = find_mode(scan) == "absorption"
    retriever = None if absorption else make_retriever(scan)
    screen, like = make_screen(found.screen), open_device(settings.device)
    levels = []
    for angle in range(start, stop):
        if retriever is None:
            frame = scan.rescale(scan.read(angle, 0), 0)
            integral = -np.log(np.maximum(frame, np.float32(_LEAST_TRANSMISSION)))
        else:
            frames = move_like(scan.read_registered(angle, found.shifts_px), like)
            integral = -as_numpy(retriever.retrieve(frames, screen=screen).phase)
        target.write(slice(angle, angle + 1), integral[None])
        levels.append(integral.mean(axis=1, dtype=np.float64))
    return {"levels": np.array(levels)}


def find_scale(scan: OpenScan) -> tuple[float, float | None, str]:
    """What turns reconstructed values per pixel into a quantity, and the pixel at the sample.

    Parameters
    ----------
    scan : OpenScan

    Returns
    -------
    scale : float
        To multiply values per pixel with.
    pixel_m : float or None
    quantity : str
        `delta`, the refractive decrement; `attenuation_per_m`; or `attenuation_per_pixel` where nobody said the pixel.
    """
    geometry = scan.scan.distances[0].geometry
    if geometry is None:
        return 1.0, None, "attenuation_per_pixel"
    if find_mode(scan) == "absorption":
        return 1.0 / geometry.pixel_m, geometry.pixel_m, "attenuation_per_m"
    return geometry.wavelength_m / (2 * math.pi * geometry.pixel_m), geometry.pixel_m, "delta"

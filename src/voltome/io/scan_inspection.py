"""What is odd about a scan, though it can be read."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from voltome.frames import DARK, FLAT, PROJECTION, UNUSED, DistanceScan, HolotomographyScan
from voltome.io.plausibility import count_repeated, find_gaps, usual_step

_SAMPLE = 8
_SAME = 1e-3
_SATURATED = 1e-3
_DEPTHS = (8, 10, 12, 14, 16)


def inspect_scan(scan: HolotomographyScan) -> list[str]:
    """Look for what a user should know before reconstructing; a few frames of each distance are read.

    Parameters
    ----------
    scan : HolotomographyScan
        Open.

    Returns
    -------
    list of str
        One line each: geometry that is not known, angles that are missing, repeated or short of half a turn, frames
        that are saturated, not finite or cannot be read, darks as bright as flats, two files of one distance, a first
        distance whose pixel is not the smallest. Empty where all is well.
    """
    findings = [f"{one.name}: {line}" for one in scan.distances for line in _inspect_distance(one)]
    findings += _find_twice(scan)
    pixels = [one.geometry.pixel_m for one in scan.distances if one.geometry is not None]
    if pixels and pixels[0] > min(pixels) * (1 + 1e-6):
        findings.append("the first distance has not the smallest pixel: all others lose resolution to it")
    return findings


def _find_twice(scan: HolotomographyScan) -> Iterator[str]:
    """Distances that are the same, or nearly: the second says nothing that the first does not."""
    known = [one for one in scan.distances if one.geometry is not None]
    for number, one in enumerate(known):
        for other in known[:number]:
            if (
                one.geometry
                and other.geometry
                and math.isclose(one.geometry.sample_detector_m, other.geometry.sample_detector_m, rel_tol=_SAME)
            ):
                yield f"{one.name} was taken at the distance of {other.name}: was another file meant?"


def _inspect_distance(scan: DistanceScan) -> Iterator[str]:
    if scan.geometry is None:
        yield "energy, pixel or distances are not known: give them"
    yield from _inspect_angles(scan)
    means = {}
    for kind, name in ((PROJECTION, "projections"), (FLAT, "flats"), (DARK, "darks")):
        frames = _read_sample(scan, kind)
        finite = np.isfinite(frames)
        lost = int(np.sum(~finite.any(axis=(1, 2))))
        if lost:
            yield f"{lost} of {len(frames)} {name} looked at cannot be read"
        if not finite.all() and lost < len(frames):
            share = 1 - float(finite[finite.any(axis=(1, 2))].mean())
            if share:
                yield f"{share:.2g} of the pixels of {name} are not finite"
        values = frames[finite]
        if values.size:
            means[kind] = float(values.mean())
            share = _saturated_share(values)
            if share > _SATURATED:
                yield f"{share:.2g} of the pixels of {name} are saturated at {values.max():.6g}"
    if DARK in means and FLAT in means and means[DARK] >= means[FLAT]:
        yield "darks are as bright as flats: are the image keys right?"


def _inspect_angles(scan: DistanceScan) -> Iterator[str]:
    unknown = int(np.sum(np.isnan(scan.angles_rad) & (scan.kinds == UNUSED)))
    if unknown:
        yield f"{unknown} frames have no angle and are not used"
    angles = scan.angles_rad[scan.kinds == PROJECTION]
    if angles.size < 2:
        return
    repeated = count_repeated(angles)
    if repeated:
        yield f"{repeated} angles repeat another one: are they alignment frames?"
    gaps = find_gaps(angles)
    if gaps:
        widest = max(gaps, key=lambda gap: gap[1] - gap[0])
        low, high = (math.degrees(angle) for angle in widest)
        yield f"{len(gaps)} gaps between angles, the widest from {low:.4g} to {high:.4g} deg"
    span = float(np.ptp(angles)) + usual_step(angles)
    if span < math.pi * (1 - 1e-3):
        yield f"angles span {math.degrees(span):.4g} deg, less than half a turn"


def _read_sample(scan: DistanceScan, kind: int) -> NDArray[np.float32]:
    numbers = scan.find(kind)
    chosen = numbers[np.unique(np.linspace(0, numbers.size - 1, min(_SAMPLE, numbers.size)).round().astype(int))]
    rows, columns = scan.frame_shape
    return np.asarray(scan.frames[chosen, slice(0, rows), slice(0, columns)], dtype=np.float32)


def _saturated_share(values: NDArray[np.float32]) -> float:
    """Share of pixels at the largest value, where that is the largest of a camera's 8 to 16 bits."""
    most = float(values.max())
    return float(np.mean(values == most)) if most in [2**bits - 1 for bits in _DEPTHS] else 0.0

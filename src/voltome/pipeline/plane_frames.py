"""The images of SCAN.yaml: read, checked, and divided by the illumination."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.pipeline.plane_settings import UNITS, PlaneFiles, PlaneScan

Singles = NDArray[np.float32]

_LEAST_SIDE = 32
_MOST_DEAD = 0.01
_MOST_SATURATED = 0.005
_FULL = (255, 1023, 4095, 16383, 65535)  # a detector's highest number, of 8 to 16 bits


def load_frames(files: PlaneFiles) -> Singles:
    """Intensities of the planes over the illumination.

    With a reference, frames are divided by it and brought to one mean, that of all of them: the beam may flicker
    between exposures, while matter takes the same light off each. Without one, each frame is divided by its mean.

    Parameters
    ----------
    files : PlaneFiles

    Returns
    -------
    (n, rows, columns) float32

    Raises
    ------
    InputError
        If an image is missing, differs in shape, is smaller than 32 pixels, holds NaN or negative values, is saturated,
        or the distances are not plausible for its size.
    ResourceError
        If an image cannot be read.
    """
    scan = files.settings
    frames = [_load(files, scan.planes[0].file, None)]
    shape = frames[0].shape[0], frames[0].shape[1]
    check_fresnel(scan, shape)
    frames += [_load(files, plane.file, shape) for plane in scan.planes[1:]]
    dark = np.float32(0) if scan.dark is None else _load(files, scan.dark, shape)
    light = [frame - dark for frame in frames]
    if scan.reference is not None:
        beam = _load(files, scan.reference, shape) - dark
        light = [_divide(frame, beam, scan.reference) for frame in light]
    means = [float(frame.mean(dtype=np.float64)) for frame in light]
    for plane, mean in zip(scan.planes, means, strict=True):
        if not mean > 0:
            raise InputError(f"{plane.file} must hold light (its mean is {mean:g}): check the image and the dark")
    level = 1.0 if scan.reference is None else sum(means) / len(means)
    return np.stack([frame * np.float32(level / mean) for frame, mean in zip(light, means, strict=True)])


def check_fresnel(scan: PlaneScan, shape: tuple[int, int]) -> None:
    """Refuse distances at which a frame of this shape cannot show a Fresnel pattern: the likely unit is named.

    Parameters
    ----------
    scan : PlaneScan
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    None
        The distances are plausible when this returns.

    Raises
    ------
    InputError
        If a frame is less than one Fresnel zone wide, or a fringe at the largest distance less than a thousandth of a
        pixel.
    """
    side = min(shape) * scan.pixel_m
    for number, plane in enumerate(scan.planes):
        zone = scan.wavelength * abs(plane.distance_m)
        if zone > side**2:
            cure = "give metres"
            for unit, factor in UNITS.items():
                if zone * factor <= side**2 / 10:
                    cure = f"it looks like {unit}, give {plane.distance_m * factor:.6g}"
                    break
            raise InputError(
                f"planes[{number}].distance_m must be <= {side**2 / scan.wavelength:.3g}, where the frame is one "
                f"Fresnel zone wide (got {plane.distance_m:g}): {cure}"
            )
    farthest = max(abs(plane.distance_m) for plane in scan.planes)
    if scan.wavelength * farthest < 1e-3 * scan.pixel_m**2:
        raise InputError(
            f"one distance at least must be >= {1e-3 * scan.pixel_m**2 / scan.wavelength:.3g} m to show phase (got at "
            f"most {farthest:g}): give effective distances in metres"
        )


def _load(files: PlaneFiles, name: str, shape: tuple[int, int] | None) -> Singles:
    """An image that can be used, of the shape of the first one."""
    from voltome.io import read_image

    image = read_image(files.locate(name))
    if shape is not None and image.shape != shape:
        raise InputError(
            f"images must have the first one's shape, {shape} (got {image.shape}, {name}): crop them alike"
        )
    if min(image.shape) < _LEAST_SIDE:
        raise InputError(f"images must have {_LEAST_SIDE} pixels a side or more (got {image.shape}, {name}): crop less")
    missing = int(np.count_nonzero(~np.isfinite(image)))
    if missing:
        raise InputError(f"pixels must be finite ({name} has {missing} that are not): fill them or leave the image out")
    lowest, highest = image.min().item(), image.max().item()
    if lowest < 0:
        raise InputError(f"intensities must be >= 0 (got {lowest:g}, {name}): give raw images, and a dark beside them")
    if highest in _FULL:
        share = float(np.mean(image == highest))
        if share > _MOST_SATURATED:
            raise InputError(
                f"saturated pixels must be <= {100 * _MOST_SATURATED:g} % (got {100 * share:.3g} % at {highest}, "
                f"{name}): expose for less time"
            )
    return image.astype(np.float32)


def _divide(frame: Singles, beam: Singles, name: str) -> Singles:
    """Frame over the beam; where the beam shows nothing (dead pixels), as much light as on average."""
    dead = beam <= 0
    share = float(dead.mean())
    if share > _MOST_DEAD:
        raise InputError(f"the reference must be > 0 (got {100 * share:.3g} % that is not, {name}): give another one")
    seen = frame / np.where(dead, np.float32(1), beam)
    seen[dead] = seen[~dead].mean()
    return np.asarray(seen, dtype=np.float32)

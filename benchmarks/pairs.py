"""The standard pairs, written as float32 TIFF: analytic speckle, and the texture of a real tomogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from voltome.twin import AnalyticMotion, make_rigid_motion, make_smooth_motion, make_speckle_pair

NOISE = 0.05


@dataclass(frozen=True)
class PairFiles:
    """Two volumes on disk and the motion between them."""

    name: str
    reference: Path
    deformed: Path
    motion: AnalyticMotion
    shape: tuple[int, int, int]


def make_standard_motion(shape: Sequence[int]) -> AnalyticMotion:
    """A rigid part for the registration to find, 2 % mean axial swelling, and smooth strains of some per cent."""
    centre = (np.asarray(shape) - 1) / 2
    rigid = make_rigid_motion(displacement_vox=(2.3, -1.6, 3.2), rotation_rad=(0.010, -0.006, 0.008), centre_vox=centre)
    return rigid + make_smooth_motion(shape, strain=0.03, swelling=0.02, seed=4)


def _write(folder: Path, name: str, volumes: Sequence[np.ndarray], motion: AnalyticMotion) -> PairFiles:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}_{state}.tif" for state in ("reference", "deformed")]
    for path, volume in zip(paths, volumes, strict=True):
        tifffile.imwrite(path, volume.astype(np.float32))
    depth, height, width = volumes[0].shape
    return PairFiles(name, paths[0], paths[1], motion, (depth, height, width))


def write_speckle_pair(folder: Path, size: int, *, noise: float = NOISE, seed: int = 0) -> PairFiles:
    """Analytic speckle, size^3, both states sampled from the object."""
    shape = (size,) * 3
    motion = make_standard_motion(shape)
    pair = make_speckle_pair(shape, motion, seed=seed, noise=noise)
    return _write(folder, f"speckle{size}", (pair.reference, pair.deformed), motion)


def write_texture_pair(folder: Path, image: Path, size: int, *, noise: float = NOISE, seed: int = 0) -> PairFiles:
    """A real tomogram's texture, mirrored to size^3 and warped once by a spline of order 5.

    The deformed state is interpolated, so its own measurement noise is a little smoother than the reference's; fresh
    white noise is added to both.
    """
    source = tifffile.imread(image).astype(np.float32)
    source /= source.std()
    reference = np.pad(source, [(0, size - n) for n in source.shape], mode="symmetric")
    motion = make_standard_motion(reference.shape)
    coefficients = ndimage.spline_filter(reference, order=5, mode="reflect", output=np.float32)
    deformed = np.empty_like(reference)
    row, column = np.meshgrid(*[np.arange(n, dtype=np.float64) for n in reference.shape[1:]], indexing="ij")
    for z in range(size):
        points = np.stack([np.full_like(row, z), row, column], axis=-1).reshape(-1, 3)
        material = motion.inverse(points).T
        deformed[z] = ndimage.map_coordinates(coefficients, material, order=5, mode="reflect", prefilter=False).reshape(
            row.shape
        )
    random = np.random.default_rng(seed)
    noisy = [
        volume + noise * random.standard_normal(volume.shape, dtype=np.float32) for volume in (reference, deformed)
    ]
    return _write(folder, f"{image.stem}{size}", noisy, motion)

"""Synthetic pairs of volumes with known motion.

The deformed volume is the object itself, sampled once at the material point of each voxel: it is never interpolated
from an image, so that its truth owes nothing to an interpolator.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3
from voltome.twin.motion import AnalyticMotion
from voltome.twin.texture import SpeckleTexture

Volume = NDArray[np.float32]

_BLOCK_VOX = 48


@dataclass(frozen=True, eq=False)
class SpecklePair:
    """Two volumes and the motion between them.

    Parameters
    ----------
    reference, deformed : (z, y, x) float32
    field : AnalyticMotion
        Maps a point of the reference to the deformed volume, in voxels.
    shape : tuple of int
    """

    reference: Volume
    deformed: Volume
    field: AnalyticMotion
    shape: Shape3


def _block_points(block: Block) -> NDArray[np.float64]:
    axes = [np.arange(part.start, part.stop, dtype=np.float64) for part in block]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _blocks(shape: Shape3) -> list[Block]:
    cuts = [[slice(a, min(a + _BLOCK_VOX, n)) for a in range(0, n, _BLOCK_VOX)] for n in shape]
    return [(z, y, x) for z, y, x in itertools.product(*cuts)]


def make_noise(shape: Shape3, sd: float, correlation_vox: float, seed: Sequence[int]) -> Volume:
    """Gaussian noise, white or correlated.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, y, x.
    sd : float
        Standard deviation in grey values.
    correlation_vox : float
        Sd of the Gaussian that correlates it; 0 is white.
    seed : sequence of int

    Returns
    -------
    (z, y, x) float32
    """
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    if correlation_vox > 0:
        from scipy.ndimage import gaussian_filter

        noise = gaussian_filter(noise, correlation_vox, mode="wrap")
        noise /= noise.std(dtype=np.float64)
    noise *= np.float32(sd)
    return noise


def make_speckle_pair(
    shape: Sequence[int],
    field: AnalyticMotion,
    *,
    seed: int = 0,
    noise: float = 0.0,
    noise_correlation_vox: float = 0.0,
    gain: float = 1.0,
    offset: float = 0.0,
    texture: SpeckleTexture | None = None,
    threads: int | None = None,
) -> SpecklePair:
    """Speckle volume and its deformed state, each sampled from the analytic object.

    Parameters
    ----------
    shape : sequence of int
        Voxels along z, y, x.
    field : AnalyticMotion
    seed : int
        Seed of object and noise.
    noise : float
        Standard deviation of the added noise as a fraction of the image's own, independent in the two volumes.
    noise_correlation_vox : float
        Sd of the Gaussian that correlates the noise, as reconstruction does; the noise's sd is kept. 0 is white.
    gain, offset : float
        Applied to the deformed volume: gain x grey + offset.
    texture : SpeckleTexture, optional
        The object. Default: `SpeckleTexture(seed)`.
    threads : int, optional
        Default: one per processor. The result does not depend on it.

    Returns
    -------
    SpecklePair
        Grey value 1 on average with an sd of 0.2; 0 inside open cracks. 8 bytes a voxel and some blocks of work.

    Raises
    ------
    InputError
        If the shape is not three positive numbers, noise is negative, or the motion cannot be inverted.

    Examples
    --------
    >>> from voltome.twin import make_rigid_motion
    >>> pair = make_speckle_pair((24, 20, 28), make_rigid_motion(displacement_vox=(2, 0, 0)))
    >>> bool(np.allclose(pair.deformed[2:], pair.reference[:-2]))
    True
    """
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"shape must be three positive numbers (got {tuple(shape)}): give voxels along z, y, x")
    if noise < 0 or noise_correlation_vox < 0:
        raise InputError(f"noise and its correlation must be >= 0 (got {noise}, {noise_correlation_vox}): give 0.05")
    size: Shape3 = (int(shape[0]), int(shape[1]), int(shape[2]))
    source = texture if texture is not None else SpeckleTexture(seed)
    reference, deformed = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.float32)

    def fill(block: Block) -> None:
        points = _block_points(block)
        extent = tuple(part.stop - part.start for part in block)
        reference[block] = source.evaluate_near(points).reshape(extent)
        values = np.zeros(len(points))
        material = field.inverse(points)
        full = np.isfinite(material[:, 0])
        if full.any():
            values[full] = source.evaluate_near(material[full])
        deformed[block] = (gain * values + offset).reshape(extent)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for _ in pool.map(fill, _blocks(size)):
            pass
    if noise > 0:
        for number, volume in enumerate((reference, deformed)):
            sd = noise * float(volume.std(dtype=np.float64))
            volume += make_noise(size, sd, noise_correlation_vox, (seed, number))
    return SpecklePair(reference, deformed, field, size)

"""The scan: from refractive decrements on a fine grid to the grey volume that a reconstruction gives, block by block.

Blur, noise, clouds and rings are functions of a voxel's place alone: blocks agree in every bit, whatever the cuts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voltome.errors import InputError

if TYPE_CHECKING:
    from voltome.twin.configuration import TwinSettings
    from voltome.twin.scan_loops import Shading

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

DECREMENT_UNIT = 1e-7
"""Blocks hold decrements in this unit: float32 is at ease there, and a person reads 5.5 and 2.8."""

_SIGMA_PER_FWHM = 1 / (2 * math.sqrt(2 * math.log(2)))
_REACH_SIGMAS = 3.0
_SUBVOXEL_PER_FWHM = 0.45
_UM = 1e6

# The spectrum of reconstruction noise is a ramp that the point spread cuts off: |f| exp(-(2 pi sigma f)^2). Its root is
# the filter for white noise, fitted by three Gaussians: sd over sigma, share. The ramp's foot is rounded.
_RAMP_SIGMAS = (0.914, 1.968, 5.634)
_RAMP_SHARES = (1.572, -0.735, -0.406)
_CORRELATION_PER_SIGMA = 2.63  # FWHM of that noise's autocorrelation
_LEAST_CORRELATION_VOX = 2.0
_AXIAL_CORRELATION = 0.5  # correlation length along the rotation axis, over that in the slice

_COPPER_REACH = 5.0  # depths at which the collector's influence is over
_COPPER_NOISE = 1.0  # noise at the collector is (1 + this) times the noise elsewhere
_COPPER_HAZE = 0.15  # grey haze at the collector, as a share of silicon's contrast

_ELECTRON_RADIUS_M = 2.8179403262e-15
_KEV_M = 1.239841984e-9  # wavelength times energy


def silicon_delta(composition: ArrayLike, energy_kev: float) -> Floats:
    """Refractive decrement of lithiated silicon, LixSi, from its electrons.

    Parameters
    ----------
    composition : array
        x, lithium atoms per silicon atom; any shape.
    energy_kev : float
        X-ray energy.

    Returns
    -------
    float64 array
        delta = r_e lambda^2 n_e / 2 pi, of the same shape. An atom of silicon takes 20.02 A^3 and each of lithium adds
        14.99 A^3, so that Li15Si4 has 3.81 times the volume of silicon.

    Raises
    ------
    InputError
        If the energy is not positive.
    """
    from voltome.twin.scan_loops import electron_density

    if not energy_kev > 0:
        raise InputError(f"energy_kev must be > 0 (got {energy_kev}): give the beam's energy, e.g. 29.6")
    electrons_m3 = 1e30 * electron_density(np.asarray(composition, dtype=np.float64))
    return np.asarray(_ELECTRON_RADIUS_M * (_KEV_M / energy_kev) ** 2 / (2 * math.pi) * electrons_m3)


def find_contrast(settings: TwinSettings) -> float:
    """Contrast of unreacted silicon against electrolyte, the yardstick of noise.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    float
        Absolute difference of their refractive decrements.

    Raises
    ------
    InputError
        Never.
    """
    silicon = float(silicon_delta(0.0, settings.scan.energy_kev))
    return abs(silicon - settings.scan.electrolyte_delta)


def oversampling(settings: TwinSettings) -> int:
    """Sub-voxels along a voxel's edge that the point spread needs: each at most 0.45 of its FWHM.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    int
        1 or more.

    Raises
    ------
    InputError
        Never.
    """
    return math.ceil(settings.voxel_size_m / (_SUBVOXEL_PER_FWHM * settings.image_fwhm_m) - 1e-9)


def halo_vox(settings: TwinSettings, *, first_plane: int | None = None, collector_um: float | None = None) -> int:
    """Whole voxels that `image_block` needs around a block, on every side.

    Parameters
    ----------
    settings : TwinSettings
    first_plane : int, optional
        First plane (z) of the block: only blocks that the collector's scattering reaches need more than the point
        spread does. None: what any block needs.
    collector_um : float, optional
        Where the collector's face stands in the scan, if not where it stood at T0.

    Returns
    -------
    int

    Raises
    ------
    InputError
        Never.
    """
    halo = _reach_vox(_point_sigma_vox(settings))
    if first_plane is None or _copper_weights(settings, first_plane, 1, collector_um)[0] > 0:
        halo += _reach_vox(_scatter_sigma_vox(settings))
    return halo


def image_block(
    decrements: Singles,
    start_vox: Sequence[int],
    settings: TwinSettings,
    *,
    seed: int,
    collector_um: float | None = None,
) -> NDArray[np.uint16]:
    """Grey values of a block of the scan.

    The object is averaged over the point spread (a Gaussian, of which a voxel's own extent is a part), blurred more
    where copper scatters, and covered with noise whose spectrum in the slice is that of filtered back-projection, with
    the slow clouds of phase retrieval, and with rings, which stay where they are from scan to scan as a detector's
    faults do.

    Parameters
    ----------
    decrements : (Z, Y, X) float32
        Refractive decrement in 1e-7 at the centres of sub-voxels: s = `oversampling` along each edge, and
        `halo_vox(settings, first_plane=start_vox[0], collector_um=collector_um)` voxels more on every side.
    start_vox : (3,) ints
        First voxel of the block (without halo) in the scan.
    settings : TwinSettings
    seed : int
        Of this scan: another one gives new noise and clouds.
    collector_um : float, optional
        Where the collector's face stands in the scan, if not where it stood at T0.

    Returns
    -------
    ((Z, Y, X) / s - 2 halo) uint16
        The same for every voxel, in every bit, however the volume is cut into blocks.

    Raises
    ------
    InputError
        If the block is not float32 or does not hold its halo and a whole number of voxels.
    """
    from voltome.twin.scan_loops import blur, shade

    step = oversampling(settings)
    halo = halo_vox(settings, first_plane=int(start_vox[0]), collector_um=collector_um)
    shape = tuple(n // step - 2 * halo for n in decrements.shape)
    if decrements.dtype != np.float32 or len(shape) != 3 or min(shape) < 1 or any(n % step for n in decrements.shape):
        raise InputError(
            f"decrements must be float32 (z, y, x) with {step} sub-voxels a voxel and a halo of {halo} voxels "
            f"(got {decrements.dtype} {decrements.shape}): see halo_vox and oversampling"
        )
    copper = _copper_weights(settings, int(start_vox[0]), shape[0], collector_um)
    image = blur(np.ascontiguousarray(decrements), _weights(_point_sigma_vox(settings) * step, step), step)
    wide = np.empty((0, 0, 0), np.float32)
    reach = (image.shape[0] - shape[0]) // 2
    reached = int(np.count_nonzero(copper))
    if reached:
        wide = blur(image[: reached + 2 * reach], _weights(_scatter_sigma_vox(settings)), 1)
        image = _crop(image, (reach, reach, reach))
    start = np.array(start_vox, dtype=np.int64)
    out = np.empty(shape, np.uint16)
    shade(image, wide, _draw_noise(settings, seed, start, shape), copper, start, _shading(settings, seed), out)
    return out


def _point_sigma_vox(settings: TwinSettings) -> float:
    """Sd of the point spread, less what a sub-voxel's own extent adds to it."""
    sigma = settings.image_fwhm_m / settings.voxel_size_m * _SIGMA_PER_FWHM
    return math.sqrt(sigma**2 - 1 / (12 * oversampling(settings) ** 2))


def _scatter_sigma_vox(settings: TwinSettings) -> float:
    return settings.scan.collector_blur_m / settings.voxel_size_m * _SIGMA_PER_FWHM


def _reach_vox(sigma_vox: float) -> int:
    return math.ceil(_REACH_SIGMAS * sigma_vox)


def _weights(sigma: float, step: int = 1) -> Singles:
    """Taps of a Gaussian of sum 1 about the centre of a voxel of `step` sub-voxels; sigma in sub-voxels."""
    taps = step * (2 * _reach_vox(sigma / step) + 1)
    if taps == 1:
        return np.ones(1, np.float32)
    offsets = np.arange(taps) - (taps - 1) / 2
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def _crop(block: Singles, margin: tuple[int, int, int]) -> Singles:
    """A contiguous copy without the margins: compiled loops are fast on nothing else."""
    z, y, x = margin
    return np.ascontiguousarray(block[z : block.shape[0] - z, y : block.shape[1] - y, x : block.shape[2] - x])


def _copper_weights(settings: TwinSettings, first_plane: int, planes: int, collector_um: float | None) -> Floats:
    """Influence of the collector on each plane: 1 in it, falling by e with each depth, 0 from five depths on."""
    if settings.collector_m == 0:
        return np.zeros(planes)
    face_um = settings.collector_m * _UM if collector_um is None else collector_um
    z_um = (first_plane + np.arange(planes)) * (settings.voxel_size_m * _UM)
    depths = np.maximum(z_um - face_um, 0) / (settings.scan.collector_blur_depth_m * _UM)
    end = math.exp(-_COPPER_REACH)
    return np.asarray(np.maximum(np.exp(-depths) - end, 0) / (1 - end))


def _draw_noise(settings: TwinSettings, seed: int, start: NDArray[np.int64], shape: tuple[int, ...]) -> Singles:
    """Noise of a block, sd 1: white noise of the voxels' places through the filter."""
    from voltome.twin.noise_loops import mix_seed
    from voltome.twin.scan_loops import blur_x, blur_y, blur_z, draw_white

    if settings.scan.noise == 0:
        return np.zeros(shape, np.float32)
    along, across = _noise_filter(settings)
    reach_z = len(along) // 2
    reach = max(len(taps) // 2 for taps, _ in across)
    white = np.empty((shape[0] + 2 * reach_z, shape[1] + 2 * reach, shape[2] + 2 * reach), np.float32)
    draw_white(mix_seed(seed, 1), start[0] - reach_z, start[1] - reach, start[2] - reach, white)
    white = blur_z(white, along, 1)
    noise = np.zeros(shape, np.float32)
    for taps, share in across:
        spare = reach - len(taps) // 2
        noise += blur_x(blur_y(_crop(white, (0, spare, spare)), taps * share, 1), taps, 1)
    return noise


def _noise_filter(settings: TwinSettings) -> tuple[Singles, list[tuple[Singles, np.float32]]]:
    """Taps along z, and taps in the slice with the share of each: white noise of sd 1 keeps its sd."""
    correlation = max(settings.scan.noise_correlation_m / settings.voxel_size_m, _LEAST_CORRELATION_VOX)
    sigma = correlation / _CORRELATION_PER_SIGMA
    along = _weights(_AXIAL_CORRELATION * sigma)
    across = [_weights(ratio * sigma) for ratio in _RAMP_SIGMAS]
    widest = max(len(taps) for taps in across)
    whole = np.zeros((widest, widest))
    for taps, share in zip(across, _RAMP_SHARES, strict=True):
        padded = np.pad(taps.astype(np.float64), (widest - len(taps)) // 2)
        whole += share * np.outer(padded, padded)
    gain = math.sqrt(float((whole**2).sum()) * float((along.astype(np.float64) ** 2).sum()))
    return along, [(taps, np.float32(share / gain)) for taps, share in zip(across, _RAMP_SHARES, strict=True)]


def _shading(settings: TwinSettings, seed: int) -> Shading:
    from voltome.twin.noise_loops import mix_seed
    from voltome.twin.scan_loops import Shading

    scan, voxel = settings.scan, settings.voxel_size_m
    contrast = find_contrast(settings) / DECREMENT_UNIT
    black, white = scan.black_delta / DECREMENT_UNIT, scan.white_delta / DECREMENT_UNIT
    return Shading(
        noise_sd=scan.noise * contrast,
        copper_noise=_COPPER_NOISE,
        copper_haze=_COPPER_HAZE * contrast,
        cloud_sd=scan.cloud * contrast,
        cloud_vox=scan.cloud_length_m / voxel,
        cloud_seed=mix_seed(seed, 2),
        ring_sd=scan.ring * contrast,
        ring_vox=settings.image_fwhm_m / voxel,
        ring_seed=mix_seed(settings.seed, 3),
        axis_y=(settings.shape[1] - 1) / 2,
        axis_x=(settings.shape[2] - 1) / 2,
        black=black,
        scale=65535 / (white - black),
    )

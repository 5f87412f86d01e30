"""Fourier shell (and ring) correlation: down to which length two volumes agree."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3, VolumeSource
from voltome.quality.blocks import read_block, tile_blocks

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Threshold = float | Literal["half-bit"]

_TAPER = 0.25  # of a block's side, at either end
_MASK_SIGMA_VOX = 4.0
_LEAST_SIDE_VOX = 16


@dataclass(frozen=True)
class Resolution:
    """Full period of the finest detail on which two volumes agree.

    Parameters
    ----------
    length_m : float
        Full period at which the correlation falls below the threshold; two voxels where it never does; NaN where it
        is never above.
    at_nyquist : bool
        True where it never falls below: the resolution is `length_m` or better.
    coarsest_m : float
        Full period of the coarsest detail on which they agree: a phase that lacks low frequencies agrees on a band
        only. Infinite where the first shell does, NaN where none does.
    """

    length_m: float
    at_nyquist: bool
    coarsest_m: float

    def __str__(self) -> str:
        if math.isnan(self.length_m):
            return "nothing resolved"
        length = f"{self.length_m * 1e9:.0f} nm"
        return f"at least Nyquist ({length})" if self.at_nyquist else length


@dataclass(frozen=True, eq=False)
class ShellCorrelation:
    """Correlation of two volumes on shells of equal spatial frequency.

    Parameters
    ----------
    frequency_per_vox : (N,) float64
        Mean frequency of each shell, cycles per voxel, up to Nyquist's 0.5.
    correlation : (N,) float64
        Real part of the normalised cross-spectrum; NaN where one of the volumes has no power.
    coefficients : (N,) float64
        Independent Fourier coefficients of each shell, at least: one of each conjugate pair, less what taper and mask
        hide.
    cross_power, first_power, second_power : (N,) float64
        Sums over each shell, in one arbitrary unit.
    voxel_size_m : float
    """

    frequency_per_vox: Floats
    correlation: Floats
    coefficients: Floats
    cross_power: Floats
    first_power: Floats
    second_power: Floats
    voxel_size_m: float

    @property
    def sd(self) -> Floats:
        """Standard deviation of the correlation, at most: (1 - c^2) / sqrt(2 n) of n coefficients."""
        return np.asarray((1.0 - self.correlation**2) / np.sqrt(2.0 * np.maximum(self.coefficients, 1.0)))

    @property
    def period_m(self) -> Floats:
        """Full period of each shell."""
        return np.asarray(self.voxel_size_m / self.frequency_per_vox)

    def predict_full(self) -> ShellCorrelation:
        """Correlation that two averages of all data would have, from that of two half sets: 2 c / (1 + c).

        Rosenthal & Henderson 2003, 10.1016/j.jmb.2003.07.013. Its square root is the correlation of the average with
        the noiseless object: half sets at 0.143 stand for 0.25 here and 0.5 there.

        Returns
        -------
        ShellCorrelation
            Negative correlations stay 0.
        """
        half = np.maximum(self.correlation, 0.0)
        return replace(self, correlation=2.0 * half / (1.0 + half))

    def predict_truth(self) -> ShellCorrelation:
        """Correlation of the average of all data with the noiseless object, from that of two half sets.

        It knows noise only: what is wrong in both halves alike (rings, a wrong phase) is taken for truth.

        Returns
        -------
        ShellCorrelation
            The square root of `predict_full`.
        """
        full = self.predict_full()
        return replace(full, correlation=np.sqrt(full.correlation))

    def find_threshold(self, threshold: Threshold) -> Floats:
        """Value of a threshold on each shell.

        Parameters
        ----------
        threshold : float or "half-bit"
            A constant, or the half-bit curve of van Heel & Schatz 2005, 10.1016/j.jsb.2005.05.009, for half sets.

        Returns
        -------
        (N,) float64

        Raises
        ------
        InputError
            If it is neither "half-bit" nor between 0 and 1.
        """
        if threshold == "half-bit":
            noise = 1.0 / np.sqrt(np.maximum(self.coefficients, 1.0))
            return np.asarray((0.2071 + 1.9102 * noise) / (1.2071 + 0.9102 * noise))
        if isinstance(threshold, str) or not 0 < threshold < 1:
            raise InputError(f"threshold must be between 0 and 1 or half-bit (got {threshold}): give 0.5, or 0.143")
        return np.full(len(self.correlation), float(threshold))

    def find_resolution(self, threshold: Threshold = 0.5) -> Resolution:
        """Full period at which the correlation first falls below a threshold, interpolated between shells.

        Parameters
        ----------
        threshold : float or "half-bit"
            0.5 against truth, 0.143 or "half-bit" between half sets (or 0.5 on `predict_truth` of them).

        Returns
        -------
        Resolution
            The finest period of the band that begins at the first shell above the threshold.

        Raises
        ------
        InputError
            If the threshold is none.
        """
        over = self.correlation - self.find_threshold(threshold)
        if not (over >= 0).any():
            return Resolution(math.nan, False, math.nan)
        first = int(np.argmax(over >= 0))
        coarsest_m = math.inf if first == 0 else float(self.period_m[first])
        below = np.flatnonzero(~(over[first:] >= 0))
        if not len(below):
            return Resolution(2.0 * self.voxel_size_m, True, coarsest_m)
        last = first + int(below[0]) - 1
        a, b = over[last], over[last + 1]
        share = 0.0 if np.isnan(b) else a / (a - b)
        frequency = self.frequency_per_vox[last] * (1 - share) + self.frequency_per_vox[last + 1] * share
        return Resolution(float(self.voxel_size_m / frequency), False, coarsest_m)

    def find_error(self, *, longest_m: float = math.inf, shortest_m: float = 0.0) -> float:
        """Normalised root mean square error of the first volume in a band of periods, the second being the truth.

        Parameters
        ----------
        longest_m, shortest_m : float
            Full periods between which detail counts; Nyquist ends the band at the latest.

        Returns
        -------
        float
            rms of the difference over rms of the truth, both filtered to the band. NaN where the band is empty.
        """
        use = (self.period_m <= longest_m) & (self.period_m >= shortest_m)
        truth = self.second_power[use].sum()
        difference = (self.first_power + self.second_power - 2.0 * self.cross_power)[use].sum()
        return math.sqrt(max(float(difference / truth), 0.0)) if truth > 0 else math.nan


def correlate_shells(
    first: VolumeSource,
    second: VolumeSource,
    *,
    voxel_size_m: float,
    mask: VolumeSource | None = None,
    block_vox: int = 256,
) -> ShellCorrelation:
    """Fourier shell correlation of two volumes, or ring correlation of two images.

    Spectra are summed over tapered blocks side by side (as Welch's periodograms are), so that memory is that of a
    block, about 26 bytes a voxel of it (0.45 GB for 256^3), whatever the volume. Between a volume and its truth, or
    between volumes from every other projection. A shift of both against each other by d counts as disagreement: it
    multiplies the correlation by sinc(2 f d).

    Parameters
    ----------
    first, second : (z, y, x) volumes, or (y, x) arrays
        Of one shape and on one grid.
    voxel_size_m : float
    mask : volume of bool, optional
        Voxels that count. Its edge is softened inwards: a sharp one would be detail that both share.
    block_vox : int
        Widest side of a block; periods beyond it are not seen.

    Returns
    -------
    ShellCorrelation
        Shells one cycle per shortest block side wide.

    Raises
    ------
    InputError
        If the shapes differ, a block has less than 16 voxels a side, values are not finite, or the mask is empty.
    """
    if first.shape != second.shape or (mask is not None and mask.shape != first.shape):
        raise InputError(
            f"both volumes and the mask must have one shape (got {first.shape}, {second.shape}): crop them"
        )
    sources = [_Plane(s) if len(s.shape) == 2 else s for s in (first, second)]
    weights = _Plane(mask) if mask is not None and len(mask.shape) == 2 else mask
    blocks = tile_blocks((sources[0].shape[0], sources[0].shape[1], sources[0].shape[2]), block_vox, equal=True)
    shells = _Shells(blocks[0])
    sums = np.zeros((3, shells.count))
    powers = np.zeros(3)  # sums of w, w^2 and w^4 over all blocks: how many voxels' worth is looked at
    for block in blocks:
        soft = shells.taper if weights is None else shells.taper * _soften(np.asarray(weights[block], dtype=np.float32))
        total = float(soft.sum(dtype=np.float64))
        if total > 0:
            powers += [total, float((soft**2).sum(dtype=np.float64)), float((soft**4).sum(dtype=np.float64))]
            spectra = [shells.transform(_read_masked(s, block, soft), soft, total) for s in sources]
            sums += shells.add(*spectra)
    if not powers[0] > 0:
        raise InputError("the mask must hold voxels a few voxels inside its edge (got none): widen the mask")
    seen = powers[1] ** 2 / powers[2] / shells.taper.size
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = sums[0] / np.sqrt(sums[1] * sums[2])
    cross, one, two = sums
    coefficients = shells.coefficients * seen
    return ShellCorrelation(shells.frequency_per_vox, correlation, coefficients, cross, one, two, voxel_size_m)


class _Plane:
    """An image as a volume of one plane."""

    def __init__(self, image: VolumeSource) -> None:
        self.image = np.asarray(image)[None]
        self.shape = self.image.shape
        self.dtype = self.image.dtype

    def __getitem__(self, block: Block, /) -> NDArray[np.generic]:
        return np.asarray(self.image[block])


class _Shells:
    """Shells of the half spectrum of one block, and its taper."""

    def __init__(self, block: Block) -> None:
        z_side, y_side, x_side = (s.stop - s.start for s in block)
        self.shape: Shape3 = (z_side, y_side, x_side)
        sides = [n for n in self.shape if n > 1]
        if len(sides) < 2 or min(sides) < _LEAST_SIDE_VOX:
            raise InputError(
                f"a block must have >= {_LEAST_SIDE_VOX} voxels a side (got {self.shape}): give more of them"
            )
        self.width = min(sides)
        self.count = self.width // 2
        z, y, x = np.fft.fftfreq(self.shape[0]), np.fft.fftfreq(self.shape[1]), np.fft.rfftfreq(self.shape[2])
        self._across = y[:, None] ** 2 + x**2
        self._along = z
        twice = np.where((x == 0) | (x == 0.5), 1.0, 2.0)  # columns that stand for their conjugates as well
        self._twice = np.broadcast_to(twice, self._across.shape).ravel()
        counts, sums = np.zeros(self.count), np.zeros(self.count)
        for plane in range(self.shape[0]):
            index, radius = self._index(plane)
            counts += self._bin(index, self._twice)
            sums += self._bin(index, self._twice * radius)
        self.frequency_per_vox = sums / counts
        self.coefficients = counts / 2.0
        self.taper = _taper(self.shape)

    def _index(self, plane: int) -> tuple[NDArray[np.intp], Floats]:
        radius = np.sqrt(self._across + self._along[plane] ** 2).ravel()
        return np.minimum(np.rint(radius * self.width).astype(np.intp), self.count + 1), radius

    def _bin(self, index: NDArray[np.intp], values: Floats) -> Floats:
        return np.asarray(np.bincount(index, values, minlength=self.count + 2)[1 : self.count + 1], dtype=np.float64)

    def transform(self, values: Singles, weights: Singles, total: float) -> NDArray[np.complex64]:
        """Spectrum of the weighted departure from the weighted mean."""
        from scipy.fft import rfftn

        mean = float((values * weights).sum(dtype=np.float64)) / total
        return np.asarray(rfftn((values - np.float32(mean)) * weights, overwrite_x=True))

    def add(self, first: NDArray[np.complex64], second: NDArray[np.complex64]) -> Floats:
        """Cross power and the two powers on each shell."""
        out = np.zeros((3, self.count))
        for plane in range(self.shape[0]):
            index, _ = self._index(plane)
            a, b = first[plane].ravel(), second[plane].ravel()
            for k, product in enumerate((a * b.conj(), a * a.conj(), b * b.conj())):
                out[k] += self._bin(index, product.real * self._twice)
        return out


def _taper(shape: Shape3) -> Singles:
    """Cosine taper at the faces, Tukey's window along each axis."""
    edges = []
    for n in shape:
        depth = np.minimum(np.arange(n) + 0.5, n - 0.5 - np.arange(n)) / (_TAPER * n)
        edges.append(np.sin(0.5 * np.pi * np.minimum(depth, 1.0)) ** 2 if n > 1 else np.ones(1))
    return np.asarray(edges[0][:, None, None] * edges[1][:, None] * edges[2], dtype=np.float32)


def _soften(mask: Singles) -> Singles:
    """Weights that rise from 0 at the mask's edge to 1 inside."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter((mask > 0).astype(np.float32), _MASK_SIGMA_VOX, mode="nearest", truncate=3.0)
    return np.asarray(np.clip(2.0 * smooth - 1.0, 0.0, 1.0) * (mask > 0), dtype=np.float32)


def _read_masked(source: VolumeSource, block: Block, weights: Singles) -> Singles:
    """A block whose voxels without weight may hold anything."""
    if weights.min() > 0:
        return read_block(source, block)
    values = np.where(weights > 0, np.asarray(source[block], dtype=np.float32), np.float32(0))
    if not np.isfinite(values).all():
        raise InputError("the volume must be finite inside the mask (got NaN or infinity): take those voxels out of it")
    return values

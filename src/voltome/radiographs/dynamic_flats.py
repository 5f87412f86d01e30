"""Dynamic flats: what of the illumination's structure has moved, frame by frame.

Flats are F exp(sum_k c_k e_k): the e_k are principal components of the logarithms of the flats (Van Nieuwenhove et
al. 2015, 10.1364/OE.23.027975). A frame's c_k come from a linear fit to its high-passed logarithm, with weights that
follow the local strength of what is not illumination, and are drawn towards what the flats predict by as much as the
fit is uncertain: a sample that fills the field with structure weakens the correction, but cannot turn it into harm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.radiographs.frame_fit import filter_noise, fit_tiles, remove_slow

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

_LEAST_FLATS = 5
_MOST_FLATS = 10
_FIT_PIXELS = 2**18
_TILES = 12  # a side: their scatter is the fit's error
_PERMUTATIONS = 6
_PERMUTED_PIXELS = 2**14
_LEAST_LIGHT = 0.02  # of the flat: what is darker is opaque and not fitted
_NOISE_SDS = 8.0


@dataclass(frozen=True, eq=False)
class DynamicFlats:
    """Principal components of the flats' logarithms, and what is needed to fit a frame.

    Parameters
    ----------
    eigenflats : (k, rows, columns) float32
        Scaled so that the coefficients of the flats have variance 1; k may be 0.
    coefficients : (m, k) float64
        Of each flat.
    binning : int
        Of frames for the fit.
    reference : (r, c) float32
        Logarithm of the binned mean flat; NaN where there is no light.
    basis : (k, r, c) float32
        Eigenflats of binned flats, high-passed.
    """

    eigenflats: Singles
    coefficients: Floats
    binning: int
    reference: Singles
    basis: Singles

    def fit_frame(self, light: NDArray[np.generic], expected: Floats) -> Floats:
        """Coefficients of one frame's illumination.

        Parameters
        ----------
        light : (rows, columns)
            The whole frame less the dark.
        expected : (k,) float64
            What the flats before and after predict.

        Returns
        -------
        (k,) float64
            Between what the frame says and what is expected, each weighted by its own uncertainty; that of what is
            expected is the scatter of all flats. What is expected where the frame has no light.
        """
        if not self.basis.size:
            return expected
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(_bin(light, self.binning)) - self.reference
        seen = np.isfinite(values) & (values > np.log(_LEAST_LIGHT))
        if np.count_nonzero(seen) < 0.01 * seen.size:
            return expected
        values = remove_slow(np.where(seen, values, np.float32(0)), seen.astype(np.float32))
        values -= np.tensordot(expected.astype(np.float32), self.basis, 1)
        mask = seen.astype(np.float32)
        values, mask = _tile(np.stack([values * mask, mask]))
        step, covariance = fit_tiles(values, self._tiled, mask)
        # prior variance is 1: flats have coefficients of unit scatter
        return expected + np.linalg.solve(np.eye(len(step)) + covariance, step)

    @cached_property
    def _tiled(self) -> Singles:
        """The basis as (k, tiles down, tiles across, rows, columns)."""
        return _tile(self.basis)


def find_eigenflats(
    flats: Iterable[Singles], again: Iterable[Singles], mean: Singles, *, most: int = _MOST_FLATS
) -> DynamicFlats:
    """Principal components of flats that stand out of their noise (parallel analysis), with the noise filtered.

    Follows Van Nieuwenhove et al. 2015 (10.1364/OE.23.027975), with logarithms in place of the flats and a local
    Wiener filter in place of block matching.

    Parameters
    ----------
    flats : iterable of (rows, columns) float32
        Each flat less the dark, in the order of acquisition.
    again : iterable of (rows, columns) float32
        The same a second time: flats are never held together at full size.
    mean : (rows, columns) float32
        Of the flats.
    most : int
        Components at most.

    Returns
    -------
    DynamicFlats
        With no component where flats differ by no more than noise and intensity.

    Raises
    ------
    InputError
        If there are fewer than five flats.
    """
    binning = max(1, round((mean.size / _FIT_PIXELS) ** 0.5))
    binned_mean = _bin(mean, binning)
    lit = binned_mean > _LEAST_LIGHT * np.median(binned_mean)
    reference = np.where(lit, np.log(np.where(lit, binned_mean, 1)), np.float32(np.nan)).astype(np.float32)
    rows = [_deviate(_bin(flat, binning), binned_mean, lit) for flat in flats]
    if len(rows) < _LEAST_FLATS:
        raise InputError(
            f"dynamic flats need at least {_LEAST_FLATS} flats (got {len(rows)}): take the mode interpolated"
        )
    stack = np.stack([row[lit] for row in rows])
    stack -= stack.mean(axis=0)
    values, vectors = np.linalg.eigh((stack @ stack.T).astype(np.float64))
    values, vectors = values[::-1], vectors[:, ::-1]
    count = min(most, _count_components(stack), len(rows) - 1)
    weights = vectors[:, :count]
    eigenflats = _sum_components(again, mean, weights)
    basis = np.zeros((count, *lit.shape), dtype=np.float32)
    basis[:, lit] = (weights.T @ stack) / np.sqrt(len(rows))
    seen = lit.astype(np.float32)
    for component in basis:
        component[:] = remove_slow(component, seen) * seen
    return DynamicFlats(eigenflats, weights * np.sqrt(len(rows)), binning, reference, basis)


def _deviate(flat: Singles, mean: Singles, lit: NDArray[np.bool_]) -> Singles:
    """Logarithm of a flat over the mean one, less its median: the intensity is no part of the structure."""
    floor = np.float32(1e-3) * np.maximum(mean, np.float32(1e-30))
    out = np.log(np.maximum(flat, floor) / np.maximum(mean, np.float32(1e-30)))
    some = out[lit][:: max(1, out.size // 2**16)]
    middle = np.median(some)
    out -= middle
    reach = _NOISE_SDS * 1.4826 * np.median(np.abs(some - middle))  # a flash is no structure
    np.clip(out, -reach, reach, out=out)
    out[~lit] = 0.0
    return out


def _count_components(stack: Singles) -> int:
    """Parallel analysis: eigenvalues above those of the same values permuted among flats, pixel by pixel."""
    draw = np.random.default_rng(0)
    part = stack[:, :: max(1, stack.shape[1] // _PERMUTED_PIXELS)]
    part = part - part.mean(axis=0)
    found = np.linalg.eigvalsh((part @ part.T).astype(np.float64))[::-1]
    count = 0
    left = part
    vectors = np.linalg.eigh((part @ part.T).astype(np.float64))[1][:, ::-1]
    # Components that were found are taken out before the rest is permuted: strong ones would hide weak ones.
    while count < len(part) - 1:
        drawn = np.empty(_PERMUTATIONS)
        for i in range(_PERMUTATIONS):
            mixed = draw.permuted(left, axis=0)
            drawn[i] = np.linalg.eigvalsh((mixed @ mixed.T).astype(np.float64))[-1]
        # What is left lives in fewer dimensions than there are flats; permuted, it fills them all.
        drawn *= len(part) / (len(part) - 1 - count)
        if found[count] <= drawn.mean() + 2.0 * drawn.std():
            break
        vector = vectors[:, count].astype(np.float32)
        left = left - vector[:, None] * (vector @ left)
        count += 1
        if count >= _MOST_FLATS:
            break
    return count


def _sum_components(flats: Iterable[Singles], mean: Singles, weights: Floats) -> Singles:
    """Eigenflats at full size, their noise filtered."""
    lit = mean > _LEAST_LIGHT * np.median(mean)
    total = np.zeros((weights.shape[1], *mean.shape), dtype=np.float32)
    if not len(total):
        return total
    power = 0.0
    for flat, weight in zip(flats, weights, strict=True):
        deviation = _deviate(flat, mean, lit)
        power += float(np.sum(deviation**2, dtype=np.float64))
        for component, factor in zip(total, weight, strict=True):
            component += np.float32(factor) * deviation
    flats_count, count = weights.shape
    power -= float(np.sum(total.astype(np.float64) ** 2))
    noise = max(power, 0.0) / (mean.size * max(1, flats_count - 1 - count))
    for component in total:
        component[:] = filter_noise(component, noise)
        component[~lit] = 0.0
    total /= np.float32(np.sqrt(flats_count))
    return total


def _bin(frame: NDArray[np.generic], binning: int) -> Singles:
    """Block means; what is left over at the end is dropped. Rows first: whole lines are added."""
    rows, cols = (n // binning for n in frame.shape)
    part = frame[: rows * binning, : cols * binning]
    lines = part[0::binning].astype(np.float32)
    for i in range(1, binning):
        lines += part[i::binning].astype(np.float32)
    out = lines[:, 0::binning].copy()
    for i in range(1, binning):
        out += lines[:, i::binning]
    return out / np.float32(binning**2)


def _tile(images: Singles) -> Singles:
    """(k, r, c) to (k, tiles down, tiles across, rows, columns); what is left over at the end is dropped."""
    tiles = min(_TILES, images.shape[1]), min(_TILES, images.shape[2])
    down, across = (n // count for n, count in zip(images.shape[1:], tiles, strict=True))
    part = images[:, : tiles[0] * down, : tiles[1] * across]
    part = part.reshape(-1, tiles[0], down, tiles[1], across).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(part)

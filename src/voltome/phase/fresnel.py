"""Fresnel propagation between planes: the wave behind the sample, and what a detector sees further on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.phase.backend import Array, find_transforms, move_like

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlaneGrid:
    """The grid on which waves are sampled.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns, padding included. The transforms are periodic.
    pixel_m : float
    wavelength_m : float

    Raises
    ------
    InputError
        If a length is not positive.
    """

    shape: tuple[int, int]
    pixel_m: float
    wavelength_m: float

    def __post_init__(self) -> None:
        for name, value in (("pixel_m", self.pixel_m), ("wavelength_m", self.wavelength_m)):
            if not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} must be > 0 (got {value}): give it in metres")

    def frequencies(self) -> tuple[Floats, Floats]:
        """Frequencies of what `rfft2` gives.

        Returns
        -------
        along_rows : (rows,) float64
            Cycles a metre, negative ones too.
        along_columns : (columns // 2 + 1,) float64
        """
        rows, columns = self.shape
        along_rows, along_columns = np.fft.fftfreq(rows, self.pixel_m), np.fft.rfftfreq(columns, self.pixel_m)
        return along_rows.astype(np.float64), along_columns.astype(np.float64)

    def find_chi(self, distance_m: float) -> Floats:
        """chi = pi lambda z f^2 on the half plane that `rfft2` gives.

        Parameters
        ----------
        distance_m : float

        Returns
        -------
        (rows, columns // 2 + 1) float64
        """
        along_rows, along_columns = self.frequencies()
        squared = along_rows[:, None] ** 2 + along_columns**2
        return np.asarray(math.pi * self.wavelength_m * distance_m * squared)


@dataclass(frozen=True)
class Transfer:
    """exp(-i chi) of one distance as the product of a column and a row: nothing of the size of a frame is kept.

    Parameters
    ----------
    rows : (rows, 1) complex64 array
    columns : (columns,) complex64 array
    """

    rows: Array
    columns: Array

    def apply(self, spectrum: Array) -> Array:
        """Multiply a spectrum, in place where the array allows it.

        Parameters
        ----------
        spectrum : (rows, columns) complex64 array

        Returns
        -------
        array
            The same array.
        """
        spectrum *= self.rows
        spectrum *= self.columns
        return spectrum


def make_transfer(grid: PlaneGrid, distance_m: float, like: Array | None = None) -> Transfer:
    """The transfer function of free space over a distance, in the Fresnel approximation.

    Parameters
    ----------
    grid : PlaneGrid
    distance_m : float
        Negative: backwards. Any finite length.
    like : array, optional
        Kind of array and device that the factors shall be.

    Returns
    -------
    Transfer
    """
    like = np.empty(0, np.float32) if like is None else like
    factors = []
    for count in grid.shape:
        chi = math.pi * grid.wavelength_m * distance_m * np.fft.fftfreq(count, grid.pixel_m) ** 2
        factors.append(np.exp(-1j * chi).astype(np.complex64))
    return Transfer(move_like(factors[0][:, None].copy(), like), move_like(factors[1], like))


def propagate(wave: Array, grid: PlaneGrid, distance_m: float) -> Array:
    """The wave at a distance behind (or, negative, before) where it is known.

    Parameters
    ----------
    wave : (rows, columns) complex64 array
    grid : PlaneGrid
    distance_m : float
        Effective distance.

    Returns
    -------
    (rows, columns) complex64 array
        The plane wave's own phase exp(i k z) is left out. The field is periodic: pad it.

    Raises
    ------
    InputError
        If the wave's shape is not the grid's.

    References
    ----------
    Paganin, Coherent X-Ray Optics, 10.1093/acprof:oso/9780198567288.001.0001, section 1.4.
    """
    if tuple(wave.shape) != grid.shape:
        raise InputError(f"the wave must have the grid's shape {grid.shape} (got {tuple(wave.shape)}): pad or crop it")
    fft = find_transforms(wave)
    spectrum = make_transfer(grid, distance_m, wave).apply(fft.fft2(wave))
    return fft.ifft2(spectrum, overwrite_x=True)


def predict_intensities(wave: Array, grid: PlaneGrid, distances_m: Sequence[float]) -> list[Array]:
    """What a detector sees at some distances.

    Parameters
    ----------
    wave : (rows, columns) complex64 array
        Behind the sample.
    grid : PlaneGrid
    distances_m : sequence of float
        Effective distances.

    Returns
    -------
    list of (rows, columns) float32 array
        Intensity over that of the illumination.

    Raises
    ------
    InputError
        If the wave's shape is not the grid's.
    """
    fft = find_transforms(wave)
    spectrum = fft.fft2(wave)
    seen = []
    for distance in distances_m:
        field: Any = fft.ifft2(make_transfer(grid, distance, wave).apply(spectrum + 0), overwrite_x=True)
        seen.append(field.real**2 + field.imag**2)
    return seen

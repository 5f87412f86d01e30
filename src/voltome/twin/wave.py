"""Waves: what leaves the object, and what has become of it some way further on.

The room's own propagator, shared with no other: what retrieves phases is judged by waves that it had no hand in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Waves = NDArray[np.complex64]
Singles = NDArray[np.float32]


def make_exit_wave(phase_rad: Singles, absorption: Singles) -> Waves:
    """The wave behind a thin object in a plane wave of amplitude 1.

    Parameters
    ----------
    phase_rad : float32 array
        k times the line integral of the decrement: by so much the wave runs ahead.
    absorption : float32 array
        k times the line integral of beta, of the same shape or one that broadcasts.

    Returns
    -------
    complex64 array
        exp(-absorption - i phase).
    """
    amplitude = np.exp(-absorption)
    wave = np.empty(phase_rad.shape, np.complex64)
    wave.real = amplitude * np.cos(phase_rad)
    wave.imag = -amplitude * np.sin(phase_rad)
    return wave


def make_transfer(size: int, *, pixel_m: float, wavelength_m: float, distance_m: float) -> Waves:
    """Fresnel's transfer function along one axis; that of a plane is the outer product of two.

    Parameters
    ----------
    size : int
        Samples of the wave.
    pixel_m, wavelength_m, distance_m : float

    Returns
    -------
    (size,) complex64
        exp(-i pi lambda z f^2) at the frequencies of an FFT.
    """
    frequency = np.fft.fftfreq(size, pixel_m)
    return np.asarray(np.exp(-1j * np.pi * wavelength_m * distance_m * frequency**2), dtype=np.complex64)


def propagate_spectrum(spectrum: Waves, *, pixel_m: float, wavelength_m: float, distance_m: float) -> Waves:
    """The wave at a distance from the spectrum of one, by Fresnel's paraxial propagation (periodic beyond the edges).

    Parameters
    ----------
    spectrum : (rows, columns) complex64
        `scipy.fft.fft2` of the wave.
    pixel_m, wavelength_m, distance_m : float

    Returns
    -------
    (rows, columns) complex64
        Without the phase exp(i k z) that all of it has in common.
    """
    from scipy import fft

    along, across = (
        make_transfer(size, pixel_m=pixel_m, wavelength_m=wavelength_m, distance_m=distance_m)
        for size in spectrum.shape
    )
    turned = spectrum * along[:, None]
    turned *= across
    return np.asarray(fft.ifft2(turned, overwrite_x=True, workers=1))


def propagate_wave(wave: Waves, *, pixel_m: float, wavelength_m: float, distance_m: float) -> Waves:
    """The wave at a distance, by Fresnel's paraxial propagation (periodic beyond the edges).

    Parameters
    ----------
    wave : (rows, columns) complex64
    pixel_m, wavelength_m, distance_m : float

    Returns
    -------
    (rows, columns) complex64
        Without the phase exp(i k z) that all of it has in common.
    """
    from scipy import fft

    return propagate_spectrum(
        fft.fft2(wave, workers=1), pixel_m=pixel_m, wavelength_m=wavelength_m, distance_m=distance_m
    )

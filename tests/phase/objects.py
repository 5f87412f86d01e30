"""Objects whose phase is known, and what detectors see of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.phase import PlaneGrid, predict_intensities


def make_bumps(shape: tuple[int, int], *, seed: int = 3, count: int = 30, width_px: float = 4.0) -> NDArray[np.float64]:
    """Soft bumps on a periodic grid, 0 to 1."""
    rng = np.random.default_rng(seed)
    z, u = (np.fft.fftfreq(n) for n in shape)
    points = np.zeros(shape)
    points[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = rng.uniform(0.5, 1, count)
    soft = np.exp(-2 * (np.pi * width_px) ** 2 * (z[:, None] ** 2 + u**2))
    bumps = np.fft.ifft2(np.fft.fft2(points) * soft).real
    return (bumps - bumps.min()) / np.ptp(bumps)


def expose(
    phase: NDArray[np.float64], log_amplitude: NDArray[np.float64], grid: PlaneGrid, distances_m: list[float]
) -> NDArray[np.float32]:
    """Intensities of an object at some distances, in float32."""
    wave = np.exp(log_amplitude + 1j * phase)
    return np.stack(predict_intensities(wave, grid, distances_m)).astype(np.float32)


def measure_error(found: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
    """Rms of the difference over that of the truth, means apart."""
    difference = found - truth
    return float(np.std(difference) / np.std(truth))

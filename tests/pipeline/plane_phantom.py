"""A clear object in green light, its images at several distances, and a stage that walks off and drifts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from voltome.phase import PlaneGrid, predict_intensities

WIDE = (320, 360)
FRAME = (176, 208)
WAVELENGTH_M, PIXEL_M = 532e-9, 2e-7
DISTANCES_UM = (15, 40, 75, 110, 150)
TILT_PX_PER_UM = np.array([0.05, -0.04])
DRIFT_PX = np.array([4.5, -3.0])  # of the last plane, beside the tilt


def make_wave(seed: int = 4) -> NDArray[np.complex64]:
    """Behind an object of some hundred grains."""
    rng = np.random.default_rng(seed)
    z, u = (np.fft.fftfreq(n) for n in WIDE)
    squared = z[:, None] ** 2 + u**2
    total = np.zeros(WIDE)
    for width in (2.5, 4.0):
        points = np.zeros(WIDE)
        points[rng.integers(0, WIDE[0], 250), rng.integers(0, WIDE[1], 250)] = rng.uniform(0.5, 1, 250)
        soft = np.fft.ifft2(np.fft.fft2(points) * np.exp(-2 * (np.pi * width) ** 2 * squared)).real
        total += soft / soft.max()
    return np.exp(1j * total - 0.15 * total).astype(np.complex64)


def find_walk(distance_um: float) -> NDArray[np.float64]:
    """How far the object lies displaced at a distance, in pixels."""
    return TILT_PX_PER_UM * (distance_um - DISTANCES_UM[0]) + (DRIFT_PX if distance_um == DISTANCES_UM[-1] else 0)


def expose(distance_um: float) -> NDArray[np.float32]:
    """The intensity in the frame of a plane."""
    z, u = (np.fft.fftfreq(n) for n in WIDE)
    walk = find_walk(distance_um)
    ramp = np.exp(-2j * np.pi * (walk[0] * z[:, None] + walk[1] * u))
    wave = np.fft.ifft2(np.fft.fft2(make_wave()) * ramp).astype(np.complex64)
    seen = predict_intensities(wave, PlaneGrid(WIDE, PIXEL_M, WAVELENGTH_M), [distance_um * 1e-6])[0]
    top, left = ((w - n) // 2 for w, n in zip(WIDE, FRAME, strict=True))
    return np.asarray(seen[top : top + FRAME[0], left : left + FRAME[1]], dtype=np.float32)


def write_scan(folder: Path, *, settings: str = "", distances_um: tuple[int, ...] = DISTANCES_UM) -> Path:
    """Raw images of 16 bits under an uneven beam, its reference and dark, and their SCAN.yaml."""
    rng = np.random.default_rng(9)
    z, u = np.indices(FRAME)
    beam = 9000 * (1 + 0.2 * np.cos((z + 2 * u) / 11) + 0.2 * z / FRAME[0])

    def write(name: str, image: NDArray[np.float64]) -> None:
        tifffile.imwrite(folder / name, (rng.poisson(image) + 100).astype(np.uint16))

    write("reference.tif", beam)
    write("dark.tif", np.zeros(FRAME))
    lines = [f"wavelength_m: {WAVELENGTH_M}", f"pixel_m: {PIXEL_M}", "reference: reference.tif", "dark: dark.tif"]
    lines += [settings, "planes:"]
    for number, distance in enumerate(distances_um):
        write(f"z{distance:03d}.tif", beam * expose(distance) * (1 + 0.02 * (number % 2)))
        lines.append(f"  - {{file: z{distance:03d}.tif, distance_m: {distance}.0e-6}}")
    (folder / "scan.yaml").write_text("\n".join(lines) + "\n")
    return folder / "scan.yaml"

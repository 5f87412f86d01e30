"""Phase retrieval: cost and accuracy of the modes, beside twenty plain iterations of alternating projections.

Frames of a seeded phantom are made by the twin's own propagator, with photon noise. Run: python benchmarks/phase.py
"""

from __future__ import annotations

import argparse
import math
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from voltome.optics import Geometry, find_wavelength
from voltome.phase import PhaseRetriever, PlaneGrid, Recipe, make_paganin, make_planes, plan_extension, project_together
from voltome.twin.wave import propagate_spectrum

Singles = NDArray[np.float32]

PIXEL_M = 50e-9
CONTRAST = 2.7e-7  # silicon against electrolyte, in delta
DELTA_BETA = 500.0
PHOTONS = 2400.0
ACCURACY_SIDE = 1024
WAVELENGTH_M = find_wavelength(29.6)
GEOMETRIES = [
    Geometry(WAVELENGTH_M, near, 0.72 - near, 0.65e-6) for near in (0.72 / 13 * ratio for ratio in (1, 1.04, 1.2, 1.5))
]
DISTANCES_M = [one.effective_m for one in GEOMETRIES]


def draw_spheres(side: int, *, strength: float, seed: int = 0) -> NDArray[np.float64]:
    """Phase of projected spheres, radii about 1.75 um, as many as fill a field; it falls to its mean at the border."""
    random = np.random.default_rng(seed)
    thickness = np.zeros((side, side))
    for _ in range(int(700 * (side / 512) ** 2)):
        radius = random.lognormal(math.log(35), 0.4)
        y, x = random.uniform(-40, side + 40, 2)
        rows = np.arange(max(0, int(y - radius)), min(side, int(y + radius) + 2))
        columns = np.arange(max(0, int(x - radius)), min(side, int(x + radius) + 2))
        if len(rows) and len(columns):
            away = (rows[:, None] - y) ** 2 + (columns - x) ** 2
            part = np.ix_(rows, columns)
            thickness[part] += 2 * np.sqrt(np.clip(radius**2 - away, 0, None))
    phase = -2 * np.pi / WAVELENGTH_M * CONTRAST * strength * PIXEL_M * thickness
    near = np.minimum(np.arange(side), np.arange(side)[::-1]) / 60
    window = np.sin(np.clip(near, 0, 1) * np.pi / 2) ** 2
    return phase.mean() + (phase - phase.mean()) * window[:, None] * window


def film(phase: NDArray[np.float64], side: int, *, seed: int = 1) -> Singles:
    """Intensities with photon noise at all distances in the middle of a field that goes on around it."""
    start = (len(phase) - side) // 2
    part = slice(start, start + side)
    random = np.random.default_rng(seed)
    wave = np.exp(phase / DELTA_BETA + 1j * phase).astype(np.complex64)
    frames = []
    for distance in DISTANCES_M:
        far = propagate_spectrum(
            np.fft.fft2(wave).astype(np.complex64), pixel_m=PIXEL_M, wavelength_m=WAVELENGTH_M, distance_m=distance
        )
        seen = np.abs(far) ** 2
        frames.append(random.poisson(np.maximum(seen[part, part], 0) * PHOTONS) / PHOTONS)
    return np.stack(frames).astype(np.float32)


def judge(found: Singles, truth: NDArray[np.float64]) -> tuple[float, float]:
    """NRMSE of detail below 1 um, and the length at which the ring correlation falls to one half, in nm."""
    # What lies near the border depends on what is beyond it.
    margin = len(truth) // 8
    found, truth = (values[margin:-margin, margin:-margin] for values in (found, truth))
    side = len(truth)
    taper = np.hanning(side)[:, None] * np.hanning(side)
    found, truth = ((values - values.mean()) * taper for values in (found, truth))
    frequency = np.hypot(np.fft.fftfreq(side, PIXEL_M)[:, None], np.fft.fftfreq(side, PIXEL_M))
    one, other = np.fft.fft2(found), np.fft.fft2(truth)
    fine = frequency > 1e6
    error = math.sqrt((np.abs(one - other)[fine] ** 2).sum() / (np.abs(other)[fine] ** 2).sum())
    ring = np.rint(frequency * side * PIXEL_M).astype(int).ravel()
    cross, first, second = (
        np.bincount(ring, a.ravel()) for a in ((one * other.conj()).real, np.abs(one) ** 2, np.abs(other) ** 2)
    )
    correlation = (cross / np.sqrt(first * second))[: side // 2]
    low = np.flatnonzero(correlation < 0.5)
    low = low[low > 0]
    return error, side * PIXEL_M / (low[0] if len(low) else side // 2) * 1e9


def run_plain(frames: Singles) -> Singles:
    """Twenty iterations onto all planes at once, from Paganin: what the paper's software does."""
    extension = plan_extension(frames.shape[1:], padding=1.25)
    grid = PlaneGrid(extension.padded, PIXEL_M, WAVELENGTH_M)
    wide = extension.extend(frames)
    guess, log_amplitude = make_paganin(grid, DISTANCES_M).retrieve(list(wide))
    planes = make_planes(grid, DISTANCES_M)
    wave = project_together(np.exp(log_amplitude + 1j * guess).astype(np.complex64), list(np.sqrt(wide)), planes)
    rows, columns = extension.inside
    found: Singles = (guess + np.angle(wave * np.exp(-1j * guess)))[rows, columns]
    return found


def main() -> None:
    """Print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048, help="pixels of the frames that are timed")
    side = parser.parse_args().side
    modes = {
        "plain: Paganin, 20 iterations together": None,
        "`paper`": Recipe("paper"),
        "`fast`": Recipe("fast"),
        "`quality`": Recipe("quality"),
        "`quality`, 2 cycles": Recipe("quality", iterations=2),
    }
    print("| phase sd | method | NRMSE below 1 um | FRC 0.5, nm |\n|---|---|---|---|")
    for strength in (1.0, 3.0):
        whole = draw_spheres(2 * ACCURACY_SIDE, strength=strength)
        frames = film(whole, ACCURACY_SIDE)
        start = ACCURACY_SIDE // 2
        truth = whole[start : start + ACCURACY_SIDE, start : start + ACCURACY_SIDE]
        for name, recipe in modes.items():
            if recipe is None:
                found = run_plain(frames)
            else:
                retriever = PhaseRetriever(
                    frames.shape[1:], pixel_m=PIXEL_M, wavelength_m=WAVELENGTH_M, distances_m=DISTANCES_M, recipe=recipe
                )
                found = np.asarray(retriever.retrieve(frames).phase)
            error, length = judge(found, truth)
            print(f"| {truth.std():.2f} rad | {name} | {error:.3f} | {length:.0f} |", flush=True)
    print(f"\n| one projection of {side}^2, 4 distances | CPU s | over `quality` |\n|---|---|---|")
    frames = film(draw_spheres(side, strength=1.0), side)
    times = {}
    for name, recipe in modes.items():
        retriever = None
        if recipe is not None:
            retriever = PhaseRetriever(
                frames.shape[1:], pixel_m=PIXEL_M, wavelength_m=WAVELENGTH_M, distances_m=DISTANCES_M, recipe=recipe
            )
        clock = time.process_time()
        run_plain(frames) if retriever is None else retriever.retrieve(frames)
        times[name] = time.process_time() - clock
    for name, seconds in times.items():
        print(f"| {name} | {seconds:.1f} | {seconds / times['`quality`']:.1f} |")


if __name__ == "__main__":
    main()

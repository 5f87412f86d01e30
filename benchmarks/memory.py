"""Peak memory of `voltome correlate` on a pair that is larger than the memory it may use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from judge import CONVERGED, read_table
from numpy.typing import NDArray
from pages import Section, Target, make_table
from peers import run_voltome
from scipy import ndimage

SIZE = 1024
SPACING = 35
STRETCH = 1.02
SHIFT = (6, -5)
PEAK_TARGET_BYTES = 4e9
_SMOOTH = 0.6

Plane = NDArray[np.float32]


def _texture_planes() -> Iterator[Plane]:
    """Smoothed white noise, plane by plane: two boxes across the plane, a recursion of second order along z."""
    random = np.random.default_rng(0)
    first, second = np.zeros((2, SIZE, SIZE), dtype=np.float32)
    while True:
        white = random.random((SIZE, SIZE), dtype=np.float32) - np.float32(0.5)
        first += (1 - _SMOOTH) * (ndimage.uniform_filter(ndimage.uniform_filter(white, 3), 3) - first)
        second += (1 - _SMOOTH) * (first - second)
        yield second


def write_large_pair(folder: Path) -> tuple[Path, Path]:
    """Reference and deformed state as uncompressed float32 TIFF, plane by plane.

    The deformed state is stretched along z about plane 0, linear between planes, and shifted by whole voxels in the
    plane (cyclically).
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / "large_reference.tif", folder / "large_deformed.tif")
    reference, deformed = (tifffile.memmap(path, shape=(SIZE,) * 3, dtype=np.float32, bigtiff=True) for path in paths)
    planes = _texture_planes()
    ready = 0
    for z, plane in zip(range(SIZE), planes, strict=False):
        reference[z] = plane
        while ready < SIZE and int(ready / STRETCH) + 1 <= z:
            below, part = int(ready / STRETCH), np.float32(ready / STRETCH % 1)
            between = (1 - part) * reference[below] + part * reference[below + 1]
            deformed[ready] = np.roll(between, SHIFT, axis=(0, 1))
            ready += 1
    deformed[ready:] = deformed[ready - 1]
    for volume in (reference, deformed):
        volume.flush()
    return paths


TEXT = """## Memory

`voltome correlate` on a pair of {size}^3 float32 voxels on disk (uncompressed TIFF, {gigabytes:.1f} GB each),
spacing and half window {spacing}, its own registration, 2 threads.

{table}

The pair is smoothed noise, stretched by {stretch:.0%} along z (linear between planes) and shifted in the plane. The
peak is the largest resident memory of the process; no volume is memory-mapped.
"""


def measure_memory(folder: Path) -> Section | None:
    """Section of the page and its target; None where the disk has no room for the pair, which is removed at the end."""
    needed = 3 * 4 * SIZE**3
    free = shutil.disk_usage(folder).free
    if free < needed:
        print(f"memory: left out, {free / 1e9:.0f} GB free and {needed / 1e9:.0f} needed in {folder}", flush=True)
        return None
    place = folder / "large"
    try:
        reference, deformed = write_large_pair(place)
        print("memory: pair written", flush=True)
        tsv, cost = run_voltome(
            reference, deformed, folder / "large_out" / "voltome", node_spacing=SPACING, half_window=SPACING
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    table = read_table(tsv)
    truth = np.diag([STRETCH - 1, 0, 0]) @ table.positions_vox.T
    error = table.phi[:, :3, 3] - truth.T - (0, *SHIFT)
    row = [f"{cost.peak_rss_bytes / 1e9:.2f}", f"{cost.cpu_s:.0f}", f"{cost.wall_s:.0f}",
           f"{(table.status == CONVERGED).sum()} / {len(table.status)}",
           f"{np.median(np.linalg.norm(error, axis=1) / np.sqrt(3)):.4f}"]  # fmt: skip
    rows = make_table(("peak resident, GB", "CPU s", "wall s", "converged", "u median error, voxels"), [row])
    print(rows, flush=True)
    target = Target(
        f"{SIZE}^3 float32 pair on disk, spacing {SPACING}, peak resident memory", "<= 4 GB", f"{row[0]} GB",
        cost.peak_rss_bytes <= PEAK_TARGET_BYTES,
    )  # fmt: skip
    text = TEXT.format(size=SIZE, gigabytes=4 * SIZE**3 / 1e9, spacing=SPACING, table=rows, stretch=STRETCH - 1)
    return Section(text, [target])

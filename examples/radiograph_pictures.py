"""A picture of each stage from radiographs to slices: raw, flat-corrected, phase, slice, slice without rings, truth.

    python examples/radiograph_pictures.py radiographs.png [FOLDER]

Simulates the first scan of the experiment of size `small`, with more pixels that make rings, and reconstructs it: five
minutes. With FOLDER, an experiment that has been simulated with `--radiographs`, that one is shown.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image as Picture

from voltome import dvc, io
from voltome.frames import PROJECTION
from voltome.pipeline.reconstruct import reconstruct_scan
from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.pipeline.scan_frames import name_files
from voltome.pipeline.simulate import simulate_experiment
from voltome.radiographs import FlatField
from voltome.reconstruction import remove_rings_in_slices
from voltome.twin import make_settings

ANGLE = 40  # number of the projection that is shown
BAR_M = 5e-6
SLICE = 117  # rings show in the large particle
CUT = slice(68, 152)  # rows of the cut along the axis
HALF_WIDTH = 3.2  # of the slices' greys, in 1e-7 of delta

Image = NDArray[np.float32]


class Stages(NamedTuple):
    """What is shown; lengths of a pixel in metres."""

    raw: NDArray[np.uint16]
    near: Image
    far: Image
    phase: Image
    ringed: Image
    volume: Image
    truth: Image
    pixel_m: float
    far_pixel_m: float


def simulate(folder: Path) -> None:
    """The first scan of the experiment of size `small`, with pixels that err more often and by more."""
    settings = make_settings("small")
    camera = settings.radiographs.model_copy(update={"ring_fraction": 0.01, "ring_gain": 0.5})
    first = settings.model_copy(update={"steps": settings.steps[:1], "radiographs": camera})
    simulate_experiment(first, folder, radiographs=True)


def run_blocks(
    name: str, function: Callable[..., dict[str, NDArray[Any]]], arguments: Sequence[tuple[Any, ...]]
) -> list[dict[str, NDArray[Any]]]:
    """Work the blocks of a reconstruction on threads."""
    print(f"{name}: {len(arguments)} blocks", flush=True)
    with dvc.thread_pool(None) as pool:
        return list(pool.map(lambda given: function(*given), arguments))


def make_stages(folder: Path) -> Stages:
    """Reconstruct T0 and keep what is on the way; volumes in 1e-7 of delta."""
    truth = io.read_volume(folder / "truth" / "T0" / "decrement.zarr")
    settings = ReconstructionSettings(rings_slice=None, shape_vox=(truth.shape[1], truth.shape[2]))
    files = name_files(sorted(str(path) for path in (folder / "radiographs").glob("T0_*.nx")), settings)
    with files.open() as scan:
        first, last = scan.distances[0], scan.distances[-1]
        assert first.geometry is not None
        assert last.geometry is not None
        number = first.find(PROJECTION)[ANGLE]
        raw = first.frames[int(number), slice(None), slice(None)]
        near, far = (
            FlatField.fit(one, mode="dynamic").correct(one.find(PROJECTION)[[ANGLE]])[0] for one in (first, last)
        )
        angles, pixels = len(first.find(PROJECTION)), (first.geometry.pixel_m, last.geometry.pixel_m)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        stack, _ = reconstruct_scan(files, settings, Path(work), run_blocks)
        ringed = stack[:, :, :] * np.float32(1e7)
        integrals = io.FrameStack(Path(work) / "integrals.raw", (angles, *raw.shape))
        phase = -integrals[slice(ANGLE, ANGLE + 1), slice(None), slice(None)][0]
    return Stages(raw, near, far, phase, ringed, remove_rings_in_slices(ringed), truth, *pixels)


def show(
    axis: Axes, image: NDArray[Any], title: str, pixel_m: float, limits: tuple[float, float], cmap: str = "gray"
) -> None:
    """One picture with a scale bar of 5 micrometres and its greys."""
    shown = axis.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1])
    rows, columns = image.shape
    bar = [0.95 * columns - BAR_M / pixel_m, 0.95 * columns]
    for colour, width in (("k", 5), ("w", 2.5)):
        axis.plot(bar, [0.955 * rows] * 2, color=colour, lw=width, solid_capstyle="butt")
    axis.set_title(title, fontsize=13)
    axis.axis("off")
    axis.figure.colorbar(shown, ax=axis, shrink=0.8, aspect=25, pad=0.02)


def spread(image: NDArray[Any]) -> tuple[float, float]:
    """Greys that leave out one in two hundred pixels on either side."""
    low, high = np.percentile(image, [0.5, 99.5])
    return float(low), float(high)


def draw(stages: Stages, path: str) -> None:
    """Lay the pictures out."""
    rings = stages.ringed - stages.volume
    strongest = float(np.quantile(np.abs(rings[SLICE]), 0.99))
    lit = stages.near.mean(axis=1) > 0.5
    middle, pixel, far = stages.truth.shape[1] // 2, stages.pixel_m, stages.far_pixel_m
    # What all of a volume has in common a phase does not tell: greys are those about the mean.
    found, true = (part[CUT, middle] - part[CUT].mean() for part in (stages.volume, stages.truth))
    slices = [part - part.mean() for part in (stages.ringed[SLICE], stages.volume[SLICE], stages.truth[SLICE])]
    figure, axes = plt.subplots(3, 3, figsize=(13.5, 12), layout="constrained")
    greys, transmission = (-HALF_WIDTH, HALF_WIDTH), (0.4, 1.7)
    shown: list[tuple[NDArray[Any], str, float, tuple[float, float], str]] = [
        (stages.raw, "1  Raw radiograph, counts", pixel, (0, spread(stages.raw)[1]), "gray"),
        (stages.near, f"2  Flat-corrected: transmission, {pixel * 1e9:.0f} nm", pixel, transmission, "gray"),
        (stages.far, f"3  The same at the fourth distance, {far * 1e9:.0f} nm", far, transmission, "gray"),
        (stages.phase, "4  Phase of four distances, rad", pixel, spread(stages.phase[lit]), "gray"),
        (slices[0], "5  Slice, delta less its mean, 1e-7", pixel, greys, "gray_r"),
        (rings[SLICE], "6  What the ring filter takes, 1e-7", pixel, (-strongest, strongest), "gray_r"),
        (slices[1], "7  Slice without rings, 1e-7", pixel, greys, "gray_r"),
        (slices[2], "8  Truth, 1e-7", pixel, greys, "gray_r"),
        (np.concatenate([found, true]), "9  Along the axis: found, true, 1e-7", pixel, greys, "gray_r"),
    ]
    for axis, (image, title, size, limits, cmap) in zip(axes.flat, shown, strict=True):
        show(axis, image, title, size, limits, cmap)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=75)
    # All of it is grey: a third of the bytes.
    Picture.open(drawn).convert("L").save(path, optimize=True)


def main(path: str, folder: str | None) -> None:
    if folder is not None:
        draw(make_stages(Path(folder)), path)
        return
    with tempfile.TemporaryDirectory() as made:
        simulate(Path(made) / "twin")
        draw(make_stages(Path(made) / "twin"), path)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)

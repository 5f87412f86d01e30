"""Pictures of the digital twin beside Fig. 2 of the paper: T0, T3, T6, T8, and one particle through time.

    python examples/twin_pictures.py twin.png [SEED]

Renders single slices of the experiment of size `paper` (50 nm voxels); a minute or two.
"""

from __future__ import annotations

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from voltome.twin import ElectrodeTwin, find_particles, make_settings, render_block

SLICES = (0, 3, 6, 8)
TIMES = (0, 1, 2, 3, 4, 5, 6, 8)
HALF = 75  # voxels shown about the particle: 7.5 micrometres
GREYS = {"cmap": "gray", "vmin": 12000, "vmax": 50000}


def cut_slice(
    twin: ElectrodeTwin, number: int, centre: NDArray[np.float64], half: tuple[int, int]
) -> NDArray[np.uint16]:
    """Grey values of a slice z, x through a centre (voxels), as far as the volume reaches."""
    z, y, x = np.rint(centre).astype(int)
    low = max(z - half[0], 0), y, max(x - half[1], 0)
    high = min(z + half[0], twin.settings.shape[0]), y + 1, min(x + half[1], twin.settings.shape[2])
    return render_block(twin, number, tuple(slice(a, b) for a, b in zip(low, high, strict=True)))[0][:, 0]  # type: ignore[arg-type]


def choose_particle(twin: ElectrodeTwin) -> int:
    """Row of a network particle of about 4.5 micrometres in the middle of the field."""
    truth = find_particles(twin, 0)
    middle = (np.asarray(twin.settings.shape) - 1) / 2 * (0.5, 1, 1)
    odd = np.linalg.norm((truth.field.positions_vox - middle) / 100, axis=1)
    odd += np.abs(truth.columns["diameter_m"] - 4.5e-6) * 1e6 + 10 * (truth.columns["mechanism"] != "network")
    return int(odd.argmin())


def main(path: str, seed: int) -> None:
    twin = ElectrodeTwin(make_settings("paper", seed=seed))
    depth, _, width = twin.settings.shape
    figure = plt.figure(figsize=(13, 8.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 1.75))
    centre = np.array([depth / 2, twin.settings.shape[1] / 2, width / 2])
    for axis, number in zip(top.subplots(1, len(SLICES)), SLICES, strict=True):
        axis.imshow(cut_slice(twin, number, centre, (depth // 2, width // 2)), **GREYS)
        step = twin.settings.steps[number]
        axis.set_title(f"{step.name}: {step.thickness_m * 1e6:.1f} µm, SoC {step.soc:.0%}")
        axis.plot([30, 130], [depth - 30] * 2, "w", lw=3)
        axis.axis("off")
    row = choose_particle(twin)
    for axis, number in zip(bottom.subplots(1, len(TIMES)), TIMES, strict=True):
        truth = find_particles(twin, number)
        here = np.array([truth.columns[f"{name}now"][row] for name in "ZYX"])
        axis.imshow(cut_slice(twin, number, here, (HALF, HALF)), **GREYS)
        axis.set_title(f"{twin.settings.steps[number].name}: {truth.columns['lithiated_fraction'][row]:.0%}")
        axis.axis("off")
    figure.savefig(path, dpi=75)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)

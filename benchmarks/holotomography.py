"""Radiographs of the twin to volumes: how well the volumes resolve, and how right their greys are, against truth.

Run: python benchmarks/holotomography.py EXPERIMENT [--step T0] [--mode quality] [--psf-px 1.3], EXPERIMENT made by
`voltome simulate --radiographs`; and --strain STORE IDEAL for two studies of the same experiment.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from voltome import io
from voltome.pipeline.reconstruct import reconstruct_to_file
from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.pipeline.twin_folder import open_twin
from voltome.quality import describe_quality

UNIT = 1e-7  # of the decrements that the twin writes


def judge_step(
    experiment: Path, step: str, settings: ReconstructionSettings, volume: Path | None
) -> dict[str, float | str]:
    """Reconstruct one step and compare the electrode with its truth."""
    twin, _ = open_twin(experiment)
    number = twin.settings.find_step(step)
    nz, ny, nx = twin.settings.shape
    settings = settings.model_copy(update={"shape_vox": (ny, nx)})
    names = [str(path) for path in sorted((experiment / "radiographs").glob(f"{step}_?.nx"))]
    found: dict[str, float | str] = {"mode": settings.mode or "quality"}
    with tempfile.TemporaryDirectory(dir=experiment) as folder:
        clock = time.process_time()
        target = Path(folder) / "volume.npy" if volume is None else volume
        if not target.exists():
            summary = reconstruct_to_file(names, target, settings)
            found |= {
                "CPU s": round(time.process_time() - clock),
                "peak MB": summary["peak_memory_bytes"] >> 20,
                "axis_px": summary["axis"]["axis_px"],
                "divergence_px": summary["divergence_px"],
            }
        with io.open_volume(target) as opened:
            seen = np.asarray(opened[0:nz, 0:ny, 0:nx])
    with io.open_volume(experiment / "truth" / step / "decrement.zarr") as opened:
        truth = np.asarray(opened[0:nz, 0:ny, 0:nx]) * np.float32(UNIT)
    # The electrode, without the rough face of the copper and without the separator.
    voxel = twin.settings.voxel_size_m
    first = round((twin.settings.collector_m + 1.5e-6) / voxel)
    last = round((twin.settings.collector_m + twin.settings.steps[number].thickness_m - 1.5e-6) / voxel)
    scan = twin.settings.scan
    described = describe_quality(
        seen[first:last],
        voxel_size_m=voxel,
        truth=truth[first:last],
        truth_anchors=(5.51e-7, scan.electrolyte_delta),
    )
    for group in ("edges", "truth", "grey_bias", "rings", "anchors"):
        found |= {f"{group}.{name}": value for name, value in described.get(group, {}).items()}
    # What the mean of a slice has to do with that of the truth: interior tomography does not know it.
    offset = (seen[first:last].mean(axis=(1, 2)) - truth[first:last].mean(axis=(1, 2))) / (
        5.51e-7 - scan.electrolyte_delta
    )
    found |= {"offset of slices, spread over contrast": float(np.ptp(offset))}
    return found


def compare_strain(store: Path, ideal: Path) -> list[tuple[str, float, float]]:
    """Mean volumetric strain of each scan in two studies of one experiment."""
    rows = []
    tables = [io.read_json(folder / "electrode" / "measurements.json") for folder in (store, ideal)]
    for name, values in tables[0].items():
        rows.append((name, values, tables[1].get(name)))
    return rows


def main() -> None:
    """Print what was found as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--step", default="T0")
    parser.add_argument("--mode", default="quality")
    parser.add_argument("--psf-px", type=float)
    parser.add_argument("--delta-beta", type=float, default=170.0)
    parser.add_argument("--filter", default="ramp")
    parser.add_argument("--volume", type=Path, help="a volume that was reconstructed before")
    given = parser.parse_args()
    settings = ReconstructionSettings(
        mode=given.mode, detector_psf_px=given.psf_px, delta_beta=given.delta_beta, filter=given.filter
    )
    for name, value in judge_step(given.experiment, given.step, settings, given.volume).items():
        print(f"| {name} | {value:.4g} |" if isinstance(value, float) else f"| {name} | {value} |")


if __name__ == "__main__":
    main()

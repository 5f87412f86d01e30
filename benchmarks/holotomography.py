"""Radiographs of the twin to volumes: how right phases, volumes and strain are, against truth.

Run: python benchmarks/holotomography.py EXPERIMENT [--step T0] [--mode quality] [--psf-px 1.3], EXPERIMENT made by
`voltome simulate --radiographs`; with --strain STORE IDEAL, the results of its two studies, their strains are compared
instead.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from pages import make_table
from scipy import ndimage

from voltome import io
from voltome.pipeline.reconstruct import reconstruct_scan
from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.pipeline.scan_frames import name_files
from voltome.pipeline.twin_folder import open_twin
from voltome.quality import describe_quality
from voltome.twin.projection import Projector
from voltome.twin.radiographs import RadiographPlan, plan_radiographs

UNIT = 1e-7  # of the decrements that the twin writes
SILICON = 5.51e-7
MARGIN_M = 1.5e-6  # from the faces of the electrode: rough copper, separator
PROJECTED = 24  # angles at which phases are judged
BANDS_M = ((0.0, 1e-6), (3e-7, 1e-6), (4e-7, 1e-6))

Row = tuple[str, str]


def judge_step(experiment: Path, step: str, settings: ReconstructionSettings) -> list[Row]:
    """Reconstruct one step and compare the electrode with its truth."""
    twin, _ = open_twin(experiment)
    number = twin.settings.find_step(step)
    own = twin.settings
    settings = settings.model_copy(update={"shape_vox": own.shape[1:]})
    names = [str(path) for path in sorted((experiment / "radiographs").glob(f"{step}_?.nx"))]
    files = name_files(names, settings)
    spent: dict[str, float] = {}
    voxel, scan = own.voxel_size_m, own.scan
    first = round((own.collector_m + MARGIN_M) / voxel)
    last = round((own.collector_m + own.steps[number].thickness_m - MARGIN_M) / voxel)
    everything = slice(0, own.shape[1]), slice(0, own.shape[2])
    with tempfile.TemporaryDirectory(dir=experiment) as folder, ThreadPoolExecutor(2) as pool:

        def run_blocks(stage: str, function: Any, arguments: Any) -> list[dict[str, NDArray[Any]]]:
            before = time.process_time()
            done = list(pool.map(lambda given: function(*given), arguments))
            spent[stage] = spent.get(stage, 0.0) + time.process_time() - before
            return done

        volume, summary = reconstruct_scan(files, settings, Path(folder), run_blocks)
        seen = np.asarray(volume[slice(first, last), *everything])
        with io.open_volume(experiment / "truth" / step / "decrement.zarr") as opened:
            truth = np.asarray(opened[slice(first, last), *everything]) * np.float32(UNIT)
        plan = plan_radiographs(own)
        shifts = io.read_table_tsv(experiment / "truth" / step / "radiographs_1.tsv")
        integrals = io.FrameStack(Path(folder) / "integrals.raw", (len(plan.angles_rad), *plan.frame_shape))
        phases = judge_phases(integrals, truth, first, plan, shifts)
        del volume, integrals
    found = describe_quality(seen, voxel_size_m=voxel, truth=truth, truth_anchors=(SILICON, scan.electrolyte_delta))
    edges, against, bias = found["edges"], found["truth"], found["grey_bias"]
    contrast = SILICON - scan.electrolyte_delta
    offsets = (seen.mean(axis=(1, 2), dtype=np.float64) - truth.mean(axis=(1, 2), dtype=np.float64)) / contrast
    return [
        ("mode, angles, voxel", f"{summary['mode']}, {summary['angles']}, {voxel * 1e9:.0f} nm"),
        ("axis, true", f"{summary['axis']['axis_px']:.3f}, {plan.axis_px:.3f} px"),
        *((f"phases: NRMSE, {tell_band(band)}", f"{error:.3f}") for band, error in zip(BANDS_M, phases, strict=True)),
        (f"edges of {edges['edges']} particles, FWHM and quartiles", tell_edges(edges)),
        ("FSC 0.5 against truth", f"{1e9 * float(against['fsc_half_m']):.0f} nm"),
        *((f"volume: NRMSE, {tell_band(band)}", f"{find_error(seen, truth, voxel, band):.3f}") for band in BANDS_M),
        ("grey bias between the anchors", f"{100 * float(bias['worst']):.2f} % (gain {float(bias['gain']):.3f})"),
        ("contrast-to-noise", f"{float(found['anchors'].get('contrast_to_noise', np.nan)):.1f}"),
        ("rings, share of the contrast", f"{100 * float(found['rings'].get('share_of_contrast', np.nan)):.1f} %"),
        ("offset of slices: spread over the contrast", f"{100 * float(np.ptp(offsets)):.1f} %"),
        ("CPU s", ", ".join(f"{stage} {value:.0f}" for stage, value in spent.items())),
    ]


def tell_edges(edges: Mapping[str, Any]) -> str:
    """Median width of edges by the quadratic fit, and quartiles."""
    middle, low, high = (1e9 * float(edges[f"quadratic_{name}"]) for name in ("m", "q1_m", "q3_m"))
    return f"{middle:.0f} nm ({low:.0f} to {high:.0f})"


def tell_band(band: tuple[float, float]) -> str:
    """A band of periods in words."""
    shortest, longest = band
    return f"below {1e6 * longest:g} um" + (f", above {1e9 * shortest:.0f} nm" if shortest else "")


def find_error(seen: NDArray[Any], truth: NDArray[Any], pixel_m: float, band: tuple[float, float]) -> float:
    """Root mean square error over that of the truth, of detail with periods in a band."""
    taper = np.ones(1)
    for size in seen.shape:
        taper = taper[..., None] * np.hanning(size)
    taper = taper[0]
    frequency = np.sqrt(
        sum(
            np.square(f)
            for f in np.meshgrid(*(np.fft.fftfreq(n, pixel_m) for n in seen.shape), indexing="ij", sparse=True)
        )
    )
    chosen = (frequency > 1 / band[1]) & (frequency < (1 / band[0] if band[0] else np.inf))
    true = np.fft.fftn((truth - truth.mean()) * taper)[chosen]
    wrong = np.fft.fftn((seen - seen.mean() - (truth - truth.mean())) * taper)[chosen]
    return float(np.sqrt(np.sum(np.abs(wrong) ** 2) / np.sum(np.abs(true) ** 2)))


def judge_phases(
    integrals: io.FrameStack, truth: NDArray[np.float32], first: int, plan: RadiographPlan, shifts: dict[str, Any]
) -> list[float]:
    """Errors of phases in bands, over some angles, rows of the electrode and the columns in the middle."""
    rows, columns = len(truth) // 2 * 2, plan.frame_shape[1]
    angles = np.linspace(0, len(plan.angles_rad) - 1, PROJECTED).astype(int)
    projector = Projector(truth.shape[1:], plan.diameter_vox, plan.wave_shape[1], plan.angles_rad[angles])
    lines = np.concatenate([projector.project(truth[z : z + 2]) for z in range(0, rows, 2)])
    wavelength, pixel = plan.geometries[0].wavelength_m, plan.settings.voxel_size_m
    z, u = np.arange(12, rows - 12), np.arange(columns // 12, columns - columns // 12)
    errors = []
    for k, angle in enumerate(angles):
        # The sample is displaced in this frame by what the twin says.
        place = u - plan.axis_px + (plan.wave_shape[1] - 1) / 2 - shifts["shift_u_px"][angle]
        at = np.meshgrid(z - shifts["shift_z_px"][angle], place, indexing="ij")
        true = 2 * np.pi / wavelength * pixel * ndimage.map_coordinates(lines[:, k], at, order=5)
        seen = np.asarray(integrals[angle : angle + 1, first + z[0] : first + z[-1] + 1, u[0] : u[-1] + 1])[0]
        errors.append([find_error(seen, true, pixel, band) for band in BANDS_M])
    return [float(value) for value in np.sqrt(np.mean(np.square(errors), axis=0))]


def compare_strain(store: Path, ideal: Path) -> list[list[str]]:
    """Mean volumetric strain, in points, of each scan in two studies of one experiment, and the truth."""
    found: list[dict[str, dict[str, str]]] = []
    for folder in (store, ideal):
        with (folder / "electrode" / "measurements.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["name"] == "volumetric_strain"]
        found.append({row["scan"]: row for row in rows if row["region"] == "whole"})
    truth = {
        row["step"]: row["true"]
        for row in io.read_json(ideal / "accuracy.json")["rows"]
        if row["name"] == "volumetric_strain"
    }
    table = []
    for scan, row in found[0].items():
        one, other = (100 * float(values["value"]) for values in (row, found[1][scan]))
        sds = [100 * float(values["sd_random"]) for values in (row, found[1][scan])]
        true = 100 * float(truth.get(scan, "nan"))
        table.append([scan, *(f"{v:.1f}" for v in (true, one, sds[0], other, sds[1])), f"{one - other:+.1f}"])
    return table


def main() -> None:
    """Print what was found as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--step", default="T0")
    parser.add_argument("--mode", default="quality")
    parser.add_argument("--psf-px", type=float)
    parser.add_argument("--delta-beta", type=float, default=170.0)
    parser.add_argument("--filter")
    parser.add_argument("--flats", choices=("dynamic", "interpolated"))
    parser.add_argument("--strain", type=Path, nargs=2, metavar=("STORE", "IDEAL"))
    given = parser.parse_args()
    if given.strain is not None:
        header = ("scan", "true, %", "from radiographs", "its sd", "from ideal volumes", "its sd", "difference")
        print(make_table(header, compare_strain(*given.strain)))
        return
    settings = ReconstructionSettings(
        mode=given.mode,
        detector_psf_px=given.psf_px,
        delta_beta=given.delta_beta,
        filter=given.filter,
        flats=given.flats,
    )
    print(make_table(("", given.step), judge_step(given.experiment, given.step, settings)))


if __name__ == "__main__":
    main()

"""Deformation of a volume beside spam-deformImage: cost of the command, cost a voxel, distance from the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from pages import Section, Target, make_table
from pairs import PairFiles, write_speckle_pair
from peers import Cost, run_spam_deform, run_voltome_deform

from voltome.fields import DeformationField, NodeStatus
from voltome.grid import regular_nodes
from voltome.io import write_phi_tsv

SPACING = 20
RIM_VOX = 20
LEAST_SIZE, PEER_SIZE, OUR_SIZE = 60, 100, 220
REPEATS = 2
SPEED_TARGET = 200
TOOLS = ("voltome, cubic", "voltome, linear", "SPAM, linear")


@dataclass(frozen=True)
class Case:
    """A noise-free pair and its true field at the nodes of a grid."""

    pair: PairFiles
    phi: Path


def _make_case(folder: Path, size: int) -> Case:
    pair = write_speckle_pair(folder, size, noise=0.0)
    positions, grid_shape = regular_nodes(pair.shape, SPACING)
    phi = np.tile(np.eye(4), (len(positions), 1, 1))
    phi[:, :3, :3] = pair.motion.gradient(positions)
    phi[:, :3, 3] = pair.motion.displacement(positions)
    status = np.full(len(positions), NodeStatus.CONVERGED, dtype=np.int32)
    table = folder / f"{pair.name}_phi.tsv"
    field = DeformationField.from_phi(positions, phi, grid_shape=grid_shape).with_values(status=status)
    write_phi_tsv(table, field, overwrite=True)
    return Case(pair, table)


def _deform(tool: str, spam: Path, case: Case, out: Path) -> tuple[Path, Cost]:
    if tool.startswith("SPAM"):
        return run_spam_deform(spam, case.pair.reference, case.phi, out)
    return run_voltome_deform(case.pair.reference, case.phi, out, tool.split(", ")[1])


def _distance(written: Path, case: Case) -> float:
    """RMS distance from the true deformed image over its sd, the outer rim left out."""
    inner = (slice(RIM_VOX, -RIM_VOX),) * 3
    image, truth = (tifffile.imread(path).astype(np.float64)[inner] for path in (written, case.pair.deformed))
    return float(np.sqrt(np.mean((image - truth) ** 2)) / truth.std())


HEADER = (
    "tool, interpolation", *(f"CPU s, {n}^3" for n in (LEAST_SIZE, PEER_SIZE, OUR_SIZE)), "microseconds a voxel",
    "SPAM's / this", "distance from the truth",
)  # fmt: skip

TEXT = """## Deformation of volumes

`voltome deform` beside `spam-deformImage`, both with the same true field on nodes {spacing} voxels apart, the same
float32 TIFF (noise-free speckle), 2 threads or processes, both writing a TIFF.

{table}

Microseconds of CPU a voxel are the difference of two sizes, {least}^3 and the largest that the tool was run on, so
that the start of the process is not counted; voltome's seconds, which are few, are the lesser of {repeats} runs, after
one that compiles. The distance is the rms difference from the deformed state sampled from
the object itself, as a part of the image's sd, on {peer}^3 without a rim of {rim} voxels. Both tools interpolate the
field between nodes, and part of the distance is that.
"""


@dataclass(frozen=True)
class Run:
    """CPU seconds of the command by size, and the distance from the truth at `PEER_SIZE`."""

    cpu_s: dict[int, float]
    distance: float

    @property
    def microseconds(self) -> float:
        """CPU a voxel between the smallest and the largest size."""
        small, large = min(self.cpu_s), max(self.cpu_s)
        return 1e6 * (self.cpu_s[large] - self.cpu_s[small]) / (large**3 - small**3)


def _run(tool: str, spam: Path, cases: dict[int, Case], out: Path) -> Run:
    cpu_s, distance = {}, np.nan
    for size, case in cases.items():
        if size > PEER_SIZE and tool.startswith("SPAM"):
            continue
        runs = [_deform(tool, spam, case, out) for _ in range(1 if tool.startswith("SPAM") else REPEATS)]
        written, cpu_s[size] = runs[-1][0], min(cost.cpu_s for _, cost in runs)
        if size == PEER_SIZE:
            distance = _distance(written, case)
    return Run(cpu_s, distance)


def compare_deforming(folder: Path, spam: Path) -> Section:
    """Section of the page and its target; SPAM does not work the largest volume."""
    cases = {size: _make_case(folder / "noise_free", size) for size in (LEAST_SIZE, PEER_SIZE, OUR_SIZE)}
    for tool in TOOLS[:2]:
        _deform(tool, spam, cases[LEAST_SIZE], folder / "deform")
    found = {tool: _run(tool, spam, cases, folder / "deform") for tool in TOOLS}
    peer = found[TOOLS[-1]].microseconds
    rows = [
        [
            tool,
            *(f"{run.cpu_s[size]:.1f}" if size in run.cpu_s else "not run" for size in cases),
            f"{run.microseconds:.3f}",
            f"{peer / run.microseconds:.0f}",
            f"{run.distance:.4f}",
        ]
        for tool, run in found.items()
    ]
    table = make_table(HEADER, rows)
    print(table, flush=True)
    target = Target(
        "`deform` beside `spam-deformImage`, CPU a voxel", f"{SPEED_TARGET} times less",
        ", ".join(f"{peer / found[tool].microseconds:.0f} ({tool.split(', ')[1]})" for tool in TOOLS[:2]),
        peer / found[TOOLS[0]].microseconds >= SPEED_TARGET,
    )  # fmt: skip
    text = TEXT.format(spacing=SPACING, table=table, least=LEAST_SIZE, peer=PEER_SIZE, rim=RIM_VOX, repeats=REPEATS)
    return Section(text, [target])

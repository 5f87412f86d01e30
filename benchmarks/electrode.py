"""Accuracy of the electrode's numbers on twins: what a whole study recovers beside what is true.

    python benchmarks/electrode.py [--size paper] [--seeds 1 2 3] [--work DIR] [--date 2026-01-31] [--page FILE]
    python benchmarks/electrode.py --stores "paper, seed 1=RESULTS" ... [--page FILE]

Simulates each twin, runs its study and writes docs/accuracy-electrode.md; or takes results that stand. On two cores a
twin of the size `paper` takes 20 minutes to simulate and 30 to run, `small` 4 and 4.
"""

from __future__ import annotations

import argparse
import datetime
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pages import DOCS, describe_machine, make_table, write_page

from voltome import io
from voltome.pipeline.simulate import simulate_experiment
from voltome.study.executors import open_workers
from voltome.study.runner import run_study
from voltome.study.study_file import load_study
from voltome.twin.configuration import make_settings

STRAINS = ("volumetric_strain", "volumetric_strain_collector_side", "volumetric_strain_separator_side")
IN_PLANE = ("in_plane_strain_yy", "in_plane_strain_xx")

PAGE = """# Accuracy of the electrode's numbers

*Written by `benchmarks/electrode.py`; do not edit. {date}.*

{machine}. Whole studies of [digital twins](twin.md): {stores}. Each number is compared with the twin's truth;
errors are recovered less true. "Inside" is the share whose truth lies within two of the stated standard deviations,
random and bias together.

## Targets

{targets}

## Largest errors at each twin

{largest}

## Step by step

Errors at {first}.

{steps}

## Displacement of single nodes

Composed from the increments and aligned on the collector, against the affine motion that fits each node's window best;
trusted nodes. "By depth": four slabs from collector to separator with as many nodes each. sd: median of the stated one,
random and bias together.

{nodes}

## Headline numbers over all twins

{headlines}

What the columns mean, and what limits them: [the electrode](electrode.md).
"""


@dataclass(frozen=True)
class Twin:
    """What a study of a twin recovered."""

    name: str
    voxel_m: float
    rows: list[dict[str, Any]]
    nodes: dict[str, dict[str, Any]]

    def errors(self, names: Sequence[str], steps: Iterable[str] | None = None) -> list[float]:
        """Recovered less true."""
        wanted = None if steps is None else set(steps)
        return [
            row["recovered"] - row["true"]
            for row in self.rows
            if row["name"] in names and (wanted is None or row["step"] in wanted) and row["recovered"] is not None
        ]

    @property
    def charged(self) -> list[str]:
        """The steps T1 to T8."""
        return [f"T{k}" for k in range(1, 9)]


def read_twin(name: str, store: Path) -> Twin:
    """Read the accuracy of a study's results."""
    voxel_m = io.read_yaml(store / "study.yaml")["voxel_size_m"]
    nodes = {place.parent.name: io.read_json(place) for place in sorted((store / "truth").glob("*/accuracy.json"))}
    return Twin(name, voxel_m, io.read_json(store / "accuracy.json")["rows"], nodes)


def run_twin(size: str, seed: int, work: Path) -> Twin:
    """Simulate a twin, run its study without the direct check, and read what it recovered."""
    experiment, store = work / f"{size}{seed}", work / f"{size}{seed}-results"
    if not (experiment / "study.yaml").is_file():
        simulate_experiment(make_settings(size, seed=seed), experiment)
    values = io.read_yaml(experiment / "study.yaml")
    values["correlation"] = values["correlation"] | {"direct_check": False}
    io.write_yaml(experiment / "accuracy.yaml", values, overwrite=True)
    with open_workers() as workers:
        run_study(load_study(experiment / "accuracy.yaml"), store, workers)
    return read_twin(f"{size}, seed {seed}", store)


def _write_share(values: Sequence[float]) -> str:
    return f"{100 * float(np.mean(values)):.0f} %" if len(values) else "none"


def _inside(row: dict[str, Any]) -> bool | None:
    sds = [row[name] for name in ("sd_random", "sd_bias") if row[name] is not None]
    if not sds or row["recovered"] is None:
        return None
    return abs(row["recovered"] - row["true"]) <= 2 * math.hypot(*sds)


def list_targets(twins: Sequence[Twin]) -> str:
    """Table of the targets: wanted, and the worst of each twin."""
    rules: tuple[tuple[str, str, float, Callable[[Twin], list[float]], float, str], ...] = (
        ("thickness, T0 to T9", "0.15 um", 0.15e-6, lambda t: t.errors(("thickness",)), 1e6, "um"),
        ("mean volumetric strain, whole and sides, T1 to T8", "1.5 points", 0.015,
         lambda t: t.errors(STRAINS, t.charged), 100, "points"),
        ("in-plane strain, T1 to T8", "0.3 points", 0.003, lambda t: t.errors(IN_PLANE, t.charged), 100, "points"),
        ("alignment along z", "0.2 voxel", 0.2, lambda t: [e / t.voxel_m for e in t.errors(("alignment_z",))], 1,
         "voxel"),
        ("scale", "2e-4", 2e-4, lambda t: t.errors(("alignment_scale",)), 1e4, "e-4"),
    )  # fmt: skip
    out = []
    for what, wanted, limit, find, factor, unit in rules:
        for twin in twins:
            errors = np.abs(find(twin))
            held = f"{int((errors <= limit).sum())} of {len(errors)}"
            rms = f"{factor * float(np.sqrt(np.mean(errors**2))):.2g}"
            out.append([what, wanted, twin.name, f"{factor * errors.max():.2g} {unit}", rms, held])
    for twin in twins:
        medians = [node["truth_error_vox"] for node in twin.nodes.values()]
        inside = [node["inside_two_sd"] for node in twin.nodes.values()]
        sds = [node["sd_median_vox"] for node in twin.nodes.values()]
        out.append(["displacement, median error", "0.15 voxel", twin.name, f"{max(medians):.2f} voxel", "", ""])
        text = f"{100 * min(inside):.1f} to {100 * max(inside):.1f} %"
        out.append(["nodes inside two sd", "93 to 97 %", twin.name, text, "", ""])
        out.append(["displacement, median sd", "0.3 voxel", twin.name, f"{max(sds):.2f} voxel", "", ""])
    return make_table(("what", "target", "twin", "worst", "rms", "held"), out)


def list_largest(twins: Sequence[Twin]) -> str:
    """For each number: rms and largest error, rms of error over stated sd, and how often the truth is inside."""
    out = []
    for twin in twins:
        for name in dict.fromkeys(row["name"] for row in twin.rows):
            rows = [row for row in twin.rows if row["name"] == name and row["recovered"] is not None]
            if not rows or name.startswith("alignment_rotation"):
                continue
            factor, unit = (1e6, "um") if rows[0]["unit"] == "m" else (100, "%")
            errors = factor * np.array([row["recovered"] - row["true"] for row in rows])
            known = [(row, inside) for row in rows if (inside := _inside(row)) is not None]
            sds = [math.hypot(*(row[k] for k in ("sd_random", "sd_bias") if row[k] is not None)) for row, _ in known]
            z = [(row["recovered"] - row["true"]) / sd for (row, _), sd in zip(known, sds, strict=True) if sd > 0]
            score = f"{float(np.sqrt(np.mean(np.square(z)))):.2f}" if z else "none"
            text = [f"{float(np.sqrt(np.mean(errors**2))):.2g} {unit}", f"{np.abs(errors).max():.2g}", score]
            out.append([twin.name, name.replace("_", " "), *text, _write_share([inside for _, inside in known])])
    return make_table(("twin", "number", "rms error", "largest", "z", "inside"), out)


def list_steps(twin: Twin) -> str:
    """True value, error and sd of the headline numbers at each step."""
    names = ("thickness", *STRAINS, *IN_PLANE, "alignment_scale")
    steps = [step for step in dict.fromkeys(row["step"] for row in twin.rows) if step != "T0"]
    out = []
    for name in names:
        found = {row["step"]: row for row in twin.rows if row["name"] == name}
        factor = 1e6 if name == "thickness" else 1e4 if name == "alignment_scale" else 100
        unit = {"thickness": "um", "alignment_scale": "1e-4"}.get(name, "points")
        cells = []
        for step in sorted(steps):
            row = found.get(step)
            if row is None or row["recovered"] is None:
                cells.append("none")
                continue
            sd = math.hypot(*(row[k] for k in ("sd_random", "sd_bias") if row[k] is not None))
            cells.append(f"{factor * (row['recovered'] - row['true']):+.2f} ± {factor * sd:.2f}")
        out.append([f"{name.replace('_', ' ')} ({unit})", *cells])
    return make_table(("number", *sorted(steps)), out)


def list_nodes(twins: Sequence[Twin]) -> str:
    """Errors of single nodes and how honest their sds are."""
    out = []
    for twin in twins:
        for step, node in twin.nodes.items():
            depth = " ".join(f"{100 * share:.0f}" for share in node["inside_by_depth"] or ())
            out.append(
                [
                    twin.name,
                    step,
                    f"{node['truth_nodes']}",
                    f"{node['truth_error_vox']:.2f}",
                    f"{node['sd_median_vox']:.2f}",
                    f"{100 * node['inside_two_sd']:.1f} %",
                    depth,
                ]
            )
    header = ("twin", "step", "nodes", "median error, voxels", "sd, voxels", "inside", "by depth, %")
    return make_table(header, out)


def list_headlines(twins: Sequence[Twin]) -> str:
    """Share of the headline numbers whose truth is inside two sd, over all twins and steps."""
    groups = {"thickness": ("thickness",), "volumetric strain, whole and sides": STRAINS, "in-plane strain": IN_PLANE,
              "alignment: shift, rotation, scale": tuple(
                  {row["name"] for twin in twins for row in twin.rows if row["name"].startswith("alignment")}
              )}  # fmt: skip
    groups["all of these"] = tuple(name for names in groups.values() for name in names)
    out = []
    for what, names in groups.items():
        inside = [i for twin in twins for row in twin.rows if row["name"] in names and (i := _inside(row)) is not None]
        out.append([what, f"{len(inside)}", _write_share(inside)])
    return make_table(("numbers", "how many", "inside"), out)


def _part(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    return name, Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="paper")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=Path("accuracy-output"))
    parser.add_argument("--stores", nargs="+", help="results that stand, as NAME=FOLDER")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--page", type=Path, default=DOCS / "accuracy-electrode.md")
    options = parser.parse_args()
    if options.stores:
        twins = [read_twin(*_part(store)) for store in options.stores]
    else:
        twins = [run_twin(options.size, seed, options.work) for seed in options.seeds]
    page = PAGE.format(
        date=options.date,
        machine=describe_machine(),
        stores="; ".join(twin.name for twin in twins),
        targets=list_targets(twins),
        largest=list_largest(twins),
        first=twins[0].name,
        steps=list_steps(twins[0]),
        nodes=list_nodes(twins),
        headlines=list_headlines(twins),
    )
    write_page(options.page, page)


if __name__ == "__main__":
    main()

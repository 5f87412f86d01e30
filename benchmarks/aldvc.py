"""Local correlation beside pyALDVC: whole command, and the local step by itself.

pyALDVC (https://github.com/zachtong/pyALDVC, BSD-3, `al-dvc` on PyPI) runs in an environment of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from judge import CONVERGED, Errors, inner_nodes, measure_errors, read_table
from numpy.typing import NDArray
from pages import Section, Target, make_table
from pairs import PairFiles
from peers import REPOSITORY, Cost, measure_command, run_voltome

from voltome.twin import best_affine

VERSION = "1.2.1"
FOLDER = REPOSITORY / ".venv-peers" / "pyaldvc"
Case = tuple[PairFiles, Path, int, int]
"""A pair, its registration, node spacing and half window."""

HERE = Path(__file__).resolve().parent
# It declares the libraries of its window as well; without them its solver runs all the same.
NEEDS = ("numpy", "scipy", "numba", "tifffile", "h5py", "matplotlib", "pyyaml")


@dataclass(frozen=True)
class Run:
    """One tool on one pair: cost of the whole process, CPU seconds of the local step from arrays in memory and a start
    that is given, nodes, converged ones, errors on those whose windows lie inside both volumes."""

    tool: str
    cost: Cost
    local_s: float
    nodes: int
    converged: int
    errors: Errors


def ensure_aldvc(folder: Path = FOLDER) -> Path:
    """Folder of pyALDVC's environment; made and filled with pip where it is missing."""
    if not (folder / "bin" / "al-dvc").exists():
        print(f"installing pyALDVC {VERSION} into {folder} (once)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, *NEEDS], check=True)
        subprocess.run([*pip, "--no-deps", f"al-dvc=={VERSION}"], check=True)
    return folder


def _judge(
    pair: PairFiles, half_window: int, positions: NDArray[np.float64], phi: NDArray[np.float64], use: NDArray[np.bool_]
) -> Errors:
    truth = best_affine(pair.motion, positions, half_window, shape=pair.shape)
    return measure_errors(phi, truth, use & inner_nodes(positions, truth, half_window, pair.shape))


def run_aldvc(folder: Path, pair: PairFiles, out: Path, spacing: int, half_window: int) -> Run:
    """pyALDVC; what its own outlier test rejects counts as not converged, and is not judged."""
    out.mkdir(parents=True, exist_ok=True)
    saved = out / "pyaldvc.npz"
    words: list[str | Path] = [saved, pair.reference, pair.deformed, str(spacing), str(half_window)]
    cost = measure_command([folder / "bin" / "python", HERE / "aldvc_driver.py", *words], log=out / "pyaldvc.log")
    found = np.load(saved)
    # its order is x, y, z, its gradient that of the displacement; status 0 is converged
    phi = np.tile(np.eye(4), (len(found["u"]), 1, 1))
    phi[:, :3, 3] = found["u"][:, ::-1]
    phi[:, :3, :3] += found["f"][:, ::-1, ::-1]
    good = (found["status"] == 0) & ~found["outlier"]
    errors = _judge(pair, half_window, found["positions"][:, ::-1].astype(np.float64), phi, good)
    local_s = float(found["correlation_s"] - found["start_s"])
    return Run("pyALDVC", cost, local_s, len(phi), int(good.sum()), errors)


def run_ours(pair: PairFiles, registration: Path, out: Path, spacing: int, half_window: int) -> Run:
    """voltome with a registration of its own; then its local step from a registration that is given."""
    words: list[str | Path] = [pair.reference, pair.deformed, registration, str(spacing), str(half_window)]
    tsv, cost = run_voltome(
        pair.reference, pair.deformed, out / "voltome", node_spacing=spacing, half_window=half_window
    )
    saved = out / "voltome-local.json"
    measure_command([sys.executable, HERE / "local_driver.py", saved, *words], log=out / "voltome-local.log")
    table = read_table(tsv)
    good = table.status == CONVERGED
    errors = _judge(pair, half_window, table.positions_vox, table.phi, good)
    return Run("voltome", cost, json.loads(saved.read_text()), len(table.phi), int(good.sum()), errors)


HEADER = (
    "pair, spacing / half window", "tool", "CPU s", "pyALDVC's / this", "CPU s, local step", "pyALDVC's / this",
    "peak MiB", "converged", "local step, CPU ms a node", "nodes judged", "u rms", "u median", "F rms", "F median",
)  # fmt: skip

TEXT = """## pyALDVC

pyALDVC {version} (BSD-3, in an environment of its own) at its defaults but for the global step, which is left out:
local subsets only, on 2 threads, its first compilation done before. The same files, node spacing and windows.

{table}

- CPU s: the whole process from nothing, files read and results written; each tool finds its own start (voltome a
  registration, pyALDVC a displacement for each node). The local step: from arrays in memory and a start that is given
  (voltome: the registration above; pyALDVC: the process's correlation less its search for a start).
- pyALDVC places nodes only where a whole window and a margin of 5 voxels fit, voltome also at the faces: hence fewer
  nodes, at other places. Each tool is judged on its own converged nodes whose windows lie inside both volumes, against
  the best affine of the same window. pyALDVC's nodes that its own test rejects as outliers count as not converged.
"""


def _row(label: str, run: Run, peer: Run) -> list[str]:
    errors = run.errors
    return [
        label,
        run.tool,
        f"{run.cost.cpu_s:.1f}",
        f"{peer.cost.cpu_s / run.cost.cpu_s:.1f}",
        f"{run.local_s:.2f}",
        f"{peer.local_s / run.local_s:.1f}",
        f"{run.cost.peak_rss_bytes / 2**20:.0f}",
        f"{run.converged} / {run.nodes}",
        f"{1000 * run.local_s / run.nodes:.2f}",
        str(errors.nodes),
        f"{errors.u_rms:.4f}",
        f"{errors.u_median:.4f}",
        f"{errors.f_rms:.1e}",
        f"{errors.f_median:.1e}",
    ]


def compare_aldvc(folder: Path, cases: Sequence[Case], scratch: Path, first: PairFiles) -> Section:
    """Section of the page; pyALDVC compiles on the pair `first`."""
    run_aldvc(folder, first, scratch / "pyaldvc" / "first", 20, 12)
    rows, targets = [], []
    for pair, registration, spacing, half_window in cases:
        out = scratch / "pyaldvc" / f"{pair.name}_{spacing}_{half_window}"
        peer = run_aldvc(folder, pair, out, spacing, half_window)
        ours = run_ours(pair, registration, out, spacing, half_window)
        label = f"{pair.name}, {spacing} / {half_window}"
        rows += [_row(label, run, peer) for run in (ours, peer)]
        print(make_table(HEADER, rows[-2:]), flush=True)
        whole, local = peer.cost.cpu_s / ours.cost.cpu_s, peer.local_s / ours.local_s
        no_worse = ours.errors.u_rms <= peer.errors.u_rms and ours.errors.f_rms <= peer.errors.f_rms
        targets.append(
            Target(
                f"pyALDVC {VERSION}, local step, {label}", "3 times fewer CPU s at no larger error",
                f"{local:.1f} (whole command {whole:.1f}); u rms {ours.errors.u_rms:.4f} against "
                f"{peer.errors.u_rms:.4f}, F {ours.errors.f_rms:.1e} against {peer.errors.f_rms:.1e}",
                local >= 3 and no_worse,
            )
        )  # fmt: skip
    return Section(TEXT.format(version=VERSION, table=make_table(HEADER, rows)), targets)

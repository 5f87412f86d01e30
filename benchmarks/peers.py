"""SPAM and voltome as commands, SPAM's environment, and what a command costs.

SPAM (https://www.spam-project.dev) is GPL software: a peer that runs in an environment of its own, never imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SPAM_VERSION = "0.9.1"
REPOSITORY = Path(__file__).resolve().parent.parent
MEASURE = Path(__file__).resolve().with_name("measure.py")
SPAM_FOLDER = REPOSITORY / ".venv-peers" / "spam"


@dataclass(frozen=True)
class Cost:
    """What a command took.

    CPU is user + system time of the command and all its children; the peak is that of its largest single process.
    """

    cpu_s: float
    wall_s: float
    peak_rss_bytes: int


def measure_command(command: Sequence[str | Path], *, log: Path) -> Cost:
    """Run a command to its end and take its cost; its output goes to `log`.

    Raises RuntimeError with the end of the log if it fails.
    """
    words = [str(part) for part in command]
    cost = log.with_suffix(".cost.json")
    code = subprocess.run([sys.executable, str(MEASURE), str(cost), str(log), *words], check=False).returncode
    if code != 0:
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else "it did not start"
        raise RuntimeError(f"{words[0]} ended with {code}:\n{tail}")
    return Cost(**json.loads(cost.read_text()))


def ensure_spam(folder: Path = SPAM_FOLDER) -> Path:
    """Folder of SPAM's environment; made and filled with pip where it is missing."""
    if not (folder / "bin" / "spam-ldic").exists():
        print(f"installing SPAM {SPAM_VERSION} into {folder} (once)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", f"spam=={SPAM_VERSION}"], check=True)
    return folder


def find_snow(folder: Path) -> Path:
    """The snow image that SPAM ships, 100^3 voxels of a real tomogram."""
    found = sorted(folder.glob("lib/python*/site-packages/spam/data/snow/snow.tif"))
    if not found:
        raise RuntimeError(f"no snow.tif in {folder}: this SPAM ships other data, adapt find_snow")
    return found[0]


def run_spam_registration(folder: Path, reference: Path, deformed: Path, out: Path) -> tuple[Path, Cost]:
    """spam-reg at its defaults; returns its one-row TSV (acting about the volume's centre) and its cost."""
    out.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [folder / "bin" / "spam-reg", reference, deformed, "-od", out, "-pre", "spam"]
    cost = measure_command(command, log=out / "spam-reg.log")
    return out / "spam-registration.tsv", cost


def run_spam_local(
    folder: Path, reference: Path, deformed: Path, registration: Path, out: Path, *, node_spacing: int,
    half_window: int, processes: int = 2,
) -> tuple[Path, Cost]:  # fmt: skip
    """spam-ldic at its defaults (linear interpolation, |dPhi| < 1e-3, 50 iterations) from a registration."""
    out.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        folder / "bin" / "spam-ldic", reference, deformed, "-pf", registration, "-ns", str(node_spacing),
        "-hws", str(half_window), "-np", str(processes), "-od", out, "-pre", "spam",
    ]  # fmt: skip
    cost = measure_command(command, log=out / "spam-ldic.log")
    return out / "spam-ldic.tsv", cost


def run_spam_deform(folder: Path, image: Path, phi: Path, out: Path, *, processes: int = 2) -> tuple[Path, Cost]:
    """spam-deformImage at its defaults (linear interpolation, each voxel moved by its eight nearest nodes)."""
    out.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        folder / "bin" / "spam-deformImage", image, "-pf", phi, "-np", str(processes), "-od", out, "-pre", "spam",
    ]  # fmt: skip
    cost = measure_command(command, log=out / "spam-deformImage.log")
    return out / "spam-def.tif", cost


def _voltome(command: str, threads: int, *arguments: str | Path) -> list[str | Path]:
    return [Path(sys.executable).parent / "voltome", command, *arguments, "--threads", str(threads), "--overwrite"]


def run_voltome(
    reference: Path, deformed: Path, out: Path, *, node_spacing: int, half_window: int,
    registration: Path | None = None, threads: int = 2,
) -> tuple[Path, Cost]:  # fmt: skip
    """voltome correlate at its defaults without a report; from a registration, or from one of its own."""
    out.parent.mkdir(parents=True, exist_ok=True)
    start: list[str | Path] = [] if registration is None else ["--initial-phi", registration]
    command = _voltome(
        "correlate", threads, reference, deformed, "--out", out, "--node-spacing", str(node_spacing), "--half-window",
        str(half_window), "--no-report", *start,
    )  # fmt: skip
    cost = measure_command(command, log=out.parent / f"{out.name}.log")
    return out / "phi.tsv", cost


def run_voltome_deform(image: Path, phi: Path, out: Path, interpolation: str, *, threads: int = 2) -> tuple[Path, Cost]:
    """voltome deform; returns the TIFF it wrote."""
    out.mkdir(parents=True, exist_ok=True)
    written = out / f"voltome-{interpolation}.tif"
    command = _voltome("deform", threads, image, phi, "--out", written, "--interpolation", interpolation)
    cost = measure_command(command, log=out / f"voltome-{interpolation}.log")
    return written, cost

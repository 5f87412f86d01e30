"""`voltome doctor`: what is installed, what each extra would add, and what the machine offers."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Annotated, Any

import typer

from voltome import __version__

_EXTRAS = {
    "cluster": "Dask, and jobs of SLURM: run a study on many machines",
    "openvino": "OpenVINO: networks predict three to four times as fast",
    "train": "PyTorch: train segmentation networks, run them on a GPU where there is one",
    "test": "what `make test` needs",
    "lint": "what `make lint` needs",
    "docs": "what `make docs` needs",
}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Tell what is installed, what each extra adds, and the CPU, threads, memory and GPU of this machine."""
    found = examine()
    if as_json:
        import json

        typer.echo(json.dumps(found, indent=2))
    else:
        _print_tables(found)


def examine() -> dict[str, Any]:
    """Look at the installation and the machine.

    Returns
    -------
    dict
        `machine` (name to text or number), `core` (package to version, None where missing) and `extras` (extra to
        `adds`, `packages`, `install`, which is None where it is installed).
    """
    core, extras = _requirements()
    return {
        "machine": {
            "voltome": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cpu": _cpu_model(),
            "logical_cores": os.cpu_count(),
            "threads_used": _usable_cores(),
            **_memory(),
            "gpu": _gpus() or "none found",
        },
        "core": {package: _version(package) for package in core},
        "extras": {extra: _examine_extra(extra, packages) for extra, packages in extras.items()},
    }


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Packages of the core and of each extra, from voltome's own metadata."""
    from importlib import metadata

    try:
        lines = metadata.requires("voltome") or []
    except metadata.PackageNotFoundError:  # run from its source tree
        return [], {}
    core: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in lines:
        package = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if package:
            (extras.setdefault(extra[1], []) if extra else core).append(package[0])
    return sorted(core), extras


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _examine_extra(extra: str, packages: list[str]) -> dict[str, Any]:
    versions = {package: _version(package) for package in packages}
    missing = None in versions.values()
    return {
        "adds": _EXTRAS.get(extra, ""),
        "packages": versions,
        "install": f"pip install 'voltome[{extra}]'" if missing else None,
    }


def _cpu_model() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        model = re.search(r"^model name\s*:\s*(.+)$", described.read_text(errors="replace"), re.MULTILINE)
        if model:
            return model[1]
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    """Cores this process may run on: what voltome uses unless --threads says otherwise."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> dict[str, str]:
    import psutil

    memory = psutil.virtual_memory()
    return {
        "memory_total": f"{memory.total / 2**30:.1f} GiB",
        "memory_available": f"{memory.available / 2**30:.1f} GiB",
    }


def _gpus() -> str:
    if util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    listed = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    return ", ".join(line.strip() for line in listed.splitlines())


def _output(*command: str) -> str:
    """What a small program of the system prints; empty where it is missing, fails or hangs."""
    if not shutil.which(command[0]):
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _print_tables(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    machine = Table(title="machine", title_justify="left", show_header=False)
    for name, value in found["machine"].items():
        machine.add_row(name.replace("_", " "), str(value))
    console.print(machine)
    core = Table("package", "version", title="core", title_justify="left")
    for package, version in found["core"].items():
        core.add_row(package, version or "[red]missing[/red]: pip install voltome")
    if found["core"]:
        console.print(core)
    else:
        console.print("voltome is run from its source tree: `pip install .` lets doctor see its packages")
    extras = Table("extra", "adds", "installed", "to install", title="extras", title_justify="left")
    for extra, state in found["extras"].items():
        packages = ", ".join(f"{package} {version or '-'}" for package, version in state["packages"].items())
        extras.add_row(extra, state["adds"], packages, (state["install"] or "").replace("[", "\\["))
    if found["extras"]:
        console.print(extras)

"""The pages that the benchmarks write: tables in Markdown, and the machine they were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import voltome

DOCS = Path(__file__).resolve().parent.parent / "docs"


@dataclass(frozen=True)
class Target:
    """One thing that was to be reached: what, how much was wanted, what was found, and whether that is enough."""

    what: str
    wanted: str
    found: str
    reached: bool


@dataclass(frozen=True)
class Section:
    """Part of a page in Markdown, and the targets that it measures."""

    text: str
    targets: list[Target] = field(default_factory=list)


def describe_machine() -> str:
    """One line: processor, cores, memory, system, versions."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "numba", "scipy"))
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}; Python {platform.python_version()}, "
        f"voltome {voltome.__version__}, {versions}"
    )


def make_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown table; the first column left, the others right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def list_targets(sections: Sequence[Section]) -> str:
    """Table of all sections' targets."""
    rows = [
        [target.what, target.wanted, target.found, "yes" if target.reached else "**no**"]
        for section in sections
        for target in section.targets
    ]
    return make_table(("what", "target", "measured", "reached"), rows)


def _write(path: Path, content: bytes) -> None:
    """Write a file beside its name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    beside.write_bytes(content)
    beside.replace(path)


KEPT = ("## Holotomography", "## Segmentation")
"""From the first of these headings on a page is kept as it is: what other scripts measured, put in by hand."""


def write_page(path: Path, text: str) -> None:
    """Write a page; what stands from the first heading of `KEPT` on stays."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    places = [place for heading in KEPT if (place := before.find(f"\n{heading}\n")) >= 0]
    _write(path, (f"{text.rstrip()}\n{before[min(places) :]}" if places else text).encode())


def write_picture(path: Path, png: bytes) -> None:
    """Write a picture."""
    _write(path, png)

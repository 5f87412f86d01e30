"""The command line as a user meets it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import voltome
from voltome import dvc, kernels, twin

Completed = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """The kernels compiled and cached before the first command, which would otherwise say that it compiles them."""
    if kernels.needs_compiling():
        pair = twin.make_speckle_pair((40, 44, 48), twin.make_rigid_motion(displacement_vox=(0.2, 0.1, -0.3)))
        dvc.correlate_local(pair.reference, pair.deformed, node_spacing_vox=16, half_window_vox=8)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Environment in which a new Python finds this voltome, and Typer writes plain lines of a known width."""
    source = str(Path(voltome.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": source, "COLUMNS": "100", "NO_COLOR": "1", "VOLTOME_DEBUG": ""}


@pytest.fixture(scope="session")
def python(environment: dict[str, str]) -> Callable[[str], Completed]:
    """Run a text in a new Python."""

    def run(code: str) -> Completed:
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
        )

    return run


@pytest.fixture
def run_voltome(environment: dict[str, str], tmp_path: Path) -> Callable[..., Completed]:
    """Run `voltome` with these arguments in an empty folder."""

    def run(*arguments: str | Path) -> Completed:
        command = [sys.executable, "-m", "voltome", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    return run

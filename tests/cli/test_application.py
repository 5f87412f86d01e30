"""The frame of the command line: help, version, what is imported when."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

import voltome
from voltome.cli import app, main

HEAVY = {
    "distributed", "h5py", "imagecodecs", "jinja2", "matplotlib", "meshio", "numba", "numpy", "pandas", "pyarrow",
    "scipy", "tifffile", "torch", "xarray", "yaml", "zarr",
}  # fmt: skip
COMMANDS = (
    "new", "check", "run", "status", "watch", "export", "schema",
    "correlate", "compose", "noise", "deform", "residual", "strain", "simulate", "truth", "convert", "info",
    "demo", "doctor",
)  # fmt: skip


def test_help_names_every_command():
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(re.search(rf"\b{command}\b", shown) for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(command: str):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"voltome {command}" in result.output


def test_no_arguments_is_help(run_voltome):
    bare, asked = run_voltome(), run_voltome("--help")
    assert bare.returncode == 0
    assert bare.stdout == asked.stdout != ""


def test_version_is_the_packages(run_voltome):
    result = run_voltome("--version")
    assert (result.returncode, result.stdout) == (0, f"voltome {voltome.__version__}\n")


def test_main_returns_the_exit_code_of_its_arguments(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"voltome {voltome.__version__}\n"


@pytest.mark.parametrize(
    "code",
    [
        "import voltome",
        "from voltome.cli import main; main(['correlate', '--help'])",
        "from voltome.cli import main; main(['simulate', '--help'])",
        "from voltome.cli import main; main(['truth', '--help'])",
        "from voltome.cli import main; main(['correlate', 'a', 'b', '--out', 'c', '--threads', 'many'])",
    ],
)
def test_nothing_heavy_is_imported_before_a_job_runs(python, code: str):
    result = python(f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")
    modules = set(json.loads(result.stdout.splitlines()[-1]))
    assert "voltome" in modules
    assert modules & HEAVY == set()


def test_import_voltome_needs_neither_typer_nor_rich(python):
    result = python("import voltome, sys\nprint(sorted({'typer', 'rich'} & set(sys.modules)))")
    assert result.stdout == "[]\n"

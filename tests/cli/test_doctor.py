"""`voltome doctor`: the installation and the machine."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata

import numpy as np
import pytest

import voltome


def test_json_tells_this_machine(run_voltome):
    machine = json.loads(run_voltome("doctor", "--json").stdout)["machine"]
    assert machine["voltome"] == voltome.__version__
    assert machine["python"] == platform.python_version()
    assert machine["logical_cores"] == os.cpu_count()
    assert 1 <= machine["threads_used"] <= os.cpu_count()
    assert machine["gpu"] != ""


def test_core_and_extras_are_those_of_the_metadata(run_voltome):
    try:
        metadata.version("voltome")
    except metadata.PackageNotFoundError:
        pytest.skip("voltome is not installed, only on the path")
    found = json.loads(run_voltome("doctor", "--json").stdout)
    assert found["core"]["numpy"] == np.__version__
    assert None not in found["core"].values()
    assert set(found["extras"]) == {"cluster", "openvino", "train", "test", "lint", "docs"}
    assert found["extras"]["test"]["install"] is None
    assert all(extra["adds"] for extra in found["extras"].values())
    train = found["extras"]["train"]
    assert (train["install"] is None) == (train["packages"]["torch"] is not None)


def test_table_is_for_the_eye(run_voltome):
    result = run_voltome("doctor")
    assert result.returncode == 0
    assert "logical cores" in result.stdout

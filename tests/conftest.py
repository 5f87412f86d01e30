"""What the tests of several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of measured data, `VOLTOME_DATA` or ../shared/data; the test is skipped where there is none."""
    folder = Path(os.environ.get("VOLTOME_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no measured data at {folder} (set VOLTOME_DATA)")
    return folder


@pytest.fixture(scope="session")
def notched_cylinder(data_dir: Path) -> tuple[Path, Path]:
    """Two X-ray scans of a notched cylinder, before and after loading."""
    folder = data_dir / "dvc" / "notched_cylinder"
    pair = (folder / "intact_bin2.tif", folder / "deformed_bin2.tif")
    if not all(path.is_file() for path in pair):
        pytest.skip(f"no notched cylinder at {folder}")
    return pair

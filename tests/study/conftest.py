"""A small film on disk: scans, mask, cycler's table and a study's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voltome.io import write_cycler_csv, write_volume

SHAPE = (44, 40, 36)

STUDY = """\
voxel_size_m: 5.0e-08
polarity: silicon-darkest
scans:
  - {name: T0, volume: volumes/T0.tif, time_s: 0, mask: mask.npy}
  - {name: T1, volume: volumes/T1.tif, time_s: 600}
  - name: T2
    volume: volumes/T2.tif
    time_s: 1200
    repeats: T1
electrochemistry:
  cycler: cycler.csv
correlation:
  node_spacing_vox: 8
"""


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Folder of a study in which nothing is wrong."""
    folder = tmp_path / "film"
    random = np.random.default_rng(11)
    for name in ("T0", "T1", "T2"):
        grey = random.integers(20000, 40000, SHAPE, dtype=np.uint16)
        write_volume(folder / "volumes" / f"{name}.tif", grey, voxel_size_m=5e-8)
    np.save(folder / "mask.npy", np.ones(SHAPE, dtype=np.uint8))
    time_s = np.arange(0.0, 1900.0, 100.0)
    write_cycler_csv(folder / "cycler.csv", time_s=time_s, voltage_v=3 + time_s / 2000, current_a=0 * time_s + 1e-6)
    (folder / "study.yaml").write_text(STUDY)
    return folder

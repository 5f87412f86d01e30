"""A small film on disk: scans, mask, cycler's table and a study's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voltome import twin
from voltome.io import write_cycler_csv, write_volume
from voltome.study.executors import open_workers
from voltome.study.runner import run_study
from voltome.study.study_file import load_study

from .swelling import STUDY as FOIL_STUDY
from .swelling import SWELLING, draw, write_scan

SHAPE = (44, 40, 36)

SPECKLE_SHAPE = (70, 50, 54)
SPECKLE_MOTION = twin.make_affine_motion(
    np.diag([1.03, 1.0, 0.99]), displacement_vox=(1.0, -0.6, 0.3), centre_vox=(np.array(SPECKLE_SHAPE) - 1) / 2
)
SPECKLE_STUDY = """\
voxel_size_m: 5.0e-08
scans:
  - {name: T0, volume: T0.tif, time_s: 0}
  - {name: T1, volume: T1.tif, time_s: 600}
  - {name: T2, volume: T2.tif, time_s: 1200, repeats: T1}
electrode:
  region_m: all
correlation:
  node_spacing_vox: 8
  half_window_vox: 10
"""

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


@pytest.fixture(scope="session")
def speckle_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a study whose T1 is T0 stretched by 3 % along z, and whose T2 repeats T1."""
    folder = tmp_path_factory.mktemp("films") / "speckle"
    pair = twin.make_speckle_pair(SPECKLE_SHAPE, SPECKLE_MOTION, noise=0.03)
    repeat = pair.deformed + 0.03 * np.random.default_rng(5).standard_normal(SPECKLE_SHAPE)
    for name, volume in (("T0", pair.reference), ("T1", pair.deformed), ("T2", repeat)):
        write_volume(folder / f"{name}.tif", np.clip(20000 + 8000 * volume, 0, 65535).astype(np.uint16))
    (folder / "study.yaml").write_text(SPECKLE_STUDY)
    return folder


@pytest.fixture(scope="session")
def speckle_store(speckle_film: Path) -> Path:
    """What a run on two threads made of it; never written to."""
    out = speckle_film.parent / "store"
    with open_workers(threads=2) as workers:
        assert not run_study(load_study(speckle_film), out, workers).failed
    return out


@pytest.fixture(scope="session")
def foil_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a study whose electrode swells on its collector by 20 %, is scanned again, and half shrinks back."""
    folder = tmp_path_factory.mktemp("films") / "foil"
    for seed, (name, swelling) in enumerate(SWELLING.items()):
        write_scan(folder, name, draw(swelling, seed))
    (folder / "study.yaml").write_text(FOIL_STUDY)
    return folder


@pytest.fixture(scope="session")
def foil_store(foil_film: Path) -> Path:
    """What a run on two threads made of it; never written to."""
    out = foil_film.parent / "store"
    with open_workers(threads=2) as workers:
        assert not run_study(load_study(foil_film), out, workers).failed
    return out

"""What the tests of several rooms share."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from voltome.cli import main
from voltome.pipeline.twin_folder import load_settings, open_twin
from voltome.pipeline.twin_radiographs import write_radiographs
from voltome.study.compilation import compile_apart
from voltome.twin.configuration import TwinSettings
from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.radiographs import plan_radiographs

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _compiled_kernels() -> None:
    """Kernels on disk before the first test: what a process computes with those it compiled itself differs in the last
    digits, and tests of the study compare what several processes made, byte by byte."""
    compile_apart()


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


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a thin electrode of some seventy particles: T0, T1 with a bubble, and T2, its repeat."""
    path = tmp_path_factory.mktemp("settings") / "miniature.yaml"
    path.write_text(
        """
        shape: [44, 32, 34]
        voxel_size_m: 3e-7
        collector_m: 1.2e-6
        electrode: {thickness_m: 7e-6, thickness_sd_m: 2e-7, diameter_d10_m: 2e-6, diameter_d50_m: 2.8e-6,
                    diameter_d90_m: 3.8e-6}
        kinematics: {final_thickness_sd_m: 3e-7}
        cell: {areal_capacity_ah_m2: 12}
        steps:
          - {name: T0, thickness_m: 7e-6, soc: 0}
          - {name: T1, thickness_m: 8e-6, soc: 0.3, bubble_radius_m: 1e-6}
          - {name: T2, thickness_m: 8e-6, soc: 0.3, bubble_radius_m: 1e-6, repeat: true}
        """
    )
    return path


@pytest.fixture(scope="session")
def experiment(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that `voltome simulate` wrote of it."""
    out = tmp_path_factory.mktemp("twin") / "experiment"
    assert main(["simulate", str(miniature), "--out", str(out), "--threads", "2", "--quiet"]) == 0
    return out


@pytest.fixture(scope="session")
def filmed_twin(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of radiographs at three distances of T0 and T1 in bright light, with their truth; the axis is at 37.8."""
    folder = tmp_path_factory.mktemp("twin") / "filmed"
    beamline = {"photons_per_s": 1e14, "counts_per_photon": 0.08, "n_flats": 10, "n_darks": 5}
    beamline |= {"angles_per_column": 0.8, "distance_ratios": [1.0, 1.1, 1.4]}
    values = load_settings(miniature).model_dump() | {"shape": (44, 48, 50), "radiographs": beamline}
    settings = TwinSettings.model_validate(values)
    twin, plan = ElectrodeTwin(settings), plan_radiographs(settings)
    for number, step in enumerate(settings.steps[:2]):
        (folder / "truth" / step.name).mkdir(parents=True)
        write_radiographs(folder, twin, plan, number, threads=2)
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder that `voltome demo` wrote: the tiny twin and the study made of it; and what it said."""
    out, said = tmp_path_factory.mktemp("demo") / "demo", io.StringIO()
    with redirect_stdout(said):
        assert main(["demo", "--out", str(out)]) == 0
    return out, said.getvalue()


@pytest.fixture(scope="session")
def electrode_twin(experiment: Path) -> ElectrodeTwin:
    """The twin of that folder, built again."""
    return open_twin(experiment)[0]

"""Radiographs of a simulated experiment on disk: complete, the same on any number of threads, and the step's own."""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from voltome.cli import main
from voltome.errors import ResourceError
from voltome.frames import DARK, FLAT, PROJECTION
from voltome.io import read_table_tsv, read_volume, read_yaml
from voltome.pipeline.simulate import simulate_experiment
from voltome.pipeline.twin_folder import load_settings
from voltome.pipeline.twin_radiographs import estimate_radiograph_bytes, radiograph_names, write_radiographs
from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.radiographs import plan_radiographs
from voltome.twin.refraction import refract_planes

STEPS = ("T0", "T1", "T2")


@pytest.fixture(scope="module")
def filmed(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("filmed") / "experiment"
    assert main(["simulate", str(miniature), "--radiographs", "--out", str(out), "--threads", "2", "--quiet"]) == 0
    return out


def read_frames(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with h5py.File(path) as file:
        detector = file["entry0000/instrument/detector"]
        return detector["data"][()], detector["image_key"][()]


def correct(path: Path) -> np.ndarray:
    frames, keys = read_frames(path)
    dark, flat = (frames[keys == kind].mean(axis=0) for kind in (DARK, FLAT))
    return (frames[keys == PROJECTION] - dark) / np.maximum(flat - dark, 1)


def test_each_step_has_a_file_for_each_distance_and_its_truth(filmed: Path, experiment: Path) -> None:
    names = {path.name for path in (filmed / "radiographs").iterdir()}
    assert names == {f"{step}_{k}.nx" for step in STEPS for k in (1, 2, 3, 4)}
    for step in STEPS:
        truth = {path.name for path in (filmed / "truth" / step).iterdir()}
        usual = {path.name for path in (experiment / "truth" / step).iterdir()}
        assert truth == usual | {"decrement.zarr", *(f"radiographs_{k}.tsv" for k in (1, 2, 3, 4))}
    top = {path.name for path in filmed.iterdir()}
    assert top == {path.name for path in experiment.iterdir()} | {"radiographs", "study-radiographs.yaml"}


def test_volumes_are_those_of_an_experiment_without_radiographs(filmed: Path, experiment: Path) -> None:
    for name in ("volumes/T1.zarr", "truth/T1/labels.zarr"):
        np.testing.assert_array_equal(read_volume(filmed / name), read_volume(experiment / name))


def test_the_study_names_the_radiographs_where_the_other_names_volumes(filmed: Path) -> None:
    study, usual = (read_yaml(filmed / name) for name in ("study-radiographs.yaml", "study.yaml"))
    for scan, other, step in zip(study["scans"], usual["scans"], STEPS, strict=True):
        assert scan.pop("radiographs") == radiograph_names(step, 4)
        assert other.pop("volume") == f"volumes/{step}.zarr"
    assert study.pop("reconstruction") == {"shape_vox": [32, 34]}
    assert study == usual
    assert all((filmed / name).is_file() for step in STEPS for name in radiograph_names(step, 4))


def test_the_summary_says_where_the_axis_is(filmed: Path) -> None:
    told = json.loads((filmed / "truth" / "summary.json").read_text())["radiographs"]
    assert told["shape"] == [44, 48] and told["angles"] == 58
    assert told["axis_px"] == pytest.approx(23.5 + 3.3)
    assert [place["pixel_m"] for place in told["distances"]] == pytest.approx([3e-7, 3.12e-7, 3.6e-7, 4.5e-7])


def test_frames_show_opaque_copper_and_fringes_that_grow_with_the_effective_distance(filmed: Path) -> None:
    views = [correct(filmed / name) for name in radiograph_names("T0", 4)]
    assert views[0].shape == (58, 44, 48)
    assert views[3][:, 1].mean() < 0.02
    middle = (44 - 1) / 2
    rows = [slice(round(middle - 9 / ratio), round(middle + 10 / ratio)) for ratio in (1, 1.04, 1.2, 1.5)]
    contrast = [view[:, part].std() for view, part in zip(views, rows, strict=True)]
    assert contrast[0] > 1.1 * contrast[3] > 0.05  # the first is the longest: the sample is near the focus
    assert views[0][:, 12:40].mean() == pytest.approx(0.97, abs=0.05)


def test_half_a_turn_on_the_sample_is_seen_from_behind(filmed: Path) -> None:
    view = correct(filmed / "radiographs" / "T0_1.nx")
    view = view[:, 10:34] - view[:, 10:34].mean(axis=0)
    front, behind = view[:29], view[29:, :, ::-1]

    def match(shift: int) -> float:
        a, b = front[:, :, 8:40], behind[:, :, 8 - shift : 40 - shift]
        return float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))

    best = max(range(-8, 9), key=match)
    assert abs(best - 2 * 3.3) < 1 and match(best) > 0.5


def test_the_true_place_of_the_sample_stands_beside_its_step(filmed: Path) -> None:
    first, last = (read_table_tsv(filmed / "truth" / "T1" / f"radiographs_{k}.tsv") for k in (1, 4))
    assert list(first) == ["angle_rad", "shift_z_px", "shift_u_px"]
    np.testing.assert_allclose(first["angle_rad"], np.arange(58) * 2 * np.pi / 58)
    assert first["shift_u_px"].std() == pytest.approx(0.3, rel=0.4)
    assert abs(last["shift_z_px"].mean()) > 0.1


def test_the_true_decrement_is_the_objects(filmed: Path, electrode_twin: ElectrodeTwin) -> None:
    volume = read_volume(filmed / "truth" / "T1" / "decrement.zarr")
    assert volume.dtype == np.float32
    np.testing.assert_array_equal(volume[20:24], refract_planes(electrode_twin, 1, 20, 24).decrement)


def test_a_repeat_has_noise_and_jitter_of_its_own(filmed: Path) -> None:
    once, again = (read_frames(filmed / "radiographs" / f"{step}_1.nx")[0] for step in ("T1", "T2"))
    assert not np.array_equal(once[5], again[5]) and not np.array_equal(once[40], again[40])
    shifts = [read_table_tsv(filmed / "truth" / step / "radiographs_1.tsv")["shift_u_px"] for step in ("T1", "T2")]
    assert not np.allclose(*shifts)


def test_any_number_of_threads_gives_the_same_files(
    filmed: Path, electrode_twin: ElectrodeTwin, tmp_path: Path
) -> None:
    write_radiographs(
        tmp_path, electrode_twin, plan_radiographs(electrode_twin.settings), 1, threads=1, on_progress=None
    )
    written = [path for path in tmp_path.rglob("*") if path.is_file() and ".zarr/" not in str(path)]
    assert len(written) == 8  # four distances with their shifts: what lay there uncompressed is gone
    for path in written:
        assert path.read_bytes() == (filmed / path.relative_to(tmp_path)).read_bytes(), path.name


def test_a_disk_that_is_too_small_is_told_before_any_work(miniature: Path, tmp_path: Path, monkeypatch) -> None:
    settings = load_settings(miniature)
    needed = estimate_radiograph_bytes(plan_radiographs(settings))
    monkeypatch.setattr("voltome.io.disk.shutil.disk_usage", lambda path: type("Usage", (), {"free": needed})())
    with pytest.raises(ResourceError, match="free disk"):
        simulate_experiment(settings, tmp_path / "out", radiographs=True)
    assert not list(tmp_path.iterdir())


def test_the_estimate_covers_what_is_written(filmed: Path, electrode_twin: ElectrodeTwin) -> None:
    files = [*(filmed / "radiographs").iterdir(), *(filmed / "truth").rglob("decrement.zarr/**/*")]
    size = sum(path.stat().st_size for path in files if path.is_file())
    estimate = estimate_radiograph_bytes(plan_radiographs(electrode_twin.settings))
    assert size < estimate < 2.5 * size

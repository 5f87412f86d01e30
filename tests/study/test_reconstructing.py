"""A study that begins with radiographs: volumes, one grey window, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io import open_scan, read_json, read_volume
from voltome.study.check import check_study, check_study_file
from voltome.study.executors import open_workers
from voltome.study.reconstructing import read_textured_slab
from voltome.study.runner import RunSummary, run_study
from voltome.study.steps import STEPS
from voltome.study.study_file import load_study
from voltome.study.watch import watch_study

STUDY = """\
voxel_size_m: 3.0e-07
polarity: silicon-darkest
scans:
  - {name: T0, time_s: 0, radiographs: [radiographs/T0_1.nx, radiographs/T0_2.nx, radiographs/T0_3.nx]}
  - {name: T1, time_s: 60, radiographs: [radiographs/T1_1.nx, radiographs/T1_2.nx, radiographs/T1_3.nx]}
electrode: {region_m: all}
correlation: {node_spacing_vox: 8}
reconstruction:
  shape_vox: [48, 50]
  axis_px: 37.8
  mode: fast
"""
ABSORPTION = ("  mode: fast", "  mode: absorption\n  rows: [10, 14]")
VOLUMES = STEPS[:4]
RECONSTRUCTION = STEPS[:1]


def write_study(folder: Path, *changes: tuple[str, str]) -> Path:
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "study.yaml").write_text(text)
    return folder


def run(film: Path, out: Path, steps=RECONSTRUCTION, threads: int = 2) -> RunSummary:
    with open_workers(threads=threads) as workers:
        return run_study(load_study(film), out, workers, steps=steps)


def check_problem(found, line: int, *words: str) -> None:
    """There is one problem, at this line, with these words."""
    assert len(found.problems) == 1, found.problems
    assert f"study.yaml line {line}: " in found.problems[0] and "\n" not in found.problems[0]
    for word in words:
        assert word in found.problems[0]


@pytest.fixture
def film(filmed_twin: Path, tmp_path: Path) -> Path:
    """Folder of a study of two scans; their radiographs are links, not to be written to."""
    folder = tmp_path / "film"
    (folder / "radiographs").mkdir(parents=True)
    for path in (filmed_twin / "radiographs").iterdir():
        (folder / "radiographs" / path.name).symlink_to(path)
    return write_study(folder)


@pytest.fixture(scope="module")
def store(filmed_twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run up to the volumes made of it; never written to."""
    film = tmp_path_factory.mktemp("films") / "film"
    shutil.copytree(filmed_twin, film)
    out = film.parent / "store"
    summary = run(write_study(film), out, VOLUMES)
    assert not summary.failed
    assert "reconstruction/T0" in summary.made and "volumes/T1" in summary.made
    return out


def test_each_scan_has_a_volume_and_what_was_found_of_it(store: Path) -> None:
    for name in ("T0", "T1"):
        folder = store / "reconstruction" / name
        found = read_json(folder / "summary.json")
        assert found["mode"] == "fast" and found["shape"] == [44, 48, 50]
        assert found["axis"] == {"axis_px": 37.8, "given": True, "warning": ""}
        assert [Path(one["name"]).name for one in found["shifts"]] == [f"{name}_{k}.nx" for k in (1, 2, 3)]
        volume = read_volume(folder / "volume.raw")
        assert volume.shape == (44, 48, 50) and volume.dtype == np.float32
    assert str(store.parent) not in (store / "reconstruction" / "T0" / "summary.json").read_text()
    assert not (store / "run" / "work").exists()  # the phases are gone


def test_silicon_is_darkest_in_every_stored_scan(store: Path, filmed_twin: Path) -> None:
    window = read_json(store / "grey" / "window" / "summary.json")
    assert window["grey_low"] > window["grey_high"]  # denser is darker
    for t, name in enumerate(("T0", "T1")):
        truth = read_volume(filmed_twin / "truth" / name / "decrement.zarr")[8:26]
        grey = open_scan(store / "volumes.zarr", t)[8:26, 0:48, 0:50].astype(float)
        assert grey[truth > 4.5].mean() < grey[truth < 3.2].mean() - 2000
        assert np.mean((grey == 0) | (grey == 65535)) < 0.01


def test_a_grey_window_that_is_given_may_make_dense_matter_dark(film: Path) -> None:
    write_study(film, ("electrode:", "volumes: {grey_low: 5000.0, grey_high: -5000.0}\nelectrode:"), ABSORPTION)
    assert not run(film, film / "out", VOLUMES).failed
    window = read_json(film / "out" / "grey" / "window" / "summary.json")
    assert (window["grey_low"], window["grey_high"]) == (5000.0, -5000.0)
    grey = open_scan(film / "out" / "volumes.zarr", 0)[0:4, 0:48, 0:50].astype(float)
    volume = read_volume(film / "out" / "reconstruction" / "T0" / "volume.raw")
    np.testing.assert_allclose(grey, np.clip((5000.0 - volume) / 10000.0, 0, 1) * 65535, atol=1)


def test_only_what_changes_a_volume_makes_it_again(film: Path) -> None:
    write_study(film, ABSORPTION)
    assert set(run(film, film / "out").made) == {"reconstruction/T0", "reconstruction/T1"}
    assert run(film, film / "out").made == ()
    write_study(film, ABSORPTION, ("reconstruction:", "reconstruction:\n  device: torch"))
    assert run(film, film / "out").made == ()
    write_study(film, ABSORPTION, ("reconstruction:", "reconstruction:\n  delta_beta: 200"))
    assert set(run(film, film / "out").made) == {"reconstruction/T0", "reconstruction/T1"}


def test_a_changed_radiograph_makes_its_scan_again(film: Path, filmed_twin: Path) -> None:
    write_study(film, ABSORPTION)
    run(film, film / "out")
    other = film / "radiographs" / "T1_1.nx"
    other.unlink()
    shutil.copy(filmed_twin / "radiographs" / "T0_1.nx", other)
    assert run(film, film / "out").made == ("reconstruction/T1",)
    volumes = [read_volume(film / "out" / "reconstruction" / name / "volume.raw") for name in ("T0", "T1")]
    np.testing.assert_array_equal(*volumes)


def test_voxels_of_another_size_fail_in_one_line(film: Path) -> None:
    geometry = "\n  energy_kev: 29.6\n  detector_pixel_m: 6.5e-7"
    write_study(film, ("3.0e-07", "3.1e-07"), (ABSORPTION[0], ABSORPTION[1] + geometry))
    failed = run(film, film / "out").failed
    assert set(failed) == {"reconstruction/T0", "reconstruction/T1"}
    assert (
        "voxel_size_m must be 3e-07, the pixel at the sample that the radiographs of T" in failed["reconstruction/T0"]
    )
    assert not (film / "out" / "reconstruction").exists()


def test_a_sound_study_is_ready_and_described(film: Path) -> None:
    found = check_study(load_study(film), out=film / "out", threads=2)
    assert found.problems == ()
    assert (found.facts["shape"], found.facts["scans"]) == ([44, 48, 50], ["T0", "T1"])
    assert not (film / "out").exists()


def test_radiographs_are_checked_before_a_run(film: Path) -> None:
    write_study(film, ("3.0e-07", "3.1e-07"))
    check_problem(check_study_file(film), 1, "voxel_size_m must be 3e-07, as the scans' files say (got 3.1e-07)")
    write_study(film, ("  mode: fast", "  mode: fast\n  rows: [0, 50]"))
    found = check_study_file(film).problems
    assert found and all("rows must end at 44" in line for line in found)
    write_study(film)
    (film / "radiographs" / "T1_2.nx").unlink()
    check_problem(check_study_file(film), 5, "scans[1].radiographs cannot be used: ", "T1_2.nx does not exist")
    assert check_study_file(film, planned=True).problems == ()


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ([("{name: T0, time_s: 0, ", "{name: T0, volume: T0.tif, time_s: 0, ")], 4, "must not stand beside volume"),
        (
            [("radiographs: [radiographs/T1_1.nx, radiographs/T1_2.nx, radiographs/T1_3.nx]", "soc: 0.5")],
            5,
            "must name a file (got none at T1): give volume or radiographs",
        ),
        (
            [("radiographs: [radiographs/T1_1.nx, radiographs/T1_2.nx, radiographs/T1_3.nx]", "volume: T1.tif")],
            5,
            "must have radiographs as T0 has: give the same of all scans",
        ),
        ([("electrode:", "watch: {incoming: '*.tif'}\nelectrode:")], 6, "takes volumes, not radiographs"),
        ([("mode: fast", "mode: slow")], 11, "reconstruction.mode must be 'fast', 'quality', 'paper' or 'absorption'"),
        ([("mode: fast", "rings_slice: wishes")], 8, "rings_slice must be one of polar-median"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    film: Path, changes: list[tuple[str, str]], line: int, words: str
) -> None:
    write_study(film, *changes)
    check_problem(check_study_file(film), line, words)


def test_watch_waits_for_volumes_alone(film: Path) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    with open_workers(threads=1) as workers, pytest.raises(InputError, match="use voltome run instead"):
        watch_study(load_study(film), film / "out", workers, on_arrival=never, on_strain=never, on_trouble=never)
    assert not (film / "out").exists()


def test_results_of_radiographs_do_not_depend_on_threads(film: Path) -> None:
    write_study(film, ABSORPTION)
    for threads in (1, 3):
        assert not run(film, film / f"out{threads}", threads=threads).failed
    one, other = (film / f"out{threads}" / "reconstruction" / "T0" for threads in (1, 3))
    for name in ("volume.raw", "summary.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_the_slab_of_particles_is_found_between_metal_and_separator() -> None:
    random = np.random.default_rng(8)
    volume = 0.02 * random.standard_normal((60, 40, 44)).astype(np.float32)
    volume[:8] += 1
    volume[8:40] += 3 * (random.standard_normal((32, 10, 11)) > 0).repeat(4, axis=1).repeat(4, axis=2)
    slab = read_textured_slab(volume)
    assert slab.shape == (32 - 2 * 3, 40, 44)
    np.testing.assert_array_equal(slab, volume[11:37])
    flat = np.ones((6, 12, 12), np.float32)
    assert read_textured_slab(flat).shape == flat.shape


def test_a_summary_is_plain_json(store: Path) -> None:
    text = (store / "reconstruction" / "T0" / "summary.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["settings"]["mode"] == "fast"

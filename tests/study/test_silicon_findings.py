"""What the report is told of a segmentation comes from the store as it stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voltome import io
from voltome.study.executors import open_workers
from voltome.study.job import Job
from voltome.study.result import Result
from voltome.study.silicon_findings import describe_region, read_segmented
from voltome.study.study_file import load_study

SHAPE = (96, 70, 66)  # two levels of the pyramid
PARTS = {"T0": {"collector": 1, "matrix": 2, "silicon": 4}, "T1": {"silicon": 1, "pore": 2, "matrix": 3}}
Store = Callable[..., Job]


def make_phases(seed: int, codes: Mapping[str, int]) -> NDArray[np.uint8]:
    """Blocks of 6 x 5 x 11 voxels, and a corner without a value."""
    blocks = np.random.default_rng(seed).choice(list(codes.values()), (16, 14, 6)).astype(np.uint8)
    phases = np.kron(blocks, np.ones((6, 5, 11), np.uint8))
    phases[:6, :, :6] = 0
    return phases


def write_segmentation(store: Path, scan: str, phases: NDArray[np.uint8], codes: Mapping[str, int]) -> None:
    folder = store / "segmentation" / scan
    folder.mkdir(parents=True)
    sure = np.where(phases > 0, 204, 0).astype(np.uint8)
    io.write_volume(folder / "phases.zarr", phases, labels=True)
    io.write_volume(folder / "confidence.zarr", sure, labels=False)
    io.write_json(folder / "summary.json", {"phases": [{"name": name, "code": code} for name, code in codes.items()]})


def write_shift(store: Path, scan: str, moved_vox: tuple[float, float, float]) -> None:
    """An alignment that says how far the scan lies beside the first."""
    nothing = [0.0, 0.0, 0.0]
    motion = {"centre_vox": nothing, "translation_vox": list(moved_vox), "rotation_rad": nothing, "scale": 1.0,
              "covariance": np.zeros((7, 7)).tolist(), "residual_vox": nothing, "zncc": 0.9, "tiles": 9}  # fmt: skip
    (store / "alignment" / scan).mkdir(parents=True)
    io.write_json(store / "alignment" / scan / "summary.json", {**motion, "refused": None})


@pytest.fixture
def open_store(film: Path, tmp_path: Path) -> Iterator[Store]:
    """A job of a report to which results of these names stand."""
    with open_workers(threads=1) as workers:

        def open_one(*names: str) -> Job:
            result = Result("report", "all", inputs=names)
            return Job(load_study(film), tmp_path / "store", result, "key", tmp_path, workers, threading.Event())

        yield open_one


def number(phases: NDArray[np.uint8], names: tuple[str, ...], codes: Mapping[str, int]) -> NDArray[Any]:
    """Codes as numbers among the names, from 1."""
    out = np.zeros(phases.shape, np.uint8)
    for name, code in codes.items():
        out[phases == code] = 1 + names.index(name)
    return out


def test_models_need_not_agree_on_codes_and_silicon_comes_first(open_store: Store, tmp_path: Path) -> None:
    drawn = {scan: make_phases(seed, codes) for seed, (scan, codes) in enumerate(PARTS.items())}
    for scan, codes in PARTS.items():
        write_segmentation(tmp_path / "store", scan, drawn[scan], codes)
    found, names = read_segmented(open_store("segmentation/T0", "segmentation/T1"), 35, 1)
    assert names == ("silicon", "collector", "matrix", "pore")
    assert list(found) == ["T0", "T1"]
    for scan, codes in PARTS.items():
        np.testing.assert_array_equal(found[scan].phases, number(drawn[scan][:, 35], names, codes))


def test_confidence_is_a_probability_where_there_is_a_phase(open_store: Store, tmp_path: Path) -> None:
    write_segmentation(tmp_path / "store", "T0", make_phases(3, PARTS["T0"]), PARTS["T0"])
    one = read_segmented(open_store("segmentation/T0"), 35, 1)[0]["T0"]
    assert np.isnan(one.confidence[:6, :6]).all()
    np.testing.assert_array_equal(np.isnan(one.confidence), one.phases == 0)
    np.testing.assert_allclose(one.confidence[one.phases > 0], 0.8, rtol=1e-6)


def test_phases_are_taken_back_to_the_frame_of_the_first_scan(open_store: Store, tmp_path: Path) -> None:
    codes, phases = PARTS["T1"], make_phases(5, PARTS["T1"])
    write_segmentation(tmp_path / "store", "T1", phases, codes)
    write_shift(tmp_path / "store", "T1", (4.0, -2.0, 3.0))
    found, names = read_segmented(open_store("segmentation/T1", "alignment/T1"), 35, 1)
    moved = number(phases[:, 33], names, codes)
    np.testing.assert_array_equal(found["T1"].phases[:-4, :-3], moved[4:, 3:])
    assert not found["T1"].phases[-4:].any()
    assert np.isnan(found["T1"].confidence[:, -3:]).all()


def test_a_coarse_slice_has_the_most_frequent_phases(open_store: Store, tmp_path: Path) -> None:
    codes = PARTS["T0"]
    phases = np.kron(make_phases(7, codes)[::2, ::2, ::2], np.ones((2, 2, 2), np.uint8))
    write_segmentation(tmp_path / "store", "T0", phases, codes)
    found, names = read_segmented(open_store("segmentation/T0"), 35, 2)
    np.testing.assert_array_equal(found["T0"].phases, number(phases[::2, 34, ::2], names, codes))


def test_a_segmentation_that_does_not_stand_is_not_read(open_store: Store, tmp_path: Path) -> None:
    write_segmentation(tmp_path / "store", "T1", make_phases(1, PARTS["T1"]), PARTS["T1"])
    assert read_segmented(open_store("volumes/T1"), 35, 1) == ({}, ())


def test_the_region_is_told_in_metres_where_silicon_was_counted() -> None:
    region = describe_region({"region": {"from_depth_m": 1e-6, "y_m": [2e-6, 3e-6], "x_m": [4e-6, 5e-6]}})
    assert region is not None
    assert (region.from_depth_m, region.y_m, region.x_m) == (1e-6, (2e-6, 3e-6), (4e-6, 5e-6))
    assert describe_region({}) is None
    assert describe_region({"region": None}) is None

"""A scan from its files: what they lack, what does not belong together, what is no scan."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest

from voltome.errors import InputError
from voltome.frames import PROJECTION, UNUSED, FrameSource
from voltome.io import RadiographFiles, holds_radiographs, open_scan_files

ENTRY = "entry0000"


def check_refused(names, message, **options):
    with pytest.raises(InputError, match=message) as caught:
        open_scan_files(names, **options).__enter__()
    assert "\n" not in str(caught.value)


@pytest.fixture
def paths(make_radiographs, tmp_path):
    lengths = (0.6, 0.62, 0.7)
    return [
        make_radiographs(sample_detector_m=length, seed=k).write(tmp_path / f"{k}.nx")
        for k, length in enumerate(lengths)
    ]


def test_a_file_is_a_distance_in_the_order_given(paths):
    with open_scan_files([paths[2], paths[0]]) as scan:
        assert [one.geometry.sample_detector_m for one in scan.distances] == [0.7, 0.6]
        assert all(isinstance(one.frames, FrameSource) for one in scan.distances)


def test_what_the_user_gives_wins(paths):
    pairs = [(0.04, 0.5), (0.05, 0.6), (np.inf, 0.7)]
    options = {"energy_kev": 17.0, "detector_pixel_m": 1.5e-6, "angle_range_rad": (0.0, 1.9)}
    with open_scan_files(paths, distances_m=pairs, **options) as scan:
        for one, pair in zip(scan.distances, pairs, strict=True):
            assert (one.geometry.source_sample_m, one.geometry.sample_detector_m) == pair
            assert one.geometry.energy_kev == pytest.approx(17.0)
            assert one.geometry.detector_pixel_m == 1.5e-6
            np.testing.assert_allclose(one.angles_rad[one.find(PROJECTION)], np.linspace(0, 1.9, 20))


def test_a_worker_can_open_the_same_scan(paths):
    files = pickle.loads(pickle.dumps(RadiographFiles(tuple(map(str, paths)), energy_kev=20.0)))
    with files.open() as scan, open_scan_files(paths) as other:
        assert scan.distances[1].geometry.energy_kev == pytest.approx(20.0)
        np.testing.assert_array_equal(scan.distances[1].frames[3:5, :, :], other.distances[1].frames[3:5, :, :])


def test_threads_read_what_one_thread_reads(paths):
    from concurrent.futures import ThreadPoolExecutor

    with open_scan_files(paths) as scan, ThreadPoolExecutor(4) as threads:
        frames = scan.distances[0].frames
        parts = list(threads.map(lambda i: frames[i, 1:4, :], list(range(27)) * 3))
        np.testing.assert_array_equal(parts[:27], frames[:, 1:4, :])
        np.testing.assert_array_equal(parts[54:], parts[:27])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"energy_kev": 29600.0}, r"\(got 29600\): it looks like eV, give 29.6"),
        ({"detector_pixel_m": 0.65}, r"\(got 0.65\): it looks like um, give 6.5e-07"),
        ({"distances_m": [(0.05, 600.0)] * 3}, r"\(got 600\): it looks like mm, give 0.6"),
        ({"distances_m": [(0.05, 0.6)]}, r"a pair for each of 3 distances \(got 1\)"),
        ({"angle_range_rad": (0.0, np.nan)}, "lacks 20 of 20"),
    ],
)
def test_what_the_user_gives_must_be_plausible(paths, options, message):
    check_refused(paths, message, **options)


def test_distances_must_belong_together(make_radiographs, paths, tmp_path):
    made = make_radiographs()
    kinds = made.kinds.copy()
    kinds[10] = UNUSED
    fewer = made.write(tmp_path / "fewer.nx", kinds=kinds)
    check_refused([paths[0], fewer], r"one number of projections .* has 20, .* 19\)")
    turned = made.write(tmp_path / "turned.nx", angles_rad=-made.angles_rad)
    check_refused([paths[0], turned], "differ by up to 342 deg")
    made.frames = made.frames[:, 1:]
    check_refused([paths[0], made.write(tmp_path / "small.nx")], "one frame shape")


def test_a_projection_without_angle_is_left_out_at_all_distances(make_radiographs, tmp_path):
    names = []
    for k in range(2):
        made = make_radiographs(seed=k)
        made.kinds = np.concatenate([made.kinds[:4], np.zeros(200, np.uint8)])
        made.frames = np.tile(made.frames[4], (204, 1, 1))
        made.angles_rad = np.concatenate([np.zeros(4), np.linspace(0, 3, 200)])
        names.append(made.write(tmp_path / f"{k}.nx"))
    with h5py.File(names[1], "r+") as file:
        file[f"{ENTRY}/sample/rotation_angle"][57] = np.nan
    with open_scan_files(names) as scan:
        for one in scan.distances:
            assert np.flatnonzero(one.kinds == UNUSED).tolist() == [57]


@pytest.mark.parametrize(("kind", "name"), [(0, "projections"), (1, "flats"), (2, "darks")])
def test_a_scan_has_projections_flats_and_darks(make_radiographs, tmp_path, kind, name):
    made = make_radiographs()
    path = made.write(tmp_path / "scan.nx", kinds=np.where(made.kinds == kind, UNUSED, made.kinds))
    check_refused([path], f"has no {name}")


def test_what_is_no_scan_is_refused(paths, tmp_path):
    check_refused([], "at least one file")
    check_refused([tmp_path / "nowhere.nx"], "nowhere.nx does not exist")
    short = tmp_path / "short.nx"
    short.write_bytes(paths[0].read_bytes()[:3000])
    check_refused([short], "is cut short .*copy it again")
    with h5py.File(tmp_path / "volume.h5", "w") as file:
        file["volume"] = np.zeros((3, 4, 5))
    check_refused([tmp_path / "volume.h5"], "holds no radiographs")


def test_radiographs_are_told_from_volumes(paths, tmp_path):
    with h5py.File(tmp_path / "volume.h5", "w") as file:
        file["volume"] = np.zeros((3, 4, 5))
    (tmp_path / "slices").mkdir()
    told = [paths[0], f"{paths[0]}::{ENTRY}", tmp_path / "volume.h5", tmp_path / "slices", tmp_path / "nowhere"]
    data = f"{paths[0]}::{ENTRY}/instrument/detector/data"
    assert [holds_radiographs(name) for name in (*told, data)] == [True, True, False, False, False, False]

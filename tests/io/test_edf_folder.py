"""Folders of EDF files of ID16."""

from __future__ import annotations

import fabio
import numpy as np
import pytest

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION, UNUSED
from voltome.io import open_scan_files

SHAPE, COUNT = (4, 6), 120
DISTANCES = [(0.030, 1.200), (0.035, 1.195)]
INFO = """Prefix=       {name}
Energy=       17.05
Distance=     {distance}
ScanRange=    180
TOMO_N=       {count}   # projections
REF_ON=       60
REF_N=        2
DARK_N=       10
PixelSize=    {pixel}
"""


def write_edf(path, values):
    fabio.edfimage.EdfImage(data=values).write(str(path))


def write_folder(parent, number, *, pixel=1.5, flats="ref", darks="dark", extra=3):
    name = f"cell_{number}_"
    folder = parent / name
    folder.mkdir()
    rng = np.random.default_rng(number)
    frames = rng.integers(500, 900, (COUNT + extra, *SHAPE), dtype=np.uint16)
    for i, frame in enumerate(frames):
        write_edf(folder / f"{name}{i:04d}.edf", frame)
    for i in (0, 60, 120):
        for j in range(2 if flats == "ref" else 1):
            file = f"ref{j:04d}_{i:04d}.edf" if flats == "ref" else f"refHST{i:04d}.edf"
            write_edf(folder / file, np.full(SHAPE, 1000 + i + j, np.uint16))
    if darks == "dark":
        write_edf(folder / "dark.edf", np.full(SHAPE, 98, np.uint16))
    else:
        write_edf(folder / "darkend0000.edf", np.full(SHAPE, 983, np.uint32))
    distance = DISTANCES[number - 1][1] * 1000
    (folder / f"{name}.info").write_text(INFO.format(name=name, distance=distance, count=COUNT, pixel=pixel))
    return frames


@pytest.fixture
def family(tmp_path):
    (tmp_path / "cell_slices").mkdir()
    return [write_folder(tmp_path, number) for number in (1, 2)]


@pytest.mark.parametrize("name", ["cell_", "cell_1_", "cell_2_"])
def test_any_folder_of_a_family_means_all(family, tmp_path, name):
    with open_scan_files([tmp_path / name], distances_m=DISTANCES) as scan:
        for one, frames, (source, detector) in zip(scan.distances, family, DISTANCES, strict=True):
            np.testing.assert_array_equal(one.frames[one.find(PROJECTION), :, :], frames[:COUNT])
            assert one.geometry.energy_kev == pytest.approx(17.05)
            assert (one.geometry.source_sample_m, one.geometry.sample_detector_m) == (source, detector)
            assert one.geometry.detector_pixel_m == 1.5e-6


def test_a_folder_given_beside_others_means_itself(family, tmp_path):
    with open_scan_files([tmp_path / "cell_2_", tmp_path / "cell_1_"]) as scan:
        assert [one.name for one in scan.distances] == [str(tmp_path / "cell_2_"), str(tmp_path / "cell_1_")]


def test_frames_lie_in_the_order_of_acquisition(family, tmp_path):
    with open_scan_files([tmp_path / "cell_1_"]) as scan:
        one = scan.distances[0]
        kinds = [DARK] + [FLAT] * 2 + [PROJECTION] * 60 + [FLAT] * 2 + [PROJECTION] * 60 + [FLAT] * 2 + [UNUSED] * 3
        assert one.kinds.tolist() == kinds
        means = one.frames[one.find(FLAT), :, :].mean(axis=(1, 2))
        np.testing.assert_array_equal(means, [1000, 1001, 1060, 1061, 1120, 1121])
        angles = one.angles_rad[one.find(PROJECTION)]
        np.testing.assert_allclose(angles, np.pi / COUNT * np.arange(COUNT), atol=1e-12)
        assert one.frames.dtype == np.uint16


def test_medians_of_flats_and_sums_of_darks_are_read(tmp_path):
    write_folder(tmp_path, 1, flats="refHST", darks="darkend")
    with open_scan_files([tmp_path / "cell_1_"]) as scan:
        one = scan.distances[0]
        np.testing.assert_allclose(one.frames[one.find(DARK), :, :], 98.3, rtol=1e-6)
        assert one.find(FLAT).size == 3


def test_pixels_that_follow_the_magnification_are_at_the_sample(tmp_path):
    for number, (source, detector) in enumerate(DISTANCES, 1):
        write_folder(tmp_path, number, pixel=1.5 * source / (source + detector), extra=0)
    with open_scan_files([tmp_path / "cell_"], distances_m=DISTANCES) as scan:
        assert [one.geometry.detector_pixel_m for one in scan.distances] == pytest.approx([1.5e-6, 1.5e-6])
    with (
        pytest.raises(InputError, match="pixels must be the detector's, or fit the magnifications"),
        open_scan_files([tmp_path / "cell_"]),
    ):
        pass


def test_one_missing_or_short_projection_is_nan_and_many_are_refused(family, tmp_path):
    folder = tmp_path / "cell_1_"
    short = folder / "cell_1_0007.edf"
    short.write_bytes(short.read_bytes()[:-20])
    (folder / "cell_1_0011.edf").unlink()
    with open_scan_files([folder]) as scan:
        one = scan.distances[0]
        read = one.frames[one.find(PROJECTION), :, :]
    assert np.flatnonzero(np.isnan(read).any(axis=(1, 2))).tolist() == [7, 11]
    np.testing.assert_array_equal(read[8:11], family[0][8:11])
    for i in range(20, 30):
        (folder / f"cell_1_{i:04d}.edf").unlink()
    with pytest.raises(InputError, match=r"at most 1 % of the projections may be missing .* lacks 11 of 120"):
        open_scan_files([folder]).__enter__()


def test_a_folder_without_scan_is_refused(tmp_path):
    (tmp_path / "empty_1_").mkdir()
    with pytest.raises(InputError, match="holds no radiographs"):
        open_scan_files([tmp_path / "empty_1_"]).__enter__()

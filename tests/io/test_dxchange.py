"""Data Exchange files."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION
from voltome.io import open_scan_files

TOOTH = Path(os.environ.get("VOLTOME_DATA", "../shared/data")) / "tomography" / "tooth.h5"
RNG = np.random.default_rng(4)
DARKS, FLATS, DATA = (RNG.integers(0, 900, (n, 4, 6), dtype=np.uint16) for n in (2, 3, 12))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/data_white"], file["exchange/data_dark"] = DATA, FLATS, DARKS
        file["exchange/theta"] = np.arange(12) * 15.0
        file["measurement/instrument/monochromator/energy"] = 27.4
        file["measurement/instrument/monochromator/energy"].attrs["units"] = "keV"
        file["measurement/instrument/detector/actual_pixel_size_x"] = 0.65
        file["measurement/instrument/detector/actual_pixel_size_x"].attrs["units"] = "micron"
    return path


def test_darks_flats_and_projections_are_one_stack(path):
    with open_scan_files([path], distances_m=[(np.inf, 0.1)]) as scan:
        (one,) = scan.distances
        stack = np.concatenate([DARKS, FLATS, DATA])
        np.testing.assert_array_equal(one.frames[:, :, :], stack)
        np.testing.assert_array_equal(one.frames[np.array([1, 2, 3, 9]), 1:3, 2:], stack[[1, 2, 3, 9], 1:3, 2:])
        np.testing.assert_array_equal(one.frames[4, :, :], FLATS[2])
        assert one.kinds.tolist() == [DARK] * 2 + [FLAT] * 3 + [PROJECTION] * 12
        np.testing.assert_allclose(one.angles_rad[one.find(PROJECTION)], np.radians(np.arange(12) * 15.0))
    assert one.geometry.energy_kev == pytest.approx(27.4)
    assert one.geometry.pixel_m == 0.65e-6


@pytest.mark.parametrize(("part", "what"), [("data_dark", "darks"), ("data_white", "flats")])
def test_missing_flats_or_darks_are_refused(path, part, what):
    with h5py.File(path, "r+") as file:
        del file[f"exchange/{part}"]
    with pytest.raises(InputError, match=f"scan.h5 has no {what}"):
        open_scan_files([path]).__enter__()


def test_a_pixel_in_micrometres_without_unit_is_refused(path):
    with h5py.File(path, "r+") as file:
        del file["measurement/instrument/detector/actual_pixel_size_x"].attrs["units"]
    with pytest.raises(InputError, match=r"pixel of .* \(got 0.65\): it looks like um, give 6.5e-07"):
        open_scan_files([path]).__enter__()


@pytest.mark.skipif(not TOOTH.exists(), reason="needs tooth.h5")
def test_the_tooth_is_read():
    with open_scan_files([TOOTH]) as scan:
        (one,) = scan.distances
        assert [one.find(kind).size for kind in (PROJECTION, FLAT, DARK)] == [181, 10, 10]
        flat, dark = (one.frames[one.find(kind), :, :].mean(axis=0) for kind in (FLAT, DARK))
        share = (one.frames[one.find(PROJECTION)[0], :, :] - dark) / (flat - dark)
    assert 0.9 < np.median(share[:, :40]) < 1.1  # air beside the tooth
    assert share[:, 290:310].mean() < 0.7

"""What all steps read: corrections as arrays, files with what the settings add, frames on one pixel."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from voltome.pipeline.reconstruction_settings import DistanceSettings, ReconstructionSettings
from voltome.pipeline.scan_frames import Corrections, OpenScan, forget_scan, name_files, share_scan

from .damage import name_radiographs

NOTHING: np.ndarray = np.zeros((0, 4))


def test_corrections_survive_being_arrays() -> None:
    replacements = ({3: ((2, 0.5), (4, 0.5))}, {}, {0: ((1, 1.0),), 9: ((8, 0.25), (12, 0.75))})
    given = Corrections(replacements, np.arange(30.0).reshape(3, 5, 2), np.array([4.0, 1.5, -1.0]))
    back = Corrections.from_arrays(given.as_arrays())
    assert back.replacements == replacements
    np.testing.assert_array_equal(back.shifts_px, given.shifts_px)
    np.testing.assert_array_equal(back.screen, given.screen)


def test_settings_say_what_files_do_not() -> None:
    distances = (DistanceSettings(source_sample_m=0.3, sample_detector_m=0.4), DistanceSettings(sample_detector_m=0.1))
    settings = ReconstructionSettings(energy_kev=17, distances=distances, angle_range_deg=(0, 180))
    files = name_files(["a.nx", "b.nx"], settings)
    assert files.names == ("a.nx", "b.nx") and files.energy_kev == 17
    assert files.distances_m == ((0.3, 0.4), (math.inf, 0.1))
    assert files.angle_range_rad == pytest.approx((0, math.pi))
    assert name_files(["a.nx"], ReconstructionSettings()).distances_m is None


def test_threads_share_one_open_scan_until_it_is_let_go(filmed_twin: Path) -> None:
    settings = ReconstructionSettings()
    files = name_files(name_radiographs(filmed_twin), settings)
    one = share_scan(files, settings, NOTHING)
    assert share_scan(files, settings, NOTHING) is one
    forget_scan()
    other = share_scan(files, settings, NOTHING)
    assert other is not one
    np.testing.assert_array_equal(other.read(5, 1), one.read(5, 1))
    forget_scan()


def test_frames_are_transmissions_on_the_first_distances_pixels(filmed_twin: Path) -> None:
    settings = ReconstructionSettings()
    scan = OpenScan(name_files(name_radiographs(filmed_twin), settings), settings, ({}, {}, {}))
    frames = scan.read_registered(7, np.zeros((3, 56, 2)))
    assert frames.shape == (3, 44, 70) and frames.dtype == np.float32
    assert frames[0, 10:30].mean() == pytest.approx(1.0, abs=0.1)
    assert frames[0, 0].mean() < 0.1  # copper
    moved = scan.rescale(scan.read(7, 0), 0, (2.0, -3.0))
    np.testing.assert_allclose(moved[10:30, 10:60], frames[0, 12:32, 7:57], atol=0.03)
    scan.close()

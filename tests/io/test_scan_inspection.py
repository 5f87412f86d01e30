"""What is odd about a scan that can be read."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.frames import DARK, FLAT, PROJECTION, UNUSED, DistanceScan, HolotomographyScan
from voltome.io import inspect_scan
from voltome.optics import Geometry


def make_scan(**changes):
    kinds = np.array([DARK, FLAT] + [PROJECTION] * 90, dtype=np.uint8)
    rng = np.random.default_rng(6)
    frames = np.array([3000, 5000, 100])[kinds][:, None, None] + rng.integers(0, 99, (92, 6, 8))
    angles = np.concatenate([[0, 0], np.radians(2.0 * np.arange(90))])
    values = {
        "name": "scan",
        "frames": frames.astype(np.uint16),
        "kinds": kinds,
        "angles_rad": angles,
        "geometry": Geometry(4e-11, 0.05, 0.6, 6.5e-7),
    }
    return DistanceScan(**(values | changes))


def check_finding(scan, *messages):
    findings = inspect_scan(HolotomographyScan((scan,)))
    assert len(findings) == len(messages), findings
    for finding, message in zip(findings, messages, strict=True):
        assert message in finding


def test_a_good_scan_has_no_findings():
    check_finding(make_scan())


def test_an_unknown_geometry_is_told():
    check_finding(make_scan(geometry=None), "scan: energy, pixel or distances are not known")


def test_missing_and_repeated_angles_are_told():
    scan = make_scan()
    angles = scan.angles_rad.copy()
    angles[20] = angles[60]
    check_finding(
        make_scan(angles_rad=angles), "1 angles repeat", "1 gaps between angles, the widest from 34 to 38 deg"
    )
    kinds = scan.kinds.copy()
    kinds[-30:] = UNUSED
    check_finding(make_scan(kinds=kinds), "angles span 120 deg, less than half a turn")


def test_frames_without_angle_are_told():
    scan = make_scan()
    kinds, angles = scan.kinds.copy(), scan.angles_rad.copy()
    kinds[40], angles[40] = UNUSED, np.nan
    findings = inspect_scan(HolotomographyScan((make_scan(kinds=kinds, angles_rad=angles),)))
    assert findings[0] == "scan: 1 frames have no angle and are not used"


@pytest.mark.parametrize("most", [4095, 65535])
def test_saturated_frames_are_told(most):
    frames = make_scan().frames.copy()
    frames[2:, 0] = most
    check_finding(make_scan(frames=frames), f"0.17 of the pixels of projections are saturated at {most}")


def test_pixels_and_frames_that_are_not_finite_are_told():
    frames = make_scan().frames.astype(np.float32)
    frames[1, 0, :6] = np.nan
    frames[2] = np.nan
    check_finding(
        make_scan(frames=frames), "1 of 8 projections looked at cannot be read", "0.12 of the pixels of flats are not"
    )


def test_darks_taken_for_flats_are_told():
    frames = make_scan().frames.copy()
    frames[[0, 1]] = frames[[1, 0]]
    check_finding(make_scan(frames=frames), "darks are as bright as flats")


def test_a_first_distance_that_is_not_the_sharpest_is_told():
    coarse, fine = make_scan(), make_scan(geometry=Geometry(4e-11, 0.04, 0.61, 6.5e-7))
    assert inspect_scan(HolotomographyScan((fine, coarse))) == []
    (finding,) = inspect_scan(HolotomographyScan((coarse, fine)))
    assert "not the smallest pixel" in finding

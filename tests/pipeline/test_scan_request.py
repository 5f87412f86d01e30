"""What a scan cannot give is refused before any work."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION, DistanceScan, HolotomographyScan
from voltome.optics import Geometry
from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.pipeline.scan_request import check_request, choose_mode
from voltome.settings import SettingError, validate_settings

GEOMETRY = Geometry(4e-11, 0.3, 0.4, 6.5e-7)


def make_scan(*geometries: Geometry | None, span_rad: float = math.pi) -> HolotomographyScan:
    kinds = np.array([DARK, FLAT, *[PROJECTION] * 20], dtype=np.uint8)
    angles = np.r_[0, 0, np.arange(20) * span_rad / 20]
    frames = np.zeros((22, 40, 50), np.float32)
    one = DistanceScan("T0_1.nx", frames, kinds, angles, None, None)
    return HolotomographyScan(
        tuple(replace(one, name=f"T0_{k}.nx", geometry=geometry) for k, geometry in enumerate(geometries, 1))
    )


def test_phase_is_retrieved_where_all_distances_are_known() -> None:
    settings = ReconstructionSettings()
    touching = Geometry(4e-11, math.inf, 0.0, 6.5e-7)
    assert choose_mode(make_scan(GEOMETRY, GEOMETRY), settings) == "quality"
    assert choose_mode(make_scan(GEOMETRY, None), settings) == "absorption"
    assert choose_mode(make_scan(touching), settings) == "absorption"
    assert choose_mode(make_scan(GEOMETRY), ReconstructionSettings(mode="paper")) == "paper"


def test_phase_without_distances_is_refused_with_the_file_that_lacks_them() -> None:
    settings = ReconstructionSettings(mode="fast")
    with pytest.raises(InputError, match=r"needs energy, detector pixel and distances of each file \(T0_2.nx lacks"):
        choose_mode(make_scan(GEOMETRY, None), settings)
    with pytest.raises(InputError, match=r"T0_1.nx has sample to detector 0 m"):
        choose_mode(make_scan(Geometry(4e-11, math.inf, 0.0, 6.5e-7)), settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rows": (30, 41)}, r"rows must end at 40, .* \(got 41\)"),
        ({"axis_px": 49.5}, r"axis_px must lie on the detector, 0 to 49 \(got 49.5\)"),
        ({"device": "torch:nonsense"}, r"device .*torch:nonsense"),
    ],
)
def test_what_lies_beside_the_detector_is_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_request(make_scan(GEOMETRY), ReconstructionSettings(**given))


def test_less_than_half_a_turn_needs_an_axis() -> None:
    scan = make_scan(GEOMETRY, span_rad=2.5)
    with pytest.raises(InputError, match=r"half a turn to find the rotation axis \(got 136.1 deg\): give axis_px"):
        check_request(scan, ReconstructionSettings())
    check_request(scan, ReconstructionSettings(axis_px=20))
    check_request(make_scan(GEOMETRY), ReconstructionSettings(rows=(0, 40), axis_px=49))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rings_slice": "wishes"}, r"rings_slice must be one of polar-median, .* \(got 'wishes'\)"),
        ({"rings_sinogram": "polar-median"}, r"rings_sinogram must be one of column-median"),
        ({"rows": (9, 9)}, r"rows must rise from 0 or more \(got \[9, 9\]\)"),
        ({"device": "abacus"}, r"device must be cpu, torch, cuda, cupy or torch:NAME \(got 'abacus'\)"),
        ({"axis_px": -1}, r"axis_px must be >= 0"),
    ],
)
def test_settings_that_no_scan_can_have_are_refused_in_one_line(given: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        validate_settings(ReconstructionSettings, given)
    assert "\n" not in str(caught.value)


def test_distances_that_are_the_same_are_refused() -> None:
    with pytest.raises(InputError, match=r"distances must differ \(T0_1.nx and T0_2.nx have the same"):
        check_request(make_scan(GEOMETRY, GEOMETRY), ReconstructionSettings())
    check_request(make_scan(GEOMETRY, GEOMETRY), ReconstructionSettings(mode="absorption"))
    check_request(make_scan(GEOMETRY, replace(GEOMETRY, source_sample_m=0.32)), ReconstructionSettings())


def test_distances_without_fringes_are_refused() -> None:
    near = Geometry(4e-11, 0.3, 4e-4, 6.5e-7)  # mm that were taken for metres
    with pytest.raises(InputError, match=r"distances must show fringes.* T0_2.nx\): is its unit of length right"):
        check_request(make_scan(GEOMETRY, near), ReconstructionSettings())


def test_few_columns_need_an_axis_that_is_given() -> None:
    scan = make_scan(GEOMETRY)
    few = np.zeros((22, 40, 26), np.float32)
    scan = HolotomographyScan(tuple(replace(one, frames=few) for one in scan.distances))
    with pytest.raises(InputError, match=r"at least 32 columns to find the rotation axis \(got 26\): give axis_px"):
        check_request(scan, ReconstructionSettings())
    check_request(scan, ReconstructionSettings(axis_px=12.5))

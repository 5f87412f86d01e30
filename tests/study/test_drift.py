"""Drift is that of the collector: what swells above it does not count."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.study.arrival import look_at_grey
from voltome.study.drift import cut_middle, find_collector_box, find_drift
from voltome.study.settings import ElectrodeSettings
from voltome.study.source import describe_source
from voltome.study.study_file import load_study
from voltome.twin import make_affine_motion, make_speckle_pair

SHAPE = (72, 60, 66)
LOW, HIGH = ElectrodeSettings(), ElectrodeSettings(collector_side="high-z")


@pytest.mark.parametrize("electrode", [LOW, HIGH])
def test_swelling_away_from_the_collector_is_no_drift(electrode):
    """Matter stretched along z about the collector's face, which itself moves by less than a voxel."""
    face = 6.0 if electrode is LOW else SHAPE[0] - 1 - 6.0
    motion = make_affine_motion(
        np.diag([1.06, 1.0, 1.0]), displacement_vox=(0.4, -0.7, 0.9), centre_vox=(face, 29.5, 32.5)
    )
    pair = make_speckle_pair(SHAPE, motion, noise=0.05)
    found = find_drift(
        pair.reference, pair.deformed, electrode_z_vox=(6, SHAPE[0] - 7), electrode=electrode, voxel_size_m=1e-7
    )
    np.testing.assert_allclose(np.array(found.translation_m) / 1e-7, [0.4, -0.7, 0.9], atol=0.1)
    assert found.length_m == pytest.approx(1e-7 * np.sqrt(0.16 + 0.49 + 0.81), rel=0.1)
    assert found.magnification == pytest.approx(1, abs=2e-3)
    assert found.zncc > 0.8


def test_rotation_and_magnification_come_with_it():
    turn = 0.01
    linear = 1.004 * np.array([[1, 0, 0], [0, np.cos(turn), np.sin(turn)], [0, -np.sin(turn), np.cos(turn)]])
    pair = make_speckle_pair(SHAPE, make_affine_motion(linear))
    found = find_drift(
        pair.reference, pair.deformed, electrode_z_vox=(6, SHAPE[0] - 7), electrode=LOW, voxel_size_m=1e-7
    )
    assert found.rotation_mrad[0] == pytest.approx(10, abs=0.5)
    assert found.magnification == pytest.approx(1.004, abs=5e-4)


def test_drift_of_the_simulated_experiment_is_found(experiment, electrode_twin):
    study = load_study(experiment)
    voxel_size_m = study.settings.voxel_size_m
    sources = [describe_source(study, scan.volume) for scan in study.settings.scans]
    for number in (1, 2):
        with sources[number - 1].open() as before, sources[number].open() as after:
            look = look_at_grey(before, (0.0, 65535.0))
            found = find_drift(
                before,
                after,
                electrode_z_vox=look.electrode_z_vox,
                electrode=study.settings.electrode,
                voxel_size_m=voxel_size_m,
            )
            face = np.array([[look.electrode_z_vox[0], *((np.array(before.shape[1:]) - 1) / 2)]])
        drifts = electrode_twin.drifts
        true = drifts[number].to_scan(drifts[number - 1].to_lab(face)) - face
        assert np.linalg.norm(np.array(found.translation_m) / voxel_size_m - true[0]) < 0.15


def test_where_nothing_can_be_measured_there_is_none():
    flat = np.zeros((40, 40, 40), dtype=np.uint16)
    layers = flat + np.arange(40, dtype=np.uint16)[:, None, None]
    missing = np.full(flat.shape, np.nan, dtype=np.float32)
    texture = make_speckle_pair((40, 40, 40), make_affine_motion(np.eye(3))).reference
    for other in (flat, layers, missing):
        assert find_drift(texture, other, electrode_z_vox=(0, 39), electrode=LOW, voxel_size_m=1e-7) is None
    small = texture[:6, :6, :6]
    assert find_drift(small, small, electrode_z_vox=(0, 5), electrode=LOW, voxel_size_m=1e-7) is None


def test_the_box_lies_at_the_collector_and_stays_in_the_volume():
    face, low, high = find_collector_box((2048, 2048, 2048), (200, 1900), LOW, 5e-8)
    assert (face, low[0], high[0]) == (200, 152, 344)
    assert high[1] - low[1] == high[2] - low[2] == 1024
    face, low, high = find_collector_box((2048, 2048, 2048), (200, 1900), HIGH, 5e-8)
    assert (face, low[0], high[0]) == (1900, 1756, 1948)
    face, low, high = find_collector_box((44, 32, 34), (0, 43), LOW, 5e-8)
    assert (face, low[0], high[0]) == (0, 0, 32)


def test_the_study_s_region_tells_the_collector_s_face():
    given = ElectrodeSettings.model_validate({"region_m": {"z": [2e-6, 2.5e-6]}})
    assert find_collector_box((100, 80, 80), (40, 90), given, 1e-7)[0] == 20
    whole = ElectrodeSettings(region_m="all")
    assert find_collector_box((100, 80, 80), (40, 90), whole, 1e-7)[0] == 40


def test_the_middle_lies_inside_the_circle_that_a_reconstruction_fills():
    for n in (3, 9, 50, 2048):
        middle = cut_middle(n, 256)
        assert 0 <= middle.start < middle.stop <= n
        assert abs(middle.start + middle.stop - n) <= 1
    assert cut_middle(2048, 256) == slice(896, 1152)
    assert cut_middle(100, 256) == slice(15, 85)

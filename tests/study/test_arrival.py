"""The quick look at a scan that has arrived: what is fine is a go, what is not is named, and nothing raises."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from voltome import io
from voltome.study.arrival import Earlier, inspect_arrival, look_at_grey, read_arrival
from voltome.study.source import describe_source
from voltome.study.study_file import load_study

WINDOW = (0.0, 65535.0)
WHOLE = slice(None)


@pytest.fixture(scope="module")
def study(experiment):
    return load_study(experiment)


@pytest.fixture(scope="module")
def scans(study):
    """The simulated scans, as they lie on disk."""
    return [describe_source(study, scan.volume) for scan in study.settings.scans]


@pytest.fixture(scope="module")
def first(study, scans):
    return Earlier(inspect_arrival(scans[0], "T0", settings=study.settings, grey_window=WINDOW), scans[0])


@pytest.fixture(scope="module")
def grey(scans):
    with scans[1].open() as volume:
        return volume[WHOLE, WHOLE, WHOLE]


@pytest.fixture
def inspect(study, first, tmp_path):
    """Inspect a volume that arrives after T0."""

    def run(volume, *, window=WINDOW, voxel_size_m=None):
        io.write_volume(tmp_path / "T1.tif", volume, voxel_size_m=voxel_size_m, overwrite=True)
        source = describe_source(study, str(tmp_path / "T1.tif"))
        return inspect_arrival(
            source, "T1", settings=study.settings, grey_window=window, first=first.arrival, last=first
        )

    return run


def test_a_scan_like_those_before_is_a_go(study, scans, first):
    assert first.arrival.go and first.arrival.comparable
    assert first.arrival.noise_rise is None and first.arrival.drift is None
    found = inspect_arrival(
        scans[1], "T1", settings=study.settings, grey_window=WINDOW, first=first.arrival, last=first
    )
    assert found.go, found.reasons
    assert found.noise_rise == pytest.approx(1, abs=0.15)
    assert found.drift_since == "T0"
    assert found.grey.at_low + found.grey.at_high < 1e-3


def test_noise_is_measured_beside_particles(grey):
    look = look_at_grey(grey, WINDOW)
    noisier = look_at_grey(grey + np.random.default_rng(3).normal(0, 2000, grey.shape), WINDOW)
    added = np.hypot(look.noise * look.contrast, 2000)
    assert noisier.noise * noisier.contrast == pytest.approx(added, rel=0.1)


def test_the_electrode_is_found_between_collector_and_separator(electrode_twin, first):
    low, high = first.arrival.grey.electrode_z_vox
    settings = electrode_twin.settings
    face = settings.collector_m / settings.voxel_size_m
    top = face + settings.steps[0].thickness_m / settings.voxel_size_m
    assert abs(low - face) < 3
    assert abs(high - top) < 3


def test_saturation_is_named_with_its_end(inspect, grey):
    found = inspect(grey, window=(0.0, float(np.percentile(grey, 97))))
    (reason,) = found.reasons
    assert "% of the voxels are at the bright end of the grey window" in reason
    assert found.grey.at_high == pytest.approx(0.03, abs=0.015)
    assert found.grey.at_low == 0.0


def test_noise_is_compared_with_the_first_scan(inspect, grey):
    noisy = grey + np.random.default_rng(4).normal(0, 3000, grey.shape)
    found = inspect(np.clip(noisy, 1, 65534).astype(np.uint16))
    assert found.noise_rise > 1.5
    assert any(reason.startswith("its noise is") and "that of T0 (at most 1.5)" in reason for reason in found.reasons)


def test_other_gain_and_offset_are_no_noise(inspect, grey):
    assert inspect((0.5 * grey + 9000).astype(np.uint16)).noise_rise == pytest.approx(1, abs=0.15)


def test_a_drift_beyond_the_limit_is_named(inspect, study, grey):
    still = inspect(grey).drift
    found = inspect(np.roll(grey, (0, 6, -4), axis=(0, 1, 2)))
    (reason,) = found.reasons
    assert reason.startswith("it has drifted by 2.") and "since T0" in reason and "at most 2)" in reason
    moved = (np.array(found.drift.translation_m) - still.translation_m) / study.settings.voxel_size_m
    np.testing.assert_allclose(moved, [0, 6, -4], atol=0.5)


def test_another_place_is_not_taken_for_a_drift(inspect, grey):
    (reason,) = inspect(np.ascontiguousarray(grey[:, ::-1])).reasons
    assert reason.startswith("it does not look like T0 (ZNCC")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda grey: np.full(grey.shape, np.nan, np.float32), "it holds no grey value (all NaN)"),
        (lambda grey: np.where(np.arange(34) < 12, np.nan, grey), "% of the voxels have no grey value (at most 1.0%)"),
        (lambda grey: np.full_like(grey, 7), "nearly all of its voxels have one grey value (7)"),
        (lambda grey: grey[:, :, 1:], "it has 44 x 32 x 33 voxels (T0 44 x 32 x 34)"),
        (lambda grey: grey[:, :3, :3], "it has 44 x 3 x 3 voxels (T0 44 x 32 x 34)"),
        (
            lambda grey: np.arange(44)[:, None, None] * 900 + np.zeros_like(grey),
            "its drift since T0 cannot be measured",
        ),
    ],
)
def test_what_cannot_be_used_is_a_no_go_with_its_reason(inspect, grey, change, reason):
    found = inspect(np.ascontiguousarray(change(grey)))
    assert not found.go
    assert any(reason in said for said in found.reasons), found.reasons


def test_a_file_of_other_voxels_is_a_no_go(inspect, grey):
    (reason,) = inspect(grey, voxel_size_m=5e-7).reasons
    assert reason == "its file says voxels of 5e-07 m (the study 3e-07)"


def test_a_file_that_vanishes_is_a_reason_too(study, tmp_path):
    source = describe_source(study, str(tmp_path / "gone.tif"))
    found = inspect_arrival(source, "T1", settings=study.settings, grey_window=WINDOW)
    assert found.grey is None and not found.comparable
    assert found.reasons[0].endswith("gone.tif does not exist: check the name")


def test_what_was_written_down_is_read_again(inspect, grey):
    for arrival in (inspect(grey), inspect(np.full_like(grey, 7))):
        assert read_arrival(json.loads(json.dumps(asdict(arrival)))) == arrival

"""The noise of a repeat pair, from volumes to numbers."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.errors import InputError
from voltome.pipeline.metrology import measure_metrology
from voltome.pipeline.noise import NoiseOptions, measure_noise

SHAPE = (88, 82, 84)
MOTION = twin.make_rigid_motion(displacement_vox=(3.3, -1.2, 0.4))


@pytest.fixture(scope="module")
def pair():
    return twin.make_speckle_pair(SHAPE, MOTION, noise=0.05, seed=3)


@pytest.fixture(scope="module")
def metrology(pair):
    phi = dvc.register_affine(pair.reference, pair.deformed).phi
    return measure_metrology(pair.reference, pair.deformed, phi, (6, 10, 40), crop_vox=80)


def test_windows_that_do_not_fit_the_part_are_left_out(metrology):
    assert [row.half_window_vox for row in metrology] == [6, 10]


def test_waves_are_seen_as_the_mean_over_a_window(metrology):
    for row in metrology:
        known = np.isfinite(row.response)
        assert known.sum() >= 4
        np.testing.assert_allclose(row.response[known], row.expected[known], atol=0.04)
        assert row.resolution_vox == pytest.approx(4 * (2 * row.half_window_vox + 1), rel=0.08)


def test_a_virtual_affine_has_little_bias(metrology):
    for row in metrology:
        assert np.abs(row.bias.u_vox).max() < 3e-3
        assert (np.abs(row.bias.f) < 5 * row.bias.f_error + 1e-4).all()


def test_the_summary_says_what_was_measured(pair):
    options = NoiseOptions("a", "b", "out", half_windows=(8, 12), virtual=False, voxel_size_m=5e-8)
    summary = measure_noise(pair.reference, pair.deformed, options)
    rows = summary["windows"]
    assert [row["half_window_vox"] for row in rows] == [8, 12]
    assert all(0.7 < row["ratio_u"] < 1.35 and 0.8 < row["ratio_f"] < 1.25 for row in rows)
    assert all(np.isnan(row["resolution_vox"]) and np.isnan(row["bias_u_z_vox"]) for row in rows)
    np.testing.assert_allclose(summary["drift"]["translation_vox"], [3.3, -1.2, 0.4], atol=0.005)
    assert summary["findings"][0].startswith("the second scan is displaced by +3.3, -1.2, +0.4")
    assert not any("turned" in line or "magnified" in line for line in summary["findings"])
    assert summary["recommended"]["from_displacement"]["half_window_vox"] >= 4
    assert "out" not in summary["parameters"]
    assert summary["sweep"] == []


@pytest.mark.parametrize(
    ("options", "rule"),
    [({"strain_resolution": 0.0}, "strain resolution must be above 0"), ({"crop_vox": 20}, "the crop must be >= 48"),
     ({"half_windows": (8, 60)}, "got half window 60"),],
)  # fmt: skip
def test_bad_parameters_are_refused_before_the_work(pair, options, rule):
    with pytest.raises(InputError, match=rule):
        measure_noise(pair.reference, pair.deformed, NoiseOptions("a", "b", "out", **options))

"""Shell correlation against what noise, blur and shift must give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from voltome.errors import InputError
from voltome.quality import ShellCorrelation, correlate_shells

from .phantoms import draw_noise

SHAPE = (52, 60, 66)
VOXEL_M = 50e-9


def test_noise_of_known_strength_gives_the_analytic_correlation():
    signal = draw_noise(SHAPE, 1.0)
    for ratio in (0.3, 1.0, 4.0):
        halves = [math.sqrt(ratio) * signal + draw_noise(SHAPE, 1.0, seed=k) for k in (1, 2)]
        shells = correlate_shells(*halves, voxel_size_m=VOXEL_M)
        expected = ratio / (1 + ratio)
        assert np.average(shells.correlation, weights=shells.coefficients) == pytest.approx(expected, abs=0.01)
        assert (np.abs(shells.correlation - expected) < 4 * shells.sd).all()


@pytest.mark.parametrize("block_vox", [256, 33])
def test_sd_holds_the_scatter_between_independent_volumes(block_vox):
    shells = correlate_shells(
        draw_noise(SHAPE, 1.0), draw_noise(SHAPE, 1.0, seed=1), voxel_size_m=VOXEL_M, block_vox=block_vox
    )
    scatter = float(np.sqrt(np.mean((shells.correlation / shells.sd) ** 2)))
    assert 0.5 < scatter < 1.3


def test_a_shift_multiplies_by_a_sinc():
    volume = draw_noise((64, 64, 64), 1.0)
    shells = correlate_shells(volume, np.roll(volume, 1, axis=1), voxel_size_m=VOXEL_M)
    np.testing.assert_allclose(shells.correlation, np.sinc(2 * shells.frequency_per_vox), atol=0.04)


def test_blur_and_noise_give_the_analytic_resolution():
    sigma, noise = 2.0, 0.1
    truth = draw_noise((80, 88, 96), 1.0)
    volume = gaussian_filter(truth, sigma, mode="wrap") + draw_noise(truth.shape, noise, seed=1)
    shells = correlate_shells(volume, truth, voxel_size_m=VOXEL_M)
    # correlation T / sqrt(T^2 + n^2) with T = exp(-2 (pi f sigma)^2) is 0.5 where T^2 = n^2 / 3
    frequency = math.sqrt(-0.25 * math.log(noise**2 / 3)) / (math.pi * sigma)
    found = shells.find_resolution(0.5)
    assert found.length_m == pytest.approx(VOXEL_M / frequency, rel=0.02)
    assert not found.at_nyquist and math.isinf(found.coarsest_m)


def test_half_sets_predict_the_correlation_with_truth():
    truth = gaussian_filter(draw_noise(SHAPE, 1.0), 1.0, mode="wrap")
    halves = [truth + draw_noise(SHAPE, 0.1, seed=k) for k in (1, 2)]
    predicted = correlate_shells(*halves, voxel_size_m=VOXEL_M).predict_truth()
    measured = correlate_shells(0.5 * (halves[0] + halves[1]), truth, voxel_size_m=VOXEL_M)
    assert predicted.find_resolution(0.5).length_m == pytest.approx(measured.find_resolution(0.5).length_m, rel=0.05)
    half = correlate_shells(*halves, voxel_size_m=VOXEL_M)
    assert half.find_resolution(1 / 7).length_m == pytest.approx(predicted.find_resolution(0.5).length_m, rel=1e-3)


def test_half_bit_lies_near_the_constant_that_it_tends_to():
    halves = [gaussian_filter(draw_noise(SHAPE, 1.0), 1.0) + draw_noise(SHAPE, 0.1, seed=k) for k in (1, 2)]
    shells = correlate_shells(*halves, voxel_size_m=VOXEL_M)
    assert shells.find_threshold("half-bit")[-1] == pytest.approx(0.2071 / 1.2071, abs=0.05)
    assert (np.diff(shells.find_threshold("half-bit")[3:]) < 0.01).all()
    assert shells.find_resolution("half-bit").length_m > shells.find_resolution(0.143).length_m


def test_equal_volumes_are_resolved_to_nyquist_at_least():
    volume = draw_noise(SHAPE, 1.0)
    shells = correlate_shells(volume, 3 * volume + 5, voxel_size_m=VOXEL_M)
    found = shells.find_resolution(0.5)
    np.testing.assert_allclose(shells.correlation, 1.0, atol=1e-4)
    assert found.at_nyquist and found.length_m == 2 * VOXEL_M
    assert str(found) == "at least Nyquist (100 nm)"


def test_a_band_that_begins_late_says_where():
    frequency = np.linspace(0.05, 0.5, 10)
    correlation = np.array([0.1, 0.3, 0.7, 0.9, 0.6, 0.4, 0.6, 0.1, np.nan, 0.0])
    ones = np.ones(10)
    shells = ShellCorrelation(frequency, correlation, 100 * ones, ones, ones, ones, VOXEL_M)
    found = shells.find_resolution(0.5)
    assert found.length_m == pytest.approx(VOXEL_M / 0.275)
    assert found.coarsest_m == pytest.approx(VOXEL_M / 0.15)
    assert math.isnan(shells.find_resolution(0.95).length_m)
    assert str(shells.find_resolution(0.95)) == "nothing resolved"


def test_rings_of_images_are_shells_of_one_plane():
    truth = draw_noise((150, 170), 1.0)
    image = gaussian_filter(truth, 2.0, mode="wrap") + draw_noise(truth.shape, 0.1, seed=1)
    rings = correlate_shells(image, truth, voxel_size_m=VOXEL_M)
    frequency = math.sqrt(-0.25 * math.log(0.01 / 3)) / (2 * math.pi)
    assert rings.find_resolution(0.5).length_m == pytest.approx(VOXEL_M / frequency, rel=0.04)


def test_what_a_mask_hides_does_not_count():
    truth = gaussian_filter(draw_noise(SHAPE, 1.0), 1.0)
    volume = truth + draw_noise(SHAPE, 0.001, seed=1)
    volume[:, :, 40:] = draw_noise(volume[:, :, 40:].shape, 5.0, seed=2)
    volume[0, 0, -1] = np.nan
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, :, :38] = True
    shells = correlate_shells(volume, truth, voxel_size_m=VOXEL_M, mask=mask)
    assert shells.correlation[3:15].min() > 0.98
    with pytest.raises(InputError, match="must be finite"):
        correlate_shells(volume, truth, voxel_size_m=VOXEL_M)


def test_a_mask_makes_no_correlation_of_its_own():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[8:44, 10:50, 12:54] = True
    volumes = [draw_noise(SHAPE, 1.0, seed=k) + 100 for k in (1, 2)]
    shells = correlate_shells(*volumes, voxel_size_m=VOXEL_M, mask=mask)
    assert (np.abs(shells.correlation) < 4 * shells.sd).all()


def test_error_in_a_band_is_that_of_the_band():
    x = np.arange(64)
    slow = np.sin(2 * np.pi * x / 32)[:, None, None] * np.ones((1, 64, 64), dtype=np.float32)
    fine = np.sin(2 * np.pi * x / 8)[None, :, None] * np.ones((64, 1, 64), dtype=np.float32)
    shells = correlate_shells((0.5 * slow + 0.9 * fine), (slow + fine), voxel_size_m=1.0)
    assert shells.find_error(longest_m=10.0) == pytest.approx(0.1, abs=0.01)
    assert shells.find_error(shortest_m=16.0) == pytest.approx(0.5, abs=0.01)
    assert math.isnan(shells.find_error(longest_m=1.0))


def test_what_cannot_be_compared_is_refused():
    volume = draw_noise((20, 20, 20), 1.0)
    with pytest.raises(InputError, match="one shape"):
        correlate_shells(volume, volume[1:], voxel_size_m=1.0)
    with pytest.raises(InputError, match="16 voxels a side"):
        correlate_shells(volume[:10], volume[:10], voxel_size_m=1.0)
    with pytest.raises(InputError, match="widen the mask"):
        correlate_shells(volume, volume, voxel_size_m=1.0, mask=np.zeros(volume.shape, dtype=bool))
    with pytest.raises(InputError, match="threshold must be between 0 and 1"):
        correlate_shells(volume, volume, voxel_size_m=1.0).find_resolution(1.5)

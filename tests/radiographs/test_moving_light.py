"""Light whose pattern moves, found beside a sample that fills the field."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter

from voltome.radiographs.moving_light import MovingLight, find_moving_light

SHAPE = 300, 340
WHOLE = slice(0, SHAPE[0]), slice(0, SHAPE[1])
SHIFTS = np.array([[0.6, -1.3], [-2.2, 0.4], [1.7, 2.1]])


def make_pattern(seed=0):
    """Speckle and horizontal stripes, periodic, so that it can be shifted exactly."""
    draw = np.random.default_rng(seed)
    speckle = gaussian_filter(draw.standard_normal(SHAPE), 1.5, mode="wrap")
    stripes = gaussian_filter(draw.standard_normal((SHAPE[0], 1)), (3, 0), mode="wrap")
    return 0.03 * speckle / speckle.std() + 0.1 * stripes / stripes.std()


def shift_exactly(pattern, shift):
    return np.real(np.fft.ifft2(fourier_shift(np.fft.fft2(pattern), shift)))


def make_flats(pattern, shifts, *, photons=20_000.0, seed=1):
    """Means of groups of flats, of pixels with gains of their own."""
    draw = np.random.default_rng(seed)
    gain = 1 + 0.01 * draw.standard_normal(SHAPE)
    light = np.stack([photons * gain * np.exp(shift_exactly(pattern, shift)) for shift in shifts])
    return draw.poisson(light).astype(np.float32), gain


def make_sample(seed):
    draw = np.random.default_rng(seed)
    parts = [gaussian_filter(draw.standard_normal(SHAPE), width) for width in (5, 10, 25)]
    return np.exp(-0.4 + sum(0.08 * part / part.std() for part in parts))


def test_the_pattern_is_found_beside_a_sample():
    pattern = make_pattern()
    flats, gain = make_flats(pattern, [(0.0, 0.0), (1.4, -0.9)])
    moving = find_moving_light(flats)
    assert np.abs(moving.shifts_px - [(0, 0), (1.4, -0.9)]).max() < 0.02
    for seed, shift in enumerate(SHIFTS):
        light = 2400 * gain * np.exp(shift_exactly(pattern, shift)) * make_sample(seed)
        frame = np.random.default_rng(seed).poisson(light).astype(np.float32)
        error = np.abs(moving.find_shift(frame, 0, 0.5) - shift)
        assert error[0] < 0.05 and error[1] < 0.2  # rows have stripes, columns speckle alone


def test_without_a_sample_a_frame_shows_its_shift_to_hundredths_of_a_pixel():
    pattern = make_pattern()
    flats, gain = make_flats(pattern, [(0.0, 0.0), (1.4, -0.9)])
    moving = find_moving_light(flats)
    for shift in SHIFTS:
        frame = (2400 * gain * np.exp(shift_exactly(pattern, shift))).astype(np.float32)
        assert np.abs(moving.find_shift(frame, 0, 0.5) - shift).max() < 0.03


def test_what_is_divided_away_is_the_pattern_where_it_lies():
    pattern = make_pattern()
    flats, _ = make_flats(pattern, [(0.0, 0.0), (1.4, -0.9)], photons=1e6)
    moving = find_moving_light(flats)
    inner = (slice(20, -20),) * 2
    for shift in SHIFTS:
        seen = moving.sample(shift, *WHOLE)
        # slow stripes are the flats' own; gains of single pixels are noise to the pattern
        left = (seen - shift_exactly(pattern, shift))[inner]
        left -= gaussian_filter(left, 20)
        assert left.std() < 0.08 * pattern.std()


def test_a_part_is_as_the_whole():
    moving = find_moving_light(make_flats(make_pattern(), [(0.0, 0.0)])[0])
    part = moving.sample(SHIFTS[0], slice(40, 90), slice(7, 200))
    assert np.array_equal(part, moving.sample(SHIFTS[0], *WHOLE)[40:90, 7:200])


@pytest.mark.parametrize("axis", [0, 1])
def test_slopes_are_the_change_with_the_shift(axis):
    flats, _ = make_flats(make_pattern(), [(0.0, 0.0)])
    spline = find_moving_light(flats)._spline
    step = np.zeros(2)
    step[axis] = 1e-2
    for shift in (np.array([0.3, -0.8]), np.array([-1.6, 2.0])):
        change = (spline.sample(shift + step, *WHOLE) - spline.sample(shift - step, *WHOLE)) / 2e-2
        slope = spline.sample(shift, *WHOLE, along=axis)
        assert np.abs(change - slope).max() < 2e-3 * np.abs(slope).max()


def test_a_frame_without_light_says_nothing():
    flats, _ = make_flats(make_pattern(), [(0.0, 0.0), (1.0, -2.0)])
    moving = find_moving_light(flats)
    expected = 0.75 * moving.shifts_px[0] + 0.25 * moving.shifts_px[1]
    assert np.allclose(moving.find_shift(np.zeros(SHAPE, np.float32), 0, 0.25), expected)


def test_even_light_shows_no_motion():
    draw = np.random.default_rng(3)
    y, x = np.indices(SHAPE) / 300
    flats = draw.poisson(5000 * (1 - 0.3 * (x - 0.5) ** 2 - 0.3 * (y - 0.5) ** 2), (2, *SHAPE)).astype(np.float32)
    assert find_moving_light(flats) is None


def test_small_frames_have_small_windows():
    pattern = make_pattern()[:40, :50]
    moving = MovingLight(pattern.astype(np.float32), np.exp(pattern)[None].astype(np.float32), np.zeros((1, 2)))
    frame = np.exp(moving.sample(np.array([0.5, -0.4]), slice(0, 40), slice(0, 50)))
    assert np.abs(moving.find_shift(1000 * frame, 0, 0.0) - [0.5, -0.4]).max() < 0.1

"""Resampling to another pixel against functions of known values."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.radiographs import Resampler


def evaluate(z, u, slower=1.0):
    """A pattern up to 0.36 cycles a pixel."""
    z, u = z / slower, u / slower
    steep = 0.3 * np.cos(2 * np.pi * (0.30 * z + 0.11 * u) + 0.3) + 0.2 * np.cos(2 * np.pi * (0.05 * z - 0.355 * u))
    return 1 + steep + 0.1 * np.sin(2 * np.pi * 0.02 * u + 0.01 * z)


def sample(shape, slower=1.0):
    return evaluate(*np.indices(shape).astype(np.float64), slower).astype(np.float32)


@pytest.mark.parametrize("ratio", [1.0, 1 / 1.04, 1 / 1.5, 1.3, 2.0])
@pytest.mark.parametrize("margin", [0, (3, 6)])
def test_a_band_limited_pattern_is_resampled_to_a_thousandth(ratio, margin):
    shift = 0.37, -1.2
    slower = max(1.0, 1.05 * ratio)
    small = int(110 / ratio), int(96 / ratio)
    resampler = Resampler((130, 118), 1e-7, small, ratio * 1e-7, shift_px=shift, margin_px=margin)
    out = resampler.apply(sample((130, 118), slower))
    rows, cols = margin if isinstance(margin, tuple) else (margin, margin)
    assert out.shape == (small[0] + 2 * rows, small[1] + 2 * cols) == resampler.shape_out and out.dtype == np.float32
    z = 64.5 + (np.arange(out.shape[0]) - rows - (small[0] - 1) / 2 + shift[0]) * ratio
    u = 58.5 + (np.arange(out.shape[1]) - cols - (small[1] - 1) / 2 + shift[1]) * ratio
    reach = 8 * max(1.0, ratio)
    part = np.ix_((z > reach) & (z < 129 - reach), (u > reach) & (u < 117 - reach))
    assert out[part].size > 0.3 * out.size
    assert np.abs(out - evaluate(z[:, None], u, slower))[part].max() < 1e-3


def test_the_same_pixel_without_shift_changes_nothing():
    frames = np.random.default_rng(0).random((2, 40, 52), dtype=np.float32)
    assert np.abs(Resampler((40, 52), 1e-7, (40, 52), 1e-7).apply(frames) - frames).max() < 1e-6


def test_a_positive_shift_brings_a_feature_back_from_larger_rows():
    frame = np.zeros((40, 50), np.float32)
    frame[23, 18] = 1
    out = Resampler((40, 50), 1e-7, (40, 50), 1e-7, shift_px=(3, -2)).apply(frame)
    assert np.unravel_index(out.argmax(), out.shape) == (20, 20) and out[20, 20] == pytest.approx(1, abs=1e-6)


def test_the_centre_stays_where_it_is_told():
    frame = sample((60, 70), 3.0)
    out = Resampler((60, 70), 1.5e-7, (60, 70), 1e-7, centre_in_px=(20, 33), centre_out_px=(25, 30)).apply(frame)
    assert out[25, 30] == pytest.approx(frame[20, 33], abs=1e-4)
    assert out[28, 33] == pytest.approx(frame[22, 35], abs=1e-4)


def test_frequencies_beyond_the_new_pixel_are_not_aliased():
    frame = np.cos(2 * np.pi * 0.42 * np.arange(200.0)) * np.ones((120, 1))
    out = Resampler((120, 200), 1e-7, (60, 100), 2e-7).apply(frame.astype(np.float32))
    assert np.abs(out[:, 12:-12]).max() < 0.01


def test_outside_the_edge_goes_on_and_what_is_inside_is_told():
    frame = np.full((30, 40), 2.0, np.float32)
    frame[:, :3] = 5.0
    resampler = Resampler((30, 40), 1e-7, (30, 40), 1e-7, margin_px=(0, 12))
    out = resampler.apply(frame)
    assert np.allclose(out[:, :3], 5.0, atol=1e-5) and np.allclose(out[:, -20:], 2.0, atol=1e-5)
    assert resampler.inside == (slice(0, 30), slice(12, 52))


def test_an_even_field_stays_even_and_no_frame_stays_none():
    resampler = Resampler((30, 40), 1.3e-7, (50, 44), 1e-7, shift_px=(0.2, 5.3))
    assert np.abs(resampler.apply(np.full((1, 30, 40), 3.0, np.float32)) - 3.0).max() < 1e-5
    assert resampler.apply(np.empty((0, 30, 40), np.float32)).shape == (0, 50, 44)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_in_m": 0.0}, "pixel_in_m must be > 0"),
        ({"pixel_out_m": float("nan")}, "pixel_out_m must be > 0"),
        ({"pixel_out_m": 1e-4}, "check the units"),
        ({"shape_in": (0, 3)}, "shape_in must be >= 1"),
        ({"margin_px": -1}, "margin_px must be >= 0"),
        ({"shift_px": (np.nan, 0.0)}, "shift_px must be finite"),
    ],
)
def test_senseless_settings_are_refused(options, message):
    plain = {"shape_in": (30, 40), "pixel_in_m": 1e-7, "shape_out": (30, 40), "pixel_out_m": 1e-7}
    with pytest.raises(InputError, match=message):
        Resampler(**(plain | options))


def test_frames_of_another_shape_are_refused():
    with pytest.raises(InputError, match="make a resampler for them"):
        Resampler((30, 40), 1e-7, (30, 40), 1e-7).apply(np.zeros((30, 41), np.float32))

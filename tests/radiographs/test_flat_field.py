"""Flat fields on synthetic frames of known transmission."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION, UNUSED, DistanceScan
from voltome.radiographs import FlatField, plan_repair

SHAPE = 150, 190
MARGIN = 12


def make_light(seed=0):
    """Illumination with stripes, speckle and shading, wider than the field."""
    draw = np.random.default_rng(seed)
    shape = SHAPE[0] + 2 * MARGIN, SHAPE[1] + 2 * MARGIN
    stripes = gaussian_filter1d(draw.standard_normal(shape[0]), 2.0)[:, None] * np.ones(shape[1])
    parts = stripes, gaussian_filter(draw.standard_normal(shape), 3), gaussian_filter(draw.standard_normal(shape), 30)
    return 1 + sum(share * part / part.std() for share, part in zip((0.08, 0.04, 0.08), parts, strict=True))


def make_sample(count, seed=1):
    """Transmissions of a sample that fills the field: texture that turns, layers that stay."""
    draw = np.random.default_rng(seed)
    texture = sum(
        part / part.std() for part in (gaussian_filter(draw.standard_normal(SHAPE), width) for width in (1.5, 5, 15))
    )
    layers = np.cumsum(gaussian_filter1d(draw.standard_normal(SHAPE[0]) * (draw.random(SHAPE[0]) < 0.05), 0.8))
    sample = [0.12 * np.roll(texture, 5 * k, axis=1) + 0.1 * layers[:, None] - 0.3 for k in range(count)]
    return np.exp(np.minimum(sample, 0.0))


def make_scan(kinds, *, drift=0.0, jitter=0.0, counts=8000, seed=2, current=None, noisy=True, only_flats=False):
    """A scan and the transmission of its projections; the light moves by `drift` px over the scan."""
    draw = np.random.default_rng(seed)
    kinds = np.array(kinds, np.uint8)
    light, truth = make_light(), make_sample(np.count_nonzero(kinds == PROJECTION))
    gain, dark = 1 + 0.02 * draw.standard_normal(SHAPE), 100 + 5 * draw.standard_normal(SHAPE)
    time = np.linspace(0, 1, kinds.size)
    path = drift * np.stack([np.sin(2.2 * np.pi * time) + time, np.cos(3 * np.pi * time)], axis=1)
    path += jitter * draw.standard_normal(path.shape) * (kinds == FLAT if only_flats else kinds >= 0)[:, None]
    beam = np.ones(kinds.size) if current is None else current / np.median(current)
    frames = np.empty((kinds.size, *SHAPE), np.float32)
    samples = iter(truth)
    for k, kind in enumerate(kinds):
        z, u = (np.arange(n) + MARGIN + step for n, step in zip(SHAPE, path[k], strict=True))
        mean = counts * beam[k] * gain * map_coordinates(light, np.meshgrid(z, u, indexing="ij"), order=3)
        mean = {DARK: 0.0 * mean, UNUSED: 7.0 * mean}.get(kind, mean)
        mean = mean * next(samples) if kind == PROJECTION else mean
        frames[k] = dark + (draw.poisson(mean) + 3 * draw.standard_normal(SHAPE) if noisy else mean)
    if noisy:
        frames = np.clip(np.rint(frames), 0, 65535).astype(np.uint16)
    angles = np.linspace(0, np.pi, kinds.size)
    return DistanceScan("first.nx", frames, kinds, angles, current=current), truth


PLAIN = [DARK] * 4 + [FLAT] * 6 + [PROJECTION] * 5 + [UNUSED] + [PROJECTION] * 5 + [FLAT] * 6


def find_errors(field, truth):
    """Error of the logarithm, frame by frame, less each frame's median; and the part that is wider than noise."""
    error = np.log(field.correct(field.scan.find(PROJECTION)) / truth)
    error -= np.median(error, axis=(1, 2), keepdims=True)
    return float(error.std()), float(np.mean([gaussian_filter(part, 2.0).std() for part in error]))


def test_without_noise_the_transmission_is_exact():
    scan, truth = make_scan(PLAIN, noisy=False)
    out = FlatField.fit(scan).correct(scan.find(PROJECTION))
    assert out.shape == truth.shape and out.dtype == np.float32 and np.abs(out - truth).max() < 1e-4


def test_flats_are_linear_in_time_between_groups():
    scan, truth = make_scan(PLAIN, noisy=False)
    dark = scan.frames[:4].mean(axis=0)
    frames = dark + (scan.frames - dark) * (1 + 0.01 * np.arange(len(PLAIN)))[:, None, None]
    out = FlatField.fit(replace(scan, frames=frames.astype(np.float32))).correct(scan.find(PROJECTION))
    assert np.abs(out - truth).max() < 1e-3


def test_the_beam_current_is_divided_out():
    current = np.linspace(200.0, 120.0, len(PLAIN))
    current[12:] += 60
    scan, truth = make_scan(PLAIN, noisy=False, current=current)
    out = FlatField.fit(scan).correct(scan.find(PROJECTION))
    assert np.abs(out - truth).max() < 1e-4
    without = FlatField.fit(replace(scan, current=None)).correct(scan.find(PROJECTION))
    assert np.abs(without - truth).max() > 0.05


def test_one_flat_with_a_flash_does_not_count():
    scan, truth = make_scan(PLAIN, noisy=False)
    scan.frames[5, 20:24, 30:35] += 30000
    out = FlatField.fit(scan, defects=plan_repair(np.zeros(SHAPE, bool))).correct(scan.find(PROJECTION))
    assert np.abs(out - truth).max() < 1e-4


def test_a_flat_that_is_skipped_does_not_count():
    scan, truth = make_scan(PLAIN, noisy=False)
    scan.frames[6:9] = 0
    field = FlatField.fit(scan, skip=np.array([6, 7, 8]))
    assert np.abs(field.correct(scan.find(PROJECTION)) - truth).max() < 1e-4


def test_defects_are_filled_and_a_cut_frame_is_as_the_whole():
    scan, truth = make_scan(PLAIN, noisy=False)
    for row, col in ((40, 50), (0, 0), (100, 189), (75, 75), (75, 76)):
        scan.frames[:, row, col] = 65000
    field = FlatField.fit(scan)
    assert field.defects.pixels.size == 5
    whole = field.correct(scan.find(PROJECTION))
    assert np.abs(whole - truth).max() < 0.1
    parts = [field.correct(scan.find(PROJECTION), rows=slice(k, k + 38), cols=slice(3, 170)) for k in range(0, 150, 38)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole[:, :, 3:170])


def test_values_that_are_not_finite_are_filled():
    scan, truth = make_scan(PLAIN, noisy=False)
    scan.frames[12, 60, 70] = np.nan
    scan.frames[5, 61, 30] = np.inf
    scan.frames[:, 90, 91] = np.nan
    for mode in ("interpolated", "dynamic"):
        out = FlatField.fit(scan, mode=mode).correct(scan.find(PROJECTION))
        assert np.isfinite(out).all() and np.abs(out - truth).max() < 0.1


def test_opaque_pixels_are_kept_above_zero_and_what_has_no_light_is_one():
    scan, _ = make_scan(PLAIN)
    scan.frames[scan.find(PROJECTION), 130:] = 95
    dark = scan.frames[:4].mean(axis=0)
    scan.frames[:, :9] = np.rint(dark[:9])
    field = FlatField.fit(scan, floor=1e-3)
    out = field.correct(scan.find(PROJECTION))
    assert field.unlit[:9].all() and not field.unlit[9:].any()
    assert (out[:, :9] == 1).all() and out.min() == np.float32(1e-3) and np.median(out[:, 130:]) < 2e-3


def test_a_corrupt_frame_is_made_of_its_neighbours():
    scan, _ = make_scan(PLAIN, noisy=False)
    scan.frames[12] = 0
    field = FlatField.fit(scan, replacements={12: ((11, 0.25), (13, 0.75))})
    out = field.correct(np.array([11, 12, 13]))
    assert np.allclose(out[1], 0.25 * out[0] + 0.75 * out[2], atol=1e-6)


def test_a_response_fixed_to_the_detector_is_divided_out():
    scan, truth = make_scan(PLAIN, noisy=False)
    ratio = (1 + 0.1 * np.random.default_rng(5).standard_normal(SHAPE)).astype(np.float32)
    out = FlatField.fit(scan, ratio=ratio).correct(scan.find(PROJECTION))
    assert np.abs(out - truth / ratio).max() < 1e-3


def test_dynamic_flats_take_away_stripes_that_moved():
    kinds = [DARK] * 4 + [FLAT] * 12 + [PROJECTION] * 10 + [FLAT] * 12
    scan, truth = make_scan(kinds, drift=1.5, jitter=0.4)
    _, plain = find_errors(FlatField.fit(scan), truth)
    field = FlatField.fit(scan, mode="dynamic")
    _, dynamic = find_errors(field, truth)
    still, _ = make_scan(kinds)
    _, best = find_errors(FlatField.fit(still), truth)
    assert dynamic < 0.25 * plain and dynamic - best < 0.12 * (plain - best)


def test_dynamic_flats_do_no_harm_to_a_beam_that_stands_still():
    kinds = [DARK] * 4 + [FLAT] * 12 + [PROJECTION] * 6 + [FLAT] * 12
    scan, truth = make_scan(kinds)
    noise, wide = find_errors(FlatField.fit(scan), truth)
    dynamic_noise, dynamic_wide = find_errors(FlatField.fit(scan, mode="dynamic"), truth)
    # the sample's texture is taken for a motion of 0.1 px or two in so small a frame
    assert dynamic_noise < 1.02 * noise and dynamic_wide < wide + 0.001


def test_a_sample_that_fills_the_field_is_not_taken_for_illumination():
    kinds = [DARK] * 4 + [FLAT] * 12 + [PROJECTION] * 6 + [FLAT] * 12
    scan, truth = make_scan(kinds, jitter=0.4, only_flats=True)
    field = FlatField.fit(scan, mode="dynamic")
    found = np.array([field.adapt(int(n))[1] for n in scan.find(PROJECTION)])
    # flats scatter by 1 about their mean, at which these projections stand
    assert found.shape[1] > 2 and np.sqrt(np.mean(found**2)) < 0.4
    _, wide = find_errors(FlatField.fit(scan), truth)
    _, dynamic_wide = find_errors(field, truth)
    assert dynamic_wide < wide + 0.0015


def test_a_cut_frame_is_as_the_whole_with_dynamic_flats():
    kinds = [DARK] * 2 + [FLAT] * 6 + [PROJECTION] * 2 + [FLAT] * 6
    scan, _ = make_scan(kinds, drift=1.5)
    whole = FlatField.fit(scan, mode="dynamic").correct(scan.find(PROJECTION))
    part = FlatField.fit(scan, mode="dynamic").correct(scan.find(PROJECTION), rows=slice(50, 90))
    assert np.array_equal(part, whole[:, 50:90])


def test_a_sample_that_lets_no_light_through_leaves_what_flats_predict():
    kinds = [DARK] * 2 + [FLAT] * 6 + [PROJECTION] * 2 + [FLAT] * 6
    scan, _ = make_scan(kinds, drift=1.5)
    scan.frames[9] = scan.frames[0]
    field = FlatField.fit(scan, mode="dynamic")
    expected = field.expected[0] + (field.expected[1] - field.expected[0]) * (9 - 4.5) / (12.5 - 4.5)
    shift, coefficients = field.adapt(9)
    assert np.allclose(coefficients, expected)
    between = field.moving.shifts_px[0] + (field.moving.shifts_px[1] - field.moving.shifts_px[0]) * (9 - 4.5) / 8
    assert np.allclose(shift, between)


def test_a_dark_level_stands_in_for_darks():
    scan, truth = make_scan(PLAIN, noisy=False)
    level = scan.frames[:4].mean(axis=0)
    without = replace(scan, kinds=np.where(scan.kinds == DARK, UNUSED, scan.kinds).astype(np.uint8))
    assert np.abs(FlatField.fit(without, dark=level).correct(scan.find(PROJECTION)) - truth).max() < 1e-4
    assert np.abs(FlatField.fit(without, dark=100.0).correct(scan.find(PROJECTION)) - truth).max() < 0.02


@pytest.mark.parametrize(
    ("kinds", "options", "message"),
    [
        ([DARK, PROJECTION, PROJECTION], {}, "must have flats"),
        ([FLAT, PROJECTION, PROJECTION], {}, "must have darks"),
        ([DARK, FLAT, PROJECTION], {"mode": "median"}, "mode must be one of interpolated, dynamic"),
        ([DARK, FLAT, PROJECTION], {"mode": "dynamic"}, "at least 5 flats"),
        ([DARK, FLAT, PROJECTION], {"floor": 0.0}, "floor must be > 0"),
        ([DARK, FLAT, PROJECTION], {"dark": 60000.0}, "flats must be brighter than darks"),
        ([DARK, FLAT, PROJECTION], {"dark": np.zeros((3, 3), np.float32)}, "dark must have the frame's shape"),
        ([DARK, FLAT, PROJECTION], {"defects": plan_repair(np.zeros((3, 3), bool))}, "defects must have"),
    ],
)
def test_bad_scans_and_options_are_refused(kinds, options, message):
    scan, _ = make_scan(kinds)
    with pytest.raises(InputError, match=message):
        FlatField.fit(scan, **options)


def test_a_current_of_zero_and_frames_that_do_not_exist_are_refused():
    scan, _ = make_scan(PLAIN)
    current = np.ones(len(PLAIN))
    current[13] = 0
    with pytest.raises(InputError, match=r"beam current must be > 0 \(got 0\.0 at frame 13, 1 such"):
        FlatField.fit(replace(scan, current=current))
    field = FlatField.fit(scan)
    with pytest.raises(InputError, match="frame numbers must be >= 0 and < 27"):
        field.correct(np.array([27]))
    with pytest.raises(InputError, match="rows must be a slice"):
        field.correct(np.array([12]), rows=slice(40, 40))

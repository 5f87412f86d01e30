"""Shifts between frames: what is put in comes out."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.radiographs import Resampler, measure_shifts

ROWS, COLS = 260, 300


def make_object(shape, seed=0):
    """A texture with sharp and slow parts, of unit scatter."""
    draw = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    spectrum = np.fft.fft2(draw.standard_normal(shape)) / (0.01 + f) ** 1.5 * np.exp(-((f / 0.15) ** 2))
    texture = np.fft.ifft2(spectrum).real
    return texture / texture.std()


def look(texture, phase, distance, shift=(0.0, 0.0), noise=0.0, seed=1):
    """Fresnel fringes of a phase object at lambda z / pixel^2 = `distance`, moved, in the middle of the field."""
    fz, fu = np.fft.fftfreq(texture.shape[0])[:, None], np.fft.fftfreq(texture.shape[1])
    wave = np.fft.fft2(np.exp((1j - 0.02) * phase * texture))
    wave *= np.exp(-1j * np.pi * distance * (fz**2 + fu**2) - 2j * np.pi * (fz * shift[0] + fu * shift[1]))
    image = np.abs(np.fft.ifft2(wave)) ** 2
    rows, cols = ((n - m) // 2 for n, m in zip(texture.shape, (ROWS, COLS), strict=True))
    image = image[rows : rows + ROWS, cols : cols + COLS]
    return (image + noise * np.random.default_rng(seed).standard_normal(image.shape)).astype(np.float32)[None]


@pytest.mark.parametrize("phase", [0.05, 0.4, 2.0])
@pytest.mark.parametrize(("distance", "shift"), [(21.0, (6.3, -2.6)), (25.0, (-0.4, 0.3)), (33.0, (-14.7, 11.2))])
def test_the_shift_between_distances_is_found_to_a_twentieth_of_a_pixel(phase, distance, shift):
    texture = make_object((340, 380))
    image, reference = look(texture, phase, distance, shift, 0.015, 2), look(texture, phase, 20.0, noise=0.015, seed=3)
    found, sd = measure_shifts(image, reference)
    assert np.abs(found[0] - shift).max() < 0.05
    assert (np.abs(found[0] - shift) < 5 * sd[0] + 0.005).all() and sd.max() < 0.05


def test_positive_means_larger_rows_and_columns_in_the_image():
    reference = np.ones((1, 80, 90), np.float32)
    reference[0, 40:44, 50:53] = 0.5
    found, _ = measure_shifts(np.roll(reference, (3, -7), axis=(1, 2)), reference)
    assert np.allclose(found, [[3, -7]], atol=0.02)


def test_the_resampler_takes_the_shift_back():
    texture = make_object((340, 380), seed=4)
    image, reference = look(texture, 0.5, 22.0, (4.4, -7.3)), look(texture, 0.5, 20.0)
    shift, _ = measure_shifts(image, reference)
    back = Resampler((ROWS, COLS), 1e-7, (ROWS, COLS), 1e-7, shift_px=shift[0]).apply(image)
    assert np.abs(measure_shifts(back, reference)[0]).max() < 0.02


def test_a_sd_tells_the_scatter_of_repeats():
    texture = make_object((340, 380), seed=5)
    seeds = range(24)
    images = np.concatenate([look(texture, 0.05, 24.0, (2.2, 1.4), 0.03, 2 * seed) for seed in seeds])
    references = np.concatenate([look(texture, 0.05, 24.0, noise=0.03, seed=2 * seed + 1) for seed in seeds])
    found, sd = measure_shifts(images, references)
    scatter = np.sqrt(np.mean((found - [2.2, 1.4]) ** 2))
    assert 0.5 < np.sqrt(np.mean(sd**2)) / scatter < 2.0


def test_opposite_contrast_does_not_mislead():
    texture = make_object((340, 380), seed=6)
    image, reference = look(texture, 0.2, 20.0, (3.3, 2.2)), look(texture, 0.2, -20.0)
    assert np.corrcoef(image.ravel(), look(texture, 0.2, -20.0, (3.3, 2.2)).ravel())[0, 1] < -0.5
    found, _ = measure_shifts(image, reference)
    assert np.abs(found - [3.3, 2.2]).max() < 0.05


def test_opaque_rows_do_not_hold_the_frame():
    texture = make_object((340, 380), seed=7)
    image, reference = look(texture, 0.3, 22.0, (5.2, -4.4), 0.01, 1), look(texture, 0.3, 20.0, noise=0.01, seed=2)
    for k, frame in enumerate((image, reference)):  # metal that does not move, and its noise
        frame[:, -70:] = np.abs(np.random.default_rng(k).standard_normal((70, COLS))) * 0.005
    found, _ = measure_shifts(image, reference)
    assert np.abs(found - [5.2, -4.4]).max() < 0.05


def test_rows_without_weight_are_not_seen():
    texture, other = make_object((340, 380), seed=8), make_object((340, 380), seed=9)
    image, reference = look(texture, 0.3, 22.0, (5.2, -4.4)), look(texture, 0.3, 20.0)
    fixed = look(other, 2.0, 30.0)
    image[:, :150], reference[:, :150] = fixed[:, :150], fixed[:, :150]
    weights = np.ones(ROWS, np.float32)
    weights[:150] = 0
    found, _ = measure_shifts(image, reference, weights=weights)
    assert np.abs(found - [5.2, -4.4]).max() < 0.05
    assert np.abs(measure_shifts(image, reference)[0]).max() < 1.0
    spread = np.repeat(weights[:, None], COLS, axis=1)
    assert np.array_equal(measure_shifts(image, reference, weights=spread)[0], found)


def test_a_large_shift_is_found_from_where_it_is_expected():
    texture = make_object((500, 540), seed=10)
    image, reference = look(texture, 0.4, 20.0, (80.3, -90.6)), look(texture, 0.4, 20.0)
    found, _ = measure_shifts(image, reference, start_px=np.array([78.0, -88.0]), most_px=10)
    assert np.abs(found - [80.3, -90.6]).max() < 0.05


def test_large_frames_are_binned_and_nothing_is_lost():
    texture = make_object((1340, 1360), seed=11)
    moved = []
    for shift in ((7.3, -2.7), (0.0, 0.0)):
        fz, fu = np.fft.fftfreq(1340)[:, None], np.fft.fftfreq(1360)
        ramp = np.exp(-2j * np.pi * (fz * shift[0] + fu * shift[1]))
        full = 1 + 0.1 * np.fft.ifft2(np.fft.fft2(texture) * ramp).real
        moved.append(full[20:-20, 20:-20].astype(np.float32)[None])
    found, _ = measure_shifts(moved[0], moved[1])
    assert np.abs(found - [7.3, -2.7]).max() < 0.02


def test_frames_that_share_nothing_or_are_broken_have_no_shift():
    draw = np.random.default_rng(12)
    image, reference = (1 + 0.02 * draw.standard_normal((2, 1, 128, 140))).astype(np.float32)
    found, sd = measure_shifts(image, reference)
    assert np.isnan(found).all() and np.isinf(sd).all()
    broken = reference.copy()
    broken[0, 3, 3] = np.nan
    assert np.isnan(measure_shifts(broken, reference)[0]).all()


@pytest.mark.parametrize(
    ("images", "references", "options", "message"),
    [
        (np.ones((2, 40, 40)), np.ones((2, 40, 41)), {}, "one frame shape"),
        (np.ones((3, 40, 40)), np.ones((2, 40, 40)), {}, "references must be 1 or as many"),
        (np.ones((1, 20, 40)), np.ones((1, 20, 40)), {}, "must be >= 32 px"),
        (np.ones((1, 40, 40)), np.ones((1, 40, 40)), {"band_px": (0.2, 0.1)}, "band_px must hold"),
        (np.ones((1, 40, 40)), np.ones((1, 40, 40)), {"weights": np.ones(39)}, "one for each row"),
    ],
)
def test_bad_arguments_are_refused(images, references, options, message):
    with pytest.raises(InputError, match=message):
        measure_shifts(images, references, **options)

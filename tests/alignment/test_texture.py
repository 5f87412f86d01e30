"""Rings and lateral shifts of a slab's texture."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from voltome.alignment.texture import find_lateral_shift, remove_rings


def make_texture(shape=(8, 120, 140), seed=1):
    slab = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (1, 2.5, 2.5), mode="wrap")
    return (500 * slab / slab.std()).astype(np.float32)


def make_rings(shape):
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape[1:])
    radius = np.hypot(y[:, None], x)
    faults = gaussian_filter(np.random.default_rng(2).standard_normal(120), 0.8)
    return (800 * np.interp(radius, np.arange(120), faults))[None].astype(np.float32)


def test_rings_are_taken_out_and_texture_is_left():
    texture = make_texture()
    rings = make_rings(texture.shape)
    left = remove_rings(texture + rings, 8.0) - remove_rings(texture, 8.0)
    away = np.hypot(*np.meshgrid(np.arange(120) - 59.5, np.arange(140) - 69.5, indexing="ij")) > 8
    assert left[:, away].std() < 0.25 * rings[:, away].std()
    kept = remove_rings(texture, 8.0)
    assert np.corrcoef(kept[:, away].ravel(), texture[:, away].ravel())[0, 1] > 0.95


def test_slow_shades_are_no_rings():
    y, x = np.meshgrid(np.arange(120.0), np.arange(140.0), indexing="ij")
    shade = (3.0 * y - 2.0 * x + 100)[None].astype(np.float32)
    inner = (slice(None), slice(30, -30), slice(30, -30))
    assert np.abs(remove_rings(shade, 4.0) - shade)[inner].max() < 1.0


@pytest.mark.parametrize("shift", [(0, 0), (7, -12), (-20, 15)])
def test_a_shift_is_found_to_the_pixel(shift):
    texture = make_texture((8, 160, 170))
    noise = 300 * np.random.default_rng(3).standard_normal((2, 8, 120, 120)).astype(np.float32)
    first = texture[:, 20:140, 25:145] + noise[0]
    second = texture[:, 20 - shift[0] : 140 - shift[0], 25 - shift[1] : 145 - shift[1]] + noise[1]
    found = find_lateral_shift(first, second, 8)
    assert found.found and found.shift_px.tolist() == list(shift)


def test_noise_alone_has_no_shift():
    first, second = 500 * np.random.default_rng(4).standard_normal((2, 8, 60, 70)).astype(np.float32)
    assert not find_lateral_shift(first, second, 8).found

"""Rings that are put in are found again, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.quality import measure_rings

from .phantoms import draw_noise

SHAPE = (24, 120, 132)


def draw_rings(amplitude, *, axis=None, seed=0) -> np.ndarray:
    cy, cx = ((SHAPE[1] - 1) / 2, (SHAPE[2] - 1) / 2) if axis is None else axis
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    height = np.random.default_rng([9, seed]).standard_normal(200)
    return (amplitude * height[np.floor(np.hypot(y - cy, x - cx)).astype(int)]).astype(np.float32)


def test_rings_are_found_with_their_strength():
    rings = measure_rings(draw_noise(SHAPE, 0.3) + draw_rings(0.1))
    assert rings.amplitude == pytest.approx(0.1, rel=0.2)  # the slow part of a white pattern is passed over
    assert rings.amplitude > 5 * rings.floor
    assert np.sqrt(np.average(rings.profile**2, weights=rings.radius_vox)) == pytest.approx(0.1, rel=0.2)


def test_without_rings_there_are_none_beyond_the_floor():
    for seed in range(3):
        rings = measure_rings(draw_noise(SHAPE, 0.3, seed=seed))
        assert rings.amplitude < 3 * rings.floor < 0.03


def test_texture_is_no_ring():
    from scipy.ndimage import gaussian_filter

    texture = gaussian_filter(draw_noise(SHAPE, 1.0), 3)
    texture /= texture.std()
    bare, ringed = measure_rings(texture), measure_rings(texture + draw_rings(0.2))
    assert bare.amplitude < 2 * bare.floor < 0.2
    assert ringed.amplitude == pytest.approx(0.2, rel=0.25)
    known = measure_rings(texture + draw_rings(0.02) + draw_noise(SHAPE, 0.05), truth=texture)
    assert known.amplitude == pytest.approx(0.02, rel=0.25)


def test_rings_stand_about_their_own_axis():
    axis = (55.0, 70.0)
    volume = draw_noise(SHAPE, 0.1) + draw_rings(0.1, axis=axis)
    assert measure_rings(volume, axis_vox=axis).amplitude > 3 * measure_rings(volume).amplitude


def test_an_axis_near_the_edge_is_refused():
    with pytest.raises(InputError, match="16 circles about the axis must fit"):
        measure_rings(draw_noise(SHAPE, 1.0), axis_vox=(10.0, 60.0))
    with pytest.raises(InputError, match="one shape"):
        measure_rings(draw_noise(SHAPE, 1.0), truth=draw_noise((23, 120, 132), 1.0))

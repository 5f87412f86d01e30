"""The error of a parallel beam against rays from a point."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.optics import Geometry
from voltome.reconstruction import estimate_divergence

NEAR = Geometry(wavelength_m=41.9e-12, source_sample_m=0.05, sample_detector_m=0.6, detector_pixel_m=0.65e-6)


def trace_rays(geometry: Geometry, columns: int, rows: int, axis_px: float) -> float:
    """Largest distance in pixels between ray and parallel shadow, over a turn of points at the edge of the field."""
    turn = np.linspace(0, 2 * np.pi, 3601)
    worst = 0.0
    for radius in (axis_px, columns - 1 - axis_px):
        place = np.stack([radius * np.cos(turn), np.full_like(turn, (rows - 1) / 2), radius * np.sin(turn)])
        place *= geometry.pixel_m
        source, screen = geometry.source_sample_m, geometry.sample_detector_m
        shadow = place[:2] * (source + screen) / (source + place[2])  # on the detector
        apart = shadow / geometry.magnification - place[:2]
        worst = max(worst, float(np.hypot(*apart).max()) / geometry.pixel_m)
    return worst


@pytest.mark.parametrize(("columns", "rows"), [(2048, 2048), (2048, 100), (600, 1900)])
@pytest.mark.parametrize("shift", [0.0, 60.3])
def test_agrees_with_traced_rays(columns, rows, shift):
    axis_px = (columns - 1) / 2 + shift
    found = estimate_divergence(NEAR, columns=columns, rows=rows, axis_px=axis_px)
    assert found == pytest.approx(trace_rays(NEAR, columns, rows, axis_px), rel=0.005)


def test_at_50_nm_it_is_half_a_pixel_to_a_pixel():
    geometry = Geometry(41.9e-12, 0.06, 0.72, 0.65e-6)
    assert 0.4 < estimate_divergence(geometry, columns=2048, rows=1) < 0.9
    assert 0.5 < estimate_divergence(geometry, columns=2048, rows=2048) < 0.95


def test_a_parallel_beam_has_none():
    assert estimate_divergence(Geometry(5e-7, math.inf, 0.1, 1e-6), columns=512, rows=512) == 0


def test_an_axis_off_the_detector_is_refused():
    with pytest.raises(InputError, match="axis_px"):
        estimate_divergence(NEAR, columns=512, rows=512, axis_px=600.0)
    with pytest.raises(InputError, match="columns"):
        estimate_divergence(NEAR, columns=0, rows=512)

"""Rings: what is taken, and what is left of data that have none."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from voltome.errors import InputError, ResourceError
from voltome.reconstruction import (
    SINOGRAM_METHODS,
    SLICE_METHODS,
    FourierReconstructor,
    measure_damage,
    remove_rings_in_sinograms,
    remove_rings_in_slices,
)

from .analytic import project_ellipses, scatter_grains

COLUMNS, COUNT, AXIS_PX = 160, 300, 79.5


@pytest.fixture(scope="module")
def reconstructor() -> FourierReconstructor:
    return FourierReconstructor(np.arange(COUNT) * 2 * np.pi / COUNT, COLUMNS, axis_px=AXIS_PX)


@pytest.fixture(scope="module")
def sinograms() -> tuple[np.ndarray, np.ndarray]:
    """A sinogram of an object wider than the field with noise; the same with stripes of single columns."""
    angles = np.arange(COUNT) * 2 * np.pi / COUNT
    clean = project_ellipses(scatter_grains(130.0, 300, seed=1, radius=(1.5, 4.0)), angles, COLUMNS, AXIS_PX)
    random = np.random.default_rng(2)
    clean = (clean + random.normal(0, 0.004 * clean.max(), clean.shape)).astype(np.float32)
    striped = clean + random.normal(0, 0.006 * clean.max(), COLUMNS).astype(np.float32)
    return clean, striped


def inside(size: int) -> np.ndarray:
    place = np.arange(size) - (size - 1) / 2
    radius = np.hypot(place[:, None], place)
    return (radius < 0.46 * size) & (radius > 6)


def misfit(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a - b)[inside(len(a))] ** 2)))


def test_polar_median_takes_rings_and_leaves_grains(reconstructor, sinograms):
    clean, striped = reconstructor.reconstruct(np.stack(sinograms))
    mended = remove_rings_in_slices(striped[None])[0]
    assert misfit(mended, clean) < 0.8 * misfit(striped, clean)
    assert misfit(remove_rings_in_slices(clean[None])[0], clean) < 0.1 * misfit(striped, clean)
    assert measure_damage(clean[None], method="polar-median") < 0.02


def test_column_median_takes_stripes(reconstructor, sinograms):
    clean, striped = sinograms
    mended = remove_rings_in_sinograms(striped[None])[0]
    assert np.std(mended - clean) < 0.85 * np.std(striped - clean)
    slices = reconstructor.reconstruct(np.stack([clean, striped, mended]))
    assert misfit(slices[2], slices[0]) < 0.8 * misfit(slices[1], slices[0])
    assert measure_damage(clean[None], method="column-median") < 0.02


def test_a_ring_is_taken_whole_or_as_far_as_it_goes():
    y, x = np.arange(161) - 80.0, np.arange(170) - 84.5
    radius, angle = np.hypot(y[:, None], x), np.arctan2(y[:, None], x)
    ring = np.exp(-(((radius - 67) / 1.2) ** 2)).astype(np.float32)
    noise = np.random.default_rng(3).normal(0, 0.02, ring.shape).astype(np.float32)
    left = remove_rings_in_slices((ring + noise)[None])[0]
    on_ring = np.abs(radius - 67) < 1
    assert abs(left[on_ring].mean()) < 0.15 * ring[on_ring].mean()
    arc = ring * (np.abs(angle) < 1.2)
    left = remove_rings_in_slices((arc + noise)[None])[0]
    assert np.abs(left[on_ring & (np.abs(angle) < 0.7)]).mean() < 0.3 * ring[on_ring].mean()
    assert np.abs(left[on_ring & (np.abs(angle) > 1.7)]).mean() < 0.05


def test_noise_is_left_nearly_as_it_was():
    noise = np.random.default_rng(4).normal(size=(1, 150, 141)).astype(np.float32)
    assert measure_damage(noise, method="polar-median") < 0.12
    assert measure_damage(noise, method="column-median") < 0.12


def test_a_smooth_object_is_left_alone():
    y, x = np.arange(100) - 49.5, np.arange(100) - 49.5
    smooth = (3 + 0.02 * y[:, None] + np.cos(x / 25)).astype(np.float32)
    assert measure_damage(smooth[None], method="polar-median") < 0.01


@pytest.mark.parametrize("method", [*SINOGRAM_METHODS, *SLICE_METHODS])
def test_each_method_says_what_it_harms(method, reconstructor, sinograms):
    clean = sinograms[0][None]
    data = reconstructor.reconstruct(clean) if method in SLICE_METHODS else clean
    if method.startswith("algotom") and importlib.util.find_spec("algotom") is None:
        with pytest.raises(ResourceError, match="algotom"):
            measure_damage(data, method=method)
        return
    assert 0 <= measure_damage(data, method=method) < 1


def test_bad_options_are_refused():
    data = np.zeros((1, 20, 20), dtype=np.float32)
    with pytest.raises(InputError, match="method"):
        remove_rings_in_sinograms(data, method="polar-median")
    with pytest.raises(InputError, match="method"):
        remove_rings_in_slices(data, method="magic")
    with pytest.raises(InputError, match="width_px"):
        remove_rings_in_slices(data, width_px=4)
    with pytest.raises(InputError, match="stacks"):
        remove_rings_in_slices(data[0])
    with pytest.raises(InputError, match="vary"):
        measure_damage(data, method="polar-median")

"""Values along a row, at single positions, and the part of a row that can be sampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voltome.kernels import filters, reference, sampling
from voltome.kernels.sampling import TAIL

SHAPE = (23, 21, 103)
# a position of up to 100 voxels is rounded to 4e-6 in float32, and noise changes by 4 per voxel
FLOAT32 = 4e-5

slopes = st.one_of(st.floats(-0.3, 0.3), st.floats(-3, 3), st.sampled_from([0.0, 1.0, -1.0, 1e-9, -1e-7, 0.5]))
fractions = st.floats(0, 1)
rows = st.tuples(
    st.integers(1, 90),
    st.tuples(slopes, slopes, st.one_of(slopes, slopes.map(lambda s: 1 + s))),
    st.tuples(fractions, fractions, fractions),
    fractions,
)


def flatten(volume: np.ndarray) -> np.ndarray:
    return np.concatenate([volume.ravel(), np.zeros(TAIL)]).astype(np.float32)


def sample_row(volume, start, stop, position, slope, cubic, out):  # type: ignore[no-untyped-def]
    z, y, x = (float(p) for p in position)
    dz, dy, dx = (float(s) for s in slope)
    shape = volume.shape
    sampling.sample_row(flatten(volume), shape[1], shape[2], start, stop, z, dz, y, dy, x, dx, cubic, out)


@pytest.fixture(scope="module")
def coefficients() -> np.ndarray:
    return np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)


def place_row(row) -> tuple[int, int, np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """Part start..stop of a row whose taps lie inside, its position at voxel 0 and its slope."""
    count, slope, place, along = row
    low, high = 1.0, np.array(SHAPE) - 3.0
    slope = np.array(slope)
    position = low + place * (high - low) - round(along * (count - 1)) * slope  # one voxel at least is inside
    start, stop = 0, count
    for axis in range(3):
        start, stop = sampling.clip_row.py_func(position[axis], slope[axis], low, high[axis], start, stop)
    return start, stop, position, slope


@given(rows, st.booleans())
@example((90, (0.0, 0.0, 1.0), (0.0, 0.5, 0.05), 0.0), True)  # one piece
@example((90, (0.0, 0.0, -1.0), (0.5, 0.5, 1.0), 0.0), True)  # against the memory
@example((90, (0.3, -0.19, 1.0), (0.1, 0.9, 0.1), 0.0), True)  # just not steep
@example((90, (0.3, -0.21, 1.0), (0.1, 0.9, 0.1), 0.0), True)  # just steep
@settings(max_examples=200, deadline=None)
def test_row_equals_its_twin_at_any_length_and_slope(coefficients, row, cubic) -> None:  # type: ignore[no-untyped-def]
    start, stop, position, slope = place_row(row)
    out = np.full(row[0] + TAIL, 99.0, dtype=np.float32)
    sample_row(coefficients, start, stop, position, slope, cubic, out)
    expected = reference.sample_row(coefficients, start, stop, position, slope, cubic=cubic)
    np.testing.assert_allclose(out[start:stop], expected, atol=FLOAT32)
    assert (out[:start] == 99.0).all()
    assert np.isfinite(out).all()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("cubic", [True, False])
@pytest.mark.parametrize("slope", [(0.02, -0.11, 0.95), (0.0, 0.0, 1.0), (0.4, -0.3, -0.9)])
def test_row_equals_its_twin(slope: tuple[float, float, float], cubic: bool) -> None:
    volume = np.random.default_rng(0).normal(size=(19, 17, 31)).astype(np.float32)
    position = np.array([7.3, 8.0, 22.4 if slope[2] < 0 else 1.6])
    out = np.zeros(20 + TAIL, dtype=np.float32)
    sample_row(volume, 2, 20, position, slope, cubic, out)
    expected = reference.sample_row(volume, 2, 20, position, np.array(slope), cubic=cubic)
    np.testing.assert_allclose(out[2:20], expected, atol=FLOAT32)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("slope", [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 1.0)])
def test_prefilter_then_sampling_at_voxels_gives_back_the_values(slope: tuple[float, float, float]) -> None:
    volume = np.random.default_rng(1).normal(size=(19, 18, 21)).astype(np.float32)
    coefficients = volume.copy()
    filters.prefilter_planes(coefficients, 0, 19)
    filters.prefilter_z(coefficients, 0, 18)
    position = np.array([2.0, 16.0 if slope[1] < 0 else 3.0, 3.0])
    out = np.zeros(14 + TAIL, dtype=np.float32)
    sample_row(coefficients, 0, 14, position, slope, True, out)
    index = (position + np.arange(14)[:, None] * slope).astype(int)
    np.testing.assert_allclose(out[:14], volume[tuple(index.T)], atol=FLOAT32)


@given(rows, st.booleans())
@settings(max_examples=100, deadline=None)
def test_linear_ramp_is_sampled_exactly(row, cubic) -> None:  # type: ignore[no-untyped-def]
    start, stop, position, slope = place_row(row)
    z, y, x = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    ramp = 0.03 * z - 0.02 * y + 0.01 * x - 0.4  # its spline coefficients are the ramp itself
    out = np.zeros(row[0] + TAIL, dtype=np.float32)
    sample_row(ramp, start, stop, position, slope, cubic, out)
    points = position + np.arange(start, stop)[:, None] * slope
    np.testing.assert_allclose(out[start:stop], points @ [0.03, -0.02, 0.01] - 0.4, atol=1e-6)


@pytest.mark.usefixtures("engine")
def test_row_of_no_voxels_writes_nothing() -> None:
    out = np.full(4 + TAIL, 99.0, dtype=np.float32)
    sample_row(np.zeros((9, 9, 9)), 2, 2, (4, 4, 4), (0, 0, 1), True, out)
    assert (out == 99.0).all()


@given(st.floats(-120, 120), slopes, st.floats(0, 20), st.floats(0, 60), st.integers(0, 40), st.integers(0, 50))
@settings(max_examples=300, deadline=None)
def test_clipped_row_is_the_part_between_the_limits(
    position: float, slope: float, low: float, width: float, start: int, count: int
) -> None:
    high, stop = low + width, start + count
    first, last = sampling.clip_row.py_func(position, slope, low, high, start, stop)
    assert start <= first <= last <= stop
    for i in range(start, stop):
        p = position + slope * i
        if first <= i < last:
            assert low - 1e-9 <= p <= high + 1e-9
        elif low + 1e-9 < p < high - 1e-9:
            pytest.fail(f"voxel {i} at {p} was left out of {first}..{last}")


@given(st.floats(-50, 50), slopes, st.integers(0, 60), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_a_piece_ends_where_the_position_passes_a_voxel(position: float, slope: float, start: int, count: int) -> None:
    floor, stop = math.floor(position + slope * start + 1e-7), start + count
    end = sampling._next_step.py_func(position, slope, start, stop, floor)
    assert start < end <= stop
    for i in range(start, stop):
        p = position + slope * i
        if i < end:
            assert floor - 1e-6 <= p <= floor + 1 + 1e-6
        elif i == end:
            assert p < floor + 1e-6 or p > floor + 1 - 1e-6


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("cubic", [True, False])
def test_voxel_equals_its_twin(cubic: bool) -> None:
    volume = np.random.default_rng(0).normal(size=(7, 8, 9)).astype(np.float32)
    points = np.random.default_rng(1).uniform(1, np.array(volume.shape) - 3, size=(40, 3))
    voxel = sampling.voxel_cubic if cubic else sampling.voxel_linear
    values = [voxel(flatten(volume), 9, 72, *map(float, p)) for p in points]
    np.testing.assert_allclose(values, reference.sample(volume, points, cubic=cubic), atol=FLOAT32)

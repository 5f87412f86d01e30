"""Values along a row, at single positions, and the part of a row that can be sampled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voltome.kernels import filters, reference, sampling
from voltome.kernels.sampling import LANES, TAIL

SHAPE = (23, 21, 163)
# positions are rounded to 1e-6 of a voxel inside a group of sixteen, and noise changes by 4 per voxel
FLOAT32 = 2e-5
LINE_SIZE = sampling.line_size.py_func
CLIP_ROW = sampling.clip_row.py_func
JUNK = 9e4  # behind the volume, in the scratch: times a weight of 1e-9 it would be seen
STEEP = 0.25  # slope from which a row is sampled voxel by voxel

slopes = st.one_of(st.floats(-0.3, 0.3), st.floats(-3, 3), st.sampled_from([0.0, 1.0, -1.0, 1e-9, -1e-7, 0.5]))
steps = st.one_of(st.floats(0.3, 3.9), st.floats(0.9, 1.1), st.floats(-3.9, -0.3), slopes)
fractions = st.floats(0, 1)
rows = st.tuples(
    st.integers(1, 150),
    st.tuples(slopes, slopes, steps),
    st.tuples(fractions, fractions, fractions),
    fractions,
)


def flatten(volume: np.ndarray, beyond: float = JUNK) -> np.ndarray:
    """A flat volume inside a buffer that holds `beyond` before it and in its tail."""
    buffer = np.concatenate([np.full(TAIL, beyond), volume.ravel(), np.full(TAIL, beyond)])
    return buffer.astype(np.float32)[TAIL:]


def sample_row(volume, start, stop, position, slope, cubic, out, beyond=JUNK):  # type: ignore[no-untyped-def]
    z, y, x = (float(p) for p in position)
    dz, dy, dx = (float(s) for s in slope)
    line = np.full(TAIL + LINE_SIZE(out.size - TAIL), JUNK, dtype=np.float32)[TAIL:]
    shape = np.array(volume.shape)
    sampling.sample_row(flatten(volume, beyond), shape, start, stop, z, dz, y, dy, x, dx, cubic, out, line)


@pytest.fixture(scope="module")
def coefficients() -> np.ndarray:
    return np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)


def place_row(row, rim=0.5) -> tuple[int, int, np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """Part start..stop of a row whose taps lie inside, its position at voxel 0 and its slope.

    The columns beside its last voxel are up to half a voxel higher or lower: with a `rim` of as much in z and y their
    taps lie inside as well.
    """
    count, slope, place, along = row
    low, high = np.array([1.0 + rim, 1.0 + rim, 1.001]), np.array(SHAPE) - [3.0 + rim, 3.0 + rim, 3.001]
    slope = np.array(slope)
    position = low + place * (high - low) - round(along * (count - 1)) * slope  # one voxel at least is inside
    start, stop = 0, count
    for axis in range(3):
        start, stop = CLIP_ROW(position[axis], slope[axis], low[axis], high[axis], start, stop)
    return start, stop, position, slope


def positions_of(start: int, stop: int, position: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return position + np.arange(start, stop)[:, None] * slope


def away_from_bends(points: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Where the columns beside points (N, 3) are met between voxels: at one, rounding decides on the cell's slope."""
    if slope[2] < 0.25:  # steep or against x: sampled at its points
        return np.ones(len(points), dtype=bool)
    columns = np.floor(points[:, 2:]) + np.arange(2)
    across = points[:, None, :2] + (columns - points[:, 2:])[..., None] * (slope[:2] / slope[2])
    return ((np.abs(across - np.round(across)) > 1e-5) | (slope[:2] == 0)).all(axis=(1, 2))


@given(rows)
@example((150, (0.0, 0.0, 1.0), (0.0, 0.5, 0.05), 0.0))  # one voxel after the other
@example((150, (0.0, 0.0, -1.0), (0.5, 0.5, 1.0), 0.0))  # against the memory
@example((90, (0.3, -0.249, 1.0), (0.1, 0.9, 0.1), 0.0))  # steep
@example((90, (0.2, -0.249, 1.0), (0.1, 0.9, 0.1), 0.0))  # just not steep
@example((150, (0.0, 0.0, 0.26), (0.0, 1.0, 0.0), 0.0))  # sixteen voxels in four columns, at the first rows
@example((150, (0.0, 0.0, 3.9), (1.0, 0.0, 0.0), 0.0))  # sixteen voxels in sixty columns, at the last planes
@settings(max_examples=200, deadline=None)
def test_cubic_row_equals_its_twin_at_any_length_and_slope(coefficients, row) -> None:  # type: ignore[no-untyped-def]
    start, stop, position, slope = place_row(row)
    out = np.full(row[0] + TAIL, 99.0, dtype=np.float32)
    sample_row(coefficients, start, stop, position, slope, True, out)
    expected = reference.sample_row(coefficients, start, stop, position, slope)
    np.testing.assert_allclose(out[start:stop], expected, atol=FLOAT32)
    assert (out[:start] == 99.0).all()
    assert (out[stop + LANES :] == 99.0).all()


@given(rows)
@settings(max_examples=100, deadline=None)
def test_linear_row_equals_its_twin_at_any_length_and_slope(coefficients, row) -> None:  # type: ignore[no-untyped-def]
    start, stop, position, slope = place_row(row)
    out = np.full(row[0] + TAIL, 99.0, dtype=np.float32)
    sample_row(coefficients, start, stop, position, slope, False, out)
    expected = reference.sample_row(coefficients, start, stop, position, slope, cubic=False)
    seen = away_from_bends(positions_of(start, stop, position, slope), slope)
    np.testing.assert_allclose(out[start:stop][seen], expected[seen], atol=FLOAT32)


@given(st.floats(0.26, 3.9), st.tuples(fractions, fractions, fractions), st.integers(1, 150), st.booleans())
@settings(max_examples=60, deadline=None)
def test_row_along_x_is_exact(coefficients, step, place, count, cubic) -> None:  # type: ignore[no-untyped-def]
    start, stop, position, slope = place_row((count, (0.0, 0.0, step), place, 0.0))
    out = np.zeros(count + TAIL, dtype=np.float32)
    sample_row(coefficients, start, stop, position, slope, cubic, out)
    expected = reference.sample(coefficients, positions_of(start, stop, position, slope), cubic=cubic)
    np.testing.assert_allclose(out[start:stop], expected, atol=FLOAT32)


@given(rows, st.booleans())
@settings(max_examples=60, deadline=None)
def test_steep_row_is_exact(coefficients, row, cubic) -> None:  # type: ignore[no-untyped-def]
    count, (dz, dy, dx), place, along = row
    dz = np.copysign(max(abs(dz), STEEP * abs(dx)), dz)
    start, stop, position, slope = place_row((count, (dz, dy, dx), place, along))
    out = np.zeros(count + TAIL, dtype=np.float32)
    sample_row(coefficients, start, stop, position, slope, cubic, out)
    expected = reference.sample(coefficients, positions_of(start, stop, position, slope), cubic=cubic)
    np.testing.assert_allclose(out[start:stop], expected, atol=FLOAT32)


tilts, curvatures = st.floats(-0.99, 0.99), st.floats(-0.01, 0.01)


@given(st.tuples(tilts, tilts), st.floats(0.3, 3.9), st.lists(curvatures, min_size=6, max_size=6))
@settings(max_examples=60, deadline=None)
def test_error_is_a_sixth_of_the_squared_slope_times_the_second_derivative(tilt, dx, terms) -> None:  # type: ignore[no-untyped-def]
    zz, yy, xx, zy, zx, yx = terms
    climb, middle, count = STEEP * np.array(tilt), np.array(SHAPE) / 2, int(60 / dx)  # climb: per column
    slope = np.array([*(climb * dx), dx])
    position = middle - slope * (count - 1) / 2

    def values(z, y, x):  # type: ignore[no-untyped-def]
        z, y, x = z - middle[0], y - middle[1], 0.1 * (x - middle[2])
        return 0.5 * (zz * z**2 + yy * y**2 + xx * x**2) + zy * z * y + zx * z * x + yx * y * x

    # the coefficients of a quadratic are the quadratic less a sixth of its second derivatives
    samples = values(*np.ogrid[tuple(slice(0, n) for n in SHAPE)]) - (zz + yy + 0.01 * xx) / 6
    out = np.zeros(count + TAIL, dtype=np.float32)
    sample_row(samples, 0, count, position, slope, True, out)
    truth = values(*positions_of(0, count, position, slope).T)
    second = climb @ np.array([[zz, zy], [zy, yy]]) @ climb
    assert np.abs(truth).max() < 3
    np.testing.assert_allclose(out[:count] - truth, -second / 6, atol=2e-6)


def test_halving_the_slope_quarters_the_error(coefficients) -> None:  # type: ignore[no-untyped-def]
    def error(tilt: float) -> float:
        total = 0.0
        for z in np.linspace(6, 14, 9):
            out, slope = np.zeros(100 + TAIL, dtype=np.float32), np.array([tilt, -0.6 * tilt, 1.02])
            position = np.array([z, 10.3, 71.2]) - 50 * slope
            sample_row(coefficients, 0, 100, position, slope, True, out)
            truth = reference.sample(coefficients, positions_of(0, 100, position, slope))
            total += np.square(out[:100] - truth).sum()
        return float(np.sqrt(total / 900))

    assert error(0.04) == pytest.approx(4 * error(0.02), rel=0.2)
    assert error(0.02) < 0.02**2 / 6 * 1.36 * 6  # 6: no spline of coefficients around 1 bends more than that


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("cubic", [True, False])
@pytest.mark.parametrize("slope", [(0.0, -0.6, 0.95), (0.9, 0.0, 0.1), (0.4, -0.3, -0.9)])
def test_steep_row_equals_its_twin(slope: tuple[float, float, float], cubic: bool) -> None:
    volume = np.random.default_rng(0).normal(size=(23, 17, 31)).astype(np.float32)
    position = np.array([3.3, 14.0, 22.4 if slope[2] < 0 else 1.6])
    out = np.zeros(20 + TAIL, dtype=np.float32)
    sample_row(volume, 2, 20, position, slope, cubic, out)
    expected = reference.sample_row(volume, 2, 20, position, np.array(slope), cubic=cubic)
    np.testing.assert_allclose(out[2:20], expected, atol=FLOAT32)


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
    points = positions_of(start, stop, position, slope)
    out = np.zeros(row[0] + TAIL, dtype=np.float32)
    sample_row(ramp, start, stop, position, slope, cubic, out)
    seen = away_from_bends(points, slope) | cubic
    np.testing.assert_allclose(out[start:stop][seen], points[seen] @ [0.03, -0.02, 0.01] - 0.4, atol=2e-6)


AT_FACES = [
    (face, dx, cubic)
    for face in ((0, 0, 0), (1, 1, 1), (0, 1, 0), (1, 0, 1))
    for dx in (0.3, 0.5, 0.97, 1.0, 1.03, 2.0, 3.9, -1.0, -0.5)
    for cubic in (True, False)
]


@pytest.mark.parametrize(("face", "dx", "cubic"), AT_FACES)
def test_row_at_the_faces_reads_nothing_outside_the_volume(coefficients, face, dx, cubic) -> None:  # type: ignore[no-untyped-def]
    """A row that leaves an edge of the volume, or ends there, by the last taps that lie inside."""
    place = tuple(1e-6 + (1 - 2e-6) * f for f in face)
    ends_there = face[2] * dx > 0 or (face[2] == 0 and dx < 0)
    for tilt in (0.0, 0.02, 0.2 * abs(dx), 0.6):
        dz, dy = (tilt * (1 - 2 * f) * (-1 if ends_there else 1) for f in face[:2])
        start, stop, position, slope = place_row((150, (dz, dy, dx), place, float(ends_there)), rim=0.0)
        assert stop - start > 20
        out = np.zeros(150 + TAIL, dtype=np.float32)
        sample_row(coefficients, start, stop, position, slope, cubic, out, beyond=np.nan)
        error = out[start:stop] - reference.sample(
            coefficients, positions_of(start, stop, position, slope), cubic=cubic
        )
        s = 0.0 if dx < 0 or tilt >= STEEP * dx else tilt / dx
        # the rule for noise; a linear interpolation bends at voxels, where the error is of first order
        assert np.abs(error).max() < FLOAT32 + (4 * s**2 if cubic else 3 * s)


@pytest.mark.parametrize(
    "dx",
    [
        0.3,
        0.5,
        0.97,
        1.0,
        1.03,
        2.0,
        3.9,
    ],
)
@pytest.mark.parametrize("tilt", [0.0, 0.1])
def test_voxels_that_no_tap_needs_change_nothing(coefficients, dx, tilt) -> None:  # type: ignore[no-untyped-def]
    count, slope, position = int(90 / dx), np.array([tilt * dx, 0.0, dx]), np.array([8.3, 9.4, 30.2])
    points = positions_of(0, count, position, slope)
    low, high = (np.floor(edge(axis=0)).astype(int) + taps for edge, taps in ((points.min, -1), (points.max, 3)))
    low[0], high[0] = low[0] - 1, high[0] + 1  # a tilted line goes on to the columns beside its voxels
    kept = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    guarded = np.full(SHAPE, np.nan, dtype=np.float32)
    guarded[kept] = coefficients[kept]
    clean, out = (np.zeros(count + TAIL, dtype=np.float32) for _ in range(2))
    sample_row(coefficients, 0, count, position, slope, True, clean)
    sample_row(guarded, 0, count, position, slope, True, out)
    np.testing.assert_array_equal(out[:count], clean[:count])


@pytest.mark.parametrize("cubic", [True, False])
@pytest.mark.parametrize(
    "dx",
    [
        0.3,
        0.97,
        1.03,
        3.9,
    ],
)
def test_what_surrounds_the_scratch_changes_nothing(coefficients, dx, cubic) -> None:  # type: ignore[no-untyped-def]
    size, outcome = sampling.line_size(40), []
    for around in (0.0, np.nan):
        line, out = np.full(size + 2 * TAIL, around, dtype=np.float32), np.zeros(40 + TAIL, dtype=np.float32)
        line[TAIL:-TAIL] = JUNK
        sampling.sample_row(
            flatten(coefficients), np.array(SHAPE), 0, 40, 9.2, 0.0, 8.1, 0.0, 2.0, dx, cubic, out, line[TAIL:-TAIL]
        )
        outcome.append(out[:40])
    np.testing.assert_array_equal(*outcome)


def test_linear_row_through_a_voxel_of_a_constant_volume_is_constant() -> None:
    out = np.zeros(4 + TAIL, dtype=np.float32)
    sample_row(np.full((9, 10, 40), 3e4), 0, 4, (4.0625, 4.25, 5.5), (0.125, 0.0, 1.0), False, out)
    np.testing.assert_allclose(out[:4], 3e4, rtol=1e-6)


def test_both_steps_agree_on_the_first_column() -> None:
    """Here x + dx i is a whole voxel, or just less, depending on how it is rounded."""
    ramp, dx, out = np.broadcast_to(np.arange(40.0), (9, 10, 40)), 0.9722279620231615, np.zeros(18 + TAIL, np.float32)
    sample_row(ramp, 17, 18, (4.5, 4.5, 1.0 - 17 * dx), (0.0, 0.0, dx), False, out)
    assert out[17] == pytest.approx(1.0, abs=1e-6)


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
    first, last = CLIP_ROW(position, slope, low, high, start, stop)
    assert start <= first <= last <= stop
    for i in range(start, stop):
        p = position + slope * i
        if first <= i < last:
            assert low - 1e-9 <= p <= high + 1e-9
        elif low + 1e-9 < p < high - 1e-9:
            pytest.fail(f"voxel {i} at {p} was left out of {first}..{last}")


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("cubic", [True, False])
def test_voxel_equals_its_twin(cubic: bool) -> None:
    volume = np.random.default_rng(0).normal(size=(7, 8, 9)).astype(np.float32)
    points = np.random.default_rng(1).uniform(1, np.array(volume.shape) - 3, size=(40, 3))
    voxel = sampling.voxel_cubic if cubic else sampling.voxel_linear
    values = [voxel(flatten(volume), 9, 72, *map(float, p)) for p in points]
    np.testing.assert_allclose(values, reference.sample(volume, points, cubic=cubic), atol=FLOAT32)

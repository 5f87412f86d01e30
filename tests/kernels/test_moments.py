"""Sums over a window: what the rows give is what the definitions give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltome.kernels import gauss_newton, moments, reference
from voltome.kernels.sampling import LANES, TAIL, line_size

SHAPE, NODE = (20, 18, 27), (10, 9, 13)
PHI = np.array([[1.02, 0.03, -0.01, 0.4], [-0.02, 0.97, 0.02, -0.3], [0.01, 0.02, 1.03, 0.6]])
ROWS = 1e-5  # rows are summed in float32: relative to the sum of the magnitudes

wide = st.tuples(st.integers(-9, 0), st.integers(1, 10))  # up to two groups of sixteen
extents = st.tuples(st.integers(-6, 0), st.integers(1, 6))  # low and high: at least three voxels inside the faces


def window_of(node, low, high) -> reference.Window:  # type: ignore[no-untyped-def]
    return reference.Window(np.array(node), np.array(low), np.array(high))


def kernel_window(window: reference.Window, weights: np.ndarray | None = None) -> moments.Window:
    """The kernel's window: one shared row of ones, or rows padded with zeros to whole groups."""
    n = int(window.high[2] - window.low[2])
    stride = -(-n // LANES) * LANES
    flat = np.zeros((1, stride) if weights is None else (*weights.shape[:2], stride), dtype=np.float32)
    flat[..., :n] = 1.0 if weights is None else weights
    return moments.Window(*window, flat.ravel(), 0 if weights is None else stride)


def sum_window(pair, window: moments.Window, phi: np.ndarray, first: int, stop: int):  # type: ignore[no-untyped-def]
    """Hessian (12, 12), sums of w SD (1, f, g) (3, 12) and of grey values (2, 3), from soiled scratch."""
    hessian, vectors, totals = np.full((12, 12), np.nan), np.full((3, 12), np.nan), np.full((2, 3), np.nan)
    plane = np.full(moments.PLANE_SIZE, np.nan, dtype=np.float32)
    width = int(window.high[2] - window.low[2])
    values = np.full(moments.ROWS * (-(-width // LANES) * LANES + TAIL), 1e3, dtype=np.float32)
    line = np.full(moments.ROWS * line_size.py_func(width), 1e3, dtype=np.float32)
    moments.sum_reference(pair.kernel_reference, window, first, stop, plane, hessian, vectors[0], vectors[1], totals[0])
    moments.sum_deformed(
        pair.kernel_reference, pair.kernel_deformed, window, phi, first, stop, values, line, vectors[2], totals[1]
    )
    return hessian, vectors, totals


def check_sums(pair, window: reference.Window, weights: np.ndarray | None, phi: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    w = np.ones(window.offsets.shape[:3]) if weights is None else weights
    f, descent = window.cut(pair.reference.grey), reference.steepest_descent(pair.reference, window)
    g = reference.sample_window(pair.deformed, window, phi)
    size = np.sqrt(np.einsum("zyx,zyxi->i", w, descent**2)) + 1e-3  # a window of one voxel has no lever
    norm_f, norm_g = np.sqrt((w * f**2).sum()), np.sqrt((w * g**2).sum())

    hessian, vectors, totals = sum_window(
        pair, kernel_window(window, weights), phi, int(window.low[0]), int(window.high[0])
    )
    np.testing.assert_allclose(
        hessian / np.outer(size, size), reference.hessian_matrix(descent, w) / np.outer(size, size), atol=ROWS
    )
    for vector, v, norm in zip(vectors, (np.ones_like(f), f, g), (np.sqrt(w.sum()), norm_f, norm_g), strict=True):
        np.testing.assert_allclose(vector / size / norm, reference.weighted_sum(descent, w, v) / size / norm, atol=ROWS)
    np.testing.assert_allclose(totals[0], [w.sum(), (w * f).sum(), (w * f * f).sum()], atol=ROWS * w.size)
    np.testing.assert_allclose(totals[1], [(w * g).sum(), (w * g * g).sum(), (w * f * g).sum()], atol=ROWS * w.size)


@pytest.fixture(scope="module")
def pair(make_pair, deform_texture):  # type: ignore[no-untyped-def]
    return make_pair(deform_texture(SHAPE), deform_texture(SHAPE, PHI, NODE))


@given(extents, extents, wide, st.booleans(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_sums_equal_their_twins_for_any_window(pair, z, y, x, weighted, seed) -> None:  # type: ignore[no-untyped-def]
    window = window_of(NODE, *zip(z, y, x, strict=True))
    random = np.random.default_rng(seed)
    weights = random.uniform(0, 1, window.offsets.shape[:3]) if weighted else None
    if weights is not None:
        weights = weights.astype(np.float32).astype(np.float64)
    check_sums(pair, window, weights, PHI + random.normal(scale=0.02, size=(3, 4)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cubic", [False, True])
def test_sums_equal_their_twins(make_pair, deform_texture, cubic, weighted) -> None:  # type: ignore[no-untyped-def]
    pair = make_pair(deform_texture(SHAPE), deform_texture(SHAPE, PHI, NODE), cubic=cubic)
    window = window_of(NODE, (-3, -2, -4), (2, 4, 3))
    weights = np.random.default_rng(0).integers(0, 5, (5, 6, 7)) / 4 if weighted else None
    check_sums(pair, window, weights, PHI)


def test_parts_of_a_window_add_up_to_the_whole(pair) -> None:  # type: ignore[no-untyped-def]
    window = kernel_window(window_of(NODE, (-7, -5, -6), (6, 7, 5)))

    def sums(first: int, stop: int) -> np.ndarray:
        return np.concatenate([part.ravel() for part in sum_window(pair, window, PHI, first, stop)])

    np.testing.assert_allclose(sums(-7, 6), sums(-7, -2) + sums(-2, 3) + sums(3, 6), rtol=1e-12, atol=1e-10)


@given(extents, extents, wide)
@settings(max_examples=40, deadline=None)
def test_hessian_is_symmetric_and_positive_semi_definite(pair, z, y, x) -> None:  # type: ignore[no-untyped-def]
    window = kernel_window(window_of(NODE, *zip(z, y, x, strict=True)))
    hessian, _, _ = sum_window(pair, window, PHI, z[0], z[1])
    np.testing.assert_array_equal(hessian, hessian.T)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert eigenvalues[0] >= -1e-6 * eigenvalues[-1]


def test_voxels_of_weight_zero_do_not_count_whatever_they_hold(pair) -> None:  # type: ignore[no-untyped-def]
    window = window_of(NODE, (-6, -5, -6), (7, 6, 5))
    weights = np.random.default_rng(0).integers(0, 2, window.offsets.shape[:3]).astype(np.float64)
    poisoned = [a.copy() for a in pair.kernel_reference[:4]]
    for flat in poisoned:
        window.cut(flat[:-TAIL].reshape(SHAPE))[weights == 0] = 1e9
    outcome = []
    for block in (pair.kernel_reference, moments.Reference(*poisoned, pair.kernel_reference.shape)):
        sums = sum_window(replace(pair, kernel_reference=block), kernel_window(window, weights), PHI, -6, 7)
        outcome.append(np.concatenate([part.ravel() for part in sums]))
    np.testing.assert_array_equal(*outcome)


@given(st.integers(0, 99), st.floats(-5, 5), st.floats(0.01, 100), st.booleans())
@settings(max_examples=50, deadline=None)
def test_grey_statistics_equal_their_twin(seed: int, offset: float, gain: float, constant: bool) -> None:
    random = np.random.default_rng(seed)
    w, f = random.uniform(0, 1, (3, 4, 5)), random.normal(size=(3, 4, 5))
    g = np.full_like(f, offset) if constant else gain * (f + 0.3 * random.normal(size=f.shape)) + offset
    totals_f = np.array([w.sum(), (w * f).sum(), (w * f * f).sum()])
    totals_g = np.array([(w * g).sum(), (w * g * g).sum(), (w * f * g).sum()])
    found = moments.grey_statistics.py_func(totals_f, totals_g)
    atol = 1e-6 * (1 + gain + abs(offset))  # the variance is a difference of sums
    np.testing.assert_allclose(found[:4], reference.grey_statistics(f, g, w)[:4], atol=atol)
    if not constant and gain > 0.1:
        assert found[4] == pytest.approx(reference.grey_statistics(f, g, w).zncc, abs=1e-6)


@pytest.mark.usefixtures("engine")
def test_right_hand_side_equals_its_twin(pair) -> None:  # type: ignore[no-untyped-def]
    random, window = np.random.default_rng(0), window_of(NODE, (-3, -3, -3), (4, 4, 4))
    w, g = random.uniform(0, 1, (7, 7, 7)), random.normal(size=(7, 7, 7))
    f, descent = window.cut(pair.reference.grey), reference.steepest_descent(pair.reference, window)
    one, fs, gs = (reference.weighted_sum(descent, w, v) for v in (np.ones_like(f), f, g))
    totals_f = np.array([w.sum(), (w * f).sum(), (w * f * f).sum()])
    totals_g = np.array([(w * g).sum(), (w * g * g).sum(), (w * f * g).sum()])
    rhs = np.zeros(12)
    zncc = gauss_newton.right_hand_side(one, fs, gs, totals_f, totals_g, rhs)
    statistics = reference.grey_statistics(f, g, w)
    expected = reference.weighted_sum(descent, w, reference.normalised_residual(f, g, statistics))
    np.testing.assert_allclose(rhs, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    assert zncc == pytest.approx(statistics.zncc, abs=1e-12)

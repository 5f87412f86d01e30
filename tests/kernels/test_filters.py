"""Spline prefilter, gradient and block mean against their twins; what each gives on fields with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltome.kernels import filters, reference

FLOAT32 = 2e-6  # sums of a dozen values of about 4, each rounded to 24 bits
COEFFICIENTS = 2e-5  # the same for values of about 30: the prefilter amplifies noise
sides = st.integers(16, 43)


def prefilter(volume: np.ndarray) -> np.ndarray:
    out = volume.astype(np.float32)
    filters.prefilter_planes(out, 0, out.shape[0])
    filters.prefilter_z(out, 0, out.shape[1])
    return out


def gradient(volume: np.ndarray) -> np.ndarray:
    out = np.zeros((3, *volume.shape), dtype=np.float32)
    filters.gradient_planes(volume.astype(np.float32), *out, 0, len(volume))
    return out


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(st.tuples(sides, sides, sides), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_prefilter_equals_its_twin_at_any_size(shape: tuple[int, int, int], seed: int) -> None:
    volume = noise(shape, seed)
    np.testing.assert_allclose(prefilter(volume), reference.prefilter(volume), atol=COEFFICIENTS)


@pytest.mark.usefixtures("engine")
def test_prefilter_equals_its_twin() -> None:
    volume = noise((17, 18, 19))
    np.testing.assert_allclose(prefilter(volume), reference.prefilter(volume), atol=COEFFICIENTS)


@pytest.mark.parametrize("shape", [(1, 20, 17), (20, 1, 17), (20, 17, 1)])
def test_prefilter_leaves_an_axis_of_one_voxel_alone(shape: tuple[int, int, int]) -> None:
    volume = noise(shape)
    np.testing.assert_allclose(prefilter(volume), reference.prefilter(volume), atol=COEFFICIENTS)


def test_prefilter_of_a_constant_is_the_constant() -> None:
    np.testing.assert_allclose(prefilter(np.full((17, 21, 19), 3.5)), 3.5, rtol=1e-6)


def test_prefilter_in_slabs_gives_the_same_bits() -> None:
    whole, slabs = noise((23, 20, 33)), noise((23, 20, 33))
    filters.prefilter_planes(whole, 0, 23)
    filters.prefilter_z(whole, 0, 20)
    for first, stop in ((9, 23), (0, 9)):
        filters.prefilter_planes(slabs, first, stop)
    for first, stop in ((0, 1), (1, 20)):
        filters.prefilter_z(slabs, first, stop)
    np.testing.assert_array_equal(whole, slabs)


def test_coefficients_do_not_depend_on_what_lies_beyond_the_spline_reach() -> None:
    near = noise((40, 17, 18))
    far = near.copy()
    far[20 + filters.SPLINE_REACH :] += 1.0
    np.testing.assert_allclose(prefilter(near)[:20], prefilter(far)[:20], atol=2e-6)


@pytest.mark.usefixtures("engine")
def test_gradient_equals_its_twin() -> None:
    volume = noise((9, 8, 11))
    inner = (slice(None), *[slice(3, -3)] * 3)
    np.testing.assert_allclose(gradient(volume)[inner], reference.gradient(volume)[inner], atol=FLOAT32)


@given(st.tuples(*[st.integers(1, 40)] * 3), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_gradient_equals_its_twin_at_any_size(shape: tuple[int, int, int], seed: int) -> None:
    volume = noise(shape, seed)
    inner = (slice(None), *[slice(3, max(3, n - 3)) for n in shape])
    np.testing.assert_allclose(gradient(volume)[inner], reference.gradient(volume)[inner], atol=FLOAT32)


@pytest.mark.parametrize("power", range(7))
def test_gradient_is_exact_for_polynomials_up_to_degree_six(power: int) -> None:
    axis = np.linspace(-1, 1, 15)
    values = axis[:, None, None] ** power + 2 * axis[None, :, None] ** power - axis[None, None, :] ** power
    expected = power * axis ** max(power - 1, 0) * (axis[1] - axis[0])
    z, y, x = gradient(values)
    inner = (slice(3, -3),) * 3
    for computed, factor, turn in ((z, 1, (0, 1, 2)), (y, 2, (1, 0, 2)), (x, -1, (2, 1, 0))):
        along = np.transpose(computed[inner], turn)
        np.testing.assert_allclose(along, np.broadcast_to(factor * expected[3:-3, None, None], along.shape), atol=1e-6)


def test_constant_volume_has_no_gradient() -> None:
    np.testing.assert_array_equal(gradient(np.full((9, 10, 11), 1234.5)), 0.0)


def test_gradient_leaves_the_rim_and_other_planes_as_they_are() -> None:
    out = np.full((3, 12, 9, 10), 7.0, dtype=np.float32)
    filters.gradient_planes(noise((12, 9, 10)), *out, 4, 6)
    untouched = np.ones((12, 9, 10), dtype=bool)
    untouched[4:6] = False
    untouched[:, :3] = untouched[:, -3:] = True
    # the rim along x is written for z and y, which never read across it
    assert (out[:, untouched] == 7.0).all()
    assert (out[2][:, :, :3] == 7.0).all() and (out[2][:, :, -3:] == 7.0).all()
    assert (out[2][4:6, 3:-3, 3:-3] != 7.0).all()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_block_mean_equals_its_twin(factor: int) -> None:
    volume = noise((7, 8, 11))
    expected = reference.block_mean(volume, factor)
    out = np.empty(expected.shape, dtype=np.float32)
    filters.block_mean(volume, factor, out, 0, len(out))
    np.testing.assert_allclose(out, expected, atol=FLOAT32)


@given(st.tuples(*[st.integers(5, 29)] * 3), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_block_mean_of_a_ramp_is_the_ramp_at_the_blocks_centres(shape: tuple[int, int, int], factor: int) -> None:
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    out = np.empty([n // factor for n in shape], dtype=np.float32)
    filters.block_mean((z + 2.0 * y - x).astype(np.float32), factor, out, 0, len(out))
    z, y, x = np.ogrid[tuple(slice(0, n) for n in out.shape)]
    np.testing.assert_allclose(out, factor * (z + 2.0 * y - x) + (factor - 1.0), atol=2e-5)

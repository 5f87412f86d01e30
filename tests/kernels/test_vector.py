"""Each operation on sixteen float32 is NumPy's on sixteen float32."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voltome.kernels.compilation import compiled
from voltome.kernels.vector import LANES, absolute, copy_sign, load, maximum, minimum, ramp, splat, store, total

# copy_sign is told nothing about the sign of zero, and no operation about infinity: kernels hold neither
numbers = st.floats(2.0**-40, 2.0**40, width=32).flatmap(lambda size: st.sampled_from([size, -size]))
vectors = arrays(np.float32, LANES, elements=numbers)
OPERATORS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


@compiled()
def apply_all(a, b, number, out):  # type: ignore[no-untyped-def]
    """One operation after another into the rows of a flat `out`."""
    u, v = load(a, 0), load(b, 0)
    store(out, 0 * LANES, u + v)
    store(out, 1 * LANES, u - v)
    store(out, 2 * LANES, u * v)
    store(out, 3 * LANES, u + number)
    store(out, 4 * LANES, u - number)
    store(out, 5 * LANES, u * number)
    store(out, 6 * LANES, number + u)
    store(out, 7 * LANES, number - u)
    store(out, 8 * LANES, number * u)
    store(out, 9 * LANES, maximum(u, v))
    store(out, 10 * LANES, minimum(u, v))
    store(out, 11 * LANES, absolute(u))
    store(out, 12 * LANES, copy_sign(u, v))
    store(out, 13 * LANES, splat(number))
    store(out, 14 * LANES, ramp())
    return total(u)


@compiled()
def copy_lanes(source, at, out, to):  # type: ignore[no-untyped-def]
    store(out, to, load(source, at))


@given(vectors, vectors, numbers)
@settings(max_examples=100, deadline=None)
def test_operations_equal_those_of_numpy(a: np.ndarray, b: np.ndarray, number: float) -> None:
    n, out = np.float32(number), np.full((15, LANES), np.nan, dtype=np.float32)
    added = apply_all(a, b, n, out.ravel())
    rows = iter(out)
    for left, right in ((a, b), (a, n), (n, a)):
        for name, operate in OPERATORS.items():
            np.testing.assert_array_equal(next(rows), operate(left, right), err_msg=name)
    for expected in (np.maximum(a, b), np.minimum(a, b), np.abs(a), np.copysign(a, b)):
        np.testing.assert_array_equal(next(rows), expected)
    np.testing.assert_array_equal(next(rows), n)
    np.testing.assert_array_equal(next(rows), np.arange(LANES))
    # the order of the sum is the machine's
    assert added == pytest.approx(a.sum(dtype=np.float64), abs=LANES * 2.0**-23 * np.abs(a).sum(dtype=np.float64))


@pytest.mark.parametrize(("at", "to"), [(0, 0), (1, 7), (13, 31), (31, 2)])
def test_load_and_store_touch_sixteen_elements_at_any_index(at: int, to: int) -> None:
    source, out = np.arange(100, 147, dtype=np.float32), np.full(47, -1.0, dtype=np.float32)
    copy_lanes(source, at, out, to)
    expected = np.full(47, -1.0)
    expected[to : to + LANES] = source[at : at + LANES]
    np.testing.assert_array_equal(out, expected)


def test_a_slice_is_read_from_its_own_start() -> None:
    source, out = np.arange(64, dtype=np.float32), np.zeros(LANES, dtype=np.float32)
    copy_lanes(source[9:], 3, out, 0)
    np.testing.assert_array_equal(out, np.arange(12, 12 + LANES))

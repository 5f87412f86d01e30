"""Cholesky solve, determinant and composition with an inverse increment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltome.kernels import reference, small_matrices

WORK = np.full((3, 3, 3), np.nan)  # scratch: what it holds must not matter
increments = st.lists(st.floats(-0.2, 0.2), min_size=12, max_size=12).map(np.array)


def random_spd(seed: int, n: int = 12) -> np.ndarray:
    """Positive definite matrix whose rows are in different units."""
    random = np.random.default_rng(seed)
    a = random.normal(size=(3 * n, n)) * 10.0 ** random.uniform(-2, 3, n)
    return a.T @ a


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("seed", range(4))
def test_solution_equals_its_twin(seed: int) -> None:
    a, b = random_spd(seed), np.random.default_rng(seed).normal(size=12)
    factor, x = np.zeros((12, 12)), np.zeros(12)
    assert small_matrices.factorise(a, factor)
    small_matrices.solve_factorised(factor, b, x)
    np.testing.assert_allclose(np.tril(factor) @ np.tril(factor).T, a, rtol=1e-12)
    np.testing.assert_allclose(x, reference.solve(a, b), rtol=1e-10)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("case", ["zero", "dependent", "NaN", "indefinite"])
def test_singular_matrix_is_told(case: str) -> None:
    a = random_spd(1)
    if case == "zero":
        a[4], a[:, 4] = 0.0, 0.0
    elif case == "dependent":
        a[4], a[:, 4] = a[5], a[:, 5]
        a[4, 4] = a[5, 5]
    elif case == "NaN":
        a[2, 2] = np.nan
    else:
        a[0, 1] = a[1, 0] = 2 * np.sqrt(a[0, 0] * a[1, 1])
    assert not small_matrices.factorise(a, np.zeros((12, 12)))
    assert reference.solve(a, np.ones(12)) is None


@pytest.mark.usefixtures("engine")
def test_determinant_is_that_of_the_gradient_part() -> None:
    phi = np.random.default_rng(0).normal(size=(3, 4))
    assert small_matrices.determinant(phi) == pytest.approx(np.linalg.det(phi[:, :3]), rel=1e-12)


@pytest.mark.usefixtures("engine")
def test_composition_equals_its_twin() -> None:
    random = np.random.default_rng(0)
    phi, step = np.eye(4)[:3] + random.normal(scale=0.3, size=(3, 4)), random.normal(scale=0.2, size=12)
    expected = reference.compose_inverse(phi, step)
    assert small_matrices.compose_inverse(phi, step, WORK)
    np.testing.assert_allclose(phi, expected, rtol=1e-11, atol=1e-13)


@given(increments, increments)
@settings(max_examples=100, deadline=None)
def test_composing_with_an_increment_undoes_it(base: np.ndarray, step: np.ndarray) -> None:
    phi = np.eye(4) + reference.homogeneous(base) - np.diag([0, 0, 0, 1])
    moved = (phi @ (np.eye(4) + reference.homogeneous(step) - np.diag([0, 0, 0, 1])))[:3].copy()
    assert small_matrices.compose_inverse(moved, step, WORK)
    np.testing.assert_allclose(moved, phi[:3], atol=1e-12)


@given(increments)
@settings(max_examples=50, deadline=None)
def test_an_increment_and_its_inverse_compose_to_identity(step: np.ndarray) -> None:
    phi = np.eye(4)[:3].copy()
    assert small_matrices.compose_inverse(phi, step, WORK)
    back = (phi - np.eye(4)[:3]).ravel()  # (I + step)^-1 as an increment
    assert small_matrices.compose_inverse(phi, back, WORK)
    np.testing.assert_allclose(phi, np.eye(4)[:3], atol=1e-12)


@pytest.mark.usefixtures("engine")
def test_increment_without_inverse_leaves_phi_as_it_was() -> None:
    phi = np.random.default_rng(0).normal(size=(3, 4))
    before, step = phi.copy(), np.zeros(12)
    step[[0, 5, 10]] = -1.0, 0.1, 0.2
    assert not small_matrices.compose_inverse(phi, step, WORK)
    np.testing.assert_array_equal(phi, before)
    assert reference.compose_inverse(phi, step) is None

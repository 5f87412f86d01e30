"""Kernels for pixel features against their twins; eigenvalues where they are hard; fields with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.kernels import pixel_features as kernels
from voltome.kernels import reference_features as twins
from voltome.kernels.pixel_features import SLOTS, WIDTH

WEIGHTS = np.array([0.4, 0.2, 0.1], dtype=np.float32)
REACH = len(WEIGHTS) - 1
PLANES, ROWS = 3, 5
AXES = {2: (1, 2), 3: (0, 1, 2)}


def make_block(margin: int, axes: int, seed: int = 0) -> np.ndarray:
    """Noise with `margin` voxels of context around a tile."""
    deep = margin if axes == 3 else 0
    shape = (PLANES + 2 * deep, ROWS + 2 * margin, WIDTH + 2 * margin)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def place_tile(margin: int, axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Corner and tile of such a block."""
    return np.array([margin if axes == 3 else 0, margin, margin]), np.array([PLANES, ROWS, axes])


def measure_derivatives(block: np.ndarray, axes: int, *, first: int = 0) -> np.ndarray:
    out = np.full((first + 3 + axes, PLANES, ROWS, WIDTH), np.nan, dtype=np.float32)
    corner, tile = place_tile(1, axes)
    scratch = np.empty(SLOTS * WIDTH, dtype=np.float32)
    kernels.measure_derivatives(block.ravel(), np.array(block.shape), corner, tile, scratch, out.reshape(-1), first)
    return out[first:]


def measure_tensor(block: np.ndarray, axes: int) -> np.ndarray:
    corner, tile = place_tile(REACH + 1, axes)
    scratch = np.empty(6 * (ROWS + 2 * REACH + 1) * WIDTH + 12 * REACH, dtype=np.float32)
    deep = PLANES + (2 * REACH if axes == 3 else 0)
    blurred = np.empty((6 if axes == 3 else 3) * deep * ROWS * WIDTH, dtype=np.float32)
    out = np.full((axes, PLANES, ROWS, WIDTH), np.nan, dtype=np.float32)
    kernels.blur_products(block.ravel(), np.array(block.shape), corner, tile, WEIGHTS, scratch, blurred)
    kernels.measure_tensor(blurred, tile, WEIGHTS, scratch, out.reshape(-1), 0)
    return out


def find_values(tensors: np.ndarray) -> np.ndarray:
    """Eigenvalues by the kernels' closed form, (n, axes, axes) to (axes, n)."""
    axes = tensors.shape[-1]
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)] if axes == 3 else [(0, 0), (1, 1), (0, 1)]
    out = []
    for part in np.split(tensors, len(tensors) // WIDTH):
        slots = np.zeros((SLOTS, WIDTH), dtype=np.float32)
        slots[: len(pairs)] = [part[:, a, b] for a, b in pairs]
        (kernels._values_of_nine if axes == 3 else kernels._values_of_four)(slots.reshape(-1))
        out.append(slots[:axes].copy())
    return np.concatenate(out, axis=1)


def make_tensors(kind: str, axes: int) -> np.ndarray:
    """Four rows of symmetric tensors in float32, turned at random."""
    rng = np.random.default_rng(3)
    count = 4 * WIDTH
    turns = np.linalg.qr(rng.normal(size=(count, axes, axes)))[0]
    values = rng.normal(size=(count, axes))
    if kind == "one is large":
        values[:, 1:] = 0
    elif kind == "two are alike":
        values[:, 1] = values[:, 0]
    elif kind == "all are nearly alike":
        values = 1 + 1e-5 * values
    elif kind == "tiny":
        values = 1e-15 * values
    elif kind == "zero":
        values = 0 * values
    tensors = np.einsum("nij,nj,nkj->nik", turns, values, turns).astype(np.float32)
    return (tensors + tensors.swapaxes(1, 2)) / 2


@pytest.mark.parametrize("shape", [(3, 21, 20), (2, 23, 57)])
def test_filter_along_planes_equals_its_twin(shape: tuple[int, int, int]) -> None:
    block = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    out = np.empty((shape[0], shape[1] - 2 * REACH, shape[2] - 2 * REACH), dtype=np.float32)
    row = np.empty(shape[2], dtype=np.float32)
    kernels.blur_planes(block.ravel(), np.array(shape), WEIGHTS, row, out.reshape(-1))
    np.testing.assert_allclose(out, twins.blur(block, WEIGHTS, (1, 2)), atol=2e-6)


def test_filter_along_depth_equals_its_twin() -> None:
    block = np.random.default_rng(2).normal(size=(9, 3, 37)).astype(np.float32)
    out = np.empty((9 - 2 * REACH, 3, 37), dtype=np.float32)
    kernels.blur_depth(block.ravel(), np.array(block.shape), WEIGHTS, out.reshape(-1))
    np.testing.assert_allclose(out, twins.blur(block, WEIGHTS, (0,)), atol=1e-6)


@pytest.mark.parametrize("axes", [2, 3])
def test_derivatives_equal_their_twin_and_stand_where_they_should(axes: int) -> None:
    block = make_block(1, axes)
    expected = twins.measure_derivatives(block.astype(np.float64), AXES[axes])
    np.testing.assert_allclose(measure_derivatives(block, axes, first=2), expected, atol=1e-5)


@pytest.mark.parametrize("axes", [2, 3])
def test_structure_tensor_equals_its_twin(axes: int) -> None:
    block = make_block(REACH + 1, axes)
    expected = twins.measure_tensor(block.astype(np.float64), WEIGHTS, AXES[axes])
    np.testing.assert_allclose(measure_tensor(block, axes), expected, atol=2e-6 * expected.max())


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("kind", ["random", "one is large", "two are alike", "all are nearly alike", "tiny", "zero"])
def test_eigenvalues_are_those_of_lapack(axes: int, kind: str) -> None:
    tensors = make_tensors(kind, axes)
    expected = np.linalg.eigvalsh(tensors.astype(np.float64))[:, ::-1].T
    found = find_values(tensors)
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()
    assert (np.diff(found, axis=0) <= 2e-6 * np.abs(expected).max()).all()


def test_ramp_has_its_slope_and_nothing_else() -> None:
    z, y, x = np.indices((PLANES + 2, ROWS + 2, WIDTH + 2))
    found = measure_derivatives((2.0 * z - 3.0 * y + 6.0 * x).astype(np.float32), 3)
    np.testing.assert_allclose(found[1], 7.0, rtol=1e-6)
    np.testing.assert_allclose(found[2:], 0.0, atol=1e-5)


def test_paraboloid_has_its_curvatures_largest_first() -> None:
    z, y, x = np.indices((PLANES + 2, ROWS + 2, WIDTH + 2)) - 3.0
    found = measure_derivatives((0.5 * (z**2 - 2 * y**2) + 0.25 * x**2).astype(np.float32), 3)
    for number, value in enumerate((1.0, 0.5, -2.0), 3):
        np.testing.assert_allclose(found[number], value, atol=2e-4)
    np.testing.assert_allclose(found[2], -0.5, atol=2e-4)


def test_plain_block_has_no_derivatives() -> None:
    plain = np.full((PLANES + 2, ROWS + 2, WIDTH + 2), 0.3, dtype=np.float32)
    found = measure_derivatives(plain, 3)
    assert (found[0] == np.float32(0.3)).all() and not found[1:].any()


def test_other_types_are_refused() -> None:
    block = np.zeros((1, 21, 20))
    with pytest.raises(TypeError):
        kernels.blur_planes(block.ravel(), np.array(block.shape), WEIGHTS, np.zeros(20), np.zeros(17 * 16))

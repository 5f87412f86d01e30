"""Dense deformation by a node field: equal to the twin, exact for an affine field, filled where it leads nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltome.kernels import filters, reference, warping
from voltome.kernels.sampling import TAIL

SHAPE = (26, 24, 29)
ORIGIN, SPACING = np.array([4.0, 5.0, 3.0]), np.array([8.0, 7.0, 10.0])
FLOAT32 = 1e-5  # values of about 2, positions of about 30


def points_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float64)


def affine_field(phi: np.ndarray, nodes=(3, 3, 3)) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Nodes that all say u = (F - I) x + u0."""
    places = ORIGIN + SPACING * points_of(nodes)
    out = np.tile(phi - np.eye(4)[:3], (len(places), 1, 1))
    out[:, :, 3] = phi[:, 3] + places @ (phi[:, :3] - np.eye(3)).T
    return out.reshape(*nodes, 3, 4)


def random_field(seed: int, nodes=(3, 2, 2), size: float = 0.02) -> np.ndarray:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    return np.concatenate(
        [random.normal(scale=size, size=(*nodes, 3, 3)), random.normal(scale=10 * size, size=(*nodes, 3, 1))], axis=-1
    )


def warp(volume, phi, shape, *, inverse=False, cubic=True, shift=(0, 0, 0), fill=-9.0):  # type: ignore[no-untyped-def]
    """The kernel on a volume: out (shape), and what computes the same by the twin."""
    samples = volume.astype(np.float32)
    if cubic:
        filters.prefilter_planes(samples, 0, len(samples))
        filters.prefilter_z(samples, 0, samples.shape[1])
    limits = np.stack([np.full(3, 1.0), np.array(volume.shape) - 3.0], axis=1)
    flat = np.concatenate([samples.ravel(), np.zeros(TAIL, dtype=np.float32)])
    size, shift = np.array(volume.shape), np.array(shift, dtype=np.float64)
    out = np.full(shape, np.nan, dtype=np.float32)
    for first, stop in ((0, 2), (2, shape[0])):
        warping.warp_planes(
            flat, size, shift, limits, phi, ORIGIN, SPACING, inverse, cubic, np.float32(fill), out, first, stop
        )

    def twin() -> np.ndarray:
        points = points_of(shape)
        values = reference.warp(
            samples, points, limits, phi, ORIGIN, SPACING, shift, inverse=inverse, cubic=cubic, fill=fill
        )
        return values.reshape(shape)

    return out, twin


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("cubic", [True, False])
@pytest.mark.parametrize("inverse", [True, False])
def test_warp_equals_its_twin(deform_texture, inverse, cubic) -> None:  # type: ignore[no-untyped-def]
    found, twin = warp(deform_texture(SHAPE), random_field(0), (4, 5, 6), inverse=inverse, cubic=cubic, shift=(9, 9, 9))
    # fixed-point iteration ends at a change of 1e-3 voxel
    np.testing.assert_allclose(found, twin(), atol=1e-3 if inverse else FLOAT32)


@given(st.integers(0, 99), st.tuples(*[st.integers(1, 4)] * 3), st.booleans())
@settings(max_examples=20, deadline=None)
def test_warp_equals_its_twin_on_any_node_grid(deform_texture, seed, nodes, cubic) -> None:  # type: ignore[no-untyped-def]
    field = random_field(seed, nodes)
    found, twin = warp(deform_texture(SHAPE), field, (7, 8, 9), cubic=cubic, shift=(10, 8, 11))
    np.testing.assert_allclose(found, twin(), atol=FLOAT32)


@pytest.mark.parametrize("inverse", [True, False])
def test_affine_field_deforms_the_texture_exactly(deform_texture, inverse) -> None:  # type: ignore[no-untyped-def]
    phi = np.array([[1.03, 0.02, -0.01, 0.6], [-0.015, 0.98, 0.02, -0.4], [0.01, -0.02, 1.04, 0.3]])
    back = np.linalg.inv(reference.homogeneous(phi))[:3]
    found, _ = warp(deform_texture(SHAPE), affine_field(phi), SHAPE, inverse=inverse)
    expected = deform_texture(SHAPE, phi if inverse else back)
    inner = (slice(5, -6),) * 3  # the mirrored spline is inexact at the faces
    assert (found[inner] != -9.0).all()
    np.testing.assert_allclose(found[inner], expected[inner], atol=4e-3)


def test_a_shift_moves_the_volume_by_whole_voxels(deform_texture) -> None:  # type: ignore[no-untyped-def]
    volume, phi = deform_texture(SHAPE), np.c_[np.eye(3), [2.0, -1.0, 3.0]]
    forward, _ = warp(volume, affine_field(phi), SHAPE)
    inverse, _ = warp(volume, affine_field(phi), SHAPE, inverse=True)
    np.testing.assert_allclose(forward[4:18, 4:18, 4:18], volume[6:20, 3:17, 7:21], atol=FLOAT32)
    np.testing.assert_allclose(inverse[6:20, 3:17, 7:21], volume[4:18, 4:18, 4:18], atol=FLOAT32)


def test_points_outside_the_limits_get_the_fill_value(deform_texture) -> None:  # type: ignore[no-untyped-def]
    found, twin = warp(deform_texture(SHAPE), affine_field(np.c_[np.eye(3), [0, 0, 10.0]]), SHAPE)
    np.testing.assert_array_equal(found == -9.0, twin() == -9.0)
    assert (found[:, :, SHAPE[2] - 12 :] == -9.0).all()
    assert (found[1:-2, 1:-2, : SHAPE[2] - 12] != -9.0).all()


@pytest.mark.parametrize("inverse", [True, False])
def test_unmeasured_node_fills_its_neighbourhood_alone(deform_texture, inverse) -> None:  # type: ignore[no-untyped-def]
    field = affine_field(np.eye(4)[:3])
    field[1, 1, 1] = np.nan
    found, _ = warp(deform_texture(SHAPE), field, SHAPE, inverse=inverse)
    node = (ORIGIN + SPACING).astype(int)
    near = (np.abs(points_of(SHAPE) - node) < SPACING).all(axis=1).reshape(SHAPE)
    inside = np.zeros(SHAPE, dtype=bool)
    inside[1:-2, 1:-2, 1:-2] = True
    assert (found[near] == -9.0).all()
    assert (found[inside & ~near] != -9.0).all()

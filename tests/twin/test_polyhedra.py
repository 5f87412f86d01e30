"""Convex polyhedra: exact volumes, centroids and faces, against closed forms and another code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull, HalfspaceIntersection

from voltome.twin.polyhedra import (
    Polyhedron,
    clip_polyhedron,
    gauge_vectors,
    intersect_half_spaces,
    scale_polyhedron,
    volume_within,
)


def make_random(planes: int, seed: int) -> Polyhedron:
    random = np.random.default_rng(seed)
    normals = random.normal(size=(planes, 3))
    normals = np.vstack([normals / np.linalg.norm(normals, axis=1, keepdims=True), np.eye(3), -np.eye(3)])
    return intersect_half_spaces(normals, np.append(random.uniform(0.5, 1.5, planes), np.full(6, 2.0)), 5.0)


def test_tetrahedron_has_its_volume_and_centroid() -> None:
    normals = np.vstack([-np.eye(3), np.ones(3) / np.sqrt(3)])
    shape = intersect_half_spaces(normals, np.array([0, 0, 0, 1 / np.sqrt(3)]), 4.0)
    assert shape.volume_um3 == pytest.approx(1 / 6, rel=1e-14)
    np.testing.assert_allclose(shape.centroid_um, 0.25, rtol=1e-14)
    assert len(shape.corners_um) == 4 and len(shape.offsets_um) == 4


@pytest.mark.parametrize("planes", [1, 4, 12, 60])
@pytest.mark.parametrize("seed", range(5))
def test_polyhedron_is_the_one_qhull_finds(planes: int, seed: int) -> None:
    shape = make_random(planes, seed)
    half_spaces = np.column_stack([shape.normals, -shape.offsets_um])
    hull = ConvexHull(HalfspaceIntersection(half_spaces, np.zeros(3)).intersections)
    assert shape.volume_um3 == pytest.approx(hull.volume, rel=1e-10)
    assert len(shape.corners_um) == 2 * len(shape.offsets_um) - 4  # Euler, for corners of three faces
    np.testing.assert_allclose(shape.support(shape.normals), shape.offsets_um, rtol=1e-10)


def test_both_sides_of_a_cut_make_up_the_whole() -> None:
    whole = make_random(15, 3)
    normal, offset = np.array([[0.6, 0.0, 0.8]]), np.array([0.2])
    parts = [clip_polyhedron(whole, sign * normal, sign * offset) for sign in (1, -1)]
    assert sum(part.volume_um3 for part in parts) == pytest.approx(whole.volume_um3, rel=1e-12)
    moment = sum(part.volume_um3 * part.centroid_um for part in parts)
    np.testing.assert_allclose(moment, whole.volume_um3 * whole.centroid_um, atol=1e-12)


def test_half_spaces_without_a_face_are_left_out() -> None:
    normals = np.vstack([np.eye(3), -np.eye(3), [[1.0, 0.0, 0.0]]])
    shape = intersect_half_spaces(normals, np.array([1, 1, 1, 1, 1, 1, 1.5]), 4.0)
    assert shape.kept.tolist() == [0, 1, 2, 3, 4, 5]
    assert shape.volume_um3 == pytest.approx(8)


def test_half_spaces_with_nothing_in_common_have_no_volume() -> None:
    shape = intersect_half_spaces(np.array([[1.0, 0, 0], [-1.0, 0, 0]]), np.array([-1.0, -1.0]), 4.0)
    assert shape.volume_um3 == 0 and len(shape.corners_um) == 0


def test_gauge_is_one_on_every_corner() -> None:
    shape = make_random(12, 8)
    centre = shape.centroid_um + np.array([0.05, -0.1, 0.1])
    gauges = ((shape.corners_um - centre) @ gauge_vectors(shape, centre).T).max(axis=1)
    np.testing.assert_allclose(gauges, 1, rtol=1e-12)


def test_octants_share_out_the_volume() -> None:
    shape = make_random(12, 5)
    parts = [
        volume_within(shape, np.where(low, -np.inf, 0.0), np.where(low, 0.0, np.inf)) for low in np.ndindex(2, 2, 2)
    ]
    assert sum(parts) == pytest.approx(shape.volume_um3, rel=1e-12)
    assert min(parts) > 0
    assert volume_within(shape, np.full(3, 9.0), np.full(3, 10.0)) == 0
    assert volume_within(shape, np.full(3, -9.0), np.full(3, 9.0)) == shape.volume_um3


def test_scaling_scales_everything() -> None:
    shape = make_random(9, 2)
    small = scale_polyhedron(shape, 0.5)
    again = intersect_half_spaces(small.normals, small.offsets_um, 5.0)
    assert small.volume_um3 == pytest.approx(again.volume_um3, rel=1e-12)
    np.testing.assert_allclose(small.centroid_um, again.centroid_um, atol=1e-12)
    np.testing.assert_allclose(np.sort(small.corners_um, axis=0), np.sort(again.corners_um, axis=0), atol=1e-12)

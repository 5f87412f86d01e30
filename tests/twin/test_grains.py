"""Grains tile their particle, along planes of one turned crystal, with shells where the mechanism wants them."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.bodies import Body, Crack, crack_body
from voltome.twin.grains import Grain, make_cores, make_network, make_one_sided, turn_at_random
from voltome.twin.polyhedra import Polyhedron, gauge_vectors, intersect_half_spaces


def make_particle(seed: int) -> Polyhedron:
    random = np.random.default_rng(seed)
    normals = random.normal(size=(18, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return intersect_half_spaces(normals, random.uniform(1.5, 2.2, 18), 20.0)


def make_grains(seed: int, *, planes: int = 2, branches: int = 2, cracked: bool = False) -> tuple[Body, list[Grain]]:
    crack = Crack(np.array([0.0, 0.6, 0.8]), 0.1, 0.3) if cracked else None
    body = crack_body(make_particle(seed), crack)
    return body, make_network(body.shape, body.pieces, planes, branches, np.random.default_rng(seed))


def evaluate(grains: list[Grain], points: np.ndarray) -> np.ndarray:
    """Gauge of each grain at each point, (grains, points)."""
    return np.array(
        [((points - grain.centre_um) @ gauge_vectors(grain.shape, grain.centre_um).T).max(axis=1) for grain in grains]
    )


def make_points(shape: Polyhedron, count: int = 4000) -> np.ndarray:
    low, high = shape.corners_um.min(axis=0), shape.corners_um.max(axis=0)
    points = np.random.default_rng(7).uniform(low, high, (count, 3))
    return points[(points @ shape.normals.T < shape.offsets_um).all(axis=1)]


@pytest.mark.parametrize("cracked", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_grains_tile_the_silicon(seed: int, cracked: bool) -> None:
    body, grains = make_grains(seed, planes=1 + seed % 3, branches=seed, cracked=cracked)
    assert sum(grain.shape.volume_um3 for grain in grains) == pytest.approx(body.silicon_um3, rel=1e-11)
    points = make_points(body.shape)
    owners = (evaluate(grains, points) < 1).sum(axis=0)
    assert owners.max() == 1
    if cracked:
        along = points @ np.array([0.0, 0.6, 0.8])
        gap = np.ptp(along[owners == 0])
        assert gap == pytest.approx(0.3, abs=0.02)
    else:
        assert owners.min() == 1


def test_planes_cut_everything_and_branches_one_grain() -> None:
    counts = {(p, b): len(make_grains(1, planes=p, branches=b)[1]) for p, b in ((1, 0), (2, 0), (1, 1), (1, 3), (2, 2))}
    assert counts == {(1, 0): 2, (2, 0): 4, (1, 1): 3, (1, 3): 5, (2, 2): 6}


def test_inner_faces_are_planes_of_one_110_family() -> None:
    _, grains = make_grains(3, planes=3, branches=3)
    normals = np.concatenate([grain.shape.normals[grain.inner] for grain in grains])
    cosines = np.unique(np.abs(normals @ normals.T).round(9))
    assert set(cosines.tolist()) == {0.0, 0.5, 1.0}  # 90, 60 and 0 degrees


def test_crystals_are_turned_differently() -> None:
    turns = [turn_at_random(np.random.default_rng(seed)) for seed in range(300)]
    np.testing.assert_allclose(turns[0] @ turns[0].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turns[0]) == pytest.approx(1)
    np.testing.assert_allclose(np.mean(turns, axis=0), 0, atol=0.12)


def test_network_lies_on_inner_planes() -> None:
    inner, outer = [], []
    for seed in range(40):
        for grain in make_grains(seed)[1]:
            # thickness of the reacted shell on each face, as a share of what a central centre would give
            distance = grain.shape.offsets_um - grain.shape.normals @ grain.centre_um
            central = grain.shape.offsets_um - grain.shape.normals @ grain.shape.centroid_um
            assert distance.min() > 0
            inner.extend((distance / central)[grain.inner])
            outer.extend((distance / central)[~grain.inner])
    assert np.mean(inner) > 1.4 * np.mean(outer)
    assert np.mean(np.array(inner) > 1) > 0.8 and np.mean(np.array(outer) < 1) > 0.6


def test_another_machines_last_digit_moves_no_centre() -> None:
    """Grains with all corners on inner planes have no farthest corner: digits of noise must not choose one."""
    corners_inside = 0
    for seed in range(40):
        body = make_particle(seed)
        shaken = np.random.default_rng(seed).uniform(-1e-14, 1e-14, len(body.offsets_um))
        other = intersect_half_spaces(body.normals, body.offsets_um * (1 + shaken), 20.0)
        one, two = (make_network(shape, [shape], 3, 3, np.random.default_rng(seed)) for shape in (body, other))
        for here, there in zip(one, two, strict=True):
            np.testing.assert_allclose(here.centre_um, there.centre_um, atol=1e-9)
            shape = here.shape
            room = shape.offsets_um[here.inner] - shape.corners_um @ shape.normals[here.inner].T
            corners_inside += room.min(axis=1).max() < 1e-9
    assert corners_inside > 5


def test_core_is_in_the_middle_of_its_piece() -> None:
    body = crack_body(make_particle(0), Crack(np.array([1.0, 0.0, 0.0]), 0.0, 0.2))
    grains = make_cores(body.pieces)
    assert len(grains) == 2 and not any(grain.inner.any() for grain in grains)
    for grain in grains:
        np.testing.assert_allclose(grain.centre_um, grain.shape.centroid_um)


def test_one_sided_front_starts_near_one_side() -> None:
    piece = make_particle(2)
    (grain,) = make_one_sided(piece, np.random.default_rng(0))
    distance = piece.offsets_um - piece.normals @ grain.centre_um
    shares = distance / (piece.offsets_um - piece.normals @ piece.centroid_um)  # 1 where a central centre would be
    assert 0 < shares.min() < 0.6 and shares.max() > 1.3

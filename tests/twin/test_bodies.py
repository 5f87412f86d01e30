"""Particles' bodies: the silicon wanted, the gaps of the cell, angular."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.bodies import Crack, Mould, crack_body, make_body, make_room, silicon_within
from voltome.twin.polyhedra import Polyhedron, gauge_vectors, intersect_half_spaces
from voltome.twin.setting_groups import GROWTH_ROOM

NOWHERE = np.zeros(3)


def make_directions(count: int, seed: int) -> np.ndarray:
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def make_cell(seed: int = 0, size: float = 2.0) -> Polyhedron:
    shape = intersect_half_spaces(make_directions(16, seed), np.full(16, size), 20.0)
    return intersect_half_spaces(shape.normals, shape.offsets_um - shape.normals @ shape.centroid_um, 20.0)


def make_mould(*, cracked: bool = False, gap_um: float = 0.1) -> Mould:
    crack = Crack(np.array([0.6, 0.8, 0.0]), 0.2, 0.35) if cracked else None
    depths = np.random.default_rng(2).uniform(size=10) ** 2
    return Mould(make_room(make_cell(), gap_um), make_directions(10, 5), depths, crack)


@pytest.mark.parametrize("gap_um", [0.0, 0.1, 0.8])
def test_room_leaves_half_a_gap_and_room_to_grow(gap_um: float) -> None:
    cell = make_cell()
    room = make_room(cell, gap_um)
    reach = room.support(cell.normals)
    assert (reach <= cell.offsets_um - gap_um / 2 + 1e-12).all()
    assert (GROWTH_ROOM * reach <= cell.offsets_um + 1e-12).all()
    assert room.volume_um3 > (0.2 if gap_um > 0.5 else 0.6) * cell.volume_um3


@pytest.mark.parametrize("cracked", [False, True])
@pytest.mark.parametrize("share", [0.93, 0.8, 0.3, 0.05])
def test_silicon_is_exactly_what_was_wanted(cracked: bool, share: float) -> None:
    mould = make_mould(cracked=cracked)
    wanted = share * crack_body(mould.room, mould.crack).silicon_um3
    body = make_body(mould, wanted)
    assert body.silicon_um3 == pytest.approx(wanted, rel=1e-12)
    assert len(body.pieces) == (2 if cracked else 1)
    gauges = body.shape.corners_um @ gauge_vectors(mould.room, NOWHERE).T
    assert gauges.max() <= 1 + 1e-12


def test_more_than_the_room_holds_gives_what_it_holds() -> None:
    mould = make_mould()
    assert make_body(mould, 2 * mould.room.volume_um3).silicon_um3 == pytest.approx(mould.room.volume_um3)


def test_facets_cut_what_is_too_much() -> None:
    mould = make_mould()
    body = make_body(mould, 0.8 * mould.room.volume_um3)
    turned = body.shape.normals @ mould.facets.T
    assert (turned.max(axis=1) > 1 - 1e-12).sum() >= 4
    # what the facets take is not taken by shrinking: some faces stay where the cell's gaps have them
    assert body.shape.support(mould.room.normals) / mould.room.offsets_um == pytest.approx(1, abs=0.25)
    assert (body.shape.support(mould.room.normals) / mould.room.offsets_um).max() > 0.995


def test_crack_is_open_by_its_width_between_the_pieces() -> None:
    body = make_body(make_mould(cracked=True), 5.0)
    normal = np.array([[0.6, 0.8, 0.0]])
    one, other = body.pieces
    assert -other.support(-normal)[0] - one.support(normal)[0] == pytest.approx(0.35, abs=1e-9)
    assert body.silicon_um3 < body.shape.volume_um3


def test_silicon_in_two_halves_of_space_is_all_of_it() -> None:
    body = make_body(make_mould(cracked=True), 5.0)
    far = np.full(3, np.inf)
    left = silicon_within(body, -far, np.array([np.inf, 0.3, np.inf]))
    right = silicon_within(body, np.array([-np.inf, 0.3, -np.inf]), far)
    assert left + right == pytest.approx(5.0, rel=1e-12) and min(left, right) > 0.5

"""Directions modulo pi: their weights, and which projections see along the same line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltome.errors import InputError
from voltome.reconstruction import find_directions


def test_half_a_turn_has_equal_weights():
    directions = find_directions(np.arange(90) * np.pi / 90)
    assert np.allclose(directions.weights_rad, np.pi / 90)
    assert not directions.flipped.any()


def test_a_closing_angle_shares_its_direction_with_the_first():
    directions = find_directions(np.linspace(0, np.pi, 91))
    assert len(directions) == 90
    pair = directions.members[directions.counts == 2]
    assert sorted(pair[0]) == [0, 90]
    assert directions.flipped[directions.counts == 2].sum() == 1
    assert np.allclose(directions.weights_rad, np.pi / 90)


def test_a_full_turn_pairs_opposite_projections():
    directions = find_directions(np.arange(100) * np.pi / 50)
    assert len(directions) == 50
    assert np.all(np.abs(np.diff(directions.members, axis=1)) == 50)
    assert np.all(directions.flipped.sum(axis=1) == 1)
    assert len(find_directions(np.arange(101) * 2 * np.pi / 101)) == 101


def test_a_second_turn_is_not_flipped():
    directions = find_directions(np.array([0.3, 1.4, 2.5, 0.3 + 2 * np.pi]))
    assert sorted(directions.counts) == [1, 1, 2]
    assert not directions.flipped.any()


def test_uneven_angles_weigh_half_of_both_gaps():
    directions = find_directions(np.array([0.0, 0.1, 0.4, 1.0, 2.0]))
    order = np.argsort(directions.members[:, 0])
    gaps = np.array([0.1, 0.3, 0.6, 1.0, np.pi - 2.0])
    assert np.allclose(directions.weights_rad[order], (gaps + np.roll(gaps, 1)) / 2)


def test_a_missing_wedge_is_not_made_up_for():
    directions = find_directions(np.deg2rad(np.arange(140)))
    assert directions.weights_rad.sum() == pytest.approx(np.deg2rad(140))
    assert directions.weights_rad.max() == pytest.approx(np.deg2rad(1))


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=40))
def test_each_projection_is_a_member_once_and_looks_along_its_direction(angles):
    directions = find_directions(np.array(angles), tolerance_rad=1e-3)
    assert sorted(directions.members[directions.members >= 0]) == list(range(len(angles)))
    assert 0 < directions.weights_rad.sum() <= np.pi + 1e-9
    for members, flipped, angle in zip(directions.members, directions.flipped, directions.angles_rad, strict=True):
        for member, mirrored in zip(members[members >= 0], flipped[members >= 0], strict=True):
            apart = np.exp(1j * (angles[member] + np.pi * mirrored)) - np.exp(1j * angle)
            assert abs(apart) < 2e-3


@pytest.mark.parametrize("angles", [[], [[0.0, 1.0]], [0.0, np.nan]])
def test_bad_angles_are_refused(angles):
    with pytest.raises(InputError, match="angles_rad"):
        find_directions(np.array(angles))

"""Phi between nodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltome import dvc, twin
from voltome.errors import InputError
from voltome.fields import DeformationField
from voltome.grid import regular_nodes

NODES, GRID_SHAPE = regular_nodes((50, 40, 45), 12)
ELSEWHERE = np.array([[12.0, 12.0, 12.0], [20.5, 17.25, 30.0], [0.0, 39.0, 3.0], [-20.0, 60.0, 44.0]])


def _affine_field(gradient, shift):
    return twin.true_field(twin.make_affine_motion(gradient, displacement_vox=shift), NODES, grid_shape=GRID_SHAPE)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-0.3, 0.3), min_size=9, max_size=9),
    st.tuples(*[st.floats(-20, 20)] * 3),
    st.integers(1, 30),
)
def test_an_affine_field_is_reproduced_inside_and_beyond_the_grid(entries, shift, neighbours):
    gradient = 1.2 * np.eye(3) + np.reshape(entries, (3, 3)) / 3
    motion = twin.make_affine_motion(gradient, displacement_vox=shift)
    field = twin.true_field(motion, NODES)
    found = dvc.interpolate_field(field, ELSEWHERE, neighbours=neighbours)
    np.testing.assert_allclose(found, twin.true_field(motion, ELSEWHERE).phi, atol=1e-9)


def test_a_node_gets_its_own_phi():
    motion = twin.make_smooth_motion((50, 40, 45), strain=0.1, seed=3)
    field = twin.true_field(motion, NODES)
    np.testing.assert_allclose(dvc.interpolate_field(field, NODES), field.phi, atol=1e-9)


def test_only_trusted_nodes_take_part_unless_told():
    field = _affine_field(np.eye(3), (1, 2, 3))
    phi, suspect = field.phi.copy(), np.zeros(len(field), dtype=np.uint8)
    phi[::2, :3, 3], suspect[::2] = 99.0, 1
    field = field.with_values(phi=phi, suspect=suspect)
    np.testing.assert_allclose(dvc.interpolate_field(field, ELSEWHERE)[:, :3, 3], np.tile([1, 2, 3], (4, 1)))
    told = dvc.interpolate_field(field, ELSEWHERE, use=np.ones(len(field), dtype=bool))
    assert told[:, 0, 3].max() > 3


def test_no_node_to_interpolate_from_is_refused():
    with pytest.raises(InputError, match="no node of the field may be used"):
        dvc.interpolate_field(DeformationField.from_phi(NODES), ELSEWHERE)

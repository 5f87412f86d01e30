"""Pairs of known motion, made once for the whole room."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin

# Nodes at 18, 36, 54 on each axis, whose windows of half 12 stay inside both volumes for motions of some voxels.
SHAPE = (72, 71, 70)
GRID = {"node_spacing_vox": 18, "half_window_vox": 12}
CENTRE = (np.array(SHAPE) - 1) / 2
STRETCH = np.array([[1.02, 0.004, -0.003], [0.002, 0.99, 0.005], [-0.004, 0.003, 1.006]])
SHIFT = (1.3, -2.1, 0.7)


@pytest.fixture(scope="session")
def affine_pair():
    motion = twin.make_affine_motion(STRETCH, displacement_vox=SHIFT, centre_vox=CENTRE)
    return twin.make_speckle_pair(SHAPE, motion)


@pytest.fixture(scope="session")
def affine_result(affine_pair):
    return dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **GRID)


@pytest.fixture(scope="session")
def noisy_pair(affine_pair):
    return twin.make_speckle_pair(SHAPE, affine_pair.field, noise=0.05, seed=4)


@pytest.fixture(scope="session")
def jump_pair():
    """The upper part lifts by 2 voxels over the plane z = 40: a crack through the whole volume."""
    motion = twin.make_jump_motion((2.0, 0.0, 0.0), point_vox=(40, 0, -100), direction=(0, 0, 1), taper_vox=30)
    return twin.make_speckle_pair((80, 56, 60), motion, noise=0.03)


@pytest.fixture(scope="session")
def jump_result(jump_pair):
    return dvc.correlate_local(jump_pair.reference, jump_pair.deformed, node_spacing_vox=9, half_window_vox=9)

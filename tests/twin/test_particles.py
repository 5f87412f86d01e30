"""Synthetic particles: they move as told, both states show one object, and labels are theirs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, map_coordinates

from voltome import twin
from voltome.errors import InputError

SHAPE = (60, 64, 58)
MATRIX = twin.make_rigid_motion(displacement_vox=(1.2, -0.7, 0.4)) + twin.make_smooth_motion(SHAPE, strain=0.04, seed=2)


@pytest.fixture(scope="module")
def pair():
    return twin.make_particle_pair(SHAPE, MATRIX, count=8, radius_vox=(7.0, 10.0), seed=1)


def test_the_same_seed_gives_the_same_pair_on_any_number_of_threads(pair):
    again = twin.make_particle_pair(SHAPE, MATRIX, count=8, radius_vox=(7.0, 10.0), seed=1, threads=1)
    np.testing.assert_array_equal(again.deformed, pair.deformed)
    np.testing.assert_array_equal(again.labels, pair.labels)


def test_labels_are_ellipsoids_that_do_not_touch(pair):
    assert sorted(np.unique(pair.labels)) == [0, *pair.numbers]
    assert len(np.diff(pair.numbers)) and np.diff(pair.numbers).max() == 2  # a gap in the numbering
    volumes = np.bincount(pair.labels.ravel())[pair.numbers]
    np.testing.assert_allclose(volumes, 4 / 3 * np.pi * pair.semi_axes_vox.prod(axis=1), rtol=0.02)
    centroids = center_of_mass(pair.labels > 0, pair.labels, pair.numbers)
    np.testing.assert_allclose(centroids, pair.centres_vox, atol=0.15)
    for axis in range(3):
        a, b = (np.take(pair.labels, range(k, SHAPE[axis] - 1 + k), axis) for k in (0, 1))
        assert not ((a != b) & (a > 0) & (b > 0)).any()


def test_each_particle_is_found_where_its_phi_takes_it(pair):
    for k, number in enumerate(pair.numbers):
        points = np.argwhere(pair.labels == number).astype(float)
        inner = points[np.linalg.norm(points - pair.centres_vox[k], axis=1) < 0.6 * pair.semi_axes_vox[k].min()]
        offsets = inner - pair.centres_vox[k]
        moved = pair.centres_vox[k] + pair.phi[k, :3, 3] + offsets @ pair.phi[k, :3, :3].T
        found = map_coordinates(pair.deformed, moved.T, order=5)
        there = pair.reference[tuple(inner.astype(int).T)]
        assert np.abs(found - there).max() < 0.03
        assert there.std() > 0.08


def test_particles_move_with_the_matrix_but_for_slip_and_turn_without_strain(pair):
    slip = pair.phi[:, :3, 3] - MATRIX.displacement(pair.centres_vox)
    assert 0 < np.linalg.norm(slip, axis=1).max() <= 0.5
    f = pair.phi[:, :3, :3]
    np.testing.assert_allclose(np.einsum("nki,nkj->nij", f, f), np.tile(np.eye(3), (len(f), 1, 1)), atol=1e-12)
    angle = np.arccos((np.trace(f, axis1=1, axis2=2) - 1) / 2)
    assert 0.01 < angle.max() <= 0.06


def test_phi_about_another_point_moves_matter_alike(pair):
    other = pair.centres_vox + np.array([1.0, -2.0, 0.5])
    phi = pair.evaluate_phi(other)
    point = pair.centres_vox + np.array([3.0, 1.0, -2.0])

    def move(phi, about):
        return about + phi[:, :3, 3] + np.einsum("nij,nj->ni", phi[:, :3, :3], point - about)

    np.testing.assert_allclose(move(phi, other), move(pair.phi, pair.centres_vox), atol=1e-12)


def test_noise_is_added_to_what_is_there_without(pair):
    noisy = twin.make_particle_pair(SHAPE, MATRIX, count=8, radius_vox=(7.0, 10.0), seed=1, noise=0.05)
    added = noisy.reference - pair.reference
    assert added.std() == pytest.approx(0.05 * pair.reference.std(), rel=0.02)
    assert abs(np.corrcoef(added.ravel(), (noisy.deformed - pair.deformed).ravel())[0, 1]) < 0.02


def test_particles_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"radius 40\.0 must fit"):
        twin.make_particle_pair(SHAPE, MATRIX, radius_vox=(40.0, 50.0))

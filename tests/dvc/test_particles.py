"""Particles that move by themselves: their rotation, displacement and own strain, and what their failure looks like."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from voltome import dvc, twin
from voltome.dvc.particle_motion import nearest_rotation, rotation_vectors
from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import regular_nodes

SHAPE = (92, 86, 88)
CENTRE = (np.array(SHAPE) - 1) / 2
MATRIX = twin.make_rigid_motion(displacement_vox=(1.3, -2.4, 0.7), centre_vox=CENTRE) + twin.make_smooth_motion(
    SHAPE, strain=0.04, swelling=0.03, seed=4
)
OPTIONS = {"count": 16, "radius_vox": (8.0, 12.0), "noise": 0.05, "matrix_texture": 0.25, "seed": 3}


@pytest.fixture(scope="module")
def pair():
    """Particles of 14 to 24 voxels that turn by up to 3.4 degrees, in a matrix that strains by some per cent."""
    return twin.make_particle_pair(SHAPE, MATRIX, **OPTIONS)


@pytest.fixture(scope="module")
def start():
    """The matrix's motion at nodes: what a local correlation would find."""
    positions, grid_shape = regular_nodes(SHAPE, 20)
    field = twin.true_field(MATRIX, positions.astype(np.float64))
    return field.with_values(status=np.full(len(field), NodeStatus.CONVERGED, np.int32), grid_shape=grid_shape)


@pytest.fixture(scope="module")
def result(pair, start):
    return dvc.correlate_particles(pair.reference, pair.deformed, pair.labels, start, threads=2)


def measure_errors(pair, result):
    """Errors of displacement (voxels) and rotation (degrees), (N, 3) each, rows of the result."""
    truth = pair.evaluate_phi(result.particles.centroids_vox)
    turn = np.einsum("nij,nkj->nik", result.field.deformation_gradient, nearest_rotation(truth)[:, :3, :3])
    return (result.field.phi - truth)[:, :3, 3], np.degrees(rotation_vectors(turn))


def test_rigid_particles_in_a_straining_matrix_are_within_the_target(pair, result):
    assert result.particles.labels.tolist() == pair.numbers.tolist()
    assert result.field.trusted.all() and not result.deforms.any()
    displacement, rotation = measure_errors(pair, result)
    assert np.abs(displacement).max() < 0.02
    assert np.sqrt(np.mean(rotation**2)) < 0.05
    assert np.linalg.norm(np.degrees(result.rotation_rad), axis=1).max() > 2


def test_the_local_field_alone_would_be_far_off(pair, result, start):
    predicted = dvc.interpolate_field(start, result.particles.centroids_vox)
    missed = np.linalg.norm((predicted - pair.evaluate_phi(result.particles.centroids_vox))[:, :3, 3], axis=1)
    assert np.median(missed) > 0.2


def test_rigid_results_are_rotations(result):
    rotation = result.rigid.deformation_gradient
    np.testing.assert_allclose(np.einsum("nki,nkj->nij", rotation, rotation), np.tile(np.eye(3), (16, 1, 1)), atol=1e-9)


def test_standard_deviations_are_those_of_the_errors(pair, result):
    displacement, rotation = measure_errors(pair, result)
    scores = np.concatenate([displacement / result.field.sd[:, 3::4], rotation / np.degrees(result.rotation_sd_rad)])
    assert 0.75 < np.sqrt(np.mean(scores**2)) < 1.35
    own = result.strain / result.strain_sd
    assert 0.6 < np.sqrt(np.mean(own**2)) < 1.6


def test_particles_that_swell_are_told_with_their_strain(start):
    pair = twin.make_particle_pair(SHAPE, MATRIX, **{**OPTIONS, "swelling": 0.08})
    result = dvc.correlate_particles(pair.reference, pair.deformed, pair.labels, start, threads=2)
    assert result.deforms.all()
    np.testing.assert_array_equal(result.field.phi, result.affine.phi)
    assert np.median(result.volumetric) == pytest.approx(1.08**3 - 1, abs=0.003)
    assert np.linalg.norm(measure_errors(pair, result)[0], axis=1).max() < 0.05


def test_a_particle_far_from_the_local_field_is_found(start):
    pair = twin.make_particle_pair(SHAPE, MATRIX, **{**OPTIONS, "slip_vox": 5.0})
    result = dvc.correlate_particles(pair.reference, pair.deformed, pair.labels, start, threads=2)
    assert result.field.trusted.mean() > 0.9
    assert np.linalg.norm(measure_errors(pair, result)[0][result.field.trusted], axis=1).max() < 0.1


def test_windows_are_dilated_where_the_matrix_is_plain_and_shrunk_where_it_is_not(pair, start, result):
    assert result.dilation_vox == -1
    plain = twin.make_particle_pair(SHAPE, MATRIX, **{**OPTIONS, "matrix_texture": 0.02})
    assert dvc.correlate_particles(plain.reference, plain.deformed, plain.labels, start).dilation_vox == 2
    forced = dvc.correlate_particles(pair.reference, pair.deformed, pair.labels, start, dilation_vox=0)
    assert forced.dilation_vox == 0


def test_blocks_that_are_cut_to_fit_the_memory_change_nothing(pair, start, result):
    small = dvc.correlate_particles(
        pair.reference, pair.deformed, pair.labels, start, threads=1, memory_bytes=6 << 20, dilation_vox=-1
    )
    assert not small.too_large.any()
    np.testing.assert_allclose(small.field.phi, result.field.phi, atol=1e-6)


def test_a_particle_that_does_not_fit_the_memory_is_not_run(pair, start):
    found = dvc.correlate_particles(pair.reference, pair.deformed, pair.labels, start, memory_bytes=1 << 20)
    assert found.too_large.any() and (found.field.status[found.too_large] == NodeStatus.NOT_RUN).all()


def test_particles_that_hold_too_little_tell_so(pair, start, result):
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[40, 41, 42] = 5
    labels[60:62, 41:43, 42:44] = 9
    labels[0:2, 30:50, 30:50] = 11  # in the rim where there is no gradient
    labels[20:34, 20:34, 20:34] = 12
    flat, moved = pair.reference.copy(), pair.deformed.copy()
    flat[15:40, 15:40, 15:40] = 1.0
    found = dvc.correlate_particles(flat, moved, labels, start, dilation_vox=0)
    masked = NodeStatus.MASKED
    assert found.field.status.tolist() == [masked, masked, masked, NodeStatus.SINGULAR]
    assert found.particles.volumes_vox.tolist() == [1, 8, 800, 14**3]
    assert np.isnan(found.rotation_rad).all() and np.isnan(found.strain).all()
    assert not found.field.trusted.any()


def test_a_particle_at_a_face_is_measured_with_what_is_left_of_it(pair, result, start):
    number = pair.numbers[0]
    low = int(result.particles.low[0, 0])
    cut = low + 5  # the volume now begins inside the particle
    shifted = start.with_values(positions_vox=start.positions_vox - [cut, 0, 0])
    found = dvc.correlate_particles(
        pair.reference[cut:], pair.deformed[cut:], pair.labels[cut:], shifted, dilation_vox=-1, min_coverage=0.3
    )
    row = found.particles.labels.tolist().index(number)
    assert found.coverage[row] < 0.95
    assert found.field.trusted[row]
    truth = pair.evaluate_phi(np.tile(found.particles.centroids_vox[row] + [cut, 0, 0], (len(pair.numbers), 1)))[0]
    assert np.abs(found.field.phi[row] - truth)[:3, 3].max() < 0.03


def test_a_mask_leaves_out_what_it_covers(pair, start, result):
    mask = np.ones(SHAPE, dtype=np.uint8)
    masked, halved = pair.labels == pair.numbers[0], pair.labels == pair.numbers[1]
    mask[masked] = 0
    mask[halved & (np.arange(SHAPE[0])[:, None, None] < result.particles.centroids_vox[1, 0])] = 0
    found = dvc.correlate_particles(
        pair.reference, pair.deformed, pair.labels, start, mask=mask, dilation_vox=-1, min_coverage=0.3
    )
    assert found.field.status[0] == NodeStatus.MASKED
    assert found.field.trusted[1] and 0.35 < found.coverage[1] < 0.65
    np.testing.assert_allclose(found.field.phi[2:], result.field.phi[2:], atol=1e-6)


def test_nan_outside_the_mask_takes_no_part_and_inside_is_refused(pair, start, result):
    reference = pair.reference.copy()
    hole = (distance_transform_edt(pair.labels == 0) > 4) & (np.arange(SHAPE[2]) < 30)
    reference[hole] = np.nan
    with pytest.raises(InputError, match=r"reference volume holds NaN.*--mask"):
        dvc.correlate_particles(reference, pair.deformed, pair.labels, start)
    found = dvc.correlate_particles(reference, pair.deformed, pair.labels, start, mask=~hole, dilation_vox=-1)
    np.testing.assert_allclose(found.field.phi, result.field.phi, atol=0.02)


def test_a_start_may_be_a_single_affine(pair, result):
    phi = np.eye(4)
    phi[:3, 3] = MATRIX.displacement(CENTRE[None])[0]
    start = DeformationField.from_phi(CENTRE[None], phi[None])
    found = dvc.correlate_particles(pair.reference, pair.deformed, pair.labels, start, dilation_vox=-1)
    same = np.abs(found.field.phi - result.field.phi).max(axis=(1, 2)) < 0.01
    assert same.mean() > 0.9


def test_two_particles_under_one_label_are_suspect(pair, start, result):
    labels = pair.labels.copy()
    near = np.argsort(np.linalg.norm(pair.centres_vox - pair.centres_vox[0], axis=1))[1]
    labels[labels == pair.numbers[near]] = pair.numbers[0]
    found = dvc.correlate_particles(pair.reference, pair.deformed, labels, start, dilation_vox=-1)
    assert len(found) == len(result) - 1
    assert not found.field.trusted[0]
    assert found.field.trusted[1:].all()


@pytest.mark.parametrize("angle", [0.0, 1e-8, 0.5, 3.0])
def test_rotation_vectors_are_the_twins(angle):
    vector = angle * np.array([0.48, -0.6, 0.64])
    f = np.eye(3) + twin.make_rigid_motion(rotation_rad=vector).linear
    stretched = f @ np.diag([1.1, 0.9, 1.05])
    np.testing.assert_allclose(rotation_vectors(np.stack([f, stretched])), [vector, vector], atol=1e-9)


def test_labels_of_another_shape_and_a_wild_dilation_are_refused(pair, start):
    with pytest.raises(InputError, match="the labels must have the volumes' shape"):
        dvc.correlate_particles(pair.reference, pair.deformed, pair.labels[1:], start)
    with pytest.raises(InputError, match="label dilation"):
        dvc.correlate_particles(pair.reference, pair.deformed, pair.labels, start, dilation_vox=50)

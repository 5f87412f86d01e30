"""Increments composed, and the standard deviations of what they make."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.grid import regular_nodes

SHAPE = (120, 110, 130)
CENTRE = (np.array(SHAPE) - 1) / 2
STRETCH = np.array([[1.03, 0.01, -0.02], [0.02, 0.97, 0.01], [-0.01, 0.02, 1.02]])
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def make_affine(gradient, shift, centre=CENTRE):
    return twin.make_affine_motion(gradient, displacement_vox=shift, centre_vox=centre)


def make_field(motion, spacing=20, shape=SHAPE):
    nodes, grid_shape = regular_nodes(shape, spacing)
    return twin.true_field(motion, nodes, grid_shape=grid_shape)


def with_noise(field, length=21, variance=1e-4):
    """The covariance of a box of this side over an isotropic texture."""
    one = np.diag([12 / length**2] * 3 + [1.0]) * variance
    covariance = np.tile(np.kron(np.eye(3), one), (len(field), 1, 1)).astype(np.float32)
    return field.with_values(covariance=covariance)


def with_node(field, index, **values):
    changed = {name: getattr(field, name).copy() for name in values}
    for name, value in values.items():
        changed[name][index] = value
    return field.with_values(**changed)


def find_node(field, position):
    return int(np.flatnonzero((field.positions_vox == position).all(axis=1))[0])


def composed_truth(motions, positions):
    """Displacement and F of motions one after another, pointwise."""
    place, gradient = positions.copy(), np.tile(np.eye(3), (len(positions), 1, 1))
    for motion in motions:
        gradient = motion.gradient(place) @ gradient
        place = place + motion.displacement(place)
    return place - positions, gradient


def test_affine_increments_compose_as_contract_4_says():
    motions = [make_affine(STRETCH, (4.3, -3.1, 6.2)), make_affine(np.diag([0.96, 1.04, 1.0]), (-2, 7, 3), (0, 9, 40))]
    motions.append(make_affine(STRETCH.T, (1.5, 2.5, -4)))
    result = dvc.compose_fields([make_field(m, spacing) for m, spacing in zip(motions, (20, 17, 25), strict=True)])
    displacement, gradient = composed_truth(motions, result.field.positions_vox)
    measured = result.left_at == 0
    assert measured.mean() > 0.9
    np.testing.assert_allclose(result.field.displacement_vox[measured], displacement[measured], atol=1e-9)
    np.testing.assert_allclose(result.field.deformation_gradient[measured], gradient[measured], atol=1e-9)
    assert result.field.trusted[measured].all()
    assert result.field.grid_shape == make_field(motions[0]).grid_shape


@pytest.mark.parametrize(("spacing", "shape"), [(20, (220, 200, 210)), (35, (380, 360, 370))])
def test_composing_smooth_motions_adds_less_than_correlation_does(spacing, shape):
    motions = [
        twin.make_smooth_motion(shape, strain=0.03, seed=3) + make_affine(np.eye(3), (7.3, -5.2, 4.6)),
        twin.make_sine_motion(1.0, 8 * spacing, component=0, along=2)
        + twin.make_smooth_motion(shape, strain=0.02, seed=5),
    ]
    result = dvc.compose_fields([make_field(motion, spacing, shape) for motion in motions])
    displacement, gradient = composed_truth(motions, result.field.positions_vox)
    ends = result.field.positions_vox + motions[0].displacement(result.field.positions_vox)
    within = ((ends >= spacing) & (ends <= np.array(shape) - spacing)).all(axis=1)
    assert within.sum() > 60
    error_u = (result.field.displacement_vox - displacement)[within]
    error_f = (result.field.deformation_gradient - gradient)[within]
    assert np.sqrt(np.mean(error_u**2)) < 0.003
    assert np.sqrt(np.mean(error_f**2)) < 1e-4


def test_a_node_that_leaves_the_next_grid_has_no_value_and_is_counted():
    result = dvc.compose_fields([make_field(make_affine(np.eye(3), (45, 0, 0))), make_field(make_affine(STRETCH, 0))])
    z = result.field.positions_vox[:, 0]
    gone = z + 45 > 100 + 20  # the last node and one spacing more
    assert gone.any() and not gone.all()
    np.testing.assert_array_equal(result.left_at, np.where(gone, 2, 0))
    np.testing.assert_array_equal(np.isnan(result.field.phi).any(axis=(1, 2)), gone)
    assert (result.field.status[gone] == NodeStatus.MASKED).all()
    assert result.field.trusted[~gone].all()


def test_a_failed_node_of_the_first_field_stays_failed():
    first = with_noise(make_field(make_affine(STRETCH, (1, 2, 3))))
    first = with_node(first, 7, status=NodeStatus.SINGULAR)
    field = dvc.compose_fields([first, with_noise(make_field(make_affine(STRETCH, 0)))]).field
    assert field.status[7] == NodeStatus.SINGULAR
    assert np.isnan(field.phi[7]).any() and np.isnan(field.covariance[7]).all() and np.isnan(field.zncc[7])
    assert field.filled[7] == 0
    assert field.trusted.sum() == len(field) - 1


@pytest.mark.parametrize(
    ("shift", "lost", "bridged"),
    [((0.5, -0.5, 0.5), [(60, 60, 60)], []), ((8, 0, 0), [(60, 60, 60)], [(40, 60, 60)])],
)
def test_a_failed_node_of_a_later_field_marks_what_needs_it(shift, lost, bridged):
    motion = make_affine(STRETCH, (1, 2, 3))
    later = make_field(motion)
    hole = find_node(later, (60, 60, 60))
    later = with_node(later, hole, status=NodeStatus.DETERMINANT, phi=np.full((4, 4), 77.0))
    first = make_affine(np.eye(3), shift)
    field = dvc.compose_fields([make_field(first), later]).field
    without, with_fill = ([find_node(field, place) for place in places] for places in (lost, bridged))
    assert np.flatnonzero(field.status == NodeStatus.DETERMINANT).tolist() == sorted(without + with_fill)
    assert np.flatnonzero(np.isnan(field.phi).any(axis=(1, 2))).tolist() == without
    assert np.flatnonzero(field.filled).tolist() == with_fill
    assert field.trusted.sum() == len(field) - len(without + with_fill)
    truth, _ = composed_truth([first, motion], field.positions_vox)
    values = np.isfinite(field.displacement_vox)
    np.testing.assert_allclose(field.displacement_vox[values], truth[values], atol=1e-9)  # 77 touches nobody


def test_suspect_and_filled_come_from_the_nodes_interpolated_from():
    later = make_field(make_affine(STRETCH, 0))
    later = with_node(later, find_node(later, (40, 40, 40)), suspect=1)
    later = with_node(later, find_node(later, (80, 80, 80)), filled=1, status=NodeStatus.ERROR)
    first = with_node(make_field(make_affine(np.eye(3), (0, 6, 0))), 0, suspect=1)
    field = dvc.compose_fields([first, later]).field
    suspect = [0, find_node(field, (40, 20, 40)), find_node(field, (40, 40, 40))]
    assert np.flatnonzero(field.suspect).tolist() == sorted(suspect)
    filled = [find_node(field, (80, 80, 80)), find_node(field, (80, 60, 80))]
    assert (field.filled[filled] == 1).all() and (field.status[filled] == NodeStatus.ERROR).all()
    assert np.isfinite(field.phi[filled]).all()


def test_of_coinciding_windows_half_of_the_first_and_last_covariance_remains():
    fields = [
        with_noise(make_field(make_affine(np.eye(3), 0)), variance=variance) for variance in (1e-4, 1e-4, 1e-4, 4e-4)
    ]
    chain = dvc.compose_fields(fields[:3]).field
    np.testing.assert_allclose(chain.covariance, fields[0].covariance, atol=1e-10)  # C / 2 + C / 2
    plain = dvc.compose_fields(fields[:3], independent=True).field
    np.testing.assert_allclose(plain.covariance, 3 * fields[0].covariance, atol=1e-10)
    uneven = dvc.compose_fields(fields[2:]).field  # 1 + 4 - sqrt(1 x 4)
    np.testing.assert_allclose(uneven.covariance, 3 * fields[0].covariance, atol=1e-10)


def test_windows_that_do_not_overlap_do_not_cancel():
    first = with_noise(make_field(make_affine(np.eye(3), (10, 10, 10))), length=9)
    later = with_noise(make_field(make_affine(np.eye(3), 0)), length=9)
    shared, plain = (dvc.compose_fields([first, later], independent=flag).field for flag in (False, True))
    np.testing.assert_allclose(shared.covariance, plain.covariance, rtol=1e-6)
    inner = ((first.positions_vox > 20) & (first.positions_vox < 80)).all(axis=1)
    averaged = plain.covariance[inner, 3, 3] / first.covariance[inner, 3, 3]
    np.testing.assert_allclose(averaged, 1 + 0.75**3, rtol=0.1)  # 2 x 0.60^2 + 2 x 0.13^2 along each axis


@pytest.mark.parametrize("which", [0, 1])
def test_the_covariance_follows_a_small_change_of_each_increment(which):
    """To first order a change of the parameters by v gives the composition's change, for large F too."""
    node = np.array([60.0, 60.0, 60.0])
    motions = [make_affine(TURN, 0, node), make_affine(1.3 * STRETCH, (1, -2, 3), node)]
    fields = [with_noise(make_field(motion, 30), variance=0.0) for motion in motions]
    change = np.random.default_rng(1).normal(size=(3, 4)) * np.array([1e-6, 1e-6, 1e-6, 1e-4])
    index = find_node(fields[0], node)
    vector = change.ravel()
    covariance = np.tile(np.outer(vector, vector), (len(fields[which]), 1, 1)) * 1e8
    fields[which] = fields[which].with_values(covariance=covariance.astype(np.float32))
    found = dvc.compose_fields(fields, independent=True).field
    a, b = (np.eye(4) + (f.phi[index] - np.eye(4)) for f in fields)

    def compose(first, second):
        return np.column_stack([second[:3, :3] @ first[:3, :3], first[:3, 3] + second[:3, 3]])

    moved = [a.copy(), b.copy()]
    moved[which][:3] += change
    here = compose(a, b)
    there = compose(*moved)
    if which == 0:  # it arrives elsewhere
        there[:, 3] += (b[:3, :3] - np.eye(3)) @ change[:, 3]
    expected = (there - here).ravel()
    np.testing.assert_allclose(found.covariance[index], np.outer(expected, expected) * 1e8, rtol=1e-3, atol=1e-6)


def test_without_a_covariance_there_is_none():
    first = with_noise(make_field(make_affine(np.eye(3), 0.5)))
    later = make_field(make_affine(STRETCH, 0))
    later = later.with_values(covariance=np.full_like(later.covariance, np.nan))
    for fields in ([first, later], [later, first], [first, later, first]):
        field = dvc.compose_fields(fields).field
        assert np.isnan(field.covariance).all()
        assert np.isfinite(field.phi).all(axis=(1, 2)).mean() > 0.9


def test_scattered_first_nodes_are_followed():
    motion = make_affine(STRETCH, (1, 2, 3))
    places = np.array([[30.0, 41.5, 77.0], [66.25, 50, 50], [90, 90, 20]])
    first = twin.true_field(motion, places)
    field = dvc.compose_fields([first, make_field(motion)]).field
    truth, _ = composed_truth([motion, motion], places)
    np.testing.assert_allclose(field.displacement_vox, truth, atol=1e-9)
    assert field.grid_shape is None


def test_bad_increments_are_refused_by_number():
    good = make_field(make_affine(STRETCH, 0))
    far = replace(good, positions_vox=good.positions_vox + 5000.0)
    scattered = DeformationField.from_phi(good.positions_vox).with_values(status=good.status)
    none = good.with_values(status=np.full(len(good), -1, dtype=np.int32))
    with pytest.raises(InputError, match=r"two or more increments \(got 1\)"):
        dvc.compose_fields([good])
    with pytest.raises(InputError, match="increment 3 must have nodes where increment 2 ends"):
        dvc.compose_fields([good, good, far])
    with pytest.raises(InputError, match="increment 2 must have its nodes on a regular grid"):
        dvc.compose_fields([good, scattered])
    with pytest.raises(InputError, match=r"increment 2 must have a node that converged .*\(got 0 of 150\)"):
        dvc.compose_fields([good, none])
    with pytest.raises(InputError, match="increment 1 must have a node that converged"):
        dvc.compose_fields([none, good])


NOISE_SHAPE = (64, 60, 68)
NOISE_CENTRE = (np.array(NOISE_SHAPE) - 1) / 2


def noisy_states(motions, seed):
    """Images of a material before and after each motion, 5 % noise of its own in each."""
    gradient, shift, images = np.eye(3), np.zeros(3), []
    for number in range(len(motions) + 1):
        total = twin.make_affine_motion(gradient, displacement_vox=shift)
        image = twin.make_speckle_pair(NOISE_SHAPE, total, seed=seed).deformed
        noise = np.random.default_rng((seed, number)).standard_normal(NOISE_SHAPE)
        images.append((image + 0.05 * image.std() * noise).astype(np.float32))
        if number < len(motions):
            step = motions[number]
            gradient = (np.eye(3) + step.linear) @ gradient
            shift = shift + step.displacement(shift[None])[0]
    return images, total


# To and fro, so that what interpolation between voxels errs by, which is no noise, does not add up.
STILL, BACK = (0.2, -0.2, 0.2), (-0.2, 0.2, -0.2)


@pytest.mark.parametrize(
    ("shifts", "less_than_independent"),
    [
        ((STILL, BACK), 0.85),  # windows all but coincide
        (((4.5, -5.5, 6.5), STILL), 0.97),  # between the nodes of the second increment
        ((STILL, BACK, BACK, STILL), 0.75),
    ],
)
def test_standard_deviations_are_those_of_the_composed_errors(shifts, less_than_independent):
    stretches = (np.diag([1.01, 0.995, 1.0]), np.diag([0.995, 1.0, 1.01]))
    motions = [make_affine(stretches[k % 2], shift, NOISE_CENTRE) for k, shift in enumerate(shifts)]
    scores, ratio = [], []
    for seed in (0, 1):
        images, total = noisy_states(motions, seed)
        fields = [dvc.correlate_local(a, b, node_spacing_vox=16, half_window_vox=10).field for a, b in pairwise(images)]
        composed, plain = (dvc.compose_fields(fields, independent=flag).field for flag in (False, True))
        truth = twin.true_field(total, composed.positions_vox)
        error = (composed.phi - truth.phi)[:, :3].reshape(-1, 12)
        scores.append((error / composed.sd)[composed.trusted])
        ratio.append((composed.sd / plain.sd)[composed.trusted])
    score, displacement = np.concatenate(scores), [3, 7, 11]
    assert len(score) >= 60
    assert 0.8 < score[:, displacement].std() < 1.25
    assert 0.8 < np.delete(score, displacement, axis=1).std() < 1.25
    assert np.median(np.concatenate(ratio)[:, displacement]) < less_than_independent

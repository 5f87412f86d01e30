"""The smooth motion fitted to displacements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltome.electrode import Frame, Layer, SmoothMotion, fit_motion
from voltome.electrode.motion import TERMS, make_terms
from voltome.errors import InputError

FRAME = Frame(np.array([12.0, 0.0, 0.0]), np.array([39.5, 45.5]), np.array([40.0, 46.0]), 50.0)
HIGH = Frame(np.array([88.0, 0.0, 0.0]), FRAME.middle_vox, FRAME.half_vox, 50.0, -1.0)


def make_coefficients(seed=0, size=3.0):
    return size * np.random.default_rng(seed).standard_normal((TERMS, 3)) / np.arange(1, TERMS + 1)[:, None]


def make_motion(coefficients, frame=FRAME):
    return SmoothMotion(frame, coefficients, np.zeros((3, TERMS, TERMS)), np.zeros((3, TERMS, 0)), 0, np.zeros(3))


def make_places(count=900, seed=1):
    return np.random.default_rng(seed).uniform([0.05, -1, -1], [1.0, 1, 1], (count, 3))


def make_layer(coefficients, seed=2, count=150):
    places = np.random.default_rng(seed).uniform([0.9, -1, -1], [1.1, 1, 1], (count, 3))
    return Layer(places, make_terms(places) @ coefficients[:, 0])


def test_the_frame_has_depth_0_at_the_face_and_1_a_thickness_above():
    tilted = Frame(np.array([12.0, 0.01, -0.02]), FRAME.middle_vox, FRAME.half_vox, 50.0)
    at = np.array([[12.0, 39.5, 45.5], [62.0, 39.5, 45.5], [12 + 0.4 + 0.92, 79.5, -0.5]])
    assert tilted.locate(at) == pytest.approx(np.array([[0, 0, 0], [1, 0, 0], [0, 1, -1]]), abs=1e-12)


def test_at_high_z_depth_counts_downwards():
    assert HIGH.locate(np.array([[88.0, 39.5, 45.5], [38, 39.5, 45.5]]))[:, 0].tolist() == [0.0, 1.0]


def test_an_exact_polynomial_is_recovered():
    coefficients = make_coefficients()
    places = make_places()
    found = fit_motion(places, make_terms(places) @ coefficients, FRAME, layer=make_layer(coefficients))
    assert found.displace(places) == pytest.approx(make_terms(places) @ coefficients, abs=1e-5)
    assert found.coefficients == pytest.approx(coefficients, abs=5e-4)
    assert (found.scatter_vox < 1e-5).all() and found.nodes == 900


def test_lost_nodes_are_bridged():
    """Four of ten at random, and all in a hole."""
    coefficients, places = make_coefficients(), make_places()
    hole = (np.abs(places - [0.5, 0.2, 0.2]) < [0.2, 0.5, 0.5]).all(axis=1)
    places = places[~hole & (np.random.default_rng(3).random(len(places)) < 0.6)]
    found = fit_motion(places, make_terms(places) @ coefficients, FRAME)
    everywhere = make_places(300, seed=4)
    assert found.displace(everywhere) == pytest.approx(make_terms(everywhere) @ coefficients, abs=1e-4)


@given(y=st.floats(-1.5, 1.5), x=st.floats(-1.5, 1.5), seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_the_motion_vanishes_at_the_collector(y, x, seed):
    motion = make_motion(make_coefficients(seed))
    assert motion.displace(np.array([[0.0, y, x]])) == pytest.approx(np.zeros((1, 3)), abs=1e-12)


@pytest.mark.parametrize("frame", [FRAME, HIGH], ids=["low-z", "high-z"])
@given(
    at=st.tuples(st.floats(-0.1, 1.2), st.floats(-1.2, 1.2), st.floats(-1.2, 1.2)), seed=st.integers(0, 5)
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_the_gradient_is_that_of_displacement(frame, at, seed):
    motion, step = make_motion(make_coefficients(seed), frame), 1e-4
    position = np.array([frame.face_vox[0] + frame.side * 50 * at[0], *(FRAME.middle_vox + at[1:] * FRAME.half_vox)])
    numeric = np.eye(3)
    for axis in range(3):
        up, down = (
            motion.displace(frame.locate((position + sign * step * np.eye(3)[axis])[None]))[0] for sign in (1, -1)
        )
        numeric[:, axis] += (up - down) / (2 * step)
    assert motion.gradient(np.array([at]))[0] == pytest.approx(numeric, abs=1e-6)


def test_a_tilted_face_changes_the_gradient_by_no_more_than_its_slope_times_shear():
    tilted = Frame(np.array([12.0, 4e-3, -3e-3]), FRAME.middle_vox, FRAME.half_vox, 50.0)
    motion, step = make_motion(make_coefficients(1), tilted), 1e-4
    position = np.array([40.0, 50.0, 30.0])
    stated = motion.gradient(tilted.locate(position[None]))[0]
    for axis in range(3):
        up, down = (
            motion.displace(tilted.locate((position + sign * step * np.eye(3)[axis])[None]))[0] for sign in (1, -1)
        )
        numeric = np.eye(3)[axis] + (up - down) / (2 * step)
        assert np.abs(stated[:, axis] - numeric).max() <= 4.1e-3 * np.abs(stated[:, 0] - [1, 0, 0]).max()


@pytest.mark.parametrize("along", [0, 1, 2])
def test_derivatives_of_terms_are_differences_of_terms(along):
    places, step = make_places(50), 1e-5
    up, down = (make_terms(places + sign * step * np.eye(3)[along]) for sign in (1, -1))
    assert make_terms(places, along=along) == pytest.approx((up - down) / (2 * step), abs=1e-8)


def noisy(seed, sd=0.5):
    coefficients, places = make_coefficients(), make_places(500)
    exact = make_terms(places) @ coefficients
    return places, exact + sd * np.random.default_rng(seed).standard_normal(exact.shape), exact


def test_a_patch_of_mistaken_surface_hardly_pulls():
    """A twelfth of the surface, wrong by 6 voxels: less than a third of what plain least squares make of it."""
    places, values, _ = noisy(5, sd=0.3)
    layer = make_layer(make_coefficients(), count=300)
    patch = (layer.places[:, 1:] > 0.4).all(axis=1)
    wrong = Layer(layer.places, layer.rise_vox + np.where(patch, 6.0, 0.0))
    rows = np.concatenate([make_terms(places), make_terms(layer.places)])
    plain = [
        np.linalg.lstsq(rows, np.concatenate([values[:, 0], rise.rise_vox]), rcond=None)[0] for rise in (layer, wrong)
    ]
    robust = [fit_motion(places, values, FRAME, layer=rise).coefficients[:, 0] for rise in (layer, wrong)]
    at = make_terms(layer.places).mean(axis=0)
    assert 0.07 < patch.mean() < 0.1
    assert abs(at @ (robust[1] - robust[0])) < abs(at @ (plain[1] - plain[0])) / 3


def test_single_wild_nodes_hardly_count():
    places, values, exact = noisy(6, sd=0.1)
    values[::25] += 20.0
    found = fit_motion(places, values, FRAME)
    everywhere = places[places[:, 0] > 0.2]
    assert np.abs(found.displace(everywhere) - exact[places[:, 0] > 0.2]).mean() < 0.1


def test_the_surface_speaks_of_the_axial_component_alone():
    places, values, _ = noisy(7)
    layer = make_layer(make_coefficients())
    lifted = Layer(layer.places, layer.rise_vox + 1.0)
    one, other = (fit_motion(places, values, FRAME, layer=given).coefficients for given in (layer, lifted))
    assert np.array_equal(one[:, 1:], other[:, 1:]) and not np.allclose(one[:, 0], other[:, 0])


def test_the_response_is_the_change_of_coefficients_with_displacements():
    places, values, _ = noisy(8)
    layer = make_layer(make_coefficients())
    found = fit_motion(places, values, FRAME, layer=layer)
    assert found.response.shape == (3, TERMS, 500 + 150)
    assert not found.response[1:, :, 500:].any()
    rows = np.concatenate([make_terms(places), make_terms(layer.places)])
    for axis in range(3):
        given = np.concatenate([values[:, axis], layer.rise_vox if axis == 0 else np.zeros(150)])
        assert rows @ (found.response[axis] @ given) == pytest.approx(rows @ found.coefficients[:, axis], abs=1e-3)
    lift = np.where(places[:, 2] > 0, 0.02, 0.0)
    moved = fit_motion(places, values + lift[:, None], FRAME, layer=layer)
    change, stated = moved.coefficients - found.coefficients, np.einsum("itn,n->ti", found.response[..., :500], lift)
    assert np.abs(rows @ (change - stated)).max() < 0.3 * np.abs(rows @ stated).max()


def test_inverses_are_the_covariance_of_coefficients_for_noise_of_one_voxel():
    at = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, -0.5]])
    drawn = []
    for seed in range(60):
        places, values, _ = noisy(seed, sd=1.0)
        found = fit_motion(places, values, FRAME)
        drawn.append(found.displace(at) - make_terms(at) @ make_coefficients())
    terms = make_terms(at)
    stated = np.sqrt(np.einsum("pt,itu,pu->pi", terms, found.inverses, terms))
    assert np.std(drawn, axis=0) == pytest.approx(stated, rel=0.35)
    assert np.std(drawn, axis=0).mean() == pytest.approx(stated.mean(), rel=0.15)
    assert found.scatter_vox == pytest.approx(1.0, rel=0.1)


def test_too_few_nodes_are_refused_in_one_line():
    places = make_places(3 * TERMS - 1)
    with pytest.raises(InputError, match=f"{3 * TERMS - 1} nodes may be trusted, .* needs {3 * TERMS}") as caught:
        fit_motion(places, np.zeros_like(places), FRAME)
    assert "\n" not in str(caught.value)

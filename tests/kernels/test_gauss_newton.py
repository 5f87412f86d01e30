"""Whole nodes: equal to the twin, true to an exact affine deformation, and honest where it cannot be found."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.kernels import gauss_newton, moments, reference, small_matrices, weights
from voltome.kernels.gauss_newton import Rules
from voltome.kernels.sampling import LANES, TAIL
from voltome.twin import make_rigid_motion

SHAPE = (37, 43, 40)
NODE = (18, 21, 19)
HALF = 9
RULES = Rules(half_window=HALF, tolerance=1e-3, max_iterations=50, min_coverage=0.5, det_low=0.1, det_high=10.0)
IDENTITY = np.eye(4)[:3].copy()
TRUTH = np.array([[1.03, 0.02, -0.01, 0.62], [-0.015, 0.98, 0.02, -0.43], [0.01, -0.02, 1.04, 0.31]])


def shift_phi(phi: np.ndarray, *displacement: float) -> np.ndarray:
    return phi + np.c_[np.zeros((3, 3)), displacement]


def make_mask(shape=SHAPE) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Weights with a slanted edge, a soft rim and a hole."""
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    mask = np.clip((z + 0.6 * y - 0.4 * x - 17.3) / 2.0, 0, 1)
    mask[16:19, 22:25, 14:20] = 0.0
    return mask.astype(np.float32).astype(np.float64)


@pytest.fixture(scope="module")
def build(make_pair, deform_texture):  # type: ignore[no-untyped-def]
    """Pair whose deformed volume is the texture under phi about a node, with a gain and an offset."""

    def build(phi=TRUTH, node=NODE, shape=SHAPE, gain=1.0, offset=0.0, **options):  # type: ignore[no-untyped-def]
        return make_pair(deform_texture(shape), gain * deform_texture(shape, phi, node) + offset, **options)

    return build


def assert_found(result: reference.NodeResult, truth: np.ndarray, within_vox: float = 1e-3) -> None:
    """Converged, and nowhere in the window farther than `within_vox` from the truth."""
    assert result.status == gauss_newton.CONVERGED
    error = result.phi - truth
    assert np.abs(error[:, 3]).max() < within_vox
    assert np.abs(error[:, :3]).max() < within_vox / HALF


def assert_equal(found: reference.NodeResult, twin: reference.NodeResult) -> None:
    """Equal but for float32 grey values and row sums."""
    assert found.status == twin.status
    np.testing.assert_allclose(found.phi, twin.phi, atol=2e-6)
    np.testing.assert_allclose(found.numbers, twin.numbers, rtol=1e-4, atol=1e-6)
    size = np.sqrt(np.maximum(np.diagonal(twin.hessian), 1e-30))
    np.testing.assert_allclose(found.hessian / np.outer(size, size), twin.hessian / np.outer(size, size), atol=1e-5)
    np.testing.assert_allclose(found.cells, twin.cells, atol=1e-5 * max(np.abs(twin.cells).max(), 1e-30))


CASES = {
    "inside": {},
    "linear": {"cubic": False},
    "masked": {"weights_f": make_mask()},
    "deformed mask": {"weights_g": make_mask([n + 30 for n in SHAPE])},
    "large strain": {"phi": np.array([[1.5, 0.1, 0, 0.5], [0, 0.8, 0, -1], [0.1, 0, 0.9, 0.3]])},
    "turned": {"phi": np.array([[0.8, -0.6, 0, 0.2], [0.6, 0.8, 0, -0.1], [0, 0, 1, 0.3]])},
    "cut window": {"node": (8, 36, 19)},
    "sticks out": {"node": (8, 21, 33), "phi": shift_phi(TRUTH, -3.3, 0, 2), "rim": 3.0},
    "sticks out and mirrored": {"node": (8, 21, 33), "phi": shift_phi(TRUTH, -3.3, 0, 2)},
    "gain": {"gain": 2.5, "offset": 0.8},
}


TURNED = np.c_[make_rigid_motion(rotation_rad=np.radians((4.0, -3.0, 2.0))).linear + np.eye(3), [0.62, -0.43, 0.31]]
"""A rotation by 5.4 degrees and a translation."""

RIGID_CASES = {
    "inside": {},
    "linear": {"cubic": False},
    "masked": {"weights_f": make_mask()},
    "cut window": {"node": (8, 36, 19)},
    "sticks out": {"node": (8, 21, 33), "phi": shift_phi(TURNED, -3.3, 0, 2), "rim": 3.0},
    "strained": {"phi": TRUTH},
}


def start_of(phi: np.ndarray) -> np.ndarray:
    """A start half a voxel and some strain beside the truth."""
    return phi + np.array([[0.02, -0.01, 0.01, 0.3], [0.01, -0.02, 0.0, -0.5], [0.0, 0.01, -0.02, 0.4]])


@pytest.mark.parametrize("name", CASES)
def test_node_equals_its_twin(build, make_window, name) -> None:  # type: ignore[no-untyped-def]
    case = CASES[name]
    pair, window = build(**case), make_window(case.get("node", NODE), HALF, SHAPE)
    start = start_of(case.get("phi", TRUTH))
    found = pair.correlate(window, start, RULES)
    assert found.status == gauss_newton.CONVERGED
    assert_equal(found, pair.correlate_twin(window, start, RULES))


@pytest.mark.parametrize("mask", [None, "masked"])
def test_small_node_equals_its_twin(make_pair, deform_texture, make_window, mask) -> None:  # type: ignore[no-untyped-def]
    shape, node = (13, 15, 14), (6, 8, 7)
    phi = IDENTITY + 0.01 * TRUTH
    weights = (np.random.default_rng(0).uniform(0, 1, shape) > 0.2).astype(np.float64) if mask else None
    pair = make_pair(deform_texture(shape), deform_texture(shape, phi, node), weights_f=weights)
    rules = RULES._replace(half_window=3, max_iterations=1)
    assert_equal(*(run(make_window(node, 3, shape), IDENTITY, rules) for run in (pair.correlate, pair.correlate_twin)))


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("linear", "sticks out and mirrored")])
def test_affine_of_an_analytic_texture_is_recovered(build, make_window, name) -> None:  # type: ignore[no-untyped-def]
    case = CASES[name]
    phi = case.get("phi", TRUTH)
    window = make_window(case.get("node", NODE), HALF, SHAPE)
    assert_found(build(**case).correlate(window, start_of(phi), RULES), phi)


def test_linear_interpolation_recovers_the_affine_to_a_hundredth(build, make_window) -> None:  # type: ignore[no-untyped-def]
    assert_found(build(cubic=False).correlate(make_window(NODE, HALF), IDENTITY, RULES), TRUTH, within_vox=0.02)


def test_voxels_at_the_mirrored_faces_cost_at_most_a_twentieth(build, make_window) -> None:  # type: ignore[no-untyped-def]
    case = CASES["sticks out and mirrored"]
    window = make_window(case["node"], HALF, SHAPE)
    assert_found(build(**case).correlate(window, start_of(case["phi"]), RULES), case["phi"], within_vox=0.05)


def test_identical_volumes_give_identity_and_full_correlation(build, make_window) -> None:  # type: ignore[no-untyped-def]
    found = build(phi=IDENTITY).correlate(make_window(NODE, HALF), IDENTITY, RULES)
    assert_found(found, IDENTITY, within_vox=1e-5)
    assert found.numbers[0] == pytest.approx(1.0, abs=1e-6)


def test_gain_and_offset_change_nothing(build, make_window) -> None:  # type: ignore[no-untyped-def]
    window = make_window(NODE, HALF)
    plain = build().correlate(window, IDENTITY, RULES)
    scaled = build(gain=2.5, offset=4.0).correlate(window, IDENTITY, RULES)
    assert scaled.status == plain.status and scaled.numbers[3] == plain.numbers[3]
    np.testing.assert_allclose(scaled.phi, plain.phi, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scaled.numbers, plain.numbers, rtol=1e-4)


def test_window_that_sticks_out_leaves_out_what_is_outside(build, make_window) -> None:  # type: ignore[no-untyped-def]
    case = CASES["sticks out"]
    window = make_window(case["node"], HALF, SHAPE)
    found = build(**case).correlate(window, case["phi"], RULES)
    points = window.node + case["phi"][:, 3] + window.offsets @ case["phi"][:, :3].T
    outside = ((points < 3) | (points > np.array(SHAPE) - 4)).any(axis=-1)
    assert 0.1 < outside.mean() < 0.4
    assert found.numbers[2] == pytest.approx(1 - outside.mean(), abs=1e-6)
    assert_found(found, case["phi"])


def test_reference_voxels_of_weight_zero_change_nothing(build, make_window) -> None:  # type: ignore[no-untyped-def]
    pair, window = build(weights_f=make_mask()), make_window(NODE, HALF)
    clean = pair.correlate(window, IDENTITY, RULES)
    for flat in pair.kernel_reference[:4]:
        flat[:-TAIL].reshape(SHAPE)[make_mask() == 0] = 1e9
    poisoned = pair.correlate(window, IDENTITY, RULES)
    for before, after in zip(clean, poisoned, strict=True):
        np.testing.assert_array_equal(before, after)


def test_deformed_voxels_of_weight_zero_change_nothing(build, make_window) -> None:  # type: ignore[no-untyped-def]
    from scipy.ndimage import maximum_filter

    hole = np.zeros([n + 30 for n in SHAPE], dtype=bool)
    hole[30:33, 38:41, 36:39] = True
    weights = (~maximum_filter(hole, size=7)).astype(np.float64)  # the taps reach two voxels, the start is within one
    pair, window = build(weights_g=weights), make_window(NODE, HALF)
    clean = pair.correlate(window, TRUTH, RULES)
    pair.kernel_deformed.samples[:-TAIL].reshape(hole.shape)[hole] = 1e9
    poisoned = pair.correlate(window, TRUTH, RULES)
    assert clean.numbers[2] < 0.99
    assert_found(poisoned, TRUTH)
    for name in ("status", "phi", "hessian", "cells"):
        np.testing.assert_array_equal(getattr(clean, name), getattr(poisoned, name))
    # The response, which scales the stated sd, looks three voxels farther: there 1e9 does not stand for no value.
    np.testing.assert_array_equal(clean.numbers[:6], poisoned.numbers[:6])


def test_deformed_weights_follow_the_window(build, make_window) -> None:  # type: ignore[no-untyped-def]
    from scipy.ndimage import maximum_filter

    phi = np.c_[np.eye(3), [0, 0, 3.0]]
    hole = np.zeros([n + 30 for n in SHAPE], dtype=bool)
    hole[30:35, 30:46, 41:44] = True  # in the image of the window, whose face it crosses on the way
    pair = build(phi=phi, weights_g=(~maximum_filter(hole, size=5)).astype(np.float64))
    pair.kernel_deformed.samples[:-TAIL].reshape(hole.shape)[hole] = 5.0
    window = make_window(NODE, HALF)
    assert_found(pair.correlate(window, phi, RULES), phi)
    assert_found(pair.correlate(window, IDENTITY, RULES), phi)


@pytest.mark.usefixtures("engine")
def test_soft_weights_equal_their_twin(build, make_window) -> None:  # type: ignore[no-untyped-def]
    node, phi = (8, 21, 33), shift_phi(TRUTH, -5, 0, 3)
    pair = build(phi=phi, node=node, weights_f=make_mask(), weights_g=make_mask([n + 30 for n in SHAPE]))
    window = make_window(node, HALF, SHAPE)
    nz, ny, nx = (int(n) for n in window.high - window.low)
    stride = -(-nx // LANES) * LANES
    flat = np.full(nz * ny * stride + TAIL, 7.0, dtype=np.float32)
    kernel = moments.Window(*window, flat, stride)
    for first, stop in ((window.low[0], 0), (0, window.high[0])):
        weights.fill_weights(
            pair.kernel_reference, pair.kernel_deformed, pair.weighting, kernel, phi, int(first), int(stop)
        )
    rows = flat[:-TAIL].reshape(nz, ny, stride)
    expected = reference.window_weights(pair.reference, pair.deformed, window, phi)
    assert 0 < expected.mean() < 1
    np.testing.assert_allclose(rows[:, :, :nx], expected, atol=1e-6)
    assert (rows[:, :, nx:] == 0).all() and (flat[-TAIL:] == 7.0).all()


# --- rotation and translation alone ---


@pytest.mark.parametrize("name", RIGID_CASES)
def test_rigid_node_equals_its_twin(build, make_window, name) -> None:  # type: ignore[no-untyped-def]
    case = {"phi": TURNED, **RIGID_CASES[name]}
    pair, window = build(**case), make_window(case.get("node", NODE), HALF, SHAPE)
    rules, start = RULES._replace(rigid=True), shift_phi(IDENTITY, *case["phi"][:, 3])
    found = pair.correlate(window, start, rules)
    assert_equal(found, pair.correlate_twin(window, start, rules))
    rotation = found.phi[:, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("name", [name for name in RIGID_CASES if name not in ("linear", "strained")])
def test_rotation_and_translation_of_an_analytic_texture_are_recovered(build, make_window, name) -> None:  # type: ignore[no-untyped-def]
    case = {"phi": TURNED, **RIGID_CASES[name]}
    start = shift_phi(IDENTITY, *(case["phi"][:, 3] + 0.4))
    found = build(**case).correlate(make_window(case.get("node", NODE), HALF, SHAPE), start, RULES._replace(rigid=True))
    assert_found(found, case["phi"])


def test_a_rigid_step_keeps_the_stretch_it_starts_from(build, make_window) -> None:  # type: ignore[no-untyped-def]
    stretch = np.diag([1.04, 0.97, 1.01])
    phi = np.c_[TURNED[:, :3] @ stretch, TURNED[:, 3]]
    found = build(phi=phi).correlate(make_window(NODE, HALF), np.c_[stretch, phi[:, 3]], RULES._replace(rigid=True))
    squared = found.phi[:, :3].T @ found.phi[:, :3]
    np.testing.assert_allclose(np.linalg.eigvalsh(squared), np.sort(np.diag(stretch)) ** 2, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 0.3, 3.0])
def test_an_increment_becomes_an_exact_rotation(angle) -> None:  # type: ignore[no-untyped-def]
    vector = np.array([0.48, -0.6, 0.64]) * angle
    step = gauss_newton.RIGID @ [0.1, -0.2, 0.3, *vector]
    np.testing.assert_array_equal(step, reference.rigid_increments() @ [0.1, -0.2, 0.3, *vector])
    exact = step.copy()
    small_matrices.rotate_exactly(exact)
    np.testing.assert_allclose(exact, reference.rotate_exactly(step), atol=1e-14)
    rows = exact.reshape(3, 4)
    np.testing.assert_allclose(rows[:, :3], make_rigid_motion(rotation_rad=vector).linear, atol=1e-14)
    np.testing.assert_array_equal(rows[:, 3], [0.1, -0.2, 0.3])


def test_cells_see_a_step_of_displacement_where_it_is(make_pair, deform_texture, make_window) -> None:  # type: ignore[no-untyped-def]
    step = np.array([0.3, 0.0, 0.0])
    moved = deform_texture(SHAPE, np.c_[np.eye(3), step])
    g = deform_texture(SHAPE)
    g[NODE[0] :] = moved[NODE[0] :]
    cells = make_pair(g=g, f=deform_texture(SHAPE)).correlate(make_window(NODE, HALF), IDENTITY, RULES).cells
    side = gauss_newton.CELLS
    displacement = -(cells[:, 0] / cells[:, 3]).reshape(side, -1).mean(axis=1)  # the residual's own, plane by plane
    assert np.ptp(displacement) > 0.05


# --- what cannot be found is told by a status ---


def test_constant_window_is_singular(make_pair, deform_texture, make_window) -> None:  # type: ignore[no-untyped-def]
    pair = make_pair(np.full(SHAPE, 2.0), deform_texture(SHAPE))
    found = pair.correlate(make_window(NODE, HALF), IDENTITY, RULES)
    assert found.status == gauss_newton.SINGULAR
    assert_equal(found, pair.correlate_twin(make_window(NODE, HALF), IDENTITY, RULES))


def test_texture_along_one_axis_alone_is_singular(make_pair, make_window) -> None:  # type: ignore[no-untyped-def]
    layers = np.broadcast_to(np.sin(0.7 * np.arange(SHAPE[0]))[:, None, None], SHAPE)
    pair = make_pair(layers, layers)
    assert pair.correlate(make_window(NODE, HALF), IDENTITY, RULES).status == gauss_newton.SINGULAR


def test_constant_deformed_window_does_not_converge_to_anything(make_pair, deform_texture, make_window) -> None:  # type: ignore[no-untyped-def]
    pair = make_pair(deform_texture(SHAPE), np.full(SHAPE, 2.0))
    found = pair.correlate(make_window(NODE, HALF), IDENTITY, RULES)
    assert found.status < gauss_newton.CONVERGED
    assert found.numbers[0] == 0.0


def test_start_that_is_not_a_number_is_told_and_kept(build, make_window) -> None:  # type: ignore[no-untyped-def]
    start = IDENTITY.copy()
    start[1, 2] = np.nan
    found = build().correlate(make_window(NODE, HALF), start, RULES)
    assert found.status == gauss_newton.NAN_START
    np.testing.assert_array_equal(found.phi, start)


def test_window_that_the_mask_hardly_covers_is_masked(build, make_window) -> None:  # type: ignore[no-untyped-def]
    mask = np.zeros(SHAPE)
    mask[:, :, : NODE[2] - 3] = 1.0
    found = build(weights_f=mask).correlate(make_window(NODE, HALF), IDENTITY, RULES)
    assert found.status == gauss_newton.MASKED
    assert found.numbers[2] == pytest.approx(6 / 19, rel=1e-6)


def test_window_whose_image_lies_outside_the_volume_is_masked(build, make_window) -> None:  # type: ignore[no-untyped-def]
    found = build().correlate(make_window(NODE, HALF), shift_phi(IDENTITY, 500, 0, 0), RULES)
    assert found.status == gauss_newton.MASKED


@pytest.mark.parametrize(("low", "high", "scale"), [(0.1, 1.05, 1.06), (0.95, 10.0, 0.94)])
def test_determinant_out_of_its_limits_is_told(build, make_window, low, high, scale) -> None:  # type: ignore[no-untyped-def]
    pair = build(phi=np.c_[scale * np.eye(3), np.zeros(3)])
    rules = RULES._replace(det_low=low, det_high=high)
    assert pair.correlate(make_window(NODE, HALF), IDENTITY, rules).status == gauss_newton.DETERMINANT
    assert_found(pair.correlate(make_window(NODE, HALF), IDENTITY, RULES), np.c_[scale * np.eye(3), np.zeros(3)])


def test_spent_iterations_are_told_with_the_result_so_far(build, make_window) -> None:  # type: ignore[no-untyped-def]
    found = build().correlate(make_window(NODE, HALF), IDENTITY, RULES._replace(max_iterations=1))
    assert found.status == gauss_newton.SPENT
    assert found.numbers[3] == 1
    assert np.abs(found.phi - TRUTH).max() < np.abs(IDENTITY - TRUTH).max()


@pytest.mark.parametrize("seed", range(3))
def test_windows_that_have_nothing_in_common_do_not_converge(make_pair, deform_texture, make_window, seed) -> None:  # type: ignore[no-untyped-def]
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    found = make_pair(deform_texture(SHAPE), noise).correlate(make_window(NODE, HALF), IDENTITY, RULES)
    assert found.status < gauss_newton.CONVERGED
    assert found.numbers[0] < 0.3
    assert found.numbers[3] < RULES.max_iterations  # steps that only wander are given up early


@pytest.mark.parametrize("axis", range(3))
def test_image_that_leaves_what_was_read_asks_for_more_and_goes_on(build, make_window, axis) -> None:  # type: ignore[no-untyped-def]
    phi = np.c_[np.eye(3), np.eye(3)[axis] * 1.5]
    size = np.array(SHAPE)
    first, stop = np.full(3, -15), size + 15
    stop[axis] = NODE[axis] + HALF + 1 + 12  # enough for the start, not for the end
    window = make_window(NODE, HALF)
    left = build(phi=phi, read=(tuple(first), tuple(stop))).correlate(window, IDENTITY, RULES)
    assert left.status == gauss_newton.LEFT_BLOCK
    assert np.abs(left.phi - phi).max() < 1.0
    assert_found(build(phi=phi).correlate(window, left.phi, RULES), phi)


def test_a_batch_gives_each_node_what_it_gets_alone(build, make_window) -> None:  # type: ignore[no-untyped-def]
    pair = build()
    nodes = [(18, 21, 19), (14, 21, 24), (8, 36, 19)]
    windows = [make_window(node, HALF, SHAPE) for node in nodes]
    starts = np.stack([start_of(IDENTITY), np.full((3, 4), np.nan), IDENTITY])
    phi, status, numbers = starts.copy(), np.zeros(3, dtype=np.int32), np.full((3, 7), np.nan)
    hessian, cells = np.zeros((3, 12, 12)), np.zeros((3, gauss_newton.CELLS**3, 9))
    gauss_newton.correlate_nodes(
        pair.kernel_reference,
        pair.kernel_deformed,
        pair.weighting,
        RULES,
        *(np.stack([getattr(window, name) for window in windows]) for name in ("node", "low", "high")),
        phi,
        status,
        numbers,
        hessian,
        cells,
    )
    for n, window in enumerate(windows):
        alone = pair.correlate(window, starts[n], RULES)
        for together, single in zip((status, phi, numbers, hessian, cells), alone, strict=True):
            np.testing.assert_array_equal(together[n], single)

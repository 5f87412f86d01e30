"""Windows of a grid, worked together: the same sums, the same steps, the same result as one by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voltome.dvc.overlap import GridWindows, correlate_grid, find_grid
from voltome.grid import regular_nodes
from voltome.kernels import cells, gauss_newton, grid_newton, reference_grid
from voltome.kernels.gauss_newton import CELLS, CONVERGED, Rules

SHAPE = (40, 44, 52)
SPACING, HALF = 12, 10
RULES = Rules(half_window=HALF, tolerance=1e-4, max_iterations=50, min_coverage=0.5, det_low=0.1, det_high=10.0)
TRUTH = np.array([[1.02, 0.01, -0.005, 0.6], [0.008, 0.99, 0.01, -0.4], [-0.01, 0.004, 1.01, 0.3]])


def make_grid(shape: tuple[int, int, int] = SHAPE, half: int = HALF) -> tuple[GridWindows, np.ndarray]:
    nodes, _ = regular_nodes(shape, SPACING)
    low, high = np.maximum(-half, 3 - nodes), np.minimum(half + 1, np.array(shape) - 3 - nodes)
    grid = find_grid(nodes, low, high, half, least_gain=0.0)
    assert grid is not None
    return grid, nodes


def relative_phi(nodes: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """TRUTH, which acts about `centre`, relative to each node."""
    phi = np.repeat(TRUTH[None], len(nodes), axis=0)
    phi[:, :, 3] += (nodes - centre) @ (TRUTH[:, :3] - np.eye(3)).T
    return phi


@pytest.fixture(scope="module")
def pair(make_pair, deform_texture):  # type: ignore[no-untyped-def]
    centre = (20, 22, 26)
    random = np.random.default_rng(5)
    mask = np.clip(random.uniform(-0.5, 3, SHAPE), 0, 1)
    f, g = deform_texture(SHAPE), deform_texture(SHAPE, TRUTH, centre)
    return make_pair(f=f, g=g), make_pair(f=f, g=g, weights_f=mask), np.array(centre)


def run(pair, grid, phi, rules=RULES):  # type: ignore[no-untyped-def]
    with ThreadPoolExecutor(2) as pool:
        return correlate_grid(grid, pair.kernel_reference, pair.kernel_deformed, pair.weighting, rules, phi, pool)


@pytest.mark.parametrize("masked", [False, True])
def test_a_step_equals_its_twin_whatever_phi_the_neighbours_have(pair, masked) -> None:  # type: ignore[no-untyped-def]
    chosen, centre = pair[int(masked)], pair[2]
    grid, nodes = make_grid()
    random = np.random.default_rng(1)
    phi = relative_phi(nodes, centre)
    phi += np.concatenate(
        [random.normal(0, 0.001, (len(nodes), 3, 3)), random.normal(0, 0.06, (len(nodes), 3, 1))], axis=2
    )
    once = RULES._replace(max_iterations=1, tolerance=1e3)  # any step will do: what is wanted are its sums
    state = run(chosen, grid, phi, once)
    shape = tuple(len(a) for a in (grid.partition.node_z, grid.partition.node_y, grid.partition.node_x))
    for place in [(0, 0, 0), (1, 1, 1), (0, 2, 1), (2, 1, 3)]:
        n = int(np.ravel_multi_index(place, shape))
        twin = reference_grid.step_node(
            chosen.reference, chosen.deformed, grid.partition, phi.reshape(*shape, 3, 4), place
        )
        assert state.status[n] == CONVERGED
        scale = np.tile([HALF, HALF, HALF, 1.0], 3)
        np.testing.assert_allclose(state.step[n] * scale, twin.step * scale, atol=2e-4)
        np.testing.assert_allclose(state.numbers[n, [0, 6]], [twin.zncc, twin.response], atol=2e-4)
        np.testing.assert_allclose(state.cells[n], twin.cells, atol=2e-4 * np.abs(twin.cells).max())


def test_an_affine_motion_is_found_as_each_window_finds_it_alone(pair, make_window) -> None:  # type: ignore[no-untyped-def]
    chosen, _, centre = pair
    grid, nodes = make_grid()
    truth = relative_phi(nodes, centre)
    start = truth.copy()
    start[:, :, 3] += 0.4
    state = run(chosen, grid, start)
    assert (state.status == CONVERGED).all()
    for n in (0, len(nodes) // 2, len(nodes) - 1):
        alone = chosen.correlate(make_window(tuple(nodes[n]), HALF, SHAPE), start[n], RULES)
        np.testing.assert_allclose(state.next_phi[n, :, 3], alone.phi[:, 3], atol=1e-3)
        np.testing.assert_allclose(state.next_phi[n, :, :3], alone.phi[:, :3], atol=1e-3 / HALF)
        np.testing.assert_allclose(state.hessian[n], alone.hessian, atol=1e-4 * np.abs(alone.hessian).max())
        np.testing.assert_allclose(state.numbers[n, :3:2], alone.numbers[:3:2], atol=1e-3)
        assert state.numbers[n, 6] == pytest.approx(alone.numbers[6], abs=0.02)


def test_the_result_does_not_depend_on_the_threads(pair) -> None:  # type: ignore[no-untyped-def]
    chosen, _, centre = pair
    grid, nodes = make_grid()
    start = relative_phi(nodes, centre)
    states = []
    for threads in (1, 3):
        with ThreadPoolExecutor(threads) as pool:
            states.append(
                correlate_grid(
                    grid, chosen.kernel_reference, chosen.kernel_deformed, chosen.weighting, RULES, start.copy(), pool
                )
            )
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_start_that_is_not_a_number_is_left_to_others_with_what_it_samples(pair) -> None:  # type: ignore[no-untyped-def]
    chosen, _, centre = pair
    grid, nodes = make_grid()
    start = relative_phi(nodes, centre)
    lost = len(nodes) // 2
    start[lost] = np.nan
    state = run(chosen, grid, start)
    near = (np.abs(nodes - nodes[lost]).max(axis=1) <= SPACING) & (np.arange(len(nodes)) != lost)
    assert state.status[lost] == gauss_newton.NAN_START
    assert (state.status[near] == grid_newton.HANDED_OVER).all()
    far = np.abs(nodes - nodes[lost]).max(axis=1) > SPACING
    assert (state.status[far] == CONVERGED).all() and far.any()


def test_neighbours_that_move_differently_are_handed_over(pair) -> None:  # type: ignore[no-untyped-def]
    chosen, _, centre = pair
    grid, nodes = make_grid()
    start = relative_phi(nodes, centre)
    start[nodes[:, 0] > 20, 0, 3] += 2.5
    state = run(chosen, grid, start, RULES._replace(max_iterations=1, tolerance=1e3))
    assert (state.status[nodes[:, 0] <= 24] == grid_newton.HANDED_OVER).all()
    assert (state.status[nodes[:, 0] == 36] == CONVERGED).all()


@pytest.mark.parametrize(("spacing", "half"), [(12, 10), (7, 9), (20, 12), (5, 13)])
def test_cells_fill_every_window_once_and_know_their_nearest_node(spacing: int, half: int) -> None:
    shape = (47, 60, 53)
    nodes, _ = regular_nodes(shape, spacing)
    low, high = np.maximum(-half, 3 - nodes), np.minimum(half + 1, np.array(shape) - 3 - nodes)
    grid = find_grid(nodes, low, high, half, least_gain=0.0)
    assert grid is not None
    part = grid.partition
    for axis, (edge, owner, node, span) in enumerate(
        zip(
            (part.edge_z, part.edge_y, part.edge_x), (part.owner_z, part.owner_y, part.owner_x),
            (part.node_z, part.node_y, part.node_x), (part.span_z, part.span_y, part.span_x), strict=True,
        )
    ):  # fmt: skip
        assert (np.diff(edge) > 0).all() and np.diff(edge).max() <= np.ceil((2 * half + 1) / CELLS)
        for k, coordinate in enumerate(node):
            n = np.flatnonzero(nodes[:, axis] == coordinate)[0]
            assert edge[span[k, 0]] - coordinate == low[n, axis] and edge[span[k, 1]] - coordinate == high[n, axis]
            assert (owner[span[k, 0] : span[k, 1]] >= 0).all()
        for a, b, k in zip(edge[:-1], edge[1:], owner, strict=True):
            if k >= 0:
                distance = np.abs(np.arange(a, b)[:, None] - node)
                assert (distance[:, k] == distance.min(axis=1)).all()


def test_a_grid_is_worked_together_only_where_windows_share_much() -> None:
    shape = (90, 96, 100)
    for spacing, half, together in ((20, 20, True), (20, 8, False), (40, 12, False)):
        nodes, _ = regular_nodes(shape, spacing)
        low, high = np.maximum(-half, 3 - nodes), np.minimum(half + 1, np.array(shape) - 3 - nodes)
        assert (find_grid(nodes, low, high, half) is not None) == together
    assert find_grid(nodes[1:], low[1:], high[1:], half, least_gain=0.0) is None


def test_a_masked_window_is_told(make_pair, deform_texture) -> None:  # type: ignore[no-untyped-def]
    mask = np.ones(SHAPE)
    mask[:, :, :22] = 0
    volume = deform_texture(SHAPE)
    grid, nodes = make_grid()
    state = run(make_pair(f=volume, g=volume, weights_f=mask), grid, np.tile(np.eye(3, 4), (len(nodes), 1, 1)))
    assert (state.status[nodes[:, 2] == 12] == gauss_newton.MASKED).all()
    assert (state.status[nodes[:, 2] == 48] == CONVERGED).all()


def test_sums_of_cells_are_set_for_wanted_nodes_only(pair) -> None:  # type: ignore[no-untyped-def]
    chosen, _, centre = pair
    grid, nodes = make_grid()
    part, phi = grid.partition, relative_phi(nodes, centre)
    wanted = (nodes[:, 2] == nodes[0, 2]).astype(np.uint8)
    sums = cells.CellSums(
        *(np.full((grid.count, size), np.nan) for size in (cells.PRODUCTS, cells.LINEAR, cells.TOTALS, cells.SAMPLED))
    )
    columns = cells.make_columns(part)
    cells.sum_reference_cells(
        chosen.kernel_reference, chosen.kernel_deformed, chosen.weighting, part, phi, wanted, 0, len(part.owner_z),
        columns, sums,
    )  # fmt: skip
    here = np.broadcast_to(part.owner_x == 0, (len(part.owner_z), len(part.owner_y), len(part.owner_x))).ravel()
    moments = sums.products.reshape(-1, 10, 8)[..., :6]  # what fills up the registers is never written
    assert np.isfinite(moments[here]).all() and np.isnan(moments[~here]).all()

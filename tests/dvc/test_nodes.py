"""Nodes at one resolution: masks, grey windows, NaN, and what a failure looks like."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.dvc.blocks import measure_grey_scale
from voltome.dvc.boxes import Pair
from voltome.dvc.node_results import NodeRules, residual_variance
from voltome.errors import InputError
from voltome.fields import NodeStatus

GRID = {"node_spacing_vox": 18, "half_window_vox": 12}


@pytest.fixture(scope="module")
def work(affine_pair):
    """Correlate nodes of the affine pair from the truth."""
    pair = Pair(
        affine_pair.reference,
        affine_pair.deformed,
        measure_grey_scale(affine_pair.reference),
        measure_grey_scale(affine_pair.deformed),
    )

    def run(positions, phi=None, **rules):
        positions = np.array(positions)
        start = twin.true_field(affine_pair.field, positions).phi if phi is None else phi
        with dvc.thread_pool(2) as pool:
            return dvc.correlate_nodes(pair, positions, start, NodeRules(half_window_vox=8, **rules), pool=pool)

    return run


def test_every_node_tells_how_it_ended(work, affine_pair):
    positions = [(36, 36, 36), (36, 36, 36), (36, 36, 36), (71, 70, 69)]
    phi = np.tile(np.eye(4), (4, 1, 1))
    phi[0] = twin.true_field(affine_pair.field, positions[:1]).phi[0]
    phi[1, 1, 1] = np.nan
    phi[2] = phi[0]
    phi[2, :3, 3] += 500  # nothing of the deformed volume is there
    results = work(positions, phi)
    assert results.status.tolist() == [
        NodeStatus.CONVERGED, NodeStatus.NAN_START, NodeStatus.MASKED, results.status[3],
    ]  # fmt: skip
    assert results.status[3] < NodeStatus.CONVERGED or results.coverage[3] > 0.5
    assert results.iterations[0] >= 1
    assert np.isfinite(results.covariance[0]).all()
    assert np.isnan(results.covariance[1:3]).all()
    assert np.isnan(results.zncc[1:3]).all()


def test_iterations_that_are_spent_are_status_1(work):
    results = work([(36, 36, 36)], np.eye(4)[None], max_iterations=1)
    assert results.status.tolist() == [NodeStatus.ITERATIONS_SPENT]
    assert results.iterations.tolist() == [1]


def test_covariance_is_symmetric_and_positive(affine_result):
    covariance = affine_result.field.covariance.astype(np.float64)
    np.testing.assert_allclose(covariance, np.swapaxes(covariance, 1, 2), rtol=1e-4, atol=1e-18)
    assert (np.diagonal(covariance, axis1=1, axis2=2) > 0).all()


def test_the_residual_has_no_negative_variance_where_rounding_brings_zncc_above_one():
    numbers = np.array([[1.0 + 1e-9, 0, 1, 3, 0.8, 4000.0], [0.9, 0, 1, 3, 2.0, 4000.0]])
    variance = residual_variance(numbers)
    assert variance[0] == 0
    assert variance[1] == pytest.approx(2 * 0.1 * 4, rel=0.01)


def test_masked_nodes_have_status_5_and_the_others_stay_right(affine_pair):
    mask = np.zeros(affine_pair.shape, dtype=np.uint8)
    mask[:, :, 27:] = 255  # windows around x = 18 keep a fifth of themselves, those around 36 all but a few voxels
    result = dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **GRID, mask=mask)
    field, masked = result.field, result.field.positions_vox[:, 2] == 18
    assert (field.status[masked] == NodeStatus.MASKED).all()
    assert (result.coverage[masked] < 0.5).all()
    assert np.isnan(field.zncc[masked]).all() and np.isnan(field.covariance[masked]).all()
    assert field.converged[~masked].all()
    error = np.abs(field.phi - twin.true_field(affine_pair.field, field.positions_vox).phi)
    assert error[~masked, :3, 3].max() < 0.003
    filtered = dvc.fill_field(field)
    assert np.isnan(filtered.phi[masked]).all()
    assert (filtered.filled == 0).all()


def test_minimum_coverage_is_the_users(affine_pair):
    mask = np.zeros(affine_pair.shape, dtype=np.uint8)
    mask[:, :, 27:] = 1
    result = dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **GRID, mask=mask, min_coverage=0.1)
    assert result.field.converged.all()


def test_nan_outside_the_mask_takes_no_part(affine_pair):
    reference, deformed = affine_pair.reference.copy(), affine_pair.deformed.copy()
    mask = np.zeros(reference.shape, dtype=np.uint8)
    mask[12:, :, :] = 1
    reference[:12] = np.nan
    deformed[:9] = np.nan
    field = dvc.correlate_local(reference, deformed, **GRID, mask=mask).field
    assert field.converged.all()
    error = np.abs(field.phi - twin.true_field(affine_pair.field, field.positions_vox).phi)
    assert error[:, :3, 3].max() < 0.005


@pytest.mark.parametrize("name", ["reference", "deformed"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("registered", [True, False])
def test_nan_where_it_counts_is_refused(affine_pair, affine_result, name, value, registered):
    volumes = {"reference": affine_pair.reference.copy(), "deformed": affine_pair.deformed.copy()}
    volumes[name][40, 33, 37] = value
    start = None if registered else affine_result.field
    with pytest.raises(InputError, match=f"{name} volume holds NaN or infinity.*--mask"):
        dvc.correlate_local(**volumes, **GRID, initial_phi=start)


def test_voxels_outside_the_grey_window_do_not_count(affine_pair):
    low, high = np.quantile(affine_pair.reference, [0.1, 0.7])
    result = dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **GRID, grey_window=(low, high))
    counts = (affine_pair.reference >= low) & (affine_pair.reference <= high)
    for node, coverage in zip(result.field.positions_vox.astype(int), result.coverage, strict=True):
        if node.max() == 54:  # whose window may reach the rim of the deformed volume
            continue
        window = tuple(slice(k - 12, k + 13) for k in node)
        assert coverage == pytest.approx(counts[window].mean(), abs=1e-3)
    error = np.abs(result.field.phi - twin.true_field(affine_pair.field, result.field.positions_vox).phi)
    assert result.field.converged.all()
    assert error[:, :3, 3].max() < 0.01


def test_a_grey_window_that_leaves_little_masks_the_node(affine_pair):
    low = float(np.quantile(affine_pair.reference, 0.8))
    field = dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **GRID, grey_window=(low, np.inf)).field
    assert (field.status == NodeStatus.MASKED).all()


def test_an_empty_region_is_not_measured(affine_pair):
    reference, deformed = affine_pair.reference.copy(), affine_pair.deformed.copy()
    reference[:32] = deformed[:32] = 1.0
    field = dvc.correlate_local(reference, deformed, **GRID).field
    empty = field.positions_vox[:, 0] == 18
    assert not field.trusted[empty].any()
    assert field.trusted[field.positions_vox[:, 0] == 54].all()

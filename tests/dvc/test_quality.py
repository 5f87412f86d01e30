"""What is flagged suspect, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.dvc.node_results import NodeResults
from voltome.dvc.quality import find_outliers, find_suspects
from voltome.fields import NodeStatus
from voltome.grid import regular_nodes

POSITIONS, _ = regular_nodes((60, 50, 55), 10)


@pytest.fixture
def results():
    """Flawless results of a strong but smooth motion."""
    motion = twin.make_smooth_motion((60, 50, 55), strain=0.1, swelling=0.2, seed=1)
    out = NodeResults.start(twin.true_field(motion, POSITIONS).phi)
    out.status[:] = NodeStatus.CONVERGED
    out.zncc[:], out.residual_variance[:] = 0.98, 0.04
    out.jump_vox[:], out.jump_sd_vox[:] = 0.02, 0.01
    out.grey_sd[:] = 1.0
    return out


def test_a_strong_smooth_strain_is_not_suspect(results):
    assert not find_suspects(POSITIONS, results).any.any()


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [("zncc", 0.3, "low_zncc"), ("zncc", np.nan, "low_zncc"), ("residual_variance", 0.2, "residual"),
     ("jump_vox", 0.5, "jump"), ("grey_sd", 5.0, "edge")],
)  # fmt: skip
def test_one_bad_node_is_suspect_for_its_own_reason(results, member, value, reason):
    getattr(results, member)[17] = value
    suspicion = find_suspects(POSITIONS, results)
    assert np.flatnonzero(suspicion.any).tolist() == [17]
    assert suspicion.count() == {"low_zncc": 0, "residual": 0, "outlier": 0, "jump": 0, "edge": 0} | {reason: 1}


def test_a_jump_within_its_noise_is_not_suspect(results):
    results.jump_vox[17], results.jump_sd_vox[17] = 0.5, 0.2
    assert not find_suspects(POSITIONS, results).any.any()


def test_one_displaced_node_is_an_outlier_and_its_neighbours_are_not(results):
    results.phi[42, 1, 3] += 1.5
    assert np.flatnonzero(find_outliers(POSITIONS, results.phi, results.status == 2)).tolist() == [42]


def test_a_node_whose_gradient_alone_disagrees_is_an_outlier(results):
    results.phi[42, 0, 0] += 0.3
    assert np.flatnonzero(find_outliers(POSITIONS, results.phi, results.status == 2)).tolist() == [42]


def test_nodes_that_did_not_converge_are_not_suspect_but_failed(results):
    results.status[5] = NodeStatus.SINGULAR
    results.zncc[5], results.jump_vox[5] = 0.0, 9.0
    results.phi[5, 0, 3] += 50
    assert not find_suspects(POSITIONS, results).any.any()


def test_nothing_converged_is_nothing_suspect(results):
    results.status[:] = NodeStatus.ERROR
    assert not find_suspects(POSITIONS, results).any.any()


def test_a_crack_is_suspect_where_it_runs_through_the_window_and_only_there(jump_pair, jump_result):
    field = jump_result.field
    distance = np.abs(field.positions_vox[:, 0] - 40)
    across, away = distance <= 5, distance > 9 + 3
    assert not field.trusted[across].any()
    assert (field.suspect | (field.status < 2))[across].all()
    assert field.trusted[away].mean() > 0.97
    error = field.phi - twin.true_field(jump_pair.field, field.positions_vox).phi
    assert np.abs(error[away & field.trusted, :3, 3]).max() < 0.1
    assert jump_result.suspects["jump"] > 0


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_alone_makes_almost_nothing_suspect(seed):
    motion = twin.make_smooth_motion((62, 70, 66), strain=0.02, seed=seed)
    pair = twin.make_speckle_pair((62, 70, 66), motion, noise=0.15, seed=seed)
    field = dvc.correlate_local(pair.reference, pair.deformed, node_spacing_vox=12, half_window_vox=9).field
    assert field.converged.all()
    assert field.suspect.mean() < 0.02

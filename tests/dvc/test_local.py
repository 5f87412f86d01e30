"""Local correlation of pairs whose motion is known."""

from __future__ import annotations

from dataclasses import fields as members

import numpy as np
import pytest

from voltome import dvc, twin
from voltome.dvc.levels import DEFAULT_PYRAMID, Level, choose_levels
from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus, evaluate_affine

GRID = {"node_spacing_vox": 18, "half_window_vox": 12}
SHAPE = (72, 71, 70)


def _errors(field, motion):
    """Largest errors of u and F over the field's nodes, for a motion that is affine."""
    error = np.abs(field.phi - twin.true_field(motion, field.positions_vox).phi)
    return error[:, :3, 3].max(), error[:, :3, :3].max()


def _same(a: DeformationField, b: DeformationField) -> bool:
    return all(
        np.asarray(getattr(a, m.name)).tobytes() == np.asarray(getattr(b, m.name)).tobytes()
        for m in members(DeformationField)
        if m.name != "grid_shape"
    )


def test_nodes_stand_where_spam_puts_them(affine_result):
    axis = [18.0, 36.0, 54.0]
    expected = [(z, y, x) for z in axis for y in axis for x in axis]
    assert affine_result.field.positions_vox.tolist() == [list(node) for node in expected]
    assert affine_result.field.grid_shape == (3, 3, 3)


@pytest.mark.parametrize("shift", [(2, -1, 3), (1.37, -2.61, 0.5)])
def test_rigid_shift_gives_zero_strain(shift):
    pair = twin.make_speckle_pair(SHAPE, twin.make_rigid_motion(displacement_vox=shift))
    field = dvc.correlate_local(pair.reference, pair.deformed, **GRID).field
    assert field.trusted.all()
    assert np.abs(field.displacement_vox - shift).max() < 0.002
    for gradient in ("geers", "q8"):
        strain = dvc.compute_strain(field, gradient=gradient)
        assert np.isfinite(strain.strain).all()
        assert np.abs(strain.strain).max() < 1e-4
        assert np.abs(strain.volumetric).max() < 2e-4


def test_affine_motion_is_recovered(affine_pair, affine_result):
    field = affine_result.field
    assert field.trusted.all()
    error_u, error_f = _errors(field, affine_pair.field)
    assert error_u < 0.002
    assert error_f < 1e-4
    assert field.zncc.min() > 0.999
    assert affine_result.registration.status == NodeStatus.CONVERGED
    assert affine_result.suspects == {"low_zncc": 0, "residual": 0, "outlier": 0, "jump": 0, "edge": 0}


def test_windows_that_leave_the_deformed_volume_stay_right(affine_pair):
    field = dvc.correlate_local(
        affine_pair.reference, affine_pair.deformed, node_spacing_vox=17, half_window_vox=14
    ).field
    assert field.positions_vox.max() == 68  # two voxels from the face, and moving
    assert field.converged.all()
    error_u, error_f = _errors(field, affine_pair.field)
    assert error_u < 0.006
    assert error_f < 4e-4


def test_smooth_motion_is_what_each_window_can_at_best_measure():
    motion = twin.make_smooth_motion(SHAPE, strain=0.03, seed=2)
    pair = twin.make_speckle_pair(SHAPE, motion)
    field = dvc.correlate_local(pair.reference, pair.deformed, node_spacing_vox=14, half_window_vox=10).field
    best = twin.true_field(motion, field.positions_vox, half_window_vox=10, shape=SHAPE)
    error = (field.phi - best.phi)[field.trusted]
    assert field.trusted.mean() > 0.95
    assert np.sqrt(np.mean(error[:, :3, 3] ** 2)) < 0.03
    assert np.sqrt(np.mean(error[:, :3, :3] ** 2)) < 0.003


def test_grey_gain_and_offset_change_nothing(affine_pair, affine_result):
    other = dvc.correlate_local(affine_pair.reference, 0.5 * affine_pair.deformed + 3.0, **GRID).field
    np.testing.assert_allclose(other.phi, affine_result.field.phi, atol=1e-5)
    np.testing.assert_allclose(other.zncc, affine_result.field.zncc, atol=1e-5)


def test_integer_volumes_are_read_as_they_are(affine_pair):
    grey = [
        np.clip(np.round(v * 10000), 0, 65535).astype(np.uint16) for v in (affine_pair.reference, affine_pair.deformed)
    ]
    field = dvc.correlate_local(*grey, **GRID).field
    error_u, error_f = _errors(field, affine_pair.field)
    assert error_u < 0.003
    assert error_f < 2e-4


def test_standard_deviations_are_those_of_the_errors():
    motion = twin.make_affine_motion(np.diag([1.02, 0.99, 1.006]), displacement_vox=(1.3, -2.1, 0.7))
    scores = []
    for seed in (0, 1):
        pair = twin.make_speckle_pair(SHAPE, motion, noise=0.05, seed=seed)
        field = dvc.correlate_local(pair.reference, pair.deformed, node_spacing_vox=12, half_window_vox=8).field
        best = twin.true_field(motion, field.positions_vox, half_window_vox=8, shape=SHAPE)
        scores.append(((field.phi - best.phi)[:, :3].reshape(-1, 12) / field.sd)[field.trusted])
    together = np.concatenate(scores)
    assert len(together) > 200
    assert 0.8 < together.std() < 1.25
    assert np.abs(together.mean(axis=0)).max() < 0.5  # no bias


def test_more_noise_means_larger_standard_deviations(affine_pair, noisy_pair, affine_result):
    noisy = dvc.correlate_local(noisy_pair.reference, noisy_pair.deformed, **GRID).field
    assert (noisy.sd > 2 * affine_result.field.sd).all()
    assert (noisy.residual > affine_result.field.residual).all()


def test_linear_interpolation_is_selectable_and_coarser(affine_pair, affine_result):
    field = dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **GRID, interpolation="linear").field
    error_u, _ = _errors(field, affine_pair.field)
    assert field.converged.all()
    assert _errors(affine_result.field, affine_pair.field)[0] < error_u < 0.06


@pytest.mark.parametrize(("stretch", "start", "stop"), [(1.5, 30, 60), (-0.5, 28, 68)])
def test_a_band_of_extreme_strain_converges_in_its_middle(stretch, start, stop):
    shape = (96, 40, 44)
    motion = twin.make_band_motion(start, stop, stretch)
    texture = twin.SpeckleTexture(3, widths_vox=(1.7, 3.0, 5.5), sharpness=1.2)
    pair = twin.make_speckle_pair(shape, motion, texture=texture)
    field = dvc.correlate_local(pair.reference, pair.deformed, pyramid=(16, 12, 8), half_window_vox=8).field
    middle = np.abs(field.positions_vox[:, 0] - (start + stop) / 2) < 6
    best = twin.true_field(motion, field.positions_vox, half_window_vox=8, shape=shape)
    right = field.trusted & (np.abs(field.phi - best.phi)[:, 0, 0] < 0.05)
    assert np.abs(best.phi[middle, 0, 0] - 1 - stretch).max() < 0.1
    assert right[middle].mean() > 0.9


def test_each_level_starts_from_the_one_above(affine_pair):
    result = dvc.correlate_local(affine_pair.reference, affine_pair.deformed, pyramid=(24, 18), half_window_vox=12)
    assert result.levels == (Level(24, 24), Level(18, 12))  # the half window is the last level's alone
    assert list(result.seconds) == ["registration", "spacing 24", "spacing 18"]
    assert _errors(result.field, affine_pair.field)[0] < 0.002


def test_default_levels_that_do_not_fit_are_skipped_and_named(affine_pair):
    result = dvc.correlate_local(affine_pair.reference[:, :, :], affine_pair.deformed, half_window_vox=12)
    assert result.levels == (Level(35, 12),)
    assert result.skipped_levels == (100, 70)
    assert choose_levels((300, 300, 300), None, None, None) == (tuple(Level(n, n) for n in DEFAULT_PYRAMID), ())


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"pyramid": (70, 35)}, r"window of 2 x 70 \+ 1 voxels must fit"),
        ({"pyramid": (20, 20)}, "must decrease"),
        ({"pyramid": (12, 20)}, "must decrease"),
        ({"pyramid": (24, 12), "node_spacing_vox": 18}, "must end in the node spacing 18"),
        ({"node_spacing_vox": 0}, "node spacing must be >= 1"),
        ({"node_spacing_vox": -5}, "node spacing must be >= 1"),
        ({"node_spacing_vox": 18, "half_window_vox": 3}, "half window must be >= 4"),
        ({"node_spacing_vox": 18, "half_window_vox": 40}, r"window of 2 x 40 \+ 1"),
        ({"node_spacing_vox": 71, "half_window_vox": 12}, "below the shortest side"),
        ({"interpolation": "sinc"}, "cubic or linear"),
        ({"min_coverage": 0.0}, "min_coverage"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"grey_window": (2.0, 1.0)}, "grey window"),
        ({"threads": 0}, "threads must be >= 1"),
    ],
)
def test_options_that_break_a_rule_are_refused(affine_pair, options, rule):
    options = GRID | options if not {"pyramid", "node_spacing_vox"} & set(options) else options
    with pytest.raises(InputError, match=rule) as refused:
        dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **options)
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def stretched_pair():
    """A motion so large that nothing converges to it from rest."""
    centre = (np.array(SHAPE) - 1) / 2
    motion = twin.make_affine_motion(np.diag([1.25, 1, 1]), displacement_vox=(4, -6, 5), centre_vox=centre)
    return twin.make_speckle_pair(SHAPE, motion)


@pytest.mark.parametrize("where", [(0.0, 0.0, 0.0), (35.5, 35.0, 34.5), (70.0, 10.0, 3.0)])
def test_an_initial_phi_of_one_row_acts_about_its_own_position(stretched_pair, where):
    phi = twin.true_field(stretched_pair.field, [where]).phi
    start = DeformationField.from_phi(np.array([where]), phi)
    result = dvc.correlate_local(stretched_pair.reference, stretched_pair.deformed, **GRID, initial_phi=start)
    assert result.registration is None
    assert "registration" not in result.seconds
    inside = result.field.positions_vox[:, 0] < 50  # the upper part has left the volume
    assert result.field.converged[inside].all()
    assert result.field.iterations[inside].max() <= 4
    error = np.abs(result.field.phi - twin.true_field(stretched_pair.field, result.field.positions_vox).phi)
    assert error[inside, :3, 3].max() < 0.005


def test_a_poor_initial_phi_is_not_silently_replaced_by_a_registration(stretched_pair):
    start = DeformationField.from_phi(np.zeros((1, 3)))
    result = dvc.correlate_local(stretched_pair.reference, stretched_pair.deformed, **GRID, initial_phi=start)
    truth = twin.true_field(stretched_pair.field, result.field.positions_vox).phi
    wrong = np.abs(result.field.phi - truth)[:, :3, 3].max(axis=1) > 1
    assert wrong.any()
    assert not (wrong & result.field.trusted).any()  # and what did not converge is not believed


def test_an_initial_field_is_interpolated_from_its_trusted_nodes(stretched_pair):
    nodes = np.array([[z, y, x] for z in (20, 50) for y in (20, 50) for x in (20, 50)], dtype=float)
    truth = twin.true_field(stretched_pair.field, nodes)
    suspect = np.zeros(8, dtype=np.uint8)
    suspect[3] = 1
    phi = truth.phi.copy()
    phi[3, 0, 3] += 40  # nobody may start from this one
    start = truth.with_values(phi=phi, suspect=suspect)
    result = dvc.correlate_local(stretched_pair.reference, stretched_pair.deformed, **GRID, initial_phi=start)
    inside = result.field.positions_vox[:, 0] < 50
    assert result.registration is None
    assert result.field.converged[inside].all()
    assert result.field.iterations[inside].max() <= 4


def test_an_initial_field_without_a_finite_phi_is_refused(affine_pair):
    nothing = DeformationField.from_phi(np.zeros((2, 3)), np.full((2, 4, 4), np.nan))
    with pytest.raises(InputError, match="initial Phi must hold a finite row"):
        dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **GRID, initial_phi=nothing)
    one = DeformationField.from_phi(np.zeros((1, 3)), np.full((1, 4, 4), np.nan))
    with pytest.raises(InputError, match="initial Phi must hold a finite row"):
        dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **GRID, initial_phi=one)


class Counting:
    """A volume on a slow disk: it notes the largest block that was asked for."""

    def __init__(self, grey):
        self.grey, self.shape, self.dtype, self.largest = grey, grey.shape, grey.dtype, 0

    def __getitem__(self, block):
        values = self.grey[block]
        self.largest = max(self.largest, values.size)
        return values


def test_small_blocks_give_the_same_and_never_read_the_whole_volume(affine_pair):
    registered = dvc.register_affine(affine_pair.reference, affine_pair.deformed)
    start = DeformationField.from_phi(registered.centre_vox[None], registered.phi[None])
    volumes = [Counting(v) for v in (affine_pair.reference, affine_pair.deformed)]
    options = {"node_spacing_vox": 10, "half_window_vox": 8, "initial_phi": start}
    whole = dvc.correlate_local(affine_pair.reference, affine_pair.deformed, **options).field
    cut = dvc.correlate_local(*volumes, **options, memory_bytes=4 << 20).field
    # Windows that are worked together take their neighbours' Phi for granted, to first order: a cut changes neighbours.
    np.testing.assert_allclose(cut.phi, whole.phi, atol=1e-3)
    np.testing.assert_array_equal(cut.status, whole.status)
    for volume in volumes:
        assert volume.largest * 32 < 2 * (4 << 20) < np.prod(SHAPE) * 32


def test_a_block_that_the_window_leaves_is_read_again(stretched_pair):
    """The start is 6 voxels off, and 4 are read around the image of a window."""
    truth = twin.true_field(stretched_pair.field, [(35.5, 35.0, 34.5)])
    phi = truth.phi.copy()
    phi[0, 0, 3] += 6
    start = truth.with_values(phi=phi)
    options = {**GRID, "initial_phi": start}
    whole = dvc.correlate_local(stretched_pair.reference, stretched_pair.deformed, **options).field
    cut = dvc.correlate_local(stretched_pair.reference, stretched_pair.deformed, **options, memory_bytes=1 << 20).field
    inside = whole.positions_vox[:, 0] < 50
    assert whole.converged[inside].all()
    np.testing.assert_allclose(cut.phi[inside], whole.phi[inside], atol=1e-4)


def test_threads_do_not_change_a_byte(noisy_pair):
    options = {"node_spacing_vox": 10, "half_window_vox": 8}
    one, two = (dvc.correlate_local(noisy_pair.reference, noisy_pair.deformed, **options, threads=n) for n in (1, 2))
    assert _same(one.field, two.field)
    assert one.registration.phi.tobytes() == two.registration.phi.tobytes()


def test_progress_reaches_its_total(affine_pair):
    seen = []
    dvc.correlate_local(
        affine_pair.reference, affine_pair.deformed, **GRID, on_progress=lambda *report: seen.append(report)
    )
    assert seen[0] == ("registration", 0, 1)
    stage, done, total = seen[-1]
    assert stage == "spacing 18"
    assert done == total == 27


def test_unrelated_volumes_are_data_not_an_exception():
    random = np.random.default_rng(0)
    volumes = [random.standard_normal((40, 44, 48)).astype(np.float32) for _ in range(2)]
    field = dvc.correlate_local(*volumes, node_spacing_vox=14, half_window_vox=8).field
    assert not field.trusted.any()
    assert (field.status[field.suspect == 0] < NodeStatus.CONVERGED).all()


def test_evaluate_affine_recentres_a_registration(affine_pair):
    centre = np.array([35.0, 35.0, 34.5])
    phi = twin.true_field(affine_pair.field, centre[None]).phi[0]
    nodes = np.array([[3.0, 50.0, 20.0], [60.0, 2.0, 11.0]])
    np.testing.assert_allclose(
        evaluate_affine(phi, centre, nodes), twin.true_field(affine_pair.field, nodes).phi, atol=1e-12
    )


@pytest.mark.parametrize("options", [{"node_spacing_vox": 16.5}, {"node_spacing_vox": 16, "half_window_vox": 10.7}])
def test_lengths_that_are_no_whole_numbers_are_refused(options) -> None:
    volume = np.random.default_rng(0).random((40, 41, 42))
    with pytest.raises(InputError, match="whole number"):
        dvc.correlate_local(volume, volume, **options)


def test_the_room_lists_its_functions() -> None:
    assert {"correlate_local", "register_affine", "compute_strain"} <= set(dir(dvc))

"""How well the collector's motion is recovered, and what does not pull it."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.alignment import Alignment, find_collector, register_collector
from voltome.errors import InputError

from .foil import COPPER, SHAPE, VOXEL_M, Foil, Move, check_motion

MOVE = Move((1.3, -1.1, 0.8), (2e-3, 1.5e-3, -2e-3), 1.002)
WITHIN = (0.2, 0.25, 0.25)
POINTS = np.stack(np.meshgrid([2, 12], [0, 45, 91], [0, 52, 103], indexing="ij"), -1).reshape(-1, 3).astype(float)


def register(reference, deformed, *, voxel_size_m=VOXEL_M, **rules) -> Alignment:
    pair = tuple(find_collector(v, voxel_size_m=voxel_size_m, **rules) for v in (reference, deformed))
    return register_collector(reference, deformed, pair, voxel_size_m=voxel_size_m, **rules)


def largest(one: Alignment, other: Alignment) -> float:
    return float(np.abs(one.displace(POINTS) - other.displace(POINTS)).max())


@pytest.fixture(scope="module")
def foil():
    return Foil()


@pytest.fixture(scope="module")
def reference(foil):
    return foil.draw(noise_seed=1)


@pytest.fixture(scope="module")
def moved(foil):
    return foil.draw(MOVE, noise_seed=2)


@pytest.fixture(scope="module")
def found(reference, moved):
    return register(reference, moved)


def test_translation_rotation_and_scale_are_recovered(found):
    check_motion(found, MOVE, within_vox=WITHIN, points_vox=POINTS)
    assert found.scale == pytest.approx(1.002, abs=0.003)
    assert found.zncc > 0.9 and found.tiles >= 20


def test_a_scan_against_itself_has_not_moved(reference):
    found = register(reference, reference)
    assert np.abs(found.displace(POINTS)).max() < 1e-6
    assert found.zncc == pytest.approx(1.0)


def test_a_drift_of_many_voxels_is_followed(foil, reference):
    far = Move((3.0, 9.0, -8.0), (2e-3, 4e-3, 4e-3), 0.997)
    found = register(reference, foil.draw(far, noise_seed=2))
    check_motion(found, far, within_vox=(0.3, 0.4, 0.4), points_vox=POINTS)


def test_errors_scatter_as_their_stated_sds_over_seeds():
    z = []
    for seed in range(5):
        foil = Foil(seed)
        found = register(foil.draw(noise_seed=1), foil.draw(MOVE, noise_seed=2, swelling=0.3))
        apart = found.parameters - MOVE.parameters_at(found.centre_vox)
        z.append(apart / np.sqrt(np.diag(found.covariance)))
    assert 0.6 < np.sqrt(np.mean(np.square(z))) < 1.6
    assert np.abs(z).max() < 4.0


def test_more_noise_is_stated_as_more_error(foil, found):
    loud = register(foil.draw(noise=1600, noise_seed=1), foil.draw(MOVE, noise=1600, noise_seed=2))
    assert (np.diag(loud.covariance) > 2.0 * np.diag(found.covariance)).all()
    assert (loud.residual_vox > found.residual_vox).all()


def test_an_electrode_that_swells_and_sways_does_not_pull_the_collector(foil, reference, found):
    swollen = register(reference, foil.draw(MOVE, noise_seed=2, swelling=0.5, sway_vox=6.0))
    assert largest(swollen, found) < 0.02


def test_gain_and_offset_do_not_pull_it(foil, reference, found):
    assert largest(register(reference, foil.draw(MOVE, noise_seed=2, gain=1.2) - 3e3), found) < 0.03


def test_slow_shades_do_not_pull_it(foil, reference, found):
    """As large as the texture, over the whole field."""
    assert largest(register(reference, foil.draw(MOVE, noise_seed=2, shade=1500)), found) < 0.05


def test_rings_that_stand_still_do_not_pull_it(foil, found):
    """As large as the texture; left in, they pull by 0.8 voxel of 1.1."""
    ringed = register(foil.draw(noise_seed=1, rings=900), foil.draw(MOVE, noise_seed=2, rings=900))
    assert largest(ringed, found) < 0.12


@pytest.fixture(scope="module")
def smooth():
    """Of a foil without grains."""
    foil = Foil(grains=0.0)
    return register(foil.draw(noise_seed=1), foil.draw(MOVE, noise_seed=2, swelling=0.4))


def test_a_foil_without_texture_gives_its_normal_and_two_tilts(smooth):
    truth = MOVE.parameters_at(smooth.centre_vox)
    assert smooth.translation_vox[0] == pytest.approx(truth[0], abs=0.1)
    assert smooth.rotation_rad[1:] == pytest.approx(truth[4:6], abs=2e-3)
    sd = np.sqrt(np.diag(smooth.covariance))
    assert (np.abs(smooth.parameters - truth)[[0, 4, 5]] < 3 * sd[[0, 4, 5]]).all()
    assert sd[0] < 0.3 and (sd[4:6] < 5e-3).all()


def test_a_foil_behind_which_nothing_is_seen_has_no_texture_at_all(reference, moved):
    """One grey up to the face, as slices behind metal are shown: no rounding error is taken for texture."""
    plain = [volume.copy() for volume in (reference, moved)]
    for volume in plain:
        volume[:19] = COPPER
    found = register(*plain)
    assert found.tiles == 0
    assert found.translation_vox[0] == pytest.approx(MOVE.shift_vox[0], abs=0.6)
    assert found.scale == 1.0


def test_what_such_a_foil_does_not_fix_has_the_errors_of_an_instruments_drift(smooth):
    sd = np.sqrt(np.diag(smooth.covariance))
    assert smooth.tiles == 0 and np.isnan(smooth.zncc)
    assert sd[1:3] * VOXEL_M == pytest.approx([10e-6] * 2)
    assert sd[3] == pytest.approx(5e-3) and sd[6] == pytest.approx(3e-3)
    assert smooth.parameters[[1, 2, 3, 6]] == pytest.approx([0, 0, 0, 0])


def test_a_collector_at_high_z_moves_as_its_mirror_image_does(reference, moved, found):
    mirrored = register(reference[::-1], moved[::-1], collector_side="high-z")
    there = POINTS.copy()
    there[:, 0] = SHAPE[0] - 1 - there[:, 0]
    assert mirrored.displace(there) * [-1, 1, 1] == pytest.approx(found.displace(POINTS), abs=1e-6)
    assert np.diagonal(mirrored.displacement_covariance(there), axis1=1, axis2=2) == pytest.approx(
        np.diagonal(found.displacement_covariance(POINTS), axis1=1, axis2=2), rel=1e-6
    )


def test_an_inverted_polarity_gives_the_same_motion(reference, moved, found):
    pair = tuple(find_collector(45e3 - v, voxel_size_m=VOXEL_M, darker=False) for v in (reference, moved))
    inverted = register_collector(45e3 - reference, 45e3 - moved, pair, voxel_size_m=VOXEL_M)
    assert largest(inverted, found) < 1e-3


def test_a_reduced_volume_agrees_within_its_errors():
    foil, shape = Foil(3), (70, 60, 66)
    fine = [foil.draw(move, refine=2, shape=shape, noise_seed=k) for k, move in ((1, None), (2, MOVE))]
    coarse = [v.reshape(70, 2, 60, 2, 66, 2).mean(axis=(1, 3, 5)) for v in fine]
    full, half = (register(*pair, voxel_size_m=VOXEL_M / 2, reduction=k) for pair, k in ((fine, 1), (coarse, 2)))
    at = np.array([[20.0, 30, 30], [20, 100, 110], [5, 60, 66]])
    apart = full.displace(at) - half.displace(at)
    sd = np.sqrt(np.diagonal(half.displacement_covariance(at), axis1=1, axis2=2))
    assert (np.abs(apart) < 3 * sd).all()
    assert np.abs(apart).max() < 0.5
    truth = 2 * (MOVE.forth((at - 0.5) / 2) - (at - 0.5) / 2)
    assert (np.abs(half.displace(at) - truth) < 4 * sd).all()


def test_volumes_of_other_shapes_are_refused(reference):
    pair = (find_collector(reference, voxel_size_m=VOXEL_M),) * 2
    with pytest.raises(InputError, match="same shape"):
        register_collector(reference, reference[:, :-1], pair, voxel_size_m=VOXEL_M)


def test_a_collector_whose_texture_is_mostly_gone_is_refused(foil, reference):
    pair = (find_collector(reference, voxel_size_m=VOXEL_M),) * 2
    other = Foil(grains=0.0).draw(noise_seed=2)
    other[:, :, :36] = foil.draw(noise_seed=2)[:, :, :36]
    with pytest.raises(InputError, match="leaves the field of view") as caught:
        register_collector(reference, other, pair, voxel_size_m=VOXEL_M)
    assert "\n" not in str(caught.value)


def test_a_drift_by_half_of_the_field_leaves_too_little_texture_and_says_so(foil, reference):
    found = register(reference, foil.draw(Move((0.5, 44.0, 0.0)), noise_seed=2))
    assert found.tiles == 0
    assert found.translation_vox[0] == pytest.approx(0.5, abs=0.15)
    assert np.sqrt(np.diag(found.covariance))[1:3] * VOXEL_M == pytest.approx([10e-6] * 2)

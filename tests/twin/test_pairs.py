"""Speckle pairs: sampled from the object, noise as asked, the same bytes on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.twin import (
    SpeckleTexture,
    make_jump_motion,
    make_rigid_motion,
    make_smooth_motion,
    make_speckle_pair,
)

SHAPE = (52, 40, 61)
STILL = make_rigid_motion()


def test_rigid_integer_shift_gives_the_shifted_volume() -> None:
    pair = make_speckle_pair(SHAPE, make_rigid_motion(displacement_vox=(3, -2, 5)))
    np.testing.assert_allclose(pair.deformed[3:, :-2, 5:], pair.reference[:-3, 2:, :-5], rtol=1e-6)
    assert pair.reference.dtype == pair.deformed.dtype == np.float32


def test_deformed_volume_shows_each_material_point_where_it_arrives() -> None:
    motion = make_smooth_motion(SHAPE, strain=0.04, swelling=0.1, seed=2)
    pair = make_speckle_pair(SHAPE, motion, seed=9)
    voxels = np.array([[10, 12, 50], [30, 20, 30], [51, 39, 60]])
    grey = SpeckleTexture(9).evaluate(motion.inverse(voxels))
    np.testing.assert_allclose(pair.deformed[tuple(voxels.T)], grey, rtol=1e-6)


def test_same_seed_gives_the_same_bytes_on_one_and_two_threads() -> None:
    motion = make_smooth_motion(SHAPE, seed=2)
    one, two, other = (
        make_speckle_pair(SHAPE, motion, seed=seed, noise=0.05, noise_correlation_vox=1.0, threads=threads)
        for seed, threads in ((7, 1), (7, 2), (8, 2))
    )
    assert one.reference.tobytes() == two.reference.tobytes()
    assert one.deformed.tobytes() == two.deformed.tobytes()
    assert one.reference.tobytes() != other.reference.tobytes()


@pytest.mark.parametrize("correlation", [0.0, 1.5])
def test_noise_has_the_level_and_correlation_asked_for(correlation: float) -> None:
    clean = make_speckle_pair(SHAPE, STILL)
    noisy = make_speckle_pair(SHAPE, STILL, noise=0.1, noise_correlation_vox=correlation)
    noise = noisy.reference - clean.reference
    other = noisy.deformed - clean.deformed
    assert noise.std() == pytest.approx(0.1 * clean.reference.std(), rel=0.02)
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.05
    neighbour = np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]
    expected = np.exp(-1 / (4 * correlation**2)) if correlation else 0.0
    assert neighbour == pytest.approx(expected, abs=0.03)


def test_gain_and_offset_change_the_deformed_volume_only() -> None:
    plain = make_speckle_pair(SHAPE, STILL)
    changed = make_speckle_pair(SHAPE, STILL, gain=1.5, offset=-0.3)
    np.testing.assert_array_equal(changed.reference, plain.reference)
    np.testing.assert_allclose(changed.deformed, 1.5 * plain.deformed - 0.3, atol=1e-6)


def test_open_crack_is_dark() -> None:
    crack = make_jump_motion((4, 0, 0), point_vox=(26, 0, 10), taper_vox=15)
    pair = make_speckle_pair(SHAPE, crack)
    assert (pair.deformed[27:30, :, 30:] == 0).all()
    assert (pair.deformed[:25] > 0).all()
    np.testing.assert_allclose(pair.deformed[31:, :, 30:], pair.reference[27:-4, :, 30:], rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((10, 10), {}, "three positive numbers"),
        ((10, 0, 10), {}, "three positive numbers"),
        ((10, 10, 10), {"noise": -0.1}, "must be >= 0"),
    ],
)
def test_impossible_pair_is_refused(shape: tuple[int, ...], options: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_speckle_pair(shape, STILL, **options)

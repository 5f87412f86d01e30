"""The speckle object: a function of position alone, with the grey statistics it promises."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.twin import SpeckleTexture


def plain_sum(texture: SpeckleTexture, points: np.ndarray) -> np.ndarray:
    """The definition: every blob near the points, added up without cells."""
    blobs = texture._blobs(points.min(axis=0), points.max(axis=0))
    r2 = np.square(points[:, None, :] - blobs[None, :, :3]).sum(axis=2)
    return 1 + 0.2 * (blobs[:, 4] * np.clip(1 - r2 / blobs[:, 3] ** 2, 0, None) ** 4).sum(axis=1)


def test_cell_lists_give_the_plain_sum_of_all_blobs() -> None:
    texture = SpeckleTexture(4)
    points = np.random.default_rng(0).uniform(-15, 12, (300, 3))
    np.testing.assert_allclose(texture.evaluate(points), plain_sum(texture, points), rtol=1e-12)


def test_value_depends_on_position_alone_not_on_what_is_asked_beside_it() -> None:
    texture = SpeckleTexture(4)
    points = np.random.default_rng(1).uniform(-100, 200, (500, 3))
    together = texture.evaluate(points)
    one_by_one = np.array([texture.evaluate(point[None])[0] for point in points])
    np.testing.assert_array_equal(together, one_by_one)


def test_grey_values_have_the_stated_mean_and_contrast() -> None:
    values = SpeckleTexture(2).evaluate(np.random.default_rng(2).uniform(0, 150, (40000, 3)))
    assert values.mean() == pytest.approx(1.0, abs=0.01)
    assert values.std() == pytest.approx(0.2, rel=0.05)


def test_texture_is_smooth_enough_to_be_sampled() -> None:
    line = np.zeros((2048, 3))
    line[:, 2] = np.arange(2048)
    power = np.abs(np.fft.rfft(SpeckleTexture(3).evaluate(line) - 1)) ** 2
    assert power[len(power) // 2 :].sum() / power.sum() < 2e-3  # next to nothing in the upper half of the band


def test_another_seed_is_another_object_and_empty_space_is_dark() -> None:
    points = np.array([[5.0, 6.0, 7.0], [np.nan] * 3])
    assert SpeckleTexture(1).evaluate(points)[0] != SpeckleTexture(2).evaluate(points)[0]
    assert SpeckleTexture(1).evaluate(points)[1] == 0


def test_sharpening_makes_two_phases() -> None:
    points = np.random.default_rng(2).uniform(0, 100, (5000, 3))
    values = SpeckleTexture(2, sharpness=3.0).evaluate(points)
    assert np.mean(np.abs(values - 1) > 0.15) > 0.6
    assert np.abs(values - 1).max() <= 0.2


def test_widths_below_half_a_voxel_are_refused() -> None:
    with pytest.raises(InputError, match=r"widths_vox must be >= 0\.5"):
        SpeckleTexture(0, widths_vox=(0.2,))

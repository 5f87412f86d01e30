"""Noise that windows have in common."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc
from voltome.dvc.window_noise import WindowGroup, correlate_noise, window_length

LENGTH = np.array([21.0, 15.0, 31.0])


def apart(offset, length=LENGTH):
    return WindowGroup([np.ones((1, 1))] * 3, [np.full((1, 1), float(value)) for value in offset], length)


def test_the_window_is_found_in_the_covariance(noisy_pair):
    for half_window in (8, 12):
        field = dvc.correlate_local(
            noisy_pair.reference, noisy_pair.deformed, node_spacing_vox=18, half_window_vox=half_window
        ).field
        np.testing.assert_allclose(window_length(field.covariance), 2 * half_window + 1, rtol=0.06)


def test_without_a_covariance_the_window_is_one_voxel():
    assert window_length(np.full((4, 12, 12), np.nan)).tolist() == [1, 1, 1]
    assert window_length(np.zeros((4, 12, 12))).tolist() == [1, 1, 1]


def test_one_window_is_all_correlated_with_itself():
    one = WindowGroup.single(3, LENGTH)
    np.testing.assert_allclose(correlate_noise(one, one), np.tile(np.eye(12), (3, 1, 1)), atol=1e-12)


@pytest.mark.parametrize("offset", [(21, 0, 0), (0, -16, 0), (3, 2, 40)])
def test_windows_apart_share_nothing(offset):
    assert np.abs(correlate_noise(WindowGroup.single(1, LENGTH), apart(offset))).max() < 1e-12


def test_overlap_is_that_of_sums_over_voxels():
    """Fits to one noise image in windows of other sides and places, by their basis functions voxel by voxel."""
    sides, offset = (np.array([40.0, 30.0, 20.0]), np.array([24.0, 40.0, 30.0])), np.array([7.0, -6.0, 9.0])
    axis = np.arange(-40, 40) + 0.5
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    functions = []
    for side, centre in zip(sides, (np.zeros(3), offset), strict=True):
        arm = points - centre
        inside = (np.abs(arm) < side / 2).all(axis=-1)
        columns = np.concatenate([arm * np.sqrt(12) / side, np.ones((*arm.shape[:3], 1))], axis=-1)
        functions.append((columns * inside[..., None]).reshape(-1, 4) / np.sqrt(side.prod()))
    expected = functions[0].T @ functions[1]
    found = correlate_noise(WindowGroup.single(1, sides[0]), apart(offset, sides[1]))[0]
    np.testing.assert_allclose(found, np.kron(np.eye(3), expected), atol=0.003)

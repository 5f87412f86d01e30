"""Line integrals through slices, against balls and blobs whose integrals are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from voltome.errors import InputError
from voltome.twin.projection import Projector

SHAPE = (46, 51)
COLUMNS = 56
ANGLES = np.array([0.0, 0.4, np.pi / 2, 2.2, 3.0])


def blurred_ball(z: float, radius: float, sigma: float) -> np.ndarray:
    """A ball about the centre of the slices, blurred by a Gaussian, at height z: in closed form."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    r = np.maximum(np.sqrt(z * z + y[:, None] ** 2 + x**2), 1e-9)
    near, far = (radius - r) / sigma, (radius + r) / sigma
    edges = (np.exp(-(near**2) / 2) - np.exp(-(far**2) / 2)) * sigma / (r * np.sqrt(2 * np.pi))
    return (0.5 * (erf(near / np.sqrt(2)) + erf(far / np.sqrt(2))) - edges).astype(np.float32)


def blurred_chord(heights: np.ndarray, radius: float, sigma: float) -> np.ndarray:
    """Chords of the ball at heights and all columns, blurred as the ball is: by quadrature on a fine grid."""
    fine, reach = 10, 24
    axis = np.arange(-reach * fine, reach * fine + 1) / fine
    chord = 2 * np.sqrt(np.maximum(radius**2 - axis[:, None] ** 2 - axis**2, 0))
    chord = gaussian_filter(chord, sigma * fine, truncate=6)
    u = np.arange(COLUMNS) - (COLUMNS - 1) / 2
    rows = [np.interp(u, axis, chord[round((height + reach) * fine)], left=0, right=0) for height in heights]
    return np.array(rows)


def test_a_ball_projects_to_its_chord() -> None:
    radius, sigma = 12.0, 1.0
    heights = np.array([0.0, 3.5, 8.0, 11.0])
    planes = np.stack([blurred_ball(z, radius, sigma) for z in heights])
    projector = Projector(SHAPE, 40.0, COLUMNS, ANGLES)
    lines = np.concatenate([projector.project(planes[:2]), projector.project(planes[2:])])
    expected = blurred_chord(heights, radius, sigma)
    assert expected.max() == pytest.approx(2 * radius, rel=0.01)
    for angle in range(len(ANGLES)):
        np.testing.assert_allclose(lines[:, angle], expected, atol=2e-3 * radius)


def test_a_blob_beside_the_axis_projects_to_where_the_geometry_says() -> None:
    sigma, y0, x0 = 1.7, -4.25, 9.5
    y, x = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    plane = np.exp(-((y[:, None] - y0) ** 2 + (x - x0) ** 2) / (2 * sigma**2)).astype(np.float32)
    lines = Projector(SHAPE, 40.0, COLUMNS, ANGLES).project(plane[None])[0]
    u = np.arange(COLUMNS) - (COLUMNS - 1) / 2
    for line, angle in zip(lines, ANGLES, strict=True):
        middle = x0 * np.cos(angle) + y0 * np.sin(angle)
        expected = sigma * np.sqrt(2 * np.pi) * np.exp(-((u - middle) ** 2) / (2 * sigma**2))
        np.testing.assert_allclose(line, expected, atol=2e-3)


def test_an_even_plane_is_continued_as_a_disc_wider_than_itself() -> None:
    diameter, columns = 100.0, 108
    lines = Projector(SHAPE, diameter, columns, ANGLES).project(np.ones((1, *SHAPE), np.float32))[0]
    # half of the soft edge, a twentieth of the radius, belongs to the disc
    assert lines[:, columns // 2] == pytest.approx(diameter * 0.975, rel=2e-3)
    np.testing.assert_allclose(lines[:, [0, -1]], 0, atol=0.2)


def test_planes_are_continued_by_their_mirror_images() -> None:
    plane = np.zeros((1, *SHAPE), np.float32)
    plane[0, 20:26, -3:] = 1  # at the edge: its mirror image touches it
    line = Projector(SHAPE, 80.0, 90, np.zeros(1)).project(plane)[0, 0]
    u = np.arange(90) - 89 / 2
    assert line.sum() == pytest.approx(36, rel=0.01)
    assert (line * u).sum() / line.sum() == pytest.approx(SHAPE[1] / 2, abs=0.05)


def test_two_planes_at_once_are_each_by_itself() -> None:
    random = np.random.default_rng(3)
    planes = random.uniform(0, 6, (2, *SHAPE)).astype(np.float32)
    projector = Projector(SHAPE, 50.0, COLUMNS, ANGLES)
    both = projector.project(planes)
    alone = np.concatenate([projector.project(plane[None]) for plane in planes])
    np.testing.assert_allclose(both, alone, atol=1e-4 * np.abs(alone).max())


def test_columns_that_do_not_hold_the_sample_are_refused() -> None:
    with pytest.raises(InputError, match=r"columns must be >= the sample's diameter, 60 voxels \(got 56\)"):
        Projector(SHAPE, 60.0, COLUMNS, ANGLES)

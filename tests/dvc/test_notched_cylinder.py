"""A measured pair: a notched cylinder before and after a crack has run through it (skipped where it is absent)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from voltome import dvc, io

AXIS_VOX = 110  # of the cylinder, along y and x
NOTCH_VOX = 140


@pytest.fixture(scope="module")
def volumes(notched_cylinder):
    return tuple(io.read_volume(path) for path in notched_cylinder)


@pytest.fixture(scope="module")
def result(volumes):
    return dvc.correlate_local(*volumes, node_spacing_vox=24, half_window_vox=16)


@pytest.fixture(scope="module")
def crack(volumes):
    """Points of the crack (N, 3): the largest thin dark thing inside the deformed cylinder."""
    z, y, x = (n // 2 for n in volumes[1].shape)
    half = volumes[1][: 2 * z, : 2 * y, : 2 * x].reshape(z, 2, y, 2, x, 2).mean(axis=(1, 3, 5), dtype=np.float32)
    thin = ndimage.black_tophat(ndimage.gaussian_filter(half, 1.0), size=9) > 3
    z, y, x = np.indices(half.shape, sparse=True)
    labels, _ = ndimage.label(thin & ((y - 55) ** 2 + (x - 55) ** 2 < 44**2) & (z < 130))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.argwhere(labels == sizes.argmax()) * 2 + 0.5


def _radius(field):
    return np.hypot(*(field.positions_vox[:, 1:] - AXIS_VOX).T)


def test_away_from_the_notch_there_is_magnification_and_no_shear(result):
    field = result.field
    above = (_radius(field) < 80) & (field.positions_vox[:, 0] < NOTCH_VOX - 24)
    strain = dvc.compute_strain(dvc.fill_field(field), measure="small").strain[above]
    assert above.sum() > 100
    assert field.trusted[above].mean() > 0.98
    for axis in range(3):
        assert np.median(strain[:, axis, axis]) == pytest.approx(0.003, abs=0.001)
        assert np.ptp(np.median(strain, axis=0).diagonal()) < 5e-4  # isotropic
    for row, column in ((0, 1), (0, 2), (1, 2)):
        assert np.median(np.abs(strain[:, row, column])) < 1e-3


def test_nodes_on_the_crack_are_suspect_and_those_away_from_it_are_not(result, crack):
    field = result.field
    arrived = field.positions_vox + field.displacement_vox
    inside = (_radius(field) < 85) & (np.abs(field.positions_vox[:, 0] - 192) < 45)
    distance = cKDTree(crack).query(arrived)[0]
    across, away = inside & (distance < 8), inside & (distance > 24)
    assert across.sum() > 10 and away.sum() > 50
    assert field.suspect[across].mean() > 0.9
    assert field.trusted[away].mean() > 0.9
    assert result.suspects["jump"] > 10


def test_the_result_is_unmoved_by_the_grey_gain(volumes):
    part = (slice(90, 200), slice(20, 130), slice(20, 130))  # with notch and crack
    options = {"node_spacing_vox": 24, "half_window_vox": 16}
    plain = dvc.correlate_local(volumes[0][part], volumes[1][part], **options).field
    other = dvc.correlate_local(volumes[0][part], volumes[1][part] * np.float32(0.5), **options).field
    assert plain.trusted.sum() > 20
    np.testing.assert_array_equal(other.status, plain.status)
    np.testing.assert_array_equal(other.suspect, plain.suspect)
    np.testing.assert_allclose(other.phi[plain.trusted], plain.phi[plain.trusted], atol=1e-4)

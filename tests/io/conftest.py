"""A field and its strain with every kind of value, NaN included; not cubic, seeded."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.fields import DeformationField, StrainField
from voltome.frames import DARK, FLAT, PROJECTION, UNUSED
from voltome.grid import regular_nodes
from voltome.io import write_nxtomo
from voltome.optics import Geometry, find_wavelength


def _make_field(*, scattered: bool = False, shape=(60, 50, 41)) -> DeformationField:
    rng = np.random.default_rng(11)
    positions, grid_shape = regular_nodes(shape, 10)
    if scattered:
        positions, grid_shape = rng.random((23, 3)) * 50, None
    n = len(positions)
    phi = np.tile(np.eye(4), (n, 1, 1))
    phi[:, :3] += 0.1 * rng.standard_normal((n, 3, 4))
    phi[3, :3] = np.nan
    factors = rng.standard_normal((n, 12, 12))
    covariance = (factors @ factors.transpose(0, 2, 1)).astype(np.float32)
    covariance[3] = np.nan
    return DeformationField.from_phi(positions, phi, grid_shape=grid_shape).with_values(
        status=rng.integers(-7, 3, n).astype(np.int32),
        iterations=rng.integers(0, 50, n).astype(np.int32),
        residual=rng.random(n),
        delta_phi_norm=rng.random(n),
        zncc=np.where(rng.random(n) < 0.2, np.nan, rng.random(n)),
        suspect=rng.integers(0, 2, n).astype(np.uint8),
        filled=rng.integers(0, 2, n).astype(np.uint8),
        covariance=covariance,
    )


def _make_strain(field: DeformationField, *, cells: bool = False) -> StrainField:
    rng = np.random.default_rng(12)
    positions, grid_shape = field.positions_vox, field.grid_shape
    if cells:
        grid = positions.reshape(*grid_shape, 3)
        centres = (grid[1:, 1:, 1:] + grid[:-1, :-1, :-1]) / 2
        positions, grid_shape = centres.reshape(-1, 3), centres.shape[:3]
    n = len(positions)
    tensors = [rng.random((n, 3, 3)) for _ in range(4)]
    scalars = [rng.random(n) for _ in range(3)]
    sd = rng.random((n, 3, 3)), rng.random(n)
    return StrainField(positions, grid_shape, "green-lagrange", *tensors, *scalars, *sd)


def _assert_same_field(left: DeformationField, right: DeformationField, *, covariance: bool = True) -> None:
    assert left.grid_shape == right.grid_shape
    for name in left.__dataclass_fields__:
        if name == "grid_shape" or (name == "covariance" and not covariance):
            continue
        assert getattr(left, name).dtype == getattr(right, name).dtype, name
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)


@pytest.fixture
def make_field():
    return _make_field


@pytest.fixture
def make_strain():
    return _make_strain


@pytest.fixture
def assert_same_field():
    return _assert_same_field


class _Radiographs:
    """Frames of one distance: 2 darks, 2 flats, 20 projections over half a turn, an alignment frame, 2 flats."""

    def __init__(self, *, sample_detector_m: float = 0.6, seed: int = 3) -> None:
        self.kinds = np.array([DARK] * 2 + [FLAT] * 2 + [PROJECTION] * 20 + [UNUSED] + [FLAT] * 2, dtype=np.uint8)
        rng = np.random.default_rng(seed)
        brightness = np.array([900, 4000, 100, 900])[self.kinds][:, None, None]
        self.frames = (brightness + rng.integers(0, 50, (self.kinds.size, 5, 7))).astype(np.uint16)
        self.angles_rad = np.zeros(self.kinds.size)
        self.angles_rad[self.kinds == PROJECTION] = np.pi / 20 * np.arange(20)
        self.geometry = Geometry(find_wavelength(29.6), 0.05, sample_detector_m, 0.65e-6)

    def write(self, path, **changes):
        values = {"kinds": self.kinds, "angles_rad": self.angles_rad, "geometry": self.geometry} | changes
        write_nxtomo(path, [self.frames], **values)
        return path


@pytest.fixture
def make_radiographs():
    return _Radiographs

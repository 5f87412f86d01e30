"""Volumes deformed by a field on disk, and residuals of a pair."""

from __future__ import annotations

import numpy as np
import pytest

from voltome import dvc, io, twin
from voltome.errors import InputError
from voltome.grid import regular_nodes
from voltome.pipeline.deform import deform_volume, write_residual

SHAPE = (40, 36, 44)
MOTION = twin.make_affine_motion(np.diag([1.03, 0.98, 1.0]), displacement_vox=(0.8, -0.6, 1.2))


@pytest.fixture(scope="module")
def pair():
    return twin.make_speckle_pair(SHAPE, MOTION, noise=0.02, gain=0.5, offset=1.0)


@pytest.fixture
def files(pair, tmp_path):
    nodes, grid_shape = regular_nodes(SHAPE, 10)
    io.write_phi_tsv(tmp_path / "phi.tsv", twin.true_field(MOTION, nodes, grid_shape=grid_shape))
    io.write_volume(tmp_path / "a.tif", pair.reference, voxel_size_m=5e-8)
    io.write_volume(tmp_path / "b.tif", pair.deformed, voxel_size_m=5e-8)
    return tmp_path


@pytest.mark.parametrize("target", ["out.tif", "out.h5::/deformed", "out.zarr"])
def test_the_deformed_reference_is_written_in_any_format(pair, files, target):
    seen = []
    deform_volume(
        files / "a.tif", files / "phi.tsv", f"{files}/{target}", on_progress=lambda *report: seen.append(report)
    )
    expected = dvc.deform_volume(pair.reference, io.read_phi_tsv(files / "phi.tsv"))
    with io.open_volume(f"{files}/{target}") as volume:
        assert volume.dtype == np.float32
        assert volume.voxel_size_m == 5e-8
        np.testing.assert_allclose(volume[:, :, :], expected, atol=2e-4)
    stage, done, total = seen[-1]
    assert (stage, done) == ("deform", total)


def test_the_residual_is_small_and_in_the_references_grey_values(pair, files):
    write_residual(files / "a.tif", files / "b.tif", files / "phi.tsv", files / "residual.tif", threads=2)
    residual = io.read_volume(files / "residual.tif")
    inner = (slice(6, -6),) * 3
    assert residual[inner].std() < 0.06 * pair.reference.std()
    assert abs(residual[inner].mean()) < 0.01 * pair.reference.mean()


def test_an_existing_volume_is_kept_without_overwrite(files):
    (files / "out.tif").write_text("precious")
    with pytest.raises(InputError, match="already exists"):
        deform_volume(files / "a.tif", files / "phi.tsv", files / "out.tif")
    assert (files / "out.tif").read_text() == "precious"
    deform_volume(files / "a.tif", files / "phi.tsv", files / "out.tif", overwrite=True)
    assert io.read_volume(files / "out.tif").shape == SHAPE


def test_a_field_without_a_finite_phi_writes_nothing(files):
    field = io.read_phi_tsv(files / "phi.tsv")
    io.write_phi_tsv(files / "nan.tsv", field.with_values(phi=np.full_like(field.phi, np.nan)))
    before = sorted(files.iterdir())
    with pytest.raises(InputError, match="no finite Phi"):
        deform_volume(files / "a.tif", files / "nan.tsv", files / "out.tif")
    with pytest.raises(InputError, match="no finite Phi"):
        write_residual(files / "a.tif", files / "b.tif", files / "nan.tsv", files / "out.tif")
    assert sorted(files.iterdir()) == before


def test_no_volume_replaces_one_that_is_being_read(files):
    grey = io.read_volume(files / "a.tif")
    with pytest.raises(InputError):
        write_residual(files / "a.tif", files / "b.tif", files / "phi.tsv", files / "a.tif")
    np.testing.assert_array_equal(io.read_volume(files / "a.tif"), grey)

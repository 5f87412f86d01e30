"""Fields as xarray Datasets."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from voltome.errors import InputError
from voltome.fields import PARAMETERS
from voltome.io import read_field_zarr, write_field_zarr


def opened(path):
    return xr.open_dataset(path, engine="zarr", consolidated=False)


@pytest.mark.parametrize("scattered", [False, True])
def test_a_field_reads_back_the_same(make_field, make_strain, assert_same_field, scattered, tmp_path):
    field = make_field(scattered=scattered)
    write_field_zarr(tmp_path / "a.zarr", field)
    assert_same_field(field, read_field_zarr(tmp_path / "a.zarr"))
    write_field_zarr(tmp_path / "b.zarr", field, strain=make_strain(field), voxel_size_m=5e-8)
    assert_same_field(field, read_field_zarr(tmp_path / "b.zarr"))


def test_nodes_are_coordinates_in_voxels(make_field, tmp_path):
    field = make_field()
    write_field_zarr(tmp_path / "a.zarr", field, voxel_size_m=5e-8, attributes={"step": "dvc", "sd": np.float64("nan")})
    with opened(tmp_path / "a.zarr") as dataset:
        assert dict(dataset.sizes) | {"z": 5, "y": 4, "x": 4} == dict(dataset.sizes)
        assert dataset["z"].values.tolist() == [10, 20, 30, 40, 50]
        assert dataset["z"].attrs["units"] == "voxel"
        node = dataset.sel(z=20, y=30, x=40)
        index = int(np.flatnonzero((field.positions_vox == [20, 30, 40]).all(axis=1))[0])
        np.testing.assert_array_equal(node["displacement_vox"], field.displacement_vox[index])
        np.testing.assert_array_equal(node["sd"], field.sd[index])
        assert dataset["displacement_vox"].attrs["units"] == "voxel"
        assert dataset.attrs["parameters_order"] == list(PARAMETERS)
        assert (dataset.attrs["voxel_size_m"], dataset.attrs["step"], dataset.attrs["sd"]) == (5e-8, "dvc", None)


def test_strain_of_cells_has_dimensions_of_its_own(make_field, make_strain, tmp_path):
    field = make_field()
    strain = make_strain(field, cells=True)
    write_field_zarr(tmp_path / "a.zarr", field, strain=strain)
    with opened(tmp_path / "a.zarr") as dataset:
        assert dataset["strain"].dims[:3] == ("z_cell", "y_cell", "x_cell")
        np.testing.assert_array_equal(dataset["strain"].values.reshape(-1, 3, 3), strain.strain)
        np.testing.assert_array_equal(dataset["strain_volumetric"].values.ravel(), strain.volumetric)
        assert dataset["z_cell"].values.tolist() == [15, 25, 35, 45]
        assert dataset.attrs["strain_measure"] == "green-lagrange"


def test_the_same_field_gives_the_same_bytes(make_field, make_strain, tmp_path):
    field = make_field()
    for run in "ab":
        write_field_zarr(tmp_path / run, field, strain=make_strain(field), attributes={"b": 1, "a": [2]})
    files = [{str(file.relative_to(tmp_path / run)): file.read_bytes() for file in (tmp_path / run).rglob("*")
              if file.is_file()} for run in "ab"]  # fmt: skip
    assert files[0] == files[1]
    assert len(files[0]) > 20


def test_what_is_no_field_is_one_line(make_field, tmp_path):
    xr.Dataset({"other": (("z", "y", "x"), np.zeros((2, 3, 4)))}).to_zarr(
        tmp_path / "other.zarr", zarr_format=3, consolidated=False
    )
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{")
    (tmp_path / "empty.zarr").mkdir()
    for name in ("other.zarr", "broken.zarr", "empty.zarr", "missing.zarr"):
        with pytest.raises(InputError, match=name) as caught:
            read_field_zarr(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_overwrite_replaces_the_store(make_field, tmp_path):
    write_field_zarr(tmp_path / "a.zarr", make_field())
    with pytest.raises(InputError, match="exists"):
        write_field_zarr(tmp_path / "a.zarr", make_field(scattered=True))
    write_field_zarr(tmp_path / "a.zarr", make_field(scattered=True), overwrite=True)
    assert read_field_zarr(tmp_path / "a.zarr").grid_shape is None

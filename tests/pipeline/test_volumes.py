"""Conversion and description of volumes."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from voltome.errors import InputError
from voltome.io import open_volume, read_volume, write_volume
from voltome.pipeline import volumes
from voltome.pipeline.volumes import convert_volume, describe_volume

GREY = np.random.default_rng(9).integers(0, 60000, (9, 14, 21), dtype=np.uint16)


@pytest.fixture
def stack(tmp_path):
    write_volume(tmp_path / "grey.tif", GREY, voxel_size_m=5e-8)
    return tmp_path / "grey.tif"


@pytest.mark.parametrize("target", ["b.tif", "b.h5::/x/y", "b.npy", "b.raw", "b.zarr", "slices", "slices/"])
def test_voxels_type_and_voxel_size_survive(stack, target, tmp_path):
    seen = []
    convert_volume(stack, f"{tmp_path}/{target}", on_progress=lambda done, total: seen.append((done, total)))
    with open_volume(f"{tmp_path}/{target}") as volume:
        np.testing.assert_array_equal(volume[:, :, :], GREY)
        assert volume.dtype == GREY.dtype
        assert volume.voxel_size_m == (None if target == "b.npy" else 5e-8)
    assert seen[-1][0] == seen[-1][1]


def test_a_raw_file_is_converted_with_shape_and_type(tmp_path):
    GREY.astype(">u2").tofile(tmp_path / "a.bin")
    convert_volume(tmp_path / "a.bin", tmp_path / "b.tif", shape=GREY.shape, dtype=">u2", voxel_size_m=1e-6)
    with open_volume(tmp_path / "b.tif") as volume:
        assert volume.voxel_size_m == 1e-6
        np.testing.assert_array_equal(volume[:, :, :], GREY)


def test_a_source_is_never_replaced_by_itself(stack, tmp_path):
    (tmp_path / "link.tif").symlink_to(stack)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "in_0000.tif", GREY)
    for source, target in ((stack, stack), (stack, tmp_path / "link.tif"), (tmp_path / "link.tif", stack),
                           (tmp_path / "in" / "in_0000.tif", f"{tmp_path}/in/")):  # fmt: skip
        with pytest.raises(InputError, match="would replace"):
            convert_volume(source, target, overwrite=True)
    np.testing.assert_array_equal(read_volume(stack), GREY)


def test_a_bad_source_leaves_no_target(tmp_path):
    (tmp_path / "a.tif").write_text("text")
    with pytest.raises(InputError, match="not a TIFF"):
        convert_volume(tmp_path / "a.tif", tmp_path / "deep" / "b.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_description_of_a_whole_volume(stack):
    seen = []
    described = describe_volume(stack, on_progress=lambda done, total: seen.append((done, total)))
    assert described == {
        "path": str(stack),
        "format": "tiff",
        "shape": [9, 14, 21],
        "dtype": "uint16",
        "voxel_size_m": 5e-8,
        "field_of_view_m": pytest.approx([4.5e-7, 7e-7, 1.05e-6]),
        "size_on_disk_bytes": stack.stat().st_size,
        "minimum": GREY.min(),
        "maximum": GREY.max(),
        "mean": pytest.approx(GREY.mean()),
        "nan_voxels": 0,
        "values_from": "the whole volume",
    }
    assert seen[-1] == (9, 9)


def test_nan_is_counted_and_left_out(tmp_path):
    values = GREY.astype(np.float32)
    values[2, :3, 4] = np.nan
    np.save(tmp_path / "a.npy", values)
    described = describe_volume(tmp_path / "a.npy")
    assert described["nan_voxels"] == 3
    assert (described["minimum"], described["maximum"]) == (np.nanmin(values), np.nanmax(values))
    assert described["mean"] == pytest.approx(np.nanmean(values.astype(np.float64)))
    np.save(tmp_path / "b.npy", np.full((2, 3, 4), np.nan))
    described = describe_volume(tmp_path / "b.npy")
    assert (described["nan_voxels"], described["minimum"], described["mean"]) == (24, None, None)


def test_a_large_volume_is_sampled_from_end_to_end(stack, monkeypatch):
    monkeypatch.setattr(volumes, "_SAMPLE_BYTES", 3 * GREY[0].nbytes)  # "large" without the gigabytes
    described = describe_volume(stack)
    assert described["values_from"] == "3 of 9 slices"
    assert described["mean"] == pytest.approx(GREY[[0, 4, 8]].mean())


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path):
    write_volume(tmp_path / "a.zarr", GREY)
    files = [file for file in (tmp_path / "a.zarr").rglob("*") if file.is_file()]
    assert describe_volume(tmp_path / "a.zarr")["size_on_disk_bytes"] == sum(file.stat().st_size for file in files)

"""Every bad file is one line that names it."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from voltome.errors import InputError, ResourceError
from voltome.io import open_volume, write_volume

GREY = np.random.default_rng(4).integers(0, 60000, (9, 30, 40), dtype=np.uint16)


def check_refused(path, **options) -> str:
    with pytest.raises(InputError) as caught:
        open_volume(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert ": " in text
    assert str(path).split("::")[0].rstrip("/") in text
    return text


def test_missing_file(tmp_path):
    assert "does not exist" in check_refused(tmp_path / "nothing.tif")


def test_unknown_suffix(tmp_path):
    (tmp_path / "scan.docx").write_bytes(b"x")
    assert "known suffix" in check_refused(tmp_path / "scan.docx")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (GREY[0], "two-dimensional"),
        (GREY[0, 0], "one-dimensional"),
        (GREY.reshape(3, 3, 30, 40), "has 4"),
        (GREY[:0], "empty"),
        (GREY.astype(complex), "complex"),
        (GREY.astype("U5"), "numbers"),
        (np.array([[[None]]]), "numbers"),
    ],
)
def test_npy_that_is_no_volume(values, word, tmp_path):
    np.save(tmp_path / "a.npy", values)
    assert word in check_refused(tmp_path / "a.npy")


@pytest.mark.parametrize("values", [GREY[0], GREY.reshape(3, 3, 30, 40), GREY[:0], GREY.astype(complex)])
def test_hdf5_and_zarr_that_are_no_volume(values, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"] = values
    check_refused(f"{tmp_path}/a.h5::/v")
    zarr.save_array(tmp_path / "a.zarr", values)
    check_refused(tmp_path / "a.zarr")


@pytest.mark.parametrize("suffix", ["tif", "npy", "h5::/v"])
def test_garbage_and_zero_bytes(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}".split("::")[0]
    for content in (b"", b"this is just text\n" * 9, b"II*\0\xff\xff", b"MM\0*" + bytes(40)):
        path.write_bytes(content)
        check_refused(f"{tmp_path}/a.{suffix}")


@pytest.mark.parametrize("suffix", ["tif", "npy", "h5::/v"])
def test_a_cut_file_is_found_when_it_is_opened(suffix, tmp_path):
    write_volume(f"{tmp_path}/a.{suffix}", GREY)
    path = tmp_path / f"a.{suffix}".split("::")[0]
    whole = path.read_bytes()
    for length in (len(whole) // 10, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:length])
        check_refused(f"{tmp_path}/a.{suffix}")


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": None}, {"imagej": True}, {"ome": True}, {"bigtiff": True}, {"byteorder": ">"},
        {"imagej": True, "truncate": True}, {"truncate": True}, {"compression": "zlib"}, {"tile": (16, 32)},
    ],
    ids=str,
)  # fmt: skip
def test_a_cut_tiff_of_any_writer_is_found_when_it_is_opened(options, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, photometric="minisblack", **options)
    open_volume(path).close()
    whole = path.read_bytes()
    for length in (6, 100, len(whole) // 2, len(whole) - 400):
        path.write_bytes(whole[:length])
        check_refused(path)


def test_tifffile_says_nothing_of_its_own(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="minisblack")
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:9000])
    caplog.clear()
    check_refused(tmp_path / "a.tif")
    assert not caplog.records


@pytest.mark.parametrize(
    ("values", "options", "word"),
    [
        (GREY[0], {}, "two-dimensional"),
        (GREY[:3].transpose(1, 2, 0).astype(np.uint8), {"photometric": "rgb"}, "colours"),
        (np.zeros((5, 8, 9, 3), np.uint8), {"photometric": "rgb"}, "colours"),
        (GREY.reshape(3, 3, 30, 40), {"imagej": True}, "three axes"),
        (GREY.reshape(3, 3, 30, 40), {}, "three axes"),
        (GREY.astype(np.complex64), {}, "complex"),
    ],
)
def test_tiff_that_is_no_grey_volume(values, options, word, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values, **({"photometric": "minisblack"} | options))
    assert word in check_refused(tmp_path / "a.tif")


def test_tiff_with_pages_of_different_shapes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(GREY[0], metadata=None)
        tif.write(GREY[0, :20], metadata=None)
    assert "one volume" in check_refused(tmp_path / "a.tif")


def test_damaged_compressed_data_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        offset = tif.pages[4].dataoffsets[0]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[offset : offset + 20] = bytes(20)
    (tmp_path / "a.tif").write_bytes(content)
    with open_volume(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[0:4, :, :], GREY[0:4])
        with pytest.raises(InputError, match=r"a\.tif is damaged"):
            volume[3:6, :, :]


def test_folder_without_tiff(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    assert "holds none" in check_refused(tmp_path)


@pytest.mark.parametrize("other", [GREY[0, :20], GREY[0].astype(np.uint8), GREY[:2]])
def test_folder_with_a_slice_that_does_not_belong(other, tmp_path):
    for i in range(3):
        tifffile.imwrite(tmp_path / f"s{i}.tif", GREY[i])
    tifffile.imwrite(tmp_path / "s3.tif", other, photometric="minisblack")
    assert "s3.tif" in check_refused(tmp_path)


def test_hdf5_without_path_names_the_volumes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/grey"] = GREY
        file["entry/angles"] = GREY[0, 0]
    assert "give a.h5::/entry/grey" in check_refused(tmp_path / "a.h5")
    assert "give a.h5::/entry/grey" in check_refused(f"{tmp_path}/a.h5::/wrong")
    assert "give a.h5::/entry/grey" in check_refused(f"{tmp_path}/a.h5::/entry")


def test_hdf5_links_are_followed_once(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["grey"] = GREY
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file["entry/up"] = h5py.SoftLink("/entry")
        file["entry/data"] = h5py.ExternalLink("data.h5", "/grey")
        file["entry/gone"] = h5py.ExternalLink("gone.h5", "/grey")
    assert check_refused(tmp_path / "a.nxs").endswith("give a.nxs::/entry/data")
    with open_volume(f"{tmp_path}/a.nxs::/entry/data") as volume:
        np.testing.assert_array_equal(volume[2:3, :, :], GREY[2:3])
    check_refused(f"{tmp_path}/a.nxs::/entry/gone")


def test_zarr_group_or_wrong_path_names_the_arrays(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_array("in/grey", data=GREY)
    assert "a.zarr::/in/grey" in check_refused(tmp_path / "a.zarr")
    assert "a.zarr::/in/grey" in check_refused(f"{tmp_path}/a.zarr::/wrong")
    (tmp_path / "b.zarr").mkdir()
    check_refused(tmp_path / "b.zarr")
    with open_volume(f"{tmp_path}/a.zarr::/in/grey") as volume:
        np.testing.assert_array_equal(volume[2:3, :, :], GREY[2:3])


def test_a_path_within_a_tiff_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    assert "leave out" in check_refused(f"{tmp_path}/a.tif::/v")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "shape and dtype"),
        ({"shape": GREY.shape}, "dtype"),
        ({"shape": (9, 30, 41), "dtype": "<u2"}, "bytes"),
        ({"shape": GREY.shape, "dtype": "words"}, "dtype"),
        ({"shape": (-9, -30, 40), "dtype": "<u2"}, "positive"),
        ({"shape": (270, 40), "dtype": "<u2"}, "two-dimensional"),
    ],
)
def test_raw_that_does_not_fit(options, word, tmp_path):
    GREY.tofile(tmp_path / "a.raw")
    assert word in check_refused(tmp_path / "a.raw", **options)


@pytest.mark.parametrize("car", ["garbage", "[1]", json.dumps({"voxel_size_m": "big"})])
def test_raw_with_a_broken_side_car(car, tmp_path):
    GREY.tofile(tmp_path / "a.raw")
    (tmp_path / "a.raw.json").write_text(car)
    assert "a.raw.json" in check_refused(tmp_path / "a.raw", shape=GREY.shape, dtype="<u2")


@pytest.mark.parametrize("size", [0.0, -1e-6, float("nan"), float("inf")])
def test_a_voxel_size_that_is_no_length(size, tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    for call in (lambda: open_volume(tmp_path / "a.npy", voxel_size_m=size),
                 lambda: write_volume(tmp_path / "b.tif", GREY, voxel_size_m=size)):  # fmt: skip
        with pytest.raises(InputError, match="voxel size must be > 0 m"):
            call()
    assert not (tmp_path / "b.tif").exists()


@pytest.mark.parametrize("name", ["a.docx", "a.h5", "a.h5::/", "a.tif::/v", ""])
def test_an_output_name_without_format(name, tmp_path):
    with pytest.raises(InputError):
        write_volume(f"{tmp_path}/{name}" if name else "", GREY)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("values", [GREY[0], GREY[None], GREY[:0], GREY.astype(complex)])
def test_a_source_that_is_no_volume(values, tmp_path):
    with pytest.raises(InputError):
        write_volume(tmp_path / "a.tif", values)
    assert not list(tmp_path.iterdir())


def test_a_file_that_vanishes_while_it_is_read_is_a_resource_error(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    volume = open_volume(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(b"short")
    with pytest.raises(ResourceError, match="could not be read"):
        volume[:, :, :]


def test_a_block_has_up_to_three_slices_without_gaps(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    volume = open_volume(tmp_path / "a.npy")
    for wrong in (3, np.s_[::2], np.s_[:, :, :, :], np.s_[1, :, :]):
        with pytest.raises(TypeError):
            volume[wrong]

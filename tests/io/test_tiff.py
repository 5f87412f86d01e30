"""TIFF as other programs write it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from voltome.io import open_volume, read_volume, write_volume

GREY = np.random.default_rng(6).integers(0, 60000, (12, 50, 70), dtype=np.uint16)
BLOCK = np.s_[3:7, 11:37, 20:64]


@pytest.mark.parametrize(
    "options",
    [
        {}, {"metadata": None}, {"bigtiff": True}, {"byteorder": ">"}, {"rowsperstrip": 7}, {"truncate": True},
        {"imagej": True}, {"imagej": True, "truncate": True}, {"ome": True}, {"tile": (16, 32)},
        {"tile": (32, 48), "compression": "zstd", "byteorder": ">"}, {"compression": "lzw", "bigtiff": True},
        {"compression": "zlib", "predictor": True, "rowsperstrip": 9}, {"compression": "packbits"},
    ],
    ids=str,
)  # fmt: skip
def test_blocks_of_every_layout(options, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="minisblack", **options)
    with open_volume(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[BLOCK], GREY[BLOCK])
        np.testing.assert_array_equal(volume[:, :, :], GREY)


def test_one_bit_a_voxel_is_read_as_uint8(tmp_path):
    mask = GREY > 30000
    tifffile.imwrite(tmp_path / "a.tif", mask, photometric="minisblack", bitspersample=1)
    with open_volume(tmp_path / "a.tif") as volume:
        assert volume.dtype == np.uint8
        np.testing.assert_array_equal(volume[BLOCK], mask[BLOCK])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"imagej": True, "resolution": (2, 2), "metadata": {"axes": "ZYX", "unit": "um", "spacing": 0.5}}, 5e-7),
        ({"imagej": True, "resolution": (20, 20), "metadata": {"axes": "ZYX", "unit": "micron"}}, 5e-8),
        ({"imagej": True, "resolution": (72, 72), "metadata": {"axes": "ZYX", "unit": "inch"}}, None),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"axes": "ZYX", "unit": "nm", "spacing": 0.5}}, 5e-10),
        ({"imagej": True}, None),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"ome": True, "metadata": {"axes": "ZYX", **{f"PhysicalSize{a}": 0.25 for a in "XYZ"}}}, 2.5e-7),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}}, 2.5e-7),
        ({"ome": True}, None),
    ],
    ids=str,
)
def test_voxel_size_of_imagej_and_ome(options, expected, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="minisblack", **options)
    with open_volume(tmp_path / "a.tif") as volume:
        assert volume.voxel_size_m == expected


def test_imagej_reads_what_is_written(tmp_path):
    write_volume(tmp_path / "a.tif", GREY, voxel_size_m=5e-8)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_imagej
        assert len(tif.pages) == len(GREY)
        assert tif.series[0].axes == "ZYX"
        assert (tif.imagej_metadata["unit"], tif.imagej_metadata["spacing"]) == ("micron", 0.05)
        assert tif.pages[0].tags["XResolution"].value == (20, 1)
        assert "DateTime" not in tif.pages[0].tags
        np.testing.assert_array_equal(tif.asarray(), GREY)


class Huge:
    """A source of more than 4 GB, all zeros."""

    shape, dtype = (3, 40000, 40000), np.dtype(np.uint8)

    def __getitem__(self, block):
        raise KeyboardInterrupt


def test_more_than_four_gigabytes_become_bigtiff(tmp_path, monkeypatch):
    opened = []
    writer = tifffile.TiffWriter
    monkeypatch.setattr(tifffile, "TiffWriter", lambda *args, **kw: opened.append(kw["bigtiff"]) or writer(*args, **kw))
    with pytest.raises(KeyboardInterrupt):
        write_volume(tmp_path / "a.tif", Huge())
    write_volume(tmp_path / "b.tif", GREY)
    assert opened == [True, False]
    assert [path.name for path in tmp_path.iterdir()] == ["b.tif"]


def test_slices_are_sorted_as_people_count(tmp_path):
    for i, page in enumerate(GREY):
        tifffile.imwrite(tmp_path / f"Slice_{i}.TIF", page)
    (tmp_path / "log.txt").write_text("not a slice")
    np.testing.assert_array_equal(read_volume(tmp_path), GREY)
    with open_volume(tmp_path) as volume:
        np.testing.assert_array_equal(volume[BLOCK], GREY[BLOCK])


def test_compressed_slices_in_a_folder(tmp_path):
    for i, page in enumerate(GREY):
        tifffile.imwrite(tmp_path / f"s{i:03d}.tif", page, compression="zlib", rowsperstrip=16)
    with open_volume(tmp_path) as volume:
        np.testing.assert_array_equal(volume[BLOCK], GREY[BLOCK])


def test_slices_are_named_after_their_folder(tmp_path):
    write_volume(f"{tmp_path}/scan/", GREY[:2])
    assert sorted(path.name for path in (tmp_path / "scan").iterdir()) == ["scan_0000.tif", "scan_0001.tif"]


def test_the_notched_cylinder_is_read_by_block(notched_cylinder):
    whole = tifffile.imread(notched_cylinder[0])
    with open_volume(notched_cylinder[0]) as volume:
        assert (volume.shape, volume.dtype) == ((289, 225, 225), np.uint8)
        np.testing.assert_array_equal(volume[100:104, 7:200, 30:33], whole[100:104, 7:200, 30:33])

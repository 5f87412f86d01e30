"""A single image from any format."""

from __future__ import annotations

import fabio
import numpy as np
import pytest
import tifffile

from voltome.errors import InputError
from voltome.io import read_image, write_volume

IMAGE = np.arange(35, dtype=np.uint16).reshape(5, 7)


@pytest.mark.parametrize("name", ["a.tif", "a.edf", "a.npy", "one.npy", "one.tif", "one.h5::/image"])
def test_one_image_is_read_from_any_format(name, tmp_path):
    path = tmp_path / name
    if name.startswith("one"):
        write_volume(path, IMAGE[None])
    elif name == "a.tif":
        tifffile.imwrite(path, IMAGE, compression="zlib")
    elif name == "a.edf":
        fabio.edfimage.EdfImage(data=IMAGE).write(str(path))
    else:
        np.save(path, IMAGE)
    found = read_image(path)
    assert np.array_equal(found, IMAGE) and found.dtype == np.uint16


def test_what_is_no_single_image_is_one_line(tmp_path):
    tifffile.imwrite(tmp_path / "many.tif", np.zeros((3, 5, 7), np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((5, 7, 3), np.uint8), photometric="rgb")
    np.save(tmp_path / "complex.npy", np.zeros((5, 7), complex))
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "cut.tif").write_bytes(b"II*\0")
    (tmp_path / "cut.edf").write_text("{ Dim_1 = 7 ;")
    for name, said in {
        "many.tif": "must hold one image",
        "colour.tif": "must be grey",
        "complex.npy": "whole or real numbers",
        "cut.npy": "cut.npy",
        "cut.tif": "cut.tif",
        "none.tif": "does not exist",
        "a.jpg": "does not exist",
    }.items():
        with pytest.raises(InputError, match=said) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(OSError, match=r"cut\.edf could not be read"):
        read_image(tmp_path / "cut.edf")

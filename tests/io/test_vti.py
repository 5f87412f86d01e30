"""A volume for ParaView: XML that a parser reads, voxels behind it, where the nodes of a field lie."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.io import open_volume, write_volume, write_volume_vti

GREY = np.random.default_rng(6).integers(0, 60000, (5, 4, 3), dtype=np.uint16)


def read_vti(path):
    """Parse the XML around the appended bytes, as VTK's reader does."""
    content = path.read_bytes()
    head, mark, rest = content.partition(b'<AppendedData encoding="raw">\n_')
    assert mark
    size = int.from_bytes(rest[:8], "little")
    tree = ElementTree.fromstring(head + b"</VTKFile>")
    array = tree.find(".//DataArray")
    kind = {"Float": "f", "Int": "i", "UInt": "u"}[re.match(r"\D+", array.get("type"))[0]]
    bits = int(re.search(r"\d+", array.get("type"))[0])
    ends = [int(number) for number in tree.find("ImageData").get("WholeExtent").split()]
    nx, ny, nz = (last - first + 1 for first, last in zip(ends[::2], ends[1::2], strict=True))
    assert rest[8 + size :] == b"\n</AppendedData>\n</VTKFile>\n"
    values = np.frombuffer(rest[8 : 8 + size], dtype=f"<{kind}{bits // 8}").reshape(nz, ny, nx)
    return tree, values


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">i4", "float32"])
def test_voxels_and_their_type(tmp_path, dtype):
    write_volume_vti(tmp_path / "a.vti", GREY.astype(dtype))
    tree, values = read_vti(tmp_path / "a.vti")
    np.testing.assert_array_equal(values, GREY.astype(dtype))
    assert tree.find(".//Piece").get("Extent") == "0 2 0 3 0 4"  # x, y, z
    assert tree.find("ImageData").get("Spacing") == "1.0 1.0 1.0"


def test_the_voxel_size_of_the_source_is_the_spacing(tmp_path):
    write_volume(tmp_path / "a.zarr", GREY, voxel_size_m=5e-8)
    seen = []
    with open_volume(tmp_path / "a.zarr") as volume:
        write_volume_vti(tmp_path / "a.vti", volume, on_progress=lambda done, total: seen.append((done, total)))
    tree, values = read_vti(tmp_path / "a.vti")
    np.testing.assert_array_equal(values, GREY)
    image = tree.find("ImageData")
    assert (image.get("Spacing"), image.get("Origin")) == ("5e-08 5e-08 5e-08", "0 0 0")
    assert seen[-1] == (5, 5)


def test_what_is_no_volume_of_numbers_is_refused(tmp_path):
    with pytest.raises(InputError, match="whole or real numbers"):
        write_volume_vti(tmp_path / "a.vti", GREY.astype(complex))
    with pytest.raises(InputError, match="voxel size"):
        write_volume_vti(tmp_path / "a.vti", GREY, voxel_size_m=-1.0)
    assert list(tmp_path.iterdir()) == []

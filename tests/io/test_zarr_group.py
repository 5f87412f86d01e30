"""Groups of arrays as xarray writes them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from voltome.io import zarr_group
from voltome.io.zarr_group import NamedArray, write_zarr_group

RANDOM = np.random.default_rng(5)
REAL = RANDOM.standard_normal((7, 3, 4))
REAL[2, 1] = np.nan
WHOLE = RANDOM.integers(-5, 5, (7, 3), dtype=np.int32)
FLAGS = RANDOM.integers(0, 2, 7, dtype=np.uint8)
VARIABLES = {
    "real": NamedArray(("node", "y", "part"), REAL, {"units": "voxel", "long_name": "größe"}),
    "single": NamedArray(("node", "y", "part"), REAL.astype(np.float32), {}),
    "big_endian": NamedArray(("node", "y"), WHOLE.astype(">i4"), {}),
    "turned": NamedArray(("y", "node"), WHOLE.T, {}),
    "flags": NamedArray(("node",), FLAGS, {"units": "1"}),
}
COORDINATES = {
    "y": NamedArray(("y",), np.array([0.5, 1.5, 2.5]), {"units": "voxel"}),
    "x_node": NamedArray(("node",), np.arange(7.0), {"units": "voxel"}),
    "a_node": NamedArray(("node",), np.arange(7) ** 2, {}),
}
ATTRIBUTES = {"step": "correlate", "sizes": [1, 2.5, None]}


def write_both(folder):
    """The group as voltome writes it, and as xarray does."""
    write_zarr_group(folder / "ours", VARIABLES, COORDINATES, ATTRIBUTES)

    def plain(arrays):
        return {name: (array.dims, array.values, array.attributes) for name, array in arrays.items()}

    dataset = xr.Dataset(plain(VARIABLES), coords=plain(COORDINATES), attrs=ATTRIBUTES)
    with pytest.warns(UserWarning, match="Consolidated metadata"):
        dataset.to_zarr(folder / "theirs", zarr_format=3, consolidated=True)
    return folder / "ours", folder / "theirs"


def test_metadata_are_those_of_xarray(tmp_path):
    ours, theirs = write_both(tmp_path)
    for path in theirs.rglob("zarr.json"):
        expected = json.loads(path.read_text())
        assert json.loads((ours / path.relative_to(theirs)).read_text()) == expected, path
    assert len(list(ours.iterdir())) == len(list(theirs.iterdir()))


@pytest.mark.parametrize("chunk_bytes", [2**26, 100, 1])
@pytest.mark.parametrize("consolidated", [True, False])
def test_it_reads_as_the_same_dataset_in_chunks_of_any_size(chunk_bytes, consolidated, tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_group, "_CHUNK_BYTES", chunk_bytes)
    ours, theirs = write_both(tmp_path)
    with (
        xr.open_dataset(ours, engine="zarr", consolidated=consolidated) as left,
        xr.open_dataset(theirs, engine="zarr", consolidated=consolidated) as right,
    ):
        xr.testing.assert_identical(left.load(), right.load())
        assert {name: left[name].dtype for name in left.variables} == {
            name: right[name].dtype for name in right.variables
        }
    pieces = len([path for path in (ours / "real" / "c").rglob("*") if path.is_file()])
    assert pieces == {2**26: 1, 100: 7, 1: 7}[chunk_bytes]


def test_writing_loads_neither_xarray_nor_zarr(tmp_path):
    script = f"""
import sys
from pathlib import Path
import numpy as np
from voltome.io.zarr_group import NamedArray, write_zarr_group
write_zarr_group(Path({str(tmp_path / "a.zarr")!r}), {{"a": NamedArray(("x",), np.arange(3.0), {{}})}}, {{}}, {{}})
print([name for name in ("xarray", "zarr", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (tmp_path / "a.zarr" / "a" / "c" / "0").is_file()

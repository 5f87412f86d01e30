"""Write a group of arrays in Zarr v3 as xarray does, without loading either library.

Both are large: importing them takes longer than correlating a small pair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK_BYTES = 2**26
_XARRAY_NAN = "AAAAAAAA+H8="  # float64, little endian, base64: what is missing in an array of real numbers


@dataclass(frozen=True)
class NamedArray:
    """An array with the names of its axes and its attributes."""

    dims: Sequence[str]
    values: NDArray[Any]
    attributes: Mapping[str, object]


def write_zarr_group(
    folder: Path,
    variables: Mapping[str, NamedArray],
    coordinates: Mapping[str, NamedArray],
    attributes: Mapping[str, object],
) -> None:
    """Write a group with consolidated metadata, which `xarray.open_zarr` reads as one Dataset.

    Arrays of real or whole numbers, zstd, in one chunk each or, above 64 MiB, in slabs along their first axis. The
    same arrays give the same bytes.

    Parameters
    ----------
    folder : Path
        Staged; it may exist.
    variables, coordinates : mapping
        Name to array. A coordinate that is not named as its axis belongs to all variables that have its axes.
    attributes : mapping
        Of the group; what JSON knows.

    Returns
    -------
    None
        The group stands when this returns.
    """
    beside = {name: set(array.dims) for name, array in sorted(coordinates.items()) if name not in array.dims}
    described: dict[str, object] = {}
    for name, array in sorted({**coordinates, **variables}.items()):
        own = dict(array.attributes)
        names = [] if name in coordinates else [other for other, dims in beside.items() if dims <= set(array.dims)]
        if names:
            own["coordinates"] = " ".join(names)
        chunk_shape = _chunk_shape(array.values)
        described[name] = _describe(array, own, chunk_shape)
        (folder / name).mkdir(parents=True)
        _write_json(folder / name / "zarr.json", described[name])
        _write_chunks(folder / name / "c", array.values, chunk_shape[0])
    consolidated = {"kind": "inline", "must_understand": False, "metadata": described}
    group = {
        "attributes": attributes, "zarr_format": 3, "consolidated_metadata": consolidated, "node_type": "group"
    }  # fmt: skip
    _write_json(folder / "zarr.json", group)


def _chunk_shape(values: NDArray[Any]) -> tuple[int, ...]:
    layer = max(1, values.nbytes // max(1, len(values)))
    return (max(1, min(len(values), _CHUNK_BYTES // layer)), *values.shape[1:])


def _describe(array: NamedArray, attributes: Mapping[str, object], chunk_shape: Sequence[int]) -> dict[str, object]:
    dtype = array.values.dtype
    real = dtype.kind == "f"
    order = {"configuration": {"endian": "little"}} if dtype.itemsize > 1 else {}
    return {
        "shape": array.values.shape,
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "NaN" if real else 0,
        "codecs": [
            {"name": "bytes", **order},
            {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
        ],
        "attributes": {**attributes, **({"_FillValue": _XARRAY_NAN} if real else {})},
        "dimension_names": array.dims,
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _write_chunks(folder: Path, values: NDArray[Any], depth: int) -> None:
    """Slabs of `depth` along the first axis; a chunk is whole, so that what the last one lacks is filled."""
    from imagecodecs import zstd_encode

    stored = values.astype(values.dtype.newbyteorder("<"), copy=False)
    rest = "/".join("0" for _ in values.shape[1:])
    for i, first in enumerate(range(0, len(values), depth)):
        chunk = stored[first : first + depth]
        if len(chunk) < depth:
            missing = np.full((depth - len(chunk), *values.shape[1:]), np.nan if values.dtype.kind == "f" else 0)
            chunk = np.concatenate([chunk, missing.astype(stored.dtype)])
        place = folder / str(i) / rest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(zstd_encode(chunk.tobytes(), level=0))


def _write_json(path: Path, values: object) -> None:
    path.write_bytes(json.dumps(values, indent=2).encode())

"""Volumes in Zarr: OME-Zarr images, level 0 of their pyramid, and bare arrays of format 2 and 3."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Block, Shape3
from voltome.io.volume import BlockReader, check_volume
from voltome.io.voxel_size import length_m

if TYPE_CHECKING:
    import zarr

_CONFIG_LOCK = threading.Lock()


@contextmanager
def zarrs_pipeline(*, single_thread: bool = False) -> Iterator[None]:
    """Arrays that are opened or created inside use the `zarrs` codecs, for as long as they live.

    Parameters
    ----------
    single_thread : bool
        Encode one chunk after the other: only then do shards come out byte-identical.
    """
    import zarr

    settings: dict[str, Any] = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}
    if single_thread:
        settings |= {"threading.max_workers": 1, "codec_pipeline.chunk_concurrent_maximum": 1}
    # zarr's configuration belongs to the process: two threads that set and restore it would tread on each other.
    with _CONFIG_LOCK, zarr.config.set(settings), warnings.catch_warnings():
        # zarrs says so when it leaves an array to zarr's own codecs
        warnings.filterwarnings("ignore", message="Array is unsupported by ZarrsCodecPipeline", category=UserWarning)
        yield


class ZarrReader:
    """An array of a store (a `BlockReader`)."""

    def __init__(self, array: zarr.Array[Any], path: str, voxel_sizes_m: Sequence[float | None]) -> None:
        self.format = f"zarr v{array.metadata.zarr_format}"
        self.dtype = np.dtype(array.dtype)
        self.shape = check_volume(array.shape, self.dtype, path)
        self.voxel_sizes_m = voxel_sizes_m
        chunks = array.chunks
        self.chunk_shape: Shape3 = (chunks[-3], chunks[-2], chunks[-1])
        self._array = array
        self._leading: tuple[int, ...] = (0,) * (array.ndim - 3)

    def read(self, block: Block) -> NDArray[Any]:
        """Decode the chunks that meet the block."""
        where: Any = (*self._leading, *block)
        return np.asarray(self._array[where])

    def close(self) -> None:
        """Nothing stays open."""


def open_zarr(path: Path, inner: str | None = None) -> BlockReader:
    """Reader of an OME-Zarr image (its level 0), of one array, or of a scan of a study's series.

    Parameters
    ----------
    path : Path
        Folder of the store.
    inner : str, optional
        Path of an image or an array within it; name of a scan of a series.

    Returns
    -------
    BlockReader

    Raises
    ------
    InputError
        If it is no Zarr store, the path within it is wrong (the error names the arrays that there are), or there is
        no volume.
    """
    import zarr

    name = (inner or "").strip("/")
    scan = _open_named_scan(path, name)
    if scan is not None:
        return scan
    try:
        with zarrs_pipeline():
            node = zarr.open(str(path / name), mode="r")
    except Exception as error:  # what zarr raises on missing or broken metadata differs from version to version
        where = f"{path} has no node {name}" if name else f"{path} is not a Zarr store"
        raise InputError(f"{where}: {_advice(path)}") from error
    if isinstance(node, zarr.Array):
        return ZarrReader(node, str(path / name), _array_voxel_size(node))
    multiscale = _multiscale(node)
    if multiscale is None:
        raise InputError(f"{path / name} is a Zarr group, not an image: {_advice(path)}")
    try:
        level = multiscale["datasets"][0]
        with zarrs_pipeline():
            array: Any = node[level["path"]]
        sizes = _ome_voxel_sizes(multiscale, level)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path} has broken OME-Zarr metadata ({error!r}): write it again") from error
    reader = ZarrReader(array, str(path / name), sizes)
    reader.format = "ome-zarr"
    return reader


def _open_named_scan(path: Path, name: str) -> BlockReader | None:
    from voltome.io import series  # which writes with zarr_writer, which needs this module

    try:
        found = series.open_series(path)
    except InputError:
        return None
    if not name:
        listed = " or ".join(f"{path.name}::{scan}" for scan in found.names[:5])
        raise InputError(f"{path} holds several volumes, the scans of a study: give {listed}")
    return series.ScanReader(found, found.names.index(name), 0) if name in found.names else None


def _multiscale(group: zarr.Group) -> dict[str, Any] | None:
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)  # version 0.5 nests what 0.4 did not
    found = ome.get("multiscales") if isinstance(ome, dict) else None
    return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else None


def _ome_voxel_sizes(multiscale: dict[str, Any], level: dict[str, Any]) -> list[float | None]:
    axes = multiscale.get("axes", [])
    steps = [*level.get("coordinateTransformations", []), *multiscale.get("coordinateTransformations", [])]
    scale = np.ones(len(axes))
    for step in steps:
        if step.get("type") == "scale":
            scale = scale * np.asarray(step["scale"], dtype=np.float64)
    space = [(size, axis) for size, axis in zip(scale, axes, strict=True) if axis["name"] in "zyx"]
    return [length_m(float(size), axis.get("unit")) for size, axis in space]


def _array_voxel_size(array: zarr.Array[Any]) -> list[float | None]:
    size = array.attrs.get("voxel_size_m")
    return [length_m(float(size), "m")] if isinstance(size, int | float) else []


def _advice(path: Path) -> str:
    import zarr

    try:
        members = zarr.open_group(str(path), mode="r").members(max_depth=3)
        names = [name for name, node in members if isinstance(node, zarr.Array)]
    except Exception:  # not a group: nothing to name
        names = []
    if not names:
        return "give an OME-Zarr image or a Zarr array"
    return "give " + " or ".join(f"{path.name}::/{name}" for name in sorted(names)[:5])

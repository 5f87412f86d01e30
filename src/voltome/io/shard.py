"""One shard of a Zarr v3 array, as bytes and back: chunks of bytes, Blosc and crc32c, with their index at the end.

The `zarrs` codecs do not look at a chunk's checksum when they read part of a shard, and take a missing file for zeros.
What is read here was either written so, or is refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import DamagedError
from voltome.grid import Block, Shape3
from voltome.io.zarr_writer import split_blocks

_EMPTY = 2**64 - 1  # offset and length of a chunk that holds nothing but zeros
_CHECKSUM_BYTES = 4


def describe_codecs(chunk_shape: Sequence[int], dtype: np.dtype[Any]) -> list[dict[str, object]]:
    """What an array's zarr.json says of such shards.

    Parameters
    ----------
    chunk_shape : sequence of int
        With leading axes of length one, if the array has them.
    dtype : numpy.dtype

    Returns
    -------
    list of dict
    """
    as_bytes: dict[str, object] = {"name": "bytes", "configuration": {"endian": "little"}}
    checksum: dict[str, object] = {"name": "crc32c"}
    blosc = {"typesize": dtype.itemsize, "cname": "zstd", "clevel": 3, "shuffle": "shuffle", "blocksize": 0}
    sharding = {
        "chunk_shape": list(chunk_shape),
        "codecs": [as_bytes, {"name": "blosc", "configuration": blosc}, checksum],
        "index_codecs": [as_bytes, checksum],
        "index_location": "end",
    }
    return [{"name": "sharding_indexed", "configuration": sharding}]


def encode_shard(values: NDArray[Any], *, chunk_shape: Shape3, shard_shape: Shape3) -> bytes:
    """Bytes of a shard; the same values give the same bytes.

    Parameters
    ----------
    values : (nz, ny, nx) array
        At most the shard; what it lacks at the volume's far faces is filled with zeros.
    chunk_shape, shard_shape : tuple of int
        A shard is made of whole chunks.

    Returns
    -------
    bytes
    """
    from imagecodecs import blosc_encode

    stored = values.astype(values.dtype.newbyteorder("<"), copy=False)
    parts: list[bytes] = []
    index: list[tuple[int, int]] = []
    offset = 0
    for place in split_blocks(shard_shape, chunk_shape):
        chunk = np.zeros(chunk_shape, dtype=stored.dtype)
        inside = stored[place]
        chunk[tuple(slice(0, n) for n in inside.shape)] = inside
        if not chunk.any():
            index.append((_EMPTY, _EMPTY))
            continue
        plain = chunk.tobytes()
        packed = blosc_encode(
            plain, level=3, compressor="zstd", shuffle="shuffle", typesize=stored.dtype.itemsize, numthreads=1
        )
        parts.append(add_checksum(bytes(packed)))
        index.append((offset, len(parts[-1])))
        offset += len(parts[-1])
    parts.append(add_checksum(np.array(index, dtype="<u8").tobytes()))
    return b"".join(parts)


def read_shard(
    path: Path, block: Block, *, chunk_shape: Shape3, shard_shape: Shape3, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Read part of a shard, checking each chunk that meets it.

    Parameters
    ----------
    path : Path
        The shard's file.
    block : three slices
        With start and stop, within the shard.
    chunk_shape, shard_shape : tuple of int
    dtype : numpy.dtype

    Returns
    -------
    array of the block's shape

    Raises
    ------
    DamagedError
        If the file is missing, cut short, or a checksum is wrong.
    OSError
        If the file cannot be read.
    """
    from imagecodecs import blosc_decode

    places = list(split_blocks(shard_shape, chunk_shape))
    out = np.zeros([edge.stop - edge.start for edge in block], dtype=dtype)
    try:
        with open(path, "rb", buffering=0) as file:
            index = _read_index(file, path, len(places))
            for place, (start, size) in zip(places, index, strict=True):
                if start == _EMPTY or not _meet(place, block):
                    continue
                packed = strip_checksum(_read_exactly(file, start, size), path)
                chunk = np.frombuffer(blosc_decode(packed), dtype=dtype.newbyteorder("<")).reshape(chunk_shape)
                _copy_common(chunk, place, out, block)
    except FileNotFoundError as error:
        raise DamagedError(f"{path} is missing: run again, it is made anew", str(path)) from error
    return out


def _read_index(file: Any, path: Path, chunks: int) -> list[tuple[int, int]]:
    size = 16 * chunks + _CHECKSUM_BYTES
    start = os.fstat(file.fileno()).st_size - size
    table = strip_checksum(_read_exactly(file, start, size) if start >= 0 else b"", path)
    return [(start, size) for start, size in np.frombuffer(table, dtype="<u8").reshape(-1, 2).tolist()]


def _read_exactly(file: Any, start: int, size: int) -> bytes:
    """May be shorter at the file's end: the checksum tells."""
    file.seek(start)
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _meet(place: Block, block: Block) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(place, block, strict=True))


def _copy_common(chunk: NDArray[Any], place: Block, out: NDArray[Any], block: Block) -> None:
    edges = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(place, block, strict=True)]
    inside = tuple(slice(low - a.start, high - a.start) for (low, high), a in zip(edges, place, strict=True))
    target = tuple(slice(low - b.start, high - b.start) for (low, high), b in zip(edges, block, strict=True))
    out[target] = chunk[inside]


def add_checksum(content: bytes) -> bytes:
    """Append the crc32c of some bytes, as Zarr's codec does.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    bytes
        Four more.

    Examples
    --------
    >>> add_checksum(b"123456789").hex()[-8:]  # 0xe3069283, little endian
    '839206e3'
    """
    return content + _checksum(content)


def strip_checksum(content: bytes, path: Path) -> bytes:
    """The bytes before a crc32c.

    Parameters
    ----------
    content : bytes
    path : Path
        Where they come from.

    Returns
    -------
    bytes

    Raises
    ------
    DamagedError
        If the checksum is not theirs.
    """
    plain = content[:-_CHECKSUM_BYTES]
    if _checksum(plain) != content[-_CHECKSUM_BYTES:]:
        raise DamagedError(f"{path} is damaged (a checksum is wrong): run again, it is made anew", str(path))
    return plain


def _checksum(content: bytes) -> bytes:
    import google_crc32c

    value: int = google_crc32c.value(content)
    return value.to_bytes(_CHECKSUM_BYTES, "little")

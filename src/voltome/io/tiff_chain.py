"""The chain of page directories of a TIFF file: a file that was cut points beyond its own end."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from voltome.errors import InputError

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# version: count of entries, one entry (tag, type, count, value or offset), offset, where the first offset stands
_LAYOUTS = {42: ("H", "HHII", "I", 4), 43: ("Q", "HHQQ", "Q", 8)}


def check_chain(path: Path) -> None:
    """Refuse a file that is no TIFF, or whose page directories or their values do not lie within it.

    Parameters
    ----------
    path : Path

    Returns
    -------
    None
        The file is whole when this returns.

    Raises
    ------
    InputError
        If the file is empty, is no TIFF, has no page, or is cut short.
    """
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes): copy it again")
    with open(path, "rb") as file:
        head = file.read(8)
        order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) == 8 else 0
        if version not in _LAYOUTS:
            raise InputError(f"{path} is not a TIFF file (it starts with {head[:4]!r}): check the file or its suffix")
        _follow(file, path, size, order, version)


def _follow(file: BinaryIO, path: Path, size: int, order: str, version: int) -> None:
    count_kind, entry_kind, offset_kind, start = _LAYOUTS[version]
    counts, entries, offsets = (struct.Struct(order + kind) for kind in (count_kind, entry_kind, offset_kind))

    def bytes_at(offset: int, length: int) -> bytes:
        if offset + length > size:
            raise cut_short(path)
        file.seek(offset)
        return file.read(length)

    seen: set[int] = set()
    (offset,) = offsets.unpack(bytes_at(start, offsets.size))
    while offset and offset not in seen:
        seen.add(offset)
        (count,) = counts.unpack(bytes_at(offset, counts.size))
        table = bytes_at(offset + counts.size, count * entries.size + offsets.size)
        for _, kind, number, value in entries.iter_unpack(table[: -offsets.size]):
            length = _TYPE_BYTES.get(kind, 0) * number
            if length > offsets.size and value + length > size:
                raise cut_short(path)
        (offset,) = offsets.unpack(table[-offsets.size :])
    if not seen:
        raise InputError(f"{path} holds no image: save it again")


def check_end(path: Path, end: int) -> None:
    """Refuse a file that ends before its voxels do.

    Parameters
    ----------
    path : Path
    end : int
        Byte behind the last voxel.

    Returns
    -------
    None
        The file is whole when this returns.

    Raises
    ------
    InputError
        If the file is shorter.
    """
    if end > path.stat().st_size:
        raise cut_short(path)


def cut_short(path: Path) -> InputError:
    """The error for a file that was cut.

    Parameters
    ----------
    path : Path

    Returns
    -------
    InputError
    """
    return InputError(f"{path} is cut short (it has {path.stat().st_size} bytes and needs more): copy it again")

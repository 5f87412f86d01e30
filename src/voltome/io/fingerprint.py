"""SHA-256 of files and volumes, with a memory: what has not changed is not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voltome.errors import InputError, ResourceError, VoltomeError
from voltome.io.series import open_series
from voltome.io.text import write_json
from voltome.io.tiff import TIFF_SUFFIXES
from voltome.io.volumes import RAW_SUFFIXES, split_name

if TYPE_CHECKING:
    import h5py

_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system in use (FAT) ticks every two seconds
_BLOCK_BYTES = 2**20


class FileHashes:
    """Hashes of files, kept from run to run by size and time of change, as git's index does.

    A file is read again if its size, its time of modification or its time of change (which no program can set back)
    differ from what they were. A file that was changed less than two seconds before it was hashed could change once
    more without a trace; its hash is not kept.

    Parameters
    ----------
    cache_path : str or Path or None
        JSON file of the memory; one that is missing or broken is an empty memory. None remembers nothing.
    threads : int
        Files of one volume that are hashed at once.
    """

    def __init__(self, cache_path: str | Path | None, *, threads: int = 1) -> None:
        self._cache_path = None if cache_path is None else Path(cache_path)
        self._threads = threads
        self._known: dict[str, list[Any]] = _load(self._cache_path)
        self._changed = False
        self._lock = threading.Lock()

    def hash_file(self, path: str | Path) -> str:
        """SHA-256 of a file's content.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        str
            64 hexadecimal digits.

        Raises
        ------
        InputError
            If there is no such file, or it changes while it is read.
        ResourceError
            If it cannot be read.
        """
        key = os.path.abspath(path)
        with _translated(path):
            state = _state(os.stat(key))
            known = self._known.get(key)
            if known is not None and known[:-1] == state:
                return str(known[-1])
            return self._read(key, path)

    def remember(self, path: str | Path, digest: str) -> None:
        """Keep the hash of a file that was just written by the caller, as if it had been read.

        Parameters
        ----------
        path : str or Path
        digest : str
            SHA-256 of what was written.

        Returns
        -------
        None
            A file that was changed less than two seconds ago is not kept.
        """
        with contextlib.suppress(OSError):
            state = _state(os.stat(path))
            if max(state[1:]) + _SETTLED_NS < time.time_ns():
                with self._lock:
                    self._known[os.path.abspath(path)] = [*state, digest]
                    self._changed = True

    def _read(self, key: str, path: str | Path) -> str:
        with open(key, "rb", buffering=0) as file:
            started_ns = time.time_ns()
            state = _state(os.fstat(file.fileno()))
            hasher, buffer = hashlib.sha256(), bytearray(_BLOCK_BYTES)
            while count := file.readinto(buffer):
                hasher.update(memoryview(buffer)[:count])
            if _state(os.fstat(file.fileno())) != state:
                raise InputError(f"{path} changed while it was read: wait until it is written and run again")
        digest = hasher.hexdigest()
        with self._lock:
            if max(state[1:]) + _SETTLED_NS < started_ns:
                self._known[key] = [*state, digest]
                self._changed = True
            else:
                self._changed |= self._known.pop(key, None) is not None
        return digest

    def hash_input(self, name: str | Path) -> str:
        """SHA-256 that stands for a volume as `open_volume` names it; where it lies does not matter.

        Parameters
        ----------
        name : str or Path
            A file: its content, with the JSON side-car of a raw file. ``file.h5::/x``: the file, the path within, and
            the files that external links, external storage and virtual datasets lead to. A folder: the names and
            contents of its TIFF slices, or of all that a Zarr store holds (``x.zarr::/path``: below that path; of a
            scan of a series: its shards).
            Files that a multi-file OME-TIFF leads to are not followed.

        Returns
        -------
        str
            64 hexadecimal digits.

        Raises
        ------
        InputError
            If it is not there, or changes while it is read.
        ResourceError
            If it cannot be read.
        """
        place, inner = split_name(name)
        if place.is_dir():
            with _translated(name):
                return self._hash_files(*_files_of(place, (inner or "").strip("/")))
        digest = self.hash_file(place)
        car = place.with_name(place.name + ".json")
        if inner is not None:
            others = _linked_files(place, inner)
        elif place.suffix.lower() in RAW_SUFFIXES and car.is_file():
            others = [car]
        else:
            return digest
        parts = [digest, (inner or "").strip("/"), *map(self.hash_file, others)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _hash_files(self, folder: Path, files: list[Path]) -> str:
        if not files:
            raise InputError(f"{folder} must hold TIFF slices or a Zarr store (it holds neither): check the name")
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            digests = list(pool.map(self.hash_file, files))
        names = [file.relative_to(folder).as_posix() for file in files]
        lines = [f"{digest} {name}" for name, digest in zip(names, digests, strict=True)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def save(self) -> None:
        """Write the memory, if it has changed; files that are gone are forgotten.

        Returns
        -------
        None
            The file stands when this returns.

        Raises
        ------
        ResourceError
            If the disk is full or there is no permission.
        """
        with self._lock:
            if self._cache_path is None or not self._changed:
                return
            kept = {key: entry for key, entry in self._known.items() if os.path.exists(key)}
            write_json(self._cache_path, kept, overwrite=True)
            self._changed = False


@contextlib.contextmanager
def _translated(path: str | Path) -> Iterator[None]:
    try:
        yield
    except VoltomeError:
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path} is not a file that is there: check the name") from error
    except OSError as error:
        raise ResourceError(f"{path} could not be read ({error.strerror}): check its permissions") from error


def _state(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _load(path: Path | None) -> dict[str, list[Any]]:
    try:
        known = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        return {key: entry for key, entry in known.items() if isinstance(entry, list) and len(entry) == 4}
    except (OSError, ValueError, AttributeError):
        return {}


def _files_of(place: Path, inner: str) -> tuple[Path, list[Path]]:
    """TIFF slices of a folder, or all files of a Zarr store; not what a desktop hides there. First the folder."""
    folder = place / inner
    if inner and not folder.is_dir():
        try:
            t = open_series(place).names.index(inner)
        except (InputError, ValueError):
            return folder, []
        return place, sorted(place.glob(f"*/c/{t}/*/*/*"))
    is_zarr = any((folder / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))
    found: Iterable[Path] = folder.rglob("*") if is_zarr else folder.iterdir()
    wanted = (
        file
        for file in found
        if (not file.name.startswith(".") or file.name.startswith(".z"))
        and (is_zarr or file.suffix.lower() in TIFF_SUFFIXES)
        and file.is_file()
    )
    return folder, sorted(wanted, key=lambda file: file.relative_to(folder).as_posix())


def _linked_files(path: Path, inner: str) -> list[Path]:
    """Other files that hold voxels of a dataset, in the order in which they are met."""
    import h5py

    found: dict[str, None] = {}
    try:
        with h5py.File(path, "r", locking=False) as file:
            _follow(file.get(inner), found, set())
    except OSError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not an HDF5 file or is cut short ({reason}): copy it again") from error
    found.pop(os.path.realpath(path), None)
    return [Path(name) for name in found]


def _follow(dataset: h5py.Dataset | None, found: dict[str, None], seen: set[tuple[str, str]]) -> None:
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        return
    home = Path(os.path.realpath(dataset.file.filename))
    if (str(home), dataset.name) in seen:
        return
    seen.add((str(home), dataset.name))
    found[str(home)] = None
    for name, _, _ in dataset.external or ():
        found[os.path.realpath(home.parent / name)] = None
    sources = dataset.virtual_sources() if dataset.is_virtual else []
    for name, inner in sorted({(source.file_name, source.dset_name) for source in sources}):
        for place in _numbered_files(home.parent, name) if name != "." else [home]:
            if place.is_file():  # a source that is missing reads as zeros
                with h5py.File(place, "r", locking=False) as file:
                    _follow(file.get(inner), found, seen)


def _numbered_files(folder: Path, name: str) -> list[Path]:
    """Files of a virtual dataset's source, whose name may count blocks (``raw_%b.h5``)."""
    pattern = re.sub(r"%\d*b", "*", name)
    if pattern == name:
        return [Path(os.path.realpath(folder / name))]
    base = folder / pattern
    return sorted(Path(os.path.realpath(file)) for file in base.parent.glob(base.name))


def describe_files(folder: Path, paths: Iterable[Path]) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of files that were just written.

    Parameters
    ----------
    folder : Path
        What their names start from.
    paths : iterable of Path

    Returns
    -------
    dict of str to (int, str)
        Path within the folder, with `/`, to bytes and hexadecimal digits; in the order of the paths.
    """
    described = {}
    for path in paths:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        described[path.relative_to(folder).as_posix()] = (path.stat().st_size, digest)
    return described

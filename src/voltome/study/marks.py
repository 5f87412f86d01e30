"""The mark of a result: what it was made from, and the files that it consists of. It is written last."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voltome.errors import DamagedError, InputError

if TYPE_CHECKING:
    from voltome.io.fingerprint import FileHashes

FOLDER = "made_by"


@dataclass(frozen=True)
class Mark:
    """What stands in `made_by/<step>/<subject>.json`.

    Parameters
    ----------
    step, subject : str
    version : int
        Of the step.
    voltome : str
        Version of the program.
    key : str
    parameters : mapping
    inputs : mapping of str to str
        Results that it was made from, with their keys.
    sources : mapping of str to str
        The user's files, as the study names them, with their SHA-256.
    files : mapping of str to (int, str)
        Path in the store, bytes and SHA-256.
    """

    step: str
    subject: str
    version: int
    voltome: str
    key: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    sources: Mapping[str, str]
    files: Mapping[str, tuple[int, str]]

    @property
    def name(self) -> str:
        """Name of the result."""
        return f"{self.step}/{self.subject}"

    @property
    def size_bytes(self) -> int:
        """What its files take."""
        return sum(size for size, _ in self.files.values())


def read_mark(store: Path, name: str) -> Mark | None:
    """Mark of a result.

    Parameters
    ----------
    store : Path
    name : str
        step/subject.

    Returns
    -------
    Mark or None
        None where there is none that can be read: the result counts as not made.
    """
    from voltome import io

    try:
        values = io.read_json(_place(store, name))
        values["files"] = {path: (int(size), str(digest)) for path, (size, digest) in values["files"].items()}
        return Mark(**values)
    except (DamagedError, KeyError, TypeError, ValueError):
        return None


def write_mark(store: Path, mark: Mark) -> None:
    """Write a mark; from then on the result stands.

    Parameters
    ----------
    store : Path
    mark : Mark

    Returns
    -------
    None
        The mark stands when this returns.

    Raises
    ------
    ResourceError
        If the disk is full or there is no permission.
    """
    from voltome import io

    io.write_json(_place(store, mark.name), asdict(mark), overwrite=True)


def find_marks(store: Path) -> list[str]:
    """Names of the results that have a mark, in alphabetical order.

    Parameters
    ----------
    store : Path

    Returns
    -------
    list of str
    """
    folder = store / FOLDER
    return sorted(path.relative_to(folder).as_posix().removesuffix(".json") for path in folder.glob("*/[!.]*.json"))


def find_damage(store: Path, mark: Mark, hashes: FileHashes) -> str | None:
    """The first file of a result that is not what it was.

    Parameters
    ----------
    store : Path
    mark : Mark
    hashes : FileHashes
        Files that have not been touched since they were last read are not read again.

    Returns
    -------
    str or None
        Path in the store; None where all is well.
    """
    for path, (size, digest) in mark.files.items():
        file = store / path
        try:
            if file.stat().st_size != size or hashes.hash_file(file) != digest:
                return path
        except (OSError, InputError):
            return path
    return None


def remove_result(store: Path, name: str) -> None:
    """Remove a result: its mark first, so that it is never half there.

    Parameters
    ----------
    store : Path
    name : str

    Returns
    -------
    None
        Nothing of it is left when this returns.
    """
    mark = read_mark(store, name)
    _place(store, name).unlink(missing_ok=True)
    if mark is None:
        return
    for path in mark.files:
        (store / path).unlink(missing_ok=True)
    for folder in sorted({parent for path in mark.files for parent in (store / path).parents}, reverse=True):
        if store in folder.parents:
            with contextlib.suppress(OSError):  # what else lies there stays
                folder.rmdir()


def put_in_place(store: Path, made: Path, target: str) -> dict[str, tuple[int, str]]:
    """Move what was made, a file or a folder, to its place in the store.

    Parameters
    ----------
    store : Path
    made : Path
        On the same disk.
    target : str
        Path in the store; what lies there is replaced.

    Returns
    -------
    dict
        Files as a mark lists them.
    """
    from voltome import io

    place = store / target
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    made.replace(place)
    files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    return io.describe_files(store, files)


def _place(store: Path, name: str) -> Path:
    return store / FOLDER / f"{name}.json"

"""Every output is written under a hidden name beside its own and renamed when it is complete.

A failure or Ctrl-C at any moment leaves what stood there before, and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from voltome.errors import InputError, ResourceError, VoltomeError

RESULT_NAMES = (
    "phi.tsv", "phi_filtered.tsv", "particles.tsv", "field.zarr", "strain.vtu", "strain.tsv", "summary.json",
    "report.html",
)  # fmt: skip
"""What voltome's jobs write into their output folder; `overwrite` replaces a folder that holds nothing else."""

_CAUSES = {
    errno.ENOSPC: "no space left on device while writing {path}: free some space and run again",
    errno.EDQUOT: "disk quota exceeded while writing {path}: free some space and run again",
    errno.EFBIG: "file too large for its place while writing {path}: choose another disk or raise the file size limit",
    errno.EACCES: "no permission to write {path}: choose a folder that you may write to",
    errno.EPERM: "no permission to write {path}: choose a folder that you may write to",
    errno.EROFS: "read-only file system at {path}: choose a folder that you may write to",
}


@contextlib.contextmanager
def staged_file(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Hidden name beside a file, which takes the file's own name when the block succeeds.

    Parameters
    ----------
    path : str or Path
        The file to write. Missing parent folders are made, and removed again on failure.
    overwrite : bool
        Replace an existing file, at the very end only; False because results should not vanish by accident.

    Yields
    ------
    Path
        Where to write: same folder and suffix as `path`, not yet existing.

    Raises
    ------
    InputError
        If `path` exists and `overwrite` is False, is a folder, or lies inside a file.
    ResourceError
        If the disk is full or there is no permission.
    """
    with _translated(Path(path)):
        path = _behind_links(Path(path))
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a file: give a file name")
        _refuse_existing(path, overwrite)
        with _made_parents(path):
            part = _hidden_sibling(path, "part")
            try:
                yield part
                os.replace(part, path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise


@contextlib.contextmanager
def staged_directory(
    path: str | Path, *, overwrite: bool = False, replaces: Collection[str] = RESULT_NAMES
) -> Iterator[Path]:
    """Hidden folder beside a folder, which takes the folder's own name when the block succeeds.

    Parameters
    ----------
    path : str or Path
        The folder to write. An existing empty folder counts as not existing.
    overwrite : bool
        Replace an existing folder as a whole, at the very end only. A folder that holds anything except `replaces`
        is never replaced, so that notes kept beside results survive; a Zarr store is one piece.
    replaces : collection of str
        Names (shell patterns) that `overwrite` may remove: what this job writes.

    Yields
    ------
    Path
        The empty folder to write into.

    Raises
    ------
    InputError
        If `path` holds something and `overwrite` is False, is a file or lies inside one, or holds other things.
    ResourceError
        If the disk is full or there is no permission.
    """
    with _translated(Path(path)):
        path = _behind_links(Path(path))
        if path.absolute() in (Path.cwd(), *Path.cwd().parents) or not path.name or path.name == "..":
            raise InputError(f"{path} is the folder you are in, or holds it: give a folder of its own")
        _refuse_directory(path, overwrite, replaces)
        with _made_parents(path):
            part = _hidden_sibling(path, "part")
            try:
                part.mkdir()
                yield part
                _refuse_directory(path, overwrite, replaces)  # hours may have passed
                _swap_directory(part, path)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise


def check_target(path: str | Path, *, overwrite: bool = False) -> None:
    """Refuse at once a file that could not be written when a long job is done.

    Parameters
    ----------
    path : str or Path
        The file that `staged_file` is going to write.
    overwrite : bool

    Returns
    -------
    None
        It may be written now.

    Raises
    ------
    InputError
        If `path` exists and `overwrite` is False, is a folder, or lies inside a file.
    ResourceError
        If there is no permission, or no disk.
    """
    with _translated(Path(path)):
        path = _behind_links(Path(path))
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a file: give a file name")
        _refuse_existing(path, overwrite)
        with tempfile.TemporaryFile(dir=nearest_folder(path)):
            pass


def nearest_folder(path: Path) -> Path:
    """The lowest folder above a path that exists.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    InputError
        If the path lies inside a file.
    """
    for above in path.absolute().parents:
        if above.is_dir():
            break
        if os.path.lexists(above):
            raise InputError(f"{path} cannot be written because {above} is a file: give another folder")
    return above


def _behind_links(path: Path) -> Path:
    # Renaming would replace the link; the user means what it points to.
    return path.resolve() if path.is_symlink() else path


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise InputError(f"{path} already exists: give another name or add --overwrite")


def _refuse_directory(path: Path, overwrite: bool, replaces: Collection[str]) -> None:
    if os.path.lexists(path) and not path.is_dir():
        raise InputError(f"{path} is a file, not a folder: give another name")
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    if not names:
        return
    _refuse_existing(path, overwrite)
    if path.suffix == ".zarr" and "zarr.json" in names:
        return
    for name in names:
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in replaces):
            raise InputError(f"{path} holds {name}, which this job does not write: move it away or give another folder")


def _hidden_sibling(path: Path, role: str) -> Path:
    # The suffix stays last: some writers choose the format by it.
    return path.with_name(f".{role}-{secrets.token_hex(4)}-{path.name}")


def _swap_directory(part: Path, path: Path) -> None:
    old = _hidden_sibling(path, "old")
    moved = False
    try:
        if path.exists():
            os.rename(path, old)
            moved = True
        os.rename(part, path)
    except BaseException:
        if moved and not path.exists():
            os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _made_parents(path: Path) -> Iterator[None]:
    """Make missing parent folders; remove those it made when the block fails."""
    made: list[Path] = []
    for parent in reversed(path.parents):
        if parent.is_dir():
            continue
        try:
            parent.mkdir()
        except OSError as error:
            if parent.is_dir():  # another thread was faster
                continue
            _remove_empty(made)
            if os.path.lexists(parent):
                raise InputError(f"{path} cannot be written because {parent} is a file: give another folder") from error
            raise
        made.append(parent)
    try:
        yield
    except BaseException:
        _remove_empty(made)
        raise


def _remove_empty(folders: list[Path]) -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one clear line."""
    try:
        yield
    except VoltomeError:
        raise
    except (OSError, RuntimeError) as error:  # zarrs and HDF5's close speak through RuntimeError
        number = _error_number(error)
        if number is None:
            if isinstance(error, OSError):
                raise ResourceError(f"{path} could not be written ({error}): check the disk") from error
            raise
        reason = _CAUSES.get(number, f"{os.strerror(number).lower()} while writing {{path}}: choose another place")
        raise ResourceError(reason.format(path=path)) from error


def _error_number(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if re.search(r"requested and \d+ written", str(error)):  # how NumPy's tofile tells of a full disk
        return errno.ENOSPC
    found = re.search(r"(?:os error|errno =|Errno) (\d+)", str(error))
    return int(found.group(1)) if found else None

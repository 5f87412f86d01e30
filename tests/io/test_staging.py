"""Nothing is half-written, and nothing that is not ours vanishes."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voltome.errors import InputError, ResourceError
from voltome.io import check_target, staged_directory, staged_file, write_text


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path):
    with staged_file(tmp_path / "deep" / "er" / "a.tif") as part:
        assert (part.suffix, part.name[0]) == (".tif", ".")
        part.write_text("new")
        assert not (tmp_path / "deep" / "er" / "a.tif").exists()
    assert (tmp_path / "deep" / "er" / "a.tif").read_text() == "new"
    assert names(tmp_path / "deep" / "er") == ["a.tif"]


def fail(stage, path: Path, error: BaseException) -> None:
    """Write something, then fail."""
    with stage(path, overwrite=True) as part:
        (part / "half" if part.is_dir() else part).write_text("half")
        raise error


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_failure_leaves_what_was_there_and_no_new_folder(stop, tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text("old")
    for stage, name in (
        (staged_file, "a.txt"), (staged_file, "x/y/a.txt"), (staged_directory, "out"), (staged_directory, "x/y/out")
    ):  # fmt: skip
        with pytest.raises(stop):
            fail(stage, tmp_path / name, stop())
    assert names(tmp_path) == ["a.txt", "out"]
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path / "out") == ["summary.json"]


def test_an_existing_output_needs_overwrite(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text("old")
    with pytest.raises(InputError, match=r"a\.txt already exists"), staged_file(tmp_path / "a.txt"):
        pytest.fail("it was entered")
    with pytest.raises(InputError, match="out already exists"), staged_directory(tmp_path / "out"):
        pytest.fail("it was entered")
    with staged_directory(tmp_path / "out", overwrite=True) as part:
        (part / "phi.tsv").write_text("new")
        assert (tmp_path / "out" / "summary.json").read_text() == "old"
    assert names(tmp_path / "out") == ["phi.tsv"]
    assert names(tmp_path) == ["a.txt", "out"]


def test_an_empty_folder_is_as_good_as_none(tmp_path):
    (tmp_path / "out").mkdir()
    with staged_directory(tmp_path / "out") as part:
        (part / "phi.tsv").write_text("new")
    assert names(tmp_path / "out") == ["phi.tsv"]


def test_a_folder_with_foreign_files_is_never_replaced(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("summary.json", "phi.tsv", "notes.txt"):
        (out / name).write_text("old")
    with pytest.raises(InputError, match=r"holds notes\.txt"), staged_directory(out, overwrite=True):
        pytest.fail("it was entered")
    (out / "notes.txt").rename(tmp_path / "notes.txt")
    with pytest.raises(InputError, match=r"holds notes\.txt"), staged_directory(out, overwrite=True):
        (tmp_path / "notes.txt").rename(out / "notes.txt")  # while the job runs
    assert names(out) == ["notes.txt", "phi.tsv", "summary.json"]
    assert (out / "phi.tsv").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_job_may_name_what_it_writes(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "slice_12.tif").write_text("old")
    with staged_directory(tmp_path / "out", overwrite=True, replaces=("slice_*.tif",)) as part:
        (part / "slice_1.tif").write_text("new")
    assert names(tmp_path / "out") == ["slice_1.tif"]


def test_a_path_inside_a_file_or_of_the_wrong_kind_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    cases = [(staged_file, "file/a.txt"), (staged_directory, "file/deep/out"), (staged_file, "folder"),
             (staged_directory, "file")]  # fmt: skip
    for stage, name in cases:
        with pytest.raises(InputError, match=r"is a f"), stage(tmp_path / name, overwrite=True):
            pytest.fail("it was entered")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device while writing"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk quota exceeded while writing"),
        (OSError(errno.EROFS, "Read-only"), "read-only file system"),
        (OSError("12000 requested and 9856 written"), "no space left on device while writing"),
        (RuntimeError("write failed (os error 28)"), "no space left on device while writing"),
        (OSError("something else"), "something else"),
    ],
)
def test_what_the_system_refuses_is_one_clear_line(error, text, tmp_path):
    with pytest.raises(ResourceError, match=text) as caught:
        fail(staged_file, tmp_path / "a.tif", error)
    assert "a.tif" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_no_permission_is_a_resource_error(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # no permission stops root
    try:
        for stage, name in ((staged_file, "a.txt"), (staged_directory, "x/y")):
            with pytest.raises(ResourceError, match="no permission to write"), stage(closed / name) as part:
                part.write_text("x")
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o755)
    assert names(closed) == []


def test_files_get_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("x")
    (tmp_path / "plain_dir").mkdir()
    with staged_file(tmp_path / "a") as part:
        part.write_text("x")
    with staged_directory(tmp_path / "d"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "d").stat().st_mode == (tmp_path / "plain_dir").stat().st_mode


def test_a_link_keeps_pointing_to_what_is_replaced(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "phi.tsv").write_text("old")
    for name in ("file", "folder"):
        (tmp_path / f"{name}_link").symlink_to(tmp_path / name)
    with staged_file(tmp_path / "file_link", overwrite=True) as part:
        part.write_text("new")
    with staged_directory(tmp_path / "folder_link", overwrite=True) as part:
        (part / "summary.json").write_text("new")
    assert (tmp_path / "file").read_text() == "new"
    assert names(tmp_path / "folder") == ["summary.json"]
    assert names(tmp_path) == ["file", "file_link", "folder", "folder_link"]
    assert (tmp_path / "folder_link").is_symlink()


@pytest.mark.parametrize("name", [".", "./", ".."])
def test_the_folder_one_stands_in_is_no_output(tmp_path, monkeypatch, name) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="folder of its own"), staged_directory(name):
        pass
    assert not list((tmp_path / "here").iterdir())


def test_threads_that_need_the_same_new_folder_share_it(tmp_path):
    for turn in range(20):
        paths = [tmp_path / str(turn) / "deep" / f"{number}.txt" for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda path: write_text(path, path.name), paths))
        assert names(tmp_path / str(turn) / "deep") == [path.name for path in paths]


def test_a_target_is_refused_before_the_job(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("x")
    for name, words in (
        ("here", "already exists"),
        ("", "is a folder"),
        ("here/below", "is a file"),
        ("here/a/b", "is a file"),
    ):
        with pytest.raises(InputError, match=words):
            check_target(tmp_path / name)
    check_target(tmp_path / "here", overwrite=True)
    check_target(tmp_path / "new" / "folder" / "file")
    assert [one.name for one in tmp_path.iterdir()] == ["here"]
    with pytest.raises(ResourceError, match=r"no permission|could not be written|read-only|choose another"):
        check_target("/proc/voltome/file")

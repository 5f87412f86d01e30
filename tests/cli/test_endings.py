"""How a command ends: exit code and one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from voltome.cli.endings import BUG, STOPPED, USER, end_with
from voltome.errors import InputError, ResourceError


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("correlate", "a", "b", "--out", "c", "--node-spacing", "abc"), "--node-spacing must be a whole number (got"),
        (("correlate", "a", "b", "--out", "c", "--grey-low", "dark"), "--grey-low must be a number (got 'dark')"),
        (("correlate", "a", "b", "--out", "c", "--pyramid", "100,x"), "--pyramid must be whole numbers"),
        (("correlate", "a", "b", "--out", "c", "--interpolation", "sinc"), "one of 'cubic', 'linear' (got 'sinc')"),
        (("convert", "a", "b", "--shape", "20,30"), "--shape must be three whole numbers z,y,x (got '20,30')"),
        (("correlate", "a"), "Missing"),
        (("corelate",), "correlate"),
        (("correlate", "a", "b", "--out", "c", "--nodespacing", "3"), "--node-spacing"),
        (("info", "a", "b"), "a does not exist"),
    ],
)  # fmt: skip
def test_bad_usage_is_one_line_and_exit_code_2(run_voltome, tmp_path, arguments, said):
    result = run_voltome(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("half_window_vox must be >= 4 (got 2): widen the window"), USER, "must be >= 4 (got 2)"),
        (InputError("a text\nof two lines"), USER, "error: a text of two lines"),
        (ResourceError("out exists: give --overwrite"), USER, "error: out exists: give --overwrite"),
        (MemoryError("Unable to allocate 9 GiB"), USER, "Unable to allocate 9 GiB"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/phi.tsv"),
            USER,
            "No space left on device (out/phi.tsv)",
        ),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "out"), USER, "permissions"),
        (KeyboardInterrupt(), STOPPED, "stopped: nothing was left half-written"),
        (ZeroDivisionError("division by zero"), BUG, "bug in voltome (ZeroDivisionError: division by zero)"),
    ],
)
def test_every_failure_is_one_line_with_its_exit_code(capfd, monkeypatch, error, code, said):
    monkeypatch.delenv("VOLTOME_DEBUG", raising=False)
    assert end_with(error) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_debug_shows_the_traceback_before_the_line(capfd, monkeypatch):
    monkeypatch.setenv("VOLTOME_DEBUG", "1")
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        end_with(error)
    err = capfd.readouterr().err
    assert err.startswith("Traceback")
    assert "this is a bug in voltome" in err.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_not_answered(environment):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "voltome", "--help"], env=environment, stdout=write, stderr=subprocess.PIPE, timeout=120
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 1

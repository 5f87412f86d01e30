"""Bars: on a terminal only, after a while only, never under --quiet."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

JOB = """
import sys, time
from voltome.cli.progress import show_progress
with show_progress(quiet={quiet}) as on_progress:
    for done in range(1, 5):
        time.sleep({pause})
        on_progress("correlation", done, 8)
"""


def _stderr_on_a_terminal(environment: dict[str, str], code: str) -> str:
    """What a new Python writes on stderr when that is a terminal."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], env={**environment, "TERM": "xterm"}, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux: the other end has gone
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return shown.decode()


def test_a_long_job_shows_stage_count_rate_and_time_left(environment):
    shown = _stderr_on_a_terminal(environment, JOB.format(quiet=False, pause=0.5))
    assert "correlation" in shown
    assert "4/8" in shown
    assert "/s" in shown
    assert "0:00:0" in shown


@pytest.mark.parametrize(("quiet", "pause"), [(False, 0.05), (True, 0.5)])
def test_a_short_or_quiet_job_shows_nothing(environment, quiet: bool, pause: float):
    assert _stderr_on_a_terminal(environment, JOB.format(quiet=quiet, pause=pause)) == ""


def test_nothing_is_shown_where_stderr_is_no_terminal(python):
    result = python(JOB.format(quiet=False, pause=0.5))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_error_inside_passes_and_leaves_no_thread(environment):
    code = """
import threading, time
from voltome.cli.progress import show_progress
try:
    with show_progress() as on_progress:
        on_progress("correlation", 0, 0)
        time.sleep(2)
        raise ValueError
except ValueError:
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(timeout=30)
    assert threading.active_count() == 1
else:
    raise SystemExit("the error was lost")
"""
    assert "correlation" in _stderr_on_a_terminal(environment, code)

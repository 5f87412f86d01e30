"""The lock of a run: one process at a time, named; free when it dies, whatever it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from voltome.errors import InputError, ResourceError
from voltome.io import hold_lock, lock_holder

HOLDER = """
import os, sys, time
from voltome.io import hold_lock
with hold_lock(sys.argv[1]):
    child = os.fork() if "fork" in sys.argv else 1
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


def start_holder(path, *options):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path), *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_process_is_refused_with_the_name_of_the_first(tmp_path):
    path = tmp_path / "results" / "run" / "lock"
    process, _ = start_holder(path)
    try:
        with pytest.raises(InputError) as caught, hold_lock(path):
            pass
        assert lock_holder(path) == process.pid
    finally:
        end(process)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'results'} is being run by process {process.pid} since 20")
    assert message.endswith(": wait for it or stop it") and "\n" not in message


def test_a_killed_process_lets_go(tmp_path):
    path = tmp_path / "run" / "lock"
    process, _ = start_holder(path)
    end(process)
    assert lock_holder(path) is None
    with hold_lock(path):
        assert lock_holder(path) == os.getpid()


def test_a_forked_child_does_not_hold_on_for_its_killed_parent(tmp_path):
    path = tmp_path / "run" / "lock"
    process, child = start_holder(path, "fork")
    try:
        end(process)
        with hold_lock(path):
            assert lock_holder(path) == os.getpid()
    finally:
        os.kill(child, signal.SIGKILL)


def test_one_process_cannot_hold_it_twice(tmp_path):
    path = tmp_path / "run" / "lock"
    with hold_lock(path):
        with pytest.raises(InputError, match=f"process {os.getpid()}"), hold_lock(path):
            pass
        assert lock_holder(path) == os.getpid()
    assert lock_holder(path) is None


def test_an_error_inside_lets_go(tmp_path):
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), hold_lock(path):
        _ = 1 / 0
    with hold_lock(path):
        assert lock_holder(path) == os.getpid()


def test_no_file_is_no_holder_and_none_is_made(tmp_path):
    assert lock_holder(tmp_path / "run" / "lock") is None
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="could not be opened"), hold_lock(tmp_path / "file" / "lock"):
        pass

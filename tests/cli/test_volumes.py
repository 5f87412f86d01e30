"""`voltome convert` and `voltome info`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

GREY = np.random.default_rng(5).integers(0, 60000, (7, 11, 13), dtype=np.uint16)


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, GREY)
    return path


def test_info_tells_shape_type_and_range(run_voltome, stack):
    result = run_voltome("info", stack)
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert result.returncode == 0
    assert lines["shape"] == "7, 11, 13"
    assert lines["dtype"] == "uint16"
    assert (lines["minimum"], lines["maximum"]) == (str(GREY.min()), str(GREY.max()))
    assert lines["voxel_size_m"] == "unknown"


def test_convert_keeps_every_voxel(run_voltome, stack, tmp_path):
    result = run_voltome("convert", stack, tmp_path / "grey.npy")
    assert (result.returncode, result.stderr) == (0, "")
    np.testing.assert_array_equal(np.load(tmp_path / "grey.npy"), GREY)


def test_raw_is_read_with_shape_and_dtype(run_voltome, tmp_path):
    GREY.astype(">u2").tofile(tmp_path / "grey.raw")
    result = run_voltome("convert", "grey.raw", "grey.npy", "--shape", "7,11,13", "--dtype", ">u2")
    assert result.returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "grey.npy"), GREY)


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_may_stand_before_or_after_the_command(run_voltome, stack, tmp_path, place):
    command = ["convert", stack, tmp_path / "grey.npy"]
    result = run_voltome("--quiet", *command) if place == "before" else run_voltome(*command, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (tmp_path / "grey.npy").exists()


def test_an_existing_target_is_kept_without_overwrite(run_voltome, stack, tmp_path):
    target = tmp_path / "grey.npy"
    target.write_text("precious")
    refused = run_voltome("convert", stack, target)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert target.read_text() == "precious"
    assert run_voltome("convert", stack, target, "--overwrite").returncode == 0
    np.testing.assert_array_equal(np.load(target), GREY)


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.tif", b""), ("text.tif", b"no tiff at all\n"), ("cut.tif", None), ("data.h5", b""), ("missing.tif", None)],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(run_voltome, stack, tmp_path, name, content):
    if name == "cut.tif":
        content = stack.read_bytes()[:-700]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    result = run_voltome("convert", name, "out.npy")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_leaves_nothing_half_written(environment, tmp_path):
    with open(tmp_path / "large.raw", "wb") as file:
        file.truncate(600 * 1000 * 1000)
    # A shell that starts a job in the background makes it ignore Ctrl-C; this one shall not.
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from voltome.cli import main
sys.exit(main({["convert", "large.raw", "out.npy", "--shape", "600,1000,1000", "--dtype", "uint8"]}))
"""
    job = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    while len(list(tmp_path.iterdir())) < 2 and job.poll() is None:
        time.sleep(0.001)
    job.send_signal(signal.SIGINT)
    out, err = job.communicate(timeout=60)
    assert (job.returncode, out, err) == (130, b"", b"stopped: nothing was left half-written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["large.raw"]

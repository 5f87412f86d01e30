"""`voltome convert` and `voltome info`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from voltome.io import write_nxtomo
from voltome.optics import Geometry, find_wavelength

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


@pytest.fixture
def radiographs(tmp_path):
    geometry = Geometry(find_wavelength(29.6), 0.05, 0.6, 0.65e-6)
    frames = np.random.default_rng(4).integers(100, 900, (24, 3, 4), dtype=np.uint16)
    frames[1] += 1000
    angles = np.radians([0, 0, 0, *(9.0 * np.arange(21))])
    path = tmp_path / "scan.nx"
    write_nxtomo(path, [frames], kinds=[2, 1, 3] + [0] * 21, angles_rad=angles, geometry=geometry)
    return path


def test_info_tells_frames_and_geometry_of_radiographs(run_voltome, radiographs):
    result = run_voltome("info", radiographs, radiographs, "--distance", "0.05,0.6", "--distance", "inf,0.7")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert (result.returncode, result.stderr) == (0, "")
    assert lines[0] == f"distance 1: {radiographs}::/entry0000"
    assert lines.count("projections: 21") == 2
    for line in ("energy_kev: 29.6", "magnification: 13", "pixel_m: 5e-08", "source_sample_m: inf", "effective_m: 0.7"):
        assert line in lines


def test_info_of_radiographs_as_json_takes_what_the_file_lacks(run_voltome, radiographs):
    result = run_voltome("info", radiographs, "--json", "--energy-kev", 17, "--angles-deg", "0,100")
    (distance,) = json.loads(result.stdout)["distances"]
    assert distance["energy_kev"] == pytest.approx(17)
    assert distance["angles_deg"] == pytest.approx([0, 100])
    assert "less than half a turn" in json.loads(result.stdout)["warnings"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--energy-kev", "29600"], "it looks like eV, give 29.6"),
        (["--distance", "0.05"], "--distance must be two numbers separated by a comma"),
    ],
)
def test_info_says_what_is_wrong_with_radiographs_in_one_line(run_voltome, radiographs, options, message):
    result = run_voltome("info", radiographs, *options)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
    assert message in result.stderr


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

"""Bad input through the real command: one clear line, exit code 2, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import tifffile

from voltome import twin
from voltome.cli import main
from voltome.io import write_phi_tsv, write_volume

SHAPE = (48, 44, 52)
MOTION = twin.make_rigid_motion(displacement_vox=(1.4, -0.6, 2.2))
SMALL = ("--node-spacing", "16", "--half-window", "10", "--no-report")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """A good pair, and everything that can be wrong with one."""
    folder = tmp_path_factory.mktemp("inputs")
    pair = twin.make_speckle_pair(SHAPE, MOTION)
    good = (pair.reference * 10000).astype(np.uint16)
    write_volume(folder / "a.tif", good)
    write_volume(folder / "b.tif", (pair.deformed * 10000).astype(np.uint16))
    tifffile.imwrite(folder / "shorter.tif", good[:-1])
    tifffile.imwrite(folder / "plane.tif", good[0])
    tifffile.imwrite(folder / "constant.tif", np.full(SHAPE, 7, dtype=np.uint8))
    holed = pair.deformed.copy()
    holed[20, 21, 22] = np.nan
    arrays = {"plane": good[0], "empty": good[:0], "constant": np.ones(SHAPE), "holed": holed,
              "all_nan": np.full(SHAPE, np.nan), "complex": pair.reference.astype(np.complex64),
              "heavy": np.where(good > np.median(good), 5.0, 0.0),
              "nothing": np.zeros(SHAPE, dtype=np.uint8), "corner": np.zeros(SHAPE, dtype=np.uint8),
              "objects": good.astype("U5")}  # fmt: skip
    arrays["corner"][:2, :2, :2] = 1
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "zero.tif").write_bytes(b"")
    (folder / "cut.tif").write_bytes((folder / "b.tif").read_bytes()[:-9000])
    (folder / "text.tif").write_text("These are no voxels.\n" * 40)
    with h5py.File(folder / "b.h5", "w") as file:
        file["entry/data"], file["entry/other"] = pair.deformed, pair.deformed
    (folder / "garbage.tsv").write_bytes(bytes(range(256)) * 8)
    (folder / "words.tsv").write_text("this is\tno table\n1\t2\n")
    (folder / "empty.tsv").write_text("")
    truth = twin.true_field(MOTION, np.array([[20.0, 20, 20], [20, 20, 30]]))
    write_phi_tsv(folder / "nan.tsv", truth.with_values(phi=np.full((2, 4, 4), np.nan)))
    write_phi_tsv(folder / "phi.tsv", truth)
    (folder / "short_row.tsv").write_text((folder / "phi.tsv").read_text()[:-60] + "\n")
    (folder / "a_folder").mkdir()
    return folder


def _refused(capfd, arguments):
    """Run a command that has to be refused; returns its one line."""
    code = main([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    assert (code, out) == (2, ""), err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert "Traceback" not in err and "bug" not in err
    assert ": " in err.removeprefix("error: ")  # ... and the next step
    return err


@pytest.mark.parametrize(
    ("reference", "deformed", "options", "said"),
    [
        ("a.tif", "shorter.tif", (), "one shape (got (48, 44, 52) and (47, 44, 52))"),
        ("plane.npy", "plane.npy", (), "two-dimensional, shape (44, 52)"),
        ("plane.tif", "plane.tif", (), "two-dimensional, shape (44, 52)"),
        ("empty.npy", "empty.npy", (), "empty"),
        ("constant.npy", "b.tif", (), "reference volume is constant (grey value 1)"),
        ("a.tif", "constant.tif", (), "deformed volume is constant (grey value 7)"),
        ("a.tif", "holed.npy", (), "holds NaN or infinity"),
        ("holed.npy", "b.tif", ("--mask", "a.tif"), "holds NaN or infinity"),
        ("a.tif", "all_nan.npy", (), "no finite grey value"),
        ("a.tif", "complex.npy", (), "complex"),
        ("a.tif", "objects.npy", (), "objects.npy"),
        ("a.tif", "zero.tif", (), "zero.tif"),
        ("a.tif", "cut.tif", (), "cut.tif"),
        ("a.tif", "text.tif", (), "text.tif"),
        ("a.tif", "missing.tif", (), "missing.tif does not exist"),
        ("a.tif", "a_folder", (), "a_folder"),
        ("a.tif", "b.h5", (), "::/entry/data"),
        ("a.tif", "b.h5::/entry/nothing", (), "/entry/nothing"),
        ("a.tif", "phi.tsv", (), "phi.tsv"),
        ("a.tif", "b.tif", ("--mask", "shorter.tif"), "mask must have the volume's shape"),
        ("a.tif", "b.tif", ("--mask", "nothing.npy"), "the mask covers no voxel"),
        ("a.tif", "b.tif", ("--mask", "heavy.npy"), "weights from 0 to 1 (got 0 to 5)"),
        ("a.tif", "b.tif", ("--mask", "missing.npy"), "missing.npy does not exist"),
        ("a.tif", "b.tif", ("--node-spacing", "0"), "node spacing must be >= 1"),
        ("a.tif", "b.tif", ("--node-spacing", "-7"), "node spacing must be >= 1"),
        ("a.tif", "b.tif", ("--node-spacing", "abc"), "(got 'abc')"),
        ("a.tif", "b.tif", ("--node-spacing", "16.5"), "whole number"),
        ("a.tif", "b.tif", ("--node-spacing", "44", "--half-window", "10"), "shortest side"),
        ("a.tif", "b.tif", ("--half-window", "1"), "half window must be >= 4 voxels (got 1)"),
        ("a.tif", "b.tif", ("--half-window", "30"), "the window of 2 x 30 + 1 voxels must fit"),
        ("a.tif", "b.tif", ("--node-spacing", "30"), "the window of 2 x 30 + 1 voxels must fit"),
        ("a.tif", "b.tif", (), "the window of 2 x 35 + 1 voxels must fit"),
        ("a.tif", "b.tif", ("--pyramid", "10,20"), "must decrease (got 10,20)"),
        ("a.tif", "b.tif", ("--pyramid", "30,10"), "the window of 2 x 30 + 1 voxels must fit"),
        ("a.tif", "b.tif", ("--pyramid", "20,10", "--node-spacing", "16"), "must end in the node spacing 16"),
        ("a.tif", "b.tif", ("--pyramid", "ten"), "--pyramid must be whole numbers"),
        ("a.tif", "b.tif", ("--initial-phi", "missing.tsv"), "missing.tsv does not exist"),
        ("a.tif", "b.tif", ("--initial-phi", "garbage.tsv"), "garbage.tsv is not a text file"),
        ("a.tif", "b.tif", ("--initial-phi", "words.tsv"), "SPAM's columns"),
        ("a.tif", "b.tif", ("--initial-phi", "empty.tsv"), "empty.tsv is empty"),
        ("a.tif", "b.tif", ("--initial-phi", "short_row.tsv"), "line 3"),
        ("a.tif", "b.tif", ("--initial-phi", "nan.tsv"), "NaN"),
        ("a.tif", "b.tif", ("--initial-phi", "a.tif"), "not a text file"),
        ("a.tif", "b.tif", ("--interpolation", "sinc"), "'cubic', 'linear' (got 'sinc')"),
        ("a.tif", "b.tif", ("--threads", "0"), "threads must be >= 1 (got 0)"),
        ("a.tif", "b.tif", ("--voxel-size-m", "0"), "voxel"),
        ("a.tif", "b.tif", ("--voxel-size-m", "nan"), "voxel"),
        ("a.tif", "b.tif", ("--voxel-size-m", "small"), "must be a number"),
        ("a.tif", "b.tif", ("--min-coverage", "1.5"), "min_coverage"),
        ("a.tif", "b.tif", ("--max-iterations", "0"), "max_iterations"),
        ("a.tif", "b.tif", ("--grey-low", "9", "--grey-high", "3"), "grey window"),
        ("a.tif", "b.tif", ("--median-radius", "-1"), "smoothing must be 0 to 20"),
        ("a.tif", "b.tif", ("--gaussian-sigma", "-1"), "smoothing must be 0 to 20"),
        ("a.tif", "b.tif", ("--measure", "true"), "--measure"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_nothing(
    inputs, tmp_path, capfd, monkeypatch, reference, deformed, options, said
):
    monkeypatch.chdir(inputs)
    before = sorted(inputs.iterdir())
    sized = any(name in ("--node-spacing", "--pyramid", "--half-window") for name in options) or "35" in said
    words = options if sized else (*SMALL, *options)
    line = _refused(capfd, ["correlate", reference, deformed, "--out", tmp_path / "deep" / "out", *words])
    assert said in line
    assert list(tmp_path.iterdir()) == []
    assert sorted(inputs.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("deform", "missing.tif", "phi.tsv"), "missing.tif does not exist"),
        (("deform", "a.tif", "missing.tsv"), "missing.tsv does not exist"),
        (("deform", "a.tif", "nan.tsv"), "no finite Phi"),
        (("deform", "complex.npy", "phi.tsv"), "complex"),
        (("deform", "plane.npy", "phi.tsv"), "two-dimensional"),
        (("residual", "a.tif", "shorter.tif", "phi.tsv"), "one shape"),
        (("residual", "a.tif", "b.tif", "garbage.tsv"), "garbage.tsv"),
        (("residual", "a.tif", "b.tif", "nan.tsv"), "no finite Phi"),
        (("residual", "a.tif", "cut.tif", "phi.tsv"), "cut.tif"),
        (("strain", "missing.tsv"), "missing.tsv does not exist"),
        (("strain", "phi.tsv"), "two nodes on each axis"),
        (("strain", "phi.tsv", "--measure", "true"), "--measure"),
        (("strain", "phi.tsv", "--radius", "0.5"), "two nodes|radius"),
    ],
)
def test_the_commands_that_follow_refuse_as_clearly(inputs, tmp_path, capfd, monkeypatch, command, said):
    monkeypatch.chdir(inputs)
    line = _refused(capfd, [*command, "--out", tmp_path / ("out" if command[0] == "strain" else "out.tif")])
    assert any(part in line for part in said.split("|"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_refused_before_anything_is_read_and_kept(inputs, tmp_path, capfd):
    (tmp_path / "phi.tsv").write_text("precious")
    command = ["correlate", inputs / "missing.tif", inputs / "b.tif", "--out", tmp_path, *SMALL]
    assert "already exists" in _refused(capfd, command)
    assert [path.name for path in tmp_path.iterdir()] == ["phi.tsv"]
    assert (tmp_path / "phi.tsv").read_text() == "precious"


def test_overwrite_replaces_results_and_never_anything_else(inputs, tmp_path, capfd):
    out = tmp_path / "out"
    out.mkdir()
    (out / "phi.tsv").write_text("old")
    command = ["correlate", str(inputs / "a.tif"), str(inputs / "b.tif"), "--out", str(out), *SMALL, "--overwrite"]
    assert main([*command, "--quiet"]) == 0
    assert (out / "phi.tsv").read_text().startswith("NodeNumber")
    (out / "notes.txt").write_text("precious")
    assert "notes.txt" in _refused(capfd, command)
    assert (out / "notes.txt").read_text() == "precious"


def test_a_failed_run_keeps_the_results_that_overwrite_would_have_replaced(inputs, tmp_path, capfd):
    (tmp_path / "phi.tsv").write_text("old")
    command = ["correlate", inputs / "a.tif", inputs / "constant.tif", "--out", tmp_path, *SMALL, "--overwrite"]
    assert "constant" in _refused(capfd, command)
    assert [path.name for path in tmp_path.iterdir()] == ["phi.tsv"]


@pytest.mark.parametrize("place", ["a.tif/out", "/proc/voltome/out"])
def test_a_place_that_cannot_be_written_is_told_at_once(inputs, capfd, monkeypatch, place):
    if place.startswith("/proc") and not os.path.isdir("/proc"):
        pytest.skip("no /proc")
    monkeypatch.chdir(inputs)
    line = _refused(capfd, ["correlate", "a.tif", "b.tif", "--out", place, *SMALL])
    assert place.rsplit("/", 1)[0] in line


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid"), reason="permissions of POSIX")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(inputs, tmp_path, capfd):
    tmp_path.chmod(0o500)
    try:
        line = _refused(capfd, ["correlate", inputs / "a.tif", inputs / "b.tif", "--out", tmp_path / "out", *SMALL])
    finally:
        tmp_path.chmod(0o700)
    assert "permission" in line


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("command", ["correlate", "deform", "convert"])
def test_a_disk_that_takes_no_more_leaves_nothing(inputs, tmp_path, environment, command):
    """A limit on the size of files refuses a write as a full disk does."""
    arguments = {
        "correlate": ["a.tif", "b.tif", *SMALL, "--out"],
        "deform": ["a.tif", "phi.tsv", "--out"],
        "convert": ["a.tif"],
    }
    ending = "" if command == "correlate" else ".tif"
    # Compiled kernels are kept in files too: they are loaded before the limit falls.
    code = f"""
import resource, signal, sys
from voltome.cli import main
command = {[command, "--quiet", *arguments[command]]}
assert main([*command, "{tmp_path}/first{ending}"]) == 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
sys.exit(main([*command, "{tmp_path}/second{ending}"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=inputs, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "second" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"first{ending}"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_being_stopped_leaves_nothing(environment, tmp_path, sent):
    motion = twin.make_rigid_motion(displacement_vox=(2, 1, -3))
    pair = twin.make_speckle_pair((100, 96, 104), motion, noise=0.1)
    out = tmp_path / "results"
    np.save(tmp_path / "a.npy", pair.reference)
    np.save(tmp_path / "b.npy", pair.deformed)
    command = ["correlate", "a.npy", "b.npy", "--out", str(out / "deep"), "--node-spacing", "5", "--half-window", "20"]
    # A shell that starts a job in the background makes it ignore Ctrl-C; this one shall not.
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from voltome.cli import main
sys.exit(main({command}))
"""
    job = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    while not (out.is_dir() and list(out.iterdir())) and job.poll() is None:
        time.sleep(0.01)
    time.sleep(3.0)  # into the correlation, which takes longer than that
    job.send_signal(sent)
    out_text, err = job.communicate(timeout=120)
    assert (job.returncode, out_text) == (130, b"")
    assert err.splitlines()[-1] == b"stopped: nothing was left half-written"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npy"]

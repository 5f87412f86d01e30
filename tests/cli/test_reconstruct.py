"""`voltome reconstruct`, as it is typed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from voltome.cli import main
from voltome.io import read_volume

QUICK = ["--mode", "fast", "--axis-px", "37.8", "--rows", "10,14", "--slice", "48,50", "--threads", "2"]


@pytest.fixture
def scan(filmed_twin: Path) -> list[str]:
    """Radiographs of one scan at three distances."""
    return [str(filmed_twin / "radiographs" / f"T0_{number}.nx") for number in (1, 2, 3)]


@pytest.fixture
def copied(scan: list[str], tmp_path: Path) -> list[str]:
    """The same in a folder where they may be damaged."""
    return [shutil.copy(name, tmp_path) for name in scan]


def check_refused(arguments: list[str], out: Path, said: pytest.CaptureFixture[str], *words: str) -> None:
    """Exit code 2, one line that holds these words, and nothing is left."""
    before = {path.name for path in out.parent.iterdir()}
    assert main(["reconstruct", *arguments, "--out", str(out)]) == 2
    told = said.readouterr()
    assert told.out == ""
    lines = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "bug in voltome" not in lines[0]
    for word in words:
        assert word in lines[0]
    assert {path.name for path in out.parent.iterdir()} == before


def test_it_tells_what_it_found_and_where_it_wrote(
    scan: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "T0.tif"
    assert main(["reconstruct", *scan, "--out", str(out), "--slice", "48,50", "--threads", "2"]) == 0
    said = capfd.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "mode: quality; 56 angles; slices hold delta"
    assert lines[1].startswith("rotation axis: column 37.") and " +- 0.0" in lines[1] and "pairs 37." in lines[1]
    assert lines[2].startswith("distance 2: shifted by ") and "agrees with the wave to 0.9" in lines[2]
    assert lines[3].startswith("distance 3: shifted by ")
    assert any(line.startswith("opaque above row 4.") for line in lines)
    assert lines[-2].endswith(" MB at most") and lines[-1] == f"wrote {out}"
    assert read_volume(out).shape == (44, 48, 50)


def test_what_was_found_can_be_read_by_a_program(
    scan: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "T0.npy"
    assert main(["reconstruct", *scan, "--out", str(out), "--json", *QUICK]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["shape"] == [4, 48, 50] and found["quantity"] == "delta"
    assert found["axis"] == {"axis_px": 37.8, "given": True, "warning": ""}
    assert len(found["shifts"]) == len(found["corrupt_frames"]) == 3
    assert read_volume(out).shape == (4, 48, 50)


def test_quiet_says_nothing_and_no_output_is_replaced_unasked(
    scan: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "T0.tif"
    out.write_text("precious")
    check_refused([*scan, *QUICK], out, capfd, "T0.tif already exists: give another name or add --overwrite")
    assert main(["reconstruct", *scan, "--out", str(out), *QUICK, "--quiet", "--overwrite"]) == 0
    assert capfd.readouterr() == ("", "")
    assert read_volume(out).shape == (4, 48, 50)


def test_corrupt_frames_are_named(copied: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with h5py.File(copied[1], "r+") as file:
        file["entry0000/instrument/detector/data"][31] = 0
    assert main(["reconstruct", *copied, "--out", str(tmp_path / "T0.tif"), *QUICK]) == 0
    assert "distance 2: corrupt, and replaced by their neighbours: frames 31\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rings-slice", "wishes"], "rings_slice must be one of polar-median"),
        (["--rings-sinogram", "wishes"], "rings_sinogram must be one of column-median"),
        (["--axis-px", "70"], "axis_px must lie on the detector, 0 to 69 (got 70)"),
        (["--axis-px", "nan"], "axis_px must be a finite number (got nan)"),
        (["--rows", "30,45"], "rows must end at 44, the detector's last row, or before (got 45)"),
        (["--rows", "12,12"], "rows must rise from 0 or more (got [12, 12])"),
        (["--rows", "a,b"], "--rows must be whole numbers separated by commas (got 'a,b')"),
        (["--slice", "0,9"], "shape_vox[0] must be >= 1 (got 0)"),
        (["--mode", "slow"], "--mode must be one of 'fast', 'quality', 'paper', 'absorption' (got 'slow')"),
        (["--device", "abacus"], "device must be cpu, torch, cuda, cupy or torch:NAME (got 'abacus')"),
        (["--delta-beta", "0"], "delta_beta must be > 0 (got 0.0)"),
        (["--distance", "1"], "--distance must be two numbers separated by a comma (got '1')"),
        (["--distance", "0.3,0.4"], "distances_m must have a pair for each of 3 distances (got 1)"),
        (["--angles-deg", "0,90"], "angles must span half a turn to find the rotation axis"),
        (["--energy-kev", "29600"], "it looks like eV, give 29.6"),
        (["--detector-pixel-m", "0.65"], "it looks like um, give 6.5e-07"),
        (["--threads", "0"], "threads must be >= 1 (got 0)"),
    ],
)
def test_options_that_make_no_sense_are_one_line(
    scan: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    check_refused([*scan, *arguments], tmp_path / "T0.tif", capfd, said)


def test_an_unknown_suffix_is_told_before_any_work(
    scan: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    check_refused(scan, tmp_path / "T0.xyz", capfd, "no known suffix (got '.xyz')")


def test_files_that_cannot_be_read_are_one_line(
    copied: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.tif"
    check_refused([*copied[:2], str(tmp_path / "T0_9.nx")], out, capfd, "T0_9.nx does not exist")
    check_refused([f"{copied[0]}::/nowhere"], out, capfd, "has no entry /nowhere: it has /entry0000")
    (tmp_path / "notes.nx").write_text("no radiographs")
    check_refused([str(tmp_path / "notes.nx")], out, capfd, "notes.nx is not an HDF5 file or is cut short")
    os.truncate(copied[1], os.path.getsize(copied[1]) // 2)
    check_refused(copied, out, capfd, "T0_2.nx is not an HDF5 file or is cut short", "copy it again")


def test_distances_that_do_not_belong_together_are_refused(
    copied: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(copied[2], "r+") as file:
        file["entry0000/instrument/beam/incident_energy"][...] = 17.0
    check_refused(copied, tmp_path / "out.tif", capfd, "all distances must have one energy", "T0_3.nx", "17 keV")


def test_a_file_given_twice_is_refused(scan: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = [scan[0], scan[0], scan[2], *QUICK]
    check_refused(given, tmp_path / "T0.tif", capfd, "distances must differ (", "was a file named twice?")


def test_phase_without_distances_is_refused_and_absorption_is_not(
    copied: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(copied[0], "r+") as file:
        del file["entry0000/instrument/detector/distance"], file["entry0000/sample/propagation_distance"]
    check_refused([copied[0], *QUICK], tmp_path / "out.tif", capfd, "mode fast needs energy, detector pixel", "T0_1.nx")
    assert main(["reconstruct", copied[0], "--out", str(tmp_path / "out.tif"), *QUICK[2:]]) == 0
    assert "mode: absorption; 56 angles; slices hold attenuation_per_pixel" in capfd.readouterr().out


def test_ctrl_c_leaves_nothing_behind(scan: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "voltome", "reconstruct", *scan, "--out", str(tmp_path / "T0.tif"), "--quiet"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    check_begins(process, lambda: any(path.suffix == ".raw" for path in tmp_path.glob(".T0.tif.*/*")))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def check_begins(process: subprocess.Popen[str], begun: Callable[[], bool]) -> None:
    """The process is at work before it ends."""
    while not begun():
        assert process.poll() is None
        time.sleep(0.01)

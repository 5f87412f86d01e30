"""`voltome watch`, as it is typed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from voltome import twin
from voltome.cli import main
from voltome.cli.watch import arrival_line
from voltome.study.arrival import Arrival, GreyLook
from voltome.study.drift import Drift


@pytest.fixture
def film(tmp_path):
    """A study of two scans, one of which is moved by a tenth of a micrometre along x."""
    motion = twin.make_affine_motion(np.diag([1.02, 1.0, 1.0]), displacement_vox=(0.0, 0.0, 2.0))
    pair = twin.make_speckle_pair((48, 40, 44), motion, noise=0.03)
    for name, volume in (("T0", pair.reference), ("T1", pair.deformed)):
        np.save(tmp_path / f"{name}.npy", np.clip(20000 + 8000 * volume, 1, 65534).astype(np.uint16))
    (tmp_path / "study.yaml").write_text(
        "voxel_size_m: 5e-8\n"
        "scans: [{name: T0, volume: T0.npy}, {name: T1, volume: T1.npy}]\n"
        "electrode: {region_m: all}\n"
        "correlation: {node_spacing_vox: 8, half_window_vox: 8}\n"
        "watch: {settle_s: 0, poll_s: 0.05}\n"
    )
    return tmp_path


def test_a_line_tells_each_verdict_and_each_strain(film, capfd):
    assert main(["watch", str(film)]) == 0
    said = capfd.readouterr()
    lines = said.out.splitlines()
    assert lines.pop() == f"report: {film / 'results' / 'report.html'}"
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines)
    start, first, second, strain = (line[10:] for line in lines)
    assert start == f"watching 2 scans for {film / 'results'}; Ctrl-C ends"
    assert re.fullmatch(r"T0: GO, 0\.0% saturated \(\d+\.\d s after it was there\)", first)
    assert re.match(r"T1: GO, drift 0\.1\d um since T0, noise 1\.0\d times the first scan's, 0\.0% saturated", second)
    assert re.fullmatch(r"T1: volumetric strain \+(1\.9|2\.0)\d% \+- 0\.\d\d%", strain)
    assert (film / "results" / "report.html").exists()


def test_programs_get_a_line_of_json_for_each_event(film, capfd):
    study = film / "study.yaml"
    study.write_text(study.read_text().replace("poll_s: 0.05", "poll_s: 0.05, most_drift_m: 5.0e-8"))
    assert main(["watch", str(study), "--out", str(film / "out"), "--json", "--threads", "1"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["start", "arrival", "arrival", "strain"]
    assert (events[2]["scan"], events[2]["go"]) == ("T1", False)
    assert events[2]["arrival"]["drift"]["translation_m"][2] == pytest.approx(1e-7, rel=0.05)
    assert events[3]["strain_volumetric"] == pytest.approx(np.log(1.02), abs=1e-3)


def test_a_scan_that_fails_ends_in_code_2(film, capfd):
    np.save(film / "T1.npy", np.zeros((30, 30, 30), dtype=np.uint16))
    assert main(["watch", str(film)]) == 2
    said = capfd.readouterr()
    assert "T1: NO-GO, nearly all of its voxels have one grey value (0); " in said.out
    assert "warning: volumes/T1 failed: " in said.err
    assert said.err.splitlines()[-1].endswith("results failed: mend the cause and run again, the rest is kept")


def test_ctrl_c_ends_a_watch_that_waits(film, environment):
    (film / "T1.npy").unlink()
    command = [sys.executable, "-m", "voltome", "watch", str(film), "--threads", "1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            if "T0: GO" in line:
                break
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors.splitlines() == ["stopped: nothing was left half-written"]
    assert list((film / "results").rglob(".*")) == []


def test_quiet_tells_only_what_went_wrong(film, capfd):
    assert main(["watch", str(film), "--quiet", "--stop-after", "1"]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_study_that_is_missing_is_one_line(tmp_path, capfd):
    assert main(["watch", str(tmp_path)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "study.yaml does not exist" in line
    assert list(tmp_path.iterdir()) == []


def test_the_verdict_in_words():
    grey = GreyLook((9, 9, 9), 0.0, 0.001, 0.002, 3e4, 2e4, 0.04, (0, 8))
    drift = Drift((3e-7, 0.0, -4e-7), (0.1, 0.0, 0.0), 1.001, 0.9)
    assert arrival_line(Arrival("T3", (), grey, 1.1, drift, "T2")) == (
        "T3: GO, drift 0.50 um since T2, noise 1.10 times the first scan's, 0.3% saturated"
    )
    assert arrival_line(Arrival("T4", ("it is cold", "and dark"))) == "T4: NO-GO, it is cold; and dark"

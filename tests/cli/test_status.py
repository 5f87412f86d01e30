"""`voltome status`, as it is typed."""

from __future__ import annotations

import json

import pytest

from voltome import io
from voltome.cli import main
from voltome.study.marks import Mark, write_mark


@pytest.fixture
def store(tmp_path):
    """Results of a study of which a part is made."""
    folder = tmp_path / "results"
    for name, size in (("volumes/T0", 4000), ("volumes/T1", 4500), ("increments/T0-T1", 120)):
        step, subject = name.split("/")
        files = {f"{name}/summary.json": (size, "0" * 64)}
        write_mark(folder, Mark(step, subject, 1, "0.1", "1" * 64, {}, {}, {}, files))
    effort = {"blocks": 4, "retries": 0, "cpu_s": 3.25, "seconds": 2.0}
    results = {
        "volumes/T0": {"state": "kept"},
        "volumes/T1": {"state": "done", "blocks_done": 4} | effort,
        "increments/T0-T1": {"state": "done", "blocks_done": 4} | effort | {"retries": 2},
        "increments/T1-T2": {"state": "running", "blocks_done": 3} | effort,
        "cumulative/T1": {"state": "failed", "cause": "T1 has no trusted\nnode"},
        "cumulative/T2": {"state": "held up", "cause": "waits for increments/T1-T2"},
        "report/all": {"state": "waiting"},
    }
    run = {"state": "running", "process": 1, "started": "2026-11-23T04:50:43+00:00", "seconds": 259.3}
    io.write_json(folder / "run" / "run.json", run | {"results": results})
    return folder


def test_each_step_is_a_line_and_what_went_wrong_is_named(store, capfd):
    assert main(["status", str(store)]) == 0
    said = capfd.readouterr()
    assert said.out.splitlines() == [
        f"{store}: killed: run again to go on; last run began 2026-11-23T04:50:43+00:00",
        "step        done  interrupted  waiting  failed  held up  of  seconds  CPU s        blocks     size",
        "volumes        2                                          2      2.0    3.2             4   8.5 kB",
        "increments     1            1                             2      4.0    6.5   7 (2 again)    120 B",
        "cumulative     0                             1        1   2                                    0 B",
        "report         0                     1                    1                                    0 B",
        "all            3            1        1       1        1   7      6.0    9.8  11 (2 again)  8.62 kB",
        "interrupted: increments/T1-T2, 3 of 4 blocks, 2 s",
        "failed: cumulative/T1: T1 has no trusted node",
        "held up: cumulative/T2: waits for increments/T1-T2",
    ]
    assert said.err == ""


def test_a_run_that_goes_on_is_said_with_its_process(store, capfd):
    with io.hold_lock(store / "run" / "lock"), io.hold_lock(store / "run" / "watch"):
        assert main(["status", str(store)]) == 0
    first, *others = capfd.readouterr().out.splitlines()
    assert first.startswith(f"{store}: running (process ")
    assert "; last run began 2026-11-23T04:50:43+00:00, 259 s; watched (process " in first
    assert "running: increments/T1-T2, 3 of 4 blocks, 2 s" in others


def test_json_holds_every_result(store, capfd):
    assert main(["status", str(store), "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert (answer["run"], answer["process"]) == ("killed", None)
    states = {result["name"]: result["state"] for result in answer["results"]}
    assert states["increments/T1-T2"] == "interrupted" and len(states) == 7


def test_many_that_failed_are_counted(store, capfd):
    run = io.read_json(store / "run" / "run.json")
    run["results"] |= {f"direct/T{t}": {"state": "failed", "cause": "disk"} for t in range(25)}
    io.write_json(store / "run" / "run.json", run, overwrite=True)
    assert main(["status", str(store)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert sum(line.startswith("failed: ") for line in lines) == 21
    assert "failed: 6 more (--json lists them)" in lines


def test_a_folder_that_is_no_store_is_one_line(tmp_path, capfd):
    assert main(["status", str(tmp_path)]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line == f"error: {tmp_path} holds no study's results: give the folder that `voltome run` wrote, its --out"

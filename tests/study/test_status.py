"""How far a study is: told from its marks and from what the last run said of itself."""

from __future__ import annotations

import shutil

import pytest

from voltome import io
from voltome.errors import InputError
from voltome.io.natural_order import natural_key
from voltome.study.marks import find_marks, read_mark, remove_result
from voltome.study.status import read_status


@pytest.fixture
def store(speckle_store, tmp_path):
    """A copy of a finished study's results that a test may spoil."""
    return shutil.copytree(speckle_store, tmp_path / "store")


def change_run(store, state, **results):
    """Have the run say something else of itself; `step__subject` names a result."""
    said = io.read_json(store / "run" / "run.json")
    said["state"] = state
    for name, values in results.items():
        said["results"][name.replace("__", "/").replace("_", "-")] = values
    io.write_json(store / "run" / "run.json", said, overwrite=True)


def states(status):
    return {result.name: result.state for result in status.results}


def test_a_finished_study_is_done_with_its_costs_and_sizes(store):
    found = read_status(store)
    assert (found.run, found.process, found.watched_by) == ("done", None, None)
    assert {result.name for result in found.results} == set(find_marks(store))
    assert found.count("done") == len(found.results)
    results = {result.name: result for result in found.results}
    increment = results["increments/T0-T1"]
    assert increment.blocks == increment.blocks_done > 0
    assert increment.cpu_s > 0 and increment.seconds > 0
    files = (store / "increments" / "T0-T1").rglob("*")
    assert increment.size_bytes == sum(path.stat().st_size for path in files if path.is_file())
    assert found.size_bytes == sum(read_mark(store, name).size_bytes for name in results)
    assert found.cpu_s == pytest.approx(sum(result.cpu_s or 0 for result in found.results))


def test_results_stand_in_the_order_in_which_they_are_made(store):
    steps = list(dict.fromkeys(result.step for result in read_status(store).results))
    assert steps == [
        "grey", "series", "volumes", "region", "alignment", "surface", "increments", "noise", "cumulative", "direct",
        "electrode", "tables", "figures", "movie", "report",
    ]  # fmt: skip


def test_a_run_that_goes_on_is_told_with_its_process(store):
    remove_result(store, "increments/T0-T1")
    change_run(
        store,
        "running",
        increments__T0_T1={"state": "running", "blocks": 9, "blocks_done": 4, "retries": 1, "cpu_s": 2.5, "seconds": 3},
        cumulative__T1={"state": "waiting"},
    )
    with io.hold_lock(store / "run" / "lock"):
        found = read_status(store)
    assert found.run == "running" and found.process > 0
    assert states(found)["increments/T0-T1"] == "running"
    assert states(found)["cumulative/T1"] == "waiting", "it stands, but may have to be made again"
    assert states(found)["region/T0"] == "done"
    (running,) = [result for result in found.results if result.state == "running"]
    assert (running.blocks, running.blocks_done, running.retries, running.cpu_s) == (9, 4, 1, 2.5)


def test_a_run_that_was_killed_is_told_so(store):
    remove_result(store, "increments/T0-T1")
    change_run(
        store, "running", increments__T0_T1={"state": "running", "blocks": 9}, cumulative__T1={"state": "waiting"}
    )
    found = read_status(store)
    assert (found.run, found.process) == ("killed", None)
    assert states(found)["increments/T0-T1"] == "interrupted"
    assert states(found)["cumulative/T1"] == "done"


def test_what_failed_is_told_with_its_cause(store):
    for name in ("increments/T0-T1", "cumulative/T1"):
        remove_result(store, name)
    change_run(
        store,
        "failed",
        increments__T0_T1={"state": "failed", "cause": "the reference volume is constant"},
        cumulative__T1={"state": "held up", "cause": "waits for increments/T0-T1"},
    )
    found = read_status(store)
    assert found.run == "failed"
    causes = {result.name: (result.state, result.cause) for result in found.results if result.cause}
    assert causes == {
        "increments/T0-T1": ("failed", "the reference volume is constant"),
        "cumulative/T1": ("held up", "waits for increments/T0-T1"),
    }


def test_a_result_whose_mark_is_gone_is_waiting(store):
    remove_result(store, "direct/T2")
    assert states(read_status(store))["direct/T2"] == "waiting"


def test_results_that_were_copied_without_their_run_are_done(store):
    shutil.rmtree(store / "run")
    found = read_status(store)
    assert (found.run, found.started, found.seconds) == ("never", None, None)
    assert found.count("done") == len(found.results) > 10
    assert found.results[0].seconds is None


def test_a_damaged_run_file_is_as_none(store):
    (store / "run" / "run.json").write_text("{")
    assert read_status(store).run == "never"


def test_a_watch_is_told_with_its_process(store):
    with io.hold_lock(store / "run" / "watch"):
        found = read_status(store)
    assert found.watched_by > 0 and found.run == "done"


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no study's results: give the folder that `voltome run` wrote"):
        read_status(tmp_path)
    with pytest.raises(InputError, match="is not a folder that is there"):
        read_status(tmp_path / "gone")


def test_numbers_in_names_sort_as_numbers():
    names = ["T10-T11", "T9-T10", "T1", "a", "3", "T1.5"]
    assert sorted(names, key=natural_key) == ["3", "a", "T1", "T1.5", "T9-T10", "T10-T11"]

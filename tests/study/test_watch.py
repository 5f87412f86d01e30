"""A study is watched: scans come one by one, each is judged and evaluated, and the watch ends by itself."""

from __future__ import annotations

import queue
import shutil
import threading

import numpy as np
import pytest

from voltome import io
from voltome.errors import InputError
from voltome.study.executors import open_workers
from voltome.study.study_file import load_study
from voltome.study.watch import watch_study

PATIENCE_S = 60
"""Of a test that would otherwise hang; none waits so long."""


class Heard:
    """What a watch tells, for the thread that feeds it."""

    def __init__(self):
        self.arrivals, self.strains, self.troubles = [], [], []
        self.events: queue.Queue[str] = queue.Queue()

    def on_arrival(self, sighting):
        self.arrivals.append(sighting)
        self.events.put(f"{sighting.arrival.scan} {'go' if sighting.arrival.go else 'no-go'}")

    def on_strain(self, name, mean, sd):
        self.strains.append((name, mean, sd))
        self.events.put(f"{name} strain")

    def on_trouble(self, line):
        self.troubles.append(line)
        self.events.put(line)

    def wait_for(self, event):
        while not self.events.get(timeout=PATIENCE_S).startswith(event):
            pass


@pytest.fixture
def film(speckle_film, tmp_path):
    """The study's file alone, watched often; its scans come later."""
    folder = tmp_path / "film"
    folder.mkdir()
    text = (speckle_film / "study.yaml").read_text() + "watch: {settle_s: 0.05, poll_s: 0.05, most_noise_rise: 3}\n"
    (folder / "study.yaml").write_text(text)
    return folder


def watch(folder, heard=None, **options):
    heard = heard or Heard()
    told = {"on_arrival": heard.on_arrival, "on_strain": heard.on_strain, "on_trouble": heard.on_trouble}
    with open_workers(threads=2) as workers:
        return watch_study(load_study(folder), folder / "results", workers, **told, **options), heard


def copy_scans(source, folder, *names):
    for name in names:
        shutil.copy(source / f"{name}.tif", folder / f"{name}.tif")


def test_scans_that_come_one_by_one_are_judged_and_evaluated(speckle_film, speckle_store, film):
    heard = Heard()

    def feed():
        """T1 comes in two halves, and T2, its repeat, when the strain of T1 is told."""
        copy_scans(speckle_film, film, "T0")
        heard.wait_for("T0 go")
        content = (speckle_film / "T1.tif").read_bytes()
        (film / "T1.tif").write_bytes(content[: len(content) // 2])
        heard.wait_for("T1 (T1.tif) cannot be used yet: ")
        (film / "T1.tif").write_bytes(content)
        heard.wait_for("T1 strain")
        copy_scans(speckle_film, film, "T2")

    feeder = threading.Thread(target=feed)
    feeder.start()
    summary, _ = watch(film, heard, idle_s=PATIENCE_S)
    feeder.join()
    assert [(sighting.arrival.scan, sighting.arrival.go) for sighting in summary.sightings] == [
        ("T0", True), ("T1", True), ("T2", True)
    ]  # fmt: skip
    assert not summary.failed
    assert len(heard.troubles) == 1
    table = io.read_parquet(speckle_store / "tables" / "scans.parquet")
    for (name, mean, sd), scan, expected in zip(
        heard.strains, ("T1", "T2"), table["strain_volumetric"][1:], strict=True
    ):
        assert name == scan
        assert mean == pytest.approx(expected, abs=1e-6)
        assert 0 < sd < 0.01
    assert (film / "results" / "report.html").exists()


def test_what_stands_is_kept_and_a_watch_that_begins_again_costs_nothing(speckle_film, speckle_store, film):
    """Also what a plain run made, which has no record of arrivals."""
    copy_scans(speckle_film, film, "T0", "T1", "T2")
    shutil.copytree(speckle_store, film / "results")
    heard = [watch(film)[1] for _ in range(2)]
    results = io.read_json(film / "results" / "run" / "run.json")["results"]
    assert {result["state"] for result in results.values()} == {"kept"}
    assert [name for name, _, _ in heard[0].strains] == ["T1", "T2"]
    assert heard[1].strains == heard[0].strains
    assert heard[1].arrivals == heard[0].arrivals


def test_results_of_a_scan_that_is_gone_are_not_removed(speckle_film, speckle_store, film):
    copy_scans(speckle_film, film, "T0", "T1")
    shutil.copytree(speckle_store, film / "results")
    with pytest.raises(InputError, match=r"T2 \(T2.tif\) is not there: put it back"):
        watch(film, idle_s=0.3)
    assert (film / "results" / "cumulative" / "T2" / "summary.json").exists()


def test_files_that_match_become_scans(speckle_film, film):
    text = (film / "study.yaml").read_text().replace("watch: {", "watch: {incoming: 'new/*.tif', ")
    kept = [line for line in text.splitlines() if "name: T1" not in line and "name: T2" not in line]
    (film / "study.yaml").write_text("\n".join(kept) + "\n")
    (film / "new").mkdir()
    copy_scans(speckle_film, film, "T0")
    shutil.copy(speckle_film / "T1.tif", film / "new" / "after charge.tif")
    summary, heard = watch(film, stop_after=2)
    assert [sighting.arrival.scan for sighting in summary.sightings] == ["T0", "after_charge"]
    assert [name for name, _, _ in heard.strains] == ["after_charge"]
    resolved = load_study(film / "results").settings.scans
    assert (resolved[1].name, resolved[1].volume) == ("after_charge", "new/after charge.tif")


def test_a_no_go_is_said_and_what_fails_is_told_while_watching_goes_on(speckle_film, film):
    (film / "study.yaml").write_text((film / "study.yaml").read_text().replace(", repeats: T1", ""))
    copy_scans(speckle_film, film, "T0", "T1")
    io.write_volume(film / "T2.tif", np.zeros((20, 20, 20), dtype=np.uint16))
    summary, heard = watch(film)
    assert not summary.sightings[2].arrival.go
    assert "it has 20 x 20 x 20 voxels (T0 70 x 50 x 54)" in summary.sightings[2].arrival.reasons
    assert [name for name, _, _ in heard.strains] == ["T1"]
    assert "volumes/T2" in summary.failed
    assert any(line.startswith("volumes/T2 failed: ") for line in heard.troubles)


def test_a_cycler_s_table_may_come_later(speckle_film, speckle_store, film):
    copy_scans(speckle_film, film, "T0", "T1", "T2")
    shutil.copytree(speckle_store, film / "results")
    text = (film / "study.yaml").read_text() + "electrochemistry: {cycler: cycler.csv}\n"
    (film / "study.yaml").write_text(text)
    _, heard = watch(film)
    assert heard.troubles == ["cycler.csv is not there: results go without it until it is"]
    assert [name for name, _, _ in heard.strains] == ["T1", "T2"]


@pytest.mark.parametrize("lock", ["watch", "lock"])
def test_a_store_that_is_worked_in_is_left_alone(speckle_film, film, lock):
    copy_scans(speckle_film, film, "T0", "T1", "T2")
    with io.hold_lock(film / "results" / "run" / lock), pytest.raises(InputError, match="results is being run by"):
        watch(film)


@pytest.mark.parametrize("options", [{"stop_after": 0}, {"idle_s": 0.0}, {"idle_s": float("nan")}])
def test_options_that_make_no_sense_are_refused(film, options):
    with pytest.raises(InputError, match="leave it out"):
        watch(film, **options)
    assert not (film / "results").exists()


def test_a_folder_of_other_things_is_no_store(film):
    (film / "results").mkdir()
    (film / "results" / "photo.jpg").touch()
    with pytest.raises(InputError, match="no study's results"):
        watch(film)
    assert [path.name for path in (film / "results").iterdir()] == ["photo.jpg"]

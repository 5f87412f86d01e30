"""Who looks out for scans: what counts as arrived, in which order, and under which name."""

from __future__ import annotations

import queue

import numpy as np
import pytest

from voltome.errors import VoltomeError
from voltome.study.lookout import Lookout, measure_files, name_scan, read_record
from voltome.study.study_file import load_study

SETTINGS = "voxel_size_m: 1e-7\nscans: [{scans}]\nwatch: {{settle_s: 0.05, poll_s: 0.05, incoming: {incoming}}}\n"


def write_scan(path, seed=0):
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.random.default_rng(seed).integers(100, 60000, (24, 22, 23), dtype=np.uint16))


@pytest.fixture
def look(tmp_path):
    """Open a lookout for some listed scans; what it tells is in its lists."""

    def open_lookout(names, *, incoming="in/*.npy", mask="null", **options):
        scans = ", ".join(f"{{name: {name}, volume: {name}.npy, mask: {mask}}}" for name in names)
        (tmp_path / "study.yaml").write_text(SETTINGS.format(scans=scans, incoming=incoming))
        study = load_study(tmp_path)
        told: dict[str, list] = {"arrived": [], "trouble": []}
        given = {"on_arrival": told["arrived"].append, "on_trouble": told["trouble"].append} | options
        return Lookout(study, tmp_path / "results", **given), told

    return open_lookout


def list_names(scans):
    return [scan.name for scan in scans]


def test_scans_are_given_in_the_study_s_order_until_all_are_there(look, tmp_path):
    for name in ("T0", "T1"):
        write_scan(tmp_path / f"{name}.npy")
    lookout, told = look(["T0", "T1"], incoming="null")
    with lookout:
        assert list_names(lookout.wait_for_more()) == ["T0", "T1"]
        assert lookout.wait_for_more() == ()
    assert [sighting.arrival.scan for sighting in told["arrived"]] == ["T0", "T1"]
    assert told["trouble"] == []


def test_a_scan_that_is_missing_holds_up_those_behind_it(look, tmp_path):
    write_scan(tmp_path / "T0.npy")
    write_scan(tmp_path / "T2.npy")
    lookout, told = look(["T0", "T1", "T2"])
    with lookout:
        assert list_names(lookout.wait_for_more()) == ["T0"]
        write_scan(tmp_path / "T1.npy")
        assert list_names(lookout.wait_for_more()) == ["T0", "T1", "T2"]
    assert told["trouble"] == ["T2 waits for T1 (T1.npy), which is not there"]


def test_a_file_that_is_cut_short_has_not_arrived(look, tmp_path):
    write_scan(tmp_path / "whole.npy")
    content = (tmp_path / "whole.npy").read_bytes()
    (tmp_path / "T0.npy").write_bytes(content[: len(content) // 2])
    lines: queue.Queue[str] = queue.Queue()
    lookout, told = look(["T0", "T1"], on_trouble=lines.put)
    with lookout:
        assert lines.get(timeout=60).startswith("T0 (T0.npy) cannot be used yet: ")
        assert told["arrived"] == []
        (tmp_path / "T0.npy").write_bytes(content)
        assert list_names(lookout.wait_for_more()) == ["T0"]
    assert lines.empty()


def test_a_scan_s_mask_belongs_to_it(look, tmp_path):
    write_scan(tmp_path / "T0.npy")
    lookout, _ = look(["T0"], mask="mask.npy", idle_s=0.3)
    with lookout:
        assert lookout.wait_for_more() == ()
    write_scan(tmp_path / "mask.npy")
    lookout, _ = look(["T0"], mask="mask.npy", stop_after=1)
    with lookout:
        assert list_names(lookout.wait_for_more()) == ["T0"]


def test_files_that_match_become_scans_in_the_order_of_their_numbers(look, tmp_path):
    write_scan(tmp_path / "T0.npy")
    for name in ("scan_10", "scan_9", "t0"):
        write_scan(tmp_path / "in" / f"{name}.npy")
    lookout, _ = look(["T0"], stop_after=4)
    with lookout:
        scans = lookout.wait_for_more()
    assert list_names(scans) == ["T0", "scan_9", "scan_10", "t0_2"]
    assert [scan.volume for scan in scans] == ["T0.npy", "in/scan_9.npy", "in/scan_10.npy", "in/t0.npy"]


def test_a_listed_file_is_no_further_scan_and_results_are_none(look, tmp_path):
    write_scan(tmp_path / "T0.npy")
    write_scan(tmp_path / "results" / "T7.npy")
    lookout, _ = look(["T0"], incoming="'**/*.npy'", idle_s=0.2)
    with lookout:
        assert list_names(lookout.wait_for_more()) == ["T0"]
        assert lookout.wait_for_more() == ()


def test_an_incoming_file_that_is_no_volume_holds_up_nobody(look, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.npy").write_text("no volume")
    write_scan(tmp_path / "in" / "b.npy")
    lookout, told = look([], stop_after=1)
    with lookout:
        assert list_names(lookout.wait_for_more()) == ["b"]
    (line,) = told["trouble"]
    assert line.startswith("a (in/a.npy) cannot be used yet: ")


def test_the_record_brings_back_verdicts_and_the_order_of_arrival(look, tmp_path):
    write_scan(tmp_path / "in" / "b.npy")
    lookout, first = look([], stop_after=1)
    with lookout:
        lookout.wait_for_more()
    write_scan(tmp_path / "in" / "a.npy", seed=1)
    lookout, again = look([], stop_after=2)
    assert list_names(lookout.known) == ["b"]
    with lookout:
        while scans := lookout.wait_for_more():
            names = list_names(scans)
    assert names == ["b", "a"]
    assert again["arrived"][0] == first["arrived"][0]
    assert read_record(tmp_path / "results" / "run" / "arrivals.json") == again["arrived"]


def test_a_file_that_has_changed_is_judged_anew(look, tmp_path):
    verdicts = []
    for grey in (np.random.default_rng(2).integers(100, 60000, (24, 22, 23)), np.zeros((24, 22, 25))):
        np.save(tmp_path / "T0.npy", grey.astype(np.uint16))
        lookout, told = look(["T0", "T1"], stop_after=1)
        with lookout:
            lookout.wait_for_more()
        verdicts += [sighting.arrival.go for sighting in told["arrived"]]
    assert verdicts == [True, False]


def test_a_damaged_record_is_none(tmp_path):
    path = tmp_path / "arrivals.json"
    assert read_record(path) == []
    for text in ("{", "{}", '{"arrivals": [{"volume": "T0.npy"}]}', '{"arrivals": [3]}'):
        path.write_text(text)
        assert read_record(path) == []


def test_an_error_of_the_lookout_reaches_who_waits(look, tmp_path):
    write_scan(tmp_path / "T0.npy")
    (tmp_path / "results").write_text("a file")
    lookout, _ = look(["T0", "T1"])
    with lookout, pytest.raises(VoltomeError, match="results"):
        lookout.wait_for_more()


def test_a_volume_s_files_are_those_of_its_folder(tmp_path):
    assert measure_files(str(tmp_path / "gone.tif")) is None
    (tmp_path / "scan.zarr" / "c").mkdir(parents=True)
    assert measure_files(str(tmp_path / "scan.zarr")) is None
    (tmp_path / "scan.zarr" / "zarr.json").write_bytes(b"{}")
    (tmp_path / "scan.zarr" / "c" / "0").write_bytes(b"12345")
    count, size, _ = measure_files(str(tmp_path / "scan.zarr") + "::/0")
    assert (count, size) == (2, 7)


@pytest.mark.parametrize(
    ("volume", "name"),
    [
        ("in/T3.tif", "T3"),
        ("in/0.5um_slices", "0.5um_slices"),
        ("in/cell-7 (dé).TIFF", "cell_7__d__"),
        ("in/_.npy", "scan"),
        ("x.h5::/entry/data", "x"),
        ("in/" + "a" * 50 + "_0042.tif", "a" * 35 + "_0042"),
    ],
)
def test_a_scan_is_named_by_its_file(volume, name):
    assert name_scan(volume, []) == name


def test_a_name_that_is_taken_gets_a_number():
    assert name_scan("in/T3.tif", ["t3", "T3_2"]) == "T3_3"
    long = "b" * 40
    assert name_scan(f"in/{long}.tif", [long]) == "b" * 38 + "_2"

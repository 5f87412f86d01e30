"""The crate: an independent reader finds the files, what they were made from, by what, and when."""

from __future__ import annotations

import datetime
import hashlib
import json

import pytest

from voltome.io import write_ro_crate

ZONE = datetime.timezone(datetime.timedelta(hours=2))
STARTED = datetime.datetime(2026, 5, 4, 9, 8, 7, 123456, tzinfo=ZONE)
FILES = {
    "report.html": b"<html>",
    "cumulative/T 1/summary.json": b"{}",
    "volumes.zarr/0/c/0/0/0/0": b"shard",
    "volumes.zarr/zarr.json": b"{}",
    "cumulative/T 1/field.zarr/zarr.json": b"{ }",
}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    write_ro_crate(
        tmp_path,
        name="electrode 7",
        description="strain of an electrode",
        version="0.3.0",
        files={name: (len(content), digest(content)) for name, content in FILES.items()},
        inputs={"scans/T0.h5::/entry/data": digest(b"T0"), "cell.bdf.csv": digest(b"cell")},
        started=STARTED,
        ended=STARTED + datetime.timedelta(hours=3),
    )
    return tmp_path


@pytest.fixture
def crate(folder):
    return pytest.importorskip("rocrate.rocrate").ROCrate(folder)


def test_an_independent_reader_finds_the_results(crate):
    parts = {part.id: part for part in crate.root_dataset["hasPart"]}
    assert set(parts) == {
        "report.html",
        "cumulative/T%201/summary.json",
        "volumes.zarr/",
        "cumulative/T%201/field.zarr/",
    }
    report, store = parts["report.html"], parts["volumes.zarr/"]
    assert (report.type, report["contentSize"], report["sha256"]) == ("File", "6", digest(b"<html>"))
    assert report["encodingFormat"] == "text/html"
    lines = f"{digest(b'shard')} 0/c/0/0/0/0\n{digest(b'{}')} zarr.json"
    assert (store.type, store["sha256"]) == ("Dataset", digest(lines.encode()))
    assert store["description"] == "Zarr store of 2 files, 7 bytes"


def test_the_action_says_what_made_them_when_and_from_what(crate):
    (action,) = crate.get_by_type("CreateAction")
    assert (action["startTime"], action["endTime"]) == ("2026-05-04T09:08:07+02:00", "2026-05-04T12:08:07+02:00")
    assert {made.id for made in action["result"]} == {part.id for part in crate.root_dataset["hasPart"]}
    sources = {source["name"]: source["sha256"] for source in action["object"]}
    assert sources == {"scans/T0.h5::/entry/data": digest(b"T0"), "cell.bdf.csv": digest(b"cell")}
    software = action["instrument"]
    assert (software["name"], software["version"]) == ("voltome", "0.3.0")
    assert software["license"] == "https://spdx.org/licenses/BSD-3-Clause"
    assert crate.root_dataset["mentions"] == [action] or crate.root_dataset["mentions"] == action


def test_the_data_have_no_licence_that_nobody_gave_them(crate):
    assert crate.root_dataset.get("license") is None
    assert (crate.root_dataset["name"], crate.root_dataset["datePublished"]) == (
        "electrode 7",
        "2026-05-04T12:08:07+02:00",
    )


def test_every_reference_leads_somewhere(folder):
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)
    for entity in graph:
        for value in entity.values():
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, dict) and not reference["@id"].startswith("http"):
                    assert reference["@id"] in known


def test_the_description_is_replaced_in_one_step(folder):
    write_ro_crate(folder, name="b", description="c", version="1", files={}, inputs={}, started=STARTED, ended=STARTED)
    assert json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"][1]["name"] == "b"
    assert not [name for name in folder.iterdir() if name.name.startswith(".")]

"""Provenance of a folder of results as an RO-Crate (1.1): what is in it, made from what, by what, when."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from voltome.io.text import write_json

METADATA_FILE = "ro-crate-metadata.json"

_SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_SOFTWARE = "#voltome"
_ACTION = "#run"
_FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".tsv": "text/tab-separated-values",
    ".vtu": "application/xml",
    ".yaml": "application/yaml",
    ".zarr": "application/vnd+zarr",
}

_Entity = dict[str, object]


def write_ro_crate(
    folder: str | Path,
    *,
    name: str,
    description: str,
    version: str,
    files: Mapping[str, tuple[int, str]],
    inputs: Mapping[str, str],
    started: datetime.datetime,
    ended: datetime.datetime,
) -> None:
    """Write `ro-crate-metadata.json`, replacing one that is there. It names no licence: the data are their owner's.

    Parameters
    ----------
    folder : str or Path
        That holds the results.
    name, description : str
        Of the results.
    version : str
        Of voltome.
    files : mapping of str to (int, str)
        Path within the folder, with `/`, to bytes and SHA-256. Those of a Zarr store become one entity, whose SHA-256
        is that of lines of digest and path.
    inputs : mapping of str to str
        What the results were made from: name as the user gave it to SHA-256.
    started, ended : datetime
        With their time zone.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    ResourceError
        If the disk is full or there is no permission.
    """
    results = [*_describe_files(files), *_describe_stores(files)]
    sources = [_describe_input(source, digest) for source, digest in sorted(inputs.items())]
    graph: list[_Entity] = [
        {
            "@id": METADATA_FILE,
            "@type": "CreativeWork",
            "conformsTo": {"@id": _SPECIFICATION},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": name,
            "description": description,
            "datePublished": ended.isoformat(timespec="seconds"),
            "hasPart": _refer(results),
            "mentions": {"@id": _ACTION},
        },
        {
            "@id": _ACTION,
            "@type": "CreateAction",
            "name": f"voltome {version} made {name}",
            "startTime": started.isoformat(timespec="seconds"),
            "endTime": ended.isoformat(timespec="seconds"),
            "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
            "instrument": {"@id": _SOFTWARE},
            "object": _refer(sources),
            "result": _refer(results),
        },
        {
            "@id": _SOFTWARE,
            "@type": "SoftwareApplication",
            "name": "voltome",
            "version": version,
            "softwareVersion": version,
            "license": {"@id": "https://spdx.org/licenses/BSD-3-Clause"},
        },
        *sources,
        *results,
    ]
    context = [f"{_SPECIFICATION}/context", {"sha256": "https://schema.org/sha256"}]
    write_json(Path(folder) / METADATA_FILE, {"@context": context, "@graph": graph}, overwrite=True)


def _describe_files(files: Mapping[str, tuple[int, str]]) -> list[_Entity]:
    return [
        {"@id": quote(path), "@type": "File", "name": path, "contentSize": str(size), "sha256": digest}
        | _format_of(path)
        for path, (size, digest) in sorted(files.items())
        if _store_of(path) is None
    ]


def _describe_stores(files: Mapping[str, tuple[int, str]]) -> list[_Entity]:
    members: dict[str, list[str]] = {}
    for path in sorted(files):
        store = _store_of(path)
        if store is not None:
            members.setdefault(store, []).append(path)
    entities: list[_Entity] = []
    for store, paths in members.items():
        lines = "\n".join(f"{files[path][1]} {path.removeprefix(store + '/')}" for path in paths)
        size = sum(files[path][0] for path in paths)
        entity: _Entity = {"@id": f"{quote(store)}/", "@type": "Dataset", "name": store}
        entity |= {"description": f"Zarr store of {len(paths)} files, {size} bytes"}
        entities.append(entity | {"sha256": hashlib.sha256(lines.encode()).hexdigest()} | _format_of(store))
    return entities


def _store_of(path: str) -> str | None:
    """The Zarr store that a file belongs to."""
    parts = path.split("/")
    for i, part in enumerate(parts[:-1], start=1):
        if part.endswith(".zarr"):
            return "/".join(parts[:i])
    return None


def _describe_input(name: str, digest: str) -> _Entity:
    # It lies outside the crate, and nobody knows where others will find it: the hash says what it was.
    return {"@id": f"#input-{quote(name, safe='')}", "@type": "CreativeWork", "name": name, "sha256": digest}


def _format_of(path: str) -> _Entity:
    found = _FORMATS.get(Path(path).suffix)
    return {} if found is None else {"encodingFormat": found}


def _refer(entities: list[_Entity]) -> list[dict[str, object]]:
    return [{"@id": entity["@id"]} for entity in entities]

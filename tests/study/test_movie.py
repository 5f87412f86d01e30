"""The movie of findings, as the study files it."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from voltome.report.electrode_findings import AxialMap, ElectrodeFindings
from voltome.study.job import StoppedError
from voltome.study.movie import film_findings


def make_findings() -> ElectrodeFindings:
    """Two scans and one map, no number."""
    axes, strain = (np.arange(3) * 4e-6, np.arange(4) * 4e-6), np.full((3, 4), 0.2)
    image = np.random.default_rng(1).normal(size=(16, 20)).astype(np.float32)
    return ElectrodeFindings(
        scans=("T0", "T1"),
        measurements=(),
        slices={"T0": image, "T1": image + 1},
        slice_pixel_m=1e-6,
        slice_y_m=0.0,
        surfaces={},
        thickness_maps={},
        map_pixel_m=1e-6,
        axial_maps={"T1": AxialMap(*axes, 0 * strain, 0 * strain, strain, strain > 0)},
    )


def test_findings_become_a_movie_that_replaces_an_older_one(tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    assert film_findings(make_findings(), tmp_path / "out", stop=threading.Event())
    assert (tmp_path / "out").read_bytes()[4:8] == b"ftyp"


def test_without_a_map_there_is_no_movie(tmp_path):
    assert not film_findings(replace(make_findings(), axial_maps={}), tmp_path / "out", stop=threading.Event())
    assert not list(tmp_path.iterdir())


def test_a_run_that_ends_leaves_no_half_movie(tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        film_findings(make_findings(), tmp_path / "out", stop=stop)
    assert not list(tmp_path.iterdir())

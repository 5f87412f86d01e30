"""The demo's output folder; the whole demo runs in tests/cli/test_journey.py."""

from __future__ import annotations

import pytest

from voltome.errors import InputError
from voltome.study.demo import run_demo


def test_a_folder_that_holds_something_is_refused_before_any_work(tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    seen = []
    with pytest.raises(InputError, match="already exists"):
        run_demo(tmp_path, on_progress=lambda *report: seen.append(report))
    with pytest.raises(InputError, match="holds notes"):
        run_demo(tmp_path, overwrite=True, on_progress=lambda *report: seen.append(report))
    assert seen == []
    assert (tmp_path / "notes.txt").read_text() == "precious"

"""Segmentation as a study's file asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from voltome.study.check import check_study_file
from voltome.study.segmentation_settings import SegmentationSettings
from voltome.study.segmenting import plan_segmentation
from voltome.study.silicon import plan_silicon
from voltome.study.study_file import load_study


def ask(film: Path, lines: str) -> Path:
    """The film's study with a group for segmentation."""
    with open(film / "study.yaml", "a", encoding="utf-8") as file:
        file.write("segmentation:\n" + lines)
    return film


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("  model: none.safetensors\n", "segmentation.model cannot be used: .*none.safetensors is not a file"),
        ("  model: cycler.csv\n", "segmentation.model cannot be used: .*cycler.csv is not a model"),
        ("  model: twin\n  silicon: graphite\n", "no class 'graphite'"),
        ("  ranges: [{model: twin, scans: [T0, T9]}]\n", r"ranges\[0\].scans must name scans \(got 'T9'\)"),
        ("  ranges: [{model: twin, scans: [T0]}, {model: a, scans: [T0]}]\n", "must not repeat a scan"),
        ("  window: [3, 3]\n", "two different ends"),
        ("  flips: 3\n", "flips"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(film, lines, said) -> None:
    import re

    problems = check_study_file(ask(film, lines)).problems
    assert any(re.search(said, line) for line in problems), problems
    assert all("\n" not in line and "line" in line for line in problems)


def test_study_without_a_model_plans_nothing(film) -> None:
    study = load_study(film)
    assert not list(plan_segmentation(study)) and not list(plan_silicon(study))


def test_one_model_for_all_is_the_default_and_ranges_win() -> None:
    settings = SegmentationSettings(model="all", ranges=({"model": "early", "scans": ("T0", "T1")},))
    assert [settings.find_model(name) for name in ("T0", "T1", "T2")] == ["early", "early", "all"]
    assert SegmentationSettings().find_model("T0") is None


def test_results_follow_the_weights_and_the_engine(film) -> None:
    first = {r.subject: r for r in plan_segmentation(load_study(ask(film, "  model: twin\n")))}
    assert list(first) == ["T0", "T1", "T2"]
    assert len(first["T0"].parameters["weights"]) == 64 and not first["T0"].sources
    (silicon,) = plan_silicon(load_study(film))
    assert "segmentation/T2" in silicon.optional


def test_estimate_counts_segmented_scans(film) -> None:
    before = check_study_file(film).facts
    after = check_study_file(ask(film, "  model: twin\n")).facts
    assert after["cpu_s"] > before["cpu_s"] and after["disk_bytes"] > before["disk_bytes"]

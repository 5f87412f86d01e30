"""Figures: what they show and what they leave alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.text import Text

import voltome
from voltome.errors import InputError
from voltome.report import (
    displacement_figure,
    figure_to_png,
    histogram_figure,
    quality_figure,
    strain_figure,
    summary_figure,
    truth_figure,
    volumes_figure,
)
from voltome.report.charts import find_maximum
from voltome.report.quantities import strain_quantities
from voltome.report.sections import NodeKind, classify_nodes, lay_points, read_sections


@pytest.fixture(scope="module")
def figures(case: Any) -> list[Any]:
    sections = read_sections({"y": case.slices["y"]})
    return [
        volumes_figure(sections, sections, sections, voxel_size_m=1e-7),
        displacement_figure(case.field, case.filtered, sections, voxel_size_m=1e-7),
        strain_figure(case.strain, sections),
        quality_figure(case.field, case.filtered, sections),
        histogram_figure(case.field, case.filtered, case.strain, zncc_threshold=0.8),
        summary_figure(case.field, case.strain, case.slices, filtered=case.filtered),
    ]


def test_drawing_leaves_matplotlib_as_it_was(case: Any) -> None:
    before = dict(matplotlib.rcParams)
    sections = read_sections({"y": case.slices["y"]})
    figure_to_png(displacement_figure(case.field, case.filtered, sections), dpi=30)
    figure_to_png(histogram_figure(case.field, case.filtered, case.strain), dpi=30)
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, numpy as np\n"
        "from voltome.report import volumes_figure, figure_to_png\n"
        "from voltome.report.sections import read_sections\n"
        "figure_to_png(volumes_figure(read_sections({'z': (0, np.eye(4, dtype='f4'))})))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(voltome.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)


def test_the_room_loads_without_matplotlib() -> None:
    code = "import sys, voltome.report.correlation\nassert not {'matplotlib', 'scipy', 'jinja2'} & set(sys.modules)\n"
    environment = {**os.environ, "PYTHONPATH": str(Path(voltome.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)


def test_the_users_style_does_not_change_a_figure(case: Any) -> None:
    def draw() -> bytes:
        return figure_to_png(strain_figure(case.strain, read_sections({"z": case.slices["z"]})), dpi=40)

    plain = draw()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "image.origin": "lower"}):
        assert draw() == plain


def test_no_text_is_below_eight_points(figures: list[Any]) -> None:
    for figure in figures:
        assert figure.get_figwidth() <= 7.1
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 8.0


def test_suspect_cells_are_hatched_and_no_others(case: Any) -> None:
    (section,) = read_sections({"z": case.slices["z"]})
    figure = displacement_figure(case.field, case.filtered, [section])
    kinds = classify_nodes(case.field, case.filtered)
    layer = lay_points(section, case.field.positions_vox, case.field.grid_shape)
    suspect = int((kinds[layer.points] == NodeKind.SUSPECT).sum())
    hatched = [c for c in figure.findobj(PolyCollection) if c.get_hatch()]
    assert suspect > 0
    assert {len(c.get_paths()) for c in hatched} == {suspect}


def test_strain_limits_are_symmetric_and_set_by_trusted_gauges(case: Any) -> None:
    axial, volumetric = strain_quantities(case.strain)[0], strain_quantities(case.strain)[3]
    for quantity in (axial, volumetric):
        assert quantity.limits[0] == -quantity.limits[1]
    wild = case.strain.volumetric.copy()
    wild[case.strain.measured < 1] = 40.0
    changed = case.strain.__class__(**{**vars(case.strain), "volumetric": wild})
    assert strain_quantities(changed)[3].limits == volumetric.limits


def test_histograms_count_trusted_nodes_alone(case: Any) -> None:
    figure = histogram_figure(case.field, case.filtered, case.strain)
    trusted = int((classify_nodes(case.field, case.filtered) == NodeKind.TRUSTED).sum())
    gauges = int(((case.strain.measured >= 1) & np.isfinite(case.strain.volumetric)).sum())
    notes = [axes.get_title(loc="right") for axes in figure.axes]
    suspect = int(case.field.suspect.sum())
    expected = [f"N = {trusted}"] * 3 + [f"N = {gauges}", f"N = {trusted} + {suspect}", f"N = {trusted}"]
    assert notes == expected


def test_the_maximum_of_a_histogram_is_its_fullest_bin() -> None:
    values = np.r_[np.full(5, 0.1), np.full(9, 2.4), 3.9]
    assert find_maximum(values, np.arange(5.0)) == 2.5
    assert np.isnan(find_maximum(np.array([np.nan]), np.arange(5.0)))


def test_truth_without_arrays_makes_no_figure(case: Any) -> None:
    assert truth_figure(case.field, case.filtered, {"errors": []}) is None
    figure = truth_figure(case.field, case.filtered, {"error_u_vox": np.zeros(len(case.field))})
    assert figure is not None
    trusted = (classify_nodes(case.field, case.filtered) == NodeKind.TRUSTED).sum()
    assert figure.axes[0].get_title(loc="right") == f"N = {trusted}"


def test_fewer_shades_make_fewer_bytes(case: Any) -> None:
    sections = read_sections({"z": (0, np.random.default_rng(4).normal(size=(300, 400)).astype(np.float32))})
    figure = volumes_figure(sections)
    assert len(figure_to_png(figure, levels=32)) < 0.7 * len(figure_to_png(figure))


def test_a_summary_across_a_missing_slice_is_refused(case: Any) -> None:
    with pytest.raises(InputError, match="axis must be one of the slices given"):
        summary_figure(case.field, case.strain, {"z": case.slices["z"]}, axis="x")

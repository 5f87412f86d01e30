"""The figures of an electrode: what they show, and what they say where something is not known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from voltome.measurement import Measurement, Share
from voltome.report import ElectrodeFindings, draw_electrode_figures, figure_to_png, figure_to_svg
from voltome.report.electrode import DRAWINGS
from voltome.report.electrode_curves import draw_components, draw_hysteresis, draw_thickness, draw_volumetric_strain
from voltome.report.electrode_errors import draw_accuracy, draw_errors, score_row

MANY = 30


def draw(findings: ElectrodeFindings, name: str) -> Figure:
    figure = DRAWINGS[name](findings)
    assert figure is not None
    return figure


def find_points(axes: Axes, marker: str) -> np.ndarray:
    """x and y of everything drawn with a marker, in order of x."""
    points = np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == marker])
    return points[np.argsort(points[:, 0])]


def read_legend(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def check_ticks_apart(axes: Axes) -> None:
    """No label of a tick reaches into the next one."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [label.get_window_extent(canvas.get_renderer()) for label in axes.get_xticklabels()]
    assert len(boxes) > 3
    assert [(a.x1, b.x0) for a, b in pairwise(boxes) if a.x1 >= b.x0] == []


def test_figures_come_in_the_order_of_the_story(electrode: ElectrodeFindings) -> None:
    assert list(draw_electrode_figures(electrode)) == [
        "slices", "thickness", "thickness-maps", "cell", "silicon", "segmentation", "axial-strain", "volumetric-strain",
        "histograms", "components", "boxes", "hysteresis", "errors", "alignment", "accuracy",
    ]  # fmt: skip


def test_a_figure_of_nothing_is_left_out(build_electrode: Callable[..., ElectrodeFindings]) -> None:
    one = build_electrode(1)
    assert list(draw_electrode_figures(one)) == [
        "slices", "thickness", "thickness-maps", "cell", "segmentation", "errors", "accuracy",
    ]  # fmt: skip
    nothing = replace(one, measurements=[], slices={}, thickness_maps={}, surfaces={}, cell=None, accuracy=[])
    assert draw_electrode_figures(nothing) == {}


def test_thickness_stands_where_it_was_measured(electrode: ElectrodeFindings) -> None:
    axes = draw(electrode, "thickness").axes[0]
    measured = [m for m in electrode.measurements if m.name == "thickness" and m.scan != "T7"]
    points = find_points(axes, "o")
    np.testing.assert_allclose(points[:, 1], [1e6 * m.value for m in measured])
    np.testing.assert_allclose(points[:, 0], [0, 1, 2, 3, 4, 5, 6, 8, 9])


def test_a_repeat_scan_is_a_cross_beside_the_line(electrode: ElectrodeFindings) -> None:
    figure = draw(electrode, "thickness")
    np.testing.assert_allclose(find_points(figure.axes[0], "x"), [[7.0, 30.02]])
    (line,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "-" and len(line.get_xydata()) > 2]
    assert 7.0 not in line.get_xdata()
    assert "repeat scan" in read_legend(figure)


def test_error_bars_have_a_random_part_and_an_end(electrode: ElectrodeFindings) -> None:
    axes = draw(electrode, "thickness").axes[0]
    bars = {
        round(float(c.get_linewidth()[0]), 1): np.array([np.ptp(s[:, 1]) / 2 for s in c.get_segments()])
        for c in axes.collections if hasattr(c, "get_segments")
    }  # fmt: skip
    measured = [m for m in electrode.measurements if m.name == "thickness"]
    np.testing.assert_allclose(bars[0.8], [1e6 * m.sd for m in measured], rtol=1e-6)
    np.testing.assert_allclose(bars[1.8], [1e6 * m.sd_random for m in measured], rtol=1e-6)


@pytest.mark.parametrize("draw_one", [draw_thickness, draw_volumetric_strain, draw_components, draw_hysteresis])
def test_without_a_repeat_scan_random_errors_are_said_to_be_unknown(
    build_electrode: Callable[..., ElectrodeFindings], draw_one: Callable[[ElectrodeFindings], Figure | None]
) -> None:
    figure = draw_one(build_electrode(repeated=False))
    assert figure is not None
    assert "random error unknown" in read_legend(figure)
    assert "white" in {line.get_markerfacecolor() for line in figure.axes[0].lines}


def test_where_no_error_is_known_there_is_no_bar(electrode: ElectrodeFindings) -> None:
    bare = replace(electrode, measurements=[replace(m, shares=()) for m in electrode.measurements])
    figure = draw(bare, "volumetric-strain")
    assert [s for c in figure.axes[0].collections if hasattr(c, "get_segments") for s in c.get_segments()] == []
    assert "error unknown" in read_legend(figure)


def test_scans_that_were_not_measured_are_left_out(electrode: ElectrodeFindings) -> None:
    lost = [replace(m, value=math.nan) if m.scan in ("T3", "T6") else m for m in electrode.measurements]
    points = find_points(draw(replace(electrode, measurements=lost), "thickness").axes[0], "o")
    np.testing.assert_allclose(points[:, 0], [0, 1, 2, 4, 5, 8, 9])


def test_bars_of_a_waterfall_are_the_causes_and_their_sum(electrode: ElectrodeFindings) -> None:
    axes = draw(electrode, "errors").axes[0]
    (thickness,) = [m for m in electrode.measurements if (m.name, m.scan) == ("thickness", "T6")]
    widths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(widths[:-1], sorted((1e6 * share.sd for share in thickness.shares), reverse=True))
    assert widths[-1] == pytest.approx(1e6 * thickness.sd)
    assert [text.get_text() for text in axes.get_yticklabels()][-1] == "together"


def test_a_cause_of_unknown_size_makes_the_sum_a_lower_bound(electrode: ElectrodeFindings) -> None:
    shares = (Share("noise", math.nan), Share("contrast loss", 3e-7, "bias"))
    figure = draw_errors(replace(electrode, measurements=[Measurement("thickness", "T6", 3e-5, "m", shares=shares)]))
    assert figure is not None
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["0.30", "not known", "at least 0.30"]


def test_a_number_far_from_the_truth_is_named(electrode: ElectrodeFindings) -> None:
    figure = draw_accuracy(electrode)
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].texts] == ["T5: +7.3"]
    inside = sum(abs(score_row(row)) <= 2 for row in electrode.accuracy)
    title = figure.axes[0].get_title(loc="left")
    assert title == f"{inside} of {len(electrode.accuracy)} inside two standard deviations"


def test_a_score_is_the_error_over_both_sds() -> None:
    row = {"true": 1.0, "recovered": 2.0, "sd_random": 0.3, "sd_bias": 0.4}
    assert score_row(row) == pytest.approx(2.0)
    assert score_row({**row, "sd_bias": None}) == pytest.approx(1.0 / 0.3)
    assert math.isnan(score_row({**row, "sd_random": None, "sd_bias": math.nan}))


def test_hysteresis_needs_a_discharge(electrode: ElectrodeFindings) -> None:
    charge = {scan: soc for scan, soc in electrode.socs.items() if scan in ("T0", "T1", "T2", "T3")}
    assert draw_hysteresis(replace(electrode, socs=charge)) is None


@pytest.mark.parametrize("name", ["thickness", "components"])
def test_names_of_many_scans_do_not_touch(build_electrode: Callable[..., ElectrodeFindings], name: str) -> None:
    check_ticks_apart(draw(build_electrode(MANY), name).axes[-1])


def test_names_that_look_like_formulas_are_drawn_as_they_are(
    build_electrode: Callable[..., ElectrodeFindings],
) -> None:
    few = build_electrode(2)
    new = {scan: f"{scan}$_{{" for scan in few.scans}
    odd = replace(
        few,
        scans=tuple(new.values()),
        measurements=[replace(m, scan=new[m.scan]) for m in few.measurements],
        slices={new[scan]: image for scan, image in few.slices.items()},
        segmented={new[scan]: segmented for scan, segmented in few.segmented.items()},
        phase_names=("$Si$_{", "$$", "a $b_{$"),
        histograms=[replace(h, scan=new[h.scan]) for h in few.histograms],
        axial_maps={new[scan]: axial for scan, axial in few.axial_maps.items()},
        accuracy=[{**row, "step": new[row["step"]]} for row in few.accuracy],
        times_s={new[scan]: time for scan, time in few.times_s.items()},
    )
    figures = draw_electrode_figures(odd)
    assert len([figure_to_png(figure, dpi=30) for figure in figures.values()]) == len(figures) > 8


def test_the_same_electrode_gives_the_same_bytes(build_electrode: Callable[..., ElectrodeFindings]) -> None:
    few = build_electrode(2)
    assert figure_to_png(draw(few, "axial-strain"), dpi=60) == figure_to_png(draw(few, "axial-strain"), dpi=60)
    assert figure_to_svg(draw(few, "thickness")) == figure_to_svg(draw(few, "thickness"))

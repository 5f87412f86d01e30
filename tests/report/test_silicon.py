"""How the report shows the silicon that has not reacted, and the segmentation behind it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from voltome.measurement import Measurement, Share
from voltome.report import ElectrodeFindings, tabulate_figure
from voltome.report.electrode_captions import CAPTIONS
from voltome.report.electrode_errors import draw_errors, write_name
from voltome.report.electrode_findings import SegmentedSlice
from voltome.report.electrode_page import ElectrodePart, describe_electrode, tell_electrode
from voltome.report.silicon import (
    COVERAGE,
    LOW,
    NAME,
    PHASE_COLOURS,
    SENSITIVITY,
    choose_segmented,
    draw_segmentation,
    draw_silicon,
)

NARROW = "\N{NARROW NO-BREAK SPACE}"


def draw(findings: ElectrodeFindings) -> tuple[Figure, Axes]:
    """The figure of the silicon, and its panel."""
    figure = draw_silicon(findings)
    assert figure is not None
    return figure, figure.axes[-1]


def read_bars(axes: Axes, label: str) -> dict[int, tuple[float, float]]:
    """Number of the scan to both ends of its bar."""
    (bars,) = [c for c in axes.containers if isinstance(c, BarContainer) and c.get_label() == label]
    return {round(bar.get_x() + bar.get_width() / 2): (bar.get_y(), bar.get_y() + bar.get_height()) for bar in bars}


def find_marks(axes: Axes, marker: str) -> np.ndarray:
    points = np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == marker])
    return points[np.argsort(points[:, 0])]


def without(findings: ElectrodeFindings, *names: str) -> ElectrodeFindings:
    return replace(findings, measurements=[m for m in findings.measurements if m.name not in names])


def describe(findings: ElectrodeFindings) -> ElectrodePart:
    """The page without pictures that take long."""
    return describe_electrode(
        replace(findings, thickness_maps={}, axial_maps={}, histograms=(), boxes=(), cell=None, surfaces={})
    )


def read_table(findings: ElectrodeFindings, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tabulate_figure(findings, name))))


def make_small(findings: ElectrodeFindings) -> ElectrodeFindings:
    """One scan of 4 x 6 pixels: two rows of silicon above two of matrix; one pixel without a phase."""
    phases = np.repeat(np.array([1, 1, 2, 2], np.uint8)[:, None], 6, axis=1)
    phases[3, 5] = 0
    sure = np.where(phases > 0, 0.75, np.nan).astype(np.float32)
    slices = {"T0": np.zeros((4, 6), np.float32) + np.arange(6, dtype=np.float32)}
    segmented = {"T0": SegmentedSlice(phases, sure)}
    return replace(findings, slices=slices, segmented=segmented, phase_names=("Si", "CBD"), slice_pixel_m=1e-6)


def test_the_first_scan_is_the_whole_by_definition_and_the_others_stand_where_they_were_measured(
    electrode: ElectrodeFindings,
) -> None:
    _, axes = draw(electrode)
    points = find_marks(axes, "o")
    measured = {m.scan: 100 * m.value for m in electrode.measurements if m.name == NAME and m.scan != "T7"}
    np.testing.assert_allclose(points[:, 1], [100.0, *measured.values()])
    np.testing.assert_allclose(points[:, 0], [0, 1, 2, 3, 4, 5, 6, 8, 9])


def test_a_repeat_scan_is_a_cross_with_a_band_of_its_own(electrode: ElectrodeFindings) -> None:
    _, axes = draw(electrode)
    np.testing.assert_allclose(find_marks(axes, "x"), [[7.0, 60.0]])
    assert 7 in read_bars(axes, COVERAGE)
    (line,) = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xydata()) > 2]
    assert 7.0 not in line.get_xdata()


def test_the_band_holds_95_percent_of_a_normal_error_with_all_its_causes(electrode: ElectrodeFindings) -> None:
    _, axes = draw(electrode)
    bars = read_bars(axes, COVERAGE)
    assert bars.keys() == set(range(1, 10))
    for m in electrode.measurements:
        if m.name == NAME:
            sd = math.sqrt(sum(share.sd**2 for share in m.shares))
            assert bars[int(m.scan[1:])] == pytest.approx((100 * (m.value - 1.96 * sd), 100 * (m.value + 1.96 * sd)))


def test_thresholds_have_a_range_under_their_own_name(electrode: ElectrodeFindings) -> None:
    _, axes = draw(electrode)
    values = {(m.name, m.scan): 100 * m.value for m in electrode.measurements if m.name.startswith(NAME)}
    bars = read_bars(axes, SENSITIVITY)
    assert bars[6] == pytest.approx((values[LOW, "T6"], values[LOW.replace("0.7", "0.3"), "T6"]))
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["measured", "true", SENSITIVITY, COVERAGE]


def test_without_errors_and_other_thresholds_there_is_a_curve_alone(electrode: ElectrodeFindings) -> None:
    bare = [Measurement(NAME, "T6", 0.6, "1")]
    figure, axes = draw(replace(electrode, measurements=bare, accuracy=()))
    assert len(figure.axes) == 1
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["measured"]
    assert [text.get_text() for legend in figure.legends for text in legend.get_texts()] == ["error unknown"]


def test_truth_is_an_open_mark(electrode: ElectrodeFindings) -> None:
    _, axes = draw(electrode)
    true = {str(row["step"]): 100 * row["true"] for row in electrode.accuracy if row["name"] == NAME}
    np.testing.assert_allclose(find_marks(axes, "D")[:, 1], list(true.values()))
    (marks,) = [line for line in axes.lines if line.get_marker() == "D"]
    assert marks.get_markerfacecolor() == "none"


def test_thickness_stands_above_where_it_is_known(electrode: ElectrodeFindings) -> None:
    figure, _ = draw(electrode)
    expected = [1e6 * m.value for m in electrode.measurements if m.name == "thickness" and m.scan != "T7"]
    np.testing.assert_allclose(find_marks(figure.axes[0], "o")[:, 1], expected)
    assert len(draw(without(electrode, "thickness"))[0].axes) == 1


def test_the_axis_of_a_relative_volume_ends_at_nothing(electrode: ElectrodeFindings) -> None:
    _, axes = draw(replace(electrode, measurements=[Measurement(NAME, "T6", 0.02, "1")]))
    assert axes.get_ylim()[0] == 0.0


def test_without_a_segmentation_nothing_of_it_appears(electrode: ElectrodeFindings) -> None:
    names = {m.name for m in electrode.measurements if m.name.startswith(NAME)}
    rows = [row for row in electrode.accuracy if row["name"] != NAME]
    none = replace(without(electrode, *names), accuracy=rows, segmented={}, phase_names=(), silicon_region=None)
    part = describe(none)
    assert {"silicon", "segmentation"}.isdisjoint(part.pictures)
    assert "silicon" not in [key for key, *_ in part.sections]
    texts = [*part.sentences, *part.header, *(text for _, text in part.facts), *(row[0] for row in part.accuracy)]
    assert [text for text in texts if "silicon" in text] == []


def test_the_page_tells_what_has_not_reacted(electrode: ElectrodeFindings) -> None:
    part = describe(electrode)
    told = f"At T6, 60.0 ± 1.5{NARROW}% of the silicon's volume at T0 has not reacted (x below about 0.7)."
    assert told in part.sentences
    assert (f"60.0 ± 1.5{NARROW}%", "silicon not reacted, T6") in part.facts
    column = part.header.index("non-lithiated silicon (%)")
    assert dict(part.rows)["T6"][column] == "60.0 ± 1.5"
    assert ("silicon", "Silicon that has not reacted", ["silicon", "segmentation"]) in part.sections
    (true,) = [row["true"] for row in electrode.accuracy if (row["name"], row["step"]) == (NAME, "T6")]
    assert part.sentences[-1].endswith(f", and {100 * true:.1f}{NARROW}% of silicon that has not reacted.")


def test_what_is_not_known_of_silicon_is_not_told(electrode: ElectrodeFindings) -> None:
    lost = [m for m in electrode.measurements if (m.name, m.scan) != (NAME, "T6")]
    assert [
        text for text in tell_electrode(replace(electrode, measurements=lost, accuracy=())) if "silicon" in text
    ] == []


def test_a_column_of_the_table_without_a_number_is_left_out(electrode: ElectrodeFindings) -> None:
    bare = replace(electrode, slices={})
    full, less = describe(bare), describe(without(bare, "in_plane_strain_xx"))
    assert set(full.header) - set(less.header) == {"in plane, x (%)"}
    assert {len(cells) for _, cells in less.rows} == {len(full.header) - 1}


def test_the_waterfall_has_the_share_of_the_segmentation(electrode: ElectrodeFindings) -> None:
    shares = (Share("segmentation", 0.02, "bias"), Share("region", 0.01))
    figure = draw_errors(replace(electrode, measurements=[Measurement(NAME, "T0", 0.7, "1", shares=shares)]))
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "non-lithiated silicon"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["segmentation", "region", "together"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([2.0, 1.0, math.sqrt(5.0)])


def test_the_name_is_written_with_its_hyphen() -> None:
    assert write_name(NAME) == "non-lithiated silicon"


def test_the_caption_says_what_is_counted_and_what_it_means(electrode: ElectrodeFindings) -> None:
    text = CAPTIONS["silicon"][1](electrode)
    for part in ("below about 0.7", "not crystalline", "may rise again on discharge", "not where the truth lies",
                 f"more than 1.3{NARROW}\N{GREEK SMALL LETTER MU}m above the collector"):  # fmt: skip
        assert part in text
    assert "Counted is" not in CAPTIONS["silicon"][1](replace(electrode, silicon_region=None))


def test_first_last_and_most_expanded_scan_are_segmented_for_the_eye_and_repeats_are_not(
    electrode: ElectrodeFindings,
) -> None:
    assert choose_segmented(electrode) == ["T0", "T3", "T6", "T9"]
    few = {scan: one for scan, one in electrode.segmented.items() if scan in ("T1", "T7")}
    assert choose_segmented(replace(electrode, segmented=few)) == ["T1"]
    assert draw_segmentation(replace(electrode, segmented={})) is None


def test_colours_are_those_of_the_phases_and_silicon_is_outlined(electrode: ElectrodeFindings) -> None:
    figure = draw_segmentation(make_small(electrode))
    assert figure is not None
    grey, phases, sure, *_ = figure.axes
    image = np.asarray(phases.images[0].get_array())
    np.testing.assert_allclose(image[0, 0], to_rgb(PHASE_COLOURS[0]), atol=1e-6)
    np.testing.assert_allclose(image[2, 0], to_rgb(PHASE_COLOURS[1]), atol=1e-6)
    (line,) = grey.collections[0].get_paths()
    np.testing.assert_allclose(line.vertices[:, 1], 2.0)  # between the second and the third row, of 1 um each
    assert np.ma.getmaskarray(sure.images[0].get_array()).sum() == 1
    assert sure.images[0].get_clim() == (0.5, 1.0)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Si", "CBD"]


@pytest.mark.parametrize("code", [1, 2])
def test_a_slice_of_one_phase_needs_no_outline(electrode: ElectrodeFindings, code: int) -> None:
    small = make_small(electrode)
    one = SegmentedSlice(np.full((4, 6), code, np.uint8), np.ones((4, 6), np.float32))
    figure = draw_segmentation(replace(small, segmented={"T0": one}))
    assert figure is not None
    assert len(figure.axes[0].collections) == 0


def test_the_table_of_the_segmentation_has_shares_and_confidence(electrode: ElectrodeFindings) -> None:
    rows = read_table(make_small(electrode), "segmentation")
    assert len(rows) == 4 * 6 - 1
    assert rows[0] == {"scan": "T0", "z_m": "5e-07", "x_m": "5e-07", "share_Si": "1", "share_CBD": "0",
                       "confidence": "0.75"}  # fmt: skip
    shares = [float(row["share_silicon"]) for row in read_table(electrode, "segmentation") if row["scan"] == "T6"]
    assert np.mean(shares) == pytest.approx(np.mean(electrode.segmented["T6"].phases == 1), rel=0.02)


def test_the_table_of_the_silicon_has_the_truth_beside_it(electrode: ElectrodeFindings) -> None:
    (row,) = [r for r in read_table(electrode, "silicon") if (r["name"], r["scan"]) == (NAME, "T6")]
    (true,) = [row["true"] for row in electrode.accuracy if (row["name"], row["step"]) == (NAME, "T6")]
    assert float(row["value"]) == pytest.approx(0.6)
    assert float(row["true"]) == pytest.approx(true, rel=1e-5)
    (low,) = [r for r in read_table(electrode, "silicon") if (r["name"], r["scan"]) == (LOW, "T6")]
    assert low["true"] == ""


def test_many_scans_have_the_same_figure(build_electrode: Callable[..., ElectrodeFindings]) -> None:
    _, axes = draw(build_electrode(30))
    assert len(read_bars(axes, COVERAGE)) == 29

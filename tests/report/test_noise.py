"""The figure of noise, bias and resolution."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from voltome import report

HALF = (8, 12, 16)


def make_summary(virtual=True):
    rows = []
    for h in HALF:
        row = {"half_window_vox": h, "sd_u_vox": 0.4 * h**-1.5, "sd_f": h**-2.5, "sd_strain_zz": 0.3 * h**-2.5}
        row |= {"sd_u_error_vox": 0.02 * h**-1.5, "sd_f_error": 0.04 * h**-2.5, "sd_strain_zz_error": 0.02 * h**-2.5}
        row |= {"predicted_sd_u_vox": 0.38 * h**-1.5, "predicted_sd_f": 0.9 * h**-2.5}
        for axis in "zyx":
            row |= {f"bias_u_{axis}_vox": 1e-3 / h, f"bias_u_{axis}_error_vox": 1e-4}
            row |= {f"bias_f_{axis}{axis}": 1e-5, f"bias_f_{axis}{axis}_error": 1e-6}
        row |= {"resolution_vox": 8.0 * h + 4, "mei_vox2": None if h == 16 else 3.0}
        rows.append(row)
    law = {"factor": 0.4, "exponent": -1.5, "exponent_sd": 0.05}
    period = np.geomspace(25, 300, 6)
    sweep = [
        {"half_window_vox": h, "period_vox": period, "response": np.sinc((2 * h + 1) / period),
         "response_error": np.full(6, 0.01)} for h in HALF
    ]  # fmt: skip
    return {
        "windows": rows,
        "power_laws": {"u_vox": law, "f": law | {"factor": 1.0}, "strain_zz": None},
        "recommended": {"strain_resolution": 1e-3, "from_displacement": {"half_window_vox": 14}},
        "sweep": sweep if virtual else [],
    }


@pytest.mark.parametrize(("virtual", "panels"), [(True, 7), (False, 2)])
def test_there_is_a_panel_for_all_that_was_measured(virtual, panels):
    figure = report.noise_figure(make_summary(virtual))
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == list("abcdefg")[:panels]
    assert all(axes.get_ylabel() for axes in shown)


def test_measured_points_stand_where_they_were_measured():
    axes = report.noise_figure(make_summary(False)).axes[0]
    points = axes.containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(points, [[h, 400 * h**-1.5] for h in HALF])
    assert "h^{\N{MINUS SIGN}1.50" in axes.get_legend_handles_labels()[1][-1]


def test_the_recommended_window_is_marked():
    axes = report.noise_figure(make_summary()).axes[1]
    assert "0.1 %: $h$ = 14" in axes.get_legend_handles_labels()[1]
    summary = make_summary()
    summary["recommended"]["from_displacement"] = None
    assert not any("%" in label for label in report.noise_figure(summary).axes[1].get_legend_handles_labels()[1])


def test_one_window_is_drawn_without_a_law():
    summary = make_summary(False)
    summary["windows"] = summary["windows"][:1]
    summary["power_laws"] = dict.fromkeys(summary["power_laws"])
    summary["recommended"]["from_displacement"] = None
    png = Image.open(io.BytesIO(report.figure_to_png(report.noise_figure(summary), dpi=60)))
    assert min(png.size) > 100


def test_the_same_numbers_give_the_same_drawing():
    first, second = (report.figure_to_svg(report.noise_figure(make_summary())) for _ in range(2))
    assert first == second
    assert first.rstrip().endswith("</svg>") and "dc:date" not in first

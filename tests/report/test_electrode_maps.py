"""Pictures of an electrode: where cells go, what colours mean, which scans are shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from voltome.report import AxialMap, ElectrodeFindings
from voltome.report.electrode_maps import (
    choose_shown,
    deform_corners,
    draw_axial_strain,
    draw_slices,
    draw_thickness_maps,
)

Z, X = 1e-6 * np.array([4.0, 6.0, 8.0, 10.0]), 1e-6 * np.array([1.0, 3.0, 5.0])


def make_map(stretch: float = 0.0) -> AxialMap:
    """Matter that moves away from z = 0."""
    shape = (len(Z), len(X))
    down = np.broadcast_to(stretch * Z[:, None], shape).copy()
    return AxialMap(Z, X, down, np.zeros(shape), np.full(shape, stretch), np.ones(shape, dtype=bool))


def test_cells_at_rest_end_half_way_between_nodes() -> None:
    x, z = np.moveaxis(deform_corners(make_map()), -1, 0)
    np.testing.assert_allclose(z[:, 0], 1e-6 * np.array([3.0, 5.0, 7.0, 9.0, 11.0]))
    np.testing.assert_allclose(x[0], 1e-6 * np.array([0.0, 2.0, 4.0, 6.0]), atol=1e-12)


def test_cells_of_a_stretch_are_stretched_to_the_last_corner() -> None:
    z = deform_corners(make_map(0.4))[..., 1]
    np.testing.assert_allclose(z[:, 1], 1.4e-6 * np.array([3.0, 5.0, 7.0, 9.0, 11.0]))


def test_a_lost_node_leaves_its_neighbours_cells_whole() -> None:
    one = make_map(0.4)
    one.displacement_z_m[1, 1] = np.nan
    assert np.isfinite(deform_corners(one)).all()
    one.displacement_z_m[:, :2] = np.nan
    corners = deform_corners(one)[..., 1]
    assert np.isnan(corners[:, :2]).all()
    assert np.isfinite(corners[:, 2:]).all()


def test_one_row_of_nodes_has_cells() -> None:
    whole = make_map(0.4)
    row = AxialMap(
        Z[:1], X, whole.displacement_z_m[:1], whole.displacement_x_m[:1], whole.strain[:1], whole.trusted[:1]
    )
    corners = deform_corners(row)
    assert corners.shape == (2, 4, 2)
    np.testing.assert_allclose(corners[..., 0], np.tile(1e-6 * np.array([0.0, 2.0, 4.0, 6.0]), (2, 1)), atol=1e-12)


def test_axial_strain_is_white_at_nothing_and_ends_where_the_paper_does(electrode: ElectrodeFindings) -> None:
    figure = draw_axial_strain(electrode)
    assert figure is not None
    (mesh,) = [c for c in figure.axes[0].collections if isinstance(c, QuadMesh)]
    np.testing.assert_allclose(mesh.norm([-0.5, 0.0, 1.5]), [0.0, 0.5, 1.0])
    assert min(mesh.cmap(0.5)[:3]) > 0.95


def test_strain_that_is_not_known_stays_bare(electrode: ElectrodeFindings) -> None:
    shown = choose_shown(electrode, electrode.axial_maps, 8)
    axial = electrode.axial_maps[shown[0]]
    figure = draw_axial_strain(electrode)
    assert figure is not None
    (mesh,) = [c for c in figure.axes[0].collections if isinstance(c, QuadMesh)]
    lost = np.isnan(axial.strain)
    assert lost.any()
    np.testing.assert_array_equal(np.ma.getmaskarray(mesh.get_array()) | ~lost, True)


@pytest.mark.parametrize("most", [4, 6, 8])
def test_first_last_and_most_expanded_scan_are_always_shown(electrode: ElectrodeFindings, most: int) -> None:
    shown = choose_shown(electrode, electrode.slices, most)
    assert (len(shown), shown[0], shown[-1]) == (most, "T0", "T9")
    assert "T6" in shown
    assert shown == sorted(shown)


def test_slices_carry_both_surfaces_and_the_first_one(electrode: ElectrodeFindings) -> None:
    figure = draw_slices(electrode)
    assert figure is not None
    lines = [line.get_ydata() for line in figure.axes[6].lines]
    expected = [electrode.surfaces["T0"][1], *electrode.surfaces["T6"]]
    for line, surface in zip(lines, expected, strict=True):
        np.testing.assert_allclose(line, 1e6 * surface)


def test_thickness_has_one_scale_for_all_scans(electrode: ElectrodeFindings) -> None:
    figure = draw_thickness_maps(electrode)
    assert figure is not None
    limits = {image.get_clim() for ax in figure.axes[0:20:2] for image in ax.images}
    assert len(limits) == 1
    low, high = next(iter(limits))
    assert low < 21.0 < 30.0 < high


def test_scans_without_a_picture_are_passed_over(electrode: ElectrodeFindings) -> None:
    maps = {name: image for name, image in electrode.thickness_maps.items() if name in ("T1", "T6")}
    maps["T6"] = np.full_like(maps["T6"], np.nan)
    figure = draw_thickness_maps(replace(electrode, thickness_maps=maps))
    assert figure is not None
    assert next(ax.get_title(loc="left") for ax in figure.axes if ax.images) == "T1"
    assert sum(bool(ax.images) for ax in figure.axes) == 2
    assert draw_thickness_maps(replace(electrode, thickness_maps={"T6": maps["T6"]})) is None

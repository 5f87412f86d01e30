"""The figures of a correlation: arrays in, matplotlib Figure out. No pyplot, no file, no global state.

Every function draws the same grammar: grey slice below, one coloured cell per node, suspect cells hatched over their
own value, filled ones hollow, failed ones crossed, masked ones empty. Colour limits come from trusted nodes alone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, StrainField
from voltome.report import panels
from voltome.report.measures import half_spread, round_down, symmetric_range
from voltome.report.quantities import (
    DIVERGING,
    Limits,
    Quantity,
    best_known,
    displacement_quantities,
    measured_kinds,
    quality_quantities,
    select_kinds,
    shown_displacement,
    strain_kinds,
    strain_quantities,
)
from voltome.report.sections import NodeKind, Section, Slices, lay_points, measure_cell, read_sections

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]


def figure_to_png(figure: Figure, *, dpi: int = 170, levels: int = 256) -> bytes:
    """Render a figure, with nothing in the bytes that depends on the day or the machine.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    dpi : int
        Pixels per inch; 170 keeps 8-point letters sharp on a page.
    levels : int
        Shades kept of each colour channel (2 to 256): 32 halve the bytes, for a page that carries many figures.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    with panels.paper_style():
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())  # type: ignore[no-untyped-call]
    if levels < 256:
        shades = np.round(np.round(np.arange(256) / 255 * (levels - 1)) * 255 / (levels - 1)).astype(int).tolist()
        image = image.point(shades * 3)
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=6, dpi=(dpi, dpi))
    return stream.getvalue()


def measure_arrows(field: DeformationField) -> float:
    """How many times longer than life the arrows of `displacement_figure` are: 1, 2 or 5 times a power of ten.

    Parameters
    ----------
    field : DeformationField

    Returns
    -------
    float
        So that all but the longest twentieth stay within one node spacing; 1 where there is nothing to draw.
    """
    u = field.displacement_vox[select_kinds(field, None) == NodeKind.TRUSTED]
    cell = float(measure_cell(field.positions_vox, field.grid_shape).min())
    if len(u) < 2 or not cell > 0:
        return 1.0
    length = float(np.percentile(np.linalg.norm(u - np.median(u, axis=0), axis=1), 95.0))
    return round_down(cell / max(length, 1e-6))


def draw_arrows(axes: Axes, section: Section, field: DeformationField) -> None:
    """Displacement of trusted nodes in the plane of the slice, less its median, magnified.

    Parameters
    ----------
    axes, section, field : matplotlib Axes, Section, DeformationField

    Returns
    -------
    None
        The axes are drawn on, if there is a trusted node.
    """
    layer = lay_points(section, field.positions_vox, field.grid_shape)
    trusted = select_kinds(field, None) == NodeKind.TRUSTED
    kept = trusted[layer.points]
    if not kept.any():
        return
    u = field.displacement_vox - np.median(field.displacement_vox[trusted], axis=0)
    arrows = u[layer.points][kept][:, [section.columns, section.rows]] * measure_arrows(field)
    at = layer.centres_vox[kept]
    axes.quiver(
        at[:, 0], at[:, 1], arrows[:, 0], arrows[:, 1], angles="xy", scale_units="xy", scale=1.0, width=0.012,
        headwidth=3.2, headlength=3.8, headaxislength=3.4, minlength=0.3,
        color=panels.ORANGE, ec="black", lw=0.3, zorder=3,
    )  # fmt: skip


def list_kinds(axes: Axes, *, flat: bool = False) -> None:
    """The legend of the node kinds, in the place of a colour bar: as colours (`flat`), or as drawn over a map.

    Parameters
    ----------
    axes, flat : matplotlib Axes, bool

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes.set_axis_off()
    if flat:
        handles: list[Patch | Line2D] = [
            Patch(fc=colour, alpha=0.75, label=kind.name.lower()) for kind, colour in panels.KIND_COLOURS.items()
        ]
    else:
        handles = [
            Patch(fc="none", ec=panels.INK, hatch=panels.HATCH, label="suspect"),
            Patch(fc="none", ec=panels.BLUE, lw=1.6, label="filled"),
            Line2D([], [], ls="none", marker="x", color=panels.VERMILION, ms=4, label="failed, not filled"),
        ]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 2.2), borderaxespad=0.0, ncols=1)


def volumes_figure(
    sections: Sequence[Section],
    deformed: Sequence[Section] = (),
    residual: Sequence[Section] = (),
    *,
    voxel_size_m: float | None = None,
) -> Figure:
    """Reference, deformed and residual side by side, on the same slices.

    Parameters
    ----------
    sections, deformed, residual : sequence of Section
        An empty sequence leaves its column out. Each column has its own grey limits; the residual's are around 0.
    voxel_size_m : float, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.colors import Normalize

    sets = [("reference", sections), ("deformed", deformed), ("residual after warping", residual)]
    shown = [(name, {s.axis: s for s in group}) for name, group in sets if group]
    with panels.paper_style():
        board = panels.lay_out_board(sections, max(len(shown), 3))
        for column, (name, group) in enumerate(shown):
            is_residual = name.startswith("residual")
            images = [s.image for s in group.values()]
            limits = panels.grey_range(list(group.values()))
            if is_residual:
                limits = symmetric_range(np.concatenate([i.ravel() for i in images]), percent=1.0)
            colours = DIVERGING if is_residual else "gray"
            for row, section in enumerate(sections):
                if section.axis in group:
                    panels.draw_grey(board.panels[row][column], group[section.axis], limits, colours=colours)
            panels.title_column(board.panels[0][column], name)
            panels.draw_bar(board.bars[column], Normalize(*limits), colours)
            board.bars[column].set_xlabel("grey value" if not is_residual else "grey difference", labelpad=1.0)
        for row, section in enumerate(sections):
            panels.label_row(board.panels[row][0], section, None, voxel_size_m)
            for axes in board.panels[row]:
                axes.set_visible(axes.has_data())
        for bar in board.bars[len(shown) :]:
            bar.set_visible(False)
    return board.figure


@dataclass(frozen=True)
class Points:
    """Where the values of a map stand, and what each may be read as."""

    positions_vox: FloatArray
    grid_shape: tuple[int, int, int] | None
    kinds: NDArray[np.int8]


def draw_map(axes: Axes, section: Section, points: Points, quantity: Quantity, grey: Limits) -> None:
    """One panel: the grey slice and the cells of a quantity.

    Parameters
    ----------
    axes, section, points, quantity, grey : matplotlib Axes, Section, Points, Quantity, (float, float)

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib.colors import Normalize

    panels.draw_grey(axes, section, grey)
    layer = lay_points(section, points.positions_vox, points.grid_shape)
    panels.draw_cells(axes, layer, quantity.values, points.kinds, Normalize(*quantity.limits), quantity.colours)


def finish_column(title_axes: Axes, bar: Axes, quantity: Quantity) -> None:
    """Name and colour bar of one column of maps.

    Parameters
    ----------
    title_axes, bar, quantity : matplotlib Axes, matplotlib Axes, Quantity

    Returns
    -------
    None
        Both axes are drawn on.
    """
    from matplotlib.colors import Normalize

    panels.title_column(title_axes, quantity.name)
    panels.draw_bar(bar, Normalize(*quantity.limits), quantity.colours, extend=quantity.extend)
    bar.set_xlabel(quantity.unit, labelpad=1.0)


def draw_columns(
    board: panels.Board,
    sections: Sequence[Section],
    points: Points,
    quantities: Sequence[Quantity],
    voxel_size_m: float | None,
    first: int = 0,
) -> None:
    """Maps of several quantities on the same slices, from column `first` on.

    Parameters
    ----------
    board, sections, points, quantities : Board, sequence of Section, Points, sequence of Quantity
    voxel_size_m, first : float or None, int

    Returns
    -------
    None
        The board is drawn on.
    """
    grey = panels.grey_range(sections)
    for column, quantity in enumerate(quantities, start=first):
        for row, section in enumerate(sections):
            draw_map(board.panels[row][column], section, points, quantity, grey)
        finish_column(board.panels[0][column], board.bars[column], quantity)
    for row, section in enumerate(sections):
        layer = lay_points(section, points.positions_vox, points.grid_shape)
        panels.label_row(board.panels[row][0], section, layer, voxel_size_m)


def displacement_figure(
    field: DeformationField,
    filtered: DeformationField | None,
    sections: Sequence[Section],
    *,
    voxel_size_m: float | None = None,
) -> Figure:
    """In-plane arrows and the three displacement components over the grey slices.

    Parameters
    ----------
    field, filtered : DeformationField
        As measured, and after filtering or None: gives the value of filled nodes, drawn hollow.
    sections, voxel_size_m : sequence of Section, float or None
        The voxel size adds scale bars.

    Returns
    -------
    matplotlib.figure.Figure
    """
    kinds = select_kinds(field, filtered)
    points = Points(field.positions_vox, field.grid_shape, kinds)
    with panels.paper_style():
        board = panels.lay_out_board(sections, 4)
        grey = panels.grey_range(sections)
        for row, section in enumerate(sections):
            panels.draw_grey(board.panels[row][0], section, grey)
            draw_arrows(board.panels[row][0], section, field)
        panels.title_column(board.panels[0][0], rf"$u$ in plane, $\times${measure_arrows(field):g}")
        list_kinds(board.bars[0])
        quantities = displacement_quantities(shown_displacement(field, filtered), kinds)
        draw_columns(board, sections, points, quantities, voxel_size_m, first=1)
    return board.figure


def strain_figure(strain: StrainField, sections: Sequence[Section], *, voxel_size_m: float | None = None) -> Figure:
    """Axial, volumetric and deviatoric strain over the grey slices, in percent.

    Parameters
    ----------
    strain : StrainField
    sections, voxel_size_m
        As in `displacement_figure`.

    Returns
    -------
    matplotlib.figure.Figure
        Hatched where a node behind the value is suspect or filled; empty where no strain could be formed.
    """
    points = Points(strain.positions_vox, strain.grid_shape, strain_kinds(strain))
    with panels.paper_style():
        board = panels.lay_out_board(sections, 5)
        draw_columns(board, sections, points, strain_quantities(strain), voxel_size_m)
    return board.figure


def quality_figure(
    field: DeformationField,
    filtered: DeformationField | None,
    sections: Sequence[Section],
    *,
    voxel_size_m: float | None = None,
) -> Figure:
    """ZNCC, standard deviations, iterations, and what each node may be read as.

    Parameters
    ----------
    field, filtered, sections, voxel_size_m
        As in `displacement_figure`.

    Returns
    -------
    matplotlib.figure.Figure
        The standard deviations are the random part alone: the root mean square over the components of u and of F.
    """
    kinds = select_kinds(field, filtered)
    points = Points(field.positions_vox, field.grid_shape, measured_kinds(kinds))
    with panels.paper_style():
        board = panels.lay_out_board(sections, 5)
        draw_columns(board, sections, points, quality_quantities(field, kinds), voxel_size_m)
        grey = panels.grey_range(sections)
        for row, section in enumerate(sections):
            panels.draw_grey(board.panels[row][4], section, grey)
            panels.draw_kinds(board.panels[row][4], lay_points(section, field.positions_vox, field.grid_shape), kinds)
        panels.title_column(board.panels[0][4], "node is")
        list_kinds(board.bars[4], flat=True)
    return board.figure


def summary_figure(
    field: DeformationField,
    strain: StrainField,
    slices: Slices,
    *,
    filtered: DeformationField | None = None,
    deformed_slices: Slices | None = None,
    axis: str = "y",
    voxel_size_m: float | None = None,
    slice_scale: int = 1,
) -> Figure:
    """The whole result in one row: grey pair, displacement, volumetric strain, ZNCC.

    Parameters
    ----------
    field, strain, filtered : DeformationField, StrainField, DeformationField or None
    slices, deformed_slices : mapping
        Axis name to (index in voxels, 2D image); the panel of the deformed volume is left out where there is none.
    axis : str
        Which slice: the one across y by default, which shows the axial direction upright.
    voxel_size_m : float, optional
    slice_scale : int
        Voxels per pixel of the slices.

    Returns
    -------
    matplotlib.figure.Figure
        The displacement component is the one that varies most.

    Raises
    ------
    InputError
        If no slice stands across that axis.
    """
    section = pick_section(slices, axis, slice_scale)
    pair = [section] + ([pick_section(deformed_slices, axis, slice_scale)] if deformed_slices else [])
    kinds = select_kinds(field, filtered)
    u = shown_displacement(field, filtered)
    component = int(np.argmax([np.nan_to_num(half_spread(best_known(u[:, i], kinds))) for i in range(3)]))
    nodes = Points(field.positions_vox, field.grid_shape, kinds)
    columns = [
        (nodes, displacement_quantities(u, kinds)[component]),
        (Points(strain.positions_vox, strain.grid_shape, strain_kinds(strain)), strain_quantities(strain)[3]),
        (Points(field.positions_vox, field.grid_shape, measured_kinds(kinds)), quality_quantities(field, kinds)[0]),
    ]
    with panels.paper_style():
        board = panels.lay_out_board([section], len(pair) + len(columns), lift_bars_in=0.28)
        axes = board.panels[0]
        for i, shown in enumerate(pair):
            panels.draw_grey(axes[i], shown, panels.grey_range([shown]))
            panels.title_column(axes[i], ("reference", "deformed")[i])
            board.bars[i].set_visible(False)
        for i, (points, quantity) in enumerate(columns, start=len(pair)):
            draw_map(axes[i], section, points, quantity, panels.grey_range([section]))
            finish_column(axes[i], board.bars[i], quantity)
        layer = lay_points(section, field.positions_vox, field.grid_shape)
        panels.label_row(axes[0], section, layer, voxel_size_m)
    return board.figure


def pick_section(slices: Slices, axis: str, slice_scale: int) -> Section:
    """The slice across one axis; InputError where there is none.

    Parameters
    ----------
    slices, axis, slice_scale : mapping, str, int

    Returns
    -------
    Section

    Raises
    ------
    InputError
        If no slice stands across that axis, or it is not a 2D image.
    """
    if axis not in slices:
        raise InputError(f"axis must be one of the slices given, {sorted(slices)} (got {axis!r}): name one of them")
    return read_sections({axis: slices[axis]}, slice_scale)[0]

"""Pictures of an electrode: aligned slices, maps of thickness, axial strain on a vertical cross-section."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome.report import panels
from voltome.report.electrode_axes import shorten_name
from voltome.report.electrode_findings import AxialMap, ElectrodeFindings
from voltome.report.electrode_grid import BARE, Grid, draw_scale, draw_slice, grey_limits, title_panel, write_soc
from voltome.report.electrode_numbers import FloatArray, Numbers
from voltome.report.measures import robust_range, symmetric_range
from voltome.report.wording import MICRO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SLICES, MOST_MAPS, MOST_STRAINS = 12, 10, 8
AXIAL_LIMITS = (-0.5, 1.5)
"""Axial strain of the first and the last colour, as in the paper's Fig. 3c."""
STRAIN_COLOURS, THICKNESS_COLOURS, DEVIATION_COLOURS = "RdBu_r", "viridis", "PuOr_r"


def choose_scans(names: Sequence[str], most: int) -> list[str]:
    """All scans, or so many of them evenly chosen, the first and the last among them.

    Parameters
    ----------
    names : sequence of str
    most : int

    Returns
    -------
    list of str
    """
    number = min(len(names), most)
    return [names[round(i)] for i in np.linspace(0, len(names) - 1, number)]


def choose_shown(findings: ElectrodeFindings, pictures: Mapping[str, Any], most: int) -> list[str]:
    """Scans whose pictures a figure shows: evenly chosen, and always the most expanded one.

    Parameters
    ----------
    findings : ElectrodeFindings
    pictures : mapping
        Name of a scan to its picture.
    most : int

    Returns
    -------
    list of str
        In order of time.
    """
    names = [scan for scan in findings.scans if scan in pictures]
    chosen = choose_scans(names, most)
    peak = Numbers(findings).find_peak()
    if peak in names and peak not in chosen:
        inner = range(1, len(chosen) - 1)
        nearest = min(inner, key=lambda i: abs(names.index(chosen[i]) - names.index(peak)), default=len(chosen) - 1)
        chosen[nearest] = peak
    return chosen


def draw_slices(findings: ElectrodeFindings) -> Figure | None:
    """Aligned slices with the collector's face and the surface on the separator's side.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where there is no slice.
    """
    shown = choose_shown(findings, findings.slices, MOST_SLICES)
    if not shown:
        return None
    first = findings.slices[shown[0]]
    with panels.paper_style():
        grid = Grid(len(shown), first.shape[0] / first.shape[1], columns=3, tallest=1.9, below=0.3)
        limits = grey_limits([findings.slices[scan] for scan in shown])
        for (axes,), scan in zip(grid.panels, shown, strict=True):
            draw_slice(axes, findings.slices[scan], findings.slice_pixel_m, limits)
            title_panel(axes, scan, write_soc(findings, scan))
            _draw_surfaces(axes, findings, scan, shown[0])
        draw_scale(grid.panels[0][0])
        _explain_lines(grid, shown[0], findings)
    return grid.figure


_LINES = (("collector", panels.ORANGE, (0, (1.2, 1.0))), ("surface", "#e0301e", (0, (3.5, 1.8))))


def _draw_surfaces(axes: Axes, findings: ElectrodeFindings, scan: str, reference: str) -> None:
    """Collector and surface of this scan, and where the surface was at first."""
    from matplotlib.patheffects import withStroke

    before = findings.surfaces.get(reference)
    if before is not None and scan != reference:
        x = 1e6 * findings.slice_pixel_m * (np.arange(len(before[1])) + 0.5)
        axes.plot(x, 1e6 * np.asarray(before[1]), color="white", lw=0.7, zorder=4)
    for (_, colour, style), line in zip(_LINES, findings.surfaces.get(scan, ()), strict=False):
        x = 1e6 * findings.slice_pixel_m * (np.arange(len(line)) + 0.5)
        axes.plot(x, 1e6 * np.asarray(line), color=colour, lw=1.2, ls=style, zorder=5,
                  path_effects=[withStroke(linewidth=2.0, foreground="#00000090")])  # fmt: skip


def _explain_lines(grid: Grid, reference: str, findings: ElectrodeFindings) -> None:
    from matplotlib.lines import Line2D

    if not findings.surfaces:
        return
    handles = [
        Line2D([], [], color=colour, ls=style, lw=1.4, label=label)
        for (_, colour, style), label in zip(_LINES, ("face of the collector", "surface of the electrode"), strict=True)
    ]
    if reference in findings.surfaces and len(grid.panels) > 1:
        handles.append(Line2D([], [], color="#a9b0b8", lw=1.4, label=f"surface at {shorten_name(reference, 12)}"))
    grid.figure.legend(handles=handles, loc="lower left", ncols=3, bbox_to_anchor=(0.01, 0.0), handlelength=2.2)


def draw_thickness_maps(findings: ElectrodeFindings) -> Figure | None:
    """Local thickness of each scan, and below it what departs from that scan's mean.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where there is no map.
    """
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    known = {scan: values for scan, values in findings.thickness_maps.items() if np.isfinite(values).any()}
    shown = choose_shown(findings, known, MOST_MAPS)
    if not shown:
        return None
    maps = [1e6 * np.asarray(known[scan], dtype=np.float64) for scan in shown]
    means = [float(np.nanmean(values)) for values in maps]
    apart = [values - mean for values, mean in zip(maps, means, strict=True)]
    scales = (
        (Normalize(*robust_range(np.concatenate([m.ravel() for m in maps]))), THICKNESS_COLOURS),
        (Normalize(*symmetric_range(np.concatenate([m.ravel() for m in apart]))), DEVIATION_COLOURS),
    )
    with panels.paper_style():
        ratio = maps[0].shape[0] / maps[0].shape[1]
        grid = Grid(len(shown), ratio, rows_each=2, below=0.62, columns=5, tallest=1.7, left=0.42)
        for stack, scan, mean, images in zip(grid.panels, shown, means, zip(maps, apart, strict=True), strict=True):
            title_panel(stack[0], scan, f"{mean:.1f}")
            for axes, image, (norm, colours) in zip(stack, images, scales, strict=True):
                extent = (0.0, 1e6 * findings.map_pixel_m * image.shape[1], 1e6 * findings.map_pixel_m * image.shape[0])
                axes.imshow(np.ma.masked_invalid(image), norm=norm, extent=(0.0, extent[1], extent[2], 0.0),
                            cmap=colormaps[colours].with_extremes(bad=BARE), aspect="auto")  # fmt: skip
        for stack in grid.panels[:: grid.columns]:
            stack[0].set_ylabel("thickness", labelpad=3)
            stack[1].set_ylabel("less mean", labelpad=3)
        draw_scale(grid.panels[0][0])
        for k, ((norm, colours), label) in enumerate(zip(scales, ("thickness", "thickness less mean"), strict=True)):
            bar = grid.place(grid.left + k * 3.3, 0.42, 2.6, 0.09)
            panels.draw_bar(bar, norm, colours)
            bar.set_xlabel(f"{label} ({MICRO}m)", labelpad=1.0)
    return grid.figure


def draw_axial_strain(findings: ElectrodeFindings) -> Figure | None:
    """Axial strain of each scan over its slice, every node where it has moved to.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where there is no strain.
    """
    from matplotlib.colors import TwoSlopeNorm

    maps = {scan: axial for scan, axial in findings.axial_maps.items() if np.isfinite(axial.strain).any()}
    shown = choose_shown(findings, maps, MOST_STRAINS)
    if not shown:
        return None
    norm = TwoSlopeNorm(0.0, *AXIAL_LIMITS)
    images = [findings.slices[scan] for scan in shown if scan in findings.slices]
    with panels.paper_style():
        limits = grey_limits(images) if images else (0.0, 1.0)
        frame = images[0].shape if images else _measure_frame([maps[scan] for scan in shown], findings.slice_pixel_m)
        grid = Grid(len(shown), frame[0] / frame[1], columns=2, tallest=2.6, below=0.66)
        for (axes,), scan in zip(grid.panels, shown, strict=True):
            image = findings.slices.get(scan, np.full(frame, np.nan, dtype=np.float32))
            draw_slice(axes, image, findings.slice_pixel_m, limits)
            title_panel(axes, scan, write_soc(findings, scan))
            draw_axial_map(axes, maps[scan], norm)
            draw_slice(axes, image, findings.slice_pixel_m, limits, veil=0.2)
        draw_scale(grid.panels[0][0])
        _explain_strain(grid, norm)
    return grid.figure


def _measure_frame(maps: Sequence[AxialMap], pixel_m: float) -> tuple[int, int]:
    """Pixels (z, x) that hold all nodes, where no slice says it."""
    z = max(float(np.nanmax(m.z_m[:, None] + np.nan_to_num(m.displacement_z_m))) for m in maps)
    x = max(float(np.nanmax(m.x_m)) for m in maps)
    return math.ceil(1.08 * z / pixel_m), math.ceil(1.04 * x / pixel_m)


def draw_axial_map(axes: Axes, axial: AxialMap, norm: Any) -> None:
    """The cells of one map where they have moved to; those that are not trusted are hatched.

    Parameters
    ----------
    axes : matplotlib Axes
        In micrometres.
    axial : AxialMap
    norm : matplotlib Normalize
        Of strain.

    Returns
    -------
    None
        The axes are drawn on.
    """
    from matplotlib.collections import PolyCollection

    corners = 1e6 * deform_corners(axial)
    cells = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], axis=2)
    present = np.isfinite(axial.strain) & np.isfinite(cells).all(axis=(-1, -2))
    x, z = np.moveaxis(np.nan_to_num(corners), -1, 0)
    axes.pcolormesh(x, z, np.ma.masked_array(axial.strain, ~present), norm=norm, cmap=STRAIN_COLOURS, shading="flat",
                    edgecolors="face", linewidth=0.2, zorder=2)  # fmt: skip
    doubtful = list(cells[present & ~axial.trusted])
    for ink, width, edge in (("white", 1.2, 0.0), (panels.INK, 0.45, 0.3)):
        hatched = PolyCollection(doubtful, facecolors="none", edgecolors=ink, linewidths=edge, hatch="//////", zorder=3)
        hatched.set_hatch_linewidth(width)
        axes.add_collection(hatched, autolim=False)


def deform_corners(axial: AxialMap) -> FloatArray:
    """Where the corners of the cells around the nodes have moved to.

    Parameters
    ----------
    axial : AxialMap
        (nz, nx) nodes.

    Returns
    -------
    (nz + 1, nx + 1, 2) float64
        x and z in metres. Beyond the last node displacement goes on as before it; NaN where no node around a corner
        knows its displacement.
    """
    shape = axial.strain.shape
    at_x = _find_corners(np.broadcast_to(axial.x_m[None, :], shape), axial.displacement_x_m)
    at_z = _find_corners(np.broadcast_to(axial.z_m[:, None], shape), axial.displacement_z_m)
    return np.stack([at_x, at_z], -1)


def _find_corners(nodes: FloatArray, displacement: FloatArray) -> FloatArray:
    """Where the (nz + 1, nx + 1) corners between nodes have moved to, along one axis."""
    place, moved = _continue(nodes), _continue(displacement)
    four = [np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1], np.s_[1:, 1:]]
    known = sum(np.isfinite(moved[part]).astype(np.int64) for part in four)
    total = sum(np.nan_to_num(moved[part]) for part in four)
    shift = np.where(known > 0, total / np.maximum(known, 1), np.nan)
    return np.asarray(np.mean([place[part] for part in four], axis=0) + shift, dtype=np.float64)


def _continue(values: FloatArray) -> FloatArray:
    """One more row and column on every side, linearly; the last value again where its neighbour is not known."""
    for axis in (0, 1):
        v = np.moveaxis(np.asarray(values, dtype=np.float64), axis, 0)
        if len(v) == 1:
            v = np.concatenate([v, v, v])
        else:
            ends = [np.where(np.isfinite(b), 2 * a - b, a)[None] for a, b in ((v[0], v[1]), (v[-1], v[-2]))]
            v = np.concatenate([ends[0], v, ends[1]])
        values = np.moveaxis(v, 0, axis)
    return values


def _explain_strain(grid: Grid, norm: Any) -> None:
    """The colour bar from -50 % to +150 %, and what the hatching means."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.patches import Patch

    place = grid.place(grid.left + 0.1, 0.44, 3.2, 0.1)
    bar = grid.figure.colorbar(ScalarMappable(norm, STRAIN_COLOURS), cax=place, orientation="horizontal", extend="both")
    bar.outline.set_linewidth(0.4)
    ticks = (-0.5, -0.25, 0.0, 0.5, 1.0, 1.5)
    bar.set_ticks(ticks, labels=[f"{100 * t:+.0f}".replace("-", "\N{MINUS SIGN}") if t else "0" for t in ticks])
    place.set_xlabel("axial strain (%)", labelpad=1.0)
    grid.figure.legend(handles=[Patch(fc="none", ec=panels.INK, hatch="//////", label="not to be trusted")],
                       loc="lower right", bbox_to_anchor=(0.98, 0.28 / grid.total))  # fmt: skip

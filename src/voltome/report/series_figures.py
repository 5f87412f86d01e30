"""The figures of a series of scans: a strip of small maps, and curves over time. Arrays in, matplotlib Figure out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, StrainField
from voltome.report import figures, panels
from voltome.report.measures import robust_range, symmetric_range
from voltome.report.quantities import DIVERGING, Quantity, best_known, select_kinds, strain_kinds
from voltome.report.sections import PointLayer, Section, lay_points, read_sections
from voltome.report.wording import MICRO, write_percent, write_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from voltome.report.series import SeriesScan

FloatArray = NDArray[np.float64]

FILM_MOST = 24
"""Scans in the strip at most: beyond, the page would grow with the series and show no more."""

STRAINS = (
    ("strain_volumetric", "volumetric", panels.INK, "o"),
    ("strain_zz", r"$\varepsilon_{zz}$", panels.BLUE, "s"),
    ("strain_yy", r"$\varepsilon_{yy}$", panels.ORANGE, "^"),
    ("strain_xx", r"$\varepsilon_{xx}$", panels.VERMILION, "v"),
)
"""Strains of a scan with the colour and the mark of their curves."""

_ROWS = ("grey", "$u_z$", r"$\varepsilon_v$")


@dataclass(frozen=True)
class Abscissa:
    """What a curve runs over: values (N,), label, and names of the scans; `by_name` where only their order is known."""

    values: FloatArray
    label: str
    names: tuple[str, ...] = ()
    by_name: bool = False


def _choose_abscissa(scans: Sequence[SeriesScan]) -> Abscissa:
    """Time where every scan has one, else state of charge, else the order of the scans."""
    names = tuple(scan.name for scan in scans)
    time = _column(scans, "time_s")
    if np.isfinite(time).all():
        span = float(np.ptp(time))
        unit, length = next(((u, s) for u, s in (("h", 3600.0), ("min", 60.0)) if span >= 1.5 * s), ("s", 1.0))
        return Abscissa(time / length, f"time ({unit})", names)
    soc = _column(scans, "soc")
    if np.isfinite(soc).all():
        return Abscissa(100.0 * soc, "state of charge (%)", names)
    return Abscissa(np.arange(len(scans), dtype=np.float64), "scan", names, by_name=True)


def _column(scans: Sequence[SeriesScan], name: str) -> FloatArray:
    """One number of every scan, (N,)."""
    return np.array([getattr(scan, name) for scan in scans], dtype=np.float64)


def _shorten_name(name: str, most: int) -> str:
    """At most so many letters; what is left out of the middle becomes an ellipsis."""
    most = max(most, 3)
    if len(name) <= most:
        return name
    return f"{name[: most // 2]}\N{HORIZONTAL ELLIPSIS}{name[len(name) - (most - 1 - most // 2) :]}"


def curves_figure(scans: Sequence[SeriesScan], *, large_difference_vox: float) -> Figure:
    """Displacement, strain, trusted nodes and the direct check over the series; the cell where its state is known.

    Parameters
    ----------
    scans : sequence of SeriesScan
        The first is the reference.
    large_difference_vox : float
        Difference between composed and direct displacement beyond which the page warns; drawn as a line.

    Returns
    -------
    matplotlib.figure.Figure
        Four panels, or six where time and state of charge are known. Repeat scans are crosses, and not joined.
    """
    from matplotlib.figure import Figure

    over = _choose_abscissa(scans)
    with_cell = over.label.startswith("time") and bool(np.isfinite(_column(scans, "soc")).sum() > 1)
    with panels.paper_style():
        rows = 3 if with_cell else 2
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN, 2.15 * rows), layout="constrained")
        axes = figure.subplots(rows, 2).ravel()
        _draw_displacement(axes[0], scans, over)
        _draw_strains(axes[1], scans, over)
        _draw_shares(axes[2], scans, over)
        _draw_differences(axes[3], scans, over, large_difference_vox)
        if with_cell:
            _draw_strains(axes[4], scans, Abscissa(100.0 * _column(scans, "soc"), "state of charge (%)"), most=2)
            _draw_cell(axes[5], scans, over)
        for letter, ax in zip("abcdef", axes, strict=False):
            ax.set_title(letter, loc="left", x=-0.17, fontweight="bold")
            if not any(line.get_marker() != "None" and np.size(line.get_xdata()) for line in ax.lines):
                ax.text(0.5, 0.5, "nothing to be read", transform=ax.transAxes, ha="center", va="bottom")
                ax.set_yticks([])
    return figure


def _start_curve(axes: Axes, over: Abscissa, label: str) -> None:
    """Name both axes; the names of the scans stand along the top, or at the ticks where only their order is known."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(over.label)
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    finite = over.values[np.isfinite(over.values)]
    margin = 0.06 * float(np.ptp(finite)) or 0.5
    axes.set_xlim(float(finite.min()) - margin, float(finite.max()) + margin)
    names = _spread_names(over, axes.get_xlim())
    if over.by_name:
        axes.set_xticks([x for x, _ in names], [text for _, text in names], parse_math=False)
        return
    axes.xaxis.set_major_locator(MaxNLocator(5))
    for x, text in names:
        axes.annotate(text, (x, 1.0), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                      ha="center", fontsize=6.5, color="#4a525b", parse_math=False)  # fmt: skip


def _spread_names(over: Abscissa, limits: tuple[float, float]) -> list[tuple[float, str]]:
    """Names that have room beside each other on an axis some 2.7 inches wide, from the first on."""
    letter = (limits[1] - limits[0]) / (38 if over.by_name else 46)
    out: list[tuple[float, str]] = []
    taken: list[tuple[float, float]] = []
    for x, name in zip(over.values, over.names, strict=False):
        text = _shorten_name(name, 10)
        half = letter * (len(text) + 1) / 2
        if np.isfinite(x) and all(x + half <= low or x - half >= high for low, high in taken):
            taken.append((x - half, x + half))
            out.append((float(x), text))
    return out


def _draw_curve(
    axes: Axes,
    scans: Sequence[SeriesScan],
    over: Abscissa,
    values: FloatArray,
    colour: str,
    mark: str,
    label: str = "",
    *,
    sd: FloatArray | None = None,
) -> None:
    """Points with error bars where they have any, joined where they follow each other; repeat scans are crosses."""
    repeat = np.array([scan.repeats is not None for scan in scans])
    known = np.isfinite(values) & np.isfinite(over.values)
    bars = np.zeros(len(values)) if sd is None else np.nan_to_num(sd)
    joined = known & ~repeat
    axes.plot(
        over.values[joined],
        values[joined],
        f"{mark}-",
        color=colour,
        ms=3.6,
        lw=0.9,
        label=label if known.any() else "",
    )
    axes.plot(over.values[known & repeat], values[known & repeat], "x", color=colour, ms=4.2, mew=1.1, zorder=3)
    axes.errorbar(over.values[known], values[known], bars[known], fmt="none", ecolor=colour, elinewidth=0.9, capsize=2)


def _with_reference(values: FloatArray) -> FloatArray:
    """The reference has not moved: 0 where its row does not say so."""
    return np.concatenate([np.nan_to_num(values[:1]), values[1:]]) if np.isfinite(values[1:]).any() else values


def _draw_displacement(axes: Axes, scans: Sequence[SeriesScan], over: Abscissa) -> None:
    _start_curve(axes, over, f"axial displacement ({MICRO}m)")
    axes.axhline(0.0, color=panels.GREY, lw=0.6, zorder=0)
    u = 1e6 * _with_reference(_column(scans, "displacement_z_m"))
    _draw_curve(axes, scans, over, u, panels.BLUE, "o", sd=1e6 * _column(scans, "displacement_z_sd_m"))


def _draw_strains(axes: Axes, scans: Sequence[SeriesScan], over: Abscissa, *, most: int = len(STRAINS)) -> None:
    _start_curve(axes, over, "mean strain (%)")
    axes.axhline(0.0, color=panels.GREY, lw=0.6, zorder=0)
    for name, label, colour, mark in STRAINS[:most]:
        values = 100.0 * _with_reference(_column(scans, name))
        _draw_curve(axes, scans, over, values, colour, mark, label, sd=100.0 * _column(scans, f"{name}_sd"))
    _add_legend(axes)


def _draw_shares(axes: Axes, scans: Sequence[SeriesScan], over: Abscissa) -> None:
    _start_curve(axes, over, "nodes (%)")
    nodes = _column(scans, "nodes")
    nodes[~(nodes > 0)] = np.nan
    for name, label, colour, mark in (
        ("nodes_converged", "converged", panels.GREY, "s"),
        ("nodes_trusted", "trusted", panels.BLUE, "o"),
    ):
        _draw_curve(axes, scans, over, 100.0 * _column(scans, name) / nodes, colour, mark, label)
    axes.set_ylim(0, 105)
    axes.set_yticks([0, 25, 50, 75, 100])
    _add_legend(axes, room=False)


def _draw_differences(axes: Axes, scans: Sequence[SeriesScan], over: Abscissa, large_vox: float) -> None:
    _start_curve(axes, over, "median difference of\ncomposed field (voxels)")
    axes.axhline(large_vox, color=panels.VERMILION, lw=0.9, ls=":", label=f"large ({large_vox:g})")
    _draw_curve(axes, scans, over, _column(scans, "composed_direct_vox"), panels.BLUE, "o", "from direct")
    truth = _column(scans, "truth_error_vox")
    if np.isfinite(truth).any():
        _draw_curve(axes, scans, over, truth, panels.INK, "D", "from truth")
    axes.set_ylim(0.0, 1.1 * axes.get_ylim()[1])
    _add_legend(axes)


def _draw_cell(axes: Axes, scans: Sequence[SeriesScan], over: Abscissa) -> None:
    """State of charge, and the voltage on an axis of its own."""
    _start_curve(axes, over, "state of charge (%)")
    _draw_curve(axes, scans, over, 100.0 * _column(scans, "soc"), panels.BLUE, "o", "state of charge")
    axes.yaxis.label.set_color(panels.BLUE)
    voltage = _column(scans, "voltage_v")
    if np.isfinite(voltage).any():
        beside = axes.twinx()
        beside.spines["top"].set_visible(False)
        _draw_curve(beside, scans, over, voltage, panels.VERMILION, "s", "voltage")
        beside.set_ylabel("voltage (V)", color=panels.VERMILION)


def _add_legend(axes: Axes, *, room: bool = True) -> None:
    """The legend above the curves, with room for it, or in the lower left corner."""
    if not axes.get_legend_handles_labels()[1]:
        return
    if room:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.2 * (high - low))
    axes.legend(loc="upper left" if room else "lower left", ncols=4, columnspacing=0.8, handletextpad=0.3,
                handlelength=0.9, borderaxespad=0.1)  # fmt: skip


@dataclass(frozen=True)
class PlaneMap:
    """A quantity on the plane of points that is drawn: layer (its points 0 to M - 1), values (M,), kinds (M,)."""

    layer: PointLayer
    values: FloatArray
    kinds: NDArray[np.int8]

    @classmethod
    def cut(
        cls, section: Section, source: DeformationField | StrainField, values: FloatArray, kinds: NDArray[np.int8]
    ) -> PlaneMap:
        """Keep the points on a section: a film holds no more than its pictures, however large the fields."""
        layer = lay_points(section, source.positions_vox, source.grid_shape)
        here = np.arange(len(layer.points))
        return cls(replace(layer, points=here), values[layer.points].copy(), kinds[layer.points])


@dataclass(frozen=True)
class Frame:
    """One column of the film; a map is None where there is no field."""

    scan: SeriesScan
    section: Section | None
    maps: tuple[PlaneMap | None, PlaneMap | None]


def film_figure(
    scans: Sequence[SeriesScan],
    fields: Mapping[str, DeformationField],
    strains: Mapping[str, StrainField],
    slices: Mapping[str, NDArray[np.floating]],
    *,
    slice_index_vox: int,
    slice_scale: int = 1,
    voxel_size_m: float,
) -> Figure:
    """One column per scan on the plane across y: grey slice, axial displacement, volumetric strain.

    Parameters
    ----------
    scans : sequence of SeriesScan
        The first is the reference. Of more than `FILM_MOST`, so many are shown, evenly chosen.
    fields, strains : mapping
        Name of a scan to its cumulative field and strain at the nodes of the reference; each is asked for once, so
        that a mapping which reads on demand holds one at a time.
    slices : mapping
        Name of a scan to its slice across y, (rows z, columns x).
    slice_index_vox, slice_scale : int
        Where the slices stand on y, and voxels per pixel.
    voxel_size_m : float

    Returns
    -------
    matplotlib.figure.Figure
        Maps lie over the reference's slice, for their nodes are its; colours are the same over the series.

    Raises
    ------
    InputError
        If a slice is no 2D image, or there is none of the first scan.
    """
    from matplotlib.colors import Normalize

    sections = {n: read_sections({"y": (slice_index_vox, image)}, slice_scale)[0] for n, image in slices.items()}
    if scans[0].name not in sections:
        raise InputError(f"slices must hold the reference {scans[0].name!r} (got {sorted(sections)}): add its slice")
    reference = sections[scans[0].name]
    frames = []
    for scan in choose_frames(scans):
        maps = _cut_maps(reference, fields.get(scan.name), strains.get(scan.name), voxel_size_m)
        frames.append(Frame(scan, sections.get(scan.name), maps))
    shown = [_join_maps([frame.maps[k] for frame in frames]) for k in (0, 1)]
    quantities = (
        Quantity(shown[0], f"{_ROWS[1]}, axial displacement", f"{MICRO}m", robust_range(shown[0])),
        Quantity(shown[1], f"{_ROWS[2]}, volumetric strain", "%", symmetric_range(shown[1]), DIVERGING),
    )
    with panels.paper_style():
        film = _lay_out_film(reference, len(frames))
        grey = panels.grey_range([frame.section for frame in frames if frame.section is not None])
        for frame, column_axes in zip(frames, film.columns, strict=True):
            _title_frame(column_axes[0], frame.scan)
            if frame.section is not None:
                panels.draw_grey(column_axes[0], frame.section, grey)
            for axes, plane, quantity in zip(column_axes[1:], frame.maps, quantities, strict=True):
                if plane is None:
                    reason = "reference" if frame.scan is scans[0] else "no field"
                    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=panels.GREY)
                    continue
                panels.draw_grey(axes, reference, grey)
                panels.draw_cells(
                    axes, plane.layer, plane.values, plane.kinds, Normalize(*quantity.limits), quantity.colours
                )
        for k, axes in enumerate(film.row_starts):
            axes.set_ylabel(_ROWS[k % 3], rotation=0, ha="right", va="center")
        panels.draw_scale_bar(film.columns[0][0], reference, voxel_size_m)
        for bar, quantity in zip(film.bars, quantities, strict=False):
            panels.draw_bar(bar, Normalize(*quantity.limits), quantity.colours)
            bar.set_xlabel(f"{quantity.name} ({quantity.unit})", labelpad=1.0)
        figures.list_kinds(film.bars[2])
    return film.figure


def choose_frames(scans: Sequence[SeriesScan]) -> list[SeriesScan]:
    """The scans that the film shows: all, or `FILM_MOST` of them with the first and the last.

    Parameters
    ----------
    scans : sequence of SeriesScan

    Returns
    -------
    list of SeriesScan
    """
    number = min(len(scans), FILM_MOST)
    return [scans[round(i)] for i in np.linspace(0, len(scans) - 1, number)]


def _cut_maps(
    section: Section, field: DeformationField | None, strain: StrainField | None, voxel_size_m: float
) -> tuple[PlaneMap | None, PlaneMap | None]:
    """Axial displacement in micrometres and volumetric strain in percent."""
    u = v = None
    if field is not None:
        axial = 1e6 * voxel_size_m * field.displacement_vox[:, 0]
        u = PlaneMap.cut(section, field, axial, select_kinds(field, None))
    if strain is not None:
        v = PlaneMap.cut(section, strain, 100.0 * strain.volumetric, strain_kinds(strain))
    return u, v


def _join_maps(maps: Sequence[PlaneMap | None]) -> NDArray[np.floating]:
    """What sets the colour limits of a series: all trusted values, or all values where there is none."""
    known = [plane for plane in maps if plane is not None]
    if not known:
        return np.zeros(0)
    return best_known(np.concatenate([p.values for p in known]), np.concatenate([p.kinds for p in known]))


@dataclass(frozen=True)
class Film:
    """Axes of a film: three panels for each scan, the first of every row, and three places below."""

    figure: Figure
    columns: list[list[Axes]]
    row_starts: list[Axes]
    bars: list[Axes]


def _lay_out_film(section: Section, count: int) -> Film:
    """Place panels in inches, each with the slice's proportions, in as many bands as letters need."""
    from matplotlib.figure import Figure

    left, right, gap, title, between, below = 0.36, 0.08, 0.07, 0.36, 0.08, 0.72
    room = panels.PAPER_WIDTH_IN - left - right + gap
    ratio = section.size_vox[0] / section.size_vox[1]
    bands = math.ceil(count / int(room / (min(max(1.4 / ratio, 0.6), 1.1) + gap)))
    columns = math.ceil(count / bands)
    width = min(room / columns - gap, max(1.8 / ratio, 0.6), 2.2)
    height = max(width * ratio, 0.15)
    band = title + 3 * (height + between)
    total = bands * band + below
    figure = Figure(figsize=(panels.PAPER_WIDTH_IN, total))

    def place(x: float, y: float, w: float, h: float) -> Axes:
        axes = figure.add_axes((x / panels.PAPER_WIDTH_IN, y / total, w / panels.PAPER_WIDTH_IN, h / total))
        axes.set(xticks=[], yticks=[])
        return axes

    out: list[list[Axes]] = []
    for i in range(count):
        top = total - (i // columns) * band - title
        x = left + (i % columns) * (width + gap)
        out.append([place(x, top - (k + 1) * height - k * between, width, height) for k in range(3)])
    third = (panels.PAPER_WIDTH_IN - left - right) / 3
    bars = [place(left + k * third, 0.44, third - 0.3, 0.09) for k in range(3)]
    return Film(figure, out, [axes for group in out[::columns] for axes in group], bars)


def _title_frame(axes: Axes, scan: SeriesScan) -> None:
    """Name, and below it the state of charge or the time."""
    note = write_seconds(scan.time_s) if math.isfinite(scan.time_s) else ""
    note = write_percent(scan.soc, 2) if math.isfinite(scan.soc) else note
    letters = int(axes.get_window_extent().width / axes.figure.dpi * 14)
    axes.annotate(_shorten_name(scan.name, letters), (0.5, 1), (0, 12), xycoords="axes fraction",
                  textcoords="offset points", ha="center", fontsize=8.5, parse_math=False)  # fmt: skip
    axes.annotate(note, (0.5, 1), (0, 2), xycoords="axes fraction", textcoords="offset points", ha="center",
                  fontsize=7.5, color="#4a525b")  # fmt: skip

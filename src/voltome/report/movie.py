"""The movie of a swelling electrode: axial strain on its cross-section at each scan and in between, as pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.report import panels
from voltome.report.morphing import Lattice, State, blend_states, lay_state, make_lattice, rest_state
from voltome.report.quantities import DIVERGING
from voltome.report.sections import Section
from voltome.report.wording import MICRO, MINUS, write_metres, write_seconds

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

    from voltome.report.electrode_findings import ElectrodeFindings

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Rectangle = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the movie."""

FRAMES_PER_SECOND = 15

STRAIN_RANGE = (-0.5, 1.5)
"""First and last colour, as in Fig. 3c of 10.1039/D5EB00193E; white is at 0."""

_WIDTH, _HEIGHT, _DPI = 1280, 720, 100
_MARGIN = 40
_STEP_FRAMES = 9  # a scan is held so long, and so long is the way to the next: ten scans take 12 s
_MOST_FRAMES = 360  # more scans pass faster
_OPACITY = 0.56
_SOFT = "#5b646d"
_STYLE: dict[str, Any] = {
    "font.size": 12.0, "axes.labelsize": 11.0, "axes.titlesize": 11.0, "xtick.labelsize": 10.0, "ytick.labelsize": 10.0,
    "axes.linewidth": 0.8, "xtick.major.width": 0.8, "ytick.major.width": 0.8, "xtick.major.size": 4.0,
    "ytick.major.size": 4.0, "lines.linewidth": 1.6,
}  # fmt: skip


def draw_movie_frames(findings: ElectrodeFindings) -> Iterator[Picture] | None:
    """Axial strain over the grey slice while the electrode swells, with thickness and mean strain beside it.

    Scans are held for a moment. Between them displacement and strain are interpolated linearly, and both slices, moved
    accordingly, are faded into each other; "interpolated" then stands beside the time. The way from one scan to the
    next always takes as long. Repeat scans, and scans without map or slice, are passed over; strain is 0 at the first.

    Parameters
    ----------
    findings : ElectrodeFindings
        Maps are lighter where they are not trusted, bare where there is no strain. Surfaces, times and states of
        charge are drawn where they are known.

    Returns
    -------
    iterator of (720, 1280, 3) uint8, or None
        For `FRAMES_PER_SECOND`; None where there are not two scans to go between.
    """
    first = findings.scans[:1]
    shown = tuple(
        scan
        for scan in findings.scans
        if scan in findings.slices and (scan in first or (scan in findings.axial_maps and scan not in findings.repeats))
    )
    return _draw_frames(findings, shown) if len(shown) > 1 else None


def schedule_frames(scans: int) -> list[tuple[int, float]]:
    """When what is shown.

    Parameters
    ----------
    scans : int

    Returns
    -------
    list of (int, float)
        For each frame the number of a scan and the part of the way to the next, 0 while it is held.
    """
    steps = max(1, min(_STEP_FRAMES, _MOST_FRAMES // (2 * scans)))
    parts = [0.0] * steps + [step / (steps + 1) for step in range(1, steps + 1)]
    return [(scan, part) for scan in range(scans - 1) for part in parts] + [(scans - 1, 0.0)] * (2 * steps)


def _draw_frames(findings: ElectrodeFindings, shown: Sequence[str]) -> Iterator[Picture]:
    states, lattice = _lay_states(findings, shown)
    stage = _Stage(findings, shown)
    for (scan, part), frames in groupby(schedule_frames(len(shown))):
        following = states[min(scan + 1, len(states) - 1)]
        blend = blend_states(states[scan], following, part, lattice=lattice, shape=stage.shape)
        yield from [stage.draw(scan, part, blend)] * len(list(frames))


def _lay_states(findings: ElectrodeFindings, shown: Sequence[str]) -> tuple[list[State], Lattice]:
    lattice = make_lattice(findings.slices[shown[0]].shape)
    pixel_m, states = findings.slice_pixel_m, dict[str, State]()
    for scan in shown:
        if scan in findings.axial_maps:
            states[scan] = lay_state(findings.slices[scan], findings.axial_maps[scan], pixel_m=pixel_m, lattice=lattice)
    if shown[0] not in states:
        states[shown[0]] = rest_state(findings.slices[shown[0]], states[shown[1]])
    return [states[scan] for scan in shown], lattice


@dataclass(frozen=True)
class _Layout:
    picture: Rectangle
    heading: tuple[int, int]
    bar: Rectangle
    curves: tuple[Rectangle, Rectangle]


def _lay_out(shape: tuple[int, int]) -> _Layout:
    """The slice at the left of everything else, or above the curves, wherever it gets larger."""
    beside, above = _fit(shape, 740, 624), _fit(shape, _WIDTH - 2 * _MARGIN, 344)
    if beside[0] >= above[0]:
        height, width = beside
        left = _MARGIN + width + 50
        right = _WIDTH - _MARGIN
        curve = left + 55, right - left - 55
        return _Layout(
            (_MARGIN, 38 + (624 - height) // 2, width, height),
            (left, 60),
            (left + 55, 186, right - left - 55, 16),
            ((curve[0], 308, curve[1], 130), (curve[0], 502, curve[1], 130)),
        )
    height, width = above
    half = (_WIDTH - 2 * _MARGIN - 170) // 2
    return _Layout(
        ((_WIDTH - width) // 2, 120 + (344 - height) // 2, width, height),
        (_MARGIN, 46),
        (_WIDTH - _MARGIN - 480, 34, 460, 16),
        ((_MARGIN + 55, 520, half, 130), (_WIDTH - _MARGIN - half, 520, half, 130)),
    )


def _fit(shape: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Height and width of the largest picture of these proportions."""
    scale = min(height / shape[0], width / shape[1])
    return max(2, round(shape[0] * scale)), max(2, round(shape[1] * scale))


@contextmanager
def _movie_style() -> Iterator[None]:
    """Letters for a screen across the room."""
    import matplotlib

    with panels.paper_style():
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield


class _Stage:
    """What stays from frame to frame, drawn once, and what is drawn over it."""

    def __init__(self, findings: ElectrodeFindings, shown: Sequence[str]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.findings, self.shown = findings, shown
        size_px = findings.slices[shown[0]].shape
        self.layout = _lay_out((size_px[0], size_px[1]))
        self.shape = (self.layout.picture[3], self.layout.picture[2])
        self.grey = panels.grey_range([Section(1, 0, findings.slices[scan]) for scan in shown])
        self.palette = _make_palette()
        with _movie_style():
            self.figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI)
            self.canvas = FigureCanvasAgg(self.figure)
            self.moving: list[Artist] = []
            self._add_picture(size_px)
            self._add_heading()
            _draw_bar(_place(self.figure, self.layout.bar), self.palette)
            self._add_curves()
            for artist in self.moving:
                artist.set_animated(True)
            self.canvas.draw()  # type: ignore[no-untyped-call]
            self.background = self.canvas.copy_from_bbox(self.figure.bbox)  # type: ignore[no-untyped-call]

    def _add_picture(self, size_px: tuple[int, ...]) -> None:
        """The slice; on it the electrode's faces now and at the first scan, and the scale bar."""
        left, top, width, height = self.layout.picture
        blank = np.zeros((height, width, 3), dtype=np.uint8)
        self.image = self.figure.figimage(blank, left, _HEIGHT - top - height, resize=False, origin="upper")
        axes = _place(self.figure, self.layout.picture)
        axes.set_axis_off()
        axes.set(xlim=(-0.5, size_px[1] - 0.5), ylim=(size_px[0] - 0.5, -0.5))
        columns = np.arange(size_px[1])
        start = self._read_faces(self.shown[0])
        dark: dict[str, Any] = {"color": "black", "alpha": 0.55}
        for face in start:
            axes.plot(columns, face, color="white", lw=1.0, ls=(0, (2, 3)))
        self.rims = [axes.plot(columns, face, lw=3.2, **dark)[0] for face in start]
        self.faces = [axes.plot(columns, face, color="white", lw=1.5)[0] for face in start]
        panels.draw_scale_bar(axes, Section(1, 0, np.zeros(size_px)), self.findings.slice_pixel_m)
        self.moving += [self.image, *axes.lines, *axes.texts]
        where = f"section at y = {write_metres(self.findings.slice_y_m)}"
        if np.isfinite(start).any():
            where += f"   dotted: faces at {self.shown[0]}"
        self.figure.text(left / _WIDTH, 1 - (top + height + 10) / _HEIGHT, where, fontsize=10, color=_SOFT, va="top",
                         parse_math=False)  # fmt: skip

    def _read_faces(self, scan: str) -> Floats:
        """Rows in pixels of both faces along the slice, (2, columns); NaN where they are not known."""
        columns = self.findings.slices[scan].shape[1]
        faces = self.findings.surfaces.get(scan, (np.full(columns, np.nan),) * 2)
        return np.array(faces, dtype=np.float64) / self.findings.slice_pixel_m

    def _add_heading(self) -> None:
        x, y = self.layout.heading

        def write(down: int, size: float, **style: Any) -> Text:
            return self.figure.text(x / _WIDTH, 1 - (y + down) / _HEIGHT, "", fontsize=size, parse_math=False, **style)

        self.name = write(0, 26.0, fontweight="bold", color=panels.INK)
        self.moment = write(34, 14.0, color=panels.INK)
        self.mark = write(62, 12.0, color=panels.VERMILION, style="italic")
        self.moving += [self.name, self.moment, self.mark]

    def _add_curves(self) -> None:
        scans = [scan for scan in self.findings.scans if scan not in self.findings.repeats]
        self.places, label, named = _choose_places(self.findings, scans, self.shown)
        self.markers: list[tuple[Line2D, Line2D, Floats, Floats]] = []
        quantities = (
            ("thickness", 1e6, f"thickness ({MICRO}m)", panels.BLUE),
            ("axial_strain", 1e2, "mean axial strain (%)", panels.VERMILION),
        )
        for rectangle, (name, scale, title, colour) in zip(self.layout.curves, quantities, strict=True):
            x, y, sd = _read_curve(self.findings, name, self.places, self.shown[0])
            if len(x) == 0:
                continue
            axes = _place(self.figure, rectangle)
            _draw_curve(axes, (x, scale * y, scale * sd), colour, title=title)
            _label_places(axes, self.places, label, named=named)
            line = axes.axvline(x[0], color=_SOFT, lw=1.0)
            dot = axes.plot(x[:1], scale * y[:1], "o", ms=10, color=colour, mec="white", mew=1.5, clip_on=False)[0]
            self.markers.append((line, dot, x, scale * y))
            self.moving += [line, dot]

    def draw(self, index: int, part: float, blend: tuple[NDArray[np.float32], ...]) -> Picture:
        """One frame: `part` of the way from a shown scan to the next."""
        scan = self.shown[index]
        following = self.shown[min(index + 1, len(self.shown) - 1)]
        self.image.set_data(_colour(blend, self.grey, self.palette))
        faces = (1 - part) * self._read_faces(scan) + (part * self._read_faces(following) if part else 0.0)
        for lines in (self.rims, self.faces):
            for line, face in zip(lines, faces, strict=True):
                line.set_ydata(face)
        self.name.set_text(f"{scan} \N{RIGHTWARDS ARROW} {following}" if part else scan)
        self.name.set_fontsize(min(26.0, 26.0 * 20 / len(self.name.get_text())))
        self.moment.set_text(_tell_moment(self.findings, self.shown[0], scan, following, part))
        self.mark.set_text("interpolated between scans" if part else "")
        place = (1 - part) * self.places[scan] + part * self.places[following]
        for upright, dot, x, y in self.markers:
            upright.set_xdata([place, place])
            dot.set_data([place], [np.interp(place, x, y, left=np.nan, right=np.nan)])
        with _movie_style():
            self.canvas.restore_region(self.background)  # type: ignore[no-untyped-call]
            renderer = self.canvas.get_renderer()  # type: ignore[no-untyped-call]
            for artist in self.moving:
                artist.draw(renderer)
            return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def _place(figure: Figure, rectangle: Rectangle) -> Axes:
    left, top, width, height = rectangle
    return figure.add_axes((left / _WIDTH, 1 - (top + height) / _HEIGHT, width / _WIDTH, height / _HEIGHT))


def _make_palette() -> NDArray[np.float32]:
    """256 colours, evenly over the range of strain."""
    from matplotlib import colormaps
    from matplotlib.colors import TwoSlopeNorm

    low, high = STRAIN_RANGE
    norm = TwoSlopeNorm(0.0, low, high)
    return np.asarray(255.0 * colormaps[DIVERGING](norm(np.linspace(low, high, 256)))[:, :3], dtype=np.float32)


def _colour(
    blend: tuple[NDArray[np.float32], ...], limits: tuple[float, float], palette: NDArray[np.float32]
) -> Picture:
    """The grey slice with the colours of strain over it."""
    grey, strain, cover = blend
    low, high = STRAIN_RANGE
    shade = np.clip((grey - limits[0]) * np.float32(255.0 / (limits[1] - limits[0])), 0.0, 255.0)
    steps = np.clip(np.rint((strain - low) * np.float32(255.0 / (high - low))), 0, 255).astype(np.uint8)
    opacity = np.float32(_OPACITY) * cover
    shade *= 1.0 - opacity
    return np.asarray(shade[..., None] + opacity[..., None] * palette[steps] + 0.5, dtype=np.uint8)


def _draw_bar(axes: Axes, palette: NDArray[np.float32]) -> None:
    """Colours of strain, as they are without the slice below them."""
    low, high = STRAIN_RANGE
    axes.imshow(palette[None].astype(np.uint8), extent=(100 * low, 100 * high, 0, 1), aspect="auto")
    ticks = (-50, 0, 50, 100, 150)
    axes.set_xticks(ticks, [str(tick).replace("-", MINUS) for tick in ticks])
    axes.set_yticks([])
    axes.set_title("axial strain (%)", loc="left")
    axes.text(0.0, -2.1, "compressed", color=_SOFT, fontsize=10, transform=axes.transAxes, va="top")
    axes.text(1.0, -2.1, "stretched", color=_SOFT, fontsize=10, transform=axes.transAxes, va="top", ha="right")


def _choose_places(
    findings: ElectrodeFindings, scans: Sequence[str], shown: Sequence[str]
) -> tuple[Mapping[str, float], str, bool]:
    """Where scans stand on the curves: at their time, or in their order if one has none; label; whether by name."""
    times = findings.times_s
    if all(scan in times and math.isfinite(times[scan]) for scan in shown):
        known = {scan: times[scan] - times[shown[0]] for scan in scans if math.isfinite(times.get(scan, math.nan))}
        span = max(known.values()) - min(known.values())
        unit, length = next(((u, s) for u, s in (("h", 3600.0), ("min", 60.0)) if span >= 1.5 * s), ("s", 1.0))
        return {scan: time / length for scan, time in known.items()}, f"time ({unit})", False
    return {scan: float(i) for i, scan in enumerate(scans)}, "scan", True


def _read_curve(
    findings: ElectrodeFindings, name: str, places: Mapping[str, float], first: str
) -> tuple[Floats, Floats, Floats]:
    """Place, value and sd of a measurement of the whole electrode, where it is known; strain is 0 at the first scan."""
    rows = {
        places[m.scan]: (m.value, m.sd)
        for m in findings.measurements
        if m.name == name and m.region == "whole" and m.scan in places and math.isfinite(m.value)
    }
    if rows and name == "axial_strain":
        rows.setdefault(places[first], (0.0, 0.0))
    table = np.array([(x, *rows[x]) for x in sorted(rows)], dtype=np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _draw_curve(axes: Axes, curve: tuple[Floats, Floats, Floats], colour: str, *, title: str) -> None:
    x, y, sd = curve
    axes.errorbar(x, y, np.nan_to_num(sd), color=colour, marker="o", ms=4, lw=1.4, elinewidth=1.0, capsize=2.5)
    axes.set_title(title, loc="left", color=panels.INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.14)
    axes.locator_params(axis="y", nbins=4)


def _label_places(axes: Axes, places: Mapping[str, float], label: str, *, named: bool) -> None:
    values = np.array(list(places.values()))
    margin = 0.04 * float(np.ptp(values)) or 0.5
    axes.set_xlim(values.min() - margin, values.max() + margin)
    if named:
        stride = math.ceil(sum(len(name) + 2 for name in places) / 52)
        axes.set_xticks(values[::stride], list(places)[::stride], parse_math=False)
    else:
        axes.set_xlabel(label, labelpad=2.0)


def _tell_moment(findings: ElectrodeFindings, first: str, scan: str, following: str, part: float) -> str:
    """Time since the first scan and state of charge, as far as they are known of both."""

    def between(values: Mapping[str, float]) -> float:
        start = values.get(scan, math.nan)
        return start + part * (values.get(following, math.nan) - start) if part else start

    time_s, soc = between(findings.times_s) - findings.times_s.get(first, math.nan), between(findings.socs)
    parts = [write_seconds(time_s)] if math.isfinite(time_s) else []
    parts += [f"{100 * soc:.0f} % state of charge"] if math.isfinite(soc) else []
    return "  \N{MIDDLE DOT}  ".join(parts)

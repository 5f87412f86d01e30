"""One figure of what a correlation can resolve: noise, bias and spatial resolution against window size."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.report import panels
from voltome.report.wording import MINUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN = "#009e73"
_AXIS_COLOURS = {"z": panels.BLUE, "y": panels.ORANGE, "x": GREEN}
_AXIS_MARKS = {"z": "o", "y": "s", "x": "^"}
_HALF_WINDOW = "half window $h$ (voxels)"
_KEPT = 0.9


def figure_to_svg(figure: Figure) -> str:
    """Render a figure as vectors, with nothing in the text that depends on the day or the machine.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    str
        An SVG file; letters are drawn as paths.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    with panels.paper_style():
        matplotlib.rcParams["svg.hashsalt"] = "voltome"
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return stream.getvalue()


def noise_figure(summary: Mapping[str, Any]) -> Figure:
    """Noise of u and of F, bias, response to waves, resolution and efficiency against window size.

    Parameters
    ----------
    summary : mapping
        As `voltome noise` writes it to summary.json: `windows`, `power_laws`, `recommended`, `sweep`.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels where bias and resolution were not measured, else six. Error bars are one standard deviation.
    """
    from matplotlib.figure import Figure

    rows, sweep = summary["windows"], summary["sweep"]
    with panels.paper_style():
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN, 4.9 if sweep else 2.6), layout="constrained")
        axes = np.atleast_2d(figure.subplots(2 if sweep else 1, 3 if sweep else 2))
        _draw_sd_u(axes[0, 0], rows, summary["power_laws"]["u_vox"])
        _draw_sd_f(axes[0, 1], rows, summary["power_laws"], summary["recommended"])
        if sweep:
            _draw_response(axes[0, 2], sweep)
            _draw_bias(axes[1, 0], rows, "u_{}_vox", 1e3, "bias of $u$ ($10^{-3}$ voxels)", "$u_{}$")
            _draw_bias(axes[1, 1], rows, "f_{0}{0}", 1e6, "bias of $F$ ($10^{-6}$)", "$F_{{{0}{0}}}$")
            _draw_resolution(figure, axes[1, 2], rows, summary["recommended"]["from_displacement"])
        shown = [ax for ax in figure.axes if ax.axison]
        for letter, ax in zip("abcdefg", shown, strict=False):
            ax.set_title(letter, loc="left", fontweight="bold")
    return figure


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([row[name] if row[name] is not None else np.nan for row in rows], dtype=np.float64)


def _start(axes: Axes, rows: Sequence[Mapping[str, Any]], label: str, *, scale: str = "log") -> NDArray[np.float64]:
    """Logarithmic axis of half windows with a tick at each that was measured; returns them."""
    half = _column(rows, "half_window_vox")
    axes.set_xscale("log")
    axes.set_yscale(scale)
    axes.set_xlim(half[0] / 1.18, half[-1] * 1.18)
    axes.set_xticks(half, [f"{h:.0f}" for h in half])
    axes.xaxis.set_minor_locator(_no_ticks())
    axes.set_xlabel(_HALF_WINDOW)
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    return half


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _describe_law(law: Mapping[str, Any] | None) -> str:
    if law is None:
        return ""
    exponent = f"{law['exponent']:.2f}".replace("-", MINUS)
    return rf", $h^{{{exponent} \pm {law['exponent_sd']:.2f}}}$"


def _draw_sd(
    axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, law: Mapping[str, Any] | None, colour: str, label: str
) -> None:
    """Measured points with error bars where they have any, and their power law."""
    half = _column(rows, "half_window_vox")
    stem, unit = (name.removesuffix("_vox"), "_vox") if name.endswith("_vox") else (name, "")
    error = _column(rows, f"{stem}_error{unit}")
    axes.errorbar(half, 1e3 * _column(rows, name), 1e3 * error, fmt="o", ms=3.5, lw=0.9, capsize=2, color=colour,
                  label=label + _describe_law(law))  # fmt: skip
    if law is not None:
        line = np.geomspace(half[0] / 1.1, half[-1] * 1.1, 40)
        axes.plot(line, 1e3 * law["factor"] * line ** law["exponent"], color=colour, lw=0.9)


def _draw_sd_u(axes: Axes, rows: Sequence[Mapping[str, Any]], law: Mapping[str, Any] | None) -> None:
    half = _start(axes, rows, "sd of $u$ ($10^{-3}$ voxels)")
    _draw_sd(axes, rows, "sd_u_vox", law, panels.BLUE, "measured")
    axes.plot(half, 1e3 * _column(rows, "predicted_sd_u_vox"), "--", color=panels.INK, lw=0.9, label="predicted")
    _finish_log(axes)


def _draw_sd_f(
    axes: Axes, rows: Sequence[Mapping[str, Any]], laws: Mapping[str, Any], recommended: Mapping[str, Any]
) -> None:
    half = _start(axes, rows, "sd of $F$ and of strain ($10^{-3}$)")
    _draw_sd(axes, rows, "sd_f", laws["f"], panels.BLUE, "$F$")
    axes.plot(half, 1e3 * _column(rows, "predicted_sd_f"), "--", color=panels.INK, lw=0.9, label="$F$, predicted")
    _draw_sd(axes, rows, "sd_strain_zz", laws["strain_zz"], panels.VERMILION, r"$\varepsilon_{zz}$")
    wanted, best = recommended["strain_resolution"], recommended["from_displacement"]
    axes.axhline(1e3 * wanted, color=panels.GREY, lw=0.8, ls=":", zorder=0)
    if best is not None:
        mark = best["half_window_vox"]
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, mark / 1.18), max(high, mark * 1.18))
        axes.plot([mark], [1e3 * wanted], "*", ms=9, color=panels.VERMILION, mec="white", mew=0.6, zorder=4,
                  label=rf"{100 * wanted:g} %: $h$ = {mark}")  # fmt: skip
    _finish_log(axes)


def _finish_log(axes: Axes) -> None:
    """Room above the points for the legend; ticks at 1, 2 and 5 of every power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axes.get_ylim()
    handles, labels = axes.get_legend_handles_labels()
    room = 0.085 * len(labels)
    axes.set_ylim(low, high * (high / low) ** (room / (1 - room)))
    decades = np.log10(axes.get_ylim()[1] / low)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    order = np.argsort([not isinstance(handle, tuple) for handle in handles], kind="stable")
    axes.legend([handles[k] for k in order], [labels[k] for k in order], loc="upper right", borderaxespad=0.0)


def _shade(index: int, count: int) -> Any:
    import matplotlib

    return matplotlib.colormaps["viridis"](0.88 * index / max(count - 1, 1))


def _draw_response(axes: Axes, sweep: Sequence[Mapping[str, Any]]) -> None:
    """Recovered amplitude against the period in windows: one curve if only the window's size matters."""
    axes.set_xscale("log")
    ratio = np.geomspace(0.4, 12.0, 200)
    axes.plot(ratio, np.sinc(1 / ratio), color=panels.GREY, lw=1.0, zorder=0, label="window mean")
    axes.axhline(_KEPT, color=panels.GREY, lw=0.8, ls=":", zorder=0)
    for index, row in enumerate(sweep):
        period = np.asarray(row["period_vox"], dtype=np.float64) / (2 * row["half_window_vox"] + 1)
        response, error = (np.asarray(row[name], dtype=np.float64) for name in ("response", "response_error"))
        axes.errorbar(period, response, error, fmt="o", ms=3, lw=0.8, color=_shade(index, len(sweep)),
                      label=f"$h$ = {row['half_window_vox']}")  # fmt: skip
    axes.set(xlim=(0.4, 12.0), ylim=(-0.35, 1.12), xlabel="period / window side", ylabel="amplitude recovered")
    axes.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    axes.xaxis.set_minor_locator(_no_ticks())
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", handlelength=0.9, handletextpad=0.4, borderaxespad=0.2)


def _draw_bias(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, scale: float, label: str, legend: str) -> None:
    """Mean error of a virtual affine, component by component; points side by side."""
    half = _start(axes, rows, label, scale="linear")
    axes.axhline(0.0, color=panels.GREY, lw=0.6, zorder=0)
    for shift, (axis, colour) in zip((0.97, 1.0, 1.03), _AXIS_COLOURS.items(), strict=True):
        column = "bias_" + name.format(axis)
        error = _column(rows, column.replace("_vox", "") + ("_error_vox" if column.endswith("_vox") else "_error"))
        axes.errorbar(half * shift, scale * _column(rows, column), scale * error, fmt=_AXIS_MARKS[axis], ms=3, lw=0.9,
                      color=colour, label=legend.format(axis))  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.16 * (high - low))
    axes.legend(loc="upper right", ncols=3, columnspacing=0.8, handlelength=0.8, handletextpad=0.3, borderaxespad=0.0)


def _draw_resolution(
    figure: Figure, place: Axes, rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any] | None
) -> None:
    """Resolution above, efficiency below, in the place of one panel."""
    spec = place.get_subplotspec()
    assert spec is not None
    place.set_axis_off()
    parts = spec.subgridspec(2, 1, hspace=0.1)
    upper, lower = figure.add_subplot(parts[0]), figure.add_subplot(parts[1])
    for axes, name, label, colour in (
        (upper, "resolution_vox", "resolution\n(voxels)", panels.BLUE),
        (lower, "mei_vox2", "MEI\n(voxels$^2$)", panels.VERMILION),
    ):
        half = _start(axes, rows, label, scale="linear")
        values = _column(rows, name)
        axes.plot(half, values, "o-", ms=3.5, lw=0.9, color=colour)
        axes.set_ylim(0.0, 1.15 * float(np.nanmax(values)) if np.isfinite(values).any() else 1.0)
        low, high = axes.get_xlim()
        if best is not None and low <= best["half_window_vox"] <= high:
            axes.axvline(best["half_window_vox"], color=panels.VERMILION, lw=0.8, ls=":", zorder=0)
    upper.set_xlabel("")
    upper.tick_params(labelbottom=False)

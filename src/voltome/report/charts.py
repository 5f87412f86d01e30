"""Histograms: how a quantity is distributed over the nodes that may be read, and how far it lies from the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.fields import DeformationField, StrainField
from voltome.report import panels
from voltome.report.measures import DISPLACEMENT_COLUMNS, finite_median, robust_range, trusted_strain
from voltome.report.sections import AXES, NodeKind, classify_nodes
from voltome.report.wording import write_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def choose_bins(values: NDArray[np.floating], limits: tuple[float, float]) -> NDArray[np.float64]:
    """Bin edges after Freedman and Diaconis (10.1007/BF01025868), at least 8 and at most 48 of them.

    Parameters
    ----------
    values : float array
    limits : (float, float)
        First and last edge.

    Returns
    -------
    (bins + 1,) float64
    """
    finite = values[np.isfinite(values)]
    low, high = limits
    width = 2.0 * float(np.subtract(*np.percentile(finite, (75, 25)))) / len(finite) ** (1 / 3) if len(finite) else 0.0
    bins = int(np.clip(np.ceil((high - low) / width), 8, 48)) if width > 0 else 8
    return np.linspace(low, high, bins + 1)


def find_maximum(values: NDArray[np.floating], edges: NDArray[np.float64]) -> float:
    """Middle of the fullest bin; NaN where there is no value inside.

    Parameters
    ----------
    values : float array
    edges : (bins + 1,) float64

    Returns
    -------
    float
    """
    counts, _ = np.histogram(values[np.isfinite(values)], bins=edges)
    best = int(np.argmax(counts))
    return float((edges[best] + edges[best + 1]) / 2.0) if counts[best] else float("nan")


def start_chart(axes: Axes, label: str, note: str, values: NDArray[np.floating]) -> bool:
    """Name an axis and write N; where nothing is finite, say so in words and return False.

    Parameters
    ----------
    axes : matplotlib Axes
    label : str
        Of the x axis.
    note : str
        Written above, on the right.
    values : float array

    Returns
    -------
    bool
        Whether there is anything to draw.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(label)
    axes.set_title(note, loc="right", fontsize=8.0, color="#4a525b")
    axes.spines[["top", "right"]].set_visible(False)
    if np.isfinite(values).any():
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        return True
    axes.text(0.5, 0.5, "nothing to be read", transform=axes.transAxes, ha="center", va="center")
    axes.set(xticks=[], yticks=[])
    return False


def draw_histogram(axes: Axes, values: NDArray[np.floating], label: str) -> None:
    """Histogram without the outermost half percent on each side; maximum and median marked, N written.

    Parameters
    ----------
    axes : matplotlib Axes
    values : float array
    label : str
        Of the x axis.

    Returns
    -------
    None
        The axes are drawn on.
    """
    finite = values[np.isfinite(values)]
    if not start_chart(axes, label, f"N = {finite.size}", finite):
        return
    edges = choose_bins(finite, robust_range(finite, percent=0.5))
    axes.hist(finite, bins=list(edges), color=panels.BLUE, alpha=0.8)
    top = axes.get_ylim()[1]
    axes.set_ylim(0, 1.16 * top)
    maximum = find_maximum(finite, edges)
    axes.plot([maximum], [1.05 * top], "v", color=panels.VERMILION, ms=4.5, clip_on=False)
    axes.annotate(write_number(maximum), (maximum, 1.05 * top), (5, 0), textcoords="offset points", va="center",
                  color=panels.VERMILION)  # fmt: skip
    axes.axvline(finite_median(finite), color=panels.INK, lw=0.8, ls="--")


def draw_zncc(axes: Axes, field: DeformationField, kinds: NDArray[np.int8], threshold: float | None) -> None:
    """ZNCC of trusted and of suspect nodes, stacked, with the threshold below which a node is suspect.

    Parameters
    ----------
    axes : matplotlib Axes
    field : DeformationField
    kinds : (N,) int8
        `NodeKind` of each node.
    threshold : float or None

    Returns
    -------
    None
        The axes are drawn on.
    """
    known = np.isfinite(field.zncc)
    trusted, suspect = (field.zncc[known & (kinds == k)] for k in (NodeKind.TRUSTED, NodeKind.SUSPECT))
    both = np.concatenate([trusted, suspect])
    if not start_chart(axes, "ZNCC", f"N = {trusted.size} + {suspect.size}", both):
        return
    low = min(robust_range(both, percent=0.5)[0], 1.0 if threshold is None else threshold - 0.01)
    axes.hist([trusted, suspect], bins=list(np.linspace(low, 1.0, 33)), stacked=True, alpha=0.85,
              color=[panels.BLUE, panels.ORANGE], label=["trusted", "suspect"])  # fmt: skip
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(0, 40 * axes.get_ylim()[1])  # room for the legend
    axes.minorticks_off()
    if threshold is not None:
        axes.axvline(threshold, color=panels.VERMILION, lw=1.0, ls="--", label=f"threshold {threshold:g}")
    axes.legend(loc="upper left", frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)


def draw_sd(axes: Axes, sd_vox: NDArray[np.floating]) -> None:
    """Random standard deviation of the three displacement components, as outlines.

    Parameters
    ----------
    axes : matplotlib Axes
    sd_vox : (N, 3) float array

    Returns
    -------
    None
        The axes are drawn on.
    """
    sd = 1e3 * sd_vox
    if not start_chart(axes, r"sd of $u$ ($10^{-3}$ voxels)", f"N = {len(sd)}", sd):
        return
    edges = choose_bins(sd.ravel(), robust_range(sd, percent=0.5))
    lines = ((panels.BLUE, "-"), (panels.VERMILION, "--"), (panels.INK, ":"))
    for column, name, (colour, style) in zip(sd.T, AXES, lines, strict=True):
        axes.hist(column, bins=list(edges), histtype="step", color=colour, ls=style, label=f"$u_{name}$")
    axes.legend(loc="upper right")


def histogram_figure(
    field: DeformationField,
    filtered: DeformationField | None,
    strain: StrainField,
    *,
    zncc_threshold: float | None = None,
) -> Figure:
    """Distributions of displacement, volumetric strain, ZNCC and standard deviation.

    Parameters
    ----------
    field, filtered : DeformationField
        As measured, and after filtering.
    strain : StrainField
    zncc_threshold : float, optional
        Marked where it is known.

    Returns
    -------
    matplotlib.figure.Figure
        Trusted nodes and strains only, but for ZNCC, where suspect nodes are stacked on top in their own colour.
    """
    from matplotlib.figure import Figure

    kinds = classify_nodes(field, field if filtered is None else filtered)
    trusted = kinds == NodeKind.TRUSTED
    with panels.paper_style():
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN, 4.0), layout="constrained")
        axes = figure.subplots(2, 3)
        for axis, name in enumerate(AXES):
            draw_histogram(axes[0, axis], field.displacement_vox[trusted, axis], f"$u_{name}$ (voxels)")
        draw_histogram(axes[1, 0], 100.0 * strain.volumetric[trusted_strain(strain)], "volumetric strain (%)")
        draw_zncc(axes[1, 1], field, kinds, zncc_threshold)
        draw_sd(axes[1, 2], field.sd[trusted][:, DISPLACEMENT_COLUMNS])
        for row in axes:
            row[0].set_ylabel("nodes")
        axes[1, 0].set_ylabel("strain gauges")
    return figure


def truth_figure(field: DeformationField, filtered: DeformationField | None, truth: Mapping[str, Any]) -> Figure | None:
    """Errors against a known truth: their size, and whether the standard deviations explain them.

    Parameters
    ----------
    field, filtered : DeformationField
    truth : mapping
        With `error_u_vox` (N,) and `z_scores` (N,) or (N, K), both optional; only trusted nodes are counted.

    Returns
    -------
    matplotlib.figure.Figure or None
        None where neither is given.
    """
    from matplotlib.figure import Figure

    trusted = classify_nodes(field, field if filtered is None else filtered) == NodeKind.TRUSTED
    given = {key: np.asarray(truth[key], dtype=np.float64) for key in ("error_u_vox", "z_scores") if key in truth}
    shown = {key: (v[trusted] if len(v) == len(field) else v).ravel() for key, v in given.items()}
    if not shown:
        return None
    with panels.paper_style():
        figure = Figure(figsize=(panels.PAPER_WIDTH_IN, 2.2), layout="constrained")
        for axes, (key, values) in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown.items(), strict=True):
            if key == "error_u_vox":
                draw_histogram(axes, values, "error of $u$ (voxels)")
                axes.set_ylabel("nodes")
                continue
            inside = values[np.isfinite(values)]
            if not start_chart(axes, "error / sd", f"N = {inside.size}", inside):
                continue
            bins = list(np.linspace(-6, 6, 49))
            axes.hist(np.clip(inside, -6, 6), bins=bins, density=True, color=panels.BLUE, alpha=0.8)
            grid = np.linspace(-6, 6, 241)
            axes.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=panels.VERMILION, label="normal")
            axes.set_ylabel("density")
            axes.legend(loc="upper right")
    return figure

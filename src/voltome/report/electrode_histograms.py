"""How volumetric strain is distributed in each part of the electrode, scan by scan, with the maxima marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voltome.report import panels
from voltome.report.electrode_axes import shorten_name
from voltome.report.electrode_findings import ElectrodeFindings, Histogram
from voltome.report.electrode_maps import choose_scans
from voltome.report.electrode_numbers import REGION_LOOKS, REGIONS
from voltome.report.wording import MINUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_RIDGES = 10


def draw_histograms(findings: ElectrodeFindings) -> Figure | None:
    """One column for each part of the electrode, one ridge for each scan, the maximum of each marked.

    Parameters
    ----------
    findings : ElectrodeFindings

    Returns
    -------
    matplotlib.figure.Figure or None
        None where nothing was counted.
    """
    from matplotlib.figure import Figure

    found = {(h.scan, h.region): h for h in findings.histograms if np.nansum(h.counts) > 0}
    sides = [region for region in REGIONS[1:] if any(r == region for _, r in found)]
    regions = sides or [region for region in REGIONS if any(r == region for _, r in found)]
    there = [scan for scan in findings.scans if any((scan, region) in found for region in regions)]
    if not there:
        return None
    shown = choose_scans(there, MOST_RIDGES)
    limits = _find_limits([found[scan, region] for scan in shown for region in regions if (scan, region) in found])
    with panels.paper_style():
        width = panels.PAPER_WIDTH_IN if len(regions) > 1 else 3.8
        figure = Figure(figsize=(width, 0.85 + 0.36 * len(shown)), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(regions), sharey=True))
        for ax, region in zip(axes, regions, strict=True):
            _draw_ridges(ax, [found.get((scan, region)) for scan in shown], region, limits)
            ax.set_yticks(range(len(shown)), [shorten_name(scan, 10) for scan in shown], parse_math=False)
            ax.tick_params(axis="y", length=0)
            ax.set_ylim(len(shown) - 0.6, -1.45)  # time runs down, as one reads
    return figure


def _find_limits(histograms: list[Histogram]) -> tuple[float, float]:
    """Strain in percent that holds all but a few thousandths of every histogram, and 0."""
    low, high = 0.0, 0.0
    for h in histograms:
        share = np.cumsum(np.nan_to_num(h.counts)) / np.nansum(h.counts)
        first, last = (int(np.searchsorted(share, level)) for level in (0.004, 0.996))
        low = min(low, 100.0 * float(h.edges[first]))
        high = max(high, 100.0 * float(h.edges[min(last + 1, len(h.edges) - 1)]))
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _draw_ridges(axes: Axes, histograms: list[Histogram | None], region: str, limits: tuple[float, float]) -> None:
    """Densities, each above its own base line and as high as the others."""
    from matplotlib.colors import to_rgba

    colour, _, label = REGION_LOOKS[region]
    axes.axvline(0.0, color=panels.GREY, lw=0.6, zorder=0)
    for i, h in enumerate(histograms):
        axes.axhline(i, color="#d5dae0", lw=0.5, zorder=0)
        if h is None:
            continue
        density = np.nan_to_num(h.counts) / np.diff(h.edges)
        heights = 1.3 * density / density.max()
        some = np.flatnonzero(heights > 0)
        here = slice(some[0], some[-1] + 1)
        edges = 100.0 * h.edges[some[0] : some[-1] + 2]
        axes.stairs(i - heights[here], edges, baseline=i, fill=True, fc=to_rgba(colour, 0.45), ec=colour, lw=0.8,
                    zorder=2 + 0.01 * i)  # fmt: skip
        if np.isfinite(h.maximum):
            _mark_maximum(axes, h, i)
    axes.set_title(label, color=panels.INK)
    axes.set(xlim=limits, xlabel="volumetric strain (%)")
    axes.spines[["top", "right", "left"]].set_visible(False)


def _mark_maximum(axes: Axes, histogram: Histogram, base: int) -> None:
    """A mark on the base line with its error, and the number beside it."""
    from matplotlib.patheffects import withStroke

    at, sd = 100.0 * histogram.maximum, 100.0 * histogram.maximum_sd
    sure = np.isfinite(sd)
    if sure:
        axes.errorbar([at], [base], xerr=[sd], fmt="none", ecolor=panels.INK, elinewidth=0.9, capsize=2.0, zorder=6)
    axes.plot([at], [base], "^", color=panels.INK, mfc=panels.INK if sure else "white", ms=4.2, mew=0.7, zorder=7)
    axes.annotate(f"{at:.0f}".replace("-", MINUS), (at, base), (0, 5), textcoords="offset points", ha="center",
                  zorder=8, path_effects=[withStroke(linewidth=1.8, foreground="white")])  # fmt: skip

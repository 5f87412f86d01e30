"""What a report says of volumes that were reconstructed from radiographs, and of the grey that they were given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voltome.report import wording

SHIFT_AGREEMENT = 0.9
"""Correlation of measured and predicted intensity below which a distance's cell is worth a second look."""


@dataclass(frozen=True)
class ReconstructionPart:
    """The section on reconstructions, in words.

    Parameters
    ----------
    rows : list of tuple of str
        For each scan: name, mode, axis, what estimators said, shift of each distance, corrupt frames, saturated
        pixels, divergence, edge resolution.
    warnings : list of str
        What was odd, with the scan's name.
    grey : str
        How grey values follow from decrements; empty where that is not known.
    """

    rows: list[tuple[str, ...]]
    warnings: list[str]
    grey: str


def describe_reconstructions(
    summaries: Mapping[str, Mapping[str, Any]], grey: Mapping[str, Any] | None = None, *, polarity: str = ""
) -> ReconstructionPart | None:
    """Bring the summaries of reconstructions into a table.

    Parameters
    ----------
    summaries : mapping
        Name of a scan to what `voltome.pipeline.reconstruct.reconstruct_scan` tells of it.
    grey : mapping, optional
        `grey_low`, `grey_high`: decrements that become 0 and 65535; where they were found also `silicon`,
        `silicon_sd`, `electrolyte`, `electrolyte_sd`.
    polarity : str
        Of the study.

    Returns
    -------
    ReconstructionPart or None
        None where there is no reconstruction.
    """
    if not summaries:
        return None
    rows = [_describe_scan(name, one) for name, one in summaries.items()]
    warnings = [f"{name}: {line}" for name, one in summaries.items() for line in one.get("warnings") or ()]
    return ReconstructionPart(rows, warnings, _describe_grey(grey or {}, polarity))


def _describe_scan(name: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    axis = one["axis"]
    if axis.get("given"):
        column, estimates = f"{axis['axis_px']:.2f}", "given"
    else:
        column = wording.write_measured(axis["axis_px"], axis["sd_px"], signed=False)
        estimates = ", ".join(f"{label} {value:.2f}" for label, value in axis["estimates"].items())
    saturated, divergence = one.get("saturated") or (), one.get("divergence_px")
    edge = (one.get("quality") or {}).get("edges", {}).get("quadratic_m")
    return (
        name,
        f"{one['mode']}, {one['angles']} angles",
        column,
        estimates,
        "; ".join(_describe_shift(shift) for shift in one["shifts"][1:]) or wording.DASH,
        _list_corrupt(one["corrupt_frames"]),
        wording.write_percent(max(saturated, default=math.nan), 2),
        wording.DASH if divergence is None else wording.write_number(float(divergence), 2),
        wording.DASH if edge is None else wording.write_metres(float(edge), 3),
    )


def _describe_shift(shift: Mapping[str, Any]) -> str:
    """Rows and columns, and how well frames agree with the wave that was found."""
    z, u = (f"{value:+.2f}".replace("-", wording.MINUS) for value in shift["mean_px"])
    agreement = shift.get("correlation")
    if agreement is None:
        return f"{z}, {u}"
    return f"{z}, {u} ({agreement:.3f}{': little' if agreement < SHIFT_AGREEMENT else ''})"


def _list_corrupt(corrupt: Sequence[Sequence[int]]) -> str:
    listed = [f"{', '.join(map(str, frames))} of distance {k}" for k, frames in enumerate(corrupt, start=1) if frames]
    return "; ".join(listed) or "none"


def _describe_grey(grey: Mapping[str, Any], polarity: str) -> str:
    if "grey_low" not in grey:
        return ""
    low, high = (wording.write_number(float(grey[name]), 4) for name in ("grey_low", "grey_high"))
    text = f"Grey 0 is {low}, grey 65535 is {high} at every scan ({polarity.replace('-', ' ')})."
    if "silicon" not in grey:
        return f"{text} No bulk materials anchor it."
    marks = [
        f"{name} at {wording.write_number(float(grey[name]), 3)} (spread {wording.write_number(grey[f'{name}_sd'], 2)})"
        for name in ("silicon", "electrolyte")
    ]
    return f"{text} Bulk materials of the first scan anchor it: {' and '.join(marks)}."

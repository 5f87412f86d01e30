"""Quality: how good a reconstructed volume is, and the one grey window in which a study sees it.

This room opens no file: it takes arrays or volume sources and returns numbers. To judge a part of a volume, give that
part: a slice of an array costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "Anchors": "anchors",
    "EdgeResolution": "edges",
    "GreyBias": "contrast",
    "GreyWindow": "grey_window",
    "PhaseGrey": "anchors",
    "Resolution": "shell_correlation",
    "RingPower": "rings",
    "ShellCorrelation": "shell_correlation",
    "correlate_shells": "shell_correlation",
    "describe_quality": "description",
    "equalise_for_the_eye": "equalisation",
    "find_anchors": "anchors",
    "find_contrast_to_noise": "contrast",
    "find_equalisation": "equalisation",
    "find_slice_levels": "levels",
    "make_grey_window": "grey_window",
    "measure_edges": "edges",
    "measure_grey": "contrast",
    "measure_grey_bias": "contrast",
    "measure_rings": "rings",
    "spread_grey_window": "grey_window",
}

if TYPE_CHECKING:
    from voltome.quality.anchors import Anchors, PhaseGrey, find_anchors
    from voltome.quality.contrast import GreyBias, find_contrast_to_noise, measure_grey, measure_grey_bias
    from voltome.quality.description import describe_quality
    from voltome.quality.edges import EdgeResolution, measure_edges
    from voltome.quality.equalisation import equalise_for_the_eye, find_equalisation
    from voltome.quality.grey_window import GreyWindow, make_grey_window, spread_grey_window
    from voltome.quality.levels import find_slice_levels
    from voltome.quality.rings import RingPower, measure_rings
    from voltome.quality.shell_correlation import Resolution, ShellCorrelation, correlate_shells

__all__ = [
    "Anchors",
    "EdgeResolution",
    "GreyBias",
    "GreyWindow",
    "PhaseGrey",
    "Resolution",
    "RingPower",
    "ShellCorrelation",
    "correlate_shells",
    "describe_quality",
    "equalise_for_the_eye",
    "find_anchors",
    "find_contrast_to_noise",
    "find_equalisation",
    "find_slice_levels",
    "make_grey_window",
    "measure_edges",
    "measure_grey",
    "measure_grey_bias",
    "measure_rings",
    "spread_grey_window",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.quality.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.quality' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

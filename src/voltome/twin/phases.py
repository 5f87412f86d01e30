"""Phases of the twin's voxels."""

from __future__ import annotations

COLLECTOR, PORE, BINDER, SILICON, LITHIATED, SEPARATOR, BUBBLE = 1, 2, 3, 4, 5, 6, 7
"""Codes; the pores of electrode and separator are full of electrolyte."""

PHASES = {
    "collector": COLLECTOR, "pore": PORE, "binder": BINDER, "silicon": SILICON, "lithiated silicon": LITHIATED,
    "separator": SEPARATOR, "bubble": BUBBLE,
}  # fmt: skip
"""Code of each phase by name."""

CONTRAST_COMPOSITION = 0.7
"""x in LixSi at which silicon has lost half of its contrast against electrolyte: from there on it is lithiated."""

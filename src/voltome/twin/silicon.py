"""Volumes of the atoms of lithiated silicon: what swelling, mass and contrast all follow from."""

from __future__ import annotations

SILICON_VOLUME_A3 = 20.02
"""Cubic angstroms of an atom of silicon."""

LITHIUM_VOLUME_A3 = 14.99
"""Cubic angstroms that each atom of lithium adds to LixSi."""

LITHIUM_VOLUME = LITHIUM_VOLUME_A3 / SILICON_VOLUME_A3
"""Volume that x = 1 adds to silicon, over silicon's own."""

"""Cells of a microstructure with the table that the compiled loops find them by."""

from __future__ import annotations

import numpy as np

from voltome.twin.cell_loops import Cells, refine_table
from voltome.twin.microstructure import Microstructure

_TABLE_STEP_UM = 0.4
_LEVELS = 5  # of halving, so that wide fields are not searched seed by seed


def make_cells(structure: Microstructure) -> Cells:
    """Arrays of a microstructure as the compiled loops take them.

    Parameters
    ----------
    structure : Microstructure

    Returns
    -------
    Cells
    """
    seeds, weights = structure.seeds_um, structure.weights_um2
    origin = structure.box_um[0]
    power = np.empty(len(seeds))
    count = np.ceil((structure.box_um[1] - origin) / _TABLE_STEP_UM)
    items, first = np.arange(len(seeds)), np.array([0, len(seeds)])
    shape = np.ones(3, dtype=np.int64)
    for level in range(_LEVELS - 1, -1, -1):
        parent_shape, parent_first, parent_items = shape, first, items
        shape = np.ceil(count / 2**level).astype(np.int64)
        first = np.zeros(int(np.prod(shape)) + 1, dtype=np.int64)
        items = np.empty(0, dtype=np.int64)
        for _ in range(2):
            total = refine_table(
                seeds, weights, origin, _TABLE_STEP_UM * 2**level, shape, parent_shape, parent_first, parent_items,
                power, first, items,
            )  # fmt: skip
            items = items if len(items) == total else np.empty(total, dtype=np.int64)
    return Cells(
        seeds, weights, structure.labels, structure.binder_zone, structure.centres_um,
        structure.cell_planes, structure.cell_first, structure.body_planes, structure.body_first,
        structure.grain_first, structure.grain_centres_um, structure.grain_planes, structure.grain_plane_first,
        origin, _TABLE_STEP_UM, shape, first, items,
    )  # fmt: skip

"""Which projections see along the same line, and what share of the half circle each direction stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Floats = NDArray[np.float64]

_MISSING = 8.0  # a gap this many times the usual one was not scanned


@dataclass(frozen=True, eq=False)
class Directions:
    """Projections sorted by direction modulo pi; those that coincide are members of one direction.

    Parameters
    ----------
    angles_rad : (G,) float64
        Angle of each direction, in the sense of its first member.
    weights_rad : (G,) float64
        Share of the half circle: half of the gap to either side. They add up to pi where nothing is missing.
    members : (G, R) int64
        Projections of each direction; -1 where it has fewer than R.
    flipped : (G, R) bool
        Members that look from the other side (by pi), so that they are mirrored about the axis.
    """

    angles_rad: Floats
    weights_rad: Floats
    members: NDArray[np.int64]
    flipped: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.angles_rad)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Members of each direction, (G,)."""
        return np.asarray((self.members >= 0).sum(axis=1), dtype=np.int64)


def find_directions(angles_rad: Floats, *, tolerance_rad: float = 1e-6) -> Directions:
    """Voronoi weights of projections on the circle of directions modulo pi.

    They hold for uneven angles, for 180 and 360 degrees, and for a closing angle that was taken twice. A gap wider than
    eight times the usual one was not scanned: its sides count as if the usual gap followed.

    Parameters
    ----------
    angles_rad : (n,) float64
    tolerance_rad : float
        Directions closer than this are one.

    Returns
    -------
    Directions

    Raises
    ------
    InputError
        If there is no angle, or one is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> directions = find_directions(np.deg2rad([0, 90, 180, 270]))
    >>> len(directions), (directions.weights_rad / np.pi).tolist()
    (2, [0.5, 0.5])
    """
    angles = np.asarray(angles_rad, dtype=np.float64)
    if angles.ndim != 1 or not len(angles):
        raise InputError(f"angles_rad must be one row (got shape {angles.shape}): give one number for each projection")
    bad = np.flatnonzero(~np.isfinite(angles))
    if len(bad):
        raise InputError(f"angles_rad must be finite (got {angles[bad[0]]} at {bad[0]}): leave that projection out")
    folded = np.mod(angles, np.pi)
    order = np.argsort(folded, kind="stable")
    # Starting behind the widest gap keeps what lies on both sides of 0 = pi together.
    gaps = np.diff(folded[order], append=folded[order[0]] + np.pi)
    start = (int(np.argmax(gaps)) + 1) % len(order)
    order = np.roll(order, -start)
    unrolled = folded[order]
    unrolled[len(order) - start :] += np.pi
    group, first = np.zeros(len(order), dtype=np.int64), unrolled[0]
    for i in range(1, len(order)):
        new = unrolled[i] - first > tolerance_rad
        group[i] = group[i - 1] + new
        first = unrolled[i] if new else first
    counts = np.bincount(group)
    mean = np.bincount(group, unrolled) / counts
    turns = np.round((angles[order] - mean[group]) / np.pi).astype(np.int64)  # half turns from the direction's mean
    begin = np.concatenate(([0], np.cumsum(counts)[:-1]))
    members = np.full((len(counts), int(counts.max())), -1, dtype=np.int64)
    flipped = np.zeros(members.shape, dtype=bool)
    rank = np.arange(len(order)) - begin[group]
    members[group, rank] = order
    flipped[group, rank] = (turns - turns[begin][group]) % 2 == 1
    return Directions(mean + np.pi * turns[begin], _weigh(mean), members, flipped)


def _weigh(directions: Floats) -> Floats:
    gaps = np.diff(directions, append=directions[0] + np.pi)
    usual = float(np.median(gaps))
    gaps = np.where(gaps > _MISSING * usual, usual, gaps)
    return np.asarray((gaps + np.roll(gaps, 1)) / 2)

"""The separator: a non-woven of straight fibres that lie mostly in its plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from voltome.twin.texture_of_layers_loops import Fibres

Floats = NDArray[np.float64]

_TILT_SD_RAD = 0.12
_RADIUS_SPREAD = 1 / 3  # radii are uniform within this fraction of their mean
_CELL_UM = 1.5
_GOLDEN_RATIO = (5**0.5 - 1) / 2
_SAMPLES = 20_000


def build_fibres(low_um: ArrayLike, high_um: ArrayLike, *, fraction: float, diameter_um: float, seed: int) -> Fibres:
    """Lay fibres of random place and direction into a box until they fill a share of it.

    Fibres may cross, as welded ones do. They run through the whole box, nearly normal to z.

    Parameters
    ----------
    low_um, high_um : (3,) array
        Corners of the box, z, y, x in micrometres.
    fraction : float
        Volume fraction of the fibres, met to about 0.005 (it is measured at 20,000 random points of the box).
    diameter_um : float
        Mean diameter; diameters are uniform within a third of it.
    seed : int

    Returns
    -------
    Fibres
        Sorted into cells, for `in_fibre`.

    Raises
    ------
    InputError
        Never: settings are checked where they are made.
    """
    from voltome.twin.texture_of_layers_loops import Fibres, count_covered, sort_fibres

    low, high = np.asarray(low_um, dtype=np.float64), np.asarray(high_um, dtype=np.float64)
    rng = np.random.default_rng(seed)
    points = rng.uniform(low, high, (_SAMPLES, 3))
    covered = np.zeros(_SAMPLES, dtype=np.bool_)
    total, lines = 0, np.empty((0, 7))
    while total < fraction * _SAMPLES:
        used = len(lines)
        lines = np.concatenate((lines, _draw_lines(low, high, diameter_um, rng, used)))
        while total < fraction * _SAMPLES and used < len(lines):
            total += count_covered(points, covered, lines, used)
            used += 1
        lines = lines[:used]
    size = np.ceil((high - low) / _CELL_UM).astype(np.int64)
    start, members = sort_fibres(lines, low, size, _CELL_UM)
    return Fibres(lines, low, size, _CELL_UM, start, members)


def _draw_lines(low: Floats, high: Floats, diameter_um: float, rng: np.random.Generator, drawn: int) -> Floats:
    """64 more fibres about the box, uniform in place and direction: point, direction, squared radius."""
    count = 64
    middle, half = (low + high) / 2, (high - low) / 2
    reach = diameter_um * (1 + _RADIUS_SPREAD) / 2
    angle = rng.uniform(0, np.pi, count)
    tilt = rng.normal(0, _TILT_SD_RAD, count)
    direction = np.stack((np.sin(tilt), np.cos(tilt) * np.sin(angle), np.cos(tilt) * np.cos(angle)), axis=1)
    aside = rng.uniform(-1, 1, count) * (np.hypot(half[1], half[2]) + reach)
    # heights go round by the golden ratio: fewer holes than chance makes; what is too high may reach in where it tilts
    share = (drawn + np.arange(count)) * _GOLDEN_RATIO % 1
    height = (2 * share - 1) * (half[0] + reach + 2 * _TILT_SD_RAD * np.hypot(half[1], half[2]))
    point = np.stack((height, -aside * np.cos(angle), aside * np.sin(angle)), axis=1) + middle
    radius = diameter_um / 2 * rng.uniform(1 - _RADIUS_SPREAD, 1 + _RADIUS_SPREAD, count)
    return np.concatenate((point, direction, (radius**2)[:, None]), axis=1)

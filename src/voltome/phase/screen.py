"""A straight opaque edge, such as a metal foil seen along its plane, and what it does to the light beside it.

Behind an edge a Fresnel pattern of a fifth of the intensity stands over many pixels. Taken for weak contrast of the
sample it would bend the phase of the whole frame; so it is worked out, divided away for the first guess, and given back
to the wave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.phase.fresnel import PlaneGrid, predict_intensities

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_DARK = 0.25  # intensity at the shadow's geometrical edge
_LEAST_ROWS = 3
_LEAST_AMPLITUDE = 1e-2
_FIRST_WIDTH_PX = 1.5


@dataclass(frozen=True)
class Screen:
    """An opaque edge along the columns of a frame.

    Parameters
    ----------
    edge_row : float
        Where the transmitted amplitude is one half.
    width_px : float
        Standard deviation over which it goes from 0 to 1.
    at_top : bool
        Whether the rows above the edge are dark, or those below.
    """

    edge_row: float
    width_px: float
    at_top: bool

    def amplitude(self, rows: Floats) -> Floats:
        """Transmitted amplitude, 0.01 to 1.

        Parameters
        ----------
        rows : (n,) float64

        Returns
        -------
        (n,) float64
        """
        from scipy.special import ndtr

        sign = 1.0 if self.at_top else -1.0
        seen = ndtr(sign * (rows - self.edge_row) / max(self.width_px, 1e-3))
        return np.asarray(np.maximum(seen, _LEAST_AMPLITUDE))

    def dark_rows(self, count: int) -> slice:
        """Rows of a frame that the edge covers.

        Parameters
        ----------
        count : int
            Rows of the frame.

        Returns
        -------
        slice
        """
        edge = int(np.clip(round(self.edge_row), 0, count))
        return slice(0, edge) if self.at_top else slice(edge, count)


def find_screen(profiles: Floats, grid: PlaneGrid, distances_m: Sequence[float]) -> Screen | None:
    """Find an opaque edge from the mean intensity of each row, at all distances together.

    Parameters
    ----------
    profiles : (distances, rows) float64
        Mean over columns, and best over many angles, of the registered intensities.
    grid : PlaneGrid
        Pixel and wavelength; its shape does not matter.
    distances_m : sequence of float
        Effective distances.

    Returns
    -------
    Screen or None
        None where neither the first nor the last rows are dark.
    """
    from scipy.optimize import least_squares

    count = profiles.shape[1]
    level = np.median(profiles)
    dark = profiles.mean(axis=0) < _DARK * level
    at_top = bool(dark[:_LEAST_ROWS].all())
    if not at_top and not dark[-_LEAST_ROWS:].all():
        return None
    first = int(np.argmin(dark)) - 0.5 if at_top else count - int(np.argmin(dark[::-1])) - 0.5
    reach = 3.0 * max(np.sqrt(grid.wavelength_m * max(map(abs, distances_m))) / grid.pixel_m, 2.0)
    near = np.abs(np.arange(count) - first) < reach
    measured = profiles[:, near] / level

    def misfit(values: Floats) -> Floats:
        screen = Screen(values[0], abs(values[1]), at_top)
        seen = shade(screen, count, grid, distances_m)[:, near]
        return np.asarray((values[2] * seen - measured).ravel())

    found = least_squares(misfit, [first, _FIRST_WIDTH_PX, 1.0], x_scale=[1.0, 1.0, 0.1], diff_step=1e-3)
    return Screen(float(found.x[0]), float(abs(found.x[1])), at_top)


def shade(screen: Screen, count: int, grid: PlaneGrid, distances_m: Sequence[float]) -> Floats:
    """Intensity behind a screen alone, at some distances.

    Parameters
    ----------
    screen : Screen
    count : int
        Rows of the frame.
    grid : PlaneGrid
    distances_m : sequence of float
        Effective distances.

    Returns
    -------
    (distances, rows) float64
    """
    # Far enough on either side that what wraps around does not reach the frame.
    margin = 4 * count
    rows = np.arange(-margin, count + margin, dtype=np.float64)
    whole = screen.amplitude(rows)
    # The far end falls to the dark again: a periodic row has no other step.
    fade = np.clip(np.arange(len(rows)) / margin * 2, 0, 1)
    whole *= np.sin(np.pi / 2 * (fade[::-1] if screen.at_top else fade)) ** 2
    line = PlaneGrid((len(rows), 1), grid.pixel_m, grid.wavelength_m)
    wave = whole[:, None].astype(np.complex64)
    seen = predict_intensities(wave, line, distances_m)
    return np.stack([np.asarray(one)[margin : margin + count, 0] for one in seen]).astype(np.float64)

"""The rough surface of the electrode on the separator's side: a level and a sum of plane waves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_WAVES = 24
_SAMPLES = 128  # along each side of the field


@dataclass(frozen=True, eq=False)
class RoughSurface:
    """z(y, x) = level + sum of amplitude sin(ky y + kx x + phase), in micrometres.

    Parameters
    ----------
    level_um : float
    waves : (W, 4) float64
        Amplitude, ky, kx (rad/um) and phase.
    """

    level_um: float
    waves: Floats

    def _angles(self, y_um: Floats, x_um: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Each wave with its angle at the points; waves are added one by one, in the same order on any machine."""
        for wave in self.waves:
            yield wave, wave[1] * y_um + wave[2] * x_um + wave[3]

    def height(self, y_um: Floats, x_um: Floats) -> Floats:
        """Height z above points.

        Parameters
        ----------
        y_um, x_um : array
            Any shapes that broadcast.

        Returns
        -------
        array
        """
        total = np.full(np.broadcast_shapes(np.shape(y_um), np.shape(x_um)), self.level_um)
        for wave, angle in self._angles(y_um, x_um):
            total += wave[0] * np.sin(angle)
        return total

    def slope(self, y_um: Floats, x_um: Floats) -> Floats:
        """Slopes dz/dy and dz/dx above points.

        Parameters
        ----------
        y_um, x_um : array
            Any shapes that broadcast.

        Returns
        -------
        array
            With a last axis of 2.
        """
        total = np.zeros((*np.broadcast_shapes(np.shape(y_um), np.shape(x_um)), 2))
        for wave, angle in self._angles(y_um, x_um):
            total += (wave[0] * np.cos(angle))[..., None] * wave[1:3]
        return total

    def mean(self, low_um: Floats, high_um: Floats) -> float:
        """Mean height over a rectangle, exactly.

        Parameters
        ----------
        low_um, high_um : (2,) float64
            Its corners (y, x).

        Returns
        -------
        float
        """
        middle, side = (low_um + high_um) / 2, high_um - low_um
        total = self.level_um
        for wave, angle in self._angles(middle[0], middle[1]):
            damping = np.prod(np.sinc(wave[1:3] * side / (2 * np.pi)))
            total += float(wave[0] * damping * np.sin(angle))
        return total


def make_surface(
    mean_um: float, sd_um: float, correlation_um: float, field_um: Floats, random: np.random.Generator
) -> RoughSurface:
    """A Gaussian random surface whose mean and sd over a field are exact.

    Parameters
    ----------
    mean_um, sd_um : float
        Height of the surface and its standard deviation over the field.
    correlation_um : float
        Distance at which the correlation of heights has fallen to 1/e.
    field_um : (2, 2) float64
        Low and high corner (y, x) of the field.
    random : numpy.random.Generator

    Returns
    -------
    RoughSurface
    """
    number = random.normal(size=(_WAVES, 2)) * np.sqrt(2) / correlation_um
    length = np.linalg.norm(number, axis=1, keepdims=True)
    # A wave much longer than the correlation length would be a tilt, and no roughness.
    number *= np.maximum(length, 1 / correlation_um) / length
    phase = random.uniform(0, 2 * np.pi, _WAVES)
    plain = RoughSurface(0.0, np.column_stack([np.ones(_WAVES), number, phase]))
    y, x = (low + (high - low) * (np.arange(_SAMPLES) + 0.5) / _SAMPLES for low, high in field_um.T)
    amplitude = sd_um / plain.height(y[:, None], x).std()
    waves = np.column_stack([np.full(_WAVES, amplitude), number, phase])
    return RoughSurface(float(mean_um - amplitude * plain.mean(field_um[0], field_um[1])), waves)

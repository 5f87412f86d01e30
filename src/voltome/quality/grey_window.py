"""One linear 16-bit grey window for a whole study."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import VolumeSource
from voltome.quality.anchors import Anchors
from voltome.quality.blocks import check_volume, read_block, sample_blocks

Polarity = Literal["silicon-darkest", "silicon-brightest"]

SILICON_LEVEL = 349.0 / 1100.0
ELECTROLYTE_LEVEL = 620.0 / 1100.0
"""Where the anchors stand between darkest and brightest: those of 5.51e-7 and 2.80e-7 between 9e-7 and -2e-7."""

_WHITE = 65535
_SPREAD = 0.5  # of the middle range, added on either side of a window without anchors


@dataclass(frozen=True)
class GreyWindow:
    """A linear map from refractive decrement to 16-bit greys.

    Parameters
    ----------
    low, high : float
        Values at the ends of the window, low < high.
    polarity : str
        "silicon-darkest": `high` becomes 0 and `low` 65535. "silicon-brightest": the other way round.

    Raises
    ------
    InputError
        If low is not below high, or the polarity is none of both.

    Examples
    --------
    >>> window = GreyWindow(-2e-7, 9e-7)
    >>> window.apply(np.array([9e-7, 5.51e-7, 2.8e-7, -2e-7])).tolist()
    [0, 20792, 36938, 65535]
    """

    low: float
    high: float
    polarity: Polarity = "silicon-darkest"

    def __post_init__(self) -> None:
        if not (self.low < self.high and math.isfinite(self.high - self.low)):
            raise InputError(
                f"the grey window's low must be < high (got {self.low:g}, {self.high:g}): exchange or widen"
            )
        if self.polarity not in ("silicon-darkest", "silicon-brightest"):
            raise InputError(
                f"polarity must be silicon-darkest or silicon-brightest (got {self.polarity!r}): give one of both"
            )

    @property
    def black(self) -> float:
        """Value that is shown as 0."""
        return self.high if self.polarity == "silicon-darkest" else self.low

    @property
    def white(self) -> float:
        """Value that is shown as 65535."""
        return self.low if self.polarity == "silicon-darkest" else self.high

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.uint16]:
        """Greys of values, rounded; those beyond the window take its end.

        Parameters
        ----------
        values : float array

        Returns
        -------
        uint16 array

        Raises
        ------
        InputError
            If a value is NaN.
        """
        scaled = (np.asarray(values) - self.black) * (_WHITE / (self.white - self.black))
        lost = int(np.isnan(scaled).sum())
        if lost:
            raise InputError(
                f"values must not be NaN (got {lost}): there is no grey for them, give reconstructed voxels"
            )
        return np.rint(np.clip(scaled, 0, _WHITE)).astype(np.uint16)

    def restore(self, greys: NDArray[np.integer]) -> NDArray[np.float32]:
        """Values of greys, the inverse of `apply` but for rounding and what it cut off.

        Parameters
        ----------
        greys : integer array

        Returns
        -------
        float32 array
        """
        scale = (self.white - self.black) / _WHITE
        return (np.asarray(greys, dtype=np.float64) * scale + self.black).astype(np.float32)

    def find_clipped(self, values: NDArray[np.floating]) -> float:
        """Share of values that lie beyond the window.

        Parameters
        ----------
        values : float array

        Returns
        -------
        float
            0 where all fit, NaN of none.
        """
        beyond = (values < self.low) | (values > self.high)
        return float(beyond.mean()) if beyond.size else math.nan


def make_grey_window(anchors: Anchors, *, polarity: Polarity = "silicon-darkest") -> GreyWindow:
    """Window in which the anchors stand at fixed greys, the same in every study.

    Silicon is 20792 and electrolyte 36938 (of 65535) where silicon is darkest; else 44743 and 28597. Beyond silicon
    there is room for 1.29 contrasts, beyond electrolyte for 1.77: metals, voids, fringes and noise are not cut off.
    Take the anchors of the first scan and keep the window for all others.

    Parameters
    ----------
    anchors : Anchors
    polarity : str

    Returns
    -------
    GreyWindow

    Raises
    ------
    InputError
        If the anchors have no contrast.
    """
    if not anchors.contrast > 0:
        raise InputError(f"silicon must lie above electrolyte (contrast {anchors.contrast:g}): find the anchors again")
    width = anchors.contrast / (ELECTROLYTE_LEVEL - SILICON_LEVEL)
    high = anchors.silicon.mean + SILICON_LEVEL * width
    return GreyWindow(high - width, high, polarity)


def spread_grey_window(volume: VolumeSource, *, polarity: Polarity = "silicon-darkest", seed: int = 0) -> GreyWindow:
    """Window without anchors: the middle 99 % of the values, and half as much again on either side.

    Where `find_anchors` cannot tell silicon from electrolyte. Greys of such a window compare within the study only.

    Parameters
    ----------
    volume : (z, y, x) volume
    polarity : str
    seed : int
        Of the draw of blocks.

    Returns
    -------
    GreyWindow

    Raises
    ------
    InputError
        If all values are the same, or not finite.
    """
    blocks = sample_blocks(check_volume(volume), 64, 24, seed=seed)
    seen = np.concatenate([read_block(volume, block)[::2, ::2, ::2].ravel() for block in blocks])
    low, high = (float(q) for q in np.quantile(seen, [0.005, 0.995]))
    if not high > low:
        raise InputError(f"the volume must hold more than one value (got {low:g}): look at the reconstruction")
    return GreyWindow(low - _SPREAD * (high - low), high + _SPREAD * (high - low), polarity)

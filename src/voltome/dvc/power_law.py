"""Power law of a standard deviation against window size, and the window that a wanted one needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voltome.fields import FloatArray

SMALLEST_HALF_WINDOW = 4


@dataclass(frozen=True)
class PowerLaw:
    """sd = a h^b.

    Parameters
    ----------
    factor : float
        a: the sd at a half window of one voxel.
    exponent : float
        b.
    covariance : (2, 2) float64
        Of (ln a, b).
    measured_vox : (float, float)
        Smallest and largest half window behind it.
    """

    factor: float
    exponent: float
    covariance: FloatArray
    measured_vox: tuple[float, float]

    @property
    def factor_sd(self) -> float:
        """Standard deviation of a."""
        return float(self.factor * np.sqrt(self.covariance[0, 0]))

    @property
    def exponent_sd(self) -> float:
        """Standard deviation of b."""
        return float(np.sqrt(self.covariance[1, 1]))

    def evaluate(self, half_window_vox: ArrayLike) -> FloatArray:
        """The law's sd at half windows, an array of their shape."""
        out: FloatArray = self.factor * np.asarray(half_window_vox, dtype=np.float64) ** self.exponent
        return out


@dataclass(frozen=True)
class Recommendation:
    """The smallest half window whose sd is not above the wanted one.

    Parameters
    ----------
    half_window_vox : int
    sd : float
        What the law gives there.
    extrapolated : bool
        The window lies outside the measured ones.
    """

    half_window_vox: int
    sd: float
    extrapolated: bool


def fit_power_law(
    half_window_vox: NDArray[np.number], sd: NDArray[np.floating], sd_error: NDArray[np.floating]
) -> PowerLaw | None:
    """Fit sd = a h^b in logarithms, weighted (Dall'Ara et al. 2017, 10.3389/fmats.2017.00031).

    Parameters
    ----------
    half_window_vox : (W,) array
    sd, sd_error : (W,) float array
        Standard deviations and their own; values that are not finite and positive are left out.

    Returns
    -------
    PowerLaw or None
        None with fewer than two windows. Errors are widened where the points scatter more than theirs explain.

    Examples
    --------
    >>> h = np.array([8, 12, 16, 24])
    >>> law = fit_power_law(h, 0.3 * h**-1.5, 0.01 * h**-1.5)
    >>> round(law.factor, 6), round(law.exponent, 6)
    (0.3, -1.5)
    """
    use = np.isfinite(sd) & np.isfinite(sd_error) & (sd > 0) & (sd_error > 0)
    if use.sum() < 2:
        return None
    h, y = np.asarray(half_window_vox, dtype=np.float64)[use], np.log(sd[use])
    weight = (sd[use] / sd_error[use]) ** 2
    columns = np.stack([np.ones_like(h), np.log(h)], axis=1)
    covariance = np.linalg.inv(columns.T @ (weight[:, None] * columns))
    solution = covariance @ columns.T @ (weight * y)
    freedom = len(h) - 2
    if freedom:
        covariance *= max(1.0, float(weight @ (y - columns @ solution) ** 2) / freedom)
    return PowerLaw(float(np.exp(solution[0])), float(solution[1]), covariance, (float(h.min()), float(h.max())))


def recommend_window(law: PowerLaw | None, wanted_sd: float) -> Recommendation | None:
    """The half window that a wanted standard deviation needs.

    Parameters
    ----------
    law : PowerLaw or None
    wanted_sd : float

    Returns
    -------
    Recommendation or None
        None without a law, or where larger windows are not better.
    """
    if law is None or not law.exponent < 0:
        return None
    exact = (wanted_sd / law.factor) ** (1.0 / law.exponent)
    half = max(SMALLEST_HALF_WINDOW, int(np.ceil(exact - 1e-9)))
    low, high = law.measured_vox
    return Recommendation(half, float(law.evaluate(half)), not low <= half <= high)

"""The geometry of a radiograph: wavelength, magnification, effective distance, Fresnel number.

Nothing here assumes X-rays: the wavelength is a variable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from voltome.errors import InputError

KEV_M = 1.239841984e-9
"""Photon energy in keV times wavelength in metres."""


def find_wavelength(energy_kev: float) -> float:
    """Wavelength of photons.

    Parameters
    ----------
    energy_kev : float

    Returns
    -------
    float
        Metres.

    Raises
    ------
    InputError
        If the energy is not positive.

    Examples
    --------
    >>> round(find_wavelength(29.6) * 1e12, 3)
    41.887
    """
    if not (energy_kev > 0 and math.isfinite(energy_kev)):
        raise InputError(f"energy_kev must be > 0 (got {energy_kev}): give the beam's energy, e.g. 29.6")
    return KEV_M / energy_kev


@dataclass(frozen=True)
class Geometry:
    """Where source, sample and detector are for one distance.

    A wave from a point source is, but for its magnification, the parallel wave at the effective distance
    z1 z2 / (z1 + z2) (the Fresnel scaling theorem; Paganin, Coherent X-Ray Optics,
    10.1093/acprof:oso/9780198567288.001.0001).

    Parameters
    ----------
    wavelength_m : float
    source_sample_m : float
        From the focus to the sample; infinite for a parallel beam.
    sample_detector_m : float
    detector_pixel_m : float
        Edge of a detector's pixel, the optics behind the scintillator taken into account.

    Raises
    ------
    InputError
        If a length is not positive, or a distance is negative.
    """

    wavelength_m: float
    source_sample_m: float
    sample_detector_m: float
    detector_pixel_m: float

    def __post_init__(self) -> None:
        lengths = ("wavelength_m", self.wavelength_m), ("source_sample_m", self.source_sample_m)
        for name, value in (*lengths, ("detector_pixel_m", self.detector_pixel_m)):
            if not value > 0:
                raise InputError(f"{name} must be > 0 (got {value}): give it in metres")
        if not (self.sample_detector_m >= 0 and math.isfinite(self.sample_detector_m)):
            raise InputError(f"sample_detector_m must be >= 0 (got {self.sample_detector_m}): give it in metres")

    @property
    def energy_kev(self) -> float:
        """Photon energy."""
        return KEV_M / self.wavelength_m

    @property
    def magnification(self) -> float:
        """How much larger the shadow is than the sample."""
        return 1.0 + self.sample_detector_m / self.source_sample_m

    @property
    def pixel_m(self) -> float:
        """Edge of a pixel at the sample."""
        return self.detector_pixel_m / self.magnification

    @property
    def effective_m(self) -> float:
        """Distance at which a parallel wave would look the same."""
        return self.sample_detector_m / self.magnification

    @property
    def fresnel_number(self) -> float:
        """pixel^2 / (wavelength x effective distance): far below 1, fringes are wider than a pixel."""
        length = self.wavelength_m * self.effective_m
        return math.inf if length == 0 else self.pixel_m**2 / length

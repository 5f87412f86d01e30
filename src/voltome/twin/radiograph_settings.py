"""The twin's settings of raw radiographs: beam, distances, camera, and how the sample moves meanwhile."""

from __future__ import annotations

import itertools
from typing import Annotated, Self

from pydantic import Field, model_validator

from voltome.settings import Settings

_RATIO = Annotated[float, Field(ge=1, le=10)]


class RadiographSettings(Settings):
    """How the object is filmed where raw radiographs are asked for; the beam's energy is that of the scan.

    The detector stays where it is and the sample moves away from the focus. Pixels without further word are those of
    the first distance at the sample, which are as large as the volume's voxels.
    """

    focus_detector_m: float = Field(default=0.72, gt=0, le=1000, description="from the focus to the detector")
    detector_pixel_m: float = Field(
        default=0.65e-6, gt=0, le=1e-3, description="edge of the detector's pixel, larger than a voxel"
    )
    distance_ratios: tuple[_RATIO, ...] = Field(
        default=(1.0, 1.04, 1.2, 1.5),
        min_length=1,
        max_length=9,
        description="focus-sample distances over the first, at which a pixel is a voxel; rising",
    )
    angles_per_column: float = Field(
        default=1.22, ge=0.1, le=10, description="projections over a whole turn, for each column of the detector"
    )
    n_flats: int = Field(default=20, ge=2, le=1000, description="flats of a scan, half of them before, half after")
    n_darks: int = Field(default=21, ge=1, le=1000, description="darks of a scan, before all else")
    photons_per_s: float = Field(default=1e12, gt=0, le=1e20, description="photons of the whole beam per second")
    exposure_s: float = Field(default=0.02, gt=0, le=1e4, description="exposure of a frame")
    beam_side_px: int = Field(
        default=2048, ge=1, le=100_000, description="edge of the square that the beam lights, in detector pixels"
    )
    efficiency: float = Field(default=0.5, gt=0, le=1, description="share of the photons that the camera counts")
    counts_per_photon: float = Field(default=8.0, gt=0, le=1e4, description="counts of the camera for such a photon")
    dark_counts: float = Field(default=100.0, ge=0, le=10_000, description="counts without any light")
    read_noise_counts: float = Field(default=2.0, ge=0, le=1000, description="sd of the camera's own noise")
    psf_px: float = Field(
        default=1.3, ge=0.5, le=10, description="point spread of the camera (FWHM) in its pixels, besides their area"
    )
    pixel_gain_sd: float = Field(default=0.01, ge=0, le=0.3, description="relative sd of the pixels' gain")
    ring_fraction: float = Field(
        default=0.003, ge=0, le=0.2, description="share of the pixels that answer light not quite linearly: rings"
    )
    ring_gain: float = Field(default=0.05, ge=0, le=0.5, description="largest gain error of these, at full light")
    bad_fraction: float = Field(default=2e-4, ge=0, le=0.05, description="share of pixels that are dead or saturated")
    stripes: float = Field(default=0.10, ge=0, le=0.5, description="relative sd of the stripes that the optics make")
    speckle: float = Field(default=0.03, ge=0, le=0.5, description="relative sd of the beam's fine speckle")
    beam_drift_px: float = Field(
        default=1.5, ge=0, le=20, description="largest drift of stripes and speckle over a scan, in detector pixels"
    )
    current_a: float = Field(default=0.2, gt=0, le=10, description="current of the ring when a scan starts")
    current_decay: float = Field(default=0.01, ge=0, le=0.9, description="share of it that is lost over a scan")
    axis_offset_px: float = Field(
        default=3.3, ge=-1000, le=1000, description="rotation axis beside the middle of the detector"
    )
    jitter_px: float = Field(default=0.3, ge=0, le=20, description="sd of the sample's place from angle to angle")
    drift_px: float = Field(
        default=2.0, ge=0, le=20, description="largest slow motion at a distance, as seen from the first distance"
    )
    misalignment_px: float = Field(
        default=3.0, ge=0, le=100, description="largest constant shift of a distance against the first"
    )
    sample_diameter: float = Field(
        default=2.0, ge=1, le=50, description="diameter of the sample over the width of the field, which it exceeds"
    )
    delta_beta: float = Field(
        default=500.0, ge=1, le=1e6, description="refraction over absorption, of all but the collector"
    )
    copper_transmission: float = Field(
        default=2e-5, gt=0, lt=1, description="share of the beam that passes the collector along a diameter"
    )

    @property
    def photons_per_pixel(self) -> float:
        """Photons that the camera counts in a pixel of a frame, on average over the beam."""
        return self.photons_per_s * self.exposure_s / self.beam_side_px**2 * self.efficiency

    @model_validator(mode="after")
    def _check(self) -> Self:
        ratios = self.distance_ratios
        if ratios[0] != 1 or any(after <= before for before, after in itertools.pairwise(ratios)):
            raise ValueError(
                f"distance_ratios must begin with 1 and rise (got {', '.join(f'{ratio:g}' for ratio in ratios)}): "
                "put the smallest distance first"
            )
        if self.photons_per_pixel * self.counts_per_photon + self.dark_counts > 40_000:
            raise ValueError(
                f"photons_per_s * exposure_s / beam_side_px^2 * efficiency * counts_per_photon + dark_counts must be "
                f"<= 40000, so that 16 bits hold the beam (got "
                f"{self.photons_per_pixel * self.counts_per_photon + self.dark_counts:.0f}): lower counts_per_photon"
            )
        return self

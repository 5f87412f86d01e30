"""The twin's settings in groups: electrode, lithiation, kinematics, cell, scan.

SI units; lengths in metres, angles in radians, fractions as fractions (0.44, not 44). Defaults are the paper's: Häusler
et al., EES Batteries 2026, 2, 446 (10.1039/D5EB00193E).
"""

from __future__ import annotations

import math
from typing import Self

from pydantic import Field, model_validator

from voltome.settings import Settings

GROWTH_ROOM = 1.15
"""A particle may grow by this factor in every direction before it leaves the piece of matter that carries it."""


class ElectrodeSettings(Settings):
    """The electrode before the first charge, with what lies above and below it."""

    thickness_m: float = Field(default=20.7e-6, ge=2e-6, le=500e-6, description="mean thickness of the electrode at T0")
    thickness_sd_m: float = Field(default=0.7e-6, ge=0, le=5e-6, description="sd of the thickness over the field at T0")
    surface_correlation_m: float = Field(
        default=8e-6, ge=1e-6, le=100e-6, description="distance over which the rough surface varies"
    )
    silicon_fraction: float = Field(default=0.554, gt=0, lt=1, description="volume fraction of silicon at T0")
    binder_fraction: float = Field(default=0.11, ge=0, lt=1, description="volume fraction of carbon and binder at T0")
    diameter_d10_m: float = Field(
        default=2.4e-6, ge=0.2e-6, le=100e-6, description="diameter below which lies a tenth of the silicon's volume"
    )
    diameter_d50_m: float = Field(
        default=4.25e-6, ge=0.2e-6, le=100e-6, description="diameter below which lies half of the silicon's volume"
    )
    diameter_d90_m: float = Field(
        default=7.2e-6, ge=0.2e-6, le=100e-6, description="diameter below which lie nine tenths of the silicon's volume"
    )
    binder_zone_fraction: float = Field(
        default=0.05, ge=0, le=0.3, description="share of the electrode's volume in binder-rich zones without particle"
    )
    pore_zone_fraction: float = Field(
        default=0.03, ge=0, le=0.3, description="share of the electrode's volume in large pores without particle"
    )
    least_gap_m: float = Field(default=0.1e-6, ge=0, le=2e-6, description="least distance between two particles at T0")
    facets: int = Field(default=10, ge=4, le=40, description="number of random facets that make a particle angular")
    cracked_fraction: float = Field(
        default=0.06, ge=0, le=1, description="share of the particles that are cracked before the first charge"
    )
    crack_width_m: float = Field(default=0.35e-6, gt=0, le=2e-6, description="opening of such a crack")
    crack_depth_m: float = Field(
        default=5e-6, gt=0, le=1e-3, description="depth below the separator at which cracks are rarer by a factor of e"
    )
    binder_texture: float = Field(
        default=0.15, ge=0, le=1, description="relative sd of the binder's density, which lets images be correlated"
    )
    binder_texture_length_m: float = Field(default=0.5e-6, gt=0, le=10e-6, description="grain size of that texture")
    separator_fibre_fraction: float = Field(
        default=0.45, gt=0, lt=1, description="volume fraction of fibres in the separator"
    )
    separator_fibre_diameter_m: float = Field(
        default=1.5e-6, ge=0.2e-6, le=20e-6, description="diameter of those fibres"
    )

    @property
    def pore_fraction(self) -> float:
        """Volume fraction that is neither silicon nor carbon and binder."""
        return 1.0 - self.silicon_fraction - self.binder_fraction

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.silicon_fraction + self.binder_fraction >= 1:
            raise ValueError(
                f"silicon_fraction + binder_fraction must be < 1 (got {self.silicon_fraction:g} + "
                f"{self.binder_fraction:g}): lower one of them, the pores are the rest"
            )
        if not self.diameter_d10_m < self.diameter_d50_m < self.diameter_d90_m:
            raise ValueError(
                f"diameter_d10_m < diameter_d50_m < diameter_d90_m must hold (got {self.diameter_d10_m:g}, "
                f"{self.diameter_d50_m:g}, {self.diameter_d90_m:g}): give rising diameters"
            )
        for zone, whole, name in (
            (self.binder_zone_fraction, self.binder_fraction, "binder"),
            (self.pore_zone_fraction, self.pore_fraction, "pore"),
        ):
            if zone > whole:
                raise ValueError(
                    f"{name}_zone_fraction must be <= the {name} fraction, {whole:.3g} (got {zone:g}): "
                    f"lower {name}_zone_fraction"
                )
        room = (1 - self.binder_zone_fraction - self.pore_zone_fraction) / GROWTH_ROOM**3
        if self.silicon_fraction > room:
            raise ValueError(
                f"silicon_fraction must be <= {room:.3g}, so that particles have room to swell "
                f"(got {self.silicon_fraction:g}): lower it, or the zones without particle"
            )
        return self


class LithiationSettings(Settings):
    """How and how much of each particle reacts; what is no other mechanism is a network."""

    core_shell_fraction: float = Field(
        default=0.10, ge=0, le=1, description="share of particles that react as core and shell"
    )
    one_sided_fraction: float = Field(
        default=0.0, ge=0, le=1, description="share of particles with a front from one side"
    )
    cracked_core_shell_fraction: float = Field(
        default=0.0, ge=0, le=1, description="share of particles that are cracked and react as core and shell"
    )
    network_planes: int = Field(
        default=2, ge=1, le=6, description="number of planes of a network that cross the whole particle"
    )
    network_branches: int = Field(
        default=2, ge=0, le=12, description="number of planes of a network that end on another plane"
    )
    composition: float = Field(default=3.75, ge=0.1, le=4.4, description="x in LixSi of reacted silicon")
    front_width: float = Field(
        default=0.05,
        ge=0,
        le=0.5,
        description="width of the blurred rim between reacted and unreacted, as a share of the radius",
    )
    depth_ratio: float = Field(
        default=50 / 34,
        gt=0,
        le=10,
        description="reacted fraction of the separator's half over that of the collector's half",
    )
    size_exponent: float = Field(
        default=-0.3, ge=-3, le=3, description="power of the diameter that the reacted fraction follows"
    )
    scatter: float = Field(
        default=0.15, ge=0, le=1, description="lognormal sd of the reacted fraction between like particles"
    )
    visible: bool = Field(
        default=True,
        description="look of reacted silicon: true as its composition has it, false as if nothing had reacted",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        shares = (self.core_shell_fraction, self.one_sided_fraction, self.cracked_core_shell_fraction)
        if sum(shares) > 1 + 1e-9:
            raise ValueError(
                f"core_shell_fraction + one_sided_fraction + cracked_core_shell_fraction must be <= 1 "
                f"(got {' + '.join(f'{share:g}' for share in shares)}): lower one of them, networks are the rest"
            )
        return self


class KinematicsSettings(Settings):
    """How the electrode moves; the thickness at each step is the step's own."""

    separator_to_collector_strain: float = Field(
        default=50 / 34,
        ge=0.2,
        le=5,
        description="axial strain of the separator's half over that of the collector's half",
    )
    in_plane_strain: float = Field(
        default=0.004,
        ge=-0.05,
        le=0.05,
        description="mean in-plane strain at the thickest step; follows the axial strain",
    )
    in_plane_sd: float = Field(
        default=0.008, ge=0, le=0.05, description="sd of the in-plane strain at the thickest step"
    )
    final_thickness_sd_m: float = Field(
        default=2.1e-6, ge=0, le=10e-6, description="sd of the thickness over the field at the thickest step"
    )
    heterogeneity: float = Field(
        default=0.2,
        ge=0,
        le=0.6,
        description="relative sd of the local axial strain that is tied to the microstructure",
    )
    particle_rotation_rad: float = Field(
        default=0.01, ge=0, le=0.2, description="sd of the particles' rotation at the thickest step"
    )
    rigidity: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="rigidity of unreacted silicon: 1 moves rigidly, 0 follows the smooth field",
    )


class CellSettings(Settings):
    """The full cell, NMC811 against silicon, and how it is cycled between scans.

    The paper discharges at C/6 (text) or C/5 (caption of Fig. 2): the text is taken. It ends a leg after 30 minutes;
    here a leg ends when the state of charge of the next step is reached, which takes about as long.
    """

    area_m2: float = Field(default=0.0095e-4, gt=0, le=0.1, description="area of the electrode")
    areal_capacity_ah_m2: float = Field(
        default=35.0,
        gt=0,
        le=1000,
        description="areal capacity of the cathode, which limits the cell (35 is 3.5 mAh/cm2)",
    )
    charge_rate: float = Field(
        default=1 / 3, ge=0.01, le=20, description="C-rate of the constant-current charge, in 1/h"
    )
    discharge_rate: float = Field(default=1 / 6, ge=0.01, le=20, description="C-rate of the discharge, in 1/h")
    cutoff_rate: float = Field(
        default=1 / 10, ge=0.01, le=20, description="C-rate below which the charge at constant voltage gives up"
    )
    voltage_max_v: float = Field(default=4.3, ge=3.5, le=5, description="voltage limit of the charge")
    voltage_min_v: float = Field(default=2.5, ge=0, le=3.5, description="voltage limit of the discharge")
    hysteresis_v: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="voltage by which discharge lies below charge at open circuit, from silicon",
    )
    resistance_ohm: float = Field(
        default=47e3, ge=0, description="resistance of the cell in its steady state (on 0.0095 cm2: 450 Ohm cm2)"
    )
    slow_share: float = Field(
        default=0.5, ge=0, lt=1, description="share of the resistance whose voltage relaxes slowly"
    )
    relaxation_s: float = Field(default=120.0, gt=0, le=1e5, description="time constant of that relaxation")
    rest_before_scan_s: float = Field(default=60.0, ge=0, le=1e5, description="rest at open circuit before each scan")
    scan_s: float = Field(default=600.0, ge=1, le=1e5, description="duration of a scan, at open circuit")
    sample_s: float = Field(default=10.0, ge=1, le=600, description="time between two rows of the cycler file")
    sei_charge_fraction: float = Field(
        default=0.10, ge=0, le=0.5, description="share of the charge at the highest SoC that went into the SEI"
    )
    sei_saturation: float = Field(
        default=0.5,
        ge=0.05,
        le=100,
        description="charge, over that at the highest SoC, at which SEI growth has fallen by e",
    )
    sei_volume_m3_mol: float = Field(default=16e-6, ge=0, le=1e-3, description="volume of SEI per mole of electrons")
    silicon_density_kg_m3: float = Field(default=2330.0, ge=1500, le=3000, description="density of unreacted silicon")

    @property
    def capacity_ah(self) -> float:
        """Capacity of the cell at a state of charge of 1."""
        return self.area_m2 * self.areal_capacity_ah_m2

    @model_validator(mode="after")
    def _check(self) -> Self:
        first = self.sei_charge_fraction / (self.sei_saturation * -math.expm1(-1 / self.sei_saturation))
        if first > 1:
            raise ValueError(
                f"sei_charge_fraction must leave charge for silicon (got {self.sei_charge_fraction:g} at "
                f"sei_saturation {self.sei_saturation:g}, which takes all of the first charge): lower it or raise "
                f"sei_saturation"
            )
        if self.cutoff_rate >= self.charge_rate:
            raise ValueError(
                f"cutoff_rate must be < charge_rate, {self.charge_rate:g} (got {self.cutoff_rate:g}): lower it"
            )
        return self


class ScanSettings(Settings):
    """What the beamline and the reconstruction make of the object.

    Refractive decrements are those at `energy_kev`; that of silicon follows from its electrons. `copper_delta` is what
    the reconstruction shows of the collector, less than the metal's 19e-7: scattering limits it.
    """

    energy_kev: float = Field(default=29.6, ge=5, le=200, description="X-ray energy")
    resolution_m: float = Field(
        default=300e-9, ge=0, le=10e-6, description="resolution, FWHM of the point spread; never below two voxels"
    )
    noise: float = Field(
        default=0.12,
        ge=0,
        le=2,
        description="sd of the noise, as a share of the contrast of silicon against electrolyte",
    )
    noise_correlation_m: float = Field(
        default=150e-9, ge=0, le=10e-6, description="FWHM over which the noise of neighbouring voxels is correlated"
    )
    cloud: float = Field(
        default=0.03, ge=0, le=2, description="sd of the slow noise of phase retrieval, as a share of the same contrast"
    )
    cloud_length_m: float = Field(
        default=6e-6, ge=0.5e-6, le=1e-3, description="distance over which that slow noise varies"
    )
    ring: float = Field(default=0.03, ge=0, le=2, description="sd of ring artefacts, as a share of the same contrast")
    collector_blur_m: float = Field(
        default=0.6e-6, ge=0, le=10e-6, description="additional blur at the collector (FWHM), where copper scatters"
    )
    collector_blur_depth_m: float = Field(
        default=1.0e-6, gt=0, le=50e-6, description="depth above the collector at which that blur has fallen by e"
    )
    collector_texture: float = Field(default=0.04, ge=0, le=1, description="relative sd of the copper's grey value")
    collector_texture_length_m: float = Field(default=1.5e-6, gt=0, le=50e-6, description="grain size of the copper")
    drift_m: float = Field(default=0.4e-6, ge=0, le=20e-6, description="largest translation between two scans")
    drift_tilt_rad: float = Field(default=2e-3, ge=0, le=0.05, description="largest rotation between two scans")
    drift_magnification: float = Field(default=0.003, ge=0, le=0.02, description="largest change of magnification")
    repeat_jitter: float = Field(
        default=0.2, ge=0, le=1, description="drift between a step and its repeat, as a share of the drift"
    )
    copper_delta: float = Field(
        default=6.3e-7, ge=0, le=1e-4, description="effective refractive decrement of the collector"
    )
    electrolyte_delta: float = Field(
        default=2.8e-7, ge=0, le=1e-4, description="refractive decrement of the electrolyte"
    )
    binder_delta: float = Field(default=3.5e-7, ge=0, le=1e-4, description="refractive decrement of carbon and binder")
    separator_delta: float = Field(
        default=2.4e-7, ge=0, le=1e-4, description="refractive decrement of the separator's polypropylene"
    )
    black_delta: float = Field(default=9.0e-7, ge=-1e-4, le=1e-4, description="refractive decrement shown as 0")
    white_delta: float = Field(default=-2.0e-7, ge=-1e-4, le=1e-4, description="refractive decrement shown as 65535")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.black_delta == self.white_delta:
            raise ValueError(
                f"black_delta and white_delta must differ (got {self.black_delta:g}): widen the grey window"
            )
        return self

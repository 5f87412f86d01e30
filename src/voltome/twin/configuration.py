"""The twin's settings as a whole: volume, groups, steps; frozen and checked against each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from voltome.errors import InputError
from voltome.settings import Settings
from voltome.twin.radiograph_settings import RadiographSettings
from voltome.twin.setting_groups import (
    CellSettings,
    ElectrodeSettings,
    KinematicsSettings,
    LithiationSettings,
    ScanSettings,
)

__all__ = [
    "SIZE_NAMES",
    "CellSettings",
    "ElectrodeSettings",
    "KinematicsSettings",
    "LithiationSettings",
    "RadiographSettings",
    "ScanSettings",
    "SizeName",
    "StepSettings",
    "TwinSettings",
    "make_settings",
]

SizeName = Literal["tiny", "small", "paper"]
SIZE_NAMES: tuple[SizeName, ...] = get_args(SizeName)

_SIDE = Annotated[int, Field(ge=32, le=4096)]


class StepSettings(Settings):
    """One scan: what the electrode and the cell are then."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", description="name of the step, also of its files")
    thickness_m: float = Field(ge=2e-6, le=1e-3, description="mean thickness of the electrode")
    soc: float = Field(ge=0, le=1, description="state of charge of the full cell when the scan starts")
    bubble_radius_m: float = Field(
        default=0.0, ge=0, le=20e-6, description="radius of the gas bubble; 0: there is none"
    )
    repeat: bool = Field(
        default=False, description="answer whether this is the step before once more, with new noise and jitter"
    )


def _paper_steps() -> tuple[StepSettings, ...]:
    """T0 ... T9 of the paper.

    Where it gives a volumetric strain v (T1 6 %, T2 12 %, T8 32 %), thickness is 20.7 um (1 + v) / (1 + e)^2 with the
    default in-plane strain e of that step. T7 lies halfway from T6 to T8; T4 and T5 follow "5 to 7 % a step".
    """
    rows = (
        ("T0", 20.7, 0.0, 0.0),
        ("T1", 21.919, 0.167, 0.0),
        ("T2", 23.136, 0.333, 1.4),
        ("T3", 25.8, 0.50, 1.8),
        ("T4", 27.3, 0.63, 1.3),
        ("T5", 28.8, 0.75, 0.0),
        ("T6", 30.0, 0.85, 0.0),
        ("T7", 28.59, 0.775, 0.0),
        ("T8", 27.172, 0.70, 0.0),
        ("T9", 27.172, 0.70, 0.0),
    )
    return tuple(
        StepSettings(
            name=name,
            thickness_m=round(thickness * 1e-6, 12),
            soc=soc,
            bubble_radius_m=round(radius * 1e-6, 12),
            repeat=name == "T9",
        )
        for name, thickness, soc, radius in rows
    )


class TwinSettings(Settings):
    """An in-situ experiment on an electrode, complete; `parse_settings` makes one from a mapping.

    Attributes
    ----------
    shape : tuple of int
        Voxels along z, y, x; z is the thickness.
    voxel_size_m : float
        Edge of a voxel.
    seed : int
        Everything random follows from it.
    collector_m : float
        Thickness of the collector in the field.
    electrode, lithiation, kinematics, cell, scan, radiographs : groups of settings
    steps : tuple of StepSettings
        The scans in their order, the pristine electrode first.
    """

    shape: tuple[_SIDE, _SIDE, _SIDE] = Field(default=(256, 176, 168), description="voxels along z (thickness), y, x")
    voxel_size_m: float = Field(default=150e-9, ge=5e-9, le=5e-6, description="edge of a voxel")
    seed: int = Field(default=1, ge=0, lt=2**63, description="number that everything random follows from")
    collector_m: float = Field(default=2.8e-6, ge=0, le=100e-6, description="thickness of the collector in the field")
    electrode: ElectrodeSettings = ElectrodeSettings()
    lithiation: LithiationSettings = LithiationSettings()
    kinematics: KinematicsSettings = KinematicsSettings()
    cell: CellSettings = CellSettings()
    scan: ScanSettings = ScanSettings()
    radiographs: RadiographSettings = RadiographSettings()
    steps: tuple[StepSettings, ...] = Field(
        default_factory=_paper_steps, min_length=1, max_length=200, description="the scans, pristine electrode first"
    )

    @property
    def field_m(self) -> tuple[float, float, float]:
        """Extent of the volume along z, y, x."""
        z, y, x = (n * self.voxel_size_m for n in self.shape)
        return z, y, x

    @property
    def image_fwhm_m(self) -> float:
        """FWHM of the images' point spread: the resolution, but at least two voxels."""
        return max(self.scan.resolution_m, 2 * self.voxel_size_m)

    @property
    def thickest_m(self) -> float:
        """Mean thickness at the thickest step."""
        return max(step.thickness_m for step in self.steps)

    def find_step(self, name: str) -> int:
        """Number of the step with this name.

        Raises
        ------
        InputError
            If there is none.
        """
        names = [step.name for step in self.steps]
        if name not in names:
            raise InputError(f"step {name!r} must be one of the twin's (got {', '.join(names)}): name one of these")
        return names.index(name)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for problem in (*_step_problems(self), *_field_problems(self)):
            raise ValueError(problem)
        return self


def _step_problems(settings: TwinSettings) -> Iterator[str]:
    """What is wrong with the list of steps, each a message of its own."""
    steps = settings.steps
    first, whole = steps[0], settings.electrode.thickness_m
    if first.soc != 0 or first.repeat or first.bubble_radius_m or not math.isclose(first.thickness_m, whole):
        yield (
            f"steps[0] must be the pristine electrode: soc 0, thickness_m {whole:g} as the electrode's, no bubble, "
            f"no repeat (got {first.name} with soc {first.soc:g}, thickness_m {first.thickness_m:g}): put it first, "
            f"with these values"
        )
    names = [step.name for step in steps]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield f"steps[{i}].name must be unique (got {name} again): rename that step"
    falling = False
    for i, (before, step) in enumerate(itertools.pairwise(steps), start=1):
        same = (step.thickness_m, step.soc, step.bubble_radius_m) == (
            before.thickness_m, before.soc, before.bubble_radius_m,
        )  # fmt: skip
        if step.repeat and not same:
            yield (
                f"steps[{i}] ({step.name}) repeats {before.name} and must have its thickness_m, soc and bubble "
                f"(got {step.thickness_m:g}, {step.soc:g}, {step.bubble_radius_m:g}): copy them or drop repeat"
            )
        if not step.repeat and (step.soc == before.soc or (falling and step.soc > before.soc)):
            yield (
                f"soc must rise from step to step to its highest and then fall (got {step.soc:g} at {step.name} after "
                f"{before.soc:g} at {before.name}): put the steps in order, or set repeat on a second scan"
            )
        falling = falling or step.soc < before.soc
    last, kept = steps[-1], settings.cell.sei_charge_fraction * max(step.soc for step in steps)
    if last.soc < kept:
        yield (
            f"steps[{len(steps) - 1}].soc must be >= {kept:.3g}, what the SEI keeps (got {last.soc:g} at "
            f"{last.name}): raise it or lower cell.sei_charge_fraction"
        )


def _field_problems(settings: TwinSettings) -> Iterator[str]:
    """Whether the swollen, rough, drifted electrode stays inside the volume."""
    height, *lateral = settings.field_m
    scan = settings.scan
    drift = scan.drift_m + scan.drift_tilt_rad * max(lateral) / 2 + scan.drift_magnification * height / 2
    rough = 2 * max(settings.electrode.thickness_sd_m, settings.kinematics.final_thickness_sd_m)
    need = settings.collector_m + settings.thickest_m + rough + drift
    if need > height:
        sides = math.ceil(need / settings.voxel_size_m)
        yield (
            f"shape[0] * voxel_size_m must hold collector, thickest step, 2 sd of thickness and drift, {need:.4g} m "
            f"(got {height:.4g} m): raise shape[0] to {sides} or take a thinner step"
        )


def make_settings(size: SizeName = "small", *, seed: int = 1) -> TwinSettings:
    """Settings of one of the three sizes; all show the same field, 38.4 um axially and about 25.6 um across.

    Parameters
    ----------
    size : {"tiny", "small", "paper"}
        tiny: 96 x 64 x 64 voxels of 400 nm, steps T0, T1, T6 and its repeat. small: 256 x 176 x 168 of 150 nm.
        paper: 768 x 512 x 512 of 50 nm. The latter have the paper's ten steps.
    seed : int
        From 0 to 2^63 - 1.

    Returns
    -------
    TwinSettings

    Raises
    ------
    InputError
        If there is no such size, or the seed is no such number.
    """
    if size not in SIZE_NAMES:
        raise InputError(f"size must be one of {', '.join(SIZE_NAMES)} (got {size!r}): name one of these")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number from 0 to 2^63 - 1 (got {seed!r}): give e.g. 1")
    if size == "small":
        return TwinSettings(seed=seed)
    if size == "paper":
        return TwinSettings(shape=(768, 512, 512), voxel_size_m=50e-9, seed=seed)
    steps = {step.name: step for step in _paper_steps()}
    repeat = steps["T6"].model_copy(update={"name": "T6r", "repeat": True})
    return TwinSettings(
        shape=(96, 64, 64), voxel_size_m=400e-9, seed=seed, steps=(steps["T0"], steps["T1"], steps["T6"], repeat)
    )

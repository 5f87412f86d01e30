"""Settings of a reconstruction: from radiographs to a volume; the same on the command line and in a study file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from voltome.settings import Settings

_COMMON: dict[str, Any] = {"level": "common"}
_RARE: dict[str, Any] = {"level": "all"}

_DEVICES = r"cpu|torch|cuda|cupy|torch:[a-z0-9:]+"

_Side = Annotated[int, Field(ge=1, le=10**5)]
_Length = Annotated[float, Field(gt=0)]


class DistanceSettings(Settings):
    """Where the sample was at one distance, for files that do not say it."""

    source_sample_m: float | None = Field(
        default=None, gt=0, description="from the focus to the sample; null: parallel beam", json_schema_extra=_RARE
    )
    sample_detector_m: float = Field(ge=0, description="from the sample to the detector", json_schema_extra=_RARE)


class ReconstructionSettings(Settings):
    """How radiographs become a volume. Defaults are the paper's where it gives a number (10.1039/D5EB00193E)."""

    mode: Literal["fast", "quality", "paper", "absorption"] | None = Field(
        default=None,
        description="phase: linear, then projections in turn, or as in the paper; null: quality, or absorption",
        json_schema_extra=_COMMON,
    )
    delta_beta: float = Field(
        default=170.0,
        gt=0,
        description="ratio of refractive decrement and absorption index for the first guess of the phase",
        json_schema_extra=_COMMON,
    )
    iterations: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="cycles of projections in turn (null: 3) or, in mode paper, iterations (null: 20)",
        json_schema_extra=_RARE,
    )
    relaxation: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of each plane's correction (null: 0.6, in mode paper 1)",
        json_schema_extra=_RARE,
    )
    phase_padding: float = Field(
        default=1.25, ge=1, le=3, description="side of the grid for phases over the frame's", json_schema_extra=_RARE
    )
    flats: Literal["dynamic", "interpolated"] | None = Field(
        default=None,
        description=(
            "flats fitted to each frame, or interpolated in time; null: dynamic where there are at least 8 of them"
        ),
        json_schema_extra=_COMMON,
    )
    detector_psf_px: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="FWHM of the detector's point spread in its pixels, which is then taken back; null: left",
        json_schema_extra=_COMMON,
    )
    register_distances: bool = Field(
        default=True,
        description="find the shift of each distance against the first, for every angle",
        json_schema_extra=_RARE,
    )
    axis_px: float | None = Field(
        default=None,
        ge=0,
        description="column of the rotation axis, the first being 0; null: it is found",
        json_schema_extra=_COMMON,
    )
    rows: tuple[int, int] | None = Field(
        default=None,
        description="rows of the detector to reconstruct, from and up to (not included); null: all",
        json_schema_extra=_COMMON,
    )
    shape_vox: tuple[_Side, _Side] | None = Field(
        default=None,
        description="voxels of a slice along y and x, about the rotation axis; null: as wide as the detector",
        json_schema_extra=_COMMON,
    )
    filter: Literal["ramp", "shepp-logan", "hann", "none"] | None = Field(
        default=None,
        description="filter of the backprojection; null: hann for phases, whose finest detail is noise, else ramp",
        json_schema_extra=_COMMON,
    )
    padding: Literal["edge", "zero"] = Field(
        default="edge",
        description="beyond the field: the edge's value (a sample wider than the field), or nothing",
        json_schema_extra=_COMMON,
    )
    rings_sinogram: str | None = Field(
        default=None,
        min_length=1,
        description="filter of rings in sinograms, by name; null: none",
        json_schema_extra=_COMMON,
    )
    rings_slice: str | None = Field(
        default="polar-median",
        min_length=1,
        description="filter of rings in slices, by name; null: none",
        json_schema_extra=_COMMON,
    )
    level_slices: bool = Field(
        default=True,
        description="phases: bring each material to one grey along the axis, which the slow variations of phases tilt",
        json_schema_extra=_RARE,
    )
    energy_kev: float | None = Field(
        default=None, gt=0, description="photon energy; null: as the files say", json_schema_extra=_COMMON
    )
    detector_pixel_m: _Length | None = Field(
        default=None, description="edge of a detector's pixel; null: as the files say", json_schema_extra=_COMMON
    )
    distances: tuple[DistanceSettings, ...] | None = Field(
        default=None,
        max_length=20,
        description="where the sample was at each distance; null: as the files say",
        json_schema_extra=_RARE,
    )
    angle_range_deg: tuple[float, float] | None = Field(
        default=None,
        description="angles of the first and the last projection; null: as the files say",
        json_schema_extra=_RARE,
    )
    device: str = Field(
        default="cpu",
        min_length=1,
        description="what works out phases: cpu (NumPy), torch, cuda or cupy",
        json_schema_extra=_RARE,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rows is not None and not 0 <= self.rows[0] < self.rows[1]:
            raise ValueError(f"rows must rise from 0 or more (got {list(self.rows)}): give such as [0, 512]")
        if not re.fullmatch(_DEVICES, self.device):
            raise ValueError(f"device must be cpu, torch, cuda, cupy or torch:NAME (got {self.device!r}): take cpu")
        from voltome.reconstruction import SINOGRAM_METHODS, SLICE_METHODS

        for field, known in (("rings_sinogram", SINOGRAM_METHODS), ("rings_slice", SLICE_METHODS)):
            name = getattr(self, field)
            if name is not None and name not in known:
                raise ValueError(f"{field} must be one of {', '.join(known)} (got {name!r}): choose one, or none")
        return self

"""Settings of a study: what was filmed, and how it is to be evaluated; frozen and checked against each other.

SI units; voxels where the name says `_vox`. Defaults are the paper's: Häusler et al., EES Batteries 2026, 2, 446
(10.1039/D5EB00193E).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from voltome.pipeline.reconstruction_settings import ReconstructionSettings
from voltome.settings import Settings
from voltome.study.levels import COMMON, RARE, REQUIRED
from voltome.study.rules import (
    find_box_problems,
    find_pyramid_problems,
    find_region_problems,
    find_scan_problems,
    find_volume_problems,
    refuse,
)
from voltome.study.segmentation_settings import SegmentationSettings

DEFAULT_PYRAMID = (100, 70, 35)

_Spacing = Annotated[int, Field(ge=2, le=1000)]
_Side = Annotated[int, Field(ge=1, le=10**6)]
_Edge = Annotated[float, Field(ge=0, le=1)]


class Scan(Settings):
    """One scan: its files, and what was known of the cell then."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]{0,39}$",
        description="name of the scan, of at most 40 letters, digits, _ and .",
        examples=["T0"],
        json_schema_extra=REQUIRED,
    )
    volume: str = Field(
        default="",
        description="reconstructed volume: TIFF, folder of slices, file.h5::/path, .npy, .raw, OME-Zarr",
        examples=["volumes/T0.tif"],
        json_schema_extra=REQUIRED,
    )
    radiographs: tuple[str, ...] = Field(
        default=(),
        max_length=20,
        description=(
            "instead of a volume: files of radiographs, one for each distance (NXtomo, Data Exchange, folders of EDF)"
        ),
        json_schema_extra=COMMON,
    )
    time_s: float | None = Field(
        default=None, description="start of the scan in seconds, on the cycler's clock", json_schema_extra=COMMON
    )
    soc: float | None = Field(
        default=None, ge=0, le=1, description="state of charge when the scan starts", json_schema_extra=COMMON
    )
    repeats: str | None = Field(
        default=None,
        description="name of the scan just before, where this is a second one of the same state: it tells the noise",
        json_schema_extra=COMMON,
    )
    mask: str | None = Field(
        default=None,
        min_length=1,
        description="volume of this scan's weights, 0 to 1: where the correlation looks",
        json_schema_extra=COMMON,
    )


class VolumeSettings(Settings):
    """What the volumes' files are like."""

    axes: str = Field(
        default="zyx",
        description="order of the axes in the files; z is the electrode's thickness",
        json_schema_extra=COMMON,
    )
    flip: str = Field(
        default="",
        description="axes, of z, y and x, along which the files run backwards",
        json_schema_extra=COMMON,
    )
    shape: tuple[_Side, _Side, _Side] | None = Field(
        default=None,
        description="voxels along the three axes of a raw file, in the file's order",
        json_schema_extra=RARE,
    )
    dtype: str | None = Field(
        default=None,
        min_length=1,
        description="type of a raw file with its byte order, such as '<u2' or '>f4'",
        json_schema_extra=RARE,
    )
    grey_low: float | None = Field(
        default=None,
        description=(
            "grey value that becomes 0 in all scans; null: 0 of uint8 and uint16, of others by the first scan's "
            "percentiles"
        ),
        json_schema_extra=COMMON,
    )
    grey_high: float | None = Field(
        default=None, description="grey value that becomes 65535 in all scans", json_schema_extra=COMMON
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(find_volume_problems(self))
        return self


class RegionSettings(Settings):
    """A box of the volume: from and to along each axis, from the volume's face at 0; an axis left out is whole."""

    z: tuple[_Edge, _Edge] | None = Field(
        default=None, description="where it begins and ends along z, in metres", json_schema_extra=COMMON
    )
    y: tuple[_Edge, _Edge] | None = Field(
        default=None, description="where it begins and ends along y, in metres", json_schema_extra=COMMON
    )
    x: tuple[_Edge, _Edge] | None = Field(
        default=None, description="where it begins and ends along x, in metres", json_schema_extra=COMMON
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(find_region_problems(self))
        return self


class BoxSettings(RegionSettings):
    """A box whose mean strain is reported."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_. -]{0,39}$",
        description="what the box is called",
        examples=["upper left"],
        json_schema_extra=COMMON,
    )


class ElectrodeSettings(Settings):
    """Where the electrode lies in the volumes, and what presses on it."""

    collector_side: Literal["low-z", "high-z"] = Field(
        default="low-z", description="end of the z axis at which the collector lies", json_schema_extra=COMMON
    )
    region_m: RegionSettings | Literal["all"] | None = Field(
        default=None,
        description=(
            "box that the electrode lies in, such as {z: [2.0e-06, 3.0e-05]}, or all; null: the slab along z that has "
            "texture"
        ),
        json_schema_extra=COMMON,
    )
    boxes: tuple[BoxSettings, ...] = Field(
        default=(),
        max_length=1000,
        description=(
            "sub-volumes whose mean strain is reported as well, such as [{name: A, y: [0, 4.0e-05], x: [0, 4.0e-05]}]"
        ),
        json_schema_extra=COMMON,
    )
    stack_pressure_pa: float | None = Field(
        default=None, ge=0, le=1e9, description="pressure on the electrode in pascals", json_schema_extra=RARE
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(find_box_problems(self))
        return self


class ElectrochemistrySettings(Settings):
    """What the cycler recorded."""

    cycler: str | None = Field(
        default=None,
        min_length=1,
        description="table of the cycler, CSV in the columns of the Battery Data Format",
        json_schema_extra=COMMON,
    )


class CorrelationSettings(Settings):
    """How two scans are correlated."""

    node_spacing_vox: int = Field(
        default=DEFAULT_PYRAMID[-1],
        ge=2,
        le=1000,
        description="distance between nodes in voxels",
        json_schema_extra=COMMON,
    )
    half_window_vox: int | None = Field(
        default=None,
        ge=4,
        le=1000,
        description="half of a window's side in voxels; null: the node spacing",
        json_schema_extra=COMMON,
    )
    pyramid: tuple[_Spacing, ...] = Field(
        default=DEFAULT_PYRAMID,
        min_length=1,
        max_length=20,
        description=(
            "node spacings in voxels from coarse to fine, ending in node_spacing_vox; those too coarse for the "
            "volume are passed over"
        ),
        json_schema_extra=RARE,
    )
    interpolation: Literal["cubic", "linear"] = Field(
        default="cubic", description="interpolation between voxels: cubic B-spline or linear", json_schema_extra=RARE
    )
    min_coverage: float = Field(
        default=0.5, gt=0, le=1, description="least part of a window that has to count", json_schema_extra=RARE
    )
    max_iterations: int = Field(
        default=50, ge=1, le=1000, description="most iterations of a node", json_schema_extra=RARE
    )
    direct_check: bool = Field(
        default=True,
        description="correlate each scan with the first one directly as well, to check the composed displacement",
        json_schema_extra=COMMON,
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Of node spacing and pyramid the one that is not given follows from the other."""
        if not isinstance(values, dict):
            return values
        given = {name: value for name, value in values.items() if value is not None}
        spacing, pyramid = given.get("node_spacing_vox"), given.get("pyramid")
        if pyramid is None and isinstance(spacing, int):
            return given | {"pyramid": [*(level for level in DEFAULT_PYRAMID if level > spacing), spacing]}
        if spacing is None and isinstance(pyramid, list | tuple) and pyramid:
            return given | {"node_spacing_vox": pyramid[-1]}
        return given

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(find_pyramid_problems(self))
        return self

    @property
    def window_vox(self) -> int:
        """Half window of the finest level."""
        return self.node_spacing_vox if self.half_window_vox is None else self.half_window_vox

    def fit_pyramid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The pyramid without the levels that are too coarse for a volume.

        Parameters
        ----------
        shape : sequence of int
            Voxels along z, y, x.

        Returns
        -------
        tuple of int
            The node spacing is always the last, whether it fits or not.
        """
        coarse = [level for level in self.pyramid[:-1] if 2 * level + 1 <= min(shape)]
        return (*coarse, self.node_spacing_vox)


class StrainSettings(Settings):
    """How strain is worked out from displacements."""

    measure: Literal["small", "green-lagrange", "hencky"] = Field(
        default="hencky", description="strain measure", json_schema_extra=COMMON
    )
    gradient: Literal["geers", "q8"] = Field(
        default="geers",
        description="gradient of displacement: Geers at nodes, or Q8 in the cells between",
        json_schema_extra=RARE,
    )
    median_radius: int = Field(
        default=0,
        ge=0,
        le=20,
        description="reach in nodes of a median before strain; 0: none",
        json_schema_extra=COMMON,
    )
    gaussian_sigma: float = Field(
        default=0.0,
        ge=0,
        le=20,
        description="sd of Gaussian smoothing before strain, in nodes; 0: none",
        json_schema_extra=COMMON,
    )


class WatchSettings(Settings):
    """What `voltome watch` takes for a scan, and when it warns."""

    incoming: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "pattern of files, such as incoming/*.tif: those that match become further scans named by their stem"
        ),
        json_schema_extra=COMMON,
    )
    settle_s: float = Field(
        default=5.0,
        ge=0,
        le=3600,
        description="seconds after which a file that has not grown is complete",
        json_schema_extra=RARE,
    )
    poll_s: float = Field(
        default=1.0, ge=0.05, le=3600, description="seconds between two looks", json_schema_extra=RARE
    )
    most_saturated: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of voxels at the ends of the grey window that is still a go",
        json_schema_extra=RARE,
    )
    most_noise_rise: float = Field(
        default=1.5, ge=1, le=100, description="noise over the first scan's that is still a go", json_schema_extra=RARE
    )
    most_drift_m: float = Field(
        default=2.0e-6,
        gt=0,
        le=1,
        description="drift in metres since the last scan that is still a go",
        json_schema_extra=RARE,
    )


class StudySettings(Settings):
    """A study: the scans of one electrode, and how they are evaluated."""

    title: str | None = Field(
        default=None, max_length=200, description="what the report is called", json_schema_extra=COMMON
    )
    voxel_size_m: float = Field(
        ge=1e-9, le=1e-3, description="edge of a voxel in metres", examples=[5e-8], json_schema_extra=REQUIRED
    )
    polarity: Literal["silicon-darkest", "silicon-brightest"] = Field(
        default="silicon-darkest",
        description="grey of silicon beside the rest of the electrode",
        json_schema_extra=COMMON,
    )
    scans: tuple[Scan, ...] = Field(
        max_length=10000,
        description="the scans in order of time, the pristine electrode first",
        json_schema_extra=REQUIRED,
    )
    volumes: VolumeSettings = Field(default=VolumeSettings(), json_schema_extra=COMMON)
    reconstruction: ReconstructionSettings = Field(default=ReconstructionSettings(), json_schema_extra=COMMON)
    electrode: ElectrodeSettings = Field(default=ElectrodeSettings(), json_schema_extra=COMMON)
    electrochemistry: ElectrochemistrySettings = Field(default=ElectrochemistrySettings(), json_schema_extra=COMMON)
    correlation: CorrelationSettings = Field(default=CorrelationSettings(), json_schema_extra=COMMON)
    strain: StrainSettings = Field(default=StrainSettings(), json_schema_extra=COMMON)
    segmentation: SegmentationSettings = Field(default=SegmentationSettings(), json_schema_extra=COMMON)
    watch: WatchSettings = Field(default=WatchSettings(), json_schema_extra=RARE)
    truth: str | None = Field(
        default=None,
        min_length=1,
        description="folder of the simulated experiment that the scans come from: results are compared with its truth",
        json_schema_extra=RARE,
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_groups(cls, values: Any) -> Any:
        """A group of which nothing is given is None in YAML."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None or name in ("voxel_size_m", "scans")}

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(find_scan_problems(self))
        return self

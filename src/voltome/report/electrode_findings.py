"""What the report is told of an electrode: numbers with their errors, maps and slices, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.measurement import Measurement

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AxialMap:
    """Axial strain on a vertical cross-section, at nodes.

    Parameters
    ----------
    z_m, x_m : (nz,), (nx,) float64
        Where the nodes were at the first scan.
    displacement_z_m, displacement_x_m : (nz, nx) float64
        How far they have come; NaN where it is not known.
    strain : (nz, nx) float64
        Fractions; NaN where there is none.
    trusted : (nz, nx) bool
        Whether the node is trusted, and most of what its strain comes from.
    """

    z_m: Floats
    x_m: Floats
    displacement_z_m: Floats
    displacement_x_m: Floats
    strain: Floats
    trusted: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Histogram:
    """Volumetric strain of the gauges of a region.

    Parameters
    ----------
    scan, region : str
    edges : (n + 1,) float64
    counts : (n,) float64
    maximum, maximum_sd : float
        The most frequent strain and its standard deviation.
    """

    scan: str
    region: str
    edges: Floats
    counts: Floats
    maximum: float
    maximum_sd: float


@dataclass(frozen=True, eq=False)
class BoxStrain:
    """Mean volumetric strain of a box of the electrode.

    Parameters
    ----------
    name : str
    low_m, high_m : (3,) float64
        Corners (z, y, x) at the first scan.
    measurement : Measurement
    """

    name: str
    low_m: Floats
    high_m: Floats
    measurement: Measurement


@dataclass(frozen=True, eq=False)
class CellCurve:
    """What the cycler recorded; time_s, voltage_v, current_a are (n,) arrays."""

    time_s: Floats
    voltage_v: Floats
    current_a: Floats


@dataclass(frozen=True, eq=False)
class SegmentedSlice:
    """What a segmentation makes of the slice of a scan.

    Parameters
    ----------
    phases : (z, x) uint8
        Number of the phase among the names of the findings, from 1; 0 where there is none.
    confidence : (z, x) float32
        Probability of that phase; NaN where there is none.
    """

    phases: NDArray[np.uint8]
    confidence: NDArray[np.float32]


@dataclass(frozen=True)
class SiliconRegion:
    """The matter in which silicon is counted, where it was at the first scan.

    Parameters
    ----------
    from_depth_m : float
        Height above the collector at which it begins; it ends with the electrode.
    y_m, x_m : (float, float)
        From where to where.
    """

    from_depth_m: float
    y_m: tuple[float, float]
    x_m: tuple[float, float]


@dataclass(frozen=True, eq=False)
class ElectrodeFindings:
    """All that the report shows of an electrode.

    Parameters
    ----------
    scans : tuple of str
        In order of time, the reference first.
    measurements : sequence of Measurement
    slices : mapping of str to (z, x) float32
        Grey slice across y of each scan, moved onto the frame of the first.
    slice_pixel_m, slice_y_m : float
        Edge of its pixels, and where it stands on y.
    surfaces : mapping of str to two (nx,) arrays
        z of the collector's face and of the surface on the separator's side along the slice, metres; NaN: unknown.
    thickness_maps : mapping of str to (ny, nx) float32
        Metres; NaN where unknown.
    map_pixel_m : float
    axial_maps : mapping of str to AxialMap
        On the same cross-section as the slices.
    histograms : sequence of Histogram
    boxes : sequence of BoxStrain
    blurred_zone_m : float or None
        Depth above the collector that strain leaves out, since copper blurs it.
    segmented : mapping of str to SegmentedSlice
        On the same cross-section as the slices, with their pixels; empty where nothing is segmented.
    phase_names : tuple of str
        Silicon first.
    silicon_region : SiliconRegion or None
    cell : CellCurve or None
    socs, times_s : mapping of str to float
        State of charge and start of those scans of which it is known.
    repeats : mapping of str to str
        Repeat scan to the scan that it repeats.
    warnings, remarks : sequence of str
        Numbers not to trust, and conventions to know.
    accuracy : sequence of mapping
        On a twin: name, step, true, recovered, sd_random, sd_bias, unit.
    """

    scans: tuple[str, ...]
    measurements: Sequence[Measurement]
    slices: Mapping[str, NDArray[np.float32]]
    slice_pixel_m: float
    slice_y_m: float
    surfaces: Mapping[str, tuple[Floats, Floats]]
    thickness_maps: Mapping[str, NDArray[np.float32]]
    map_pixel_m: float
    axial_maps: Mapping[str, AxialMap]
    histograms: Sequence[Histogram] = ()
    boxes: Sequence[BoxStrain] = ()
    blurred_zone_m: float | None = None
    segmented: Mapping[str, SegmentedSlice] = field(default_factory=dict)
    phase_names: tuple[str, ...] = ()
    silicon_region: SiliconRegion | None = None
    cell: CellCurve | None = None
    socs: Mapping[str, float] = field(default_factory=dict)
    times_s: Mapping[str, float] = field(default_factory=dict)
    repeats: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    remarks: Sequence[str] = ()
    accuracy: Sequence[Mapping[str, Any]] = ()

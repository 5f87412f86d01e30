"""The collector in a scan: a slab of one grey at an end of the volume, and its face towards the electrode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import VolumeSource

Floats = NDArray[np.float64]

ABOVE_M = 1.5e-6
"""How far beyond the face its profile is fitted: past the zone that copper blurs, and not far into the electrode."""

_BEYOND_M = 3.0e-6  # where the electrode's grey is read that the face lies midway to
_PATCH_M = 6.0e-6
_MOST_PATCHES = 12
_LEAST_PLANES = 3  # of the collector in the field, in pixels
_LEAST_STEP = 0.75  # of collector to electrode, over the sd of the electrode's greys
_FLATNESS = 0.3  # plane means of the collector stay within this share of the step
_INNER = 0.6  # share of the collector's planes that its blurred face does not reach
_BLUR_SDS = 3.0


@dataclass(frozen=True, eq=False)
class Collector:
    """The collector's face in a scan; z counts in voxels from the end of the volume where the collector lies.

    Parameters
    ----------
    face_vox : (P, Q) float64
        z of the face in patches side by side; NaN where it was not found.
    rows_vox, columns_vox : (P,), (Q,) float64
        Middles of the patches on y and x.
    plane : (3,) float64
        z of the face at the middle of the field, and its slopes along y and x.
    plane_sd : (3,) float64
        Standard deviations of these, from the scatter of the patches.
    midway_vox : float
        How much higher than that the grey stands midway between collector and electrode, on average.
    blur_vox : float
        Standard deviation of the edge's spread.
    collector_grey, electrode_grey : float
        On both sides of the face.
    """

    face_vox: Floats
    rows_vox: Floats
    columns_vox: Floats
    plane: Floats
    plane_sd: Floats
    midway_vox: float
    blur_vox: float
    collector_grey: float
    electrode_grey: float

    @property
    def blurred_vox(self) -> float:
        """Distance from the face that its blur reaches."""
        return _BLUR_SDS * self.blur_vox

    def face_at(self, rows_vox: Floats, columns_vox: Floats) -> Floats:
        """z of the face: where the grey is midway between collector and electrode, as a plane.

        Parameters
        ----------
        rows_vox, columns_vox : array
            Places on y and x that broadcast, in voxels.

        Returns
        -------
        array
        """
        middle = self.rows_vox.mean(), self.columns_vox.mean()
        z = (
            self.plane[0]
            + self.midway_vox
            + self.plane[1] * (rows_vox - middle[0])
            + self.plane[2] * (columns_vox - middle[1])
        )
        return np.asarray(z)


def find_collector(
    volume: VolumeSource,
    *,
    voxel_size_m: float,
    reduction: int = 1,
    collector_side: str = "low-z",
    darker: bool = True,
) -> Collector:
    """Find the collector's face at an end of a volume: an edge of free height and blur in patches side by side.

    On each side of the edge the grey is free, on the electrode's it may also rise or fall: what lies beyond the
    face changes from scan to scan, the face does not.

    Parameters
    ----------
    volume : VolumeSource
        (z, y, x); the collector takes up less than 3 of 10 of its planes.
    voxel_size_m : float
        Of the full resolution.
    reduction : int
        Full voxels along the edge of a voxel of `volume`.
    collector_side : str
        "low-z" or "high-z".
    darker : bool
        Whether the collector is darker than the electrode.

    Returns
    -------
    Collector
        In voxels of the full resolution.

    Raises
    ------
    InputError
        If there is no collector in the field, the field is below 4 x 4 pixels, or `collector_side` is no side.

    Notes
    -----
    Edges of free greys tell best how a face has moved. A thin bright gap beside it, such as particles leave against a
    wall, shifts them by up to a tenth of a micrometre: where the face stands is said by the grey midway between
    collector and electrode.
    """
    if min(volume.shape[1:]) < 4:
        raise InputError(f"the collector's face needs at least 4 x 4 pixels (got {tuple(volume.shape[1:])}): give more")
    seen = max(min(volume.shape[0], 8), volume.shape[0] * 5 // 8)
    profile = np.array([_measure_plane(volume, z, collector_side) for z in range(seen)])
    edge = _find_edge(profile[:, 0], profile[:, 1], darker=darker, side=collector_side)
    pixel_m = voxel_size_m * reduction
    slab = read_slab(volume, min(edge + 1 + max(3, round(_BEYOND_M / pixel_m)), volume.shape[0]), collector_side)
    counts = [min(max(2, round(n * pixel_m / _PATCH_M)), _MOST_PATCHES, n // 2) for n in slab.shape[1:]]
    fitted = edge + 1 + max(3, round(ABOVE_M / pixel_m))
    rows, columns = (np.linspace(0, n, k + 1).astype(int) for n, k in zip(slab.shape[1:], counts, strict=True))
    fits = np.full((counts[0], counts[1], 5), np.nan)
    for i in range(counts[0]):
        for j in range(counts[1]):
            patch = slab[:fitted, rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean(axis=(1, 2))
            fits[i, j] = _fit_edge(patch.astype(np.float64), edge)
    middles = [reduction * (edges[:-1] + edges[1:] - 1) / 2 + (reduction - 1) / 2 for edges in (rows, columns)]
    plane, sd = _fit_plane(reduction * fits[..., 2] + (reduction - 1) / 2, *middles)
    beyond = int(np.nanmedian(fits[..., 2]) + 2 * np.nanmedian(fits[..., 3])) + 1
    electrode = float(slab[min(beyond, len(slab) - 1) :].mean())
    midway = float(np.nanmean([_find_midway(fit, electrode) for fit in fits.reshape(-1, 5)]))
    return Collector(
        reduction * fits[..., 2] + (reduction - 1) / 2,
        middles[0],
        middles[1],
        plane,
        sd,
        reduction * midway,
        float(np.nanmedian(fits[..., 3])) * reduction,
        float(np.nanmedian(fits[..., 0])),
        electrode,
    )


def read_slab(volume: VolumeSource, planes: int, collector_side: str) -> NDArray[np.float32]:
    """Planes at the collector's end, that end first.

    Parameters
    ----------
    volume : VolumeSource
        (z, y, x).
    planes : int
        Not more than the volume has.
    collector_side : str
        "low-z" or "high-z".

    Returns
    -------
    (planes, y, x) float32

    Raises
    ------
    InputError
        If `collector_side` is neither.
    """
    low = _starts_low(collector_side)
    first = 0 if low else volume.shape[0] - planes
    slab = np.asarray(volume[first : first + planes, :, :], dtype=np.float32)
    return slab if low else slab[::-1]


def _starts_low(side: str) -> bool:
    if side not in ("low-z", "high-z"):
        raise InputError(f"collector_side must be low-z or high-z (got {side!r}): say where the collector lies")
    return side == "low-z"


def _measure_plane(volume: VolumeSource, z: int, side: str) -> tuple[float, float]:
    index = z if _starts_low(side) else volume.shape[0] - 1 - z
    plane = np.asarray(volume[index : index + 1, :, :], dtype=np.float64)
    return float(plane.mean()), float(plane.std())


def _find_edge(mean: Floats, sd: Floats, *, darker: bool, side: str) -> int:
    """Last plane of the collector: where plane means leave its grey for good."""
    if len(mean) <= _LEAST_PLANES:
        raise InputError(_say_none(side, "no slab of one grey begins the volume"))
    step = np.diff(mean) if darker else -np.diff(mean)
    half = max(1, len(step) // 2)
    steepest = int(np.argmax(step[:half]))
    beyond = slice(steepest + 2, min(steepest + 2 + max(4, len(mean) // 8), len(mean)))
    if steepest + 1 < _LEAST_PLANES or beyond.start >= len(mean):
        raise InputError(_say_none(side, "no slab of one grey begins the volume"))
    inner = mean[: max(1, round(_INNER * steepest))]
    rise = abs(float(np.median(mean[beyond])) - float(np.median(inner)))
    uniform = np.ptp(inner) < _FLATNESS * rise
    spread = float(np.median(sd[beyond]))
    if not uniform or rise < _LEAST_STEP * spread or step[steepest] < rise / 12:
        raise InputError(
            _say_none(side, f"greys differ by {rise:.0f} across the likeliest face, their sd is {spread:.0f}")
        )
    return steepest


def _say_none(side: str, why: str) -> str:
    return f"no collector found at the {side} end of the volume ({why}): see electrode.collector_side and polarity"


def _fit_edge(profile: Floats, edge: int) -> Floats:
    """Collector's grey, electrode's grey, z, sd of the blur, slope of the electrode's grey; NaN where none fits."""
    from scipy.optimize import least_squares
    from scipy.special import erf

    z = np.arange(len(profile))
    low, high = float(np.median(profile[: max(1, round(_INNER * edge))])), float(profile[edge + 2 :].mean())
    scale = abs(high - low)
    if not scale > 0:
        return np.full(5, np.nan)

    def model(p: Floats) -> Floats:
        beyond = np.clip(z - p[2], 0, None)
        out: Floats = p[0] + (p[1] - p[0] + p[4] * beyond) * 0.5 * (1 + erf((z - p[2]) / (np.sqrt(2) * p[3])))
        return out

    start = np.array([low, high, edge + 0.5, 1.0, 0.0])
    bounds = (
        [low - scale, min(low, high) - scale, 0.5, 0.2, -scale],
        [low + scale, max(low, high) + scale, len(z) - 1.5, len(z) / 2, scale],
    )
    found = least_squares(
        lambda p: (model(p) - profile) / scale, start, bounds=bounds, x_scale=[scale, scale, 1.0, 1.0, scale]
    )
    return np.asarray(found.x, dtype=np.float64) if found.success else np.full(5, np.nan)


def _find_midway(fit: Floats, electrode: float) -> float:
    """How far above a fitted edge its profile reaches the grey midway between the collector's and the electrode's."""
    from scipy.special import erfinv

    share = 0.5 * (electrode - fit[0]) / (fit[1] - fit[0])
    return float(np.sqrt(2) * fit[3] * erfinv(np.clip(2 * share - 1, -0.9, 0.9)))


def _fit_plane(face: Floats, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
    y, x = np.meshgrid(rows - rows.mean(), columns - columns.mean(), indexing="ij")
    known = np.isfinite(face)
    if known.sum() < max(4, face.size // 2):
        raise InputError(
            f"the collector's face was found in {known.sum()} of {face.size} patches: look at the volume's end"
        )
    matrix = np.stack([np.ones(known.sum()), y[known], x[known]], axis=1)
    plane = np.linalg.lstsq(matrix, face[known], rcond=None)[0]
    apart = face[known] - matrix @ plane
    free = max(1, int(known.sum()) - 3)
    covariance = np.linalg.inv(matrix.T @ matrix) * float(apart @ apart) / free
    return plane, np.sqrt(np.diag(covariance))

"""The quick look at a scan that has just arrived: its grey values, noise and drift, and whether to go on.

A sample of planes says what the grey values are like, a slab at the collector how far the sample has moved (`drift`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from voltome.errors import VoltomeError
from voltome.fields import FloatArray
from voltome.grid import Shape3, VolumeSource
from voltome.study.drift import Drift, cut_middle, find_drift
from voltome.study.inspection import VOXEL_SIZE_TOLERANCE
from voltome.study.region import find_slab
from voltome.study.source import SourceFile

if TYPE_CHECKING:
    from voltome.study.settings import StudySettings

_PLANES = 64
_PLANE_SIDE = 256
_CONTRAST_PERCENTILES = (1.0, 99.0)
_TEXTURE_SIDE = 4
_MAD_TO_SD = 1.4826

_LEAST_ZNCC = 0.3


@dataclass(frozen=True)
class GreyLook:
    """What a sample of planes says of a scan.

    Parameters
    ----------
    shape : tuple of int
        Of the scan.
    missing, at_low, at_high : float
        Shares of voxels without a value, and at or beyond either end of the study's grey window.
    mean : float
        Grey value.
    contrast : float
        From the 1st to the 99th percentile of the grey values: from collector to pore, whatever the silicon holds.
    noise : float
        Standard deviation of the noise over `contrast`.
    electrode_z_vox : tuple of int
        First and last plane of the sample with texture; those of the volume where planes do not differ.
    """

    shape: Shape3
    missing: float
    at_low: float
    at_high: float
    mean: float
    contrast: float
    noise: float
    electrode_z_vox: tuple[int, int]


@dataclass(frozen=True)
class Arrival:
    """A scan that has arrived, and whether it will do.

    Parameters
    ----------
    scan : str
    reasons : tuple of str
        Why it will not do, one line each; it will where there is none.
    grey : GreyLook or None
        None where the scan could not be read.
    noise_rise : float or None
        Its noise over the first scan's; None for the first one.
    drift : Drift or None
        None for the first one, and where none could be measured.
    drift_since : str or None
        The earlier scan that it was compared with.
    """

    scan: str
    reasons: tuple[str, ...]
    grey: GreyLook | None = None
    noise_rise: float | None = None
    drift: Drift | None = None
    drift_since: str | None = None

    @property
    def go(self) -> bool:
        """Whether to go on."""
        return not self.reasons

    @property
    def comparable(self) -> bool:
        """Whether later scans can be compared with this one."""
        return self.grey is not None and self.grey.contrast > 0.0


@dataclass(frozen=True)
class Earlier:
    """A scan that arrived earlier, for the next one to be compared with."""

    arrival: Arrival
    source: SourceFile


def inspect_arrival(
    source: SourceFile,
    scan: str,
    *,
    settings: StudySettings,
    grey_window: tuple[float, float],
    first: Arrival | None = None,
    last: Earlier | None = None,
) -> Arrival:
    """Look at a scan for seconds: saturation, noise and drift against what the study allows.

    Of the planes, and of the slab for the drift, only the middle is read, at most 256 and 1024 voxels wide, inside the
    circle that a reconstruction fills.

    Parameters
    ----------
    source : SourceFile
    scan : str
        Its name.
    settings : StudySettings
        `watch` holds the limits.
    grey_window : (float, float)
        Grey values that become the darkest and brightest of the study.
    first : Arrival, optional
        Of the first scan, whose noise counts as 1.
    last : Earlier, optional
        The scan before.

    Returns
    -------
    Arrival
        Also where the scan cannot be read or compared: that is a reason then.
    """
    reasons: list[str] = []
    grey, rise, drift, since = None, None, None, None
    try:
        reasons += _find_wrong_size(source, settings.voxel_size_m)
        with source.open() as volume:
            grey = look_at_grey(volume, grey_window)
            reasons += _judge_grey(grey, grey_window, settings.watch.most_saturated)
            if first is not None and first.grey is not None:
                reasons += _compare_shape(grey, first)
                rise = grey.noise / first.grey.noise if grey.contrast > 0 and first.grey.noise > 0 else None
                if rise is not None and rise > settings.watch.most_noise_rise:
                    most = settings.watch.most_noise_rise
                    reasons.append(f"its noise is {rise:.2f} times that of {first.scan} (at most {most:g})")
            if last is not None and grey.contrast > 0 and _same_shape(grey, last.arrival):
                drift, since = _compare_place(volume, last, settings), last.arrival.scan
                reasons += _judge_drift(drift, since, settings.watch.most_drift_m)
    except VoltomeError as error:
        reasons.append(" ".join(str(error).split()))
    return Arrival(scan, tuple(reasons), grey, rise, drift, since)


def look_at_grey(volume: VolumeSource, grey_window: tuple[float, float]) -> GreyLook:
    """Grey values, noise and the electrode's extent from up to 64 planes.

    The noise is that of a voxel beside the mean of its two neighbours along x, by the median absolute deviation, so
    that edges do not count; noise that neighbours share is not seen.

    Parameters
    ----------
    volume : VolumeSource
    grey_window : (float, float)

    Returns
    -------
    GreyLook
        Of a volume without any value, or a constant one, `contrast` and `noise` are 0.
    """
    nz, ny, nx = volume.shape
    y, x = (cut_middle(n, _PLANE_SIDE) for n in (ny, nx))
    numbers = np.unique(np.linspace(0, nz - 1, _PLANES).round().astype(int))
    planes = np.concatenate([volume[int(z) : int(z) + 1, y, x] for z in numbers]).astype(np.float64)
    known = np.isfinite(planes)
    values = planes[known]
    missing = 1.0 - len(values) / planes.size
    if not len(values):
        return GreyLook((nz, ny, nx), missing, 0.0, 0.0, 0.0, 0.0, 0.0, (0, nz - 1))
    low, high = np.percentile(values, _CONTRAST_PERCENTILES)
    contrast = float(high - low)
    planes[~known] = values.mean()
    slab = find_slab(_measure_texture(planes)) or (0, len(numbers))
    return GreyLook(
        shape=(nz, ny, nx),
        missing=missing,
        at_low=float((values <= grey_window[0]).mean()),
        at_high=float((values >= grey_window[1]).mean()),
        mean=float(values.mean()),
        contrast=contrast,
        noise=_measure_noise(planes) / contrast if contrast > 0 else 0.0,
        electrode_z_vox=(int(numbers[slab[0]]), int(numbers[slab[1] - 1])),
    )


def _measure_noise(planes: FloatArray) -> float:
    """Standard deviation of white noise; a voxel less the mean of two has 1.5 times its variance."""
    rough = (planes[:, :, 1:-1] - (planes[:, :, :-2] + planes[:, :, 2:]) / 2.0).ravel()
    if not rough.size:
        return 0.0
    return float(_MAD_TO_SD * np.median(np.abs(rough - np.median(rough))) / np.sqrt(1.5))


def _measure_texture(planes: FloatArray) -> FloatArray:
    """Standard deviation of each plane's block means, in which noise is averaged out."""
    count, *sides = planes.shape
    b = _TEXTURE_SIDE if min(sides) >= _TEXTURE_SIDE else 1
    ny, nx = (n // b for n in sides)
    means = planes[:, : ny * b, : nx * b].reshape(count, ny, b, nx, b).mean(axis=(2, 4))
    return np.asarray(means.std(axis=(1, 2)))


def _find_wrong_size(source: SourceFile, voxel_size_m: float) -> Iterator[str]:
    """What the file says of its voxels, where it does."""
    from voltome import io

    with io.open_volume(source.name, shape=source.shape, dtype=source.dtype) as volume:
        said = volume.voxel_size_m
    if said is not None and abs(said / voxel_size_m - 1.0) > VOXEL_SIZE_TOLERANCE:
        yield f"its file says voxels of {said:g} m (the study {voxel_size_m:g})"


def _judge_grey(grey: GreyLook, grey_window: tuple[float, float], most: float) -> Iterator[str]:
    if grey.missing == 1.0:
        yield "it holds no grey value (all NaN)"
        return
    if grey.contrast == 0.0:
        yield f"nearly all of its voxels have one grey value ({grey.mean:.4g})"
        return
    if grey.missing > most:
        yield f"{grey.missing:.1%} of the voxels have no grey value (at most {most:.1%})"
    for share, end, value in ((grey.at_low, "dark", grey_window[0]), (grey.at_high, "bright", grey_window[1])):
        if share > most:
            yield f"{share:.1%} of the voxels are at the {end} end of the grey window, {value:g} (at most {most:.1%})"


def _same_shape(grey: GreyLook, other: Arrival) -> bool:
    return other.grey is not None and tuple(other.grey.shape) == grey.shape


def _compare_shape(grey: GreyLook, first: Arrival) -> Iterator[str]:
    if first.grey is not None and not _same_shape(grey, first):
        got, wanted = (" x ".join(map(str, shape)) for shape in (grey.shape, first.grey.shape))
        yield f"it has {got} voxels ({first.scan} {wanted})"


def _compare_place(volume: VolumeSource, last: Earlier, settings: StudySettings) -> Drift | None:
    assert last.arrival.grey is not None
    with last.source.open() as before:
        return find_drift(
            before,
            volume,
            electrode_z_vox=last.arrival.grey.electrode_z_vox,
            electrode=settings.electrode,
            voxel_size_m=settings.voxel_size_m,
        )


def _judge_drift(drift: Drift | None, since: str, most_m: float) -> Iterator[str]:
    if drift is None:
        yield f"its drift since {since} cannot be measured: there is too little at the collector to go by"
    elif drift.zncc < _LEAST_ZNCC:
        least = f"ZNCC {drift.zncc:.2f}, at least {_LEAST_ZNCC:g}"
        yield f"it does not look like {since} ({least}): another place, or too far away"
    elif drift.length_m > most_m:
        moved = ", ".join(f"{axis} {step * 1e6:+.2f}" for axis, step in zip("zyx", drift.translation_m, strict=True))
        length, most = drift.length_m * 1e6, most_m * 1e6
        yield f"it has drifted by {length:.2f} um since {since} ({moved}; at most {most:g})"


def read_arrival(values: Mapping[str, Any]) -> Arrival:
    """An arrival that was written down.

    Parameters
    ----------
    values : mapping
        Of `dataclasses.asdict`, with lists for tuples; what else it holds is passed over.

    Returns
    -------
    Arrival

    Raises
    ------
    KeyError, TypeError
        If it is none.
    """
    grey, drift = values["grey"], values["drift"]
    plain = {member.name: values[member.name] for member in fields(Arrival)}
    plain["reasons"] = tuple(plain["reasons"])
    plain["grey"] = None if grey is None else GreyLook(**{name: _tuple(value) for name, value in grey.items()})
    plain["drift"] = None if drift is None else Drift(**{name: _tuple(value) for name, value in drift.items()})
    return Arrival(**plain)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

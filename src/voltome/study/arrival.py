"""The quick look at a scan that has just arrived: its grey values, noise and drift, and whether to go on.

A sample of planes says what the grey values are like, a slab at the collector's end how far the sample has moved: an
electrode swells away from its collector, which itself only drifts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import VoltomeError
from voltome.fields import FloatArray, evaluate_affine
from voltome.grid import Block, Shape3, VolumeSource, make_block
from voltome.study.inspection import VOXEL_SIZE_TOLERANCE
from voltome.study.source import SourceFile
from voltome.study.storing import find_slab

if TYPE_CHECKING:
    from voltome.study.settings import ElectrodeSettings, StudySettings

_PLANES = 64
_PLANE_SIDE = 256
_INSCRIBED = 0.7
"""Side of the square that lies inside the circle which a reconstruction fills, over the volume's."""

_CONTRAST_PERCENTILES = (1.0, 99.0)
_TEXTURE_SIDE = 4
_MAD_TO_SD = 1.4826

_SLAB_PLANES = (32, 192)
_SLAB_SHARE = 4
_SLAB_SIDE = 1024
_SLAB_VOXELS = 1 << 22
_LEAST_SIDE = 10
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
class Drift:
    """How a scan lies beside an earlier one, at the collector.

    Parameters
    ----------
    against : str
        Name of the earlier scan.
    translation_m : tuple of float
        Displacement of the collector's face in the middle of the field, z, y, x.
    rotation_mrad : tuple of float
        Rotation vector z, y, x, right-handed in x, y, z. The tilts, about y and x, hold what swelling bends too.
    magnification : float
        In-plane stretch.
    zncc : float
        Zero-normalised cross-correlation of the two slabs after registration.
    """

    against: str
    translation_m: tuple[float, float, float]
    rotation_mrad: tuple[float, float, float]
    magnification: float
    zncc: float

    @property
    def length_m(self) -> float:
        """Length of the translation."""
        return float(np.linalg.norm(self.translation_m))


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
    """

    scan: str
    reasons: tuple[str, ...]
    grey: GreyLook | None = None
    noise_rise: float | None = None
    drift: Drift | None = None

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
    grey, rise, drift = None, None, None
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
                drift = find_drift(volume, last, settings)
                reasons += _judge_drift(drift, last, settings.watch.most_drift_m)
    except VoltomeError as error:
        reasons.append(" ".join(str(error).split()))
    return Arrival(scan, tuple(reasons), grey, rise, drift)


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
    y, x = (_middle(n, _PLANE_SIDE) for n in (ny, nx))
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


def _middle(n: int, most: int) -> slice:
    side = min(n, most, max(round(_INSCRIBED * n), 2 * _TEXTURE_SIDE))
    start = (n - side) // 2
    return slice(start, start + side)


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


def _judge_drift(drift: Drift | None, last: Earlier, most_m: float) -> Iterator[str]:
    if drift is None:
        yield f"its drift since {last.arrival.scan} cannot be measured: there is too little at the collector to go by"
    elif drift.zncc < _LEAST_ZNCC:
        least = f"ZNCC {drift.zncc:.2f}, at least {_LEAST_ZNCC:g}"
        yield f"it does not look like {drift.against} ({least}): another place, or too far away"
    elif drift.length_m > most_m:
        moved = ", ".join(f"{axis} {step * 1e6:+.2f}" for axis, step in zip("zyx", drift.translation_m, strict=True))
        length, most = drift.length_m * 1e6, most_m * 1e6
        yield f"it has drifted by {length:.2f} um since {drift.against} ({moved}; at most {most:g})"


def find_drift(volume: VolumeSource, last: Earlier, settings: StudySettings) -> Drift | None:
    """Drift of the collector since an earlier scan.

    Slabs at the collector's end of both scans, reduced to some four million voxels, are registered by one affine
    (`voltome.dvc.registration.register_affine`); its displacement at the collector's face is the drift, which swelling
    does not move.

    Parameters
    ----------
    volume : VolumeSource
        Of the earlier scan's shape.
    last : Earlier
        A scan that is `comparable`.
    settings : StudySettings

    Returns
    -------
    Drift or None
        None where there is no texture, or too little has a grey value.

    Raises
    ------
    InputError, ResourceError
        If one of the scans cannot be read.
    """
    from voltome.dvc.particle_motion import rotation_vectors
    from voltome.dvc.registration import register_affine

    assert last.arrival.grey is not None
    face, low, high = find_collector_box(last.arrival.grey, settings.electrode, settings.voxel_size_m)
    factor = 1
    while np.prod((high - low) // factor) > _SLAB_VOXELS and min(high - low) >= 2 * factor * _LEAST_SIDE:
        factor *= 2
    with last.source.open() as before:
        slabs = [_read_slab(source, low, high, factor) for source in (before, volume)]
    known = np.isfinite(slabs[0]) & np.isfinite(slabs[1])
    if min(known.shape) < _LEAST_SIDE or known.mean() < 0.5 or any(np.ptp(slab[known]) == 0 for slab in slabs):
        return None
    for slab in slabs:
        _keep_texture(slab, known)
    found = register_affine(*slabs, mask=None if known.all() else known.astype(np.float32))
    if not np.isfinite(found.zncc):
        return None
    place = np.array([face, *((low + high - 1) / 2)[1:]])
    reduced = (place - low - (factor - 1) / 2) / factor
    phi = evaluate_affine(found.phi, found.centre_vox, reduced[None])[0]
    z, y, x = (float(step) for step in phi[:3, 3] * factor * settings.voxel_size_m)
    turn_z, turn_y, turn_x = (float(turn) for turn in rotation_vectors(phi[None, :3, :3])[0] * 1e3)
    stretch = float(np.sqrt(abs(np.linalg.det(phi[1:3, 1:3]))))
    return Drift(last.arrival.scan, (z, y, x), (turn_z, turn_y, turn_x), stretch, found.zncc)


def _keep_texture(slab: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
    """Take each plane's mean out, in place: layers alone would match wherever the field lies."""
    slab[~known] = 0.0
    slab -= (slab.sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1))[:, None, None]
    slab[~known] = 0.0


def find_collector_box(
    grey: GreyLook, electrode: ElectrodeSettings, voxel_size_m: float
) -> tuple[float, NDArray[np.int64], NDArray[np.int64]]:
    """The collector's face in a scan, and the box around it in which drift is measured.

    The box is a quarter of the volume deep, 32 to 192 planes, a quarter of it on the collector's side of the face: deep
    enough for the texture of some particles, thin enough that these move with the collector.

    Parameters
    ----------
    grey : GreyLook
    electrode : ElectrodeSettings
        Its region along z, where the study gives one, tells the face; else the scan's texture does.
    voxel_size_m : float

    Returns
    -------
    face_z_vox : float
    low_vox, high_vox : (3,) int64
        Corners of the box, half-open.
    """
    region, nz = electrode.region_m, grey.shape[0]
    edges = None if region is None or isinstance(region, str) else region.z
    first, last = grey.electrode_z_vox if edges is None else (round(edge / voxel_size_m) for edge in edges)
    low_side = electrode.collector_side == "low-z"
    face = min(max(first if low_side else last, 0), nz - 1)
    depth = min(nz, max(_SLAB_PLANES[0], min(_SLAB_PLANES[1], nz // _SLAB_SHARE)))
    start = face - depth // 4 if low_side else face + depth // 4 - depth
    start = min(max(start, 0), nz - depth)
    y, x = (_middle(n, _SLAB_SIDE) for n in grey.shape[1:])
    return float(face), np.array([start, y.start, x.start]), np.array([start + depth, y.stop, x.stop])


def _read_slab(
    source: VolumeSource, low: NDArray[np.int64], high: NDArray[np.int64], factor: int
) -> NDArray[np.float32]:
    from voltome.dvc.blocks import reduce_volume

    part = _Part(source, low, high)
    reduced = reduce_volume(part, factor)
    return np.array(reduced[make_block((0, 0, 0), reduced.shape)], dtype=np.float32)


class _Part:
    """A box of a volume as a volume of its own."""

    def __init__(self, source: VolumeSource, low: NDArray[np.int64], high: NDArray[np.int64]) -> None:
        self._source, self._low = source, low
        self.shape = tuple(int(n) for n in high - low)
        self.dtype: np.dtype[Any] = source.dtype
        self.chunk_shape: tuple[int, ...] = getattr(source, "chunk_shape", (1, 1, 1))

    def __getitem__(self, block: Block) -> NDArray[Any]:
        start, stop = (np.array([getattr(edge, end) for edge in block]) for end in ("start", "stop"))
        return self._source[make_block(self._low + start, self._low + stop)]


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

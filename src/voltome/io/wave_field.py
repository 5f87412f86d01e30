"""A wave behind a sample, with the planes from which it was retrieved: HDF5."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.io.flat import write_slabs
from voltome.io.hdf5 import claim_dataset, require_space
from voltome.io.staging import staged_file
from voltome.io.text import plain_json

if TYPE_CHECKING:
    import h5py

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

_FORMAT = "voltome wave field"
_VERSION = 1
_METADATA_BYTES = 2**16
_IMAGES = {
    "wave": "complex amplitude behind the sample over that of the illumination, on the padded, periodic grid",
    "phase": "radian, unwrapped relative to the first guess; negative where X-rays meet matter",
    "log_amplitude": "half the logarithm of the transmission",
}
_PLANES = {
    "distance_m": "m; effective distance of the plane from the wave",
    "shift_px": "pixels along rows and columns by which the plane shows everything further on than the first one",
    "shift_sd_px": "pixels; standard deviation, infinite where the shift was not found, 0 where it was not looked for",
    "agreement": "correlation of the measured intensity with that of the wave",
    "left_out": "the same for a wave that was retrieved from the other planes; NaN where that was not done",
}


@dataclass(frozen=True, eq=False)
class WaveField:
    """A wave and all that is needed to predict what a detector sees of it.

    Parameters
    ----------
    wave : (padded rows, padded columns) complex64
        Behind the sample, over the illumination's amplitude; periodic.
    phase, log_amplitude : (rows, columns) float32
        Of the frame, in radians and as half the logarithm of the transmission.
    first : (int, int)
        Row and column of the padded grid at which the frame begins.
    pixel_m, wavelength_m : float
    files : tuple of str
        Names of the planes' files.
    distances_m : (n,) float64
        Effective distances.
    shifts_px, shift_sd_px : (n, 2) float64
        Of each plane relative to the first one.
    agreement, left_out : (n,) float64
        Correlation of what was measured with what the wave gives, and with what a wave from the other planes gave.
    tilt_rad : (2,) float64
        Slope of the shifts over distance along rows and columns: the illumination's direction to the axis of the stage.
    made_by : mapping
        Version and parameters.
    """

    wave: NDArray[np.complex64]
    phase: Singles
    log_amplitude: Singles
    first: tuple[int, int]
    pixel_m: float
    wavelength_m: float
    files: tuple[str, ...]
    distances_m: Floats
    shifts_px: Floats
    shift_sd_px: Floats
    agreement: Floats
    left_out: Floats
    tilt_rad: Floats
    made_by: Mapping[str, Any]

    @property
    def inside(self) -> tuple[slice, slice]:
        """Where the frame lies on the padded grid."""
        (top, left), (rows, columns) = self.first, self.phase.shape
        return slice(top, top + rows), slice(left, left + columns)


def write_wave_field(path: str | Path, field: WaveField, *, overwrite: bool = False) -> None:
    """Write a wave field.

    `wave`, `phase`, `log_amplitude` (a volume of one slice each) and the group `planes`, whose attributes say what
    they are. The same field gives the same bytes.

    Parameters
    ----------
    path : str or Path
        By custom `.h5`.
    field : WaveField
    overwrite : bool
        Replace an existing file, at the very end.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If the file exists and `overwrite` is False, or the path cannot be a file.
    ResourceError
        If the disk is full or there is no permission; nothing is left behind.
    """
    images = {name: np.asarray(getattr(field, name))[None] for name in _IMAGES}
    with staged_file(path, overwrite=overwrite) as part:
        require_space(part, sum(values.nbytes for values in images.values()) + _METADATA_BYTES)
        import h5py

        with h5py.File(part, "w", libver="v110") as file:
            _put_facts(file, field)
            offsets = {}
            for name, values in images.items():
                dataset = claim_dataset(file, name, values.shape, values.dtype.newbyteorder("<"))
                dataset.attrs["description"] = _IMAGES[name]
                dataset.attrs["voxel_size_m"] = field.pixel_m
                offsets[name] = dataset.id.get_offset()
        with open(part, "r+b") as raw:  # past the library, which does not survive a full disk
            for name, values in images.items():
                raw.seek(offsets[name])
                write_slabs(raw, [values.astype(values.dtype.newbyteorder("<"), copy=False)])


def _put_facts(file: h5py.File, field: WaveField) -> None:
    import h5py

    file.attrs["format"], file.attrs["version"] = _FORMAT, _VERSION
    file.attrs["pixel_m"], file.attrs["wavelength_m"] = field.pixel_m, field.wavelength_m
    file.attrs["first"] = field.first
    file.attrs["tilt_rad"] = field.tilt_rad
    file.attrs["made_by"] = json.dumps(plain_json(dict(field.made_by)))
    planes = file.create_group("planes")
    for name, meaning in _PLANES.items():
        values = field.distances_m if name == "distance_m" else getattr(field, name.replace("shift_px", "shifts_px"))
        planes.create_dataset(name, data=values, track_times=False).attrs["description"] = meaning
    text = h5py.string_dtype("utf-8")
    planes.create_dataset("file", data=list(field.files), dtype=text, track_times=False)


def read_wave_field(path: str | Path) -> WaveField:
    """Read what `write_wave_field` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    WaveField

    Raises
    ------
    InputError
        If the file is missing, cut short, or no wave field.
    ResourceError
        If there is no permission to read it.
    """
    import h5py

    if not Path(path).is_file():
        raise InputError(f"{path} does not exist: give the FIELD.h5 that voltome phase wrote")
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("format") != _FORMAT:
                raise InputError(f"{path} is no wave field: give the FIELD.h5 that voltome phase wrote")
            return _take(file)
    except PermissionError as error:
        raise ResourceError(f"{path} could not be read (no permission): change its permissions") from error
    except (OSError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is damaged or no HDF5 file ({reason}): make it again with voltome phase") from error


def _take(file: h5py.File) -> WaveField:
    planes = file["planes"]
    images = {name: file[name][0] for name in _IMAGES}
    numbers = {name: np.asarray(planes[name][()], dtype=np.float64) for name in _PLANES}
    first = file.attrs["first"]
    return WaveField(
        wave=images["wave"].astype(np.complex64),
        phase=images["phase"].astype(np.float32),
        log_amplitude=images["log_amplitude"].astype(np.float32),
        first=(int(first[0]), int(first[1])),
        pixel_m=float(file.attrs["pixel_m"]),
        wavelength_m=float(file.attrs["wavelength_m"]),
        files=tuple(name.decode() for name in planes["file"][()]),
        distances_m=numbers["distance_m"],
        shifts_px=numbers["shift_px"],
        shift_sd_px=numbers["shift_sd_px"],
        agreement=numbers["agreement"],
        left_out=numbers["left_out"],
        tilt_rad=np.asarray(file.attrs["tilt_rad"], dtype=np.float64),
        made_by=json.loads(file.attrs["made_by"]),
    )

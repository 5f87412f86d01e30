"""Images at several distances become a wave in a file; the wave becomes an image at any distance."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome import __version__
from voltome.errors import InputError
from voltome.pipeline.plane_frames import load_frames
from voltome.pipeline.plane_registration import (
    PlaneShifts,
    correlate_middles,
    find_place,
    find_tilt,
    move_frame,
    register_planes,
)
from voltome.pipeline.plane_settings import PlaneScan, load_planes
from voltome.pipeline.progress import OnProgress, count_jobs
from voltome.pipeline.volumes import refuse_replacing

if TYPE_CHECKING:
    from voltome.io.wave_field import WaveField
    from voltome.phase import Mode, PhaseRetriever

Singles = NDArray[np.float32]

_CYCLES = {"quality": 80, "paper": 20}
"""On real planes of visible light what a wave predicts goes on improving up to 80 cycles (docs/phase.md)."""
_REGISTRATION_CYCLES = 3
_POOR = 0.5


def retrieve_planes(
    scan_file: str | Path,
    out: str | Path,
    *,
    mode: Mode | None = None,
    device: str = "cpu",
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Retrieve the wave behind a sample from images at several distances, and write it.

    Parameters
    ----------
    scan_file : str or Path
        SCAN.yaml, see `voltome.pipeline.plane_settings.PlaneScan`.
    out : str or Path
        FIELD.h5, as `voltome.io.write_wave_field` lays it out.
    mode : {"fast", "quality", "paper"}, optional
        Wins over the file's.
    device : str
        As `voltome.phase.open_device` takes it.
    threads : int, optional
        For Fourier transforms on the CPU; one for each core by default.
    overwrite : bool
        Replace an existing output, at the very end.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    dict
        `planes` (for each a dict with `file`, `distance_m`, `shift_px`, `shift_sd_px`, `drift_px`, `agreement`,
        `left_out`), `tilt_rad`, `wavelength_m`, `pixel_m`, `shape`, `mode`, `cycles`, `delta_beta`, `warnings`.

    Raises
    ------
    InputError
        If a setting, an image or the device breaks a rule, or the output exists.
    ResourceError
        If a file cannot be read or written.
    """
    from scipy import fft

    from voltome import io, phase

    if not overwrite and Path(out).exists():
        raise InputError(f"{out} already exists: give another name or add --overwrite")
    files = load_planes(scan_file, mode=mode)
    named = [one.file for one in files.settings.planes] + [files.settings.reference, files.settings.dark]
    for source in (str(scan_file), *(files.locate(name) for name in named if name is not None)):
        refuse_replacing(source, out)
    like = phase.open_device(device)
    frames = load_frames(files)
    with fft.set_workers(_count_threads(threads)):
        solver = _Solver(files.settings, (frames.shape[1], frames.shape[2]), like)
        shifts = _register(frames, solver, on_progress)
        field = _retrieve(frames, shifts, solver, on_progress)
    io.write_wave_field(out, field, overwrite=overwrite)
    return _summarise(field)


def predict_plane(
    field_file: str | Path, distance_m: float, out: str | Path, *, walk: bool = True, overwrite: bool = False
) -> dict[str, Any]:
    """Write the intensity that a retrieved wave has at a distance.

    Parameters
    ----------
    field_file : str or Path
        What `retrieve_planes` wrote.
    distance_m : float
        Effective distance behind the sample; may be negative.
    out : str or Path
        Image, (rows, columns) float32, over the illumination: 1 where nothing is in the way. Its ending tells the
        format, as `voltome.io.write_volume` takes it.
    walk : bool
        Where a detector would see it, whose frame walks off with distance as the planes did (tilted illumination,
        drift). False: not displaced to the first plane.
    overwrite : bool
        Replace an existing output, at the very end.

    Returns
    -------
    dict
        `distance_m`, `shift_px` (how far it is displaced), `shape`, `mean`, `minimum`, `maximum`.

    Raises
    ------
    InputError
        If the field or the distance breaks a rule, or the output exists.
    ResourceError
        If a file cannot be read or written.
    """
    from voltome import io

    if not math.isfinite(distance_m):
        raise InputError(f"the distance must be a finite number of metres (got {distance_m}): give such as 8e-5")
    field = io.read_wave_field(field_file)
    side = min(field.phase.shape) * field.pixel_m
    if field.wavelength_m * abs(distance_m) > side**2:
        raise InputError(
            f"the distance must be <= {side**2 / field.wavelength_m:.3g} m, where the frame is one Fresnel zone wide "
            f"(got {distance_m:g}): give an effective distance in metres"
        )
    image, shift = predict_image(field, distance_m, walk=walk)
    io.write_volume(out, image[None], voxel_size_m=field.pixel_m, overwrite=overwrite)
    return {
        "distance_m": distance_m,
        "shift_px": shift,
        "shape": image.shape,
        "mean": float(image.mean()),
        "minimum": float(image.min()),
        "maximum": float(image.max()),
    }


def predict_image(field: WaveField, distance_m: float, *, walk: bool = True) -> tuple[Singles, NDArray[np.float64]]:
    """The intensity of a wave at a distance.

    Parameters
    ----------
    field : WaveField
    distance_m : float
    walk : bool
        As of `predict_plane`.

    Returns
    -------
    image : (rows, columns) float32
        Over the illumination.
    shift_px : (2,) float64
        How far it is displaced to the first plane.
    """
    from voltome import phase

    rows, columns = field.wave.shape
    grid = phase.PlaneGrid((rows, columns), field.pixel_m, field.wavelength_m)
    seen: Singles = phase.predict_intensities(field.wave, grid, [distance_m])[0]
    shift = np.zeros(2)
    if walk:
        shift = find_place(distance_m, field.distances_m, field.shifts_px, field.tilt_rad / field.pixel_m)
    # Between pixels the resampling may overshoot; there is no negative light.
    return np.maximum(move_frame(seen, -shift)[field.inside], np.float32(0)), shift


class _Solver:
    """Waves from some or all planes of a scan, on one device."""

    def __init__(self, scan: PlaneScan, shape: tuple[int, int], like: Any) -> None:
        self.scan, self.shape, self.like = scan, shape, like
        self.distances_m = np.array([plane.distance_m for plane in scan.planes])

    @property
    def cycles(self) -> int | None:
        """Of projections; None: there are none."""
        own = _CYCLES.get(self.scan.mode)
        return own if self.scan.cycles is None or own is None else self.scan.cycles

    def make(self, numbers: Sequence[int], mode: Mode, cycles: int | None) -> PhaseRetriever:
        """A retriever for planes of these numbers."""
        from voltome import phase

        # One plane cannot tell absorption from phase: matter is taken as clear.
        ratio = math.inf if self.scan.ratio is None and len(numbers) == 1 else self.scan.ratio
        return phase.PhaseRetriever(
            self.shape,
            pixel_m=self.scan.pixel_m,
            wavelength_m=self.scan.wavelength,
            distances_m=self.distances_m[list(numbers)].tolist(),
            recipe=phase.Recipe(mode, delta_beta=ratio, iterations=cycles),
            like=self.like,
        )

    def predict(self, frames: Singles, numbers: Sequence[int], wanted: int) -> Singles:
        """What planes of these numbers give for another one."""
        from voltome import phase

        retriever = self.make(numbers, "quality", _REGISTRATION_CYCLES)
        wave = retriever.solve(phase.move_like(frames, self.like))
        seen = phase.predict_intensities(wave, retriever.grid, [float(self.distances_m[wanted])])[0]
        image: Singles = phase.as_numpy(seen[retriever.extension.inside])
        return image


def _count_threads(threads: int | None) -> int:
    if threads is not None and threads < 1:
        raise InputError(f"threads must be >= 1 (got {threads}): leave them out to use all cores")
    return threads or os.cpu_count() or 1


def _register(frames: Singles, solver: _Solver, on_progress: OnProgress | None) -> PlaneShifts:
    count = len(frames)
    if solver.scan.registered or count == 1:
        return PlaneShifts(np.zeros((count, 2)), np.zeros((count, 2)), np.full(count, np.nan))
    return register_planes(
        frames, solver.distances_m, solver.predict, on_step=count_jobs("registration", 0, on_progress)
    )


def _retrieve(frames: Singles, shifts: PlaneShifts, solver: _Solver, on_progress: OnProgress | None) -> WaveField:
    """The wave from all planes, brought on each other."""
    from voltome import phase
    from voltome.io import WaveField

    done = count_jobs("retrieval", 1, on_progress)
    scan = solver.scan
    aligned = np.stack([move_frame(frame, shift) for frame, shift in zip(frames, shifts.shifts_px, strict=True)])
    retriever = solver.make(range(len(frames)), scan.mode, solver.cycles)
    found = retriever.retrieve(phase.move_like(aligned, solver.like))
    seen = phase.predict_intensities(found.wave, retriever.grid, retriever.distances_m)
    inside = retriever.extension.inside
    done()
    return WaveField(
        wave=phase.as_numpy(found.wave),
        phase=phase.as_numpy(found.phase),
        log_amplitude=phase.as_numpy(found.log_amplitude),
        first=(inside[0].start, inside[1].start),
        pixel_m=scan.pixel_m,
        wavelength_m=scan.wavelength,
        files=tuple(Path(plane.file).name for plane in scan.planes),
        distances_m=solver.distances_m,
        shifts_px=shifts.shifts_px,
        shift_sd_px=shifts.sd_px,
        agreement=np.array(
            [correlate_middles(a, phase.as_numpy(b[inside])) for a, b in zip(aligned, seen, strict=True)]
        ),
        left_out=shifts.left_out,
        tilt_rad=find_tilt(solver.distances_m, shifts.shifts_px) * scan.pixel_m,
        made_by={
            "voltome": __version__,
            "step": "phase",
            "parameters": scan.model_dump() | {"cycles": solver.cycles, "delta_beta": scan.ratio},
        },
    )


def _summarise(field: WaveField) -> dict[str, Any]:
    """What was found, as the command line tells it."""
    away = field.distances_m - field.distances_m[0]
    drift = field.shifts_px - away[:, None] * field.tilt_rad / field.pixel_m
    planes = [
        {
            "file": field.files[i],
            "distance_m": float(field.distances_m[i]),
            "shift_px": field.shifts_px[i].tolist(),
            "shift_sd_px": field.shift_sd_px[i].tolist(),
            "drift_px": drift[i].tolist(),
            "agreement": float(field.agreement[i]),
            "left_out": float(field.left_out[i]),
        }
        for i in range(len(field.files))
    ]
    warnings = [
        f"{plane['file']} was not found in what the others predict: check its distance, or leave it out"
        for plane in planes
        if not np.isfinite(plane["shift_sd_px"]).all()
    ]
    warnings += [
        f"{plane['file']} agrees badly with the wave (correlation {plane['agreement']:.2f}): check distances, pixel "
        "and wavelength"
        for plane in planes
        if not plane["agreement"] >= _POOR
    ]
    return {
        "shape": list(field.phase.shape),
        "wavelength_m": field.wavelength_m,
        "pixel_m": field.pixel_m,
        "tilt_rad": field.tilt_rad.tolist(),
        "planes": planes,
        "warnings": warnings,
        **{name: field.made_by["parameters"][name] for name in ("mode", "cycles", "delta_beta")},
    }

"""Raw radiographs of a step: what is filmed where, and every frame of it.

A cone beam is taken as the parallel one at the effective distance (the Fresnel scaling theorem: Paganin, Coherent X-Ray
Optics, 10.1093/acprof:oso/9780198567288.001.0001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.frames import DARK, FLAT, PROJECTION
from voltome.optics import Geometry, find_wavelength
from voltome.twin import beamline
from voltome.twin.configuration import TwinSettings
from voltome.twin.scan import DECREMENT_UNIT

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Frames = NDArray[np.uint16]

_MARGIN_FREQUENCY = 0.25  # cycles per voxel: up to here, light that comes from beyond the fields is real
_SHIFT_ROOM = 8.0  # voxels
_FADE_ROWS = 24  # in which a wave's end fades into its beginning


@dataclass(frozen=True, eq=False)
class RadiographPlan:
    """What is filmed where.

    Parameters
    ----------
    settings : TwinSettings
    geometries : tuple of Geometry
        Of each distance.
    frame_shape : (rows, columns)
    angles_rad : (A,) float64
        Even in number over a whole turn.
    wave_shape : (rows, columns)
        Of the waves on the voxels' grid, which see all distances' fields and the whole sample across.
    top_vox : int
        Rows of a wave above the volume.
    diameter_vox : float
        Of the sample.
    """

    settings: TwinSettings
    geometries: tuple[Geometry, ...]
    frame_shape: tuple[int, int]
    angles_rad: Floats
    wave_shape: tuple[int, int]
    top_vox: int
    diameter_vox: float

    @property
    def n_frames(self) -> int:
        """Frames of a scan."""
        return len(self.kinds)

    @property
    def kinds(self) -> NDArray[np.uint8]:
        """Darks, flats, projections, flats: kinds of `voltome.frames`, in order."""
        own = self.settings.radiographs
        before = own.n_flats // 2
        counts = own.n_darks, before, len(self.angles_rad), own.n_flats - before
        return np.repeat(np.array([DARK, FLAT, PROJECTION, FLAT], dtype=np.uint8), counts)

    @property
    def frame_angles_rad(self) -> Floats:
        """Angle of every frame; 0 of flats and darks."""
        angles = np.zeros(self.n_frames)
        angles[self.kinds == PROJECTION] = self.angles_rad
        return angles

    @property
    def half_turn(self) -> Floats:
        """The angles that have to be projected: the others see the sample from behind."""
        return self.angles_rad[: len(self.angles_rad) // 2]

    @property
    def axis_px(self) -> float:
        """Column of the rotation axis at the first distance."""
        return (self.frame_shape[1] - 1) / 2 + self.settings.radiographs.axis_offset_px


def plan_radiographs(settings: TwinSettings) -> RadiographPlan:
    """Work out distances, fields and angles.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    RadiographPlan

    Raises
    ------
    InputError
        If a voxel is too large: the sample would stand behind the detector.
    """
    from scipy.fft import next_fast_len

    own, voxel = settings.radiographs, settings.voxel_size_m
    first = own.focus_detector_m * voxel / own.detector_pixel_m
    widest = own.distance_ratios[-1]
    if first * widest >= own.focus_detector_m:
        raise InputError(
            f"voxel_size_m must be < radiographs.detector_pixel_m / {widest:g} = {own.detector_pixel_m / widest:.4g}, "
            f"so that the sample stands before the detector (got {voxel:g}): lower it or give fewer distance_ratios"
        )
    wavelength = find_wavelength(settings.scan.energy_kev)
    geometries = tuple(
        Geometry(wavelength, first * ratio, own.focus_detector_m - first * ratio, own.detector_pixel_m)
        for ratio in own.distance_ratios
    )
    rows, columns = settings.shape[0], 2 * math.ceil(math.hypot(*settings.shape[1:]) / 2)
    count = 2 * round(own.angles_per_column * columns / 2)
    diameter = own.sample_diameter * columns
    wander = [2 * _MARGIN_FREQUENCY * wavelength * place.effective_m / voxel**2 for place in geometries]
    room = [reach + 2 * (own.misalignment_px + own.drift_px + _SHIFT_ROOM) for reach in wander]
    needs = [
        max(n * ratio + more for ratio, more in zip(own.distance_ratios, room, strict=True)) for n in (rows, columns)
    ]
    wide = math.ceil(needs[0]) + _FADE_ROWS, math.ceil(max(needs[1] + 2 * abs(own.axis_offset_px), diameter + 2))
    return RadiographPlan(
        settings=settings,
        geometries=geometries,
        frame_shape=(rows, columns),
        angles_rad=2 * np.pi * np.arange(count, dtype=np.float64) / count,
        wave_shape=(int(next_fast_len(wide[0])), int(next_fast_len(wide[1]))),
        top_vox=math.ceil((needs[0] - rows) / 2),
        diameter_vox=diameter,
    )


def find_excess_absorption(plan: RadiographPlan) -> float:
    """beta of the collector, in 1e-7, that lets the wanted share of the beam pass along a diameter.

    Parameters
    ----------
    plan : RadiographPlan

    Returns
    -------
    float
    """
    settings = plan.settings
    length = plan.diameter_vox * settings.voxel_size_m
    k = 2 * math.pi / plan.geometries[0].wavelength_m
    return -math.log(settings.radiographs.copper_transmission) / (2 * k * length) / DECREMENT_UNIT


class RadiographMaker:
    """Makes the frames of a step; safe to use from several threads.

    Parameters
    ----------
    plan : RadiographPlan
    step : int
        Number of the step.
    """

    def __init__(self, plan: RadiographPlan, step: int) -> None:
        self.plan, self.step = plan, step
        settings, own = plan.settings, plan.settings.radiographs
        self.camera = beamline.make_camera(own, plan.frame_shape, settings.seed)
        numbers = range(len(plan.geometries))
        self.shifts_px = [
            beamline.draw_shifts(own, len(plan.angles_rad), settings.seed, step, number) for number in numbers
        ]
        self.beams = [beamline.draw_beam(own, plan.n_frames, settings.seed, step, number) for number in numbers]
        self._rows, self._blend = _continue_rows(plan)
        self._radian = 2 * math.pi / plan.geometries[0].wavelength_m * DECREMENT_UNIT * settings.voxel_size_m

    def make_wave(self, decrement: Singles, excess: Singles, *, behind: bool) -> NDArray[np.complex64]:
        """The wave that leaves the sample.

        Parameters
        ----------
        decrement : (rows, wave columns) float32
            Line integrals of the decrement, in 1e-7 voxels.
        excess : (E, wave columns) float32
            Those of the beta that the first E planes have beyond decrement / `delta_beta`.
        behind : bool
            Seen from behind, half a turn on.

        Returns
        -------
        `plan.wave_shape` complex64
        """
        from voltome.twin.wave import make_exit_wave

        absorption = decrement * np.float32(self._radian / self.plan.settings.radiographs.delta_beta)
        absorption[: len(excess)] += excess * np.float32(self._radian)
        wave = make_exit_wave(decrement * np.float32(self._radian), absorption)
        if behind:
            wave = wave[:, ::-1]
        return np.asarray(wave[self._rows] * self._blend + wave[0] * (1 - self._blend))

    def film(self, spectrum: NDArray[np.complex64], distance: int, angle: int) -> Frames:
        """The radiograph of an angle at a distance.

        Parameters
        ----------
        spectrum : `plan.wave_shape` complex64
            Of the wave that leaves the sample: `scipy.fft.fft2`.
        distance, angle : int

        Returns
        -------
        `plan.frame_shape` uint16
        """
        from voltome.twin.wave import propagate_spectrum

        plan, place = self.plan, self.plan.geometries[distance]
        own, voxel = plan.settings.radiographs, plan.settings.voxel_size_m
        wave = propagate_spectrum(
            spectrum, pixel_m=voxel, wavelength_m=place.wavelength_m, distance_m=place.effective_m
        )
        intensity = wave.real**2 + wave.imag**2
        shift = self.shifts_px[distance][angle]
        centres = (
            plan.top_vox + (plan.frame_shape[0] - 1) / 2 - shift[0],
            ((plan.wave_shape[1] - 1) / 2 - own.axis_offset_px - shift[1]),
        )
        pitch = own.distance_ratios[distance]
        matrices = [
            beamline.make_sampling(n, wide, centre=centre, pitch=pitch, psf_px=own.psf_px)
            for n, wide, centre in zip(plan.frame_shape, plan.wave_shape, centres, strict=True)
        ]
        frame = int(np.flatnonzero(plan.kinds == PROJECTION)[0]) + angle
        return self._expose(distance, frame, beamline.sample_image(intensity, *matrices))

    def film_empty(self, distance: int, frame: int) -> Frames:
        """A flat or a dark.

        Parameters
        ----------
        distance : int
        frame : int
            Number in the order of `plan.kinds`.

        Returns
        -------
        `plan.frame_shape` uint16
        """
        return self._expose(distance, frame, None)

    def _expose(self, distance: int, frame: int, seen: Singles | None) -> Frames:
        own, beam = self.plan.settings.radiographs, self.beams[distance]
        light = None
        if self.plan.kinds[frame] != DARK:
            light = beamline.see_light(self.camera, own, beam.shifts_px[frame])
            light *= np.float32(beam.current_a[frame] / own.current_a)
            light = light if seen is None else light * seen
        key = self.plan.settings.seed, self.step, distance, frame
        frames: Frames = beamline.expose_frame(self.camera, own, light, key)
        return frames


def _continue_rows(plan: RadiographPlan) -> tuple[NDArray[np.int64], Any]:
    """Which row each row of a wave is: the first one above the volume, the volume's mirror images below it.

    The mirror images fade into the first row towards the end, where a wave is joined to its beginning.
    """
    wide, rows = plan.wave_shape[0], plan.frame_shape[0]
    index = np.arange(wide) - plan.top_vox
    below = index % (2 * rows)
    source = np.where(index < 0, 0, np.minimum(below, 2 * rows - 1 - below))
    share = np.clip((wide - 0.5 - np.arange(wide)) / _FADE_ROWS, 0, 1)
    return source, (share * share * (3 - 2 * share)).astype(np.float32)[:, None]

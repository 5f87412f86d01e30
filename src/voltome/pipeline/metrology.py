"""Bias and spatial resolution of a correlation on real scans: one of them is deformed by a known motion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import FloatArray, evaluate_affine
from voltome.grid import VolumeSource, make_block

if TYPE_CHECKING:
    from voltome.dvc.boxes import Pair
    from voltome.dvc.metrology import Bias
    from voltome.twin.motion import AnalyticMotion

SMALLEST_CROP_VOX = 48
_RIM_VOX = 4
_MOST_WINDOWS = 125
_STRETCH = np.array([[0.02, 0.004, -0.003], [0.002, -0.01, 0.005], [-0.004, 0.003, 0.01]])
_SHIFT_VOX = (0.37, -0.21, 0.43)
_GRADIENT = 0.02
_MOST_AMPLITUDE_VOX = 1.0
_WAVES = ((0, 1), (1, 0), (2, 0), (0, 2), (1, 2), (2, 1))
"""Which component moves and along which axis it varies; periods grow in this order."""
_SHORTEST, _LONGEST = 1.5, 6.0
_MOST_RESPONSE_ERROR = 0.1


@dataclass(frozen=True)
class WindowMetrology:
    """Bias and response of windows of one size.

    Parameters
    ----------
    half_window_vox : int
    bias : Bias
        Of a virtual affine: 2 % axial stretch, -1 % and 1 % laterally, some shear and a shift.
    period_vox, response, response_error, expected : (M,) float64
        Recovered part of the amplitudes of transverse waves; expected of the best affine over a window.
    resolution_vox : float
        Period of which a tenth of the amplitude is lost; NaN where the sweep does not bracket it.
    """

    half_window_vox: int
    bias: Bias
    period_vox: FloatArray
    response: FloatArray
    response_error: FloatArray
    expected: FloatArray
    resolution_vox: float


def measure_metrology(
    reference: VolumeSource,
    deformed: VolumeSource,
    phi: FloatArray,
    half_windows: Sequence[int],
    *,
    mask: VolumeSource | None = None,
    crop_vox: int = 160,
    threads: int | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[WindowMetrology]:
    """Deform a part of the second scan by a virtual affine and by plane waves, and correlate the first with it.

    Parameters
    ----------
    reference, deformed : VolumeSource
        Two scans of an unmoved sample.
    phi : (4, 4) float64
        What moved between them, relative to the volume's centre.
    half_windows : sequence of int
        In voxels; those whose window does not fit the part are left out.
    mask : VolumeSource, optional
        Weight of the reference's voxels.
    crop_vox : int
        Longest side of the central part; the cost grows with its cube.
    threads : int, optional
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    list of WindowMetrology

    Raises
    ------
    InputError
        If the crop is too small or volumes hold NaN there.
    """
    from voltome import twin

    if crop_vox < SMALLEST_CROP_VOX:
        raise InputError(f"the crop must be >= {SMALLEST_CROP_VOX} voxels (got {crop_vox}): give such as 160")
    first, second, weights, local = _cut(reference, deformed, phi, crop_vox, mask)
    if not np.isfinite(second).all():
        raise InputError("the virtual deformation needs grey values everywhere (got NaN): give --no-virtual")
    centre = (np.asarray(first.shape, dtype=np.float64) - 1) / 2
    half = _windows_that_fit(first.shape, local, half_windows)
    stretch = twin.make_affine_motion(np.eye(3) + _STRETCH, displacement_vox=_SHIFT_VOX, centre_vox=centre)
    waves, periods = _make_waves(half, centre)
    images = []
    for done, motion in enumerate((stretch, waves)):
        if on_progress is not None:
            on_progress("virtual deformation", done, 2)
        images.append(twin.deform_image(second, motion, threads=threads))
    from voltome.dvc.windows import prepare_pair

    pairs = [prepare_pair(first, image, weights) for image in (second, *images)]
    rows = []
    for done, h in enumerate(half):
        if on_progress is not None:
            on_progress("bias and resolution", done, len(half))
        rows.append(_measure(pairs, (stretch, waves), periods, local, h, threads))
    return rows


def _cut(
    reference: VolumeSource, deformed: VolumeSource, phi: FloatArray, crop_vox: int, mask: VolumeSource | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None, FloatArray]:
    """Central parts of both scans, whole voxels of drift taken out; mask; Phi relative to the part's centre."""
    shape = np.asarray(reference.shape)
    size = np.minimum(shape, crop_vox)
    start = (shape - size) // 2
    middle = start + (size - 1) / 2
    local = evaluate_affine(phi, (shape - 1) / 2, middle[None])[0]
    other = np.clip(start + np.round(local[:3, 3]).astype(int), 0, shape - size)
    local[:3, 3] -= other - start
    cut = [
        np.asarray(volume[make_block(at, at + size)], dtype=np.float32)
        for volume, at in ((reference, start), (deformed, other))
    ]
    here = make_block(start, start + size)
    weights = None if mask is None else np.asarray(mask[here], dtype=np.float32)
    return cut[0], cut[1], weights, local


def _margin(shape: Sequence[int], local: FloatArray) -> int:
    """So that windows stay inside after drift and virtual motion."""
    corner = np.asarray(shape) / 2
    return int(_RIM_VOX + np.ceil((np.abs(local[:3, :3] - np.eye(3)) @ corner + np.abs(local[:3, 3])).max()))


def _windows_that_fit(shape: Sequence[int], local: FloatArray, half_windows: Sequence[int]) -> list[int]:
    room = min(shape) - 2 * _margin(shape, local)
    return [half for half in half_windows if 2 * half + 1 <= 0.8 * room]


def _make_waves(half: Sequence[int], centre: FloatArray) -> tuple[AnalyticMotion, FloatArray]:
    """Six transverse waves with their crests at the centre: periods from 1.5 smallest to 6 largest windows."""
    from voltome import twin

    low, high = (2 * h + 1 for h in ((min(half), max(half)) if half else (8, 8)))
    periods = np.geomspace(_SHORTEST * low, _LONGEST * high, len(_WAVES))
    motion = twin.AnalyticMotion()
    for (component, along), period in zip(_WAVES, periods, strict=True):
        amplitude = min(_MOST_AMPLITUDE_VOX, _GRADIENT * period / (2 * np.pi))
        phase = np.pi / 2 - 2 * np.pi * centre[along] / period
        motion += twin.make_sine_motion(amplitude, period, component=component, along=along, phase_rad=phase)
    return motion, periods


def _measure(
    pairs: Sequence[Pair],
    motions: Sequence[AnalyticMotion],
    period_vox: FloatArray,
    local: FloatArray,
    half: int,
    threads: int | None,
) -> WindowMetrology:
    """Windows of one size on the plain pair and on both deformed ones."""
    from voltome import twin
    from voltome.dvc.metrology import find_resolution, measure_bias, measure_response
    from voltome.dvc.windows import correlate_windows, place_windows

    shape = pairs[0].reference.shape
    centre = (np.asarray(shape, dtype=np.float64) - 1) / 2
    margin = _margin(shape, local)
    positions, _ = place_windows(shape, half, margin_vox=margin, apart=False, most=_MOST_WINDOWS)
    start = evaluate_affine(local, centre, positions)
    plain = correlate_windows(pairs[0], positions, start, half, threads=threads)
    fields, truths = [], []
    for pair, motion in zip(pairs[1:], motions, strict=True):
        truth = twin.best_affine(motion, positions + plain.displacement_vox, half)
        begin = np.tile(np.eye(4), (len(positions), 1, 1))
        begin[:, :3, :3] = truth[:, :3, :3] @ start[:, :3, :3]
        begin[:, :3, 3] = truth[:, :3, 3] + start[:, :3, 3]
        fields.append(correlate_windows(pair, positions, begin, half, threads=threads))
        truths.append(truth)
    waves = motions[1].waves
    response, error = measure_response(plain, fields[1], waves)
    expected, _ = measure_response(plain, fields[1].with_values(phi=_compose(truths[1], plain.phi)), waves)
    known = error < _MOST_RESPONSE_ERROR
    return WindowMetrology(
        half_window_vox=half,
        bias=measure_bias(plain, fields[0], truths[0]),
        period_vox=period_vox,
        response=np.where(known, response, np.nan),
        response_error=np.where(known, error, np.nan),
        expected=expected,
        resolution_vox=find_resolution(period_vox, np.where(known, response, np.nan)),
    )


def _compose(truth: FloatArray, plain: FloatArray) -> FloatArray:
    """What the windows would have seen without noise: u of both in sequence."""
    out = plain.copy()
    out[:, :3, 3] += truth[:, :3, 3]
    return out

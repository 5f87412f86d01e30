"""Alternating projections: the wave that has, in each plane, the amplitude that was measured there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voltome.errors import InputError
from voltome.phase.backend import Array, find_namespace, find_transforms
from voltome.phase.fresnel import PlaneGrid, Transfer, make_transfer

_LEAST_AMPLITUDE = 1e-6


@dataclass(frozen=True)
class Planes:
    """Free space between the object and the planes of measurement.

    Parameters
    ----------
    to_plane : tuple of Transfer
        From the object to each plane.
    back : tuple of Transfer
        From each plane to the object.
    """

    to_plane: tuple[Transfer, ...]
    back: tuple[Transfer, ...]


def make_planes(grid: PlaneGrid, distances_m: Sequence[float], *, like: Array | None = None) -> Planes:
    """Work out the transfers to some distances and back.

    Parameters
    ----------
    grid : PlaneGrid
    distances_m : sequence of float
        Effective distances.
    like : array, optional
        Kind of array and device.

    Returns
    -------
    Planes
    """
    there = tuple(make_transfer(grid, distance, like) for distance in distances_m)
    back = tuple(make_transfer(grid, -distance, like) for distance in distances_m)
    return Planes(there, back)


def order_planes(count: int) -> tuple[int, ...]:
    """Order in which planes are visited: far ones first, the first plane, which shows most detail, last.

    Parameters
    ----------
    count : int

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> order_planes(4)
    (3, 1, 2, 0)
    """
    middle = tuple(range(1, count - 1))
    return (count - 1, *middle, 0) if count > 1 else (0,)


def project_in_turn(
    wave: Array,
    amplitudes: Sequence[Array],
    planes: Planes,
    *,
    cycles: int = 3,
    relaxation: float = 0.6,
    weight: tuple[Array, Array] | None = None,
) -> Array:
    """Alternating projections from plane to plane, each starting from what the one before left.

    An update from one plane is used for the next at once, so that three cycles do what ten and more of the common
    scheme do, which averages the planes' updates; and a wave goes from plane to plane directly: two transforms a plane.
    Relaxation keeps the last plane's noise from ruling.

    Parameters
    ----------
    wave : (rows, columns) complex64 array
        A first guess behind the object.
    amplitudes : sequence of (rows, columns) float32 array
        Root of the intensity in each plane.
    planes : Planes
    cycles : int
        Visits to each plane.
    relaxation : float
        Share of a plane's correction that is made, above 0 and up to 1.
    weight : tuple of array, optional
        How far a pixel was measured, as a column and a row whose product counts; beyond, the wave is left alone.

    Returns
    -------
    (rows, columns) complex64 array
        The wave behind the object.

    Raises
    ------
    InputError
        If cycles or relaxation are out of their ranges.
    """
    _check(cycles, relaxation)
    fft = find_transforms(wave)
    share = _share(relaxation, weight)
    spectrum = fft.fft2(wave)
    before: int | None = None
    for _ in range(cycles):
        for k in order_planes(len(amplitudes)):
            if before is not None:
                spectrum = planes.back[before].apply(spectrum)
            field = fft.ifft2(planes.to_plane[k].apply(spectrum), overwrite_x=True)
            spectrum = fft.fft2(_project(field, amplitudes[k], share), overwrite_x=True)
            before = k
    if before is not None:
        spectrum = planes.back[before].apply(spectrum)
    return fft.ifft2(spectrum, overwrite_x=True)


def project_together(
    wave: Array,
    amplitudes: Sequence[Array],
    planes: Planes,
    *,
    iterations: int = 20,
    relaxation: float = 1.0,
    weight: tuple[Array, Array] | None = None,
) -> Array:
    """Alternating projections onto all planes at once; the corrected waves are averaged. The usual scheme.

    Parameters
    ----------
    wave : (rows, columns) complex64 array
        A first guess behind the object.
    amplitudes : sequence of (rows, columns) float32 array
        Root of the intensity in each plane.
    planes : Planes
    iterations : int
    relaxation : float
        Share of the correction that is made, above 0 and up to 1.
    weight : tuple of array, optional
        As of `project_in_turn`.

    Returns
    -------
    (rows, columns) complex64 array
        The wave behind the object.

    Raises
    ------
    InputError
        If iterations or relaxation are out of their ranges.
    """
    _check(iterations, relaxation)
    fft = find_transforms(wave)
    share = _share(relaxation, weight)
    spectrum = fft.fft2(wave)
    for _ in range(iterations):
        total: Array = None
        for amplitude, there, back in zip(amplitudes, planes.to_plane, planes.back, strict=True):
            field = fft.ifft2(there.apply(spectrum + 0), overwrite_x=True)
            corrected = back.apply(fft.fft2(_project(field, amplitude, share), overwrite_x=True))
            total = corrected if total is None else total + corrected
        spectrum = total / len(amplitudes)
    return fft.ifft2(spectrum, overwrite_x=True)


def _check(count: int, relaxation: float) -> None:
    if count < 0:
        raise InputError(f"iterations must be >= 0 (got {count}): 3 are usual in turn, 20 together")
    if not 0 < relaxation <= 1:
        raise InputError(f"relaxation must be above 0 and at most 1 (got {relaxation}): 0.6 is usual")


def _share(relaxation: float, weight: tuple[Array, Array] | None) -> Array | float:
    return relaxation if weight is None else weight[0] * weight[1] * relaxation


def _project(field: Array, amplitude: Array, share: Array | float) -> Array:
    """Give a wave the amplitude that was measured, as far as `share` says; in place."""
    xp = find_namespace(amplitude)
    ratio = xp.abs(field)
    ratio = amplitude / xp.maximum(ratio, xp.asarray(_LEAST_AMPLITUDE, dtype=ratio.dtype))
    ratio -= 1
    ratio *= share
    ratio += 1
    field *= ratio
    return field

"""The electrode's smooth motion: polynomials through the measured displacements, which vanish at the collector."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Floats = NDArray[np.float64]

_DEPTHS = (1, 2, 3, 4)
_HUBER = 1.345
_TURNS = 8
_LATERAL = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
TERMS = len(_DEPTHS) * len(_LATERAL)
"""Coefficients of each component of displacement."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates of a motion: depth is 0 at the collector's face and about 1 at the surface; y and x are in -1 to 1.

    Parameters
    ----------
    face_vox : (3,) float64
        z of the face at the middle of the field and its slopes along y and x: some mrad, which gradients leave out.
    middle_vox, half_vox : (2,) float64
        Middle of the field on y and x, and half its size.
    thickness_vox : float
        Mean thickness at the first scan.
    side : float
        1 for a collector at low z, -1 at high z.
    """

    face_vox: Floats
    middle_vox: Floats
    half_vox: Floats
    thickness_vox: float
    side: float = 1.0

    def locate(self, positions_vox: Floats) -> Floats:
        """Depth and lateral coordinates of positions, (N, 3).

        Parameters
        ----------
        positions_vox : (N, 3) float64

        Returns
        -------
        (N, 3) float64
        """
        lateral = positions_vox[:, 1:] - self.middle_vox
        face = self.face_vox[0] + lateral @ self.face_vox[1:]
        depth = self.side * (positions_vox[:, 0] - face) / self.thickness_vox
        return np.column_stack([depth, lateral / self.half_vox])

    @property
    def scale_vox(self) -> Floats:
        """Voxels to a unit of each coordinate, with the axis' sign, (3,)."""
        return np.array([self.side * self.thickness_vox, *self.half_vox])


@dataclass(frozen=True, eq=False)
class SmoothMotion:
    """Displacement as polynomials in a frame.

    Parameters
    ----------
    frame : Frame
    coefficients : (TERMS, 3) float64
        Voxels.
    inverses : (3, TERMS, TERMS) float64
        Inverse normal matrix of each component: times the variance of an independent node the covariance of its
        coefficients.
    response : (3, TERMS, N + M) float64
        Change of the coefficients of each component with the displacement of each node and of each point of the
        surface; the latter are 0 but for z.
    nodes : int
        That were fitted.
    scatter_vox : (3,) float64
        Root mean square of what the polynomials leave of the displacements.
    """

    frame: Frame
    coefficients: Floats
    inverses: Floats
    response: Floats
    nodes: int
    scatter_vox: Floats

    def without_response(self) -> SmoothMotion:
        """The same motion without what its errors are worked out from: small enough to be sent to workers."""
        return replace(self, inverses=np.empty((3, 0, 0)), response=np.empty((3, 0, 0)))

    def displace(self, places: Floats) -> Floats:
        """Displacement at places of the frame, voxels.

        Parameters
        ----------
        places : (N, 3) float64
            Depth and lateral coordinates.

        Returns
        -------
        (N, 3) float64
        """
        return np.asarray(make_terms(places) @ self.coefficients)

    def gradient(self, places: Floats) -> Floats:
        """Deformation gradient F at places of the frame, (N, 3, 3).

        Parameters
        ----------
        places : (N, 3) float64

        Returns
        -------
        (N, 3, 3) float64
        """
        slopes = np.stack([make_terms(places, along=axis) for axis in range(3)], axis=-1) / self.frame.scale_vox
        return np.asarray(np.eye(3) + np.einsum("ntj,ti->nij", slopes, self.coefficients))


def make_terms(places: Floats, *, along: int | None = None) -> Floats:
    """Terms of the polynomials, or their derivative along an axis.

    Parameters
    ----------
    places : (N, 3) float64
        Depth and lateral coordinates.
    along : int, optional
        Axis of the derivative.

    Returns
    -------
    (N, TERMS) float64

    Examples
    --------
    >>> make_terms(np.array([[0.0, 0.3, 0.4]])).any()
    np.False_
    """
    powers = [(k, i, j) for k in _DEPTHS for i, j in _LATERAL]
    columns = []
    for power in powers:
        column = np.ones(len(places))
        for axis, k in enumerate(power):
            slope, left = (k, max(k - 1, 0)) if axis == along else (1, k)
            column = column * (slope * places[:, axis] ** left)
        columns.append(column)
    return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class Layer:
    """The electrode's surface as one more layer of nodes: how far it rose where it is seen in both scans.

    Parameters
    ----------
    places : (M, 3) float64
        In the frame, at the first scan.
    rise_vox : (M,) float64
        Displacement along z.
    """

    places: Floats
    rise_vox: Floats


def fit_motion(places: Floats, displacement_vox: Floats, frame: Frame, *, layer: Layer | None = None) -> SmoothMotion:
    """Fit the smooth motion to the displacements of nodes, by robust least squares.

    What is lost of single nodes is bridged by all others, so that no depth counts less because its nodes failed. Points
    that depart by more than usual weigh less (Huber 1964, 10.1214/aoms/1177703732): surfaces are mistaken in patches.

    Parameters
    ----------
    places : (N, 3) float64
        Of the nodes that count, in the frame.
    displacement_vox : (N, 3) float64
        Aligned on the collector.
    frame : Frame
    layer : Layer, optional
        Points of the surface, which know the component along z alone.

    Returns
    -------
    SmoothMotion

    Raises
    ------
    InputError
        If too few nodes count.
    """
    count = len(places)
    if count < 3 * TERMS:
        raise InputError(
            f"{count} nodes may be trusted, the electrode's motion needs {3 * TERMS}: place nodes closer, or look at "
            "why they fail"
        )
    terms = make_terms(places)
    coefficients, inverses = np.empty((TERMS, 3)), np.empty((3, TERMS, TERMS))
    sides = np.zeros((3, TERMS, count + (0 if layer is None else len(layer.rise_vox))))
    scatter = np.empty(3)
    for axis in range(3):
        rows, values = terms, displacement_vox[:, axis]
        if layer is not None and axis == 0:
            rows = np.concatenate([rows, make_terms(layer.places)])
            values = np.concatenate([values, layer.rise_vox])
        weights = np.ones(len(values))
        for _ in range(_TURNS):
            inverses[axis] = _invert(rows.T @ (weights[:, None] * rows))
            coefficients[:, axis] = inverses[axis] @ (rows.T @ (weights * values))
            apart = values - rows @ coefficients[:, axis]
            typical = 1.4826 * float(np.median(np.abs(apart)))
            if not typical > 0:
                break
            weights = np.minimum(1.0, _HUBER * typical / np.maximum(np.abs(apart), 1e-12))
        sides[axis, :, : len(values)] = inverses[axis] @ (rows.T * weights)
        scatter[axis] = float(np.sqrt(np.mean(apart[:count] ** 2)))
    return SmoothMotion(frame, coefficients, inverses, sides, count, scatter)


def _invert(normal: Floats) -> Floats:
    """Inverse with a ridge so faint that it shows only where nothing is measured."""
    return np.asarray(np.linalg.inv(normal + 1e-9 * np.trace(normal) / TERMS * np.eye(TERMS)))

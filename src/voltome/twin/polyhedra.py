"""Convex polyhedra about an origin: half-spaces normal . Y <= offset, with exact volume, centroid and corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Polyhedron:
    """A convex polyhedron; micrometres, relative to some origin.

    Parameters
    ----------
    normals, offsets_um : (F, 3) and (F,) float64
        One half-space for each face.
    kept : (F,) int64
        Which of the half-spaces it was made from these are.
    volume_um3 : float
        0 where the half-spaces have nothing in common.
    centroid_um : (3,) float64
    corners_um : (2 F - 4, 3) float64
    """

    normals: Floats
    offsets_um: Floats
    kept: Integers
    volume_um3: float
    centroid_um: Floats
    corners_um: Floats

    def support(self, directions: Floats) -> Floats:
        """How far the polyhedron reaches along directions (N, 3)."""
        return np.asarray((directions @ self.corners_um.T).max(axis=1))


def intersect_half_spaces(normals: Floats, offsets_um: Floats, reach_um: float) -> Polyhedron:
    """The polyhedron of all points with normals . Y <= offsets.

    Parameters
    ----------
    normals : (M, 3) float64
        Unit vectors.
    offsets_um : (M,) float64
    reach_um : float
        No point of the polyhedron may have a coordinate beyond plus or minus this.

    Returns
    -------
    Polyhedron
        Half-spaces without a face are left out.
    """
    from voltome.twin.polyhedra_loops import BOX_FACES, intersect

    corner = np.full(3, float(reach_um))
    volume, centroid, areas, corners = intersect(
        np.ascontiguousarray(normals), np.ascontiguousarray(offsets_um), -corner, corner
    )
    kept = np.flatnonzero(areas[BOX_FACES:] > 0)
    return Polyhedron(normals[kept], offsets_um[kept], kept, volume, centroid, corners)


def clip_polyhedron(shape: Polyhedron, normals: Floats, offsets_um: Floats) -> Polyhedron:
    """The part of a polyhedron with normals . Y <= offsets.

    Parameters
    ----------
    shape : Polyhedron
    normals : (M, 3) float64
        Unit vectors.
    offsets_um : (M,) float64

    Returns
    -------
    Polyhedron
        Its `kept` counts the half-spaces of the shape first, then these.
    """
    reach = 2.0 * float(np.abs(shape.corners_um).max())
    return intersect_half_spaces(
        np.concatenate([shape.normals, normals]), np.concatenate([shape.offsets_um, offsets_um]), reach
    )


def scale_polyhedron(shape: Polyhedron, factor: float) -> Polyhedron:
    """A polyhedron made larger or smaller about the origin.

    Parameters
    ----------
    shape : Polyhedron
    factor : float

    Returns
    -------
    Polyhedron
    """
    return Polyhedron(
        shape.normals,
        shape.offsets_um * factor,
        shape.kept,
        shape.volume_um3 * factor**3,
        shape.centroid_um * factor,
        shape.corners_um * factor,
    )


def volume_within(shape: Polyhedron, low_um: Floats, high_um: Floats) -> float:
    """Volume of the part of a polyhedron that lies in a box, in um3.

    Parameters
    ----------
    shape : Polyhedron
    low_um, high_um : (3,) float64
        Corners of the box, which may be infinite.

    Returns
    -------
    float
    """
    if shape.volume_um3 <= 0:
        return 0.0
    bottom, top = shape.corners_um.min(axis=0), shape.corners_um.max(axis=0)
    if (bottom > high_um).any() or (top < low_um).any():
        return 0.0
    normals = np.concatenate([-np.eye(3)[bottom < low_um], np.eye(3)[top > high_um]])
    if not len(normals):
        return shape.volume_um3
    offsets = np.concatenate([-low_um[bottom < low_um], high_um[top > high_um]])
    return clip_polyhedron(shape, normals, offsets).volume_um3


def gauge_vectors(shape: Polyhedron, centre_um: Floats) -> Floats:
    """Gauge vectors of a polyhedron about a point inside: max_j a_j . (Y - centre) is 1 on its surface.

    Parameters
    ----------
    shape : Polyhedron
    centre_um : (3,) float64
        Inside the polyhedron, relative to the same origin.

    Returns
    -------
    (F, 3) float64
        normal / distance of each face.
    """
    return np.asarray(shape.normals / (shape.offsets_um - shape.normals @ centre_um)[:, None])

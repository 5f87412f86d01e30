"""Particles' bodies: each fills its cell as far as the gaps allow, made angular by facets, with its volume exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.twin.polyhedra import Polyhedron, clip_polyhedron, intersect_half_spaces, scale_polyhedron, volume_within
from voltome.twin.setting_groups import GROWTH_ROOM

Floats = NDArray[np.float64]

_SPARE = 1.005  # facets leave this much more than the volume wanted, which scaling takes away
_DEEPEST = 0.6  # facets cut at most this share of the way from the surface to the centre
_BISECTIONS = 9
_SCALINGS = 40


@dataclass(frozen=True, eq=False)
class Crack:
    """A crack right through a particle: its plane's normal, where it passes, and how wide it is open.

    Parameters
    ----------
    normal : (3,) float64
    place : float
        Distance of the plane from the centre over the particle's half width, -1 to 1.
    width_um : float
    """

    normal: Floats
    place: float
    width_um: float


@dataclass(frozen=True, eq=False)
class Body:
    """A particle about the centre of its cell.

    Parameters
    ----------
    shape : Polyhedron
        Its outline.
    pieces : list of Polyhedron
        Its silicon: the outline itself, or the two sides of a crack.
    """

    shape: Polyhedron
    pieces: list[Polyhedron]

    @property
    def silicon_um3(self) -> float:
        """Volume of all pieces."""
        return float(sum(piece.volume_um3 for piece in self.pieces))


@dataclass(frozen=True, eq=False)
class Mould:
    """What decides a particle's shape.

    Parameters
    ----------
    room : Polyhedron
        The largest body that leaves the gaps of its cell.
    facets : (K, 3) float64
        Normals of the facets.
    depths : (K,) float64
        How deep the facets cut, relative to the deepest.
    crack : Crack or None
    """

    room: Polyhedron
    facets: Floats
    depths: Floats
    crack: Crack | None


def make_room(cell: Polyhedron, gap_um: float) -> Polyhedron:
    """The largest body of a cell that may grow by 1.1 inside it and keeps half of the gap to each of its faces.

    Parameters
    ----------
    cell : Polyhedron
        About the body's centre.
    gap_um : float

    Returns
    -------
    Polyhedron
    """
    offsets = np.minimum(cell.offsets_um / GROWTH_ROOM, cell.offsets_um - gap_um / 2)
    offsets = np.maximum(offsets, 1e-3 * cell.offsets_um)  # of a cell narrower than the gap hardly a body is left
    return intersect_half_spaces(cell.normals, offsets, 2 * float(np.abs(cell.corners_um).max()))


def crack_body(shape: Polyhedron, crack: Crack | None) -> Body:
    """A body of a given outline, with its crack.

    Parameters
    ----------
    shape : Polyhedron
    crack : Crack or None

    Returns
    -------
    Body
        A side that the crack swallows is left out.
    """
    if crack is None:
        return Body(shape, [shape])
    half = shape.support(np.stack([crack.normal, -crack.normal])).min()
    offset = crack.place * half
    sides = [
        clip_polyhedron(shape, sign * crack.normal[None], np.array([sign * offset - crack.width_um / 2]))
        for sign in (1.0, -1.0)
    ]
    return Body(shape, [side for side in sides if side.volume_um3 > 0])


def _facet(mould: Mould, reach: Floats, depth: float) -> Polyhedron:
    return clip_polyhedron(mould.room, mould.facets, reach * (1 - depth * mould.depths / mould.depths.max()))


def make_body(mould: Mould, silicon_um3: float) -> Body:
    """A body whose silicon has a given volume: facets cut what is too much, scaling does the rest.

    Parameters
    ----------
    mould : Mould
    silicon_um3 : float

    Returns
    -------
    Body
        Of less silicon where the room does not hold as much.
    """
    reach = mould.room.support(mould.facets)
    low, high = 0.0, _DEEPEST
    best = crack_body(mould.room, mould.crack)
    for _ in range(_BISECTIONS):
        depth = (low + high) / 2
        trial = crack_body(_facet(mould, reach, depth), mould.crack)
        if trial.silicon_um3 >= _SPARE * silicon_um3:
            low, best = depth, trial
        else:
            high = depth
    if best.silicon_um3 < silicon_um3:
        return best
    for _ in range(_SCALINGS):  # more than one only for a crack, which keeps its width
        factor = (silicon_um3 / best.silicon_um3) ** (1 / 3)
        if abs(factor - 1) < 1e-14:
            break
        best = crack_body(scale_polyhedron(best.shape, factor), mould.crack)
    return best


def silicon_within(body: Body, low_um: Floats, high_um: Floats) -> float:
    """Silicon of a body that lies in a box about the same origin, in um3.

    Parameters
    ----------
    body : Body
    low_um, high_um : (3,) float64
        Corners of the box, which may be infinite.

    Returns
    -------
    float
    """
    return sum(volume_within(piece, low_um, high_um) for piece in body.pieces)

"""Grains of a particle: a tree of planes of a randomly turned crystal cuts it, and where each grain is centred.

A grain reacts from its faces inwards, in shells of its gauge about its centre: a face far from the centre has a thick
shell, a near one a thin shell. Central centres make a core and a shell; a centre near one side makes a one-sided front;
centres pushed out to the particle's surface leave thick shells on the inner planes alone, which make a network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.twin.polyhedra import Polyhedron, clip_polyhedron

Floats = NDArray[np.float64]

_FAMILY = np.array([[0, 1, 1], [0, 1, -1], [1, 0, 1], [1, 0, -1], [1, 1, 0], [1, -1, 0]]) / np.sqrt(2)
_SPREAD = 0.3  # planes pass this close to the centre, as a share of the half width
_LEAST_SHARE = 0.05  # of the particle: a plane leaves no grain smaller than this
_DECIMALS = 6
_PUSH = 0.45  # of the way from a grain's centroid to where it touches the particle's surface


@dataclass(frozen=True, eq=False)
class Grain:
    """A grain about the particle's centre.

    Parameters
    ----------
    shape : Polyhedron
    inner : (F,) bool
        Faces that it shares with another grain.
    centre_um : (3,) float64
        Where its gauge is centred.
    """

    shape: Polyhedron
    inner: NDArray[np.bool_]
    centre_um: Floats


def turn_at_random(random: np.random.Generator) -> Floats:
    """A random rotation, uniform over all orientations.

    Parameters
    ----------
    random : numpy.random.Generator

    Returns
    -------
    (3, 3) float64
    """
    w, x, y, z = (q := random.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@dataclass(frozen=True, eq=False)
class _Leaf:
    shape: Polyhedron
    inner: NDArray[np.bool_]

    def split(self, normal: Floats, offset_um: float, least_um3: float) -> list[_Leaf]:
        """Both sides of a plane; itself where one side would be too small."""
        flags = np.append(self.inner, True)
        sides = [clip_polyhedron(self.shape, sign * normal[None], np.array([sign * offset_um])) for sign in (1.0, -1.0)]
        if min(side.volume_um3 for side in sides) < least_um3:
            return [self]
        return [_Leaf(side, flags[side.kept]) for side in sides]


def _plane_through(shape: Polyhedron, normal: Floats, random: np.random.Generator) -> float:
    """Offset of a plane that passes near the middle of a polyhedron."""
    low, high = -shape.support(-normal[None])[0], shape.support(normal[None])[0]
    return float(normal @ shape.centroid_um + random.uniform(-_SPREAD, _SPREAD) * (high - low) / 2)


def _cut_network(
    body: Polyhedron, leaves: list[_Leaf], planes: int, branches: int, random: np.random.Generator
) -> list[_Leaf]:
    family = _FAMILY @ turn_at_random(random).T
    least = _LEAST_SHARE * body.volume_um3
    order = np.concatenate([random.permutation(len(family)) for _ in range(1 + (planes + branches) // len(family))])
    for k in order[:planes]:
        offset = _plane_through(body, family[k], random)
        leaves = [part for leaf in leaves for part in leaf.split(family[k], offset, least)]
    for k in order[planes : planes + branches]:
        largest = max(range(len(leaves)), key=lambda i: leaves[i].shape.volume_um3)
        leaf = leaves.pop(largest)
        leaves.extend(leaf.split(family[k], _plane_through(leaf.shape, family[k], random), least))
    return leaves


def _outer_centre(leaf: _Leaf) -> Floats:
    """A point near the particle's surface, as far from the inner faces as the grain allows."""
    shape = leaf.shape
    if not leaf.inner.any():
        return shape.centroid_um
    depth = shape.offsets_um[leaf.inner] - shape.corners_um @ shape.normals[leaf.inner].T
    # Rounded: of a grain with all corners on inner faces what another machine adds up otherwise must not choose.
    farthest = shape.corners_um[depth.min(axis=1).round(_DECIMALS).argmax()]
    return np.asarray(shape.centroid_um + _PUSH * (farthest - shape.centroid_um))


def _side_centre(shape: Polyhedron, random: np.random.Generator) -> Floats:
    """A point near the surface in a random direction from the centroid."""
    direction = random.normal(size=3)
    direction /= np.linalg.norm(direction)
    slope = shape.normals @ direction
    room = shape.offsets_um - shape.normals @ shape.centroid_um
    return np.asarray(shape.centroid_um + _PUSH * (room[slope > 0] / slope[slope > 0]).min() * direction)


def make_network(
    body: Polyhedron, pieces: list[Polyhedron], planes: int, branches: int, random: np.random.Generator
) -> list[Grain]:
    """Grains between <110>-type planes of a randomly turned crystal.

    Parameters
    ----------
    body : Polyhedron
        The particle.
    pieces : list of Polyhedron
        What it consists of: itself, or the two sides of a crack.
    planes : int
        Planes that cut everything.
    branches : int
        Planes that cut one grain only, the largest at that time.
    random : numpy.random.Generator

    Returns
    -------
    list of Grain
        Together they fill the pieces.
    """
    leaves = [_Leaf(piece, np.zeros(len(piece.offsets_um), dtype=bool)) for piece in pieces]
    return [
        Grain(leaf.shape, leaf.inner, _outer_centre(leaf))
        for leaf in _cut_network(body, leaves, planes, branches, random)
    ]


def make_cores(pieces: list[Polyhedron]) -> list[Grain]:
    """One grain for each piece of a particle, centred in its middle: core and shell.

    Parameters
    ----------
    pieces : list of Polyhedron

    Returns
    -------
    list of Grain
    """
    return [Grain(piece, np.zeros(len(piece.offsets_um), dtype=bool), piece.centroid_um) for piece in pieces]


def make_one_sided(piece: Polyhedron, random: np.random.Generator) -> list[Grain]:
    """One grain centred near the surface: the front comes from the opposite side.

    Parameters
    ----------
    piece : Polyhedron
    random : numpy.random.Generator

    Returns
    -------
    list of Grain
    """
    return [Grain(piece, np.zeros(len(piece.offsets_um), dtype=bool), _side_centre(piece, random))]

"""Who lives in the electrode: particles of given sizes and mechanisms, zones without particle, and where they start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.twin.configuration import ElectrodeSettings, LithiationSettings
from voltome.twin.packing import Slab
from voltome.twin.sizes import bend_diameters, make_diameters

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_LEAST_CELLS = 4
_LEAST_CRACKED = 6.0  # diameter of the smallest particle that cracks, in widths of the crack
_WAVES = 16
_REGION_UM = 14.0  # wave length of the regions of large and of small particles
_TRIES = 30
_MIXING = 0.3  # how far a particle's rank in size may be from its region's


class Mechanism(IntEnum):
    """How a particle reacts with lithium."""

    CORE_SHELL = 0
    NETWORK = 1
    ONE_SIDED = 2
    CRACKED_CORE_SHELL = 3


@dataclass(frozen=True, eq=False)
class Population:
    """What the cells are to hold: P particles, then cells without.

    Parameters
    ----------
    diameters_um : (P,) float64
        Of spheres of the same volume.
    percentiles_um : (3,) float64
        Volume-weighted D10, D50, D90 that they are to have.
    zones_um3 : (K,) float64
        Volume of each cell without particle.
    binder_zones : int
        How many of these, the first ones, hold binder.
    gap_um : float
        Least distance between two particles.
    """

    diameters_um: Floats
    percentiles_um: Floats
    zones_um3: Floats
    binder_zones: int
    gap_um: float

    @property
    def silicon_um3(self) -> Floats:
        """Volume of each particle."""
        return np.asarray(np.pi / 6 * self.diameters_um**3)

    def share_out(self, slab_um3: float) -> Floats:
        """Volumes of all cells; a particle has half a gap around it and, beyond that, room in proportion to its size.

        Parameters
        ----------
        slab_um3 : float
            Volume of all cells together.

        Returns
        -------
        (P + K,) float64
        """
        low, high = 0.0, 10.0
        for _ in range(60):
            middle = (low + high) / 2
            cells = np.pi / 6 * (middle * self.diameters_um + self.gap_um) ** 3
            low, high = (middle, high) if cells.sum() + self.zones_um3.sum() < slab_um3 else (low, middle)
        return np.concatenate([cells, self.zones_um3])

    def balance(self, shares: Floats, silicon_um3: float) -> Population:
        """The same particles with sizes that meet the percentiles and, before all, the silicon of the field.

        Parameters
        ----------
        shares : (P,) float64
            How much of each particle lies in the field, 0 to 1.
        silicon_um3 : float
            Volume of silicon in the field.

        Returns
        -------
        Population
        """
        diameters = bend_diameters(self.diameters_um, self.percentiles_um, shares)
        factor = (silicon_um3 / (np.pi / 6 * shares @ diameters**3)) ** (1 / 3)
        return replace(self, diameters_um=diameters * factor)


def expected_shares(diameters_um: Floats, sides_um: Floats, margin_um: float) -> Floats:
    """How much of particles of a size lies in the field on average: the large ones keep away from the slab's walls.

    Parameters
    ----------
    diameters_um : (P,) float64
    sides_um : (2,) float64
        Of the field.
    margin_um : float
        Between the field and the slab's walls.

    Returns
    -------
    (P,) float64
        0 to 1.
    """
    share = np.ones(len(diameters_um))
    for side in sides_um:
        reach = np.minimum(diameters_um / 2, side / 2 + margin_um)[:, None]
        centre = (side / 2 + margin_um - reach) * np.linspace(-1, 1, 101)
        inside = np.minimum(centre + reach, side / 2) - np.maximum(centre - reach, -side / 2)
        share *= (np.maximum(inside, 0) / (2 * reach)).mean(axis=1)
    return share


def make_population(
    electrode: ElectrodeSettings, sides_um: Floats, margin_um: float, random: np.random.Generator
) -> Population:
    """Particles and zones that share out a slab, with the sizes and the silicon wanted in its field.

    Parameters
    ----------
    electrode : ElectrodeSettings
    sides_um : (2,) float64
        Of the field (y, x).
    margin_um : float
        Between the field and the slab's walls.
    random : numpy.random.Generator
        Puts the particles in some order.

    Returns
    -------
    Population

    Raises
    ------
    InputError
        If the slab holds hardly a particle.
    """
    percentiles = np.array([electrode.diameter_d10_m, electrode.diameter_d50_m, electrode.diameter_d90_m]) * 1e6
    slab_um3 = electrode.thickness_m * 1e6 * float(np.prod(sides_um + 2 * margin_um))
    diameters = make_diameters(
        percentiles,
        electrode.silicon_fraction * slab_um3,
        lambda diameters: expected_shares(diameters, sides_um, margin_um),
    )
    share = electrode.binder_zone_fraction + electrode.pore_zone_fraction
    count = max(round(share * slab_um3 / (np.pi / 6 * percentiles[1] ** 3)), 1) if share > 0 else 0
    zones = np.full(count, share * slab_um3 / max(count, 1))
    binder = round(count * electrode.binder_zone_fraction / share) if share > 0 else 0
    if len(diameters) < _LEAST_CELLS:
        raise InputError(
            f"the field must hold at least {_LEAST_CELLS} particles (got {len(diameters)}): "
            "raise shape or voxel_size_m, or lower the diameters"
        )
    return Population(random.permutation(diameters), percentiles, zones, binder, electrode.least_gap_m * 1e6)


def scatter_seeds(slab: Slab, volumes_um3: Floats, random: np.random.Generator) -> Floats:
    """Random points below the surface, large cells gathered in some regions and small ones in others.

    Each cell goes where a smooth random field has about the rank that the cell has by size, both by volume, so that no
    region is given more than it can hold.

    Parameters
    ----------
    slab : Slab
    volumes_um3 : (N,) float64
        Of the cells.
    random : numpy.random.Generator

    Returns
    -------
    (N, 3) float64
    """
    number = random_normals(_WAVES, random) * (2 * np.pi / (_REGION_UM * random.uniform(0.7, 1.4, (_WAVES, 1))))
    phase = random.uniform(0, 2 * np.pi, _WAVES)

    def scatter(count: int) -> tuple[Floats, Floats]:
        points = random.uniform(slab.low_um, slab.high_um, (2 * count, 3))
        points = points[points[:, 0] < slab.surface.height(points[:, 1], points[:, 2])][:count]
        return points, np.sin(np.einsum("pi,wi->pw", points, number) + phase).sum(axis=1)

    levels = np.sort(scatter(20000)[1])
    order = np.argsort(volumes_um3, kind="stable")
    rank = np.empty(len(order))
    rank[order] = (np.cumsum(volumes_um3[order]) - volumes_um3[order] / 2) / volumes_um3.sum()
    seeds = np.empty((len(order), 3))
    for i, wanted in enumerate(rank):
        points, level = scatter(_TRIES)
        misfit = np.searchsorted(levels, level) / len(levels) - wanted
        odds = np.exp(-((misfit / _MIXING) ** 2) / 2)
        seeds[i] = points[random.choice(len(points), p=odds / odds.sum())]
    return seeds


def random_normals(count: int, random: np.random.Generator) -> Floats:
    """Unit vectors of random direction.

    Parameters
    ----------
    count : int
    random : numpy.random.Generator

    Returns
    -------
    (count, 3) float64
    """
    normals = random.normal(size=(count, 3))
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))


def _choose(candidates: Integers, count: int, random: np.random.Generator, odds: Floats | None = None) -> Integers:
    """`count` of the candidates, or all of them if they are fewer."""
    share = None if odds is None else odds / odds.sum()
    return np.sort(random.choice(candidates, min(count, len(candidates)), replace=False, p=share))


def choose_mechanisms(
    lithiation: LithiationSettings,
    electrode: ElectrodeSettings,
    diameters_um: Floats,
    depths_um: Floats,
    random: np.random.Generator,
) -> tuple[NDArray[np.int8], Flags]:
    """Mechanism of each particle, and which are cracked: large enough ones, likelier near the separator.

    Parameters
    ----------
    lithiation : LithiationSettings
    electrode : ElectrodeSettings
    diameters_um, depths_um : (P,) float64
        Depth below the surface.
    random : numpy.random.Generator

    Returns
    -------
    mechanisms : (P,) int8
    cracked : (P,) bool
    """
    count = len(diameters_um)
    shares = (lithiation.core_shell_fraction, lithiation.one_sided_fraction, lithiation.cracked_core_shell_fraction)
    core_shell, one_sided, cracked_core_shell = (round(share * count) for share in shares)
    large = np.flatnonzero(diameters_um > _LEAST_CRACKED * electrode.crack_width_m * 1e6)
    broken = large
    if len(large):
        wanted = max(round(electrode.cracked_fraction * count), cracked_core_shell)
        odds = np.exp((depths_um.min() - depths_um[large]) / (electrode.crack_depth_m * 1e6)) + 1e-9
        broken = _choose(large, min(wanted, count - core_shell - one_sided), random, odds)
    mechanisms = np.full(count, Mechanism.NETWORK, dtype=np.int8)
    mechanisms[_choose(broken, cracked_core_shell, random)] = Mechanism.CRACKED_CORE_SHELL
    cracked = np.zeros(count, dtype=bool)
    cracked[broken] = True
    whole = _choose(np.flatnonzero(~cracked), core_shell + one_sided, random)
    mechanisms[whole] = Mechanism.CORE_SHELL
    mechanisms[_choose(whole, one_sided, random)] = Mechanism.ONE_SIDED
    return mechanisms, cracked

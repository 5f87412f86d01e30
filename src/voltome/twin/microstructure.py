"""The electrode before the first charge: Laguerre cells, angular particles inside them, cracks and grains.

Lengths are micrometres, order z, y, x, in the frame of the first scan: voxel i has its centre at i times the voxel
size. The collector ends at a plane of constant z, the electrode reaches from there to its rough surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.twin.bodies import Body, Crack, Mould, crack_body, make_body, make_room, silicon_within
from voltome.twin.configuration import ElectrodeSettings, LithiationSettings, TwinSettings
from voltome.twin.grains import Grain, make_cores, make_network, make_one_sided
from voltome.twin.packing import LaguerreCells, Slab, cut_laguerre, fit_weights, lower_lids, pack_cells
from voltome.twin.polyhedra import Polyhedron, gauge_vectors, intersect_half_spaces, volume_within
from voltome.twin.population import (
    Mechanism,
    Population,
    choose_mechanisms,
    make_population,
    random_normals,
    scatter_seeds,
)
from voltome.twin.surface import RoughSurface, make_surface

__all__ = ["Mechanism", "Microstructure", "build_microstructure"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_MARGIN_UM = 2.0  # cells beyond the field, so that what the drift brings in is electrode too
_ROUGH, _FINE = 0.02, 1e-3  # relative error of the cells' volumes while sizes are balanced, and of tight cells
_BALANCES = 2
_REPACKINGS = 5
_MISSING = 0.005  # of the silicon
_SCALINGS = 2
_DECIMALS = 6
_RESERVE = 1.01  # room for silicon beyond what is wanted, for the common factor that meets the field's fraction
_FACE_AXES = np.repeat(np.eye(3), 2, axis=0) * np.tile([-1.0, 1.0], 3)[:, None]  # low and high z, y, x


@dataclass(frozen=True, eq=False)
class Microstructure:
    """The electrode's solid at T0. N Laguerre cells, P of them with a particle, G grains.

    A convex polyhedron about a centre is stored as gauge vectors a_j = normal_j / distance_j: max_j a_j . (X - centre)
    is below 1 inside. Rows `first[i]` to `first[i + 1]` of the planes belong to item i.

    Parameters
    ----------
    box_um : (2, 3) float64
        Low and high corner of the modelled slab: from the collector to above the surface; laterally the field and a
        margin.
    surface_level_um : float
    surface_waves : (W, 4) float64
        Amplitude, ky, kx (rad/um) and phase: z(y, x) = level + sum of amplitude sin(ky y + kx x + phase).
    seeds_um, weights_um2 : (N, 3) and (N,) float64
        The cell with the least |X - seed|^2 - weight owns X.
    labels : (N,) int32
        1 to P; 0 for cells without particle.
    binder_zone : (N,) bool
        Cells without particle that are filled with binder; the others are pores.
    centres_um : (N, 3) float64
        Of the gauges of cells and particles' bodies.
    cell_planes, cell_first : (., 3) float64 and (N + 1,) int64
        Cells, cut by collector, surface and box.
    body_planes, body_first : (., 3) float64 and (N + 1,) int64
        Outlines of the particles; none for cells without.
    grain_first : (N + 1,) int64
    grain_centres_um : (G, 3) float64
    grain_planes, grain_plane_first : (., 3) float64 and (G + 1,) int64
    grain_volumes_um3 : (G,) float64
    volumes_um3, diameters_um : (N,) float64
        Silicon of each particle, and the diameter of the sphere of that volume; 0 without particle.
    mechanisms : (N,) int8
        `Mechanism`; -1 without particle.
    cracked : (N,) bool
        Cracked before the first charge.
    """

    box_um: Floats
    surface_level_um: float
    surface_waves: Floats
    seeds_um: Floats
    weights_um2: Floats
    labels: NDArray[np.int32]
    binder_zone: Flags
    centres_um: Floats
    cell_planes: Floats
    cell_first: Integers
    body_planes: Floats
    body_first: Integers
    grain_first: Integers
    grain_centres_um: Floats
    grain_planes: Floats
    grain_plane_first: Integers
    grain_volumes_um3: Floats
    volumes_um3: Floats
    diameters_um: Floats
    mechanisms: NDArray[np.int8]
    cracked: Flags

    @property
    def surface(self) -> RoughSurface:
        """The electrode's surface on the separator's side."""
        return RoughSurface(self.surface_level_um, self.surface_waves)


@dataclass(frozen=True, eq=False)
class _Site:
    """The slab to pack, its volume, and the corners (3,) of the field, which has no bounds along z."""

    slab: Slab
    volume_um3: float
    low_um: Floats
    high_um: Floats
    thickness_um: float
    silicon_fraction: float

    @property
    def silicon_um3(self) -> float:
        """Volume of the silicon in the field."""
        return self.silicon_fraction * self.thickness_um * float(np.prod((self.high_um - self.low_um)[1:]))


def _make_site(settings: TwinSettings, random: np.random.Generator) -> _Site:
    electrode = settings.electrode
    voxel, collector, thickness = (
        length * 1e6 for length in (settings.voxel_size_m, settings.collector_m, electrode.thickness_m)
    )
    low, high = np.full(2, -0.5) * voxel, (np.array(settings.shape[1:]) - 0.5) * voxel
    surface = make_surface(
        collector + thickness,
        electrode.thickness_sd_m * 1e6,
        electrode.surface_correlation_m * 1e6,
        np.stack([low, high]),
        random,
    )
    left, right = low - _MARGIN_UM, high + _MARGIN_UM
    y, x = (np.linspace(a, b, 200) for a, b in zip(left, right, strict=True))
    slab = Slab(np.array([collector, *left]), np.array([surface.height(y[:, None], x).max() + 0.5, *right]), surface)
    volume = (surface.mean(left, right) - collector) * float(np.prod(right - left))
    low, high = np.array([-np.inf, *low]), np.array([np.inf, *high])
    return _Site(slab, volume, low, high, thickness, electrode.silicon_fraction)


def _cell_shape(cells: LaguerreCells, slab: Slab, i: int) -> Polyhedron:
    """Cell i about its centroid."""
    behind = cells.face_cells[cells.face_first[i] : cells.face_first[i + 1]]
    near = behind[behind >= 0]
    seed, centre = cells.seeds_um[i], cells.centroids_um[i]
    way = cells.seeds_um[near] - seed
    length = np.linalg.norm(way, axis=1)
    normals = way / length[:, None]
    offsets = (length**2 + cells.weights_um2[i] - cells.weights_um2[near]) / (2 * length) - normals @ (centre - seed)
    lid_normal, lid_offset = cells.lids[0][i], cells.lids[1][i]
    outer = np.vstack([_FACE_AXES, lid_normal])
    walls = np.column_stack([centre - slab.low_um, slab.high_um - centre]).ravel()
    used = np.zeros(len(outer), dtype=bool)
    used[-1 - behind[behind < 0]] = True
    return intersect_half_spaces(
        np.concatenate([outer[used], normals]),
        np.concatenate([np.append(walls, lid_offset - lid_normal @ centre)[used], offsets]),
        2 * float(cells.reaches_um[i]),
    )


def _pack(site: _Site, people: Population, random: np.random.Generator) -> tuple[LaguerreCells, Population]:
    """Cells for a population whose sizes are bent until the silicon in the field has the percentiles wanted."""
    slab, count = site.slab, len(people.diameters_um)
    targets = people.share_out(site.volume_um3)
    cells = pack_cells(slab, targets, scatter_seeds(slab, targets, random))
    for _ in range(_BALANCES):
        within = [
            volume_within(_cell_shape(cells, slab, i), site.low_um - centre, site.high_um - centre)
            for i, centre in enumerate(cells.centroids_um[:count])
        ]
        people = people.balance(np.array(within) / cells.volumes_um3[:count], site.silicon_um3)
        targets = people.share_out(site.volume_um3)
        cells = fit_weights(slab, cells.seeds_um, cells.weights_um2, targets, tolerance=_ROUGH)
    return cells, people


_Facets = tuple[Floats, Floats, Crack | None]
"""The random part of a particle's mould, drawn once: facets, depths, crack."""


def _draw_facets(electrode: ElectrodeSettings, cracked: Flags, random: np.random.Generator) -> list[_Facets]:
    drawn = []
    for is_cracked in cracked:
        facets, (normal, axis) = random_normals(electrode.facets, random), random_normals(2, random)
        # Squares: a few deep facets and many shallow ones make shards, equal ones would round the particle off. Most
        # of the deep ones face along one axis, as a brittle crystal splits.
        depths = random.uniform(size=electrode.facets) ** 2 * (0.3 + 0.7 * (facets @ axis) ** 2)
        crack = Crack(normal, float(random.uniform(-0.3, 0.3)), electrode.crack_width_m * 1e6)
        drawn.append((facets, depths, crack if is_cracked else None))
    return drawn


def _make_moulds(
    site: _Site, cells: LaguerreCells, people: Population, drawn: list[_Facets]
) -> tuple[LaguerreCells, list[Mould]]:
    """Moulds that hold the silicon wanted: cells that are too tight grow at the cost of those with room to spare.

    A few of a very rough surface may stay too tight; their particles are smaller than wanted.
    """
    targets = cells.volumes_um3.copy()
    for _ in range(_REPACKINGS):
        # Rounded, so that what another machine adds up in another order gives the same cells.
        seeds, weights = cells.seeds_um.round(_DECIMALS), cells.weights_um2.round(_DECIMALS)
        lids = lower_lids(site.slab, seeds, weights)
        lidded = cut_laguerre(site.slab, seeds, weights, lids=lids)
        moulds = [
            Mould(make_room(_cell_shape(lidded, site.slab, i), people.gap_um), *part) for i, part in enumerate(drawn)
        ]
        held = np.array([crack_body(mould.room, mould.crack).silicon_um3 for mould in moulds])
        ratio = held / people.silicon_um3
        if ratio.min() > _RESERVE:
            return lidded, moulds
        targets[: len(held)] /= np.clip(ratio, 0.5, 2)
        targets *= cells.volumes_um3.sum() / targets.sum()
        cells = fit_weights(site.slab, seeds, weights, targets, tolerance=_FINE)
    if np.maximum(people.silicon_um3 - held, 0).sum() < _MISSING * people.silicon_um3.sum():
        return lidded, moulds
    raise InputError(
        f"silicon_fraction must leave room for gaps (got {site.silicon_fraction:g}: "
        f"{(ratio < _RESERVE).sum()} of {len(ratio)} particles do not fit): "
        "lower silicon_fraction, least_gap_m or crack_width_m"
    )


def _make_bodies(site: _Site, cells: LaguerreCells, moulds: list[Mould], silicon_um3: Floats) -> list[Body]:
    """Bodies whose silicon is in the given ratios, and in the field as much as wanted."""
    centres = cells.centroids_um[: len(moulds)]
    factor = 1.0
    for _ in range(1 + _SCALINGS):
        bodies = [make_body(mould, factor * silicon) for mould, silicon in zip(moulds, silicon_um3, strict=True)]
        found = sum(
            silicon_within(body, site.low_um - centre, site.high_um - centre)
            for body, centre in zip(bodies, centres, strict=True)
        )
        factor *= site.silicon_um3 / found
    return bodies


def _make_grains(
    body: Body, mechanism: Mechanism, lithiation: LithiationSettings, random: np.random.Generator
) -> list[Grain]:
    if mechanism == Mechanism.NETWORK:
        return make_network(body.shape, body.pieces, lithiation.network_planes, lithiation.network_branches, random)
    if mechanism == Mechanism.ONE_SIDED:
        return make_one_sided(body.pieces[0], random)
    return make_cores(body.pieces)


def _join(parts: list[Floats]) -> tuple[Floats, Integers]:
    """Rows of all parts, and where each part begins."""
    first = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return np.concatenate([*parts, np.zeros((0, 3))]), first


def build_microstructure(settings: TwinSettings) -> Microstructure:
    """Pack the electrode of the settings: particles, cracks, grains, zones without particle, the rough surface.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    Microstructure
        The same for the same settings, seed included.

    Raises
    ------
    InputError
        If the particles do not fit.
    """
    random = np.random.default_rng([settings.seed, 1])
    electrode, lithiation = settings.electrode, settings.lithiation
    site = _make_site(settings, random)
    sides = (site.high_um - site.low_um)[1:]
    cells, people = _pack(site, make_population(electrode, sides, _MARGIN_UM, random), random)
    z, y, x = cells.centroids_um[: len(people.diameters_um)].T
    depths = site.slab.surface.height(y, x) - z
    mechanisms, cracked = choose_mechanisms(lithiation, electrode, people.diameters_um, depths, random)
    cells, moulds = _make_moulds(site, cells, people, _draw_facets(electrode, cracked, random))
    bodies = _make_bodies(site, cells, moulds, people.silicon_um3)
    grains = [
        _make_grains(body, Mechanism(mechanism), lithiation, random)
        for body, mechanism in zip(bodies, mechanisms, strict=True)
    ]
    return _assemble(site.slab, cells, people, bodies, grains, mechanisms, cracked)


def _assemble(
    slab: Slab,
    cells: LaguerreCells,
    people: Population,
    bodies: list[Body],
    grains: list[list[Grain]],
    mechanisms: NDArray[np.int8],
    cracked: Flags,
) -> Microstructure:
    total, count = len(cells.seeds_um), len(bodies)
    centres = cells.centroids_um
    empty = [np.zeros((0, 3))] * (total - count)
    nowhere = np.zeros(3)
    cell_planes, cell_first = _join([gauge_vectors(_cell_shape(cells, slab, i), nowhere) for i in range(total)])
    body_planes, body_first = _join([gauge_vectors(body.shape, nowhere) for body in bodies] + empty)
    each = [grain for group in grains for grain in group]
    owner = np.repeat(np.arange(count), [len(group) for group in grains])
    grain_planes, grain_plane_first = _join([gauge_vectors(grain.shape, grain.centre_um) for grain in each])
    volumes = np.zeros(total)
    volumes[:count] = [sum(grain.shape.volume_um3 for grain in group) for group in grains]
    index = np.arange(total)
    return Microstructure(
        box_um=np.stack([slab.low_um, slab.high_um]),
        surface_level_um=slab.surface.level_um,
        surface_waves=slab.surface.waves,
        seeds_um=cells.seeds_um,
        weights_um2=cells.weights_um2,
        labels=np.where(index < count, index + 1, 0).astype(np.int32),
        binder_zone=(index >= count) & (index < count + people.binder_zones),
        centres_um=centres,
        cell_planes=cell_planes,
        cell_first=cell_first,
        body_planes=body_planes,
        body_first=body_first,
        grain_first=np.append(0, np.cumsum([*map(len, grains), *[0] * (total - count)])).astype(np.int64),
        grain_centres_um=np.array([grain.centre_um for grain in each]) + centres[owner],
        grain_planes=grain_planes,
        grain_plane_first=grain_plane_first,
        grain_volumes_um3=np.array([grain.shape.volume_um3 for grain in each]),
        volumes_um3=volumes,
        diameters_um=(6 * volumes / np.pi) ** (1 / 3),
        mechanisms=np.concatenate([mechanisms, np.full(total - count, -1)]).astype(np.int8),
        cracked=np.concatenate([cracked, np.zeros(total - count, dtype=bool)]),
    )

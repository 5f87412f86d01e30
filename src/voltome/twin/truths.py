"""What is true of the twin at each step: particles, thickness, strain of its regions, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.fields import DeformationField, NodeStatus
from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.microstructure import Mechanism
from voltome.twin.phases import CONTRAST_COMPOSITION

Floats = NDArray[np.float64]
Row = dict[str, Any]

_POINTS = 1000  # about so many lattice points in each particle
_COLUMN_UM = 0.4
_LAYERS = 64


@dataclass(frozen=True, eq=False)
class ParticleTruth:
    """Particles of a step.

    Parameters
    ----------
    labels : (P,) int64
    field : DeformationField
        Phi of each particle's silicon about its centroid at T0, from the scan of T0 to that of the step, in voxels:
        the affine motion that fits all of it best.
    columns : dict of (P,) arrays
        Mechanism, cracked, reacted fraction, volumes, centroid in the step's scan and more.
    """

    labels: NDArray[np.int64]
    field: DeformationField
    columns: dict[str, NDArray[Any]]


def find_particles(twin: ElectrodeTwin, number: int) -> ParticleTruth:
    """Truth of each particle, also of those in the margin around the field (`in_field` 0), which drift may bring in:
    those have status -5.

    Parameters
    ----------
    twin : ElectrodeTwin
    number : int
        Step.

    Returns
    -------
    ParticleTruth
        In the order of labels. Centroids are good to about 0.01 micrometre: sums over a lattice of some 1000 points.
    """
    structure, voxel = twin.structure, twin.voxel_um
    held, first, points, gauges = _lay_lattice(twin)
    owner = np.repeat(np.arange(len(held)), np.diff(first))
    step = twin.step(number)
    arrived, gradients, kinds = twin.move_matter(number, points)
    stretch = np.linalg.det(gradients) / float(np.linalg.det(step.drift.linear))
    start = points / voxel  # the scan of T0 has no drift
    reacted = step.matter.reacted[held]
    through = step.matter.motion.core_gauge[kinds[:, 2]] < 0  # grains that react all through
    content = np.where(
        through,
        twin.settings.lithiation.composition * reacted[owner],
        np.where(gauges > _find_visible_front(twin, number)[held][owner], np.inf, 0.0),
    )
    unreacted = content < CONTRAST_COMPOSITION
    inside = ((start > -0.5) & (start < np.asarray(twin.settings.shape) - 0.5)).all(axis=1)

    def mean(values: Floats, weights: Floats) -> Floats:
        total = np.maximum(np.bincount(owner, weights, len(held)), 1e-30)
        return np.stack([np.bincount(owner, weights * v, len(held)) / total for v in values.T], axis=1)

    middle = mean(start, np.ones(len(points)))
    field = DeformationField.from_phi(middle, _fit_affine(start - middle[owner], arrived, middle, owner))
    now = mean(arrived, stretch)
    seen = mean(arrived, unreacted * stretch)
    volume = structure.volumes_um3[held] * 1e-18
    volumes = {
        "volume_m3": volume,
        "volume_now_m3": volume * (1.0 + twin.lithiation.swelling * reacted),
        "non_lithiated_volume_m3": volume * np.bincount(owner, unreacted * stretch, len(held))
        / np.bincount(owner, minlength=len(held)),
    }  # fmt: skip
    columns: dict[str, NDArray[Any]] = {
        "mechanism": np.array([Mechanism(m).name.lower().replace("_", "-") for m in structure.mechanisms[held]]),
        "cracked": structure.cracked[held].astype(np.int64),
        "lithiated_fraction": reacted,
        "diameter_m": structure.diameters_um[held] * 1e-6,
        **volumes,
        **{f"{axis}now": now[:, k] for k, axis in enumerate("ZYX")},
        **{f"{axis}seen": seen[:, k] for k, axis in enumerate("ZYX")},
        "in_field": np.bincount(owner, inside, len(held)) / np.bincount(owner, minlength=len(held)),
    }
    shown = columns["in_field"] > 0
    known = np.where(shown, NodeStatus.CONVERGED, NodeStatus.MASKED).astype(np.int32)
    return ParticleTruth(structure.labels[held].astype(np.int64), field.with_values(status=known), columns)


def _find_visible_front(twin: ElectrodeTwin, number: int) -> Floats:
    """Gauge of each cell's grains at which silicon loses its contrast, (N,): where x is `CONTRAST_COMPOSITION`."""
    from voltome.twin.object_loops import lithium_ramp

    rules = twin.settings.lithiation
    share = CONTRAST_COMPOSITION / rules.composition - 0.5
    front = twin.step(number).matter.front
    ramps = np.array([lithium_ramp(float(kappa), rules.front_width) for kappa in front])
    return np.where(front > 0.9999, 1.0, ramps[:, 0] + share * ramps[:, 1])


def _lay_lattice(twin: ElectrodeTwin) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
    """Cells with a particle in the order of labels, first rows, lattice points of their silicon, and grains' gauges."""

    def lay() -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
        from voltome.twin.grain_loops import lattice_grains

        structure, held, reach = twin.structure, twin.lithiation.held, twin.lithiation.reach_um
        order = np.argsort(structure.labels[held])
        held, reach = held[order], reach[order]
        spacing = np.cbrt(structure.volumes_um3[held] / _POINTS)
        first = np.zeros(len(held) + 1, dtype=np.int64)
        lattice_grains(twin.cells, held, reach, spacing, first, np.empty((0, 3)), np.empty(0))
        points, gauges = np.empty((int(first[-1]), 3)), np.empty(int(first[-1]))
        lattice_grains(twin.cells, held, reach, spacing, first, points, gauges)
        return held, first, points, gauges

    return twin.cached("lattice", lay)


def _fit_affine(offsets: Floats, arrived: Floats, middle: Floats, owner: NDArray[np.int64]) -> Floats:
    """Least-squares Phi (P, 4, 4) of each particle about its middle."""
    count = len(middle)
    total = np.bincount(owner, minlength=count)
    place = np.stack([np.bincount(owner, arrived[:, k], count) / total for k in range(3)], axis=1)
    relative = arrived - place[owner]
    spread, cross = np.empty((count, 3, 3)), np.empty((count, 3, 3))
    for i in range(3):
        for j in range(3):
            spread[:, i, j] = np.bincount(owner, offsets[:, i] * offsets[:, j], count)
            cross[:, i, j] = np.bincount(owner, relative[:, i] * offsets[:, j], count)
    phi = np.tile(np.eye(4), (count, 1, 1))
    phi[:, :3, :3] = cross @ np.linalg.inv(spread)
    phi[:, :3, 3] = place - middle
    return phi


def map_thickness(twin: ElectrodeTwin, number: int) -> NDArray[np.float32]:
    """Thickness of the electrode above each pixel of the field, in the frame of T0 (drift taken out).

    Parameters
    ----------
    twin : ElectrodeTwin
    number : int
        Step.

    Returns
    -------
    (ny, nx) float32
        Metres, from the collector to the surface on the separator's side.
    """
    from voltome.twin.carrier_loops import displace_points

    carrier = twin.step(number).matter.motion.carrier
    y, x = np.meshgrid(*[np.arange(n) * twin.voxel_um for n in twin.settings.shape[1:]], indexing="ij")
    points = np.stack([np.zeros_like(y), y, x], axis=-1).reshape(-1, 3)
    target = points[:, 1:].copy()
    displacement = np.zeros(points.shape)
    for _ in range(12):  # the in-plane strain is a few per cent: each turn gains a factor of 30 or more
        points[:, 1:] = target - displacement[:, 1:]
        points[:, 0] = twin.structure.surface.height(points[:, 1], points[:, 2])
        displace_points(carrier, points, displacement)
    height = points[:, 0] + displacement[:, 0] - twin.settings.collector_m * 1e6
    return np.asarray(height.reshape(y.shape) * 1e-6, dtype=np.float32)


def _columns(twin: ElectrodeTwin, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Points of the electrode at T0 over a lateral range, (ny, nx, layers, 3), and the volume each stands for."""
    counts = np.ceil((high - low) / _COLUMN_UM).astype(int)
    axes = [a + (np.arange(n) + 0.5) * (b - a) / n for a, b, n in zip(low, high, counts, strict=True)]
    y, x = np.meshgrid(*axes, indexing="ij")
    bottom = twin.settings.collector_m * 1e6
    depth = (twin.structure.surface.height(y, x) - bottom)[..., None] / _LAYERS
    z = bottom + (np.arange(_LAYERS) + 0.5) * depth
    points = np.stack(np.broadcast_arrays(z, y[..., None], x[..., None]), axis=-1)
    area = float(np.prod((high - low) / counts))
    return points, np.broadcast_to(area * depth, z.shape)


def measure_steps(twin: ElectrodeTwin) -> list[Row]:
    """True numbers of each step: charge, thickness, strain of the whole electrode and of its two sides, drift.

    Parameters
    ----------
    twin : ElectrodeTwin

    Returns
    -------
    list of dict
        One row for each step. Strains are means of F - 1 and of det F - 1 against T0 over the matter that the field
        shows at T0; the sides are parted by the plane half way up at T0, which moves with the material.
    """
    from voltome.twin.carrier_loops import measure_gradients

    field = np.asarray(twin.settings.shape[1:]) * twin.voxel_um
    points, weight = _columns(twin, np.zeros(2), field)
    flat = np.ascontiguousarray(points.reshape(-1, 3))
    upper = np.broadcast_to(np.arange(_LAYERS) >= _LAYERS // 2, weight.shape).ravel()
    weight = weight.ravel()
    rows = []
    for number, step in enumerate(twin.settings.steps):
        gradients = np.empty((len(flat), 9))
        measure_gradients(twin.step(number).matter.motion.carrier, flat, gradients)
        jacobian = np.linalg.det(gradients.reshape(-1, 3, 3)) - 1.0
        thickness = map_thickness(twin, number).astype(np.float64)
        drift = twin.drifts[number]
        row: Row = {
            "step": step.name,
            "soc": step.soc,
            "charge_ah": float(twin.charge.charge_ah[number]),
            "thickness_m": float(thickness.mean()),
            "thickness_sd_m": float(thickness.std()),
        }
        for side, use in (("", slice(None)), ("_collector_side", ~upper), ("_separator_side", upper)):
            row[f"volumetric_strain{side}"] = float(np.average(jacobian[use], weights=weight[use]))
            row[f"axial_strain{side}"] = float(np.average(gradients[use, 0], weights=weight[use])) - 1.0
        row["in_plane_strain_yy"] = float(np.average(gradients[:, 4], weights=weight)) - 1.0
        row["in_plane_strain_xx"] = float(np.average(gradients[:, 8], weights=weight)) - 1.0
        row |= {f"drift_{axis}_m": float(drift.translation_um[k]) * 1e-6 for k, axis in enumerate("zyx")}
        row |= {f"rotation_{axis}_rad": float(drift.rotation_rad[k]) for k, axis in enumerate("zyx")}
        row["magnification"] = float(drift.magnification)
        rows.append(row)
    return rows


def list_events(twin: ElectrodeTwin) -> list[Row]:
    """The bubble at each step that it is there, and the repeat scans.

    Parameters
    ----------
    twin : ElectrodeTwin

    Returns
    -------
    list of dict
        event, step, and for a bubble its centre in the frame of T0 (m), its place in the step's scan (voxels), its
        radius in the material (m) and the gas's volume now (m3).
    """
    from voltome.twin.render import find_bubble, measure_bubble

    rows: list[Row] = []
    for number, step in enumerate(twin.settings.steps):
        if step.bubble_radius_m > 0:
            centre = find_bubble(twin)
            place, _, _ = twin.move_matter(number, centre[None])
            row: Row = {"event": "bubble", "step": step.name}
            row |= {f"{axis}_m": float(centre[k]) * 1e-6 for k, axis in enumerate("zyx")}
            row |= {f"{axis}_vox": float(place[0, k]) for k, axis in enumerate("zyx")}
            rows.append(row | {"radius_m": step.bubble_radius_m, "volume_m3": measure_bubble(twin, number) * 1e-18})
        if step.repeat:
            rows.append({"event": "repeat scan", "step": step.name})
    return rows


def measure_slab(twin: ElectrodeTwin, number: int) -> float:
    """Volume of the whole modelled electrode at a step, cubic micrometres: det F summed over its matter."""
    from voltome.twin.carrier_loops import measure_stretch

    points, weight = _columns(twin, twin.structure.box_um[0, 1:], twin.structure.box_um[1, 1:])
    flat = np.ascontiguousarray(points.reshape(-1, 3))
    stretch = np.empty(len(flat))
    measure_stretch(twin.step(number).matter.motion.carrier, flat, stretch)
    return float(stretch @ weight.ravel())


def measure_silicon(twin: ElectrodeTwin, number: int) -> float:
    """Volume of all silicon at a step, cubic micrometres: det F summed over its matter, to about 3e-3."""
    held, first, points, _ = _lay_lattice(twin)
    _, gradients, _ = twin.move_matter(number, points)
    stretch = np.linalg.det(gradients) / float(np.linalg.det(twin.step(number).drift.linear))
    mean = np.add.reduceat(stretch, first[:-1]) / np.diff(first)
    return float((mean * twin.structure.volumes_um3[held]).sum())

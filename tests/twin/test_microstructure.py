"""The electrode at T0: its fractions and sizes in the field, its gaps, cracks and mechanisms, and its seed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from voltome.errors import InputError
from voltome.twin.configuration import TwinSettings, make_settings
from voltome.twin.microstructure import Mechanism, Microstructure, build_microstructure
from voltome.twin.setting_groups import GROWTH_ROOM
from voltome.twin.sizes import weighted_percentiles


def make_test_settings(**groups: Any) -> TwinSettings:
    plain = make_settings("tiny").model_dump()
    for name, values in groups.items():
        plain[name] = {**plain[name], **values} if isinstance(values, dict) else values
    return TwinSettings.model_validate(plain)


SETTINGS = make_test_settings()
SMALL = make_test_settings(shape=(96, 32, 36))  # a field of 12.8 x 14.4 um


@pytest.fixture(scope="module")
def structure() -> Microstructure:
    return build_microstructure(SETTINGS)


@dataclass(frozen=True)
class Sample:
    """Random points of the field's electrode, one in each box of a grid: owner, gauges, grains that hold them."""

    points: np.ndarray
    cells: np.ndarray
    cell_gauge: np.ndarray
    body_gauge: np.ndarray
    grains: np.ndarray
    share: float  # of the field's electrode that a point stands for


def find_height(structure: Microstructure, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    amplitude, ky, kx, phase = structure.surface_waves.T
    return structure.surface_level_um + np.sin(np.outer(y, ky) + np.outer(x, kx) + phase) @ amplitude


def find_owner(structure: Microstructure, points: np.ndarray) -> np.ndarray:
    lift = np.sqrt(structure.weights_um2.max() - structure.weights_um2)
    tree = cKDTree(np.column_stack([structure.seeds_um, lift]))
    return tree.query(np.column_stack([points, np.zeros(len(points))]))[1]


def planes_of(planes: np.ndarray, first: np.ndarray, i: int) -> np.ndarray:
    return planes[first[i] : first[i + 1]]


@pytest.fixture(scope="module")
def sample(structure: Microstructure) -> Sample:
    step = 0.4
    voxel = SETTINGS.voxel_size_m * 1e6
    low = np.array([structure.box_um[0, 0], -voxel / 2, -voxel / 2])
    high = np.array([structure.box_um[1, 0], *((np.array(SETTINGS.shape[1:]) - 0.5) * voxel)])
    counts = np.round((high - low) / step).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in counts], indexing="ij"), axis=-1).reshape(-1, 3)
    points = low + (grid + np.random.default_rng(0).uniform(size=grid.shape)) * (high - low) / counts
    points = points[points[:, 0] < find_height(structure, points[:, 1], points[:, 2])]
    cells = find_owner(structure, points)
    cell_gauge, body_gauge = np.empty(len(points)), np.full(len(points), np.inf)
    grains = np.zeros(len(points), dtype=int)
    for i in np.unique(cells):
        rows = np.flatnonzero(cells == i)
        offset = points[rows] - structure.centres_um[i]
        cell_gauge[rows] = (offset @ planes_of(structure.cell_planes, structure.cell_first, i).T).max(axis=1)
        if structure.labels[i]:
            body_gauge[rows] = (offset @ planes_of(structure.body_planes, structure.body_first, i).T).max(axis=1)
        for g in range(structure.grain_first[i], structure.grain_first[i + 1]):
            planes = planes_of(structure.grain_planes, structure.grain_plane_first, g)
            grains[rows] += ((points[rows] - structure.grain_centres_um[g]) @ planes.T).max(axis=1) < 1
    return Sample(points, cells, cell_gauge, body_gauge, grains, 1 / len(points))


def test_silicon_of_the_field_has_its_fraction(sample: Sample) -> None:
    # one random point in each box of a grid errs by about 0.1 % here
    assert (sample.grains > 0).mean() == pytest.approx(SETTINGS.electrode.silicon_fraction, rel=0.005)


def test_sizes_of_the_field_have_their_percentiles(structure: Microstructure, sample: Sample) -> None:
    silicon = np.bincount(sample.cells[sample.grains > 0], minlength=len(structure.labels)).astype(float)
    electrode = SETTINGS.electrode
    wanted = np.array([electrode.diameter_d10_m, electrode.diameter_d50_m, electrode.diameter_d90_m]) * 1e6
    there = silicon > 0
    np.testing.assert_allclose(weighted_percentiles(structure.diameters_um[there], silicon[there]), wanted, rtol=0.03)


def test_no_point_is_in_two_grains_and_none_outside_its_particle(sample: Sample) -> None:
    assert sample.grains.max() == 1
    assert (sample.body_gauge[sample.grains > 0] < 1).all()


def test_particles_are_grains_and_cracks(structure: Microstructure, sample: Sample) -> None:
    hollow = (sample.body_gauge < 1) & (sample.grains == 0)
    assert structure.cracked[sample.cells[hollow]].all()
    assert 0.002 < hollow.mean() < 0.03


def test_cells_fill_the_electrode_up_to_its_surface(structure: Microstructure, sample: Sample) -> None:
    left_over = sample.cell_gauge >= 1
    assert left_over.mean() < 0.01
    depth = find_height(structure, *sample.points[left_over, 1:].T) - sample.points[left_over, 0]
    assert depth.max() < 1.0  # only lids, flat under a rough surface, leave something


def test_zones_without_particle_have_their_share(structure: Microstructure, sample: Sample) -> None:
    empty = structure.labels[sample.cells] == 0
    binder = structure.binder_zone[sample.cells]
    assert empty.mean() == pytest.approx(0.08, abs=0.025)
    assert binder.mean() == pytest.approx(0.05, abs=0.025)
    assert not (structure.binder_zone & (structure.labels > 0)).any()


def test_labels_count_the_particles(structure: Microstructure) -> None:
    labels = structure.labels[structure.labels > 0]
    assert sorted(labels.tolist()) == list(range(1, len(labels) + 1))
    assert ((structure.mechanisms >= 0) == (structure.labels > 0)).all()
    assert (np.diff(structure.body_first)[structure.labels == 0] == 0).all()
    assert (np.diff(structure.grain_first)[structure.labels == 0] == 0).all()


def test_bodies_keep_their_gaps_and_room_to_grow(structure: Microstructure) -> None:
    directions = np.random.default_rng(3).normal(size=(400, 3))
    for i in np.flatnonzero(structure.labels > 0):
        cell = planes_of(structure.cell_planes, structure.cell_first, i)
        body = planes_of(structure.body_planes, structure.body_first, i)
        slope = (directions @ body.T).max(axis=1)
        assert (slope >= (GROWTH_ROOM - 1e-9) * (directions @ cell.T).max(axis=1)).all()
        points = directions / slope[:, None]  # on the body's surface
        clearance = (1 - points @ cell.T) / np.linalg.norm(cell, axis=1)
        assert clearance.min() > SETTINGS.electrode.least_gap_m * 1e6 / 2 - 1e-9


def test_cells_are_laguerre_cells_between_collector_and_surface(structure: Microstructure) -> None:
    directions = np.random.default_rng(4).normal(size=(60, 3))
    for i in range(len(structure.labels)):
        planes = planes_of(structure.cell_planes, structure.cell_first, i)
        points = structure.centres_um[i] + 0.999999 * directions / (directions @ planes.T).max(axis=1)[:, None]
        assert (find_owner(structure, points) == i).all()
        assert (points >= structure.box_um[0]).all() and (points <= structure.box_um[1]).all()
        assert (points[:, 0] < find_height(structure, points[:, 1], points[:, 2]) + 1e-3).all()


def test_particles_are_angular(structure: Microstructure) -> None:
    faces = np.diff(structure.body_first)[structure.labels > 0]
    assert np.percentile(faces, 5) >= 8 and np.median(faces) <= 20


def test_grains_add_up_to_the_particle(structure: Microstructure) -> None:
    owner = np.repeat(np.arange(len(structure.labels)), np.diff(structure.grain_first))
    added = np.bincount(owner, structure.grain_volumes_um3, len(structure.labels))
    np.testing.assert_allclose(added, structure.volumes_um3, rtol=1e-12)
    np.testing.assert_allclose(np.pi / 6 * structure.diameters_um**3, structure.volumes_um3)


def test_cracked_particles_are_nearer_the_separator(structure: Microstructure) -> None:
    particles = np.flatnonzero(structure.labels > 0)
    depth = find_height(structure, *structure.centres_um[:, 1:].T) - structure.centres_um[:, 0]
    cracked = structure.cracked[particles]
    assert cracked.sum() == round(0.06 * len(particles))
    large = structure.diameters_um[particles] > structure.diameters_um[particles][cracked].min()
    assert depth[particles][cracked].mean() < 0.7 * depth[particles][~cracked & large].mean()


def test_a_tenth_of_the_particles_are_core_and_shell(structure: Microstructure) -> None:
    mechanisms = structure.mechanisms[structure.labels > 0]
    core_shell = mechanisms == Mechanism.CORE_SHELL
    assert core_shell.sum() == round(0.1 * len(mechanisms))
    assert (mechanisms[~core_shell] == Mechanism.NETWORK).all()
    counts = np.diff(structure.grain_first)[structure.labels > 0]
    assert (counts[core_shell] == 1).all()
    assert (counts[~core_shell] >= 3).mean() > 0.95 and np.median(counts[~core_shell]) == 6


def test_hard_cases_get_their_mechanisms() -> None:
    wanted = {"core_shell_fraction": 0.2, "one_sided_fraction": 0.3, "cracked_core_shell_fraction": 0.1}
    structure = build_microstructure(
        make_test_settings(shape=(96, 32, 36), lithiation=wanted, electrode={"cracked_fraction": 0.05})
    )
    has = structure.labels > 0
    counts = np.bincount(structure.mechanisms[has], minlength=4) / has.sum()
    np.testing.assert_allclose(counts, [0.2, 0.4, 0.3, 0.1], atol=0.01)
    both = structure.mechanisms == Mechanism.CRACKED_CORE_SHELL
    assert (structure.cracked == both).all()
    assert (np.diff(structure.grain_first)[both] == 2).all()
    assert (np.diff(structure.grain_first)[structure.mechanisms == Mechanism.ONE_SIDED] == 1).all()


def test_same_seed_gives_the_same_arrays_and_another_seed_others() -> None:
    one, again = build_microstructure(SMALL), build_microstructure(SMALL)
    for field in fields(Microstructure):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(again, field.name), strict=True)
    other = build_microstructure(SMALL.model_copy(update={"seed": 2}))
    assert other.seeds_um.shape != one.seeds_um.shape or np.abs(other.seeds_um - one.seeds_um).max() > 1


@pytest.mark.parametrize(
    ("electrode", "words"),
    [
        ({"least_gap_m": 1e-6}, r"silicon_fraction must leave room for gaps \(got 0.554: .*lower silicon_fraction"),
        (
            {"diameter_d10_m": 2e-5, "diameter_d50_m": 3e-5, "diameter_d90_m": 4e-5},
            r"the field must hold at least 4 particles \(got",
        ),
    ],
)
def test_particles_that_do_not_fit_are_refused(electrode: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_microstructure(make_test_settings(shape=(96, 32, 36), electrode=electrode))

"""Copper's grains and face, the separator's fibres."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.noise_loops import mix_seed
from voltome.twin.texture_of_layers import build_fibres
from voltome.twin.texture_of_layers_loops import collector_face, collector_grain, in_fibre

SEED = mix_seed(3, 1)
LOW, HIGH = (21.0, -2.0, -2.0), (52.0, 28.0, 26.0)


@pytest.fixture(scope="module")
def fibres():
    return build_fibres(LOW, HIGH, fraction=0.45, diameter_um=1.5, seed=3)


def test_fibres_fill_their_fraction_at_every_depth(fibres):
    points = np.random.default_rng(1).uniform(LOW, HIGH, (40_000, 3))
    inside = np.array([in_fibre(z, y, x, fibres) for z, y, x in points])
    assert inside.mean() == pytest.approx(0.45, abs=0.012)
    quarter = ((points[:, 0] - LOW[0]) / (HIGH[0] - LOW[0]) * 4).astype(int)
    assert [inside[quarter == q].mean() for q in range(4)] == pytest.approx([0.45] * 4, abs=0.08)


def test_fibres_lie_in_plane_with_the_asked_diameter_in_all_directions(fibres):
    direction = fibres.lines[:, 3:6]
    assert np.linalg.norm(direction, axis=1) == pytest.approx(np.ones(len(direction)))
    assert np.abs(direction[:, 0]).max() < 0.5
    assert (direction[:, 1] ** 2).mean() == pytest.approx(0.5, abs=0.1)
    diameters = 2 * np.sqrt(fibres.lines[:, 6])
    assert diameters.mean() == pytest.approx(1.5, rel=0.05)
    assert diameters.min() >= 1.0 - 1e-9 and diameters.max() <= 2.0 + 1e-9


def test_cells_of_fibres_miss_none(fibres):
    points = np.random.default_rng(2).uniform(LOW, HIGH, (3000, 3))
    offsets = points[:, None] - fibres.lines[None, :, :3]
    along = (offsets * fibres.lines[None, :, 3:6]).sum(axis=2)
    squared = (offsets**2).sum(axis=2) - along**2
    expected = (squared < fibres.lines[:, 6]).any(axis=1)
    assert expected.any() and not expected.all()
    assert [in_fibre(z, y, x, fibres) for z, y, x in points] == expected.tolist()


def test_a_seed_gives_the_same_fibres_and_another_seed_others(fibres):
    again, other = (build_fibres(LOW, HIGH, fraction=0.45, diameter_um=1.5, seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(again.lines, fibres.lines)
    np.testing.assert_array_equal(again.members, fibres.members)
    assert not np.array_equal(other.lines[:50], fibres.lines[:50])


def test_beyond_the_box_there_are_still_fibres(fibres):
    inside = [in_fibre(z, y, x, fibres) for z, y, x in np.random.default_rng(3).uniform(HIGH, 60, (2000, 3))]
    assert 0 < np.mean(inside) < 1


def test_the_collectors_face_has_its_roughness():
    points = np.random.default_rng(4).uniform(-200, 200, (30_000, 2))
    face = np.array([collector_face(y, x, SEED) for y, x in points])
    assert face.std() == pytest.approx(0.15, rel=0.03)
    assert abs(face.mean()) < 0.005


def test_a_copper_grain_is_uniform_inside_and_has_the_asked_size():
    length, step = 1.5, 0.1
    line = np.array([collector_grain(1.1, 0.3, x, length, SEED) for x in np.arange(0, 3000, step)])
    assert line.std() == pytest.approx(1.0, rel=0.03)
    assert abs(line.mean()) < 0.1
    crossings = np.count_nonzero(np.diff(line)) * length / (len(line) * step)
    assert crossings == pytest.approx(1.46, rel=0.1)  # mean chord of a Poisson-Voronoi cell: 0.687 of its edge

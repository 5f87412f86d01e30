"""Mean strains of the electrode and of its sides."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.electrode import Frame, SmoothMotion, measure_strains
from voltome.electrode.motion import TERMS
from voltome.electrode.regions import REGIONS, STRAINS

THICKNESS, HALF = 50.0, np.array([40.0, 46.0])
FRAME = Frame(np.array([12.0, 0.0, 0.0]), np.array([39.5, 45.5]), HALF, THICKNESS)
HIGH = Frame(np.array([88.0, 0.0, 0.0]), FRAME.middle_vox, HALF, THICKNESS, -1.0)
POWERS = [(k, i, j) for k in (1, 2, 3, 4) for i, j in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))]
LEVEL = np.column_stack([np.ones(64), np.random.default_rng(0).uniform(-1, 1, (64, 2))])


def make_motion(terms, frame=FRAME):
    """`terms`: (component, (depth, y, x)) -> voxels."""
    coefficients = np.zeros((TERMS, 3))
    for (axis, power), value in terms.items():
        coefficients[POWERS.index(power), axis] = value
    return SmoothMotion(
        frame, coefficients, np.zeros((3, TERMS, TERMS)), np.zeros((3, TERMS, 0)), 0, np.zeros(3)
    )  # fmt: skip


def read(motion, top=LEVEL):
    return {(mean.name, mean.region): mean.value for mean in measure_strains(motion, top)}


def test_growth_by_depth_gives_the_analytic_strains():
    """u_z = 10 d + 8 d^2 on 50 voxels: 36 % in all, 28 % on the collector's side, 44 % on the separator's."""
    found = read(make_motion({(0, (1, 0, 0)): 10.0, (0, (2, 0, 0)): 8.0}))
    for name in ("volumetric_strain", "axial_strain"):
        assert [found[name, region] for region in REGIONS] == pytest.approx([0.36, 0.28, 0.44], abs=1e-12)
    for name in STRAINS[2:]:
        assert [found[name, region] for region in REGIONS] == pytest.approx([0, 0, 0], abs=1e-12)


def test_widening_with_depth_multiplies_the_axial_strain():
    """Stretches 1.2 along z, 1 + 0.05 d along y: det F averages to 1.2 (1 + 0.05 / 2)."""
    found = read(make_motion({(0, (1, 0, 0)): 10.0, (1, (1, 1, 0)): 0.05 * HALF[0]}))
    expected = [1.2 * (1 + 0.05 * depth) - 1 for depth in (0.5, 0.25, 0.75)]
    assert [found["volumetric_strain", region] for region in REGIONS] == pytest.approx(expected, abs=1e-12)
    assert found["in_plane_strain_yy", "whole"] == pytest.approx(0.025, abs=1e-12)
    assert found["in_plane_strain_xx", "whole"] == pytest.approx(0.0, abs=1e-12)


def test_a_rigid_slide_along_the_layers_is_no_volumetric_strain():
    found = read(make_motion({(1, (1, 0, 0)): 6.0, (2, (2, 0, 0)): -4.0}))
    assert list(found.values()) == pytest.approx([0.0] * len(found), abs=1e-12)


@pytest.fixture
def any_motion():
    rng = np.random.default_rng(3)
    return make_motion({(axis, power): rng.normal(0, 1.5) for axis in range(3) for power in POWERS})


@pytest.fixture
def uneven():
    rng = np.random.default_rng(4)
    return np.column_stack([rng.uniform(0.7, 1.2, 80), rng.uniform(-1, 1, (80, 2))])


def test_the_sides_average_to_the_whole(any_motion, uneven):
    found = read(any_motion, uneven)
    for name in STRAINS:
        sides = [found[name, region] for region in REGIONS[1:]]
        assert np.mean(sides) == pytest.approx(found[name, "whole"], abs=1e-12)


def test_thick_columns_count_more():
    """Strain grows along x and so does thickness: the mean is that over matter, not over the field."""
    x = np.linspace(-1, 1, 101)
    top = np.column_stack([1.0 + 0.4 * x, np.zeros(101), x])
    found = read(make_motion({(0, (1, 0, 1)): 10.0}), top)
    assert found["axial_strain", "whole"] == pytest.approx(0.2 * np.average(x, weights=top[:, 0]), abs=1e-12)
    assert found["axial_strain", "whole"] > 0.02


def test_a_collector_at_high_z_sees_the_same_strain():
    """The mirror image of a motion: axial displacement the other way."""
    terms = {(0, (1, 0, 0)): 10.0, (0, (2, 0, 1)): 3.0, (1, (1, 1, 0)): 1.0, (2, (2, 1, 0)): 0.7}
    mirrored = {key: -value if key[0] == 0 else value for key, value in terms.items()}
    assert read(make_motion(mirrored, HIGH)) == pytest.approx(read(make_motion(terms)), abs=1e-12)


def test_slopes_are_the_derivatives_by_the_coefficients(any_motion, uneven):
    step, rng = 1e-5, np.random.default_rng(5)
    direction = rng.standard_normal(any_motion.coefficients.shape)
    values = []
    for sign in (1, -1):
        moved = any_motion.coefficients + sign * step * direction
        motion = SmoothMotion(FRAME, moved, any_motion.inverses, any_motion.response, 0, any_motion.scatter_vox)
        values.append(read(motion, uneven))
    for mean in measure_strains(any_motion, uneven):
        numeric = (values[0][mean.name, mean.region] - values[1][mean.name, mean.region]) / (2 * step)
        assert float((mean.slope * direction).sum()) == pytest.approx(numeric, rel=1e-5, abs=1e-9)

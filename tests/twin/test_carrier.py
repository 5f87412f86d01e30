"""The smooth part of the electrode's motion."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.carrier import make_carrier, measure_growth
from voltome.twin.carrier_loops import displace_points, find_origin, measure_gradients
from voltome.twin.experiment import ElectrodeTwin


def electrode_points(twin: ElectrodeTwin, count: int, seed: int = 0) -> np.ndarray:
    """Random material points between collector and surface, under the field."""
    random = np.random.default_rng(seed)
    size = np.asarray(twin.settings.shape[1:]) * twin.voxel_um
    points = random.uniform((2.8, 0, 0), (26, *size), (count, 3))
    return points[twin.in_electrode(points)]


@pytest.mark.parametrize("number", [1, 2])
def test_mean_thickness_is_what_was_asked_for(tiny: ElectrodeTwin, number: int) -> None:
    step = tiny.settings.steps[number]
    growth = measure_growth(tiny.step(number).matter.motion.carrier, tiny.settings, tiny.structure)
    assert growth.mean() == pytest.approx((step.thickness_m - 20.7e-6) * 1e6, abs=1e-9)


def test_separator_side_strains_more_in_the_asked_ratio_at_the_thickest_step(tiny: ElectrodeTwin) -> None:
    carrier = tiny.step(2).matter.motion.carrier
    middle = measure_growth(carrier, tiny.settings, tiny.structure, depth=0.5).mean()
    top = measure_growth(carrier, tiny.settings, tiny.structure).mean()
    assert (top - middle) / middle == pytest.approx(50 / 34, rel=1e-6)


def test_thickness_gets_more_uneven_as_it_grows(tiny: ElectrodeTwin) -> None:
    growth = measure_growth(tiny.step(2).matter.motion.carrier, tiny.settings, tiny.structure)
    assert 1.0 < growth.std() < 2.5  # um, of 9.3 um


def test_copper_does_not_move(tiny: ElectrodeTwin) -> None:
    random = np.random.default_rng(3)
    points = random.uniform((0, 0, 0), (2.8, 25, 25), (500, 3))
    displacement = np.empty(points.shape)
    displace_points(tiny.step(2).matter.motion.carrier, points, displacement)
    assert np.abs(displacement).max() == 0.0


def test_separator_is_pushed_without_strain(tiny: ElectrodeTwin) -> None:
    carrier = tiny.step(2).matter.motion.carrier
    random = np.random.default_rng(3)
    points = random.uniform((28, 2, 2), (38, 23, 23), (500, 3))
    gradients = np.empty((500, 9))
    measure_gradients(carrier, points, gradients)
    assert gradients[:, 0] == pytest.approx(1.0, abs=1e-9)


def test_gradient_is_the_derivative_of_displacement(tiny: ElectrodeTwin) -> None:
    carrier = tiny.step(2).matter.motion.carrier
    points = electrode_points(tiny, 300)
    gradients = np.empty((len(points), 9))
    measure_gradients(carrier, points, gradients)
    for axis in range(3):
        sides = []
        for sign in (-1, 1):
            moved = points.copy()
            moved[:, axis] += sign * 1e-5
            displacement = np.empty(points.shape)
            displace_points(carrier, moved, displacement)
            sides.append(displacement + moved)
        slope = (sides[1] - sides[0]) / 2e-5
        assert slope == pytest.approx(gradients.reshape(-1, 3, 3)[:, :, axis], abs=1e-7)


def test_origin_of_a_moved_point_is_the_point(tiny: ElectrodeTwin) -> None:
    carrier = tiny.step(2).matter.motion.carrier
    points = electrode_points(tiny, 300)
    displacement = np.empty(points.shape)
    displace_points(carrier, points, displacement)
    for point, shift in zip(points[:100], displacement[:100], strict=True):
        place = tuple(point + shift)
        origin, _, found = find_origin(carrier, *place, place)
        assert found
        assert origin == pytest.approx(point, abs=1e-6)


def test_no_growth_is_no_motion(tiny: ElectrodeTwin) -> None:
    carrier = make_carrier(tiny.pattern, tiny.settings, tiny.structure, 20.7e-6)
    assert np.abs(carrier.coefficients).max() == 0.0


def test_strain_is_higher_where_more_silicon_reacts(tiny: ElectrodeTwin) -> None:
    """Among particles of like depth, cells of those that react most strain most."""
    centres = tiny.structure.centres_um[tiny.lithiation.held]
    reacted = tiny.step(2).matter.reacted[tiny.lithiation.held]
    gradients = np.empty((len(centres), 9))
    measure_gradients(tiny.step(2).matter.motion.carrier, np.ascontiguousarray(centres), gradients)
    middle = (centres[:, 0] > 8) & (centres[:, 0] < 18)
    assert np.corrcoef(reacted[middle], gradients[middle, 0])[0, 1] > 0.2

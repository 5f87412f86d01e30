"""How much reacts, and that the swelling is that of the lithium."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.silicon import LITHIUM_VOLUME


def test_mean_reacted_fraction_is_that_of_the_charge(tiny: ElectrodeTwin) -> None:
    volumes = tiny.structure.volumes_um3
    for number in range(3):
        mean = (tiny.step(number).matter.reacted * volumes).sum() / volumes.sum()
        assert mean == pytest.approx(float(tiny.charge.reacted_fraction[number]), abs=1e-12)


def test_nothing_has_reacted_at_first(tiny: ElectrodeTwin) -> None:
    assert tiny.step(0).matter.reacted.max() == 0.0


def test_the_front_leaves_the_unreacted_fraction_of_every_grain(tiny: ElectrodeTwin) -> None:
    matter = tiny.step(2).matter
    assert matter.front**3 == pytest.approx(1 - matter.reacted, abs=1e-12)


def test_particles_near_the_separator_react_more(tiny: ElectrodeTwin) -> None:
    held = tiny.lithiation.held
    depth, reacted = tiny.structure.centres_um[held, 0], tiny.step(2).matter.reacted[held]
    assert reacted[depth > 13.2].mean() > 1.2 * reacted[depth < 13.2].mean()


def test_small_particles_react_more(tiny: ElectrodeTwin) -> None:
    held = tiny.lithiation.held
    size, reacted = tiny.structure.diameters_um[held], tiny.step(2).matter.reacted[held]
    assert reacted[size < np.median(size)].mean() > reacted[size > np.median(size)].mean()


def test_each_particle_swells_by_its_lithium(tiny: ElectrodeTwin) -> None:
    lithiation, matter = tiny.lithiation, tiny.step(2).matter
    scale = matter.motion.scale.reshape(-1, 3, 3)[lithiation.held]
    grown = lithiation._stretch(matter.motion.carrier, np.ascontiguousarray(scale))
    wanted = 1 + 3.75 * LITHIUM_VOLUME * matter.reacted[lithiation.held]
    assert grown == pytest.approx(wanted, rel=1e-6)


def test_scaled_particles_stay_inside_their_cells(tiny: ElectrodeTwin) -> None:
    """A gap that closed would show as a fold."""
    from voltome.twin.grain_loops import check_gaps

    lithiation, motion = tiny.lithiation, tiny.step(2).matter.motion
    least = np.empty(len(lithiation.held))
    check_gaps(tiny.cells, lithiation.held, motion.scale[lithiation.held], *lithiation.gap_corners, least)
    assert least.min() > 0


def test_more_lithium_than_there_is_room_for_is_refused(tiny: ElectrodeTwin) -> None:
    with pytest.raises(InputError, match=r"needs more room .*: give a larger thickness"):
        tiny.lithiation.solve(tiny.step(0).matter.motion.carrier, 0.6, 0.0)

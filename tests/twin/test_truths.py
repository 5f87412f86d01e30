"""Truth of particles, thickness, regions and the ledger."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.ledger import FARADAY_C_MOL, balance_steps
from voltome.twin.truths import find_particles, list_events, map_thickness, measure_steps


@pytest.fixture(scope="module")
def ledger(tiny: ElectrodeTwin) -> list[dict[str, float]]:
    return balance_steps(tiny)


def test_particles_do_not_move_at_first(tiny: ElectrodeTwin) -> None:
    truth = find_particles(tiny, 0)
    assert truth.field.phi == pytest.approx(np.broadcast_to(np.eye(4), truth.field.phi.shape), abs=1e-6)
    assert truth.columns["lithiated_fraction"].max() == 0
    assert truth.columns["non_lithiated_volume_m3"] == pytest.approx(truth.columns["volume_m3"])


def test_every_particle_is_listed_with_its_share_in_the_field(tiny: ElectrodeTwin) -> None:
    truth = find_particles(tiny, 0)
    assert truth.labels.tolist() == list(range(1, tiny.structure.labels.max() + 1))
    share = truth.columns["in_field"]
    assert share.min() == 0 and share.max() == 1
    assert 0.5 < share.mean() < 0.9


def test_particles_near_the_separator_travel_further(tiny: ElectrodeTwin) -> None:
    truth = find_particles(tiny, 2)
    depth, travel = truth.field.positions_vox[:, 0], truth.field.displacement_vox[:, 0]
    assert np.corrcoef(depth, travel)[0, 1] > 0.9
    assert travel[depth > 50].mean() * 0.4 == pytest.approx(8.5, abs=2.5)  # um; the paper: up to 11


def test_particles_swell_by_their_lithium(tiny: ElectrodeTwin) -> None:
    columns = find_particles(tiny, 2).columns
    swelling = 3.75 * 14.99 / 20.02
    assert columns["volume_now_m3"] == pytest.approx(
        columns["volume_m3"] * (1 + swelling * columns["lithiated_fraction"])
    )


def test_affine_motion_of_a_particle_has_its_swelling(tiny: ElectrodeTwin) -> None:
    truth = find_particles(tiny, 2)
    whole = truth.columns["in_field"] == 1
    grown = np.linalg.det(truth.field.deformation_gradient)[whole]
    wanted = (truth.columns["volume_now_m3"] / truth.columns["volume_m3"])[whole]
    assert np.median(grown / wanted) == pytest.approx(1.0, abs=0.15)


def test_ten_per_cent_react_as_core_and_shell(tiny: ElectrodeTwin) -> None:
    mechanism = find_particles(tiny, 0).columns["mechanism"]
    assert set(mechanism) == {"core-shell", "network"}
    assert (mechanism == "core-shell").mean() == pytest.approx(0.10, abs=0.03)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_thickness_map_has_the_asked_mean(tiny: ElectrodeTwin, number: int) -> None:
    thickness = map_thickness(tiny, number)
    assert thickness.shape == (64, 64)
    assert thickness.mean() == pytest.approx(tiny.settings.steps[number].thickness_m, rel=2e-3)


def test_regions_strain_as_the_paper_has_it(tiny: ElectrodeTwin) -> None:
    rows = measure_steps(tiny)
    assert rows[0]["volumetric_strain"] == pytest.approx(0, abs=1e-12)
    assert rows[1]["volumetric_strain"] == pytest.approx(0.06, abs=0.003)
    last = rows[2]
    assert last["axial_strain"] == pytest.approx(30.0 / 20.7 - 1, abs=0.005)
    assert last["axial_strain_separator_side"] / last["axial_strain_collector_side"] == pytest.approx(50 / 34, abs=0.05)
    assert abs(last["in_plane_strain_yy"]) < 0.03 and abs(last["in_plane_strain_xx"]) < 0.03


def test_silicon_is_conserved_over_all_steps(ledger: list[dict[str, float]]) -> None:
    assert len({row["silicon_kg"] for row in ledger}) == 1
    for row in ledger:
        assert row["reacted_silicon_m3"] + row["unreacted_silicon_m3"] == pytest.approx(ledger[0]["silicon_m3"])


def test_volume_by_motion_is_volume_by_lithium(ledger: list[dict[str, float]]) -> None:
    """Strain closes against lithium: two ways to the volume of silicon that know nothing of each other."""
    for row in ledger:
        assert row["silicon_by_motion_m3"] == pytest.approx(row["silicon_m3"], rel=5e-3)


def test_charge_closes_against_lithium(tiny: ElectrodeTwin, ledger: list[dict[str, float]]) -> None:
    for number, row in enumerate(ledger):
        lithium = row["lithium_in_silicon_mol"] + row["lithium_in_sei_mol"]
        assert row["charge_ah"] * 3600 == pytest.approx(lithium * FARADAY_C_MOL)
        of_cell = row["silicon_kg"] / tiny.charge.silicon_kg * float(tiny.charge.charge_ah[number])
        assert row["charge_ah"] == pytest.approx(of_cell, rel=1e-4, abs=1e-30)


def test_volumes_add_up_and_pores_stay(ledger: list[dict[str, float]]) -> None:
    for row in ledger:
        parts = ("silicon_m3", "binder_m3", "sei_m3", "bubble_m3", "pore_m3")
        assert sum(row[part] for part in parts) == pytest.approx(row["electrode_m3"])
        assert 0.1 < row["pore_m3"] / row["electrode_m3"] < 0.4


def test_repeat_scan_is_an_event(tiny: ElectrodeTwin) -> None:
    assert [(row["event"], row["step"]) for row in list_events(tiny)] == [("repeat scan", "T6r")]

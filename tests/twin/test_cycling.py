"""The twin's cell: the paper's protocol, charge that adds up, limits that hold."""

from __future__ import annotations

import numpy as np
import pytest

from voltome.errors import InputError
from voltome.twin.configuration import make_settings
from voltome.twin.cycling import CellMode, find_open_circuit_voltage, simulate_cell, split_charge
from voltome.twin.setting_mapping import parse_settings


@pytest.fixture(scope="module")
def paper():
    settings = make_settings("small")
    return settings, simulate_cell(settings)


def _steps(*socs):
    return [{"name": f"T{i}", "soc": soc, "thickness_m": (20.7 + 10 * soc) * 1e-6} for i, soc in enumerate(socs)]


def test_scans_start_at_the_states_of_charge_of_the_settings(paper):
    settings, history = paper
    wanted = [step.soc for step in settings.steps]
    np.testing.assert_allclose(history.scan_soc, wanted, rtol=0, atol=1e-6)
    rows = np.searchsorted(history.time_s, history.scan_start_s)
    np.testing.assert_allclose(history.charge_ah[rows] / settings.cell.capacity_ah, wanted, rtol=0, atol=1e-6)
    assert (history.mode[rows + 1] == CellMode.SCAN).all()


def test_charge_is_the_sum_of_the_current(paper):
    _, history = paper
    passed = np.cumsum(history.current_a[1:] * np.diff(history.time_s)) / 3600
    np.testing.assert_allclose(history.charge_ah[1:], passed, rtol=0, atol=1e-15)


def test_the_voltage_limit_is_first_reached_near_the_end_of_the_third_leg(paper):
    settings, history = paper
    first = np.flatnonzero(history.mode == CellMode.CHARGE_CV)[0]
    assert 0.47 < history.charge_ah[first] / settings.cell.capacity_ah <= 0.50
    assert history.scan_start_s[2] < history.time_s[first] < history.scan_start_s[3]


def test_legs_of_charge_last_about_half_an_hour(paper):
    settings, history = paper
    pause = settings.cell.rest_before_scan_s + settings.cell.scan_s
    minutes = (np.diff(history.scan_start_s) - pause) / 60
    assert ((minutes[:6] > 25) & (minutes[:6] < 35)).all()
    assert minutes[-1] == pytest.approx(0)  # the repeat: no electrochemistry in between


def test_voltage_and_current_stay_within_the_protocol(paper):
    settings, history = paper
    cell, mode = settings.cell, history.mode
    assert history.voltage_v.max() <= cell.voltage_max_v + 1e-9
    held = history.voltage_v[mode == CellMode.CHARGE_CV]
    assert (np.abs(held - cell.voltage_max_v) < 2e-3).all()
    rate = history.current_a / cell.capacity_ah
    assert rate[mode == CellMode.CHARGE_CC] == pytest.approx(1 / 3)
    assert rate[mode == CellMode.DISCHARGE_CC] == pytest.approx(-1 / 6)
    assert (rate[mode == CellMode.CHARGE_CV] > cell.cutoff_rate).all()
    assert (rate[(mode == CellMode.REST) | (mode == CellMode.SCAN)] == 0).all()


def test_steps_are_counted_where_the_mode_changes(paper):
    _, history = paper
    changes = np.diff(history.mode) != 0
    np.testing.assert_array_equal(np.diff(history.step_count), changes)
    assert (np.diff(history.time_s) > 0).all()
    assert history.step_type[:2] == ["rest", "rest"] and history.step_type[-1] == "scan"


def test_the_cell_relaxes_towards_open_circuit_during_a_scan(paper):
    settings, history = paper
    row = np.searchsorted(history.time_s, history.scan_start_s[3] + settings.cell.scan_s)
    start = np.searchsorted(history.time_s, history.scan_start_s[3])
    at_rest = find_open_circuit_voltage(0.5)
    assert history.voltage_v[start] - at_rest > 0.1
    assert history.voltage_v[row] - at_rest == pytest.approx(0, abs=2e-3)


def test_discharge_lies_below_charge_by_the_hysteresis(paper):
    settings, history = paper
    rested = history.voltage_v[-1]
    assert find_open_circuit_voltage(0.70) - rested == pytest.approx(settings.cell.hysteresis_v, abs=5e-3)


def test_open_circuit_voltage_rises_from_3_3_to_4_05_volts():
    soc = np.linspace(0, 1, 1001)
    assert (np.diff(find_open_circuit_voltage(soc)) > 0).all()
    assert find_open_circuit_voltage([0.10, 0.85]) == pytest.approx([3.3, 4.05], abs=0.05)


def test_the_history_does_not_depend_on_how_often_it_is_sampled():
    coarse = simulate_cell(parse_settings({"cell": {"sample_s": 30}}))
    fine = simulate_cell(parse_settings({"cell": {"sample_s": 2}}))
    np.testing.assert_allclose(coarse.scan_start_s, fine.scan_start_s, rtol=0, atol=30)


def test_no_resistance_means_no_overpotential():
    settings = parse_settings({"cell": {"resistance_ohm": 0, "rest_before_scan_s": 0}, "steps": _steps(0, 0.5)})
    history = simulate_cell(settings)
    at_rest = find_open_circuit_voltage(history.charge_ah / settings.cell.capacity_ah)
    np.testing.assert_allclose(history.voltage_v, at_rest, rtol=0, atol=1e-12)
    assert history.mode[0] == CellMode.SCAN


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"cell": {"resistance_ohm": 90e3}}, r"cell.cutoff_rate must be < .* T6 is reached \(got 0.1; the charge ends"),
        (
            {"cell": {"voltage_min_v": 3}, "steps": _steps(0, 0.85, 0.1)},
            r"cell.voltage_min_v must be < the voltage at which T2 is reached \(got 3, passed at",
        ),
    ],
)
def test_a_state_of_charge_beyond_the_limits_is_refused(mapping, message):
    with pytest.raises(InputError, match=message) as caught:
        simulate_cell(parse_settings(mapping))
    assert "\n" not in str(caught.value)


def test_charge_is_in_silicon_or_in_the_sei():
    settings = make_settings("small")
    split = split_charge(settings)
    np.testing.assert_allclose(split.silicon_charge_ah + split.sei_charge_ah, split.charge_ah, rtol=1e-14)
    assert split.charge_ah[6] == pytest.approx(0.85 * 33.25e-6)
    assert split.sei_charge_ah[6] == pytest.approx(0.10 * split.charge_ah[6])
    assert (np.diff(split.sei_charge_ah) >= 0).all()
    np.testing.assert_array_equal(split.sei_charge_ah[6:], split.sei_charge_ah[6])
    growth = np.diff(split.sei_charge_ah[:7]) / np.diff(split.charge_ah[:7])
    assert (np.diff(growth) < 0).all() and growth[0] < 1  # saturates


def test_reacted_silicon_and_sei_follow_from_mass_and_charge():
    split = split_charge(make_settings("small"))
    assert split.silicon_capacity_ah_kg == pytest.approx(3579, abs=1)  # Li15Si4
    assert split.silicon_kg == pytest.approx(0.554 * 2330 * 20.7e-6 * 0.0095e-4)
    np.testing.assert_allclose(split.reacted_fraction * split.silicon_kg * 3578.56, split.silicon_charge_ah, rtol=1e-5)
    assert split.reacted_fraction[6] == pytest.approx(0.31 * 0.9, abs=0.005)  # 0.31 were all charge in silicon
    volume_m3 = split.sei_charge_ah * 3600 / 96485.33 * 16e-6
    np.testing.assert_allclose(split.sei_volume_fraction, volume_m3 / (0.0095e-4 * 20.7e-6), rtol=1e-6)


def test_less_lithium_in_reacted_silicon_means_more_of_it():
    full, half = (
        split_charge(parse_settings({"lithiation": {"composition": composition}})) for composition in (3.75, 1.875)
    )
    np.testing.assert_allclose(half.reacted_fraction, 2 * full.reacted_fraction, rtol=1e-12)


def test_a_pristine_electrode_alone_holds_no_charge():
    settings = parse_settings({"steps": _steps(0)})
    assert split_charge(settings).reacted_fraction.tolist() == [0.0]
    assert simulate_cell(settings).time_s[-1] == pytest.approx(660)


def test_more_charge_than_silicon_can_take_is_refused():
    with pytest.raises(InputError, match=r"reacted fraction of silicon must be < 1 \(got 1\.\d+ at T6\)"):
        split_charge(parse_settings({"cell": {"areal_capacity_ah_m2": 150}}))

"""The twin's full cell: voltage and current over the whole protocol, and where its charge went.

NMC811 against silicon as an open-circuit voltage, a resistance of which a share relaxes slowly, and the hysteresis of
silicon. After Häusler et al., EES Batteries 2026, 2, 446 (10.1039/D5EB00193E), Fig. 2d.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voltome.errors import InputError
from voltome.twin.configuration import CellSettings, StepSettings, TwinSettings

Floats = NDArray[np.float64]

FARADAY_C_MOL = 96485.33212
SILICON_KG_MOL = 28.0855e-3
_TURN_SOC = 0.03  # charge, as SoC, over which silicon goes from one branch of its hysteresis to the other
_HALVINGS = 50
_INSTANT_S = 1e-6


class CellMode(IntEnum):
    """What the cell does."""

    REST = 0
    CHARGE_CC = 1
    CHARGE_CV = 2
    DISCHARGE_CC = 3
    SCAN = 4


@dataclass(frozen=True)
class CellHistory:
    """Voltage, current and charge over the protocol; a row holds for the time since the row before it.

    Attributes
    ----------
    time_s : (R,) float64
        Rising; 0 at the first row.
    voltage_v : (R,) float64
        At the end of the row's time.
    current_a : (R,) float64
        Constant over the row's time, positive on charge.
    charge_ah : (R,) float64
        Net charge at the end of the row's time.
    mode : (R,) int8
        `CellMode`.
    step_count : (R,) int32
        Counts the stretches of one mode from 1.
    scan_start_s : (S,) float64
        When the scan of each of the settings' steps starts.
    scan_soc : (S,) float64
        State of charge then.
    """

    time_s: Floats
    voltage_v: Floats
    current_a: Floats
    charge_ah: Floats
    mode: NDArray[np.int8]
    step_count: NDArray[np.int32]
    scan_start_s: Floats
    scan_soc: Floats

    @property
    def step_type(self) -> list[str]:
        """Name of each row's mode, as a cycler file has it."""
        names = {mode.value: mode.name.lower() for mode in CellMode}
        return [names[mode] for mode in self.mode.tolist()]


@dataclass(frozen=True)
class ChargeSplit:
    """Where the charge of the whole cell is at each of the S steps.

    Attributes
    ----------
    charge_ah, sei_charge_ah, silicon_charge_ah : (S,) float64
        All of it; what the SEI has taken for good; what is in silicon.
    reacted_fraction : (S,) float64
        Share of the silicon that has reacted to the composition of the settings.
    sei_volume_fraction : (S,) float64
        Volume of SEI, as a fraction of the electrode's volume at T0.
    silicon_kg : float
        Mass of silicon in the cell.
    silicon_capacity_ah_kg : float
        Capacity of silicon at that composition (3579 Ah/kg at 3.75).
    """

    charge_ah: Floats
    sei_charge_ah: Floats
    silicon_charge_ah: Floats
    reacted_fraction: Floats
    sei_volume_fraction: Floats
    silicon_kg: float
    silicon_capacity_ah_kg: float


def find_open_circuit_voltage(soc: ArrayLike) -> Floats:
    """Open-circuit voltage of the full cell on its first charge.

    Parameters
    ----------
    soc : array_like
        State of charge of the full cell, 0 to 1.

    Returns
    -------
    float64 of the shape of soc
        Volts: NMC811 less silicon, whose potential starts high and soon reaches its plateau. On discharge, after a few
        per cent of charge, the cell lies lower by `hysteresis_v`.
    """
    soc = np.asarray(soc, dtype=np.float64)
    nickel_rich = 3.5 + 0.85 * soc - 0.1 * soc**2
    silicon = 0.11 + 0.35 * np.exp(-soc / 0.12) + 1.0 * np.exp(-soc / 0.006)
    return nickel_rich - silicon


class _State(NamedTuple):
    soc: float
    slow_v: float  # the part of the overpotential that relaxes slowly
    discharged: float  # 0 on silicon's charge branch, 1 on its discharge branch


@dataclass
class _Cell:
    """The cell as it is, and the rows written so far."""

    settings: CellSettings
    state: _State
    time_s: float = 0.0
    step_count: int = 0
    rows: list[tuple[float, float, float, float, CellMode, int]] = field(default_factory=list)

    def advance(self, current_a: float, duration_s: float) -> _State:
        """State after a constant current has flown."""
        before, branch = self.state, float(current_a < 0)
        passed = current_a * duration_s / 3600 / self.settings.capacity_ah
        final_v = current_a * self.settings.resistance_ohm * self.settings.slow_share
        return _State(
            before.soc + passed,
            final_v + (before.slow_v - final_v) * math.exp(-duration_s / self.settings.relaxation_s),
            branch + (before.discharged - branch) * math.exp(-abs(passed) / _TURN_SOC),
        )

    def voltage(self, current_a: float, state: _State) -> float:
        open_v = float(find_open_circuit_voltage(state.soc)) - state.discharged * self.settings.hysteresis_v
        return open_v + state.slow_v + current_a * self.settings.resistance_ohm * (1 - self.settings.slow_share)

    def limited_current(self, current_a: float, duration_s: float) -> float:
        """The current, or the lower one that ends the time at the voltage limit."""
        limit_v = self.settings.voltage_max_v
        if self.voltage(current_a, self.advance(current_a, duration_s)) <= limit_v:
            return current_a
        low, high = 0.0, current_a
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.voltage(middle, self.advance(middle, duration_s)) <= limit_v:
                low = middle
            else:
                high = middle
        return low

    def take_row(self, mode: CellMode, current_a: float, duration_s: float) -> None:
        if not self.rows or self.rows[-1][4] != mode:
            self.step_count += 1
        self.state = self.advance(current_a, duration_s)
        self.time_s += duration_s
        voltage_v, charge_ah = self.voltage(current_a, self.state), self.state.soc * self.settings.capacity_ah
        self.rows.append((self.time_s, voltage_v, current_a, charge_ah, mode, self.step_count))

    def wait(self, mode: CellMode, duration_s: float) -> None:
        """Stay at open circuit."""
        while duration_s > _INSTANT_S:
            row_s = min(duration_s, self.settings.sample_s)
            self.take_row(mode, 0.0, row_s)
            duration_s -= row_s

    def run_leg(self, step: StepSettings) -> None:
        """Charge or discharge until the state of charge of the step is reached."""
        cell, charging = self.settings, step.soc > self.state.soc
        full_a = (cell.charge_rate if charging else -cell.discharge_rate) * cell.capacity_ah
        while self.state.soc != step.soc:
            current_a, mode = full_a, CellMode.DISCHARGE_CC
            if charging:
                current_a = self.limited_current(full_a, cell.sample_s)
                mode = CellMode.CHARGE_CC if current_a == full_a else CellMode.CHARGE_CV
            if charging and current_a < cell.cutoff_rate * cell.capacity_ah:
                raise InputError(
                    f"cell.cutoff_rate must be < the C-rate at which {step.name} is reached (got {cell.cutoff_rate:g}; "
                    f"the charge ends at soc {self.state.soc:.3g} of {step.soc:g}): lower it, the soc or the resistance"
                )
            remaining_s = (step.soc - self.state.soc) * cell.capacity_ah * 3600 / current_a
            if remaining_s > cell.sample_s + _INSTANT_S:
                self.take_row(mode, current_a, cell.sample_s)
            else:
                self.take_row(mode, current_a, remaining_s)
                self.state = self.state._replace(soc=step.soc)  # without rounding
            if not charging and self.rows[-1][1] < cell.voltage_min_v:
                raise InputError(
                    f"cell.voltage_min_v must be < the voltage at which {step.name} is reached (got "
                    f"{cell.voltage_min_v:g}, passed at soc {self.state.soc:.3g} of {step.soc:g}): raise the soc or "
                    f"lower the resistance"
                )


def simulate_cell(settings: TwinSettings) -> CellHistory:
    """Voltage, current and charge of the cell from before the first scan to the end of the last.

    Each step is a leg of charge (constant current, then constant voltage) or discharge (constant current) that ends
    when the step's state of charge is reached, a rest, and the scan at open circuit. A repeat has no leg.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    CellHistory

    Raises
    ------
    InputError
        If a step's state of charge cannot be reached within the limits of current and voltage.
    """
    cell = _Cell(settings.cell, _State(soc=0.0, slow_v=0.0, discharged=0.0))
    cell.take_row(CellMode.REST if settings.cell.rest_before_scan_s > _INSTANT_S else CellMode.SCAN, 0.0, 0.0)
    scan_start_s, scan_soc = [], []
    for step in settings.steps:
        cell.run_leg(step)
        cell.wait(CellMode.REST, settings.cell.rest_before_scan_s)
        scan_start_s.append(cell.time_s)
        scan_soc.append(cell.state.soc)
        cell.wait(CellMode.SCAN, settings.cell.scan_s)
    time_s, voltage_v, current_a, charge_ah, mode, step_count = np.array(cell.rows, dtype=np.float64).T.copy()
    return CellHistory(
        time_s=time_s,
        voltage_v=voltage_v,
        current_a=current_a,
        charge_ah=charge_ah,
        mode=mode.astype(np.int8),
        step_count=step_count.astype(np.int32),
        scan_start_s=np.array(scan_start_s),
        scan_soc=np.array(scan_soc),
    )


def split_charge(settings: TwinSettings) -> ChargeSplit:
    """Charge in silicon and in the SEI at each step, and what it means for both.

    The SEI takes charge while the cell reaches a state of charge for the first time, less and less of it: its share
    follows 1 - exp(-q / sei_saturation), q the highest charge so far over the highest of all. It gives nothing back.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    ChargeSplit

    Raises
    ------
    InputError
        If more silicon would have to react than there is.
    """
    cell, electrode = settings.cell, settings.electrode
    soc = np.array([step.soc for step in settings.steps])
    charge_ah = soc * cell.capacity_ah
    highest = float(soc.max())
    reached = np.maximum.accumulate(soc) / highest if highest > 0 else soc
    saturated = np.expm1(-reached / cell.sei_saturation) / math.expm1(-1 / cell.sei_saturation)
    sei_charge_ah = cell.sei_charge_fraction * highest * cell.capacity_ah * saturated
    silicon_charge_ah = charge_ah - sei_charge_ah

    volume_m3 = cell.area_m2 * electrode.thickness_m
    silicon_kg = electrode.silicon_fraction * volume_m3 * cell.silicon_density_kg_m3
    capacity_ah_kg = settings.lithiation.composition * FARADAY_C_MOL / (3600 * SILICON_KG_MOL)
    reacted = silicon_charge_ah / (silicon_kg * capacity_ah_kg)
    if reacted.max() >= 1:
        step = settings.steps[int(reacted.argmax())]
        raise InputError(
            f"reacted fraction of silicon must be < 1 (got {reacted.max():.3g} at {step.name}): lower the soc or "
            f"cell.areal_capacity_ah_m2, or raise lithiation.composition or electrode.silicon_fraction"
        )
    sei_m3 = sei_charge_ah * 3600 / FARADAY_C_MOL * cell.sei_volume_m3_mol
    return ChargeSplit(
        charge_ah=charge_ah,
        sei_charge_ah=sei_charge_ah,
        silicon_charge_ah=silicon_charge_ah,
        reacted_fraction=reacted,
        sei_volume_fraction=sei_m3 / volume_m3,
        silicon_kg=silicon_kg,
        silicon_capacity_ah_kg=capacity_ah_kg,
    )

"""The ledger: masses and volumes of the modelled electrode at each step, which close against each other."""

from __future__ import annotations

from typing import Any

from voltome.twin.experiment import ElectrodeTwin
from voltome.twin.silicon import LITHIUM_VOLUME, SILICON_VOLUME_A3

FARADAY_C_MOL = 96485.33212
_SILICON_KG_MOL = 28.085e-3
_ANGSTROM3_M3 = 1e-30
_SILICON_ATOM_M3 = SILICON_VOLUME_A3 * _ANGSTROM3_M3
_AVOGADRO = 6.02214076e23
_DENSITY_KG_M3 = _SILICON_KG_MOL / (_SILICON_ATOM_M3 * _AVOGADRO)


def balance_steps(twin: ElectrodeTwin) -> list[dict[str, Any]]:
    """Volumes (m3), masses (kg), lithium (mol) and charge (A h) of the whole modelled slab at each step.

    The slab is the field of view with a margin of 2 micrometres on each side; no particle is cut by it. Silicon's
    volume follows from its lithium, atom by atom, and so does charge; the electrode's volume follows from the smooth
    motion; SEI from its charge; pores are what is left.

    Parameters
    ----------
    twin : ElectrodeTwin

    Returns
    -------
    list of dict
        One row for each step: step, soc; `electrode_m3`, `silicon_m3` (with its lithium), `reacted_silicon_m3` and
        `unreacted_silicon_m3` (as volumes at T0), `binder_m3`, `sei_m3`, `bubble_m3`, `pore_m3`; `silicon_kg`,
        `lithium_in_silicon_mol`, `lithium_in_sei_mol`; `charge_silicon_ah`, `charge_sei_ah`, `charge_ah`; the
        `reacted_fraction`; and `silicon_by_motion_m3`, the volume of silicon once more, from det F of its matter, which
        knows nothing of lithium.
    """
    from voltome.twin.render import measure_bubble
    from voltome.twin.truths import measure_silicon, measure_slab

    settings, structure = twin.settings, twin.structure
    volumes = structure.volumes_um3 * 1e-18
    silicon = float(volumes.sum())
    atoms = silicon / _SILICON_ATOM_M3 / _AVOGADRO  # mol
    composition = settings.lithiation.composition
    swelling = composition * LITHIUM_VOLUME
    rows: list[dict[str, Any]] = []
    for number, step in enumerate(settings.steps):
        if step.repeat:  # the same matter
            rows.append({**rows[-1], "step": step.name})
            continue
        matter = twin.step(number).matter
        reacted = float((matter.reacted * volumes).sum())
        electrode = measure_slab(twin, number) * 1e-18
        if not rows:
            whole = electrode
        lithium = composition * reacted / silicon * atoms
        sei_charge = twin.charge.sei_charge_ah[number] / twin.charge.silicon_kg * silicon * _DENSITY_KG_M3
        row: dict[str, Any] = {
            "step": step.name,
            "soc": step.soc,
            "electrode_m3": electrode,
            "silicon_m3": silicon + swelling * reacted,
            "reacted_silicon_m3": reacted,
            "unreacted_silicon_m3": silicon - reacted,
            "binder_m3": settings.electrode.binder_fraction * whole,
            "sei_m3": sei_charge * 3600 / FARADAY_C_MOL * settings.cell.sei_volume_m3_mol,
            "bubble_m3": measure_bubble(twin, number) * 1e-18,
            "silicon_kg": atoms * _SILICON_KG_MOL,
            "lithium_in_silicon_mol": lithium,
            "lithium_in_sei_mol": sei_charge * 3600 / FARADAY_C_MOL,
            "charge_silicon_ah": lithium * FARADAY_C_MOL / 3600,
            "charge_sei_ah": sei_charge,
        }
        row["charge_ah"] = row["charge_silicon_ah"] + sei_charge
        row["pore_m3"] = electrode - sum(row[part] for part in ("silicon_m3", "binder_m3", "sei_m3", "bubble_m3"))
        row["reacted_fraction"] = reacted / silicon
        row["silicon_by_motion_m3"] = measure_silicon(twin, number) * 1e-18
        rows.append(row)
    return rows

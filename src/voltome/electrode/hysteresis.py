"""What discharge does not take back: strain beside the charging curve's at the same state of charge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from voltome.measurement import Measurement, Share


def measure_hysteresis(
    measured: Mapping[str, Measurement], socs: Mapping[str, float], *, name: str
) -> list[Measurement]:
    """A number on discharge minus the charging curve's at the same state of charge, interpolated linearly.

    Parameters
    ----------
    measured : mapping of str to Measurement
        Scan to number, in order of time.
    socs : mapping of str to float
        Scan to state of charge.
    name : str
        What the difference is called.

    Returns
    -------
    list of Measurement
        At the scans after the one with the highest charge; none where charge is not known or never falls. The errors
        of both are added as if independent: what they have in common would cancel, so this is no underestimate.
    """
    known = [scan for scan in measured if math.isfinite(socs.get(scan, math.nan))]
    if len(known) < 3:
        return []
    top = max(range(len(known)), key=lambda i: socs[known[i]])
    charge = known[: top + 1]
    rising = [s for i, s in enumerate(charge) if all(socs[s] > socs[t] for t in charge[:i])]
    out = []
    for scan in known[top + 1 :]:
        soc = socs[scan]
        if len(rising) < 2 or not socs[rising[0]] <= soc <= socs[rising[-1]] or soc >= socs[known[top]]:
            continue
        k = int(np.clip(np.searchsorted([socs[s] for s in rising], soc), 1, len(rising) - 1))
        low, high = rising[k - 1], rising[k]
        part = (soc - socs[low]) / (socs[high] - socs[low])
        out.append(_subtract(measured[scan], (measured[low], 1 - part), (measured[high], part), name))
    return out


def _subtract(
    number: Measurement, low: tuple[Measurement, float], high: tuple[Measurement, float], name: str
) -> Measurement:
    value = number.value - low[1] * low[0].value - high[1] * high[0].value
    return Measurement(name, number.scan, value, number.unit, number.region, _join_shares(number, low, high))


def _join_shares(
    number: Measurement, low: tuple[Measurement, float], high: tuple[Measurement, float]
) -> tuple[Share, ...]:
    causes = {share.cause: share.kind for m in (number, low[0], high[0]) for share in m.shares}
    parts: Sequence[tuple[Measurement, float]] = ((number, 1.0), low, high)
    out = []
    for cause, kind in causes.items():
        sds = [weight * m.share(cause) for m, weight in parts if any(s.cause == cause for s in m.shares)]
        out.append(Share(cause, math.sqrt(sum(sd**2 for sd in sds)), kind))
    return tuple(out)

"""What the numbers of several scans say together: growth from scan to scan, and what discharge leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from voltome.measurement import Measurement, Share
from voltome.study.electrode_ground import list_repeats, read_surface
from voltome.study.job import Job

SPREAD_ERROR = 0.08
"""Error of the local spread of thickness, over it: smoothing and mistaken patches, as measured on twins."""


def measure_spread(job: Job, scans: Sequence[str]) -> list[Measurement]:
    """Standard deviation of the local thickness over the field.

    Parameters
    ----------
    job : Job
    scans : sequence of str

    Returns
    -------
    list of Measurement
        Of the scans whose surface was seen.
    """
    out = []
    for scan in scans:
        said = read_surface(job, scan)
        if said["refused"] is None:
            spread = float(said["thickness_spread_m"])
            share = Share("surface", math.hypot(float(said["sd_m"]), SPREAD_ERROR * spread), "bias")
            out.append(Measurement("thickness_spread", scan, spread, "m", shares=(share,)))
    return out


def follow(job: Job, states: Mapping[str, Sequence[Measurement]]) -> list[Measurement]:
    """What follows from the numbers of several scans: growth since the scan before, and what discharge leaves.

    Parameters
    ----------
    job : Job
    states : mapping of str to sequence of Measurement
        Scan to its numbers.

    Returns
    -------
    list of Measurement
    """
    from voltome import electrode

    repeats = list_repeats(job)
    scans = [scan for scan in job.study.settings.scans if scan.name not in repeats]
    socs = {scan.name: scan.soc for scan in scans if scan.soc is not None}
    found = {m.label + m.scan: m for state in states.values() for m in state}
    out: list[Measurement] = []
    names = [scan.name for scan in scans if f"thickness{scan.name}" in found]
    for before, now in pairwise(names):
        a, b = found[f"thickness{before}"], found[f"thickness{now}"]
        causes = {s.cause: s.kind for s in (*a.shares, *b.shares) if s.cause != "surface"}
        shares = [Share(cause, _join(a, b, cause) / a.value, kind) for cause, kind in causes.items()]
        surface = Share("surface", math.hypot(*(_surface_sd(job, m.scan) for m in (a, b))) / a.value, "bias")
        out.append(Measurement("expansion_increment", now, b.value / a.value - 1.0, "1", shares=(*shares, surface)))
    for name, called in (
        ("thickness", "irreversible_thickness"),
        ("volumetric_strain", "hysteresis_volumetric_strain"),
    ):
        curve = {scan.name: found[name + scan.name] for scan in scans if name + scan.name in found}
        if name != "thickness" and curve:
            first = job.study.settings.scans[0].name
            curve = {first: Measurement(name, first, 0.0, "1"), **curve}
        out += electrode.measure_hysteresis(curve, socs, name=called)
    return out


def _join(a: Measurement, b: Measurement, cause: str) -> float:
    """What a cause adds to the difference of two numbers."""
    return math.hypot(*(m.share(cause) for m in (a, b) if any(share.cause == cause for share in m.shares)))


def _surface_sd(job: Job, scan: str) -> float:
    said = read_surface(job, scan)
    return math.nan if said["refused"] is not None else float(said["sd_m"])


def doubt_growth(job: Job, states: Mapping[str, Sequence[Measurement]]) -> list[str]:
    """Thickness that falls while charge rises, or rises while it falls, by more than its error.

    Parameters
    ----------
    job : Job
    states : mapping of str to sequence of Measurement
        Scan to its numbers.

    Returns
    -------
    list of str
        Warnings.
    """
    warnings = []
    repeats = list_repeats(job)
    known = [
        (scan.name, scan.soc, next((m for m in states.get(scan.name, ()) if m.name == "thickness"), None))
        for scan in job.study.settings.scans
        if scan.soc is not None and scan.name not in repeats
    ]
    for (a, soc_a, t_a), (b, soc_b, t_b) in pairwise(known):
        if t_a is None or t_b is None or soc_a is None or soc_b is None or soc_a == soc_b:
            continue
        change = t_b.value - t_a.value
        if change * (soc_b - soc_a) < 0 and abs(change) > 2 * math.hypot(t_a.sd, t_b.sd):
            warnings.append(
                f"The thickness {'falls' if change < 0 else 'rises'} by {1e6 * abs(change):.2f} um from {a} to {b} "
                f"while the state of charge {'rises' if soc_b > soc_a else 'falls'}: look at both surfaces."
            )
    return warnings

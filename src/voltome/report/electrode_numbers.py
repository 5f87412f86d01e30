"""The numbers of an electrode as curves over its scans: value, and error with its random part apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voltome.measurement import Measurement
from voltome.report import panels
from voltome.report.electrode_findings import ElectrodeFindings

FloatArray = NDArray[np.float64]

REGIONS = ("whole", "collector side", "separator side")
"""Parts of the electrode, in the order in which curves are drawn."""

REGION_LOOKS = {
    "whole": (panels.INK, "o", "whole electrode"),
    "collector side": (panels.ORANGE, "^", "collector side"),
    "separator side": (panels.BLUE, "v", "separator side"),
}
"""Colour, mark and name of each: the paper's blue and orange, and ink, which every eye tells from both."""


@dataclass(frozen=True)
class Curve:
    """One number over the scans.

    Parameters
    ----------
    values, sd_random, sd : (N,) float64
        NaN where it is not known; `sd` is both parts in quadrature.
    exact : (N,) bool
        Where it is so by definition: a reference has not moved.
    """

    values: FloatArray
    sd_random: FloatArray
    sd: FloatArray
    exact: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there is a value."""
        return np.isfinite(self.values)

    def scaled(self, factor: float) -> Curve:
        """In another unit."""
        return Curve(factor * self.values, factor * self.sd_random, factor * self.sd, self.exact)


class Numbers:
    """The measurements of an electrode by name, scan and region.

    Parameters
    ----------
    findings : ElectrodeFindings
    """

    def __init__(self, findings: ElectrodeFindings) -> None:
        self.findings = findings
        self._found = {(m.name, m.scan, m.region): m for m in findings.measurements}

    def find(self, name: str, scan: str, region: str = "whole") -> Measurement | None:
        """The measurement of that name; None where there is none, or it has no value."""
        found = self._found.get((name, scan, region))
        return found if found is not None and np.isfinite(found.value) else None

    def has(self, names: Iterable[str], regions: Iterable[str] = REGIONS) -> bool:
        """Whether one of these numbers is known beyond the first scan, or at all if there is one scan only."""
        scans = self.findings.scans[1:] or self.findings.scans
        return any(self.find(n, s, r) for n in names for s in scans for r in regions)

    def read_curve(self, name: str, region: str = "whole", *, start: float | None = None) -> Curve:
        """A number over all scans.

        Parameters
        ----------
        name, region : str
        start : float or None
            Its value at the first scan by definition, taken where that scan says nothing or gives no error.

        Returns
        -------
        Curve
        """
        found = [self.find(name, scan, region) for scan in self.findings.scans]
        columns = np.array([[m.value, m.sd_random, m.sd] if m else [np.nan] * 3 for m in found], dtype=np.float64)
        exact = np.zeros(len(found), dtype=bool)
        if start is not None and not columns[0, 2] > 0:
            columns[0], exact[0] = (start, 0.0, 0.0), True
        return Curve(columns[:, 0], columns[:, 1], columns[:, 2], exact)

    def list_regions(self, name: str) -> list[str]:
        """Parts of the electrode for which a number is known."""
        return [region for region in REGIONS if self.has([name], [region])]

    @property
    def repeat(self) -> NDArray[np.bool_]:
        """Which scans repeat another."""
        return np.array([scan in self.findings.repeats for scan in self.findings.scans], dtype=bool)

    @property
    def socs(self) -> FloatArray:
        """State of charge of each scan; NaN where it is not known."""
        return np.array([self.findings.socs.get(scan, np.nan) for scan in self.findings.scans], dtype=np.float64)

    def find_peak(self) -> str | None:
        """The most expanded scan: by thickness, else by volumetric strain; repeat scans stand aside.

        Returns
        -------
        str or None
            None where neither is known beyond the first scan.
        """
        for name in ("thickness", "volumetric_strain"):
            values = self.read_curve(name).values
            once = np.where(self.repeat, np.nan, values)
            lost = np.isfinite(values) & self.repeat  # a repeat stands in where the scan itself has no number
            for i in np.flatnonzero(lost):
                repeated = self.findings.repeats[self.findings.scans[i]]
                k = self.findings.scans.index(repeated) if repeated in self.findings.scans else -1
                once[i] = values[i] if k < 0 or not np.isfinite(values[k]) else np.nan
            values = once
            if np.isfinite(values[1:]).any():
                return self.findings.scans[1 + int(np.nanargmax(values[1:]))]
        return None

    def find_discharge(self) -> list[tuple[int, int]]:
        """Runs of scans, first and last, over which the state of charge falls."""
        known = np.flatnonzero(np.isfinite(self.socs))
        runs: list[tuple[int, int]] = []
        for a, b in pairwise(known):
            if self.socs[b] < self.socs[a] - 1e-6:
                joins = bool(runs) and runs[-1][1] == a
                runs.append((runs.pop()[0] if joins else int(a), int(b)))
        return runs

"""The digital twin of an in-situ experiment: an electrode, what happens to it at every step, and how it is scanned."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import RLock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, NodeStatus
from voltome.twin.carrier import CarrierPattern, make_carrier, make_pattern
from voltome.twin.cell_loops import Cells
from voltome.twin.cells import make_cells
from voltome.twin.configuration import TwinSettings
from voltome.twin.cycling import ChargeSplit, split_charge
from voltome.twin.drift import Drift, make_drifts
from voltome.twin.lithiation import Lithiation, StepMatter, desire_lithium
from voltome.twin.microstructure import Microstructure, build_microstructure

Floats = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class TwinStep:
    """One step of the experiment.

    Parameters
    ----------
    name : str
    matter : StepMatter
    drift : Drift
        From the frame of T0 to that of this scan.
    """

    name: str
    matter: StepMatter
    drift: Drift


class ElectrodeTwin:
    """An in-situ experiment whose truth is known at every point.

    Everything follows from the settings; steps are worked out when they are asked for.

    Parameters
    ----------
    settings : TwinSettings

    Raises
    ------
    InputError
        If the microstructure cannot be packed, or silicon has no room to react as it should.
    """

    def __init__(self, settings: TwinSettings) -> None:
        self.settings = settings
        self.structure: Microstructure = build_microstructure(settings)
        self.cells: Cells = make_cells(self.structure)
        self._desire = desire_lithium(settings, self.structure)
        self._kept: dict[Hashable, Any] = {}
        self._lock = RLock()
        self._locks: dict[Hashable, Any] = {}

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, worked out once for each key; safe to ask from several threads."""
        with self._lock:
            own = self._locks.setdefault(key, RLock())
        with own:
            if key not in self._kept:
                self._kept[key] = make()
            value: T = self._kept[key]
            return value

    @property
    def voxel_um(self) -> float:
        """Edge of a voxel in micrometres."""
        return self.settings.voxel_size_m * 1e6

    @property
    def charge(self) -> ChargeSplit:
        """Charge at each step and where it went."""
        return self.cached("charge", lambda: split_charge(self.settings))

    @property
    def lithiation(self) -> Lithiation:
        """What particles may do."""
        return self.cached("lithiation", lambda: Lithiation(self.settings, self.structure, self.cells, self._desire))

    @property
    def pattern(self) -> CarrierPattern:
        """What the smooth motions of all steps have in common."""
        return self.cached("pattern", lambda: make_pattern(self.settings, self.structure, self._desire))

    @property
    def drifts(self) -> tuple[Drift, ...]:
        """Drift of each scan."""
        return self.cached("drifts", lambda: make_drifts(self.settings))

    def step(self, number: int) -> TwinStep:
        """Matter and drift of a step.

        Parameters
        ----------
        number : int
            From 0.

        Returns
        -------
        TwinStep

        Raises
        ------
        InputError
            If silicon has no room to react as it should.
        """
        return self.cached(("step", number), lambda: self._make_step(number))

    def _make_step(self, number: int) -> TwinStep:
        settings = self.settings
        rules, whole = settings.steps[number], settings.electrode.thickness_m
        if rules.repeat:
            return TwinStep(rules.name, self.step(number - 1).matter, self.drifts[number])
        carrier = make_carrier(self.pattern, settings, self.structure, rules.thickness_m)
        most = settings.thickest_m - whole
        progress = (rules.thickness_m - whole) / most if most > 0 else 0.0
        try:
            matter = self.lithiation.move(carrier, float(self.charge.reacted_fraction[number]), progress)
        except InputError as error:
            raise InputError(f"step {rules.name}: {error}") from None
        return TwinStep(rules.name, matter, self.drifts[number])

    def find_matter(self, number: int, positions_vox: Floats) -> Floats:
        """Material points (frame of T0) that arrive at positions in the scan of a step.

        Parameters
        ----------
        number : int
            Step.
        positions_vox : (N, 3) float64
            In voxels of that step's scan.

        Returns
        -------
        (N, 3) float64
            Micrometres; found to 1e-7 um.

        Raises
        ------
        InputError
            If a point has no origin, which a motion that does not fold always has.
        """
        from voltome.twin.return_loops import return_points

        step = self.step(number)
        places = step.drift.to_lab(positions_vox)
        points = np.empty(places.shape)
        failed = return_points(self.cells, step.matter.motion, places, points)
        if failed:
            raise InputError(
                f"the motion of {step.name} must be invertible (no origin for {failed} of {len(points)} points): give "
                "smaller strains or another seed"
            )
        return points

    def move_matter(self, number: int, points_um: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Where material points arrive in the scan of a step.

        Parameters
        ----------
        number : int
            Step.
        points_um : (N, 3) float64
            Material points, in the frame of T0.

        Returns
        -------
        positions_vox : (N, 3) float64
            In voxels of the step's scan, drift included.
        gradients : (N, 3, 3) float64
            d(position) / d(point), both in the same unit: F with the drift.
        kinds : (N, 3) int64
            Kind of place (`matter_loops`), Laguerre cell and grain, -1 for none.
        """
        from voltome.twin.matter_loops import move_points

        step = self.step(number)
        points = np.ascontiguousarray(points_um, dtype=np.float64)
        places, gradients = np.empty(points.shape), np.empty((len(points), 9))
        kinds = np.empty((len(points), 3), dtype=np.int64)
        move_points(self.cells, step.matter.motion, points, places, gradients, kinds)
        return step.drift.to_scan(places), step.drift.linear @ gradients.reshape(-1, 3, 3), kinds

    def in_electrode(self, points_um: Floats) -> NDArray[np.bool_]:
        """Which material points lie between the collector and the electrode's surface, (N,)."""
        z, y, x = points_um.T
        return np.asarray((z >= self.settings.collector_m * 1e6) & (z <= self.structure.surface.height(y, x)))

    def true_field(
        self, number: int, positions_vox: Floats, *, start: int = 0, half_window_vox: int | None = None
    ) -> DeformationField:
        """True Phi from one scan to another at positions in the first.

        Parameters
        ----------
        number : int
            Step of the second scan.
        positions_vox : (N, 3) float64
            In voxels of the first scan.
        start : int
            Step of the first scan.
        half_window_vox : int, optional
            The affine motion that fits all matter of a window best, which is what a correlation can at most see; by
            default the motion of the point itself.

        Returns
        -------
        DeformationField
            Drift included; status 2 inside the electrode, -5 elsewhere (where Phi is true as well).

        Raises
        ------
        InputError
            If a point has no origin.
        """
        positions = np.ascontiguousarray(positions_vox, dtype=np.float64)
        if half_window_vox is None:
            phi = self._point_phi(number, positions, start)
        else:
            phi = np.concatenate([self._window_phi(number, row, start, half_window_vox) for row in positions[:, None]])
        field = DeformationField.from_phi(positions, phi)
        inside = self.in_electrode(self.find_matter(start, positions))
        status = np.where(inside, NodeStatus.CONVERGED, NodeStatus.MASKED).astype(np.int32)
        return field.with_values(status=status)

    def _point_phi(self, number: int, positions: Floats, start: int) -> Floats:
        points = self.find_matter(start, positions)
        _, before, _ = self.move_matter(start, points)
        arrived, after, _ = self.move_matter(number, points)
        phi = np.tile(np.eye(4), (len(points), 1, 1))
        phi[:, :3, :3] = after @ np.linalg.inv(before)
        phi[:, :3, 3] = arrived - positions
        return phi

    def _window_phi(self, number: int, position: Floats, start: int, half_window: int) -> Floats:
        """Least-squares affine over a window of voxels, thinned to at most 17 along each axis."""
        step = max(1, int(np.ceil((2 * half_window + 1) / 17)))
        axis = np.arange(-half_window, half_window + 1, step) + (2 * half_window % step) / 2
        offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        arrived, _, _ = self.move_matter(number, self.find_matter(start, position + offsets))
        design = np.column_stack([offsets, np.ones(len(offsets))])
        fit = np.linalg.lstsq(design, arrived - position, rcond=None)[0]
        phi = np.eye(4)
        phi[:3, :3], phi[:3, 3] = fit[:3].T, fit[3]
        return phi[None]

"""What works the windows of a pair: in this process, or wherever else somebody puts them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import GreyScale, measure_grey_scale, reduce_volume
from voltome.dvc.boxes import Pair, cut_boxes
from voltome.dvc.node_results import NodeResults, NodeRules
from voltome.dvc.nodes import choose_margin, correlate_nodes, cut_windows
from voltome.dvc.registration import Registration, register_affine
from voltome.dvc.workers import thread_pool
from voltome.fields import FloatArray
from voltome.grid import Shape3, VolumeSource


@dataclass(frozen=True)
class PairStart:
    """What is measured of a pair before its windows are worked."""

    reference_scale: GreyScale
    deformed_scale: GreyScale
    registration: Registration | None


class NodeSolver(Protocol):
    """Works windows for `correlate_levels`; the same calls have to give the same results."""

    @property
    def shape(self) -> Shape3: ...

    def start(self, *, register: bool) -> PairStart:
        """Grey scales of the pair and, if wanted, its registration."""
        ...

    def solve(
        self,
        factor: int,
        positions_vox: NDArray[np.int64],
        phi: FloatArray,
        rules: NodeRules,
        *,
        stage: str | None,
    ) -> NodeResults:
        """Work windows as `solve_reduced` does; `stage` is what progress calls them, None for a few stragglers."""
        ...


class LocalSolver:
    """Works the windows on threads of this process; a context manager, which waits for them.

    Parameters
    ----------
    reference, deformed : VolumeSource
    mask : VolumeSource, optional
    grey_window : (low, high), optional
    interpolation : str
    threads : int, optional
    on_progress : callable, optional
        Called with stage, done, total.
    """

    def __init__(
        self,
        reference: VolumeSource,
        deformed: VolumeSource,
        *,
        mask: VolumeSource | None,
        grey_window: tuple[float, float] | None,
        interpolation: str,
        threads: int | None,
        on_progress: Callable[[str, int, int], None] | None,
    ) -> None:
        self._volumes = reference, deformed
        self._mask, self._grey_window, self._interpolation = mask, grey_window, interpolation
        self._threads, self._on_progress = threads, on_progress
        self._pool = thread_pool(threads)
        self._pair: Pair | None = None

    def __enter__(self) -> LocalSolver:
        return self

    def __exit__(self, *failure: object) -> None:
        self._pool.shutdown()

    @property
    def shape(self) -> Shape3:
        z, y, x = self._volumes[0].shape
        return z, y, x

    def start(self, *, register: bool) -> PairStart:
        """Measure the grey scales and register the pair."""
        if register and self._on_progress is not None:
            self._on_progress("registration", 0, 1)
        found = start_pair(
            *self._volumes,
            mask=self._mask,
            register=register,
            interpolation=self._interpolation,
            threads=self._threads,
        )
        self._pair = Pair(*self._volumes, found.reference_scale, found.deformed_scale, self._mask, self._grey_window)
        return found

    def solve(
        self,
        factor: int,
        positions_vox: NDArray[np.int64],
        phi: FloatArray,
        rules: NodeRules,
        *,
        stage: str | None,
    ) -> NodeResults:
        """Work the windows; call `start` before."""
        assert self._pair is not None, "start comes first"
        report, on_progress = None, self._on_progress
        if stage is not None and on_progress is not None:

            def report(done: int, total: int) -> None:
                on_progress(stage, done, total)

        return solve_reduced(self._pair, factor, positions_vox, phi, rules, pool=self._pool, on_progress=report)


def start_pair(
    reference: VolumeSource,
    deformed: VolumeSource,
    *,
    mask: VolumeSource | None = None,
    register: bool = True,
    interpolation: str = "cubic",
    threads: int | None = None,
) -> PairStart:
    """Grey scales of a pair, and its registration.

    Parameters
    ----------
    reference, deformed : VolumeSource
    mask : VolumeSource, optional
    register : bool
        Whether an affine Phi of the whole pair is wanted to start from.
    interpolation : str
    threads : int, optional

    Returns
    -------
    PairStart

    Raises
    ------
    InputError
        As `measure_grey_scale` and `register_affine`.
    """
    return PairStart(
        measure_grey_scale(reference, name="reference", mask=mask),
        measure_grey_scale(deformed, name="deformed"),
        register_affine(reference, deformed, mask=mask, interpolation=interpolation, threads=threads)
        if register
        else None,
    )


def solve_reduced(
    pair: Pair,
    factor: int,
    positions: NDArray[np.int64],
    phi: FloatArray,
    rules: NodeRules,
    *,
    pool: ThreadPoolExecutor,
    on_progress: Callable[[int, int], None] | None = None,
) -> NodeResults:
    """Correlate nodes on volumes reduced by `factor`; positions and Phi are in full voxels on both sides.

    Parameters
    ----------
    pair : Pair
        Not reduced.
    factor : int
    positions : (N, 3) int64
    phi : (N, 4, 4) float64
        Where each node starts.
    rules : NodeRules
        Their window counts reduced voxels.
    pool : ThreadPoolExecutor
    on_progress : callable, optional
        Called with nodes done and nodes in all.

    Returns
    -------
    NodeResults

    Raises
    ------
    InputError
        If the volumes hold NaN where no mask excludes it.
    """
    if factor == 1:
        return correlate_nodes(pair, positions, phi, rules, pool=pool, on_progress=on_progress)
    reduced = replace(
        pair,
        reference=reduce_volume(pair.reference, factor),
        deformed=reduce_volume(pair.deformed, factor),
        mask=None if pair.mask is None else reduce_volume(pair.mask, factor),
    )
    nodes, start, offset = _to_reduced(pair.reference.shape, factor, positions, phi)
    results = correlate_nodes(reduced, nodes, start, rules, pool=pool, on_progress=on_progress)
    f = results.phi[:, :3, :3] - np.eye(3)
    results.phi[:, :3, 3] = factor * results.phi[:, :3, 3] - np.einsum("nij,nj->ni", f, offset)
    return results


def _to_reduced(
    shape: tuple[int, ...], factor: int, positions: NDArray[np.int64], phi: FloatArray
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Nodes and Phi in reduced voxels, and where the nodes' voxels lie beside the positions."""
    middle = (factor - 1) / 2.0
    nodes = np.round((positions - middle) / factor).astype(np.int64)
    nodes = np.clip(nodes, 0, np.asarray([n // factor for n in shape]) - 1)
    offset = np.asarray(factor * nodes + middle - positions, dtype=np.float64)
    start = phi.copy()
    start[:, :3, 3] = (phi[:, :3, 3] + np.einsum("nij,nj->ni", phi[:, :3, :3] - np.eye(3), offset)) / factor
    return nodes, start, offset


def split_nodes(
    shape: Shape3, factor: int, positions: NDArray[np.int64], phi: FloatArray, rules: NodeRules
) -> list[NDArray[np.int64]]:
    """Cut nodes into sets that are read in one block each, so that they can be worked apart.

    Parameters
    ----------
    shape : tuple of int
        Of the volumes, not reduced.
    factor, positions, phi, rules
        As `solve_reduced` takes them; a block takes up to `rules.memory_bytes`.

    Returns
    -------
    list of (n,) int64
        Indices of nodes; the same nodes are always cut alike.
    """
    nodes, start, _ = _to_reduced(shape, factor, positions, phi) if factor > 1 else (positions, phi, None)
    size = np.array([n // factor for n in shape], dtype=np.int64)
    low, high = cut_windows(nodes, size, rules.half_window_vox)
    boxes = cut_boxes(np.arange(len(nodes)), nodes, start, low, high, size, choose_margin(rules), rules)
    return [box.index for box in boxes]

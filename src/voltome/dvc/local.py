"""Local correlation on a regular node grid through a pyramid of spacings and resolutions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import check_pair
from voltome.dvc.interpolation import interpolate_field
from voltome.dvc.levels import Level, choose_levels, choose_reductions, whole_number
from voltome.dvc.node_results import NodeResults, NodeRules
from voltome.dvc.quality import MIN_ZNCC, find_outliers, find_suspects
from voltome.dvc.registration import Registration
from voltome.dvc.solver import LocalSolver, NodeSolver
from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray, NodeStatus, evaluate_affine
from voltome.grid import VolumeSource, regular_nodes

Progress = Callable[[str, int, int], None]

_RETRIES = 20
_NEW_START_VOX = 0.5


@dataclass(frozen=True)
class LocalCorrelation:
    """What `correlate_local` returns.

    Parameters
    ----------
    field : DeformationField
        Raw, unfiltered result of the last level.
    registration : Registration or None
        None where an initial Phi was given.
    levels : tuple of Level
        Levels that were run.
    skipped_levels : tuple of int
        Spacings of the default pyramid that do not fit the volume.
    suspects : dict of int
        Suspect nodes by reason: "low_zncc", "residual", "outlier", "jump", "edge".
    coverage : (N,) float64
        Part of each window (as far as it lies in the reference) that took part.
    seconds : dict of float
        Wall time by stage.
    """

    field: DeformationField
    registration: Registration | None
    levels: tuple[Level, ...]
    skipped_levels: tuple[int, ...]
    suspects: dict[str, int]
    coverage: FloatArray
    seconds: dict[str, float]


def correlate_local(
    reference: VolumeSource,
    deformed: VolumeSource,
    *,
    node_spacing_vox: int | None = None,
    half_window_vox: int | None = None,
    pyramid: tuple[int, ...] | None = None,
    mask: VolumeSource | None = None,
    grey_window: tuple[float, float] | None = None,
    initial_phi: DeformationField | None = None,
    interpolation: str = "cubic",
    min_coverage: float = 0.5,
    min_zncc: float = MIN_ZNCC,
    max_iterations: int = 50,
    threads: int | None = None,
    memory_bytes: int = 768 << 20,
    on_progress: Progress | None = None,
) -> LocalCorrelation:
    """Local digital volume correlation: registration, then Gauss-Newton windows on ever finer node grids.

    Each node's window is matched by an affine Phi (12 degrees of freedom) that maximises the zero-normalised
    cross-correlation, by inverse-compositional Gauss-Newton (Pan et al. 2013, 10.1007/s11340-013-9717-6). A level
    starts from the one above, displacement and gradient interpolated; nodes that fail or disagree with their
    neighbours are tried again from what the neighbours predict.

    Parameters
    ----------
    reference, deformed : VolumeSource
        (z, y, x), same shape, real; a NumPy array or anything that is read block by block.
    node_spacing_vox : int, optional
        Distance between nodes. Given without `pyramid`, it is the only level.
    half_window_vox : int, optional
        Windows are 2 h + 1 voxels wide; the node spacing by default (50 % overlap). For the last level only.
    pyramid : tuple of int, optional
        Node spacings from coarse to fine; 100, 70, 35 by default, as far as they fit the volume.
    mask : VolumeSource, optional
        Weight 0..1 of each reference voxel.
    grey_window : (low, high), optional
        Reference voxels outside have weight 0; in the reference's grey values.
    initial_phi : DeformationField, optional
        Start instead of the registration: one node (an affine about its own position) or a field.
    interpolation : str
        "cubic" (B-spline; accurate) or "linear" (faster, biased by up to some hundredths of a voxel).
    min_coverage : float
        Smallest part of a window that has to take part; below it a node's status is -5.
    min_zncc : float
        Below it a converged node is suspect.
    max_iterations : int
    threads : int, optional
        All cores by default.
    memory_bytes : int
        Bound for the blocks that are worked at once.
    on_progress : callable, optional
        Called with stage, done, total.

    Returns
    -------
    LocalCorrelation

    Raises
    ------
    InputError
        If volumes, mask, windows or initial Phi do not fit together, a volume is constant or holds NaN that no mask
        leaves out, or a requested level does not fit.

    Notes
    -----
    Memory: 32 bytes for each voxel of a block, `memory_bytes` in all; it does not grow with the volume.
    `sd_random` comes from the residual's variance and the Hessian, for noise that is not correlated between voxels.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.ndimage import gaussian_filter
    >>> texture = gaussian_filter(np.random.default_rng(0).standard_normal((48, 50, 52)), 2.0).astype("float32")
    >>> result = correlate_local(texture, np.roll(texture, 2, axis=2), node_spacing_vox=15, half_window_vox=10)
    >>> bool(np.abs(np.median(result.field.displacement_vox, axis=0) - [0, 0, 2]).max() < 0.01)
    True
    """
    node_spacing_vox = whole_number("node_spacing_vox", node_spacing_vox)
    half_window_vox = whole_number("half_window_vox", half_window_vox)
    check_pair(reference, deformed, mask)
    check_options(interpolation, min_coverage, max_iterations, grey_window)
    with LocalSolver(
        reference,
        deformed,
        mask=mask,
        grey_window=grey_window,
        interpolation=interpolation,
        threads=threads,
        on_progress=on_progress,
    ) as solver:
        return correlate_levels(
            solver,
            node_spacing_vox=node_spacing_vox,
            half_window_vox=half_window_vox,
            pyramid=pyramid,
            initial_phi=initial_phi,
            interpolation=interpolation,
            min_coverage=min_coverage,
            min_zncc=min_zncc,
            max_iterations=max_iterations,
            memory_bytes=memory_bytes,
        )


def correlate_levels(
    solver: NodeSolver,
    *,
    node_spacing_vox: int | None,
    half_window_vox: int | None,
    pyramid: tuple[int, ...] | None,
    initial_phi: DeformationField | None = None,
    interpolation: str = "cubic",
    min_coverage: float = 0.5,
    min_zncc: float = MIN_ZNCC,
    max_iterations: int = 50,
    memory_bytes: int = 768 << 20,
) -> LocalCorrelation:
    """Local correlation through the levels of the pyramid, the windows worked by a solver.

    What a level does with all its nodes (starts, retries, suspects) happens here; it takes little memory and time.

    Parameters
    ----------
    solver : NodeSolver
    node_spacing_vox, half_window_vox, pyramid, initial_phi, interpolation, min_coverage, min_zncc, max_iterations
        As `correlate_local` takes them.
    memory_bytes : int
        Bound for the blocks that a solver works at once.

    Returns
    -------
    LocalCorrelation

    Raises
    ------
    InputError
        As `correlate_local`.
    """
    levels, skipped = choose_levels(solver.shape, node_spacing_vox, half_window_vox, pyramid)
    if initial_phi is not None and not np.isfinite(initial_phi.phi).all(axis=(1, 2)).any():
        raise InputError(
            f"the initial Phi must hold a finite row (got {len(initial_phi)} with NaN): give another one, or none"
        )
    seconds: dict[str, float] = {}
    clock = time.perf_counter()
    registration = solver.start(register=initial_phi is None).registration
    if registration is not None:
        initial_phi = DeformationField.from_phi(registration.centre_vox[None], registration.phi[None])
        seconds["registration"] = time.perf_counter() - clock
    assert initial_phi is not None
    start = initial_phi
    rules = NodeRules(
        half_window_vox=levels[-1].half_window_vox,
        cubic=interpolation == "cubic",
        max_iterations=max_iterations,
        min_coverage=min_coverage,
        memory_bytes=memory_bytes,
    )
    for level in levels:
        clock = time.perf_counter()
        positions, grid_shape = regular_nodes(solver.shape, level.node_spacing_vox)
        results = _run_level(solver, level, positions, start, rules, last=level is levels[-1])
        field = build_field(positions, results, grid_shape=grid_shape, suspect=_doubtful(positions, results))
        start = field if field.trusted.any() else start
        seconds[f"spacing {level.node_spacing_vox}"] = time.perf_counter() - clock
    suspicion = find_suspects(positions, results, min_zncc=min_zncc)
    return LocalCorrelation(
        field=build_field(positions, results, grid_shape=grid_shape, suspect=suspicion.any),
        registration=registration,
        levels=levels,
        skipped_levels=skipped,
        suspects=suspicion.count(),
        coverage=results.coverage,
        seconds=seconds,
    )


def check_options(
    interpolation: str, min_coverage: float, max_iterations: int, grey_window: tuple[float, float] | None
) -> None:
    """Rules that the options of a correlation have to keep; see `correlate_local`.

    Parameters
    ----------
    interpolation : str
    min_coverage : float
    max_iterations : int
    grey_window : (low, high) or None

    Returns
    -------
    None
        They make sense when this returns.

    Raises
    ------
    InputError
        If one of them does not.
    """
    if interpolation not in ("cubic", "linear"):
        raise InputError(f"interpolation must be cubic or linear (got {interpolation!r}): choose one of them")
    if not 0.0 < min_coverage <= 1.0:
        raise InputError(
            f"min_coverage must be above 0 and at most 1 (got {min_coverage}): give a fraction such as 0.5"
        )
    if max_iterations < 1:
        raise InputError(f"max_iterations must be >= 1 (got {max_iterations}): give a number such as 50")
    if grey_window is not None and not grey_window[0] < grey_window[1]:
        raise InputError(f"the grey window's low must be below its high (got {grey_window}): swap or widen them")


def _run_level(
    solver: NodeSolver,
    level: Level,
    positions: NDArray[np.int64],
    start: DeformationField,
    rules: NodeRules,
    *,
    last: bool,
) -> NodeResults:
    """Work one level at its resolutions, each starting from the one before."""
    phi = predict_phi(start, positions)
    results = NodeResults.start(phi)
    for factor in choose_reductions(level.half_window_vox, last):
        stage = f"spacing {level.node_spacing_vox}" + (f", voxels of {factor}" if factor > 1 else "")
        stage_rules = replace(rules, half_window_vox=round(level.half_window_vox / factor), last=last and factor == 1)
        results = solver.solve(factor, positions, phi, stage_rules, stage=stage)
        _retry(solver, factor, positions, results, phi.copy(), stage_rules)
        good = (results.status == NodeStatus.CONVERGED) & ~_doubtful(positions, results)
        if good.any():
            field = build_field(positions, results, suspect=~good)
            phi = np.where(good[:, None, None], results.phi, interpolate_field(field, positions))
    return results


def predict_phi(start: DeformationField, positions: NDArray[np.int64]) -> FloatArray:
    """Phi of a start at new nodes: one affine re-centred, or a field interpolated from its trusted nodes.

    Parameters
    ----------
    start : DeformationField
        One node, or a field.
    positions : (N, 3) int64

    Returns
    -------
    (N, 4, 4) float64
    """
    if len(start) == 1:
        return evaluate_affine(start.phi[0], start.positions_vox[0], positions)
    finite = np.asarray(np.isfinite(start.phi).all(axis=(1, 2)))
    use = start.trusted & finite
    return interpolate_field(start, positions, use=use if use.any() else finite)


def _doubtful(positions: NDArray[np.int64], results: NodeResults) -> NDArray[np.bool_]:
    """Converged nodes from which nothing should start: outliers, and correlations that are hardly any."""
    converged = results.status == NodeStatus.CONVERGED
    return np.asarray(converged & (find_outliers(positions, results.phi, converged) | ~(results.zncc > 0.2)))


def _retry(
    solver: NodeSolver,
    factor: int,
    positions: NDArray[np.int64],
    results: NodeResults,
    tried: FloatArray,
    rules: NodeRules,
) -> None:
    """Work nodes that failed, or disagree with their neighbours, again from what the neighbours predict; in place.

    A start close to one that was tried is not tried again: empty regions would cost the most and give nothing.
    """
    for _ in range(_RETRIES):
        doubtful = _doubtful(positions, results)
        good = (results.status == NodeStatus.CONVERGED) & ~doubtful
        again = np.flatnonzero(~good & (results.status != NodeStatus.MASKED))
        if not len(again) or not good.any():
            return
        field = build_field(positions, results, suspect=doubtful)
        start = interpolate_field(field, positions[again], use=good)
        new = _window_distance(start, tried[again], rules.half_window_vox * factor) > _NEW_START_VOX * factor
        again, start = again[new], start[new]
        if not len(again):
            return
        tried[again] = start
        trial = solver.solve(factor, positions[again], start, rules, stage=None)
        was_converged = results.status[again] == NodeStatus.CONVERGED
        better = (trial.status == NodeStatus.CONVERGED) & (~was_converged | (trial.zncc > results.zncc[again] + 1e-3))
        results.take(again, trial, better)
        if not better.any():
            return


def _window_distance(a: FloatArray, b: FloatArray, half_window: int) -> FloatArray:
    """Largest displacement by which two Phi differ over a window, (N,) in voxels."""
    difference = np.abs(a - b)[:, :3]
    out: FloatArray = (difference[:, :, 3] + half_window * difference[:, :, :3].sum(axis=2)).max(axis=1)
    return out


def build_field(
    positions: NDArray[np.int64],
    results: NodeResults,
    *,
    grid_shape: tuple[int, int, int] | None = None,
    suspect: NDArray[np.bool_],
) -> DeformationField:
    """Deformation field from node results.

    Parameters
    ----------
    positions : (N, 3) int64
    results : NodeResults
    grid_shape : tuple of int, optional
    suspect : (N,) bool

    Returns
    -------
    DeformationField
        A masked or failed node keeps the last Phi that was tried.
    """
    return DeformationField(
        positions_vox=positions.astype(np.float64),
        phi=results.phi,
        status=results.status,
        iterations=results.iterations,
        residual=np.sqrt(2.0 * np.clip(1.0 - results.zncc, 0.0, None)),
        delta_phi_norm=results.delta_phi_norm,
        zncc=results.zncc,
        suspect=suspect.astype(np.uint8),
        filled=np.zeros(len(positions), dtype=np.uint8),
        covariance=results.covariance,
        grid_shape=grid_shape,
    )

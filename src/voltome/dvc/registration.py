"""Registration of a whole pair: translation by masked FFT correlation, then one affine Phi from coarse to fine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.blocks import (
    GreyScale,
    check_pair,
    measure_grey_scale,
    prepare_deformed,
    prepare_reference,
    read_normalised,
    reduce_volume,
)
from voltome.dvc.boxes import refuse_nan
from voltome.dvc.workers import count_threads, thread_pool
from voltome.fields import FloatArray, NodeStatus
from voltome.grid import VolumeSource
from voltome.kernels import filters, gauss_newton, moments, weights
from voltome.kernels.sampling import TAIL, line_size

_FFT_SIDE = 64
_COARSEST_SIDE = 20
_FINEST_VOXELS = 10_000_000
_TOLERANCE_VOX = 1e-3
_MAX_ITERATIONS = 40
_MIN_OVERLAP = 0.25


@dataclass(frozen=True)
class Registration:
    """One affine deformation of the whole pair.

    Parameters
    ----------
    phi : (4, 4) float64
        Deformation relative to `centre_vox`; displacement in voxels.
    centre_vox : (3,) float64
        Where Phi acts: the volume's centre, (n - 1) / 2.
    status : int
        `NodeStatus`; below 2 Phi is the best that was found, at least the translation.
    iterations : int
    zncc : float
        Zero-normalised cross-correlation after registration, at the last resolution.
    reduction : int
        Voxels of the volume along the side of a voxel of the last resolution.
    """

    phi: FloatArray
    centre_vox: FloatArray
    status: int
    iterations: int
    zncc: float
    reduction: int


@dataclass(frozen=True)
class _Level:
    """A reduced pair in memory with its Gauss-Newton ingredients."""

    reference: moments.Reference
    deformed: moments.Deformed
    weighting: weights.Weighting
    node: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


def register_affine(
    reference: VolumeSource,
    deformed: VolumeSource,
    *,
    mask: VolumeSource | None = None,
    initial_phi: FloatArray | None = None,
    interpolation: str = "cubic",
    threads: int | None = None,
) -> Registration:
    """Register two volumes by one affine Phi: FFT translation, then Gauss-Newton from coarse to fine.

    The translation is the peak of the masked normalised cross-correlation (Padfield 2012, 10.1109/TIP.2011.2181402) of
    reduced volumes, the affine part an inverse-compositional Gauss-Newton on the zero-normalised criterion, on ever
    finer block means down to about ten million voxels. Memory: 24 bytes for each voxel of the finest.

    Parameters
    ----------
    reference, deformed : VolumeSource
        (z, y, x), same shape.
    mask : VolumeSource, optional
        Weight of the reference's voxels, 0 to 1.
    initial_phi : (4, 4) float64, optional
        Start relative to the volume's centre (an eye registration); replaces the FFT.
    interpolation : str
        "cubic" or "linear".
    threads : int, optional
        Threads; all cores by default.

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        If the volumes do not fit together, are constant, or hold NaN outside the mask.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.ndimage import gaussian_filter
    >>> texture = gaussian_filter(np.random.default_rng(0).standard_normal((40, 44, 48)), 2.0).astype("float32")
    >>> found = register_affine(texture, np.roll(texture, 3, axis=0))
    >>> bool(abs(found.phi[0, 3] - 3.0) < 0.05)
    True
    """
    check_pair(reference, deformed, mask)
    scales = (
        measure_grey_scale(reference, name="reference", mask=mask),
        measure_grey_scale(deformed, name="deformed"),
    )
    centre = (np.asarray(reference.shape, dtype=np.float64) - 1.0) / 2.0
    with thread_pool(threads) as pool:
        if initial_phi is None:
            phi = np.eye(4)
            phi[:3, 3] = _find_translation(reference, deformed, mask, scales, count_threads(threads))
        else:
            phi = np.array(initial_phi, dtype=np.float64)
        found = Registration(phi, centre, NodeStatus.NOT_RUN, 0, float("nan"), 0)
        for factor in _reductions(reference.shape):
            level = _prepare_level(pool, reference, deformed, mask, scales, factor, interpolation == "cubic")
            found = _refine(pool, level, found, factor)
    return found


def _reductions(shape: tuple[int, ...]) -> list[int]:
    """Reduction factors from coarse to fine: powers of two."""
    finest = 1
    while np.prod([n // finest for n in shape]) > _FINEST_VOXELS:
        finest *= 2
    factors = [finest]
    while min(shape) // (factors[0] * 2) >= _COARSEST_SIDE:
        factors.insert(0, factors[0] * 2)
    return factors


def _read_reduced(source: VolumeSource, factor: int, scale: GreyScale) -> NDArray[np.float32]:
    """A whole reduced volume, flat and normalised."""
    reduced = reduce_volume(source, factor)
    return read_normalised(reduced, np.zeros(3, dtype=np.int64), np.asarray(reduced.shape, dtype=np.int64), scale)


def _read_weights(
    grey: NDArray[np.float32], mask: VolumeSource | None, factor: int, shape: NDArray[np.int64], name: str
) -> NDArray[np.float32]:
    """Weights of a whole reduced volume, flat; NaN in `grey` is replaced, or refused where the mask wants it."""
    weights = np.ones(grey.size, dtype=np.float32)
    inner = weights[: grey.size - TAIL]
    if mask is not None:
        inner[:] = np.clip(np.nan_to_num(_read_reduced(mask, factor, GreyScale(0.0, 1.0))[: inner.size]), 0.0, 1.0)
    missing = ~np.isfinite(grey)
    if missing.any():
        # A reduced voxel of which only a part is masked takes NaN from that part: refuse only what is wholly inside.
        refuse_nan(name, missing[: inner.size] & (inner >= 1.0), shape)
        weights[missing] = 0.0
        grey[missing] = 0.0
    return weights


def _find_translation(
    reference: VolumeSource,
    deformed: VolumeSource,
    mask: VolumeSource | None,
    scales: tuple[GreyScale, GreyScale],
    threads: int,
) -> FloatArray:
    """Translation in voxels at the peak of the masked normalised cross-correlation (10.1109/TIP.2011.2181402)."""
    from scipy import fft

    factor = max(1, -(-max(reference.shape) // (2 * _FFT_SIDE)))
    f, g = _read_reduced(reference, factor, scales[0]), _read_reduced(deformed, factor, scales[1])
    shape = np.asarray(reference.shape) // factor
    wf = _read_weights(f, mask, factor, shape, "reference")[: f.size - TAIL].reshape(shape)
    wg = _read_weights(g, None if np.isfinite(g).all() else mask, factor, shape, "deformed")[: g.size - TAIL].reshape(
        shape
    )
    f, g = f[: f.size - TAIL].reshape(shape), g[: g.size - TAIL].reshape(shape)
    padded = [fft.next_fast_len(int(2 * n - 1), real=True) for n in shape]

    def spectrum(a: NDArray[np.float32]) -> NDArray[np.complex64]:
        out: NDArray[np.complex64] = fft.rfftn(a, padded, workers=threads)
        return out

    def correlate(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = fft.irfftn(np.conj(a) * b, padded, workers=threads)
        return out

    s_wf, s_wg, s_f, s_g = spectrum(wf), spectrum(wg), spectrum(wf * f), spectrum(wg * g)
    overlap = np.maximum(correlate(s_wf, s_wg), 1.0)
    sum_f, sum_g = correlate(s_f, s_wg), correlate(s_wf, s_g)
    variance_f = correlate(spectrum(wf * f * f), s_wg) - sum_f**2 / overlap
    variance_g = correlate(s_wf, spectrum(wg * g * g)) - sum_g**2 / overlap
    numerator = correlate(s_f, s_g) - sum_f * sum_g / overlap
    enough = (overlap > _MIN_OVERLAP * overlap.max()) & (variance_f > 0) & (variance_g > 0)
    zncc = np.full(overlap.shape, -1.0, dtype=np.float32)
    zncc[enough] = numerator[enough] / np.sqrt(variance_f[enough] * variance_g[enough])
    # Where little overlaps, chance and shading alone correlate well: what counts is the significance, ZNCC x root of n.
    best = int(np.argmax(zncc * np.sqrt(overlap)))
    peak = np.array(np.unravel_index(best, zncc.shape), dtype=np.float64)
    size = np.array(padded, dtype=np.float64)
    return np.where(peak > size / 2, peak - size, peak) * factor


def _prepare_level(
    pool: ThreadPoolExecutor,
    reference: VolumeSource,
    deformed: VolumeSource,
    mask: VolumeSource | None,
    scales: tuple[GreyScale, GreyScale],
    factor: int,
    cubic: bool,
) -> _Level:
    shape = np.asarray(reference.shape, dtype=np.int64) // factor
    f, g = _read_reduced(reference, factor, scales[0]), _read_reduced(deformed, factor, scales[1])
    weights_f = _read_weights(f, mask, factor, shape, "reference")
    weights_g = np.zeros(0, dtype=np.float32)
    if not np.isfinite(g).all():
        weights_g = _read_weights(g, mask, factor, shape, "deformed")
    rim, node = filters.GRADIENT_REACH, shape // 2
    deformed_level = prepare_deformed(
        pool,
        g,
        np.zeros(3, dtype=np.int64),
        shape,
        reference_start=np.zeros(3, dtype=np.int64),
        volume_shape=tuple(shape),
        cubic=cubic,
    )
    # The block is the volume: what its edge taps cannot reach counts as outside.
    taps = np.stack([np.full(3, 1.0), shape - 3.0], axis=1)
    return _Level(
        prepare_reference(pool, f, shape),
        deformed_level._replace(inside=taps, readable=taps),
        weights.Weighting(
            weights_f if mask is not None or (weights_f == 0).any() else weights_g[:0], weights_g, weights_g[:0]
        ),
        node,
        rim - node,
        shape - rim - node,
    )


def _refine(pool: ThreadPoolExecutor, level: _Level, start: Registration, factor: int) -> Registration:
    """Gauss-Newton at one resolution; the start is kept where that did not raise the ZNCC."""
    voxel_centre = factor * level.node + (factor - 1) / 2.0
    identity = np.eye(3)
    phi = np.ascontiguousarray(start.phi[:3, :])
    phi[:, 3] = (phi[:, 3] + (phi[:, :3] - identity) @ (voxel_centre - start.centre_vox)) / factor
    first_zncc, best_zncc, best, status = -np.inf, -np.inf, phi.copy(), NodeStatus.ITERATIONS_SPENT
    lever = float(np.sqrt(np.mean(level.high.astype(float) ** 2) / 3.0))
    previous, iterations = np.inf, 0
    for iterations in range(1, _MAX_ITERATIONS + 1):
        solved = _gauss_newton_step(pool, level, phi)
        if solved is None:
            status = NodeStatus.SINGULAR
            break
        step, zncc = solved
        first_zncc = zncc if iterations == 1 else first_zncc
        if zncc > best_zncc:
            best_zncc, best = zncc, phi.copy()
        scaled = np.where(np.arange(12) % 4 == 3, 1.0, lever) * step
        norm = float(np.linalg.norm(scaled))
        if norm > 0.25 * lever:
            step *= 0.25 * lever / norm
        _apply_step(phi, step)
        if not (np.isfinite(phi).all() and 0.05 < np.linalg.det(phi[:, :3]) < 20.0):
            status = NodeStatus.DETERMINANT
            break
        rate = min(norm / previous, 0.95) if iterations > 1 else 0.95
        previous = norm
        if norm * rate / (1.0 - rate) < _TOLERANCE_VOX:
            status, best = NodeStatus.CONVERGED, phi.copy()
            break
    out = np.eye(4)
    out[:3, :] = best
    out[:3, 3] = factor * best[:, 3] - (best[:, :3] - identity) @ (voxel_centre - start.centre_vox)
    return replace(
        start,
        phi=out,
        status=int(status),
        iterations=start.iterations + iterations,
        zncc=float(best_zncc),
        reduction=factor,
    )


def _apply_step(phi: FloatArray, step: FloatArray) -> None:
    """phi <- phi o (I + step)^-1, in place."""
    full, increment = np.eye(4), np.eye(4)
    full[:3, :] = phi
    increment[:3, :] += step.reshape(3, 4)
    phi[:] = (full @ np.linalg.inv(increment))[:3, :]


def _gauss_newton_step(pool: ThreadPoolExecutor, level: _Level, phi: FloatArray) -> tuple[FloatArray, float] | None:
    """Increment of the twelve parameters and ZNCC before it; None where the texture does not fix them."""
    low, high = level.low, level.high
    stride = int(moments.whole_groups(int(high[2] - low[2])))
    buffer = np.zeros(int((high[0] - low[0]) * (high[1] - low[1])) * stride + TAIL, dtype=np.float32)
    window = moments.Window(level.node, low, high, buffer, stride)
    slabs = np.linspace(low[0], high[0], 17).astype(np.int64)

    def work(first: int, stop: int) -> tuple[FloatArray, ...]:
        hessian, gradient, gradient_grey, product = np.zeros((12, 12)), np.zeros(12), np.zeros(12), np.zeros(12)
        totals_f, totals_g = np.zeros(3), np.zeros(3)
        plane = np.zeros(moments.PLANE_SIZE, dtype=np.float32)
        values = np.zeros(moments.ROWS * (stride + TAIL), dtype=np.float32)
        line = np.zeros(moments.ROWS * line_size(stride), dtype=np.float32)
        weights.fill_weights(level.reference, level.deformed, level.weighting, window, phi, first, stop)
        moments.sum_reference(level.reference, window, first, stop, plane, hessian, gradient, gradient_grey, totals_f)
        moments.sum_deformed(level.reference, level.deformed, window, phi, first, stop, values, line, product, totals_g)
        return hessian, gradient, gradient_grey, product, totals_f, totals_g

    jobs = [pool.submit(work, int(a), int(b)) for a, b in pairwise(slabs) if b > a]
    parts = [job.result() for job in jobs]
    if not parts:  # nothing is left between the faces' stencils
        return None
    hessian, gradient, gradient_grey, product, totals_f, totals_g = (sum(p[k] for p in parts) for k in range(6))
    if totals_f[0] < 100.0:  # type: ignore[index]
        return None
    rhs = np.zeros(12)
    zncc = gauss_newton.right_hand_side(gradient, gradient_grey, product, totals_f, totals_g, rhs)
    try:
        return np.linalg.solve(hessian, rhs), float(zncc)
    except np.linalg.LinAlgError:
        return None

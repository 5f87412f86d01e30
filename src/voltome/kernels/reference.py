"""The kernels once more, in plain NumPy and float64: what they are meant to compute, and what they are tested against.

Volumes are (z, y, x) arrays instead of flat buffers, a window is worked as a whole instead of row by row, and sums are
formed from their definitions. In shapes, W is a window's (nz, ny, nx) voxels. `reference_sampling` holds
what reads a volume: filters, sampling, warping; `reference_algebra` what solves for an increment and composes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voltome.kernels import gauss_newton
from voltome.kernels.gauss_newton import CELLS, Rules
from voltome.kernels.reference_algebra import accelerate as accelerate
from voltome.kernels.reference_algebra import compose_inverse as compose_inverse
from voltome.kernels.reference_algebra import homogeneous as homogeneous
from voltome.kernels.reference_algebra import rigid_increments as rigid_increments
from voltome.kernels.reference_algebra import rotate_exactly as rotate_exactly
from voltome.kernels.reference_algebra import solve as solve
from voltome.kernels.reference_algebra import solve_step as solve_step
from voltome.kernels.reference_sampling import blend_displacement as blend_displacement
from voltome.kernels.reference_sampling import block_mean as block_mean
from voltome.kernels.reference_sampling import gradient as gradient
from voltome.kernels.reference_sampling import prefilter as prefilter
from voltome.kernels.reference_sampling import sample as sample
from voltome.kernels.reference_sampling import sample_lines as sample_lines
from voltome.kernels.reference_sampling import sample_row as sample_row
from voltome.kernels.reference_sampling import warp as warp

Array = NDArray[np.float64]


class ReferenceVolume(NamedTuple):
    """Grey values (nz, ny, nx), their gradient (3, nz, ny, nx), and weights (nz, ny, nx) or None for ones."""

    grey: Array
    gradient: Array
    weights: Array | None = None


class DeformedVolume(NamedTuple):
    """A block of the deformed volume.

    `samples` (nz, ny, nx) are spline coefficients if `cubic`, else grey values; `shift` (3,) is the reference block's
    origin minus this block's; `inside` and `readable` (3, 2) are the first and last position on each axis that belong
    to the volume and that can be sampled; `weights` (nz, ny, nx) or None for ones.
    """

    samples: Array
    shift: Array
    inside: Array
    readable: Array
    cubic: bool = True
    weights: Array | None = None


class Window(NamedTuple):
    """Node (3,) in the reference block and half-open extent low..high (3,) relative to it."""

    node: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @property
    def offsets(self) -> Array:
        """Positions relative to the node, W + (3,)."""
        axes = [np.arange(a, b) for a, b in zip(self.low, self.high, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float64)

    def cut(self, volume: NDArray[Any]) -> NDArray[Any]:
        """The window's part (..., W) of an array (..., nz, ny, nx)."""
        z, y, x = (slice(n + a, n + b) for n, a, b in zip(self.node, self.low, self.high, strict=True))
        return volume[..., z, y, x]


class GreyStatistics(NamedTuple):
    """Weighted means and standard deviations of two windows, and their zero-normalised cross-correlation."""

    mean_f: float
    sd_f: float
    mean_g: float
    sd_g: float
    zncc: float


class NodeResult(NamedTuple):
    """Status and final phi (3, 4) of a node, and what `gauss_newton.correlate_nodes` calls `numbers`."""

    status: int
    phi: Array
    numbers: Array
    hessian: Array
    cells: Array


def image_points(deformed: DeformedVolume, window: Window, phi: Array) -> Array:
    """Where phi (3, 4) maps a window's voxels, W + (3,), in the deformed block's coordinates.

    Parameters
    ----------
    deformed : DeformedVolume
    window : Window
    phi : (3, 4) float64

    Returns
    -------
    W + (3,) float64
    """
    return np.asarray(window.node + deformed.shift + phi[:, 3] + window.offsets @ phi[:, :3].T)


def sample_window(deformed: DeformedVolume, window: Window, phi: Array) -> Array:
    """The deformed volume at the images of a window's voxels, W; 0 where it cannot be read.

    Parameters
    ----------
    deformed, window, phi
        As in `image_points`.

    Returns
    -------
    W float64
    """
    points = image_points(deformed, window, phi)
    low, high = deformed.readable.T
    readable = ((points >= low) & (points <= high)).all(axis=-1)
    values = sample_lines(deformed.samples, np.clip(points, low, high), phi[:, 2], cubic=deformed.cubic)
    return np.where(readable, values, 0.0)


def window_weights(reference: ReferenceVolume, deformed: DeformedVolume, window: Window, phi: Array) -> Array:
    """Weights W: the reference's times the nearest in the deformed block; 0 where phi leads out of the volume.

    Parameters
    ----------
    reference : ReferenceVolume
    deformed, window, phi
        As in `image_points`.

    Returns
    -------
    W float64
    """
    points = image_points(deformed, window, phi)
    low, high = deformed.inside.T
    weights: Array = ((points >= low) & (points <= high)).all(axis=-1).astype(np.float64)
    if reference.weights is not None:
        weights *= window.cut(reference.weights)
    if deformed.weights is not None:
        nearest = np.floor(points + 0.5).astype(np.int64).clip(0, np.array(deformed.weights.shape) - 1)
        weights *= deformed.weights[tuple(np.moveaxis(nearest, -1, 0))]
    return weights


def steepest_descent(reference: ReferenceVolume, window: Window) -> Array:
    """Derivative of the grey value by the twelve parameters, W + (12,): g_r (Z, Y, X, 1) for r = z, y, x.

    Parameters
    ----------
    reference : ReferenceVolume
    window : Window

    Returns
    -------
    W + (12,) float64
    """
    lever = np.concatenate([window.offsets, np.ones((*window.offsets.shape[:3], 1))], axis=-1)
    product = np.einsum("rzyx,zyxc->zyxrc", window.cut(reference.gradient), lever)
    return np.asarray(product.reshape(*lever.shape[:3], 12))


def hessian_matrix(descent: Array, weights: Array) -> Array:
    """Gauss-Newton Hessian (12, 12): the sum of w SD SD^T over a window; descent W + (12,), weights W.

    Parameters
    ----------
    descent : W + (12,) float64
    weights : W float64

    Returns
    -------
    (12, 12) float64
    """
    return np.asarray(np.einsum("zyx,zyxi,zyxj->ij", weights, descent, descent))


def weighted_sum(descent: Array, weights: Array, values: Array) -> Array:
    """The sum (12,) of w SD v over a window; descent W + (12,), weights and values W.

    Parameters
    ----------
    descent : W + (12,) float64
    weights, values : W float64

    Returns
    -------
    (12,) float64
    """
    return np.asarray(np.einsum("zyx,zyxi,zyx->i", weights, descent, values))


def grey_statistics(f: Array, g: Array, weights: Array) -> GreyStatistics:
    """Statistics of two windows of grey values (W); the ZNCC is 0 where one of them is constant.

    Parameters
    ----------
    f, g, weights : W float64

    Returns
    -------
    GreyStatistics
    """
    mean_f, mean_g = np.average(f, weights=weights), np.average(g, weights=weights)
    sd_f = np.sqrt(np.average((f - mean_f) ** 2, weights=weights))
    sd_g = np.sqrt(np.average((g - mean_g) ** 2, weights=weights))
    covariance = np.average((f - mean_f) * (g - mean_g), weights=weights)
    zncc = covariance / (sd_f * sd_g) if min(sd_f, sd_g) > 1e-9 else 0.0
    return GreyStatistics(float(mean_f), float(sd_f), float(mean_g), float(sd_g), float(zncc))


def normalised_residual(f: Array, g: Array, statistics: GreyStatistics) -> Array:
    """sd_f / sd_g (g - mean g) - (f - mean f), W: free of the gain and offset of g.

    Parameters
    ----------
    f, g : W float64
    statistics : GreyStatistics

    Returns
    -------
    W float64
    """
    ratio = statistics.sd_f / statistics.sd_g if statistics.sd_g > 1e-9 else 0.0
    return ratio * (g - statistics.mean_g) - (f - statistics.mean_f)


def sum_cells(
    reference: ReferenceVolume,
    deformed: DeformedVolume,
    window: Window,
    phi: Array,
    weights: Array,
    statistics: GreyStatistics,
) -> Array:
    """Sums of a pure translation for CELLS^3 cells of a window.

    Parameters
    ----------
    reference, deformed, window, phi
        As in `correlate_node`.
    weights : (nz, ny, nx) float64
    statistics : GreyStatistics
        Gain and offset of the residual.

    Returns
    -------
    (CELLS^3, 9) float64
        Sum of w g_r residual for r = z, y, x and of w g_r g_s for zz zy zx yy yx xx.
    """
    residual = normalised_residual(window.cut(reference.grey), sample_window(deformed, window, phi), statistics)
    g = window.cut(reference.gradient)
    products = [g[r] * residual for r in range(3)] + [g[r] * g[s] for r in range(3) for s in range(r, 3)]
    z, y, x = (np.arange(n) * CELLS // n for n in residual.shape)
    cell = (z[:, None, None] * CELLS + y[:, None]) * CELLS + x
    sums = [np.bincount(cell.ravel(), (weights * p).ravel(), minlength=CELLS**3) for p in products]
    return np.stack(sums, axis=1)


def response(gradient_x: Array, g: Array, weights: Array, statistics: GreyStatistics) -> float:
    """Slope of the sampled volume along x against that of the reference, where a row has both.

    Parameters
    ----------
    gradient_x, g, weights : (nz, ny, nx) float64
    statistics : GreyStatistics

    Returns
    -------
    float
        1 without noise; smaller where noise steepens the reference. 1 where no row has seven voxels.
    """
    slope = (
        0.75 * (g[..., 4:-2] - g[..., 2:-4]) - 0.15 * (g[..., 5:-1] - g[..., 1:-5]) + (g[..., 6:] - g[..., :-6]) / 60
    )
    weighted = (weights * gradient_x)[..., 3:-3]
    ratio = statistics.sd_f / statistics.sd_g if statistics.sd_g > 1e-9 else 0.0
    squares = (weighted * gradient_x[..., 3:-3]).sum()
    return float(ratio * (weighted * slope).sum() / squares) if squares > 1e-30 else 1.0


def _image_box(deformed: DeformedVolume, window: Window, phi: Array) -> Array:
    """Bounding box (3, 2) of a window's image, from its corners."""
    corners = np.array(list(itertools.product(*zip(window.low, window.high - 1, strict=True))))
    points = window.node + deformed.shift + phi[:, 3] + corners @ phi[:, :3].T
    return np.stack([points.min(axis=0), points.max(axis=0)], axis=1)


def _leaves_block(box: Array, deformed: DeformedVolume) -> bool:
    """Whether a part of the image lies in the volume but outside what was read."""
    low, high = np.maximum(box[:, 0], deformed.inside[:, 0]), np.minimum(box[:, 1], deformed.inside[:, 1])
    return bool(((low <= high) & ((low < deformed.readable[:, 0]) | (high > deformed.readable[:, 1]))).any())


def _has_converged(norm: float, previous: float | None, tolerance: float) -> bool:
    """Whether what a linear convergence leaves, norm r / (1 - r) for r = norm / previous, is below the tolerance."""
    rate = 1.0 if previous is None else norm / previous
    return norm < 0.1 * tolerance or (rate < 0.7 and norm * rate / (1.0 - rate) < tolerance)


def correlate_node(
    reference: ReferenceVolume, deformed: DeformedVolume, rules: Rules, window: Window, phi: Sequence[Any] | Array
) -> NodeResult:
    """Inverse-compositional Gauss-Newton at one node until it stops (10.1007/s11340-013-9717-6), ZNSSD.

    Parameters
    ----------
    reference : ReferenceVolume
    deformed : DeformedVolume
    rules : Rules
    window : Window
    phi : (3, 4) float64
        F and u of the start.

    Returns
    -------
    NodeResult
        Numbers (7,): ZNCC, norm of the last increment, coverage, iterations, grey sd, sum of weights, response; NaN
        where not reached. Hessian (12, 12) and cells (CELLS^3, 9) are zero where not reached.
    """
    phi = np.array(phi, dtype=np.float64)
    numbers, hessian, cells = np.full(7, np.nan), np.zeros((12, 12)), np.zeros((CELLS**3, 9))
    if not np.isfinite(phi).all():
        return NodeResult(gauss_newton.NAN_START, phi, numbers, hessian, cells)
    f, descent = window.cut(reference.grey), steepest_descent(reference, window)
    lever = np.append(np.full(3, rules.half_window / np.sqrt(3.0)), 1.0)  # rms arm of a gradient, in voxels
    base: Array | None = None
    base_inside, rebases, stalled, smallest, previous = False, 0, 0, np.inf, None
    status, statistics, weights = gauss_newton.SPENT, None, np.ones_like(f)
    history: list[tuple[Array, Array]] = []
    for iteration in range(rules.max_iterations):
        box = _image_box(deformed, window, phi)
        if _leaves_block(box, deformed):
            return NodeResult(gauss_newton.LEFT_BLOCK, phi, numbers, hessian, cells)
        inside = bool((box[:, 0] >= deformed.inside[:, 0]).all() and (box[:, 1] <= deformed.inside[:, 1]).all())
        # weights follow the image where they depend on it, but in steps: else they would never settle
        fixed = inside and base_inside and deformed.weights is None
        if base is None or (not fixed and rebases < 6 and np.abs(box - base).max() > 0.75):
            weights, history = window_weights(reference, deformed, window, phi), []
            hessian, base, base_inside, rebases = hessian_matrix(descent, weights), box, inside, rebases + 1
            numbers[2] = weights.sum() / weights.size
            if numbers[2] < rules.min_coverage or weights.sum() < 24:
                return NodeResult(gauss_newton.MASKED, phi, numbers, hessian, cells)
        g = sample_window(deformed, window, phi)
        statistics = grey_statistics(f, g, weights)
        rhs = weighted_sum(descent, weights, normalised_residual(f, g, statistics))
        step = solve_step(hessian, rhs, rigid=rules.rigid)
        if step is None:
            return NodeResult(gauss_newton.SINGULAR, phi, numbers, hessian, cells)
        norm = float(np.linalg.norm(step.reshape(3, 4) * lever))
        step *= min(1.0, 0.5 * rules.half_window / norm) if norm > 0 else 1.0
        step = rotate_exactly(step) if rules.rigid else step
        numbers[0] = statistics.zncc
        composed, before = compose_inverse(phi, step), phi
        if composed is None:
            return NodeResult(gauss_newton.ERROR, phi, numbers, hessian, cells)
        phi, numbers[1], numbers[3] = composed, np.linalg.norm(step), iteration + 1
        if not rules.det_low < np.linalg.det(phi[:, :3]) < rules.det_high:
            return NodeResult(gauss_newton.DETERMINANT, phi, numbers, hessian, cells)
        stalled, smallest = (0 if norm < 0.9 * smallest else stalled + 1), min(smallest, norm)
        if stalled >= 10:
            break
        if _has_converged(norm, previous, rules.tolerance):
            status = gauss_newton.CONVERGED
            break
        previous = norm
        if not rules.rigid:
            phi = accelerate(before, phi, lever, history)
    assert statistics is not None
    numbers[4], numbers[5] = statistics.sd_f, weights.sum()
    numbers[6] = response(window.cut(reference.gradient)[2], sample_window(deformed, window, phi), weights, statistics)
    return NodeResult(status, phi, numbers, hessian, sum_cells(reference, deformed, window, phi, weights, statistics))

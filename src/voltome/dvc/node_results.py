"""What a correlation of nodes goes by, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.jumps import find_jump
from voltome.dvc.uncertainty import effective_variance
from voltome.fields import FloatArray, NodeStatus
from voltome.kernels import gauss_newton
from voltome.kernels.sampling import TAIL
from voltome.kernels.weights import Weighting

_START_TOLERANCE_VOX = 0.01
_LEAST_RESPONSE = 0.2


@dataclass(frozen=True)
class NodeRules:
    """How windows are worked; see `voltome.dvc.correlate_local` for the parameters."""

    half_window_vox: int
    cubic: bool = True
    tolerance_vox: float = 5e-4
    max_iterations: int = 50
    min_coverage: float = 0.5
    det_low: float = 0.1
    det_high: float = 10.0
    memory_bytes: int = 768 << 20
    last: bool = True
    """Whether this is the result: else a coarser tolerance will do, and neither covariance nor jumps are needed."""


@dataclass
class NodeResults:
    """Per node: what the kernels found. `residual_variance` is that of the normalised grey residual per voxel,
    `grey_sd` the standard deviation of the window's normalised grey values;
    `jump_vox` the largest displacement step found inside the window and `jump_sd_vox` its standard deviation."""

    phi: FloatArray
    status: NDArray[np.int32]
    iterations: NDArray[np.int32]
    zncc: FloatArray
    delta_phi_norm: FloatArray
    coverage: FloatArray
    covariance: NDArray[np.float32]
    residual_variance: FloatArray
    grey_sd: FloatArray
    jump_vox: FloatArray
    jump_sd_vox: FloatArray

    def take(self, index: NDArray[np.int64], other: NodeResults, chosen: NDArray[np.bool_]) -> None:
        """Replace the results at `index` by those of `other` where `chosen`; iterations add up."""
        self.iterations[index] += other.iterations
        for member in fields(self):
            if member.name != "iterations":
                getattr(self, member.name)[index[chosen]] = getattr(other, member.name)[chosen]

    @classmethod
    def start(cls, phi: FloatArray) -> NodeResults:
        n = len(phi)
        nothing = [np.full(n, np.nan) for _ in range(7)]
        return cls(
            phi=np.array(phi, dtype=np.float64),
            status=np.zeros(n, dtype=np.int32),
            iterations=np.zeros(n, dtype=np.int32),
            zncc=nothing[0],
            delta_phi_norm=nothing[1],
            coverage=nothing[2],
            covariance=np.full((n, 12, 12), np.nan, dtype=np.float32),
            residual_variance=nothing[3],
            grey_sd=nothing[4],
            jump_vox=nothing[5],
            jump_sd_vox=nothing[6],
        )


def kernel_inputs(
    weights: tuple[NDArray[np.float32], NDArray[np.float32]], rules: NodeRules
) -> tuple[gauss_newton.Rules, Weighting]:
    ones = np.ones(2 * rules.half_window_vox + 1 + 2 * TAIL, dtype=np.float32)
    limits = gauss_newton.Rules(
        rules.half_window_vox,
        rules.tolerance_vox if rules.last else _START_TOLERANCE_VOX,
        rules.max_iterations,
        rules.min_coverage,
        rules.det_low,
        rules.det_high,
        rules.last,
    )
    return limits, Weighting(*weights, ones)


def keep_results(
    results: NodeResults,
    batch: NDArray[np.int64],
    phi: FloatArray,
    status: NDArray[np.int32],
    numbers: FloatArray,
    hessian: FloatArray,
    cells: FloatArray,
    rules: NodeRules,
) -> None:
    """Turn a kernel's sums into results; of a start, Phi is all that is wanted."""
    results.phi[batch, :3, :] = phi
    results.status[batch] = status
    results.zncc[batch], results.delta_phi_norm[batch], results.coverage[batch] = (
        numbers[:, 0],
        numbers[:, 1],
        numbers[:, 2],
    )
    iterations = np.where(np.isfinite(numbers[:, 3]), numbers[:, 3], 0).astype(np.int32)
    results.iterations[batch] += iterations
    worked = np.flatnonzero((status >= NodeStatus.ITERATIONS_SPENT) & (numbers[:, 4] > 0))
    if len(worked) and rules.last:
        chosen = batch[worked]
        variance = residual_variance(numbers[worked])
        effective = effective_variance(cells[worked], variance, rules.half_window_vox)
        effective /= np.clip(numbers[worked, 6], _LEAST_RESPONSE, None) ** 2
        results.covariance[chosen] = effective[:, None, None] * np.linalg.pinv(hessian[worked], hermitian=True)
        results.residual_variance[chosen], results.grey_sd[chosen] = variance, numbers[worked, 4]
        results.jump_vox[chosen], results.jump_sd_vox[chosen] = find_jump(cells[worked], variance)


def residual_variance(numbers: FloatArray) -> FloatArray:
    """Variance of the grey residual per voxel.

    Parameters
    ----------
    numbers : (N, 7) float64
        The kernel's, see `gauss_newton.correlate_nodes`.

    Returns
    -------
    (N,) float64
        In squared normalised grey values; 0 where rounding brings the ZNCC above 1.
    """
    zncc, sd, weight = numbers[:, 0], numbers[:, 4], numbers[:, 5]
    unlike = np.maximum(1.0 - zncc, 0.0)  # rounding may bring the ZNCC above 1
    out: FloatArray = 2.0 * unlike * sd**2 * weight / np.maximum(weight - 14.0, 1.0)
    return out

"""Which results should not be read as strain: little correlation, much residual, outliers, jumps inside the window."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.node_results import NodeResults
from voltome.fields import FloatArray, NodeStatus

MIN_ZNCC = 0.5
"""Below this the two windows have less than half of their variance's root in common."""

_NEIGHBOURS = 26
_OUTLIER_SCALE = 5.0
_OUTLIER_FLOOR_VOX = 0.25
_OUTLIER_FLOOR_F = 0.05
_JUMP_USUAL = 3.2
_JUMP_SCALE = 1.6
_JUMP_FLOOR_VOX = 0.15
_RESIDUAL_SCALE = 2.0
_EDGE_SCALE = 4.0
_RESIDUAL_FLOOR = 0.01


@dataclass(frozen=True)
class Suspicion:
    """Why nodes are suspect, one flag for each reason, (N,) bool.

    `low_zncc`: hardly any correlation. `residual`: twice the grey residual of the typical node, so that something
    other than noise and motion is in the window. `outlier`: not what its neighbours predict. `jump`: a displacement
    step inside the window. `edge`: four times the contrast of the typical window, so that one strong edge (a silhouette
    against air, a collector) decides the result and texture hardly counts.
    """

    low_zncc: NDArray[np.bool_]
    residual: NDArray[np.bool_]
    outlier: NDArray[np.bool_]
    jump: NDArray[np.bool_]
    edge: NDArray[np.bool_]

    @property
    def any(self) -> NDArray[np.bool_]:
        """Nodes that are suspect for at least one reason."""
        return self.low_zncc | self.residual | self.outlier | self.jump | self.edge

    def count(self) -> dict[str, int]:
        """Suspect nodes by reason."""
        return {member.name: int(getattr(self, member.name).sum()) for member in fields(self)}


def find_suspects(positions_vox: NDArray[np.number], results: NodeResults, *, min_zncc: float = MIN_ZNCC) -> Suspicion:
    """Flag converged nodes whose result should not be read as strain.

    Parameters
    ----------
    positions_vox : (N, 3) array
    results : NodeResults
    min_zncc : float
        Smallest zero-normalised cross-correlation that is believed.

    Returns
    -------
    Suspicion
        Flags; False for nodes that did not converge.
    """
    converged = results.status == NodeStatus.CONVERGED
    typical = np.median(results.residual_variance[converged]) if converged.any() else np.nan
    contrast = np.median(results.grey_sd[converged]) if converged.any() else np.nan
    unexplained = (results.residual_variance > _RESIDUAL_SCALE * typical) & (results.zncc < 1.0 - _RESIDUAL_FLOOR)
    ratio = results.jump_vox / np.maximum(results.jump_sd_vox, 1e-12)
    # Noise that is correlated between voxels, or a strain that varies inside most windows, raises the ratio everywhere.
    usual = max(float(np.median(ratio[converged])), _JUMP_USUAL) if converged.any() else _JUMP_USUAL
    jump = (results.jump_vox > _JUMP_FLOOR_VOX) & (ratio > _JUMP_SCALE * usual)
    return Suspicion(
        low_zncc=converged & ~(results.zncc >= min_zncc),
        residual=converged & unexplained,
        outlier=find_outliers(positions_vox, results.phi, converged),
        jump=converged & jump,
        edge=converged & (results.grey_sd > _EDGE_SCALE * contrast),
    )


def find_outliers(positions_vox: NDArray[np.number], phi: FloatArray, use: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Normalised median test (Westerweel and Scarano 2005, 10.1007/s00348-005-0016-6) on what neighbours predict.

    Each of the 26 nearest used nodes predicts a node's displacement by its own affine; the node is an outlier where it
    differs from the median prediction by more than five times the predictions' own scatter plus a quarter voxel, or its
    F from theirs by more than five times their scatter plus 0.05. The affine prediction keeps a strong but smooth
    strain from looking like an outlier.

    Parameters
    ----------
    positions_vox : (N, 3) array
    phi : (N, 4, 4) float64
    use : (N,) bool
        Nodes that count, as candidates and as neighbours.

    Returns
    -------
    (N,) bool
    """
    from scipy.spatial import cKDTree

    flags = np.zeros(len(phi), dtype=bool)
    index = np.flatnonzero(use)
    if len(index) < 5:
        return flags
    positions = np.asarray(positions_vox, dtype=np.float64)[index]
    count = min(_NEIGHBOURS + 1, len(index))
    neighbours = cKDTree(positions).query(positions, k=count)[1][:, 1:]
    f, u = phi[index, :3, :3], phi[index, :3, 3]
    offset = positions[:, None, :] - positions[neighbours]
    predicted = u[neighbours] + np.einsum("nkij,nkj->nki", f[neighbours] - np.eye(3), offset)
    middle = np.median(predicted, axis=1)
    scatter = 1.4826 * np.median(np.abs(predicted - middle[:, None, :]), axis=1)
    flags[index] = (np.abs(u - middle) > _OUTLIER_SCALE * scatter + _OUTLIER_FLOOR_VOX).any(axis=1)
    usual = np.median(f[neighbours], axis=1)
    scatter = 1.4826 * np.median(np.abs(f[neighbours] - usual[:, None]), axis=1)
    flags[index] |= (np.abs(f - usual) > _OUTLIER_SCALE * scatter + _OUTLIER_FLOOR_F).any(axis=(1, 2))
    return flags

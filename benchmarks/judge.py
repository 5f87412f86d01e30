"""How far two tools' fields are from the best affine of each window, on the nodes where both converged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voltome.fields import PARAMETERS, SD_COLUMNS, SD_ORDER

Floats = NDArray[np.float64]
CONVERGED = 2


@dataclass(frozen=True)
class Table:
    """A TSV of nodes: positions (N, 3), phi (N, 4, 4), status (N,), sd (N, 12) in the order of PARAMETERS or None."""

    positions_vox: Floats
    phi: Floats
    status: NDArray[np.int64]
    sd: Floats | None


@dataclass(frozen=True)
class Errors:
    """Errors over a set of nodes: root mean square and median of |du| (voxels) and of |dF| per component."""

    nodes: int
    u_rms: float
    u_median: float
    f_rms: float
    f_median: float


@dataclass(frozen=True)
class Scores:
    """How honest the stated standard deviations are: sd of error / stated sd (1 is right), and the share beyond 3."""

    u_sd: float
    f_sd: float
    beyond_three: float


def read_table(path: Path) -> Table:
    """Read a SPAM-like TSV, voltome's extra columns included where they stand."""
    rows = np.atleast_1d(np.genfromtxt(path, delimiter="\t", names=True))
    phi = np.tile(np.eye(4), (len(rows), 1, 1))
    phi[:, :3, :] = np.stack([rows[name] for name in PARAMETERS], axis=-1).reshape(-1, 3, 4)
    positions = np.stack([rows[name] for name in ("Zpos", "Ypos", "Xpos")], axis=-1)
    sd = None
    if set(SD_COLUMNS) <= set(rows.dtype.names or ()):
        sd = np.empty((len(rows), 12))
        sd[:, SD_ORDER] = np.stack([rows[name] for name in SD_COLUMNS], axis=-1)
    return Table(positions, phi, rows["returnStatus"].astype(np.int64), sd)


def measure_errors(phi: Floats, truth: Floats, nodes: NDArray[np.bool_]) -> Errors:
    """Errors of phi against truth on the chosen nodes.

    |du| and |dF| are given per component (the norm over sqrt(3) and over 3), so that they compare with a standard
    deviation.
    """
    difference = (phi - truth)[nodes]
    if not len(difference):
        return Errors(0, np.nan, np.nan, np.nan, np.nan)
    u = np.linalg.norm(difference[:, :3, 3], axis=1) / np.sqrt(3)
    f = np.linalg.norm(difference[:, :3, :3], axis=(1, 2)) / 3
    rms = [float(np.sqrt(np.mean(v**2))) for v in (u, f)]
    return Errors(len(difference), rms[0], float(np.median(u)), rms[1], float(np.median(f)))


def score_deviations(phi: Floats, truth: Floats, sd: Floats, nodes: NDArray[np.bool_]) -> Scores:
    """Errors over their stated standard deviations on the chosen nodes."""
    z = (phi - truth)[nodes][:, :3, :].reshape(-1, 12) / sd[nodes]
    z = z[np.isfinite(z).all(axis=1)]
    if not len(z):
        return Scores(np.nan, np.nan, np.nan)
    is_u = np.arange(12) % 4 == 3
    u_sd, f_sd = (float(np.sqrt(np.mean(np.square(z[:, part])))) for part in (is_u, ~is_u))
    return Scores(u_sd, f_sd, float(np.mean(np.abs(z) > 3)))


def inner_nodes(
    positions_vox: Floats, truth: Floats, half_window_vox: int, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Nodes whose window lies inside both volumes, one voxel of stencil included."""
    last = np.asarray(shape) - 1
    inside = np.ones(len(positions_vox), dtype=bool)
    for corner in np.stack(np.meshgrid(*[(-1, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3):
        arm = (half_window_vox + 1) * corner
        moved = positions_vox + truth[:, :3, 3] + truth[:, :3, :3] @ arm
        for place in (positions_vox + arm, moved):
            inside &= ((place >= 0) & (place <= last)).all(axis=1)
    return inside

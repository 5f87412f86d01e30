"""The deformation field: one Phi per node with its status, quality and covariance.

Phi is SPAM's: a 4x4 homogeneous deformation that maps a reference position, relative to its node, to the deformed one.
F is its 3x3 part, the displacement u its last column. The twelve parameters are its first three rows, in order:
Fzz Fzy Fzx Zdisp Fyz Fyy Fyx Ydisp Fxz Fxy Fxx Xdisp.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.grid import Shape3

FloatArray = NDArray[np.float64]

PARAMETERS = tuple(f"F{r}{c}" if c != "u" else f"{r.upper()}disp" for r in "zyx" for c in ("z", "y", "x", "u"))
"""Names of the twelve parameters in the order of Phi's rows."""

SPAM_COLUMNS = (
    "NodeNumber", "Zpos", "Ypos", "Xpos", *PARAMETERS, "error", "iterations", "returnStatus", "deltaPhiNorm",
)  # fmt: skip
"""The twenty columns of a SPAM field, in SPAM's order."""

SD_COLUMNS = tuple(
    f"sd{name}" for name in ("Zdisp", "Ydisp", "Xdisp", "Fzz", "Fzy", "Fzx", "Fyz", "Fyy", "Fyx", "Fxz", "Fxy", "Fxx")
)
"""Standard deviations (random part), displacement first."""

EXTRA_COLUMNS = ("zncc", "suspect", "filled", *SD_COLUMNS)
"""What voltome adds behind SPAM's columns."""

SD_ORDER = tuple(PARAMETERS.index(name.removeprefix("sd")) for name in SD_COLUMNS)
"""Where each of `SD_COLUMNS` stands among `PARAMETERS`."""


class NodeStatus(IntEnum):
    """How the correlation of a node ended; SPAM's return status."""

    CONVERGED = 2
    ITERATIONS_SPENT = 1
    NOT_RUN = 0
    ERROR = -1
    SINGULAR = -2
    DETERMINANT = -3
    SINGULAR_PHI = -4
    MASKED = -5
    NAN_START = -7


@dataclass(frozen=True)
class DeformationField:
    """Phi at N nodes, on a regular grid or scattered.

    Parameters
    ----------
    positions_vox : (N, 3) float64
        Node positions (z, y, x) in voxels of the reference volume.
    phi : (N, 4, 4) float64
        Deformation relative to the node; displacement in voxels. NaN where nothing could be measured.
    status : (N,) int32
        `NodeStatus`.
    iterations : (N,) int32
        Gauss-Newton steps at the last resolution, summed over retries.
    residual : (N,) float64
        Root mean square of the normalised grey residual: sqrt(2 (1 - ZNCC)) at the optimum; SPAM's `error` column.
    delta_phi_norm : (N,) float64
        Norm of the last increment of Phi.
    zncc : (N,) float64
        Zero-normalised cross-correlation of the two windows, NaN where not measured.
    suspect : (N,) uint8
        1 where the result should not be read as strain: low ZNCC, outlier among its neighbours, or a displacement
        jump inside the window.
    filled : (N,) uint8
        1 where the value is interpolated from measured neighbours. A filled node never counts as measured.
    covariance : (N, 12, 12) float32
        Covariance of the twelve parameters from grey noise alone (`sd_random`), in voxels; NaN where not measured.
    grid_shape : tuple of int or None
        Nodes along z, y, x with x fastest, or None for scattered nodes.
    sd_bias_vox : (N, 3) float64, optional
        Standard deviation of the displacement's error beyond grey noise (`sd_bias`); NaN, as by default, where nothing
        is known of it.
    """

    positions_vox: FloatArray
    phi: FloatArray
    status: NDArray[np.int32]
    iterations: NDArray[np.int32]
    residual: FloatArray
    delta_phi_norm: FloatArray
    zncc: FloatArray
    suspect: NDArray[np.uint8]
    filled: NDArray[np.uint8]
    covariance: NDArray[np.float32]
    grid_shape: Shape3 | None = None
    sd_bias_vox: FloatArray = field(default_factory=lambda: np.empty((0, 3)))

    def __post_init__(self) -> None:
        n = len(self.positions_vox)
        if self.sd_bias_vox.shape != (n, 3):
            object.__setattr__(self, "sd_bias_vox", np.full((n, 3), np.nan))
        if self.positions_vox.shape != (n, 3) or self.phi.shape != (n, 4, 4) or self.covariance.shape != (n, 12, 12):
            raise InputError(
                f"a field of {n} nodes needs positions ({n}, 3), phi ({n}, 4, 4) and covariance ({n}, 12, 12) (got "
                f"{self.positions_vox.shape}, {self.phi.shape}, {self.covariance.shape}): build it with from_phi"
            )
        if self.grid_shape is not None and int(np.prod(self.grid_shape)) != n:
            raise InputError(f"grid shape {self.grid_shape} does not hold {n} nodes: give the nodes along z, y, x")

    @classmethod
    def from_phi(
        cls, positions_vox: NDArray[np.number], phi: FloatArray | None = None, *, grid_shape: Shape3 | None = None
    ) -> DeformationField:
        """Field that only knows Phi: identity where none is given, everything else not measured.

        Parameters
        ----------
        positions_vox : (N, 3) array
        phi : (N, 4, 4) float64, optional
        grid_shape : tuple of int, optional

        Returns
        -------
        DeformationField
            Status 0 (not run), ZNCC, residual and covariance NaN.

        Raises
        ------
        InputError
            If the shapes do not agree.
        """
        positions = np.array(positions_vox, dtype=np.float64)
        n = len(positions)
        if phi is None:
            phi = np.tile(np.eye(4), (n, 1, 1))
        return cls(
            positions_vox=positions,
            phi=np.array(phi, dtype=np.float64),
            status=np.zeros(n, dtype=np.int32),
            iterations=np.zeros(n, dtype=np.int32),
            residual=np.full(n, np.nan),
            delta_phi_norm=np.full(n, np.nan),
            zncc=np.full(n, np.nan),
            suspect=np.zeros(n, dtype=np.uint8),
            filled=np.zeros(n, dtype=np.uint8),
            covariance=np.full((n, 12, 12), np.nan, dtype=np.float32),
            grid_shape=grid_shape,
        )

    def __len__(self) -> int:
        return len(self.positions_vox)

    def with_values(self, **values: object) -> DeformationField:
        """Copy with some of its arrays replaced."""
        return replace(self, **values)  # type: ignore[arg-type]

    @property
    def displacement_vox(self) -> FloatArray:
        """Displacement u, (N, 3) in voxels."""
        return self.phi[:, :3, 3]

    @property
    def deformation_gradient(self) -> FloatArray:
        """Deformation gradient F of the window's affine, (N, 3, 3)."""
        return self.phi[:, :3, :3]

    @property
    def sd(self) -> FloatArray:
        """Standard deviation of the twelve parameters, (N, 12), in the order of `PARAMETERS`."""
        variance = np.diagonal(self.covariance, axis1=1, axis2=2).astype(np.float64)
        return np.sqrt(variance)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Nodes whose own correlation converged (suspect ones included, filled ones not)."""
        return np.asarray((self.status == NodeStatus.CONVERGED) & (self.filled == 0))

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """Nodes that converged and are not suspect: what may be read as strain."""
        return np.asarray(self.converged & (self.suspect == 0))

    @property
    def node_spacing_vox(self) -> FloatArray | None:
        """Distance between nodes along z, y, x; NaN on an axis with one node; None for scattered nodes."""
        if self.grid_shape is None:
            return None
        positions = self.positions_vox.reshape(*self.grid_shape, 3)
        spacing = np.full(3, np.nan)
        for axis in range(3):
            if self.grid_shape[axis] > 1:
                spacing[axis] = np.take(positions, 1, axis)[0, 0, axis] - np.take(positions, 0, axis)[0, 0, axis]
        return spacing


def evaluate_affine(phi: FloatArray, centre_vox: NDArray[np.floating], positions_vox: NDArray[np.number]) -> FloatArray:
    """Re-centre one affine Phi on each node (contract 4: a registration's Phi acts about its own centre).

    Parameters
    ----------
    phi : (4, 4) float64
        Deformation relative to `centre_vox`.
    centre_vox : (3,) float64
    positions_vox : (N, 3) array

    Returns
    -------
    (N, 4, 4) float64
        The same deformation relative to each node: F unchanged, u(X) = u + (F - I)(X - centre).
    """
    positions = np.asarray(positions_vox, dtype=np.float64)
    out = np.tile(np.asarray(phi, dtype=np.float64), (len(positions), 1, 1))
    out[:, :3, 3] += (positions - centre_vox) @ (out[0, :3, :3] - np.eye(3)).T if len(positions) else 0.0
    return out


@dataclass(frozen=True)
class StrainField:
    """Strain at N points, from the gradient of a displacement field.

    Parameters
    ----------
    positions_vox : (N, 3) float64
        Where the strain stands: nodes (Geers) or the centres of the cells between nodes (Q8).
    grid_shape : tuple of int or None
    measure : str
        "small", "green-lagrange" or "hencky".
    deformation_gradient : (N, 3, 3) float64
        F from the gradient of displacement (not the F of each window). NaN where it could not be formed.
    strain : (N, 3, 3) float64
        The tensor of the chosen measure, components z, y, x.
    stretch : (N, 3, 3) float64
        Right stretch U of the polar decomposition F = R U.
    rotation : (N, 3, 3) float64
        Rotation R.
    volumetric : (N,) float64
        det F - 1, a fraction.
    deviatoric : (N,) float64
        Equivalent deviatoric strain sqrt(2/3 e:e), e the deviator of `strain`.
    measured : (N,) float64
        Fraction of the nodes behind each value that were measured and not suspect (1 = all).
    strain_sd : (N, 3, 3) float64
        Standard deviation of the components of `strain`, random part; NaN where a node behind it has no covariance.
    volumetric_sd : (N,) float64
        Standard deviation of `volumetric`, likewise.
    """

    positions_vox: FloatArray
    grid_shape: Shape3 | None
    measure: str
    deformation_gradient: FloatArray
    strain: FloatArray
    stretch: FloatArray
    rotation: FloatArray
    volumetric: FloatArray
    deviatoric: FloatArray
    measured: FloatArray
    strain_sd: FloatArray
    volumetric_sd: FloatArray

    def __len__(self) -> int:
        return len(self.positions_vox)

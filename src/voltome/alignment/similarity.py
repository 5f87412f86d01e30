"""A similarity: how a rigid body moved and by how much its image grew, with the errors of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Motion of the collector from the reference to a scan: rotation, translation, isotropic scale.

    Parameters
    ----------
    centre_vox : (3,) float64
        Where the translation holds: the middle of the collector in the field.
    translation_vox, rotation_rad : (3,) float64
        Rotation vector (z, y, x), right-handed in x, y, z.
    scale : float
        Size of the image over that of the reference.
    covariance : (7, 7) float64
        Of translation, rotation and scale, in this order.
    zncc : float
        Of the collector's texture once aligned.
    tiles : int
        Parts of the collector that count.
    residual_vox : (3,) float64
        Root mean square over the collector of the standard deviation of its displacement along each axis.
    """

    centre_vox: Floats
    translation_vox: Floats
    rotation_rad: Floats
    scale: float
    covariance: Floats
    zncc: float
    tiles: int
    residual_vox: Floats

    @property
    def parameters(self) -> Floats:
        """Translation, rotation, scale - 1, (7,)."""
        return np.concatenate([self.translation_vox, self.rotation_rad, [self.scale - 1.0]])

    @property
    def linear(self) -> Floats:
        """Rotation times scale, (3, 3)."""
        return make_linear(self.parameters)

    def displace(self, positions_vox: Floats) -> Floats:
        """Displacement of points that move with the collector.

        Parameters
        ----------
        positions_vox : (N, 3) float64

        Returns
        -------
        (N, 3) float64
        """
        moved = (positions_vox - self.centre_vox) @ (self.linear - np.eye(3)).T + self.translation_vox
        return np.asarray(moved)

    def displacement_covariance(self, positions_vox: Floats) -> Floats:
        """Covariance of that displacement at each point, (N, 3, 3).

        Parameters
        ----------
        positions_vox : (N, 3) float64

        Returns
        -------
        (N, 3, 3) float64
        """
        jacobian = make_jacobian(np.asarray(positions_vox, dtype=np.float64) - self.centre_vox)
        return np.asarray(jacobian @ self.covariance @ jacobian.transpose(0, 2, 1))


def make_linear(parameters: Floats) -> Floats:
    """Rotation times scale of the seven parameters.

    Parameters
    ----------
    parameters : (7,) float64
        Translation, rotation vector (z, y, x), scale - 1.

    Returns
    -------
    (3, 3) float64
        Acts on z, y, x.
    """
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_rotvec(parameters[[5, 4, 3]]).as_matrix()
    return np.asarray((1.0 + parameters[6]) * turned[::-1, ::-1])


def make_jacobian(offsets_vox: Floats) -> Floats:
    """Derivative of displacement with respect to the seven parameters, for small rotations.

    Parameters
    ----------
    offsets_vox : (N, 3) float64
        From the centre.

    Returns
    -------
    (N, 3, 7) float64
    """
    z, y, x = np.asarray(offsets_vox, dtype=np.float64).T
    out = np.zeros((len(offsets_vox), 3, 7))
    out[:, 0, 0] = out[:, 1, 1] = out[:, 2, 2] = 1.0
    out[:, 1, 3], out[:, 2, 3] = x, -y
    out[:, 0, 4], out[:, 2, 4] = -x, z
    out[:, 0, 5], out[:, 1, 5] = y, -z
    out[:, :, 6] = offsets_vox
    return out


def measure_residual(covariance: Floats, offsets_vox: Floats) -> Floats:
    """Root mean square of the sd of displacement over points, along each axis.

    Parameters
    ----------
    covariance : (7, 7) float64
    offsets_vox : (N, 3) float64
        From the centre.

    Returns
    -------
    (3,) float64
    """
    jacobian = make_jacobian(offsets_vox)
    variance = np.einsum("nij,jk,nik->ni", jacobian, covariance, jacobian)
    return np.asarray(np.sqrt(variance.mean(axis=0)))

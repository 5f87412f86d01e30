"""What a particle's Phi says: displacement of its centroid, rotation, own strain, each with its standard deviation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.dvc.labels import Particles
from voltome.dvc.node_results import NodeResults
from voltome.dvc.strain import decompose
from voltome.dvc.strain_noise import propagate_to_strain
from voltome.fields import DeformationField, FloatArray, NodeStatus
from voltome.kernels.gauss_newton import RIGID

_ROTATION = 0.5 * RIGID[:, 3:].T  # rotation vector from a small dF, (3, 12)
_GRADIENT = [4 * r + c for r in range(3) for c in range(3)]


@dataclass(frozen=True)
class ParticleCorrelation:
    """What `correlate_particles` returns; N particles, order of ascending label.

    Parameters
    ----------
    particles : Particles
    field : DeformationField
        Phi of each particle about its centroid: rigid, but affine where the particle `deforms`.
    rigid, affine : DeformationField
        Both fits.
    deforms : (N,) bool
        Whether the affine leaves less than half of the rigid fit's residual (1 - ZNCC), or only the affine converged.
    coverage : (N,) float64
        Part of the particle's window that took part.
    dilation_vox : float
        How far the windows reached beyond the labels; below 0 they were smaller.
    rotation_rad, rotation_sd_rad : (N, 3) float64
        Rotation vector of `field` (z, y, x; right-handed in x, y, z), and its standard deviation.
    strain, strain_sd : (N, 3, 3) float64
        The particle's own Hencky strain, from the affine.
    volumetric, volumetric_sd : (N,) float64
        Its det F - 1.
    suspects : dict of int
        Suspect particles by reason: "low_zncc", "residual" (twice the typical), "outlier" (slips beside the local field
        as no neighbour does), "jump" (a displacement step inside: a crack, or two particles under one label).
    too_large : (N,) bool
        Particles whose window did not fit the memory; status 0.
    """

    particles: Particles
    field: DeformationField
    rigid: DeformationField
    affine: DeformationField
    deforms: NDArray[np.bool_]
    coverage: FloatArray
    dilation_vox: float
    rotation_rad: FloatArray
    rotation_sd_rad: FloatArray
    strain: FloatArray
    strain_sd: FloatArray
    volumetric: FloatArray
    volumetric_sd: FloatArray
    suspects: dict[str, int]
    too_large: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.particles)


def nearest_rotation(phi: FloatArray) -> FloatArray:
    """Phi with F replaced by the rotation of its polar decomposition; identity where there is none.

    Parameters
    ----------
    phi : (N, 4, 4) float64

    Returns
    -------
    (N, 4, 4) float64
    """
    out = phi.copy()
    rotation = decompose(phi[:, :3, :3], "small")[1]
    out[:, :3, :3] = np.where(np.isfinite(rotation), rotation, np.eye(3))
    return out


def recentre(
    nodes: NDArray[np.int64], results: NodeResults, centroids_vox: FloatArray, suspect: NDArray[np.bool_]
) -> DeformationField:
    """Field of some results about other points, their covariance included.

    Parameters
    ----------
    nodes : (N, 3) int64
        Where the results stand.
    results : NodeResults
    centroids_vox : (N, 3) float64
    suspect : (N,) bool

    Returns
    -------
    DeformationField
    """
    arm = centroids_vox - nodes
    phi = results.phi.copy()
    phi[:, :3, 3] += np.einsum("nij,nj->ni", phi[:, :3, :3] - np.eye(3), arm)
    moved = np.tile(np.eye(12), (len(nodes), 1, 1))
    for r in range(3):
        moved[:, 4 * r + 3, 4 * r : 4 * r + 3] = arm
    covariance = np.einsum("nij,njk,nlk->nil", moved, results.covariance.astype(np.float64), moved, optimize=True)
    return DeformationField(
        positions_vox=centroids_vox,
        phi=phi,
        status=results.status,
        iterations=results.iterations,
        residual=np.sqrt(2.0 * np.clip(1.0 - results.zncc, 0.0, None)),
        delta_phi_norm=results.delta_phi_norm,
        zncc=results.zncc,
        suspect=(suspect & (results.status == NodeStatus.CONVERGED)).astype(np.uint8),
        filled=np.zeros(len(nodes), dtype=np.uint8),
        covariance=covariance.astype(np.float32),
    )


def rotation_variance(covariance: NDArray[np.floating]) -> FloatArray:
    """Variance of the rotation vector from the covariance of Phi.

    Parameters
    ----------
    covariance : (N, 12, 12) array

    Returns
    -------
    (N, 3) float64
        In square radians, about z, y, x; for rotations of some degrees the axes of reference and image are alike.
    """
    return np.asarray(np.einsum("ki,nij,kj->nk", _ROTATION, covariance.astype(np.float64), _ROTATION, optimize=True))


def rotation_vectors(deformation_gradient: FloatArray) -> FloatArray:
    """Rotation vectors of the polar rotations of F.

    Parameters
    ----------
    deformation_gradient : (N, 3, 3) float64

    Returns
    -------
    (N, 3) float64
        Axis times angle in radians, components z, y, x, right-handed in x, y, z; NaN where F has no rotation.

    Examples
    --------
    >>> rotation_vectors(np.array([[[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]])).round(4).tolist()
    [[1.5708, 0.0, 0.0]]
    """
    from scipy.spatial.transform import Rotation

    rotation = decompose(deformation_gradient, "small")[1]
    out = np.full((len(rotation), 3), np.nan)
    good = np.isfinite(rotation).all(axis=(1, 2))
    if good.any():
        out[good] = Rotation.from_matrix(rotation[good][:, ::-1, ::-1]).as_rotvec()[:, ::-1]
    return out


def describe_motion(
    particles: Particles,
    field: DeformationField,
    rigid: DeformationField,
    affine: DeformationField,
    *,
    deforms: NDArray[np.bool_],
    coverage: FloatArray,
    dilation_vox: float,
    suspects: dict[str, int],
    too_large: NDArray[np.bool_],
) -> ParticleCorrelation:
    """Rotation and own strain of particles from their fits.

    Parameters
    ----------
    particles : Particles
    field, rigid, affine : DeformationField
        About the centroids.
    deforms : (N,) bool
    coverage : (N,) float64
    dilation_vox : float
    suspects : dict of int
    too_large : (N,) bool

    Returns
    -------
    ParticleCorrelation
        Rotation and strain are NaN where the fit behind them did not converge.
    """
    measured = field.status == NodeStatus.CONVERGED
    rotation_sd = np.sqrt(np.maximum(rotation_variance(field.covariance), 0.0))
    gradient = np.where((affine.status == NodeStatus.CONVERGED)[:, None, None], affine.deformation_gradient, np.nan)
    of_gradient = affine.covariance.astype(np.float64)[:, _GRADIENT][:, :, _GRADIENT]
    strain_sd, volumetric_sd = propagate_to_strain(gradient, of_gradient, "hencky")
    volumetric = np.linalg.det(np.nan_to_num(gradient)) - 1.0
    return ParticleCorrelation(
        particles=particles,
        field=field,
        rigid=rigid,
        affine=affine,
        deforms=deforms,
        coverage=coverage,
        dilation_vox=dilation_vox,
        rotation_rad=np.where(measured[:, None], rotation_vectors(field.deformation_gradient), np.nan),
        rotation_sd_rad=np.where(measured[:, None], rotation_sd, np.nan),
        strain=decompose(gradient, "hencky")[2],
        strain_sd=strain_sd,
        volumetric=np.where(np.isfinite(gradient).all(axis=(1, 2)), volumetric, np.nan),
        volumetric_sd=volumetric_sd,
        suspects=suspects,
        too_large=too_large,
    )

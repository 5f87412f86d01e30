"""Standard deviation of strain from the covariance of the deformation gradient."""

from __future__ import annotations

import numpy as np

from voltome.fields import FloatArray

_ALIKE = 1e-6


def propagate_to_strain(
    deformation_gradient: FloatArray, covariance: FloatArray, measure: str
) -> tuple[FloatArray, FloatArray]:
    """Standard deviations of a strain tensor and of det F - 1, by their derivatives with respect to F.

    Parameters
    ----------
    deformation_gradient : (N, 3, 3) float64
    covariance : (N, 9, 9) float64
        Of F_zz F_zy F_zx F_yz ... F_xx.
    measure : str
        "small", "green-lagrange" or "hencky".

    Returns
    -------
    strain_sd : (N, 3, 3) float64
    volumetric_sd : (N,) float64
        Both NaN where F or its covariance is not finite, or F turns matter inside out.
    """
    f = deformation_gradient
    good = np.asarray(np.isfinite(f).all(axis=(1, 2)) & np.isfinite(covariance).all(axis=(1, 2)))
    good[good] &= np.linalg.det(f[good]) > 0.0
    strain_sd, volumetric_sd = np.full((len(f), 3, 3), np.nan), np.full(len(f), np.nan)
    f, covariance = f[good], covariance[good]
    of_strain = strain_derivative(f, measure).reshape(-1, 9, 9)
    of_volume = (np.linalg.det(f)[:, None, None] * np.linalg.inv(f).transpose(0, 2, 1)).reshape(-1, 9)
    variance = np.einsum("nab,nbc,nac->na", of_strain, covariance, of_strain, optimize=True)
    strain_sd[good] = np.sqrt(np.maximum(variance, 0.0)).reshape(-1, 3, 3)
    volumetric_sd[good] = np.sqrt(np.maximum(np.einsum("na,nab,nb->n", of_volume, covariance, of_volume), 0.0))
    return strain_sd, volumetric_sd


def strain_derivative(deformation_gradient: FloatArray, measure: str) -> FloatArray:
    """Derivative of a strain tensor with respect to F.

    Strain is a function g of C = F^T F, and in C's principal axes dg_ij = g[c_i, c_j] dC_ij with the divided difference
    g[c_i, c_j] = (g(c_i) - g(c_j)) / (c_i - c_j) (Daleckii and Krein).

    Parameters
    ----------
    deformation_gradient : (N, 3, 3) float64
        Finite, with positive determinant.
    measure : str
        "small", "green-lagrange" or "hencky".

    Returns
    -------
    (N, 3, 3, 3, 3) float64
        d strain_ab / d F_mn.
    """
    f = deformation_gradient
    if measure == "small":
        eye = np.eye(3)
        half = 0.5 * np.einsum("am,bn->abmn", eye, eye)
        return np.tile(half + half.transpose(1, 0, 2, 3), (len(f), 1, 1, 1, 1))
    squared, axes = np.linalg.eigh(f.transpose(0, 2, 1) @ f)
    ratio = np.ones((len(f), 3, 3))  # 2 g[c_i, c_j]; Green-Lagrange's g is (c - 1) / 2
    if measure == "hencky":
        a, b = squared[:, :, None], squared[:, None, :]
        alike = np.abs(a - b) <= _ALIKE * (a + b)
        ratio = np.where(alike, 2.0 / (a + b), (np.log(a) - np.log(b)) / np.where(alike, 1.0, a - b))
    of_c = np.einsum("nmp,npi->nim", f, axes)  # dC_ij / 2 = sym(of_c_im axes_nj) dF_mn
    half = np.einsum("xai,xbj,xij,xim,xnj->xabmn", axes, axes, 0.5 * ratio, of_c, axes, optimize=True)
    out: FloatArray = half + half.transpose(0, 2, 1, 3, 4)
    return out

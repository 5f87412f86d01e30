"""What moved between two scans: the affine part of a field, and what varies smoothly beyond it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.fields import DeformationField, FloatArray
from voltome.grid import Shape3

_ROUNDS = 20
_TUNING = 2.5
_MAD = 1.4826
_FEWEST_APART = 3.0
_MOVED_VOX, _MOVED_SDS = 0.1, 5.0
MANY = 20
"""Fewer values than this cannot show which of them is an outlier."""


@dataclass(frozen=True)
class Drift:
    """The affine displacement of a whole field, taken apart.

    Parameters
    ----------
    phi : (4, 4) float64
        Relative to `centre_vox`.
    centre_vox : (3,) float64
    translation_vox, translation_sd_vox : (3,) float64
    rotation_rad, rotation_sd_rad : (3,) float64
        Rotation vector z, y, x.
    magnification, magnification_sd : float
        Mean normal strain, a fraction. A volume that swells evenly looks the same.
    distortion, distortion_sd : float
        Root of the sum of squares of the remaining strain tensor (uneven stretch and shear), which neither a drift nor
        a magnification makes, and what noise alone would give.
    distortion_vox : float
        Root mean square of the displacement components that the distortion makes at the nodes.
    """

    phi: FloatArray
    centre_vox: FloatArray
    translation_vox: FloatArray
    translation_sd_vox: FloatArray
    rotation_rad: FloatArray
    rotation_sd_rad: FloatArray
    magnification: float
    magnification_sd: float
    distortion: float
    distortion_sd: float
    distortion_vox: float


@dataclass(frozen=True)
class Smoothness:
    """How much of a residual displacement neighbours share, and so is no noise.

    Parameters
    ----------
    noise_vox : float
        Sd of a component from the differences of neighbouring nodes.
    smooth_vox : float
        Sd of the part that neighbours share.
    significance : float
        The share in units of what white noise scatters by.
    """

    noise_vox: float
    smooth_vox: float
    significance: float


def fit_drift(
    positions_vox: NDArray[np.number], displacement_vox: FloatArray, centre_vox: FloatArray
) -> tuple[Drift, FloatArray]:
    """Fit one affine to displacements, robustly (Huber's weights) where there are many, and take it apart.

    Parameters
    ----------
    positions_vox, displacement_vox : (N, 3) arrays
        At least five nodes that do not lie in a plane.
    centre_vox : (3,) float64
        Where the translation is given.

    Returns
    -------
    drift : Drift
    residual_vox : (N, 3) float64
        Displacement beyond the affine.
    """
    arm = np.asarray(positions_vox, dtype=np.float64) - centre_vox
    columns = np.concatenate([arm, np.ones((len(arm), 1))], axis=1)
    weight = np.ones(len(arm))
    for _ in range(_ROUNDS if len(arm) >= MANY else 1):
        normal = columns.T @ (weight[:, None] * columns)
        solution = np.linalg.solve(normal, columns.T @ (weight[:, None] * displacement_vox))
        residual = displacement_vox - columns @ solution
        length = np.linalg.norm(residual, axis=1)
        weight = np.minimum(1.0, _TUNING * np.median(length) / np.maximum(length, 1e-12))
    variance = component_sd(residual, parameters=4) ** 2
    inverse = np.diag(np.linalg.inv(normal))
    gradient = solution[:3].T
    return _take_apart(gradient, solution[3], variance[:, None] * inverse, arm, centre_vox), residual


def _take_apart(
    gradient: FloatArray, translation: FloatArray, variance: FloatArray, arm: FloatArray, centre: FloatArray
) -> Drift:
    """`variance` (3, 4): of the gradient's components and the translation's, by rows."""
    phi = np.eye(4)
    phi[:3, :3] += gradient
    phi[:3, 3] = translation
    (zz, zy, zx), (yz, yy, yx), (xz, xy, xx) = gradient
    v = variance[:, :3]
    magnification = (zz + yy + xx) / 3.0
    distortion = (gradient + gradient.T) / 2.0 - magnification * np.eye(3)
    of_symmetric = (v + v.T) / 4.0
    np.fill_diagonal(of_symmetric, 2.0 / 3.0 * np.diag(v))
    return Drift(
        phi=phi,
        centre_vox=centre,
        translation_vox=translation,
        translation_sd_vox=np.sqrt(variance[:, 3]),
        rotation_rad=np.array([yx - xy, xz - zx, zy - yz]) / 2.0,
        rotation_sd_rad=np.sqrt([v[1, 2] + v[2, 1], v[2, 0] + v[0, 2], v[0, 1] + v[1, 0]]) / 2.0,
        magnification=float(magnification),
        magnification_sd=float(np.sqrt(np.trace(v)) / 3.0),
        distortion=float(np.sqrt((distortion**2).sum())),
        distortion_sd=float(np.sqrt(of_symmetric.sum())),
        distortion_vox=float(np.sqrt(np.mean((arm @ distortion) ** 2))),
    )


def component_sd(residual: FloatArray, *, parameters: float) -> FloatArray:
    """Standard deviation of each column, without what lies far outside the others.

    Parameters
    ----------
    residual : (N, K) float64
        About 0.
    parameters : float
        How many were fitted to each column.

    Returns
    -------
    (K,) float64
        Root of the mean square over the degrees of freedom. With `MANY` values, those beyond 4.5 robust sd
        (median of the magnitudes) are left out: a root mean square is twice as sharp as the median alone.
    """
    n = len(residual)
    limit = 4.5 * _MAD * np.median(np.abs(residual), axis=0)
    kept = np.abs(residual) <= limit if n >= MANY else np.ones(residual.shape, dtype=bool)
    count = np.maximum(kept.sum(axis=0), 1)
    freedom = np.maximum(count * (1.0 - parameters / n), 1e-9)
    out: FloatArray = np.sqrt(np.where(kept, residual**2, 0.0).sum(axis=0) / freedom)
    return out


def measure_smoothness(residual_vox: FloatArray, use: NDArray[np.bool_], grid_shape: Shape3) -> Smoothness:
    """Compare the scatter of neighbours' differences with the whole scatter.

    After von Neumann (1941, 10.1214/aoms/1177731677): noise differs from node to node; a displacement that is real
    varies smoothly and cancels between neighbours.

    Parameters
    ----------
    residual_vox : (N, 3) float64
        Beyond an affine; what it is where `use` is False does not matter.
    use : (N,) bool
    grid_shape : tuple of int
        The nodes along z, y, x; their windows do not overlap.

    Returns
    -------
    Smoothness
        Significance 0 where there are no neighbours.
    """
    values, there = residual_vox.reshape(*grid_shape, 3), use.reshape(grid_shape)
    squares, pairs = 0.0, 0
    for axis in range(3):
        first, second = (np.take(values, range(k, grid_shape[axis] - 1 + k), axis) for k in (0, 1))
        both = np.take(there, range(grid_shape[axis] - 1), axis) & np.take(there, range(1, grid_shape[axis]), axis)
        squares += float(((first - second)[both] ** 2).sum())
        pairs += int(both.sum())
    n = int(use.sum())
    whole = float((residual_vox[use] ** 2).sum()) / max(3 * n - 12, 1)
    if pairs == 0 or not whole > 0:
        return Smoothness(float(np.sqrt(whole)), 0.0, 0.0)
    noise = squares / (6 * pairs)
    significance = (1.0 - noise / whole) * np.sqrt(3 * pairs)
    return Smoothness(float(np.sqrt(noise)), float(np.sqrt(max(whole - noise, 0.0))), float(significance))


@dataclass(frozen=True)
class Scatter:
    """How much more (or less) the results of a repeat pair scatter than their covariance says.

    Parameters
    ----------
    nodes : int
        Trusted ones, which it is measured from.
    factor_u, factor_f : float
        Measured scatter over predicted standard deviation, of displacements and of F.
    relative_error : float
        Standard deviation of the factors over the factors, for windows that share no voxel.
    drift : Drift
        The affine that was taken out of the displacements.
    """

    nodes: int
    factor_u: float
    factor_f: float
    relative_error: float
    drift: Drift


def measure_scatter(field: DeformationField, *, half_window_vox: int) -> Scatter:
    """Compare what a repeat pair's nodes scatter by with the standard deviation that they claim.

    One affine is taken out of the displacements, the drift; F scatters about its median. A scanner's drift shifts,
    turns and magnifies: an uneven strain is the sample's own, and then the scatter is no noise.

    Parameters
    ----------
    field : DeformationField
        Of two scans of one state, on a regular grid.
    half_window_vox : int

    Returns
    -------
    Scatter

    Raises
    ------
    InputError
        If too few nodes are trusted, their covariance is missing, or the sample has changed between the scans: an
        uneven strain of five standard deviations, which moves matter by more than 0.1 voxel.
    """
    use = field.trusted & np.isfinite(field.sd).all(axis=1)
    spacing = 1.0 if field.node_spacing_vox is None else float(np.nanmin(field.node_spacing_vox))
    shared = max(1.0, (2 * half_window_vox + 1) / spacing) ** 3
    apart = use.sum() / shared
    if apart < _FEWEST_APART:
        raise InputError(
            f"a repeat scan needs {_FEWEST_APART} trusted windows that share no voxel to tell the noise (got "
            f"{apart:.1f}): use smaller windows or a larger volume"
        )
    positions, displacement = field.positions_vox[use], field.displacement_vox[use]
    drift, residual = fit_drift(positions, displacement, positions.mean(axis=0))
    strain_sd = drift.distortion_sd * np.sqrt(shared)  # windows that overlap know no more than one
    if drift.distortion > _MOVED_SDS * strain_sd and drift.distortion_vox > _MOVED_VOX:
        raise InputError(
            f"these are no repeat scans: the sample is strained unevenly by {100 * drift.distortion:.2g} % (sd "
            f"{100 * strain_sd:.1g} %) between them, which is no drift: leave out `repeats` at this scan"
        )
    f = field.deformation_gradient[use].reshape(-1, 9)
    sd = field.sd[use].reshape(-1, 3, 4)
    scatter_u, scatter_f = component_sd(residual, parameters=4), component_sd(f - np.median(f, axis=0), parameters=1)
    predicted_u, predicted_f = (
        np.sqrt(np.median(sd[:, :, 3] ** 2, axis=0)),
        np.sqrt(np.median(sd[:, :, :3] ** 2, axis=0)),
    )
    return Scatter(
        nodes=int(use.sum()),
        factor_u=float(np.sqrt(np.mean((scatter_u / predicted_u) ** 2))),
        factor_f=float(np.sqrt(np.mean((scatter_f / predicted_f.ravel()) ** 2))),
        relative_error=float(1.0 / np.sqrt(2.0 * 3.0 * apart)),
        drift=drift,
    )
